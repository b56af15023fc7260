"""Views of how full the calendar is: counts, clients under care, and what is booked."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from healthie_nb import volume as metrics
from healthie_nb.charts.volume import counts_series
from healthie_nb.explore import choosing
from healthie_nb.explore.calendar import Calendar, last_day, named_by, split_of
from healthie_nb.slices import COLUMNS
from healthie_nb.tables.slicing import series_of
from healthie_nb.tables.volume import week
from healthie_nb.wording import period

if TYPE_CHECKING:
    from collections.abc import Mapping

    from healthie_nb.live import Answer

UNSPLIT: Final = "status"  # what counts are by when they are not compared by anything else


def counts(source: Calendar, view: Mapping[str, Any], *, per_working_day: bool = False) -> Answer:
    """Columns of what was on the calendar."""
    last = last_day(view)
    asked = {"every": view["every"], "by": split_of(view) or [UNSPLIT], "unit": view["unit"]}
    columns = [COLUMNS[name] for name in asked["by"]]
    counted = source.tally(view, columns)
    known = {"as_of": view["as_of"], "every": view["every"], "unit": view["unit"], "days_off": source.days_off}
    rows = metrics.beside(counted, columns=columns, **known)
    rows = rows.filter(pl.col("period").is_between(view["start"], last))
    compared = {"per_working_day": True} if per_working_day else {"compare_to": view["compare_to"]}
    asked["days_off"] = choosing.Name("days_off") if source.days_off else None
    code = source.lines(view, "counts", as_of=view["as_of"], **asked)
    return source.answer(
        source.remaining(view, view["start"], last),
        "counts",
        rows,
        code=[*code, choosing.days_line("period", view["start"], last)],
        options={"every": view["every"], **compared},
        picks={
            "period": period("period", view["every"]),
            "series": counts_series(rows, source.names.get(named_by(rows))),
        },
    )


def panel(source: Calendar, view: Mapping[str, Any]) -> Answer:
    """Lines of clients under care."""
    last, by = last_day(view), split_of(view)
    asked = {"every": view["every"], "by": by}
    rows = metrics.panel(source.chosen(view), as_of=view["as_of"], **asked)
    rows = rows.filter(pl.col("period").is_between(view["start"], last))
    return source.answer(
        source.remaining(view, view["start"], last),
        "panel",
        rows,
        code=[
            *source.lines(view, "panel", as_of=view["as_of"], **asked),
            choosing.days_line("period", view["start"], last),
        ],
        options={"every": view["every"]},
        picks={"period": period("period", view["every"])} | series(source, rows, by),
    )


def booked(source: Calendar, view: Mapping[str, Any]) -> Answer:
    """Bars of what is booked for the coming weeks."""
    return _ahead(source, view, "booked", {"row": week()})


def booking_curve(source: Calendar, view: Mapping[str, Any]) -> Answer:
    """Lines of how full the books were."""
    return _ahead(source, view, "booking_curve", {"period": week()})


def series(source: Calendar, rows: pl.DataFrame, by: list[str]) -> dict[str, pl.Expr]:
    """How a chart calls the values of a split, if there is one."""
    return {"series": series_of(rows, source.names.get(named_by(rows)))} if by else {}


def _ahead(source: Calendar, view: Mapping[str, Any], metric: str, picks: Mapping[str, pl.Expr]) -> Answer:
    visits, weeks, as_of = source.chosen(view), view["weeks_ahead"], view["as_of"]
    is_anybody = visits.select(pl.len() > 0).collect().item()
    rows = getattr(metrics, metric)(visits, as_of=as_of, weeks=weeks) if is_anybody else pl.DataFrame()
    return source.answer(
        source.remaining(view, as_of + timedelta(days=1), as_of + timedelta(weeks=weeks)),
        metric,
        rows,
        code=source.lines(view, metric, as_of=as_of, weeks=weeks),
        picks=picks,
        more=" Visits of the roles intake, follow-up and group.",
    )
