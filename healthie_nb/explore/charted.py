"""Views of chart notes: signed in time, week by week, still open, and overdue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from healthie_nb import chart_notes as metrics
from healthie_nb.explore import choosing
from healthie_nb.explore.choosing import Name
from healthie_nb.explore.paperwork import MOST, held_line
from healthie_nb.tables import signing
from healthie_nb.tables.slicing import slices_of
from healthie_nb.wording import named, period

if TYPE_CHECKING:
    from collections.abc import Mapping

    from healthie_nb.explore.paperwork import Paperwork
    from healthie_nb.live import Answer

NONE = "No visit took place on these days"


def notes(source: Paperwork, view: Mapping[str, Any]) -> Answer:
    """Share of visits whose note was signed in time, by a split or of all together."""
    by = [view["split"]] if view["split"] else []
    rows, asked = _notes(source, view, by=by)
    if not rows["appointments"].sum():
        return source.nothing(NONE, view)
    column = next(iter(slices_of(rows)), "")
    names = source.names[column] if column.endswith("_id") else None
    return source.answer(
        _told(source, view, rows),
        "notes",
        rows,
        code=[held_line(view), asked],
        named=column if names else "",
        options={"within_hours": view["within_hours"]},
        picks={"row": signing.counted(rows, names)},
    )


def notes_by_week(source: Paperwork, view: Mapping[str, Any]) -> Answer:
    """Trend of the share of visits whose note was signed in time."""
    rows, asked = _notes(source, view, every="week", by=[])
    if rows.is_empty():
        return source.nothing(NONE, view)
    return source.answer(
        _told(source, view, rows),
        "notes_over_time",
        rows,
        code=[held_line(view), asked],
        options={"every": "week", "within_hours": view["within_hours"]},
        picks={"period": period("period", "week")},
    )


def open_notes(source: Paperwork, view: Mapping[str, Any]) -> Answer:
    """Visits without a signed note, by provider and age."""
    as_of = view["as_of"]
    rows = metrics.open_notes(source.held(view), source.rows["chart_notes"], as_of=as_of)
    if rows.is_empty():
        return source.nothing(f"No visit of these days lacks a signed note on {as_of}", view)
    among = choosing.said(view, source.names)
    return source.answer(
        f"{rows['open'].sum():,} visits{among} have no signed note, {rows['missing'].sum():,} of them no note at all; "
        f"providers: {rows['provider_id'].n_unique()}.",
        "open_notes",
        rows,
        code=[
            held_line(view),
            choosing.call("rows = hn.forms.open_notes", "visits", "chart_notes", as_of=as_of.isoformat()),
        ],
        named="provider_id",
        picks={"row": named("provider_id", source.names["provider_id"]), "series": pl.col("age")},
    )


def overdue_notes(source: Paperwork, view: Mapping[str, Any]) -> Answer:
    """Visits without a signed note whose time is over, one by one."""
    as_of, hours = view["as_of"], view["within_hours"]
    given = (source.held(view), source.rows["chart_notes"])
    rows = metrics.overdue_notes(*given, as_of=as_of, within_hours=hours, key=source.practice.pseudonym_key)
    if rows.is_empty():
        return source.nothing(f"No note of these days is overdue by {hours} hours on {as_of}", view)
    told = {"as_of": as_of.isoformat(), "key": Name("practice.pseudonym_key"), "within_hours": hours}
    return source.answer(
        f"{rows.height:,} visits{choosing.said(view, source.names)} have no signed note after {hours} hours, "
        f"{rows['has_note'].not_().sum():,} of them no note at all; providers: {rows['provider_id'].n_unique()}.",
        "overdue_notes",
        rows,
        code=[held_line(view), choosing.call("rows = hn.forms.overdue_notes", "visits", "chart_notes", **told)],
        named="provider_id",
        options={"within_hours": hours, "most": MOST},
    )


def _notes(source: Paperwork, view: Mapping[str, Any], **how: Any) -> tuple[pl.DataFrame, str]:
    """Rows of `forms.notes`, and the line that gives them."""
    hours, as_of = view["within_hours"], view["as_of"]
    rows = metrics.notes(source.held(view), source.rows["chart_notes"], as_of=as_of, within_hours=hours, **how)
    told = {**how, "by": how["by"] or Name("[]")}  # without it, notes are by provider
    line = choosing.call(
        "rows = hn.forms.notes", "visits", "chart_notes", as_of=as_of.isoformat(), within_hours=hours, **told
    )
    return rows, line


def _told(source: Paperwork, view: Mapping[str, Any], rows: pl.DataFrame) -> str:
    among = choosing.said(view, source.names)
    counts = rows.select(pl.col("appointments", "due", "signed").sum()).row(0)
    return "{:,} visits took place{}; {:,} are due a note, {:,} were signed in time. Rows: {}.".format(
        counts[0], among, *counts[1:], rows.height
    )
