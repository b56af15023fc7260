"""Charts of chart notes: signed in time, and still open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from healthie_nb import wording
from healthie_nb.chart_notes import YOUNG
from healthie_nb.charts import data, marks
from healthie_nb.tables import signing as tables
from healthie_nb.targets import holding

if TYPE_CHECKING:
    from collections.abc import Mapping

    import altair as alt

    from healthie_nb.newcomers import Every

METRIC = "notes signed"  # of targets.csv


def notes_parts(
    table: pl.DataFrame,
    *,
    synthetic: bool,
    within_hours: int = 72,
    names: Mapping[str, str] | None = None,
    targets: pl.DataFrame | None = None,
) -> dict[str, Any]:
    """Share of visits whose chart note was signed in time, slice by slice, with its interval.

    Parameters
    ----------
    table
        Rows of `forms.notes`, without `every`.
    synthetic
        `practice.is_synthetic`: whether the chart has to say that its data is made up.
    within_hours
        As the table was made.
    names
        Names of the slice's ids.
    targets
        As `roles.read` gives them; the latest of the metric "notes signed".

    Raises
    ------
    MetricError for notes by period.

    Examples
    --------
    >>> from healthie_nb import forms
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-01-12"]})
    >>> signed = [{"appointment_id": "0", "signings": [{"signed_at": seen["starts_at"][0]}], "filled_at": None}]
    >>> table = forms.notes(seen, pl.DataFrame(signed), as_of="2026-01-31")
    >>> notes(table, synthetic=True).to_dict()["description"]
    'Dots with intervals. none  ·  n 2: 50%*.'
    """
    rows = tables.undated(table).select(
        *data.rated("signed", "due"),
        row=tables.counted(table, names),
        series=pl.lit(wording.ALL),
        state=pl.format("{} later, {} not signed, {} no note", "late", "unsigned", "missing"),
    )
    said = "; ".join(f"{row}: {text}" for row, text in rows.select("row", pl.col("text").fill_null("none")).rows())
    title, notes_ = tables.notes_title(within_hours), tables.notes_remarks(table, synthetic=synthetic)
    lines = _latest(targets)
    said = f"Dots with intervals. {said or 'No visits'}."
    return data.parts(title, notes_, said, rows=data.placed(rows), targets=lines)


def notes_over_time_parts(
    table: pl.DataFrame,
    *,
    every: Every,
    synthetic: bool,
    within_hours: int = 72,
    targets: pl.DataFrame | None = None,
    annotations: pl.DataFrame | None = None,
) -> dict[str, Any]:
    """Trend of the share of visits whose chart note was signed in time, with its interval.

    Parameters
    ----------
    table
        Rows of `forms.notes` with `every`, and `by=[]`.
    every
        The period, as it was made.
    synthetic
        `practice.is_synthetic`.
    within_hours
        As the table was made.
    targets, annotations
        As `roles.read` gives them; targets of the metric "notes signed".

    Raises
    ------
    MetricError for notes of several slices, or without periods.

    Examples
    --------
    >>> from healthie_nb import forms
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-01-12"]})
    >>> signed = [{"appointment_id": "0", "signings": [{"signed_at": seen["starts_at"][0]}], "filled_at": None}]
    >>> table = forms.notes(seen, pl.DataFrame(signed), as_of="2026-01-31", every="month", by=[])
    >>> chart = notes_over_time(table, every="month", synthetic=True)
    >>> print(chart.to_dict()["description"])  # doctest: +NORMALIZE_WHITESPACE
    Lines of the share of visits with a note signed in time over 1 period, Jan 2026 to Jan 2026: between 50% and
    50%; last closed 50%* of 2 (all).
    """
    due = tables.dated(table).filter(pl.col("due") > 0)
    rows = due.select(*data.period("period", every), pl.lit(wording.ALL).alias("series"), *data.rated("signed", "due"))
    marked = data.marked(rows, METRIC, targets, annotations)
    said = data.trend_said("share of visits with a note signed in time", rows)
    title, notes_ = tables.notes_title(within_hours), tables.notes_remarks(table, synthetic=synthetic)
    return data.parts(title, notes_, said, rows=rows, **marked)


def open_notes_parts(table: pl.DataFrame, *, synthetic: bool, names: Mapping[str, str] | None = None) -> dict[str, Any]:
    """How many visits of each provider have no signed chart note, by the age of the visit.

    Parameters
    ----------
    table
        Rows of `forms.open_notes`.
    synthetic
        `practice.is_synthetic`.
    names
        Names of the providers' ids.

    Examples
    --------
    >>> from healthie_nb import forms
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-01-12"]})
    >>> signed = [{"appointment_id": "0", "signings": [{"signed_at": seen["starts_at"][0]}], "filled_at": None}]
    >>> table = forms.open_notes(seen, pl.DataFrame(signed), as_of="2026-01-31")
    >>> open_notes(table, synthetic=True).to_dict()["description"]
    'Bars of 1 visit without a signed note, 1 of them older than three days. none: 1.'
    """
    rows = tables.most_open(table).select(
        wording.named("provider_id", names).alias("row"),
        pl.col("age").alias("series"),
        rank=pl.col("age").cast(pl.Enum(tables.NOTE_AGES)).to_physical(),
        count=pl.col("open"),
        missing=pl.col("missing"),
        oldest=wording.day("oldest"),
        n=pl.col("n"),
        is_open=pl.col("age") == YOUNG,
    )
    ends = rows.group_by("row", maintain_order=True).agg(pl.col("n").first().alias("total"))
    ends = ends.with_columns(text=wording.number("total"))
    total, old = rows["count"].sum(), rows.filter(pl.col("series") != YOUNG)["count"].sum()
    told = "; ".join(f"{row}: {text}" for row, _, text in ends.rows())
    visits = wording.several(int(total), "visit")
    said = f"Bars of {visits} without a signed note, {old:,} of them older than three days. {told}."
    return data.parts(tables.OPEN_NOTES, tables.open_remarks(table, synthetic=synthetic), said, rows=rows, ends=ends)


def _latest(targets: pl.DataFrame | None) -> pl.DataFrame:
    """Keep the target that holds in the end."""
    target = holding(targets, METRIC)
    return data.NO_LINES if target is None else pl.DataFrame({"target": [target], "text": [f"target {target:.0%}"]})


def _open_notes() -> alt.LayerChart:
    told = {"count:Q": "Open notes", "missing:Q": "of these without any note", "oldest:N": "Oldest visit"}
    fields = {**told, "n:Q": "n, all open of this provider"}
    return marks.bars("visits without a signed note", fields, settling=True)


notes = marks.drawn(lambda: marks.dots("signed in time"), notes_parts)
notes_over_time = marks.drawn(lambda: marks.trend("signed in time"), notes_over_time_parts)
open_notes = marks.drawn(_open_notes, open_notes_parts)
