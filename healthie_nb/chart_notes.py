"""Chart notes of visits that took place: signed in time, still open, or overdue."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final

import narwhals as nw
import polars as pl

from healthie_nb.days import instant, night
from healthie_nb.engines import reduced
from healthie_nb.linked import CHART, linked
from healthie_nb.newcomers import EPOCH, Every, day_number, is_over, occurred, offset
from healthie_nb.slices import By, columns_of
from healthie_nb.stats import FEW, wilson
from healthie_nb.visits import MetricError, require

SLICES: Final = ("provider", "type", "role", "modality")
AGES: Final = {7: "4-7 days", 30: "8-30 days", 90: "31-90 days"}
YOUNG, OLD = "0-3 days", "over 90 days"


def notes(
    visits: Any,
    chart_notes: pl.DataFrame,
    *,
    as_of: str | date,
    within_hours: int = 72,
    every: Every | None = None,
    by: Sequence[By] = ("provider",),
) -> pl.DataFrame:
    """Share of clinical appointments that took place and had a signed chart note in time.

    In time: the first signature of a note tied to the appointment came at most `within_hours` after its end by the
    calendar, or before it. An appointment is due once that time is over at `as_of`, whose end is in the zone of the
    notes' instants, see `days.local`. A group session is due one note.

    The interval is Wilson's and not by client, for it is the provider who signs. Notes of one provider are alike: where
    rows are not split by provider, read it as the least that it may be.

    Rows
    ----
    One per period and slice with an appointment that took place, in order.

    Columns
    -------
    with `every`, period Date, its first day; per `by` provider_id, appointment_type_id, role, modality String;
    appointments Int64 that took place; due Int64, those whose time is over; signed Int64 of these in time; late Int64
    of these signed later, as known at `as_of`; unsigned Int64 of these with a note that nobody signed; missing Int64 of
    these without a note; rate Float64 signed / due, null when none is; low, high Float64, Wilson 95 %; with `every`,
    is_open Boolean, not all of the period is due; few Boolean, under 30 due.

    Raises
    ------
    MetricError for an option that is not allowed, `as_of` before the first visit, or a missing column.

    Source
    ------
    queries/appointments.graphql, group_attendance.graphql through `visits`; queries/chart_notes.graphql.

    Examples
    --------
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-01-12"]})
    >>> signed = [{"appointment_id": "0", "signings": [{"signed_at": seen["starts_at"][0]}], "filled_at": None}]
    >>> notes(seen, pl.DataFrame(signed), as_of="2026-01-31").select("due", "signed", "missing", "rate").row(0)
    (2, 1, 1, 0.5)
    """
    columns = columns_of(by, SLICES)
    slices = [*([] if every is None else [every]), *columns]
    if every is not None:
        offset(every)
    table = _timed(visits, chart_notes, as_of, within_hours, slices)
    is_due, signed_at = pl.col("is_due"), pl.col("signed_at")
    counted = {
        "appointments": pl.lit(value=True),
        "due": is_due,
        "signed": is_due & (signed_at <= pl.col("deadline")),
        "late": is_due & (signed_at > pl.col("deadline")),
        "unsigned": is_due & signed_at.is_null() & pl.col("has_note"),
        "missing": is_due & signed_at.is_null() & ~pl.col("has_note"),
    }
    counts = [pl.len().cast(pl.Int64).alias("appointments")]
    counts += [holds.sum().cast(pl.Int64).alias(name) for name, holds in counted.items() if name != "appointments"]
    low, high = wilson("signed", "due")
    tally = (table.group_by(slices).agg(*counts) if slices else table.select(*counts)).collect(engine="streaming")
    rated = tally.with_columns(
        rate=pl.when(pl.col("due") > 0).then(pl.col("signed") / pl.col("due")), low=low, high=high
    )
    if every is not None:
        settled = EPOCH + timedelta(days=day_number(as_of) - -(-within_hours // 24))
        rated = rated.with_columns(is_open=~is_over(every, every, settled)).rename({every: "period"})
        slices[0] = "period"
    rated = rated.with_columns(few=pl.col("due") < FEW)
    return rated.sort(slices, nulls_last=True) if slices else rated


def open_notes(visits: Any, chart_notes: pl.DataFrame, *, as_of: str | date) -> pl.DataFrame:
    """Clinical appointments that took place and have no signed chart note at `as_of`: whose they are, and how old.

    Rows
    ----
    One per provider and age, youngest first.

    Columns
    -------
    provider_id String; age String, of the appointment at `as_of`: 0-3 days, 4-7 days, 8-30 days, 31-90 days, over 90
    days; open Int64; missing Int64 of these without any note; oldest Date.

    Raises
    ------
    MetricError for `as_of` before the first visit, or a missing column.

    Source
    ------
    As `notes`.

    Examples
    --------
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-01-12"]})
    >>> signed = [{"appointment_id": "0", "signings": [{"signed_at": seen["starts_at"][0]}], "filled_at": None}]
    >>> open_notes(seen, pl.DataFrame(signed), as_of="2026-01-31").select("age", "open", "missing").rows()
    [('8-30 days', 1, 1)]
    """
    until = day_number(as_of)
    age = until - pl.col("day")
    label = pl.lit(YOUNG)
    for edge, name in zip((3, *AGES), (*AGES.values(), OLD), strict=True):
        label = pl.when(age > edge).then(pl.lit(name)).otherwise(label)
    return (
        _charted(visits, chart_notes, as_of, ["provider_id"])
        .filter(pl.col("signed_at").is_null())
        .group_by("provider_id", age=label)
        .agg(
            pl.len().cast(pl.Int64).alias("open"),
            pl.col("has_note").not_().sum().cast(pl.Int64).alias("missing"),
            (pl.lit(EPOCH) + pl.duration(days=pl.col("day").min())).alias("oldest"),
        )
        .sort("provider_id", "oldest", descending=[False, True], nulls_last=True)
        .collect(engine="streaming")
    )


def overdue_notes(
    visits: Any, chart_notes: pl.DataFrame, *, as_of: str | date, key: bytes, within_hours: int = 72, link: str = CHART
) -> pl.DataFrame:
    """Clinical appointments that took place and have no signed chart note though its time is over, oldest first.

    Those that `notes` counts as unsigned or missing, one by one; what was signed too late is not overdue any more. A
    group session is one row and names no client, for its note is of many.

    Rows
    ----
    One per appointment, by starts_at.

    Columns
    -------
    pseudonym, client_id String, null for a group session; is_group Boolean; appointment_id, provider_id String;
    starts_at Datetime UTC; date Date; days_over Int64, whole days of 24 hours from the end of the note's time to that
    of `as_of`; has_note Boolean, there is a note that nobody signed; link String, `link` with the client's id, null for
    a group session.

    Raises
    ------
    MetricError as `notes`, and for a link without {client_id}.

    Source
    ------
    As `notes`. It names clients by id: it is for the practice, not for publication.

    Examples
    --------
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-01-12"]})
    >>> signed = [{"appointment_id": "0", "signings": [{"signed_at": seen["starts_at"][0]}], "filled_at": None}]
    >>> listed = overdue_notes(seen, pl.DataFrame(signed), as_of="2026-01-31", key=b"kept with the store, never shown")
    >>> listed.select("client_id", "date", "days_over", "has_note").rows()
    [('ada', datetime.date(2026, 1, 12), 16, False)]
    """
    until = night(as_of, chart_notes["filled_at"])
    return (
        _timed(visits, chart_notes, as_of, within_hours, ["client_id", "is_group", "provider_id"])
        .filter("is_due", pl.col("signed_at").is_null())
        .select(
            *("client_id", "is_group", "appointment_id", "provider_id", "starts_at"),
            date=pl.lit(EPOCH) + pl.duration(days="day"),
            days_over=(until - pl.col("deadline")).dt.total_days(),
            has_note="has_note",
        )
        .sort("starts_at", "appointment_id")
        .collect(engine="streaming")
        .pipe(linked, key=key, link=link)
    )


def _timed(
    visits: Any, chart_notes: pl.DataFrame, as_of: str | date, within_hours: int, columns: Sequence[str]
) -> pl.LazyFrame:
    """Appointments as `_charted`, with the end of the time for each one's note, and whether that is over."""
    if within_hours < 1:
        raise MetricError(f"within_hours is {within_hours}: give a number of hours, at least 1.")
    deadline, until = pl.col("ends_at") + pl.duration(hours=within_hours), night(as_of, chart_notes["filled_at"])
    return _charted(visits, chart_notes, as_of, columns).with_columns(deadline=deadline, is_due=deadline <= until)


def _charted(visits: Any, chart_notes: pl.DataFrame, as_of: str | date, columns: Sequence[str]) -> pl.LazyFrame:
    """Each clinical appointment that took place, with the first signature of its notes as known at `as_of`."""
    require(chart_notes, ["appointment_id", "signings", "filled_at"], query="chart_notes")
    kept = ["appointment_id", "day", "starts_at", "minutes", *columns]
    wanted = [name for name in dict.fromkeys([*columns, "minutes", "is_group"]) if name != "role"]
    rows, is_group = occurred(visits, as_of, *wanted), nw.col("is_group")
    rows = rows.with_columns(client_id=nw.when(~is_group).then(nw.col("client_id")))  # a session is of many
    # Only a session has several rows: to tell all appointments apart takes longer than the rest.
    alone, sessions = (rows.filter(which).select(*dict.fromkeys(kept)) for which in (~is_group, is_group))
    took_place = pl.concat([reduced(alone), reduced(sessions.unique())]).lazy()
    end = night(as_of, chart_notes["filled_at"])
    is_known = pl.col("filled_at").is_null() | (instant("filled_at") < end)
    signed = (
        chart_notes.lazy()
        .filter(is_known, pl.col("appointment_id").is_not_null())
        .select(
            "appointment_id", signed_at=pl.col("signings").list.eval(pl.element().struct.field("signed_at")).list.min()
        )
        .with_columns(pl.when(instant("signed_at") < end).then(instant("signed_at")))
        .group_by("appointment_id")
        .agg(pl.col("signed_at").min(), has_note=pl.lit(value=True))
    )
    minutes = pl.duration(minutes=pl.col("minutes").fill_null(0))
    return took_place.join(signed, on="appointment_id", how="left").with_columns(
        pl.col("has_note").fill_null(value=False), ends_at=pl.col("starts_at") + minutes
    )
