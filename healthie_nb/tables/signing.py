"""Tables of chart notes: signed in time, and still open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from healthie_nb.chart_notes import AGES, OLD, YOUNG
from healthie_nb.tables.slicing import open_rows, series_of
from healthie_nb.tables.table import Table
from healthie_nb.visits import MetricError
from healthie_nb.wording import day, named, number, period, rated, remarks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from healthie_nb.newcomers import Every

OPEN_NOTES: Final = "Visits without a signed chart note, by age"
STILL: Final = "Hatched: the youngest may still be signed in time"
NOTE_AGES: Final = (YOUNG, *AGES.values(), OLD)


def notes(
    table: pl.DataFrame, *, synthetic: bool, within_hours: int = 72, names: Mapping[str, str] | None = None
) -> Table:
    """Chart notes signed in time as a table: what `charts.notes` draws.

    Rows
    ----
    One per value of the slice.

    Columns
    -------
    of, the value; took place; due, whose time is over; of these signed in time, signed later, not signed, no note;
    share signed in time with its 95 % interval.

    Raises
    ------
    MetricError for notes by period.

    Source
    ------
    `forms.notes`.

    Examples
    --------
    >>> from healthie_nb import forms
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-01-12"]})
    >>> signed = [{"appointment_id": "0", "signings": [{"signed_at": seen["starts_at"][0]}], "filled_at": None}]
    >>> table = forms.notes(seen, pl.DataFrame(signed), as_of="2026-01-31")
    >>> notes(table, synthetic=True)
    Share of visits with a chart note signed within 72 hours
    Demo practice: synthetic data
    * under 30 due
    of    took place  due  in time  later  not signed  no note  share in time
    none           2    2        1      0           0        1    50%* [9-91]
    """
    rows = undated(table).select(series_of(table, names).alias("of"), *_note_columns())
    return Table("notes", notes_title(within_hours), notes_remarks(table, synthetic=synthetic), rows)


def notes_over_time(table: pl.DataFrame, *, every: Every, synthetic: bool, within_hours: int = 72) -> Table:
    """Chart notes signed in time, period by period, as a table: what `charts.notes_over_time` draws.

    Rows
    ----
    One per period.

    Columns
    -------
    period, then as `notes`.

    Raises
    ------
    MetricError for notes of several slices, or without periods.

    Source
    ------
    `forms.notes` with `every`, and `by=[]`.

    Examples
    --------
    >>> from healthie_nb import forms
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-01-12"]})
    >>> signed = [{"appointment_id": "0", "signings": [{"signed_at": seen["starts_at"][0]}], "filled_at": None}]
    >>> table = forms.notes(seen, pl.DataFrame(signed), as_of="2026-01-31", every="month", by=[])
    >>> notes_over_time(table, every="month", synthetic=True)
    Share of visits with a chart note signed within 72 hours
    Demo practice: synthetic data
    Hatched or hollow: not over yet, and still changing
    * under 30 due
    period    took place  due  in time  later  not signed  no note  share in time
    Jan 2026           2    2        1      0           0        1    50%* [9-91]
    """
    rows = dated(table).select(period("period", every), *_note_columns())
    notes_ = notes_remarks(table, synthetic=synthetic)
    return Table("notes-over-time", notes_title(within_hours), notes_, rows, open_rows(table, rows.columns))


def open_notes(table: pl.DataFrame, *, synthetic: bool, names: Mapping[str, str] | None = None) -> Table:
    """Open chart notes as a table: what `charts.open_notes` draws.

    Rows
    ----
    One per provider, most open notes first.

    Columns
    -------
    provider; open notes by age of the visit; in all; of these without any note; oldest visit.

    Source
    ------
    `forms.open_notes`.

    Examples
    --------
    >>> from healthie_nb import forms
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-01-12"]})
    >>> signed = [{"appointment_id": "0", "signings": [{"signed_at": seen["starts_at"][0]}], "filled_at": None}]
    >>> table = forms.open_notes(seen, pl.DataFrame(signed), as_of="2026-01-31")
    >>> open_notes(table, synthetic=True)
    Visits without a signed chart note, by age
    Demo practice: synthetic data
    provider  8-30 days  in all  without any note  oldest visit
    none              1       1                 1   12 Jan 2026
    """
    filled = most_open(table)
    ages = filled["age"].unique(maintain_order=True).to_list()
    by_age = (pl.col("open").filter(pl.col("age") == age).sum().alias(age) for age in ages)
    rows = (
        filled.group_by(named("provider_id", names).alias("provider"), maintain_order=True)
        .agg(*by_age, pl.col("open").sum(), pl.col("missing").sum(), pl.col("oldest").min())
        .select(
            "provider",
            *(number(age) for age in ages),
            number("open").alias("in all"),
            number("missing").alias("without any note"),
            day("oldest").alias("oldest visit"),
        )
    )
    hatched = frozenset((i, 1) for i in range(rows.height if YOUNG in ages else 0))
    return Table("open-notes", OPEN_NOTES, open_remarks(table, synthetic=synthetic), rows, hatched)


def notes_title(within_hours: int) -> str:
    """Name the time."""
    return f"Share of visits with a chart note signed within {within_hours} hours"


def notes_remarks(table: pl.DataFrame, *, synthetic: bool) -> tuple[str, ...]:
    """Remarks, and how many visits are too recent to be counted."""
    recent = int((table["appointments"] - table["due"]).sum())
    young = (f"{recent:,} visits are left out: their time is not over yet",) if recent else ()
    return (*remarks(table, synthetic=synthetic, n="due"), *young)


def open_remarks(table: pl.DataFrame, *, synthetic: bool) -> tuple[str, ...]:
    """Remarks, and which notes may still be in time."""
    return (*remarks(table, synthetic=synthetic), *([STILL] if YOUNG in table["age"] else []))


def undated(table: pl.DataFrame) -> pl.DataFrame:
    """Refuse notes by period.

    Raises
    ------
    MetricError saying which chart and table shows them.
    """
    if "period" in table.columns:
        raise MetricError("these notes are by period: show them with notes_over_time.")
    return table


def dated(table: pl.DataFrame) -> pl.DataFrame:
    """Refuse notes without periods, or of several slices.

    Raises
    ------
    MetricError saying how to make them.
    """
    if "period" not in table.columns or table["period"].is_duplicated().any():
        raise MetricError("these notes are not one row per period: make them with forms.notes(..., every=..., by=[]).")
    return table


def counted(table: pl.DataFrame, names: Mapping[str, str] | None) -> pl.Expr:
    """Name of each row's slice, with the visits that are due."""
    return pl.format("{}  ·  n {}", series_of(table, names), number("due"))


def most_open(table: pl.DataFrame) -> pl.DataFrame:
    """Open notes, a row for every provider and every age that occurs: those of who has most of them first.

    Columns: as `forms.open_notes`, and n Int64, all that are open of the provider.
    """
    ages = pl.Enum([age for age in NOTE_AGES if age in table["age"]])
    return (
        table.select("provider_id")
        .unique()
        .join(pl.DataFrame({"age": ages.categories}), how="cross")
        .join(table, on=["provider_id", "age"], how="left", nulls_equal=True)
        .with_columns(pl.col("open", "missing").fill_null(0), pl.col("age").cast(ages))
        .with_columns(n=pl.col("open").sum().over("provider_id"))
        .sort("n", "provider_id", "age", descending=[True, False, False], nulls_last=True)
        .cast({"age": pl.String})
    )


def _note_columns() -> list[pl.Expr]:
    return [
        number("appointments").alias("took place"),
        number("due"),
        number("signed").alias("in time"),
        number("late").alias("later"),
        number("unsigned").alias("not signed"),
        number("missing").alias("no note"),
        rated().alias("share in time"),
    ]
