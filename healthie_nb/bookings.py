"""What is on the books: the coming weeks beside earlier ones at the same point, and who left with a next visit."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final

import narwhals as nw
import polars as pl

from healthie_nb.engines import reduced
from healthie_nb.newcomers import CALLED_OFF, EPOCH, Every, clinical, day_number, is_over, offset
from healthie_nb.slices import By, columns_of
from healthie_nb.stats import FEW, clustered, wilson
from healthie_nb.visits import MetricError

SLICES: Final = ("provider", "type", "role", "modality")
WEEK: Final = 7


def booked(visits: Any, *, as_of: str | date, weeks: int = 4, earlier: int = 8, by: Sequence[By] = ()) -> pl.DataFrame:
    """Clinical visits on the books for the coming weeks, beside earlier weeks at the same point before them.

    The first coming week is the seven days after `as_of`. A visit was on the books at the end of a day if it was booked
    by then and not yet cancelled or rescheduled; Healthie keeps the last change of a status only, and a moved visit
    counts at its new date since it was first booked. The same point of an earlier week is as many whole weeks back.

    Rows
    ----
    One per slice and coming week, in order.

    Columns
    -------
    per `by` provider_id, appointment_type_id, role, modality String; ahead Int64, 1 for the first coming week;
    week_from, week_to Date, both counted; booked Int64; usual Float64, median of the earlier weeks at the same point;
    lowest, highest Int64, their range; earlier Int64, how many they are; usual_final Float64, median of what stood in
    the end in those that are over.

    Raises
    ------
    MetricError for an option that is not allowed, `as_of` before the first visit, or a missing column.

    Source
    ------
    queries/appointments.graphql through `visits`, loaded as far ahead as asked for; booking_curve.

    Examples
    --------
    >>> from healthie_nb.visits import example
    >>> made = pl.lit("2026-01-01").str.to_date().cast(pl.Int32)
    >>> seen = example({"ada": ["2026-01-05", "2026-01-12"], "bob": ["2026-01-13"]}).with_columns(booked_day=made)
    >>> booked(seen, as_of="2026-01-11", weeks=1).select("booked", "usual", "earlier", "usual_final").rows()
    [(2, 1.0, 1, 1.0)]
    """
    curve, columns = booking_curve(visits, as_of=as_of, weeks=weeks, earlier=earlier, by=by), columns_of(by, SLICES)
    then = pl.col("booked").filter(pl.col("back") > 0)
    now = (pl.col(name).filter(pl.col("back") == 0).first() for name in ("week_from", "week_to", "booked"))
    return (
        curve.group_by(*columns, "ahead")
        .agg(
            *now,
            then.median().alias("usual"),
            then.min().alias("lowest"),
            then.max().alias("highest"),
            then.len().cast(pl.Int64).alias("earlier"),
            pl.col("final").filter(pl.col("back") > 0).median().alias("usual_final"),
        )
        .sort(*columns, "ahead", nulls_last=True)
    )


def booking_curve(
    visits: Any, *, as_of: str | date, weeks: int = 4, earlier: int = 8, by: Sequence[By] = ()
) -> pl.DataFrame:
    """How the books of each week filled up, week by week before it: the same as `booked`, one row per earlier week.

    Rows
    ----
    One per slice, coming week and whole weeks back, in order; earlier weeks only from the first visit on.

    Columns
    -------
    per `by` as `booked`; ahead Int64; back Int64, 0 for now, else weeks back; seen_on Date, at whose end the books are
    read; week_from, week_to Date; booked Int64; final Int64, what stood in the end, null unless over at `as_of`.

    Raises
    ------
    MetricError as `booked`.

    Source
    ------
    As `booked`.

    Examples
    --------
    >>> from healthie_nb.visits import example
    >>> made = pl.lit("2026-01-01").str.to_date().cast(pl.Int32)
    >>> seen = example({"ada": ["2026-01-05", "2026-01-12"], "bob": ["2026-01-13"]}).with_columns(booked_day=made)
    >>> booking_curve(seen, as_of="2026-01-11", weeks=1).select("back", "seen_on", "booked", "final").rows()
    [(0, datetime.date(2026, 1, 11), 2, None), (1, datetime.date(2026, 1, 4), 1, 1)]
    """
    if weeks < 1 or earlier < 1:
        raise MetricError(f"weeks is {weeks} and earlier is {earlier}: give how many, at least 1 each.")
    columns, until = columns_of(by, SLICES), day_number(as_of)
    rows = clinical(visits, as_of, "booked_day", "changed_day", *columns)
    near = rows.filter(nw.col("day") > until - WEEK * earlier, nw.col("day") <= until + WEEK * weeks)
    kinds = _stood(near, columns, until, earlier)
    # Any older visit will do: the first one would take a look at all of them.
    older = reduced(rows.filter(nw.col("day") <= until - WEEK * earlier).select(first="day").head(1))
    first = pl.concat([older, kinds.select("first")]).to_series().min()
    cells = pl.DataFrame({"ahead": range(1, weeks + 1)}).join(pl.DataFrame({"back": range(earlier + 1)}), how="cross")
    slices = kinds.select(columns).unique() if columns else pl.DataFrame({"one": [0]})
    ahead, seen_on = pl.col("ahead"), until - WEEK * pl.col("back")
    began = seen_on + WEEK * (ahead - 1) + 1
    is_on = (pl.col("back") < pl.col("made")) & (~pl.col("is_off") | (pl.col("back") >= pl.col("gone")))
    stood = (
        cells.with_columns(week=ahead - 1 - pl.col("back"))
        .join(kinds, on="week")
        .group_by(*columns, "ahead", "back")
        .agg(
            booked=pl.col("visits").filter(is_on).sum(),
            final=pl.col("visits").filter(~pl.col("is_off")).sum(),
        )
    )
    return (
        slices.join(cells.filter((pl.col("back") == 0) | (began >= pl.lit(first))), how="cross")
        .join(stood, on=[*columns, "ahead", "back"], how="left", nulls_equal=True)
        .with_columns(pl.col("booked", "final").fill_null(0))
        .with_columns(
            seen_on=pl.lit(EPOCH) + pl.duration(days=seen_on),
            week_from=pl.lit(EPOCH) + pl.duration(days=began),
            week_to=pl.lit(EPOCH) + pl.duration(days=began + WEEK - 1),
            final=pl.when(began + WEEK - 1 <= until).then("final"),
        )
        .select(*columns, "ahead", "back", "seen_on", "week_from", "week_to", "booked", "final")
        .sort(*columns, "ahead", "back", nulls_last=True)
    )


def _stood(near: nw.LazyFrame[Any], columns: list[str], until: int, earlier: int) -> pl.DataFrame:
    """Count visits by week, and by when they were on the books. The big step of `booking_curve`.

    Columns: the slices; week, whole weeks after the first coming one; is_off, it was called off; made, at how many of
    the evenings now, one, two, ... weeks back it had been booked, which are the first so many; gone, from which of them
    back it was not yet called off, so that all where it is not known are before it; visits; first, day of the earliest.
    """
    week = (nw.col("day") - until + WEEK * earlier - 1) // WEEK - earlier
    # Called off at a time not known: as if it never stood.
    kinds = near.with_columns(
        week=week,
        is_off=nw.col("status").is_in(CALLED_OFF),
        made=_evenings("booked_day", until, earlier),
        gone=_evenings("changed_day", until, earlier),
    )
    keys = [*columns, "week", "is_off", "made", "gone"]
    return reduced(kinds.group_by(keys).agg(nw.len().alias("visits"), nw.col("day").min().alias("first")))


def _evenings(day: str, until: int, earlier: int) -> nw.Expr:
    """At how many of the evenings now, one, two, ... weeks back a day was over; at all where it is not known."""
    all_of_them, since = nw.lit(earlier + 1), nw.col(day)
    some = nw.when(since > until).then(nw.lit(0)).otherwise((until - since) // WEEK + 1)
    is_before_all = since.is_null() | (since <= until - WEEK * earlier)
    return nw.when(is_before_all).then(all_of_them).otherwise(some)


def rebooked(
    visits: Any,
    *,
    as_of: str | date,
    every: Every = "month",
    within_days: int = 7,
    by: Sequence[By] = (),
) -> pl.DataFrame:
    """Share of occurred clinical visits after which the client soon had a next one on the books.

    Rebooked: `within_days` times 24 hours after the start, a clinical visit on a later day stood on the books, booked
    by then and not yet called off, or had taken place. Visits that are not so far back are left out.

    Rows
    ----
    One per period and slice with such a visit, in order.

    Columns
    -------
    period Date, its first day; per `by` provider_id, appointment_type_id, role, modality String, of the visit; clients,
    visits, rebooked Int64; rate Float64 rebooked / visits; low, high Float64, Wilson 95 %; robust_low, robust_high
    Float64, cluster-robust by client; is_open Boolean, not all of the period is so far back; few Boolean, under 30
    visits.

    Raises
    ------
    MetricError for an option that is not allowed, `as_of` before the first visit, or a missing column.

    Source
    ------
    queries/appointments.graphql through `visits`; the idea is Juvonno's rebook rate.

    Examples
    --------
    >>> from healthie_nb.visits import example
    >>> made = pl.lit("2026-01-01").str.to_datetime(time_unit="us", time_zone="UTC")
    >>> seen = example({"ada": ["2026-01-05", "2026-02-02"], "bob": ["2026-01-06"]}).with_columns(booked_at=made)
    >>> rebooked(seen, as_of="2026-01-31").select("period", "visits", "rebooked", "rate").rows()
    [(datetime.date(2026, 1, 1), 2, 1, 0.5)]
    """
    offset(every)
    if within_days < 1:
        raise MetricError(f"within_days is {within_days}: give a number of days, at least 1.")
    columns, last = columns_of(by, SLICES), day_number(as_of) - within_days
    visit, slices = ["client_id", "appointment_id"], ["period", *columns]
    rows = clinical(visits, as_of, "booked_at", "status_changed_at", every, *columns)
    seen = rows.filter(nw.col("status") == "occurred", nw.col("day") <= last)
    due = seen.select(*visit, "day", cutoff=nw.col("starts_at").dt.offset_by(f"{24 * within_days}h"))
    books = rows.select(
        "client_id", "booked_at", "status_changed_at", is_off=nw.col("status").is_in(CALLED_OFF), next_day=nw.col("day")
    )
    is_made = nw.col("booked_at").is_null() | (nw.col("booked_at") < nw.col("cutoff"))
    stands = ~nw.col("is_off") | (nw.col("status_changed_at") >= nw.col("cutoff"))
    then = due.join(books, on="client_id").filter(nw.col("next_day") > nw.col("day"), is_made, stands)
    has_next = then.select(*visit).unique().with_columns(has_next=nw.lit(1))
    counts = [nw.len().alias("visits"), nw.col("has_next").sum().cast(nw.Int64).alias("rebooked")]
    judged = seen.select(*visit, every, *columns).join(has_next, on=visit, how="left")
    per_client = reduced(judged.group_by("client_id", every, *columns).agg(*counts)).rename({every: "period"})
    low, high = wilson("rebooked", "visits")
    return (
        clustered(
            per_client.with_columns(pl.col("rebooked").fill_null(0)),
            by=slices,
            hits="rebooked",
            of="visits",
        )
        .rename({"low": "robust_low", "high": "robust_high"})
        .with_columns(low=low, high=high, few=pl.col("visits") < FEW)
        .with_columns(is_open=~is_over("period", every, EPOCH + timedelta(days=last)))
        .select(
            *(*slices, "clients", "visits", "rebooked", "rate", "low", "high", "robust_low", "robust_high"),
            *("is_open", "few"),
        )
        .sort(*slices, nulls_last=True)
    )
