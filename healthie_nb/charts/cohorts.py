"""Heat map of who comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import altair as alt
import polars as pl

from healthie_nb import display
from healthie_nb.charts.data import parts
from healthie_nb.charts.marks import QUIET, WILSON, told, told_of
from healthie_nb.stats import FEW as LEAST
from healthie_nb.tables.cohorts import RETURNED, SETTLING, unsplit
from healthie_nb.wording import FEW as STARRED
from healthie_nb.wording import interval, period, remarks, several, share

if TYPE_CHECKING:
    from healthie_nb.newcomers import Every

WIDE: Final = (56, 24)  # width and height of a cell with its number written in it
NARROW: Final = (14, 16)  # and without: as many columns as there may be fit on a screen
NUMBERED: Final = 20  # columns with room for numbers
# One hue from light to dark: the same to every kind of colour vision, and in print. One scale for every view.
RATES: Final = alt.Scale(scheme="blues", domain=[0, 1])
FEW: Final = f"datum.eligible < {LEAST}"
DARK: Final = 0.65  # of that scale: from here on white is the more legible ink
PALE: Final = f"Pale: under {LEAST}"
BLANK: Final = "Blank: nobody has had that long yet"
ELSEWHERE: Final = "Numbers are in the table"
COUNTED: Final = "datum.index ? replace(datum.label, /^(week|month|quarter) /, '') : datum.label"  # month 1, 2, 3
COLUMNS: Final = alt.Axis(orient="top", labelAngle=0, labelExpr=COUNTED, labelOverlap="parity", labelSeparation=8)
DEFINITION: Final = "another visit that occurred, on a later day within that time; clients who have had that long count"
TOLD: Final = {
    "cohort:N": "First visit in",
    "clients:N": "New clients",
    "label:N": "Returned in",
    "eligible:N": "Have had that long",
    "returned:N": "Of these, returned",
    "text:N": "Rate",
    "interval:N": WILSON,
    "state:N": "Cohort is",
    "definition:N": "Returned means",
}


def cohorts(table: pl.DataFrame, *, every: Every, synthetic: bool) -> alt.LayerChart | alt.FacetChart:
    """Heat map of cohorts: how many of each came back, by time since their first visit; open cells are hatched.

    With more than 20 columns cells are narrow: their numbers are told where one points, and stand in the table; cells
    that nobody has had the time to reach stay blank.

    It can be changed as any chart of Altair's: `cohorts(...).properties(title="...")`.

    Parameters
    ----------
    table
        Rows of `retention.cohorts`, not split.
    every
        The cohorts' period, as they were made; it names the rows.
    synthetic
        `practice.is_synthetic`: whether the chart has to say that its data is made up.

    Raises
    ------
    MetricError for a table split by provider, type, modality or source, or one that lacks a column.

    Examples
    --------
    >>> from healthie_nb import retention
    >>> from healthie_nb.visits import example
    >>> seen = {"7": ["2026-01-05", "2026-02-20"], "8": ["2026-01-20"], "9": ["2026-05-02"]}
    >>> table = retention.cohorts(example(seen), as_of="2026-06-30", measure="on", periods=2)
    >>> chart = cohorts(table, every="month", synthetic=True)
    >>> print(chart.to_dict()["description"])  # doctest: +NORMALIZE_WHITESPACE
    Heat map of 2 cohorts, Jan 2026 to May 2026, 3 new clients in all, by time since the first visit, month 1 to
    month 2. The share that returned lies between 0% and 50%.
    """
    base = (
        alt.Chart(alt.NamedData("cells"))
        .transform_calculate(
            row="datum.cohort + (isValid(datum.clients) ? '  ·  n ' + datum.clients : '')", definition=f"'{DEFINITION}'"
        )
        .transform_calculate(state="datum.is_open ? 'open: not all have had that long' : 'closed'")
        .encode(
            x=alt.X("label:O", sort=None, title=None, axis=COLUMNS),
            y=alt.Y("row:O", sort=None, title=None, axis=alt.Axis(labelLimit=260)),
        )
    )
    return alt.layer(_filled(base), _hatched(base), _written(base)).properties(
        usermeta=QUIET,
        **told_of(cohorts_parts, table, every=every, synthetic=synthetic),
    )


def cohorts_parts(table: pl.DataFrame, *, every: Every, synthetic: bool) -> dict[str, Any]:
    """Parts of the heat map's specification that follow from its rows: put into a kept one, they show another view.

    Rows of `retention.cohorts`, as `cohorts` takes them.

    Examples
    --------
    >>> from healthie_nb import retention
    >>> from healthie_nb.visits import example
    >>> seen = {"7": ["2026-01-05", "2026-02-20"], "8": ["2026-01-20"], "9": ["2026-05-02"]}
    >>> table = retention.cohorts(example(seen), as_of="2026-06-30", measure="on", periods=2)
    >>> chart = cohorts(table, every="month", synthetic=True)
    >>> print(chart.to_dict()["description"])  # doctest: +NORMALIZE_WHITESPACE
    Heat map of 2 cohorts, Jan 2026 to May 2026, 3 new clients in all, by time since the first visit, month 1 to
    month 2. The share that returned lies between 0% and 50%.
    """
    is_narrow = table["label"].n_unique() > NUMBERED
    cells = unsplit(table).select(
        "label",
        "clients",
        "eligible",
        "returned",
        "is_open",
        cohort=period("cohort", every),
        rate=pl.col("rate").round(4),
        text=share(),
        interval=interval(),
    )
    marked = PALE if is_narrow else STARRED
    notes = remarks(table, synthetic=synthetic, n="eligible", open_=SETTLING, few=marked)
    said = _description(cells)
    if not is_narrow:
        return {**parts(RETURNED, notes, said, cells=cells), **_sized(WIDE)}
    # Those with a rate, and those that keep the place of a row or column.
    is_first = pl.any_horizontal(pl.col(name) == pl.col(name).first() for name in ("cohort", "label"))
    drawn = cells.filter(pl.col("rate").is_not_null() | is_first).with_columns(is_narrow=pl.lit(value=True))
    return {**parts(RETURNED, [*notes, *_narrow_notes(cells)], said, cells=drawn), **_sized(NARROW)}


def _sized(cell: tuple[int, int]) -> dict[str, Any]:
    return {name: {"step": pixels} for name, pixels in zip(("width", "height"), cell, strict=True)}


def _narrow_notes(cells: pl.DataFrame) -> list[str]:
    """Tell what is not to be seen in narrow cells."""
    blank = cells.filter(pl.col("rate").is_null())["eligible"]
    told = f"{BLANK}, or too few to tell" if blank.has_nulls() else BLANK
    return [f"{told}. {ELSEWHERE}" if len(blank) else ELSEWHERE]


def _description(cells: pl.DataFrame) -> str:
    """Heat map in a sentence, for those who hear it."""
    cohorts = cells.unique("cohort", maintain_order=True)
    if cohorts.is_empty():
        return "Heat map without cohorts."
    lowest, highest = (cells.select(low=pl.col("rate").min(), high=pl.col("rate").max()).fill_null(0.0)).row(0)
    clients = several(int(cohorts["clients"].sum()), "new client")
    return (
        f"Heat map of {several(cohorts.height, 'cohort')}, {cohorts['cohort'][0]} to {cohorts['cohort'][-1]}, "
        f"{clients} in all, by time since the first visit, {cells['label'][0]} to "
        f"{cells['label'][-1]}. The share that returned lies between {lowest:.0%} and {highest:.0%}."
    )


def _filled(base: alt.Chart) -> alt.Chart:
    """Few clients make a pale cell: chance must not draw the eye. A cell without a rate keeps its column's place."""
    # Squares: a gradient's name is the page's, and another chart's gradient may have it.
    legend = alt.Legend(title="returned", format=".0%", type="symbol", symbolType="square", symbolSize=150, tickCount=4)
    rate = alt.Color("rate:Q", scale=RATES, legend=legend)
    cells: alt.Chart = base.mark_rect(stroke="#8884", strokeWidth=0.5, invalid=None, aria=False).encode(
        tooltip=told(TOLD),
        color=alt.condition("isValid(datum.rate)", rate, alt.value("transparent")),
        opacity=alt.when("!isValid(datum.rate)")
        .then(alt.value(0))
        .when(FEW)
        .then(alt.value(0.45))
        .otherwise(alt.value(1)),
    )
    return cells


def _hatched(base: alt.Chart) -> alt.Chart:
    """Strokes from edge to edge, four or, in a narrow cell, one; Vega-Lite has no patterns."""
    shapes = (_strokes(*WIDE, 4), _strokes(*NARROW, 1))
    wide, narrow = (f"'{shape}'" for shape in shapes)
    cells: alt.Chart = base.transform_filter("datum.is_open").mark_point(
        shape=alt.ExprRef(f"bandwidth('x') > {NARROW[0]} ? {wide} : {narrow}"),
        size=alt.ExprRef("pow(bandwidth('y'), 2)"),
        stroke="#888",
        strokeWidth=1,
        opacity=0.7,
        filled=False,
        aria=False,
    )
    return cells


def _strokes(width: int, height: int, count: int) -> str:
    """Path of strokes at equal distances that fill a cell, in half heights from its middle."""
    half, lean = width / height, min(2.0, 2 * width / height)
    step = (2 * half - lean) / max(count - 1, 1)
    starts = [-half + k * step for k in range(count)]
    return "".join(f"M{x:.2f},1L{x + lean:.2f},-1" for x in starts)


def _written(base: alt.Chart) -> alt.Chart:
    ink = alt.when(FEW).then(alt.value(display.INK)).when(f"datum.rate > {DARK}").then(alt.value("white"))
    cells: alt.Chart = (
        base.transform_filter("isValid(datum.rate) && !datum.is_narrow")
        .mark_text(fontSize=12, aria=False)
        .encode(text="text:N", tooltip=told(TOLD), color=ink.otherwise(alt.value("#1b1b1b")))
    )
    return cells
