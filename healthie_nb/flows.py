"""How many get in and through: the funnel from sign-up to second visit, and who comes and goes in each period."""

from datetime import date, timedelta
from typing import Any, Final

import narwhals as nw
import polars as pl

from healthie_nb.engines import reduced
from healthie_nb.newcomers import EPOCH, Every, clinical, day_number, is_over, known, occurred, offset
from healthie_nb.stats import FEW, wilson
from healthie_nb.survival import seconds
from healthie_nb.visits import require

STEPS: Final = ("signed up", "booked", "first visit", "second visit")


def funnel(
    visits: Any,
    clients: pl.DataFrame,
    *,
    as_of: str | date,
    first_days: int = 90,
    second_days: int = 45,
    history_from: str | date | None = None,
) -> pl.DataFrame:
    """How far those who signed up get: booked, a first visit, a second visit.

    Everybody counted had the same time: signed up at least `first_days` + `second_days` before `as_of` (and on or
    after `history_from`). Booked: any clinical appointment made, and first visit: one occurred, within `first_days` of
    the sign-up; second visit: one on a later day within `second_days` of the first. Who skips a step leaves the funnel.

    Rows
    ----
    One per step, in order.

    Columns
    -------
    step String: signed up, booked, first visit, second visit; clients Int64 who reached it; before Int64 who reached
    the step before; rate Float64 clients / before, null when before is 0; low, high Float64, Wilson 95 %; median_days
    Float64 from the step before (the second visit's: from the first); few Boolean, before under 30; too_recent Int64,
    who signed up later and is left out, the same on every row.

    Raises
    ------
    MetricError for `as_of` before the first visit, or a missing column.

    Source
    ------
    queries/clients.graphql, whose days are those of the zone its instants are in, see `days.local`;
    queries/appointments.graphql through `visits`.

    Examples
    --------
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-01-19"], "bob": ["2026-01-09"]})
    >>> at = pl.lit("2026-01-02").str.to_datetime(time_unit="us", time_zone="UTC")
    >>> clients = pl.DataFrame({"id": ["ada", "bob", "cy"]}).with_columns(created_at=at)
    >>> funnel(seen, clients, as_of="2026-06-30").select("step", "clients", "before", "median_days").rows()[1:]
    [('booked', 2, 3, 5.0), ('first visit', 2, 2, 0.0), ('second visit', 1, 2, 14.0)]
    """
    require(clients, ["id", "created_at"], query="clients")
    last = day_number(as_of) - first_days - second_days
    since = None if history_from is None else day_number(history_from, name="history_from")
    signed_up = pl.col("created_at").dt.date().to_physical().cast(pl.Int64)
    people = clients.select(client_id="id", signed_up=signed_up).filter(
        pl.col("signed_up").is_between(since or pl.col("signed_up"), day_number(as_of))
    )
    reached = (
        people.filter(pl.col("signed_up") <= last)
        .join(_first_bookings(visits, as_of), on="client_id", how="left")
        .join(seconds(visits, as_of), on="client_id", how="left")
        .pipe(_steps, first_days, second_days)
    )
    return _step_rates(reached).with_columns(too_recent=pl.lit((people["signed_up"] > last).sum(), pl.Int64))


def _first_bookings(visits: Any, as_of: str | date) -> pl.DataFrame:
    """One row per client: the day on which the first clinical appointment was made."""
    return reduced(clinical(visits, as_of, "booked_day").group_by("client_id").agg(nw.col("booked_day").min()))


def _steps(people: pl.DataFrame, first_days: int, second_days: int) -> pl.DataFrame:
    """Days to each step from the one before, null from where a client leaves the funnel."""
    # Booked on the phone and signed up afterwards, or the other side of midnight: the same day, not a negative one.
    first = (pl.col("first_day") - pl.col("signed_up")).clip(0)
    booked = pl.min_horizontal((pl.col("booked_day") - pl.col("signed_up")).clip(0), first)
    second = pl.col("second_day") - pl.col("first_day")
    is_first = booked.is_between(0, first_days) & first.is_between(0, first_days)
    return people.select(
        pl.lit(0, pl.Int64).alias("signed up"),
        pl.when(booked <= first_days).then(booked).alias("booked"),
        pl.when(is_first).then(first - booked).alias("first visit"),
        pl.when(is_first & (second <= second_days)).then(second).alias("second visit"),
    )


def _step_rates(reached: pl.DataFrame) -> pl.DataFrame:
    low, high = wilson("clients", "before")
    counts = [
        reached.select(step=pl.lit(step), clients=pl.col(step).count(), median_days=pl.col(step).median())
        for step in STEPS
    ]
    return (
        pl.concat(counts)
        .with_columns(pl.col("clients").cast(pl.Int64))
        .with_columns(before=pl.col("clients").shift(1, fill_value=reached.height))
        .select(
            "step",
            "clients",
            "before",
            rate=pl.when(pl.col("before") > 0).then(pl.col("clients") / pl.col("before")),
            low=low,
            high=high,
            median_days="median_days",
            few=pl.col("before") < FEW,
        )
    )


def flow(
    visits: Any,
    *,
    as_of: str | date,
    every: Every = "month",
    history_from: str | date | None = None,
    clients: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Clients seen in each period: who is new, kept, returned after a pause, and who of the period before left.

    It adds up: active = new + kept + returned, and the active of the period before = kept + left.

    Rows
    ----
    One per calendar period from the first visit to `as_of`, in order; without a gap.

    Columns
    -------
    period Date, its first day; before, new, kept, returned, left, active Int64, clients with an occurred clinical
    visit; unknown Int64, those seen who may have come before `history_from`, in none of the other counts; is_open
    Boolean, the period is not over at `as_of`.

    Raises
    ------
    MetricError for an option that is not allowed, `as_of` before the first visit, or a missing column.

    Source
    ------
    queries/appointments.graphql through `visits`; queries/clients.graphql.

    Examples
    --------
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-02-05"], "bob": ["2026-01-09", "2026-03-09"]})
    >>> flow(seen, as_of="2026-03-31").select("before", "new", "kept", "returned", "left", "active").rows()
    [(0, 2, 0, 0, 0, 2), (2, 0, 1, 0, 1, 1), (1, 0, 0, 1, 1, 1)]
    """
    return moved(kinds(visits, as_of=as_of, every=every, history_from=history_from, clients=clients), as_of, every)


def moved(kinds: pl.DataFrame, as_of: str | date, every: Every) -> pl.DataFrame:
    """Rows of `flow` from one row per client and period, as `kinds` gives them."""
    counts = {kind: (pl.col("kind") == kind).sum().cast(pl.Int64) for kind in ("new", "kept", "returned", "unknown")}
    last = EPOCH + timedelta(days=day_number(as_of))
    first = kinds.select(pl.col(every).min().fill_null(last + timedelta(days=1)))[every]
    periods = first.to_frame().select(period=pl.date_range(pl.col(every).first(), last, offset(every)))
    return (
        periods.join(kinds.group_by(period=every).agg(**counts), on="period", how="left")
        .sort("period")
        .with_columns(pl.col(list(counts)).fill_null(0))
        .with_columns(active=pl.sum_horizontal("new", "kept", "returned"))
        .with_columns(before=pl.col("active").shift(1, fill_value=0))
        .with_columns(left=pl.col("before") - pl.col("kept"), is_open=~is_over("period", every, as_of))
        .select("period", "before", "new", "kept", "returned", "left", "active", "unknown", "is_open")
    )


def kinds(
    visits: Any,
    *,
    as_of: str | date,
    every: Every,
    history_from: str | date | None = None,
    clients: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Tell what each client is in each period they were seen in. Columns: client_id, the period's Date, kind."""
    step = offset(every)
    seen = reduced(
        occurred(visits, as_of, every).group_by("client_id", every).agg(nw.col("day").min().alias("first_day"))
    )
    # Each client's periods together and in order: a window takes three times as long.
    by_client = seen.sort(every).group_by("client_id").agg(every, pl.col("first_day").first())
    complete = known(by_client, clients, history_from).select("client_id", is_known=True)
    earlier = pl.when(pl.col("client_id") == pl.col("client_id").shift(1)).then(pl.col(every).shift(1))
    kind = (
        pl.when(pl.col("is_known").is_null())
        .then(pl.lit("unknown"))
        .when(pl.col("earlier").is_null())
        .then(pl.lit("new"))
        .when(pl.col("earlier").dt.offset_by(step) == pl.col(every))
        .then(pl.lit("kept"))
        .otherwise(pl.lit("returned"))
    )
    ordered = by_client.join(complete, on="client_id", how="left").explode(every)
    return ordered.with_columns(earlier=earlier).select("client_id", every, kind=kind)
