"""Where clients are in their care: how long they stay, how far they get, who is in, who left, who to call."""

from collections.abc import Collection
from datetime import date, timedelta
from typing import Any, Final, Literal, get_args

import narwhals as nw
import polars as pl

from healthie_nb.engines import reduced
from healthie_nb.newcomers import (
    EPOCH,
    Every,
    Split,
    bookings,
    choice,
    clinical,
    day_number,
    is_over,
    known,
    occurred,
    offset,
    split_columns,
    with_source,
)
from healthie_nb.privacy import pseudonyms
from healthie_nb.stats import FEW, kaplan_meier, wilson
from healthie_nb.visits import MetricError, require

Event = Literal["lapse", "second visit"]

STATES: Final = (
    ("in care", "seen lately"),
    ("in care", "booked"),
    ("completed", "programme"),
    ("completed", "closing visit"),
    ("lapsed", "not seen"),
    ("unknown", "archived"),
    ("unknown", "no visit yet"),
)
STEPS: Final = ("signed up", "booked", "first visit", "second visit")


def survival(
    visits: Any,
    *,
    as_of: str | date,
    event: Event = "lapse",
    gap_days: int = 90,
    split: Split | None = None,
    history_from: str | date | None = None,
    clients: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Share of new clients not yet lapsed, or not yet back, by days since their first visit: Kaplan-Meier.

    "lapse": the first time that more than `gap_days` pass without an occurred clinical visit, dated last visit +
    `gap_days`; who has a later booking at `as_of` has not lapsed yet. "second visit": the first on a later day. Clients
    without the event are censored at `as_of`; ends such as completion or archiving are not told apart: see `states`.

    Rows
    ----
    One per value of `split` and day with an event or a censored client, and day 0; in that order.

    Columns
    -------
    with `split`, provider_id, appointment_type_id or modality of the first visit, or source_name, String; the rest as
    stats.kaplan_meier: day, at_risk, events, censored Int64; survival, se (Greenwood), low, high (log-log 95 %)
    Float64; few Boolean, under 30 clients at risk.

    Raises
    ------
    MetricError for an option that is not allowed, `as_of` before the first visit, or a missing column.

    Source
    ------
    queries/appointments.graphql through `visits`; queries/clients.graphql.

    Examples
    --------
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-01", "2026-02-01"], "bob": ["2026-05-01"]})
    >>> survival(seen, as_of="2026-06-01").select("day", "at_risk", "events", "censored", "survival").rows()
    [(0, 2, 0, 0, 1.0), (31, 2, 0, 1, 1.0), (121, 1, 1, 0, 0.0)]
    """
    times = spells(
        visits, as_of=as_of, event=event, gap_days=gap_days, split=split, history_from=history_from, clients=clients
    )
    few = (pl.col("at_risk") < FEW).alias("few")
    if split is None:
        return kaplan_meier(times).with_columns(few)
    [column] = split_columns(split)
    parts = [((None,), times.clear()), *times.group_by(column)]
    curves = [kaplan_meier(part).select(pl.lit(value, pl.String).alias(column), pl.all()) for (value,), part in parts]
    return pl.concat(curves).sort(column, "day", nulls_last=True).with_columns(few)


def spells(
    visits: Any,
    *,
    as_of: str | date,
    event: Event = "lapse",
    gap_days: int = 90,
    split: Split | None = None,
    history_from: str | date | None = None,
    clients: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Time of each new client to the event of `survival`, for its curve and for stats.logrank.

    Rows
    ----
    One per new client with complete history, by client_id.

    Columns
    -------
    client_id String; days Int64 since the first visit; ended Boolean, false when censored; with `split` its column.

    Raises
    ------
    MetricError as `survival`.
    """
    choice(event, get_args(Event), name="event")
    until, columns = day_number(as_of), split_columns(split)
    histories = _histories(visits, as_of, gap_days, columns).join(bookings(visits, as_of), on="client_id", how="left")
    is_gone = (until - pl.col("last_day") > gap_days) & pl.col("next_day").is_null()
    lapse = pl.coalesce("lapse_day", pl.when(is_gone).then(pl.col("last_day") + gap_days))
    end = lapse if event == "lapse" else pl.col("second_day")
    return (
        histories.pipe(known, clients, history_from)
        .pipe(with_source, clients, split)
        .select("client_id", *columns, days=pl.coalesce(end, until) - pl.col("first_day"), ended=end.is_not_null())
        .sort("client_id")
    )


def _histories(visits: Any, as_of: str | date, gap_days: int, columns: Collection[str] = ()) -> pl.DataFrame:
    """One row per client: first, second and last day seen, and the day of the first gap's end. The big step."""
    extra = [name for name in columns if name != "source_name"]
    day, before = nw.col("day"), nw.col("before")
    rows = occurred(visits, as_of, *extra).with_columns(
        before=day.shift(1).over("client_id", order_by=["day", "appointment_id"])
    )
    gaps = rows.with_columns(
        second_day=nw.when(day > before).then(day),
        lapse_day=nw.when(day - before > gap_days).then(before + gap_days),
    )
    return reduced(
        gaps.group_by("client_id").agg(
            day.min().alias("first_day"),
            day.max().alias("last_day"),
            nw.col("second_day").min(),
            nw.col("lapse_day").min(),
            *(nw.col(name).first(order_by=["starts_at", "appointment_id"]) for name in extra),
        )
    )


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
    queries/clients.graphql; queries/appointments.graphql through `visits`.
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
        .join(_histories(visits, as_of, gap_days=0), on="client_id", how="left")
        .pipe(_steps, first_days, second_days)
    )
    return _step_rates(reached).with_columns(too_recent=pl.lit((people["signed_up"] > last).sum(), pl.Int64))


def _first_bookings(visits: Any, as_of: str | date) -> pl.DataFrame:
    """One row per client: the day, UTC, on which the first clinical appointment was made."""
    rows = clinical(visits, as_of, "booked_at").group_by("client_id").agg(nw.col("booked_at").min())
    booked = pl.col("booked_at").dt.convert_time_zone("UTC").dt.date().to_physical().cast(pl.Int64)
    return reduced(rows).select("client_id", booked_day=booked)


def _steps(people: pl.DataFrame, first_days: int, second_days: int) -> pl.DataFrame:
    """Days to each step from the one before, null from where a client leaves the funnel."""
    # Booked on the phone and signed up afterwards, or the other side of midnight UTC: the same day, not a negative one.
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


def states(
    visits: Any,
    clients: pl.DataFrame,
    *,
    as_of: str | date,
    gap_days: int = 90,
    closing_type_ids: Collection[str] = (),
    completed_group_ids: Collection[str] = (),
) -> pl.DataFrame:
    """Where every client stands at the end of `as_of`, each counted once, the ends side by side.

    The first that holds: completed, by being in one of the groups that stand for a finished programme (as loaded, not
    as of then) or because the last occurred clinical visit is of a closing type, with nothing booked after it; unknown,
    archived before lapsing (archiving alone does not say why); in care, with a booking or seen in the last `gap_days`;
    lapsed, not seen for longer; unknown, never seen.

    Rows
    ----
    One per state and reason, in fixed order, also where nobody is.

    Columns
    -------
    state String: in care, completed, lapsed, unknown; reason String; clients Int64, which add up to all who signed
    up by `as_of` (or whose sign-up is not dated); share Float64 of them, null when there are none.

    Raises
    ------
    MetricError for `as_of` before the first visit, or a missing column.

    Source
    ------
    queries/clients.graphql; queries/appointments.graphql through `visits`; the ids from roles.py.

    Examples
    --------
    >>> from healthie_nb.visits import example
    >>> clients = pl.DataFrame({"id": ["ada"], "is_active": [True]}).with_columns(
    ...     group_id=pl.lit(None, pl.String), created_at=pl.lit(None, pl.Date), archived_at=pl.lit(None, pl.Date)
    ... )
    >>> states(example({"ada": ["2026-01-01"]}), clients, as_of="2026-06-01").filter(pl.col("clients") > 0).rows()
    [('lapsed', 'not seen', 1, 1.0)]
    """
    require(clients, ["id", "created_at", "is_active", "archived_at", "group_id"], query="clients")
    until = day_number(as_of)
    standing = (
        clients.filter((_day("created_at") <= until) | pl.col("created_at").is_null())
        .join(_last_visits(visits, as_of), left_on="id", right_on="client_id", how="left")
        .join(bookings(visits, as_of), left_on="id", right_on="client_id", how="left")
        .with_columns(_standing(until, gap_days, closing_type_ids, completed_group_ids))
    )
    return (
        pl.DataFrame(STATES, schema=["state", "reason"], orient="row")
        .join(standing.group_by("standing").len("clients"), left_on="reason", right_on="standing", how="left")
        .with_columns(pl.col("clients").fill_null(0).cast(pl.Int64))
        .with_columns(share=pl.when(pl.lit(standing.height > 0)).then(pl.col("clients") / standing.height))
    )


def _day(instant: str) -> pl.Expr:
    return pl.col(instant).dt.date().to_physical().cast(pl.Int64)


def _last_visits(visits: Any, as_of: str | date) -> pl.DataFrame:
    """One row per client seen: the last day, and the type and provider of the last visit."""
    by_start = ["starts_at", "appointment_id"]
    rows = occurred(visits, as_of, "appointment_type_id", "provider_id")
    last = [nw.col(name).last(order_by=by_start) for name in ("appointment_type_id", "provider_id")]
    return reduced(rows.group_by("client_id").agg(nw.col("day").max().alias("last_day"), *last))


def _standing(until: int, gap_days: int, closing: Collection[str], completed: Collection[str]) -> pl.Expr:
    """Reason of the state; the first that holds."""
    lapses_on = pl.col("last_day") + gap_days
    is_booked = pl.col("next_day").is_not_null()
    archived_day = pl.when(pl.col("is_active").not_()).then(_day("archived_at").fill_null(until))
    is_archived = ((archived_day <= until) & (archived_day <= lapses_on.fill_null(until))).fill_null(value=False)
    reasons = {
        "programme": pl.col("group_id").is_in(list(completed)),
        "closing visit": pl.col("appointment_type_id").is_in(list(closing)) & ~is_booked,
        "archived": is_archived & ~is_booked,
        "booked": is_booked,
        "seen lately": lapses_on >= until,
        "not seen": pl.col("last_day").is_not_null(),
    }
    chosen = pl.coalesce(
        *(pl.when(holds).then(pl.lit(reason)) for reason, holds in reasons.items()), pl.lit("no visit yet")
    )
    return chosen.alias("standing")


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
    step = offset(every)
    seen = reduced(
        occurred(visits, as_of, every).group_by("client_id", every).agg(nw.col("day").min().alias("first_day"))
    )
    kinds = _kinds(seen, every, step, clients, history_from)
    counts = {kind: (pl.col("kind") == kind).sum().cast(pl.Int64) for kind in ("new", "kept", "returned", "unknown")}
    last = EPOCH + timedelta(days=day_number(as_of))
    first = kinds.select(pl.col(every).min().fill_null(last + timedelta(days=1)))[every]
    periods = first.to_frame().select(period=pl.date_range(pl.col(every).first(), last, step))
    return (
        periods.join(kinds.group_by(period=every).agg(**counts), on="period", how="left")
        .sort("period")
        .with_columns(pl.col(list(counts)).fill_null(0))
        .with_columns(active=pl.sum_horizontal("new", "kept", "returned"))
        .with_columns(before=pl.col("active").shift(1, fill_value=0))
        .with_columns(left=pl.col("before") - pl.col("kept"), is_open=~is_over("period", every, as_of))
        .select("period", "before", "new", "kept", "returned", "left", "active", "unknown", "is_open")
    )


def _kinds(
    seen: pl.DataFrame, every: Every, step: str, clients: pl.DataFrame | None, history_from: str | date | None
) -> pl.DataFrame:
    """Tell what each client is in each period they were seen in."""
    firsts = seen.group_by("client_id").agg(pl.col("first_day").min())
    complete = known(firsts, clients, history_from).select("client_id", is_known=True)
    is_same = pl.col("client_id") == pl.col("client_id").shift(1)
    earlier = pl.when(is_same).then(pl.col(every).shift(1))  # in the order of client and period
    kind = (
        pl.when(pl.col("is_known").is_null())
        .then(pl.lit("unknown"))
        .when(earlier.is_null())
        .then(pl.lit("new"))
        .when(earlier.dt.offset_by(step) == pl.col(every))
        .then(pl.lit("kept"))
        .otherwise(pl.lit("returned"))
    )
    return seen.join(complete, on="client_id", how="left").sort("client_id", every).select(every, kind=kind)


def worklist(
    visits: Any,
    *,
    as_of: str | date,
    key: bytes,
    usual_days: int = 30,
    within_days: int = 180,
    link: str = "https://secure.gethealthie.com/users/{client_id}",
) -> pl.DataFrame:
    """Clients who should have been seen again by now, the longest overdue first, the unbooked before the booked.

    Rows
    ----
    One per client whose last occurred clinical visit lies more days back than their own cadence, and at most
    `within_days`; unbooked first, then by days_overdue, longest first.

    Columns
    -------
    pseudonym, client_id String; last_visit Date; cadence_days Float64, median days between days seen, `usual_days` with
    fewer than three such days; days_overdue Float64, since last visit + cadence; next_booking Date, null when none;
    provider_id String, of the last visit; link String, `link` with the client's id.

    Raises
    ------
    MetricError for `as_of` before the first visit, a link without {client_id}, or a missing column.

    Source
    ------
    queries/appointments.graphql through `visits`. It names clients by id: it is for the practice, not for publication.
    """
    before, is_there, after = link.partition("{client_id}")
    if not is_there:
        raise MetricError(f"link is {link!r}: write {{client_id}} where the client's id goes.")
    until, next_day = day_number(as_of), pl.col("next_day").cast(pl.Int32).cast(pl.Date)
    return (
        _last_visits(visits, as_of)
        .join(_cadences(visits, as_of), on="client_id", how="left")
        .join(bookings(visits, as_of), on="client_id", how="left")
        .with_columns(
            cadence_days=pl.when(pl.col("gaps") > 1).then(pl.col("cadence_days")).otherwise(float(usual_days))
        )
        .with_columns(days_overdue=until - pl.col("last_day") - pl.col("cadence_days"))
        .filter(pl.col("days_overdue") > 0, until - pl.col("last_day") <= within_days)
        .with_columns(next_booking=next_day)
        .with_columns(pl.col("client_id").map_batches(lambda ids: pseudonyms(ids, key=key)).alias("pseudonym"))
        .sort(pl.col("next_booking").is_not_null(), -pl.col("days_overdue"), "client_id")
        .select(
            "pseudonym",
            "client_id",
            pl.col("last_day").cast(pl.Int32).cast(pl.Date).alias("last_visit"),
            "cadence_days",
            "days_overdue",
            "next_booking",
            "provider_id",
            link=pl.concat_str(pl.lit(before), pl.col("client_id"), pl.lit(after)),
        )
    )


def _cadences(visits: Any, as_of: str | date) -> pl.DataFrame:
    """One row per client: how many gaps between days seen, and the median of them."""
    days = occurred(visits, as_of).select("client_id", "day").unique(["client_id", "day"])
    gaps = days.with_columns(gap=nw.col("day") - nw.col("day").shift(1).over("client_id", order_by="day"))
    summary = [nw.col("gap").count().alias("gaps"), nw.col("gap").median().alias("cadence_days")]
    return reduced(gaps.group_by("client_id").agg(*summary)).with_columns(pl.col("cadence_days").cast(pl.Float64))
