"""What is selected of an explorer's chart: by clicks in it, and by keys in a list of what its marks stand for.

A canvas or a drawing has nothing that the keyboard reaches. Both ways set the same selection. Wraps Altair's
JupyterChart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import altair as alt
import polars as pl

from healthie_nb.controls import Several

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PICKED: Final = "picked"  # what is selected in a chart
NAMED: Final = 4  # of what is selected, in words
_BETWEEN: Final = " · "
_BESIDE: Final = ("hconcat", "vconcat", "concat")
_PARTS: Final = ("layer", *_BESIDE)
_MARKS: Final = ("rect", "bar", "circle", "point", "area", "line")  # the first of these in a chart is selected by


class Selection:
    """What is selected of a chart's rows; nothing selected means all of them.

    `list` has an entry per mark: `list.value` is what is selected, and setting it is the same as a click.
    """

    def __init__(self, chart: alt.JupyterChart, draw: Callable[[], None], show: Callable[[], None]) -> None:
        self.list = Several("Selected", {}, width="20em")
        self._chart, self._draw, self._show = chart, draw, show
        self._marks = pl.DataFrame()
        self._drawn: list[tuple[str, ...]] = []  # what was drawn since the last click, and the chart has not told yet
        self._is_offering = self._is_clicked = False
        chart.selections.observe(self._clicked, PICKED)
        self.list.observe(self._listed, "value")

    def offer(
        self, rows: pl.DataFrame, picks: Mapping[str, pl.Expr], drawn: Mapping[str, list[dict[str, Any]]]
    ) -> None:
        """Offer what the marks of these rows stand for, in the order of the chart; nothing is selected of them yet.

        `picks` are the columns of the chart's rows that tell a mark from the others, and what they are in `rows`;
        `drawn` are the chart's data sets.
        """
        values = [made.cast(pl.String).alias(name) for name, made in picks.items()]
        mark = pl.concat_str(values or [pl.lit(None, pl.String)], separator=_BETWEEN)
        self._marks = rows.select(*values, mark.alias(PICKED))
        marks = dict(zip(self._marks[PICKED], self._marks.drop(PICKED).rows(), strict=True))
        places = _places(drawn, list(picks))
        found = {mark: [place.get(one) for place, one in zip(places, marks[mark], strict=True)] for mark in marks}
        names = [mark for mark in found if None not in found[mark]] if picks else []
        self._is_offering = True
        self.list.offer({name: name for name in sorted(names, key=found.__getitem__)})
        self._is_offering = False
        self.list.layout.display = "" if len(names) > 1 else "none"

    def clear(self) -> None:
        """Select nothing, and search nothing."""
        self.list.search.value = ""
        self.list.value = ()

    def of(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Those of the rows offered that are selected."""
        return rows.filter(self._is_selected) if self.list.value else rows

    @property
    def said(self) -> str:
        """What is selected, in words."""
        more = len(self.list.value) - NAMED
        return "; ".join(self.list.value[:NAMED]) + (f" and {more:,} more" if more > 0 else "")

    def put(self, spec: dict[str, Any]) -> None:
        """Draw a specification, with what is selected selected in it."""
        values = self._marks.filter(self._is_selected).drop(PICKED).unique(maintain_order=True).to_dicts()
        drawn, before = with_selected(spec, values) if values else spec, self._chart.spec
        if drawn == before:  # A click is in no specification, and forgotten when the chart is drawn again.
            meta = drawn["usermeta"]
            drawn = {**drawn, "usermeta": {**meta, "again": not meta.get("again", False)}}
        self._drawn = [*(one for one in self._drawn if one != self.list.value), self.list.value]
        self._chart.spec = drawn

    @property
    def _is_selected(self) -> pl.Series:
        return self._marks[PICKED].is_in(list(self.list.value))

    def _clicked(self, _: object) -> None:
        """Select as in the chart; but what a chart says when it has just been drawn is what it was drawn with."""
        store = getattr(self._chart.selections, PICKED).store
        clicked = (_BETWEEN.join(map(str, one["values"])) for one in store)
        marks = tuple(mark for mark in clicked if mark in self.list.names)
        if marks in self._drawn:
            self._drawn = self._drawn[self._drawn.index(marks) + 1 :]
            return
        self._drawn, self._is_clicked = [], True
        self.list.value = marks
        self._is_clicked = False

    def _listed(self, _: object) -> None:
        if self._is_offering:
            return
        if not self._is_clicked:
            self._draw()
        self._show()


def selecting(spec: dict[str, Any], fields: list[str]) -> dict[str, Any]:
    """Specification in which a click selects by these fields, with Shift one more, and outlines what is selected.

    Charts beside each other select together.
    """
    views = [part for name in _BESIDE for part in spec.get(name, [])] or [spec]
    units = [min(_units(view), key=_place) for view in views]
    first = min(map(_place, units))
    select = {"type": "point", "fields": fields} if fields else {"type": "point", "on": "none"}
    for unit in units:
        if _place(unit) == first:
            unit["params"] = [*unit.get("params", []), {"name": PICKED, "select": select}]
            if _mark(unit) in ("rect", "bar") and fields and "stroke" not in unit.get("encoding", {}):
                unit["encoding"] = {**unit.get("encoding", {}), **_outline(unit)}
    return spec


def with_selected(spec: dict[str, Any], values: list[dict[str, str]]) -> dict[str, Any]:
    """Copy of a specification with these values of its fields selected."""
    params = [{**one, "value": values} if one["name"] == PICKED else one for one in spec.get("params", [])]
    parts: dict[str, Any] = {
        name: [with_selected(part, values) for part in spec[name]] for name in _PARTS if name in spec
    }
    return {**spec, **parts, **({"params": params} if params else {})}


def selectable() -> alt.Chart:
    """Stand-in from which JupyterChart learns that there is something to select, before the first view is drawn."""
    click = alt.selection_point(name=PICKED, fields=["x"])
    chart: alt.Chart = alt.Chart(alt.InlineData(values=[])).mark_point().add_params(click)
    return chart


def _places(drawn: Mapping[str, list[dict[str, Any]]], fields: list[str]) -> list[dict[str, int]]:
    """Place of each value of a field among those drawn, per field."""
    rows = next((rows for rows in drawn.values() if rows and {*fields} <= {*rows[0]}), [])
    return [{value: i for i, value in enumerate(dict.fromkeys(row[name] for row in rows))} for name in fields]


def _outline(unit: dict[str, Any]) -> dict[str, Any]:
    chosen = {"param": PICKED, "empty": False}
    stroke, width = (unit["mark"].get(name) for name in ("stroke", "strokeWidth"))
    return {
        "stroke": {"condition": {**chosen, "value": "currentColor"}, "value": stroke},
        "strokeWidth": {"condition": {**chosen, "value": 2}, "value": width or 0},
    }


def _units(spec: dict[str, Any]) -> list[dict[str, Any]]:
    if "mark" in spec:
        return [spec]
    return [unit for name in _PARTS for part in spec.get(name, []) for unit in _units(part)]


def _place(unit: dict[str, Any]) -> int:
    mark = _mark(unit)
    return _MARKS.index(mark) if mark in _MARKS else len(_MARKS)


def _mark(unit: dict[str, Any]) -> str:
    mark = unit["mark"]
    return str(mark["type"] if isinstance(mark, dict) else mark)
