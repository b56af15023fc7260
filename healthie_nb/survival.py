"""How long new clients stay: time to the first long gap, or to the second visit, as Kaplan-Meier curves."""

from collections.abc import Collection
from datetime import date
from typing import Any, Literal, get_args

import narwhals as nw
import polars as pl

from healthie_nb.engines import reduced
from healthie_nb.newcomers import (
    Split,
    bookings,
    choice,
    day_number,
    is_end,
    known,
    occurred,
    split_columns,
    with_source,
)
from healthie_nb.stats import FEW, kaplan_meier

Event = Literal["lapse", "second visit"]


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
    return curves(times, split_columns(split))


def curves(times: pl.DataFrame, columns: Collection[str]) -> pl.DataFrame:
    """Rows of `survival` from one row per new client, as `spells` gives them; a curve per value of the column."""
    few = (pl.col("at_risk") < FEW).alias("few")
    if not columns:
        return kaplan_meier(times).with_columns(few)
    [column] = columns
    parts = [((None,), times.clear()), *times.group_by(column)]
    drawn = [kaplan_meier(part).select(pl.lit(value, pl.String).alias(column), pl.all()) for (value,), part in parts]
    return pl.concat(drawn).sort(column, "day", nulls_last=True).with_columns(few)


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

    Source
    ------
    As `survival`.

    Examples
    --------
    >>> from healthie_nb.visits import example
    >>> spells(example({"ada": ["2026-01-01", "2026-02-01"], "bob": ["2026-05-01"]}), as_of="2026-06-01").rows()
    [('ada', 121, True), ('bob', 31, False)]
    """
    choice(event, get_args(Event), name="event")
    until, columns = day_number(as_of), split_columns(split)
    if event == "second visit":
        seen, end = seconds(visits, as_of, columns), pl.col("second_day")
    else:
        seen = lapses(visits, as_of, gap_days, columns).join(bookings(visits, as_of), on="client_id", how="left")
        is_gone = (until - pl.col("last_day") > gap_days) & pl.col("next_day").is_null()
        end = pl.coalesce("lapse_day", pl.when(is_gone).then(pl.col("last_day") + gap_days))
    return (
        seen.pipe(known, clients, history_from)
        .pipe(with_source, clients, split)
        .select("client_id", *columns, days=pl.coalesce(end, until) - pl.col("first_day"), ended=end.is_not_null())
        .sort("client_id")
    )


def seconds(visits: Any, as_of: str | date, columns: Collection[str] = ()) -> pl.DataFrame:
    """One row per client: first and second day seen, and the columns of the first visit. The big step."""
    extra = [name for name in columns if name != "source_name"]
    rows = occurred(visits, as_of, *extra).with_columns(first_day=nw.col("day").min().over("client_id"))
    second = nw.when(nw.col("day") > nw.col("first_day")).then(nw.col("day"))
    return _per_client(
        rows.with_columns(second_day=second), extra, nw.col("first_day").min(), nw.col("second_day").min()
    )


def lapses(visits: Any, as_of: str | date, gap_days: int, columns: Collection[str] = ()) -> pl.DataFrame:
    """One row per client: first and last day seen, the day of the first gap's end, and the columns of the first visit.

    The big step.
    """
    extra = [name for name in columns if name != "source_name"]
    day, before = nw.col("day"), nw.col("before")
    rows = occurred(visits, as_of, *extra).with_columns(before=day.shift(1).over("client_id", order_by="day"))
    rows = rows.with_columns(lapse_day=nw.when(day - before > gap_days).then(before + gap_days))
    ends = [day.min().alias("first_day"), day.max().alias("last_day"), nw.col("lapse_day").min()]
    return _per_client(rows, extra, *ends)


def _per_client(rows: nw.LazyFrame[Any], extra: Collection[str], *made: nw.Expr) -> pl.DataFrame:
    """Reduce visits to clients, with columns of the first visit."""
    rows = rows.with_columns(is_first=is_end(["client_id"])) if extra else rows
    firsts = [nw.when(nw.col("is_first")).then(nw.col(name)).max().alias(name) for name in extra]
    return reduced(rows.group_by("client_id").agg(*made, *firsts))
