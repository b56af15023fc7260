"""What was called off, by whom and how late; and what nobody marked."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final, Literal, get_args

import narwhals as nw
import polars as pl

from healthie_nb.engines import reduced
from healthie_nb.newcomers import EPOCH, Every, choice, clinical, day_number, is_over, offset
from healthie_nb.slices import By, begun, between, columns_of, number
from healthie_nb.stats import FEW, wilson
from healthie_nb.visits import CANCELLED

Told = Literal["who", "why", "how late"]

TOLD: Final[tuple[Told, ...]] = get_args(Told)
NOTICES: Final = ("over 48 hours", "24 to 48 hours", "under 24 hours", "after it began", "not known")
AGES: Final = {2: "0-2 days", 7: "3-7 days", 30: "8-30 days", 90: "31-90 days"}
OLDER: Final = "over 90 days"


def cancellations(
    visits: Any,
    *,
    as_of: str | date,
    every: Every = "month",
    by: Sequence[By] = (),
    since: str | date | None = None,
    told: Sequence[Told] = TOLD,
) -> pl.DataFrame:
    """Count cancelled clinical visits by who cancelled, why and how late, among all that stood on the calendar.

    Who is Healthie's type of the reason, client, provider or organization; why, the label that the practice gives it,
    where `visits` were made with cancellation_reasons. How late is the notice from the last change of status, in hours
    before the start: 48 and 24 hours themselves count as more; "after it began" is a status set or changed afterwards.
    Rows are split by those of the three that are in `told`.

    The interval is Wilson's, for visits that do not depend on each other. One client's do, as when a series is called
    off at once, so it is the least that it may be; a cluster-robust one is not given, since most rows stand on a few
    clients each, from whom no variance between clients can be told.

    Rows
    ----
    One per period, slice, who, why and notice, in that order.

    Columns
    -------
    period Date, its first day, of the visit, not of the cancellation; per `by` provider_id, appointment_type_id, role,
    modality String, weekday, hour Int64; with "who", cancelled_by String, null where nobody said; with "why",
    cancellation_reason String, null where none is known; with "how late", notice String: over 48 hours, 24 to 48
    hours, under 24 hours, after it began, not known; cancellations Int64; late_by_status Int64, those of them that
    Healthie calls Late Cancellation; visits Int64, clinical visits of every status in that period and slice; rate
    Float64 cancellations / visits; low, high Float64, Wilson 95 %; is_open Boolean, the period is not over at `as_of`;
    few Boolean, under 30 visits.

    Raises
    ------
    MetricError for an option that is not allowed, `as_of` before the first visit, or a missing column.

    Source
    ------
    queries/appointments.graphql, group_attendance.graphql, cancellation_reasons.graphql through `visits`.

    Examples
    --------
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-01-12 Cancelled"]})
    >>> cancellations(seen, as_of="2026-01-31").select("cancelled_by", "notice", "cancellations", "visits").rows()
    [(None, 'not known', 1, 2)]
    """
    offset(every)
    columns = columns_of(by, ("provider", "type", "role", "modality", "weekday", "hour"))
    parts = {"who": "cancelled_by", "why": "cancellation_reason", "how late": "rank"}
    chosen = {choice(part, parts, name="told") for part in told}
    split = [column for part, column in parts.items() if part in chosen]
    slices = ["period", *columns]
    low, high = wilson("cancellations", "visits")
    return (
        _called_off(visits, as_of, since, [every, *columns], split)
        .rename({every: "period"})
        .sort(*slices, *split, nulls_last=True)
        .with_columns(
            pl.col(["rank"] if "rank" in split else []).replace_strict(
                range(len(NOTICES)), NOTICES, return_dtype=pl.String
            )
        )
        .rename({"rank": "notice"}, strict=False)
        .with_columns(
            rate=pl.col("cancellations") / pl.col("visits"),
            low=low,
            high=high,
            is_open=~is_over("period", every, as_of),
            few=pl.col("visits") < FEW,
        )
    )


def _called_off(
    visits: Any, as_of: str | date, since: str | date | None, keys: list[str], split: list[str]
) -> pl.DataFrame:
    """Count what was called off per slice and who, why and how late, beside all of the slice. The big steps."""
    told = [name for name in split if name != "rank"]
    rows = between(clinical(visits, as_of, "notice_hours", *told, *keys), since, as_of)
    notice = nw.col("notice_hours")
    rank = nw.when(notice.is_null()).then(nw.lit(len(NOTICES) - 1)).otherwise(nw.lit(0))
    for edge in (48, 24, 0):
        rank = rank + nw.when(notice < edge).then(nw.lit(1)).otherwise(nw.lit(0))
    off = rows.filter(nw.col("status").is_in(CANCELLED)).with_columns(rank=rank)
    counts = [nw.len().alias("cancellations"), number(nw.col("status") == "late_cancelled").alias("late_by_status")]
    tally = reduced(off.group_by(*keys, *split).agg(*counts))
    every = reduced(rows.group_by(*keys).agg(nw.len().alias("visits")))
    return tally.join(every, on=keys, how="left", nulls_equal=True).select(
        *keys, *split, "cancellations", "late_by_status", "visits"
    )


def unmarked(visits: Any, *, as_of: str | date, since: str | date | None = None) -> pl.DataFrame:
    """Visits up to `as_of` that nobody has given a status: whose they are, and how old.

    Every role counts. Those of the last two days may still be on somebody's desk.

    Rows
    ----
    One per provider and age, youngest first.

    Columns
    -------
    provider_id String; age String: 0-2 days, 3-7 days, 8-30 days, 31-90 days, over 90 days before `as_of`; unmarked
    Int64; oldest Date; visits Int64, all of that provider and age; share Float64 unmarked / visits; low, high Float64,
    Wilson 95 %; few Boolean, under 30 visits.

    Raises
    ------
    MetricError for `as_of` before the first visit, or a missing column.

    Source
    ------
    queries/appointments.graphql, group_attendance.graphql through `visits`.

    Examples
    --------
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-01-06"]})
    >>> seen = seen.with_columns(status=pl.Series(["unrecorded", "occurred"]))
    >>> unmarked(seen, as_of="2026-01-07").select("age", "unmarked", "visits").rows()
    [('0-2 days', 1, 2)]
    """
    age = day_number(as_of) - nw.col("day")
    rank = nw.lit(0)
    for edge in AGES:
        rank = rank + nw.when(age > edge).then(nw.lit(1)).otherwise(nw.lit(0))
    rows = between(begun(visits, as_of, "status", "provider_id"), since, as_of)
    kinds = rows.with_columns(rank=rank, is_unmarked=nw.col("status") == "unrecorded")
    counts = [nw.len().alias("visits"), nw.col("day").min().alias("oldest")]
    ages, is_unmarked = [*AGES.values(), OLDER], pl.col("is_unmarked")
    low, high = wilson("unmarked", "visits")
    return (
        reduced(kinds.group_by("provider_id", "rank", "is_unmarked").agg(*counts))
        .group_by("provider_id", "rank")
        .agg(
            pl.col("visits").filter(is_unmarked).sum().alias("unmarked"),
            pl.col("oldest").filter(is_unmarked).min(),
            pl.col("visits").sum(),
        )
        .filter(pl.col("unmarked") > 0)
        .sort("provider_id", "rank", nulls_last=True)
        .select(
            "provider_id",
            pl.col("rank").replace_strict(range(len(ages)), ages, return_dtype=pl.String).alias("age"),
            "unmarked",
            (pl.lit(EPOCH) + pl.duration(days="oldest")).alias("oldest"),
            "visits",
            share=pl.col("unmarked") / pl.col("visits"),
            low=low,
            high=high,
            few=pl.col("visits") < FEW,
        )
    )
