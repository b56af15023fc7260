"""What charts are made of: marks that show how sure a number is, and say all of it when pointed at.

Each kind takes rows in one shape, named in its docstring and made in `data`, so that charts of a kind look and speak
alike. Data sets have fixed names: `rows`, `targets`, `annotations`. Colours are apart for every kind of colour vision,
and at least 3:1 against white paper and Jupyter's dark one; where lines meet, shapes tell them apart as well.
"""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

import altair as alt
import polars as pl

from healthie_nb import display
from healthie_nb.visits import MetricError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


P = ParamSpec("P")
Drawn = TypeVar("Drawn", alt.LayerChart, alt.HConcatChart)
WIDTH: Final = 600
HEIGHT: Final = 220
STEP: Final = 26  # height of a category
PALETTE: Final = ("#066fbb", "#df760d", "#948a6b", "#9a12fd", "#c01d1d", "#cb79a9")
MAIN: Final = PALETTE[0]
GREY: Final = "#8a8a8a"
GRID: Final = "#8883"
PERCENT: Final = alt.Axis(format=".0%", gridColor=GRID, tickCount=5)
COUNT: Final = alt.Axis(format=",d", gridColor=GRID, tickCount=5, tickMinStep=1)
# Vega-Lite has no patterns; a gradient with hard stops is one.
HATCH: Final[dict[str, Any]] = {
    "gradient": "linear", "x1": 0, "y1": 0, "x2": 1, "y2": 1,
    "stops": [{"offset": (i + end) / 16, "color": "#fff8" if i % 2 else "#fff0"} for i in range(16) for end in (0, 1)],
}  # fmt: skip
# Wherever it is shown or saved: no menu that posts the data to a website.
QUIET: Final = {"embedOptions": display.EMBED}
# As much of a date as is new: 5 Jan, Feb, 2026.
TIMES: Final = (
    "date(datum.value) > 1 ? timeFormat(datum.value, '%-d %b') : "
    "month(datum.value) ? timeFormat(datum.value, '%b') : timeFormat(datum.value, '%Y')"
)
# Ticks where periods begin, as tables name them: Vega's own weeks begin on Sundays. At most 14, each a whole number of
# periods apart; rows have at and until.
_AT: Final = "pluck(data('rows'), 'at')"
_FIRST: Final = f"toDate(extent({_AT})[0])"
_AFTER: Final = f"toDate(extent({_AT})[1]) + 1"
_SPAN: Final = "(toDate(data('rows')[0].until) - toDate(data('rows')[0].at)) / 864e5"
_DAYS: Final = f"({_AFTER} - {_FIRST}) / 864e5"
_WEEKS: Final = f"timeSequence('day', {_FIRST}, {_AFTER}, 7 * ceil(({_DAYS} + 1) / 98))"
_MONTHS: Final = f"timeSequence('month', {_FIRST}, {_AFTER}, {_SPAN} > 32 ? 3 : ceil(({_DAYS} + 1) / 428))"
BEGINNINGS: Final = f"length(data('rows')) ? {_SPAN} < 8 ? {_WEEKS} : {_MONTHS} : []"
SEVERAL: Final = "length(domain('color')) > 1"
SAID: Final = alt.condition("datum.text", alt.value(1), alt.value(0))
WILSON: Final = "95 % interval (Wilson)"
BY_CLIENT: Final = "95 % interval (Wilson, by client)"  # cluster-robust: visits of one client are alike
RATED: Final = {"text:N": "Rate", "interval:N": WILSON, "hits:Q": "of these", "n:Q": "n", "state:N": "State"}


def drawn(base: Callable[[], Drawn], of: Callable[P, dict[str, Any]]) -> Callable[P, Drawn]:
    """Chart of the same name and arguments as the parts that follow from its rows."""

    def chart(*args: P.args, **options: P.kwargs) -> Drawn:
        return base().properties(usermeta=QUIET, **told_of(of, *args, **options))

    chart.__name__ = chart.__qualname__ = of.__name__.removesuffix("_parts")
    chart.__doc__, chart.__module__ = of.__doc__, of.__module__
    chart.__signature__ = inspect.signature(of).replace(return_annotation="alt.LayerChart")  # type: ignore[attr-defined]
    return chart


def told_of(of: Callable[P, dict[str, Any]], *args: P.args, **options: P.kwargs) -> dict[str, Any]:
    """Parts of a chart from a metric's rows.

    Raises
    ------
    MetricError for rows that lack a column, naming the metric that gives it.
    """
    try:
        return of(*args, **options)
    except pl.exceptions.ColumnNotFoundError as missing:
        column = re.search(r'"(.+?)"', str(missing))
        source = re.search(r"Rows of `([a-z_.]+)`", of.__doc__ or "")
        raise MetricError(
            f"charts.{of.__name__.removesuffix('_parts')}: the table lacks {column[1] if column else 'a column'}; draw "
            f"the rows of {source[1] if source else 'the metric of that name'}, with every column."
        ) from missing


def told(fields: Mapping[str, str]) -> list[alt.Tooltip]:
    """List what a mark says when it is pointed at."""
    return [alt.Tooltip(field, title=title) for field, title in fields.items()]


def colour() -> alt.Color:
    """Colour by series, in the order in which they come; a single one needs no key."""
    key = alt.Legend(
        title=None,
        orient="top",
        labelLimit=220,
        labelExpr=f"{SEVERAL} ? datum.label : ''",
        symbolType="square",
        symbolOpacity=alt.ExprRef(f"{SEVERAL} ? 1 : 0"),
    )
    return alt.Color("series:N", sort=None, scale=alt.Scale(range=list(PALETTE)), legend=key)


def time() -> alt.X:
    """Calendar to the right."""
    axis = alt.Axis(
        labelExpr=TIMES, grid=False, ticks=True, tickColor=GREY, labelOverlap="greedy", values=alt.ExprRef(BEGINNINGS)
    )
    return alt.X("at:T", title=None, axis=axis)


def category(*, limit: int = 260) -> alt.Y:
    """One line per category, from above in the order in which they come."""
    return alt.Y("row:N", sort=None, title=None, axis=alt.Axis(labelLimit=limit, grid=False))


def trend(title: str, fields: Mapping[str, str] = RATED, *, bounded: bool = False) -> alt.LayerChart:
    """Rates over time, a line per series with its interval; hollow while a period is open.

    Rows: `period`, `rated`, series and the `fields` told; if `bounded` also if_kept and if_missed, between which the
    rate lies. Targets and annotations: as `marked` makes them.
    """
    y = alt.Y("rate:Q", title=title, axis=PERCENT, scale=alt.Scale(zero=True))
    told_of = told({"period:N": "Period", "series:N": "Of", **fields})
    base = alt.Chart(alt.NamedData("rows")).encode(x=time(), y=y)
    band = base.mark_area(opacity=0.15).encode(y=alt.Y("low:Q"), y2="high:Q", color=colour())
    line = base.mark_line(strokeWidth=2).encode(color=colour())
    bounds = base.mark_rule(strokeWidth=4, opacity=0.5).encode(y=alt.Y("if_kept:Q"), y2="if_missed:Q", color=colour())
    points = pointed(base.encode(tooltip=told_of)).encode(
        opacity=alt.condition("datum.few", alt.value(0.5), alt.value(1))
    )
    return over(band, *([bounds] if bounded else []), line, points, *marks("target:Q"))


def lines(fields: Mapping[str, str]) -> alt.LayerChart:
    """Lines of counts over time, one per series; hollow while a period is open.

    Rows: `period`, series, count and the `fields` told. Targets and annotations: as `marked` makes them.
    """
    y = alt.Y("count:Q", title=None, axis=COUNT, scale=alt.Scale(zero=True))
    told_of = told({"period:N": "Period", "series:N": "Of", **fields, "state:N": "State"})
    base = alt.Chart(alt.NamedData("rows")).encode(x=time(), y=y, tooltip=told_of)
    line = base.mark_line(strokeWidth=2).encode(color=colour())
    return over(line, pointed(base), *marks("target:Q"))


def pointed(base: alt.Chart) -> alt.Chart:
    """Points of lines, in colour and shape of their series; hollow while a period is open."""
    by_series: dict[str, Any] = {"sort": None, "scale": alt.Scale(range=list(PALETTE)), "legend": None}
    made: alt.Chart = base.mark_point(size=50, strokeWidth=1.5).encode(
        stroke=alt.Stroke("series:N", **by_series),
        fill=alt.Fill("series:N", **by_series),
        shape=alt.Shape("series:N", sort=None, legend=None),
        fillOpacity=alt.condition("datum.is_open", alt.value(0), alt.value(1)),
    )
    return made


def columns(fields: Mapping[str, str]) -> alt.LayerChart:
    """Stack counts over time in columns, hatched while a period is open, with a line at what they are compared to.

    Rows: `stacked` of `period`, series, count, total and the `fields` told. Totals: `period`, total, compared Float64
    and what it says. Targets and annotations: as `marked` makes them.
    """
    compared = {"period:N": "Period", "total:Q": "n", "said:N": "Compared to", "state:N": "State"}
    line = alt.Chart(alt.NamedData("totals")).encode(x=time(), x2="until:T", y="compared:Q", tooltip=told(compared))
    bars = stack(None, {"period:N": "Period", "series:N": "Of", **fields, "state:N": "State"})
    return over(bars, hatched(bars), line.mark_rule(strokeWidth=2, color=display.INK), *marks("target:Q"))


def stack(title: str | None, fields: Mapping[str, str]) -> alt.Chart:
    """Columns over time: rows as `stacked` makes them, with `period` and series."""
    rows = alt.Chart(alt.NamedData("rows")).encode(x=time(), x2="until:T", color=colour(), tooltip=told(fields))
    y = alt.Y("foot:Q", title=title, axis=COUNT)
    made: alt.Chart = rows.mark_rect(stroke="white", strokeWidth=0.5).encode(y=y, y2="top:Q")
    return made


def hatched(columns: alt.Chart) -> alt.Chart:
    """Hatch the columns that are open; over the others nothing is to be seen."""
    is_open = alt.condition("datum.is_open", alt.value(1), alt.value(0))
    made: alt.Chart = columns.mark_rect(fill=HATCH).encode(opacity=is_open)
    return made


def dots(title: str, *, interval: str = WILSON, by_series: bool = False) -> alt.LayerChart:
    """Rates of categories as dots on their intervals, of the kind named; pale where they stand on few.

    Rows: row, series and `rated`. Targets: target Float64 and text.
    """
    x = alt.X("rate:Q", title=title, axis=PERCENT, scale=alt.Scale(zero=True))
    base = alt.Chart(alt.NamedData("rows")).encode(
        x=x,
        y=category(),
        color=colour(),
        opacity=alt.condition("datum.few", alt.value(0.5), alt.value(1)),
        tooltip=told({"row:N": "Of", "series:N": "By", **RATED, "interval:N": interval}),
    )
    if by_series:
        base = base.encode(yOffset=alt.YOffset("series:N", sort=None))
    intervals = base.mark_rule(strokeWidth=3, opacity=0.5).encode(x=alt.X("low:Q"), x2="high:Q")
    target = alt.Chart(alt.NamedData("targets")).encode(x="target:Q", tooltip=told({"text:N": "Line"}))
    line = target.mark_rule(strokeDash=[5, 3], color=GREY, strokeWidth=1.5).encode(opacity=SAID)
    name = target.mark_text(align="left", dx=4, dy=-6, baseline="bottom").encode(y=alt.value(0), text="text:N")
    step = STEP * 1.3 if by_series else STEP
    return beside(intervals, base.mark_point(filled=True, size=70), line, name, step=step)


def bars(title: str, fields: Mapping[str, str], *, bounded: bool = False, settling: bool = False) -> alt.LayerChart:
    """Stack counts of categories in bars, made up of series.

    Rows: row, series, rank, count and the `fields` told; if `settling` also is_open, hatched. Ends: row, total, text:
    written at the end of each bar; if `bounded` as `reach` makes them, with the interval as a line.
    """
    rows = alt.Chart(alt.NamedData("rows")).mark_bar(stroke="white", strokeWidth=0.5)
    stacked = rows.encode(
        x=alt.X("count:Q", title=title, stack="zero", axis=COUNT),
        y=category(),
        color=colour(),
        order=alt.Order("rank:Q"),
        tooltip=told({"row:N": "Of", "series:N": "These", **fields}),
    )
    ends = alt.Chart(alt.NamedData("ends")).encode(y=category())
    # Beyond both bar and line; where the line is hidden, as from readers outside the practice, beyond the bar.
    beyond = ends.transform_calculate(edge="max(datum.total, datum.most)") if bounded else ends
    words = beyond.mark_text(align="left", dx=5).encode(x="edge:Q" if bounded else "total:Q", text="text:N")
    is_open = alt.condition("datum.is_open", alt.value(1), alt.value(0))
    hatch = [stacked.mark_bar(fill=HATCH).encode(opacity=is_open)] if settling else []
    return beside(stacked, *hatch, *([spanned(ends)] if bounded else []), words)


def spanned(base: alt.Chart) -> alt.Chart:
    """Interval of a share as a line along its bar, from least to most."""
    made: alt.Chart = base.mark_rule(strokeWidth=2, color=display.INK).encode(x=alt.X("least:Q"), x2="most:Q")
    return made


def curves(title: str, days: str, fields: Mapping[str, str]) -> alt.LayerChart:
    """Shares that go down day by day, in steps, with their intervals.

    Rows: day, series, rate, low, high and the `fields` told.
    """
    x = alt.X("day:Q", title=days, axis=alt.Axis(grid=False, ticks=True, tickColor=GREY, tickCount=10))
    base = alt.Chart(alt.NamedData("rows")).encode(
        x=x,
        y=alt.Y("rate:Q", title=title, axis=PERCENT, scale=alt.Scale(domain=[0, 1])),
        color=colour(),
        tooltip=told({"day:Q": "Day", "series:N": "Of", **fields}),
    )
    band = base.mark_area(opacity=0.15, interpolate="step-after").encode(y=alt.Y("low:Q"), y2="high:Q")
    dash = alt.StrokeDash("series:N", sort=None, legend=None)
    line = base.mark_line(interpolate="step-after", strokeWidth=2).encode(strokeDash=dash)
    return over(band, line, base.mark_point(size=60, opacity=0))


def marks(target: str) -> list[alt.Chart]:
    """Targets as dashed lines over the days they hold for, annotations as dotted ones on their day; both named."""
    held = alt.Chart(alt.NamedData("targets")).encode(x=alt.X("at:T"), y=target, tooltip=told({"text:N": "Line"}))
    line = held.mark_rule(strokeDash=[5, 3], color=display.INK, strokeWidth=2).encode(x2="until:T", opacity=SAID)
    day = alt.Chart(alt.NamedData("annotations")).encode(x=alt.X("at:T"), tooltip=told({"text:N": "Note"}))
    said = day.mark_text(align="left", baseline="top", dx=4, limit=160).encode(y=alt.value(0), text="text:N")
    dotted = day.mark_rule(strokeDash=[2, 2], color=GREY).encode(opacity=SAID)
    return [line, held.mark_text(align="left", dx=3, dy=-7).encode(text="text:N"), dotted, said]


def over(*layers: alt.Chart) -> alt.LayerChart:
    """One chart over time of several layers."""
    return alt.LayerChart(layer=layers).properties(width=WIDTH, height=HEIGHT)


def beside(*layers: alt.Chart, step: float = STEP) -> alt.LayerChart:
    """One chart of categories below each other, with room for their names."""
    return alt.LayerChart(layer=layers).properties(width=WIDTH - 160, height=alt.Step(step))
