"""Charts of who came and who did not, of what was called off, and of what nobody marked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import altair as alt
import polars as pl

from healthie_nb import display, wording
from healthie_nb.charts import data, limits, marks
from healthie_nb.stats import wilson
from healthie_nb.tables import attendance as tables
from healthie_nb.tables.slicing import WEEKDAYS, hour, one_slice, series_of, weekday

if TYPE_CHECKING:
    from collections.abc import Mapping

    from healthie_nb.newcomers import Every

RATED: Final = {
    **marks.RATED,
    "interval:N": marks.BY_CLIENT,
    "unmarked:Q": "Unmarked",
    "bounds:N": "If these were kept or missed",
}
REBOOKED: Final = {**marks.RATED, "interval:N": marks.BY_CLIENT}
YOUNG: Final = "Hatched: may still be on somebody's desk"
DARK: Final = 0.65  # of a colour scale: from here on white is the more legible ink
CELL: Final = (48, 22)
HEATED: Final = {
    "column:N": "Weekday",
    "row:N": "Hour",
    "n:Q": "n visits",
    "due:Q": "Due",
    "hits:Q": "No-shows",
    "text:N": "Share",
    "interval:N": marks.BY_CLIENT,
}
LIMITED: Final = {"n:Q": "n due", "hits:Q": "Missed", **limits.LIMITED, "effect:Q": "Design effect"}


def rates_parts(
    table: pl.DataFrame,
    *,
    every: Every,
    synthetic: bool,
    names: Mapping[str, str] | None = None,
    targets: pl.DataFrame | None = None,
    annotations: pl.DataFrame | None = None,
) -> dict[str, Any]:
    """Share of due visits that were missed, period by period, with its interval and its bounds.

    Parameters
    ----------
    table
        Rows of `volume.rates` with `every`; of a slice, the values with most visits. Where it has both measures, or
        both ways of telling late, each is a line.
    every
        The period, as it was made.
    synthetic
        `practice.is_synthetic`: whether the chart has to say that its data is made up.
    names
        Names of the slice's ids.
    targets, annotations
        As `roles.read` gives them; targets of the metric "no-show" or "lost".

    Examples
    --------
    >>> from healthie_nb import volume
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-01-12 No-Show"], "bob": ["2026-01-06", "2026-01-13"]})
    >>> table = volume.rates(seen, as_of="2026-01-31", every="month")
    >>> table = table.filter(measure="no-show", late="status")
    >>> chart = rates(table, every="month", synthetic=True)
    >>> print(chart.to_dict()["description"])  # doctest: +NORMALIZE_WHITESPACE
    Lines of the share of due visits missed over 1 period, Jan 2026 to Jan 2026: between 25% and 25%; last closed
    25%* of 4 (all).
    """
    shown = table.with_columns(series=tables.rates_series(table, names)).filter(pl.col("due") > 0)
    shown = shown.filter(data.top(shown, "series", "due") != data.OTHERS).sort("series", "period")
    rows = shown.select(
        *data.period("period", every),
        "series",
        *data.rated("missed", "due", low="robust_low", high="robust_high"),
        *(pl.col(name).round(4) for name in ("if_kept", "if_missed")),
        "unmarked",
        bounds=tables.bounds(),
    )
    measure = str(table["measure"].first()) if table.height else "lost"
    return data.parts(
        tables.rates_title(table),
        (*wording.remarks(table, synthetic=synthetic, n="due"), tables.BOUNDS),
        data.trend_said("share of due visits missed", rows),
        rows=rows,
        **data.marked(rows, measure, targets, annotations),
    )


def cancellations_parts(
    table: pl.DataFrame, *, synthetic: bool, names: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Who cancelled, and with how much notice, all periods of the table together.

    Parameters
    ----------
    table
        Rows of `volume.cancellations` that tell how late. A bar is a value of the slice; without a slice, who
        cancelled, or else why.
    synthetic
        `practice.is_synthetic`.
    names
        Names of the slice's ids.

    Examples
    --------
    >>> from healthie_nb import volume
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-01-12 Cancelled"]})
    >>> table = volume.cancellations(seen, as_of="2026-01-31")
    >>> cancellations(table, synthetic=True).to_dict()["description"]
    'Bars of 1 cancelled visit. nobody said: 1.'
    """
    cells = tables.cancelled(table, names)
    summed = cells.group_by("row", maintain_order=True).agg(total=pl.col("count").sum())
    low, high = wilson("total", pl.col("total").sum())
    shared = summed.with_columns(low=low, high=high, text=tables.part_of_all("total"))
    part = shared.select("row", "text", wording.interval())
    rows = _in_order(cells.select("row", "rank", "count", "n", series="notice").join(part, on="row", how="left"))
    ends = shared.select(
        "row",
        "total",
        *data.reach(pl.col("total").sum()),
        text=pl.format("{}  ·  {}", wording.number("total"), "text"),
    )
    told = "; ".join(f"{row}: {total:,}" for row, total in ends.select("row", "total").rows())
    said = f"Bars of {wording.several(int(cells['count'].sum()), 'cancelled visit')}. {told or 'None'}."
    notes = wording.remarks(cells, synthetic=synthetic)
    return data.parts(tables.cancelled_title(table), notes, said, rows=rows, ends=ends)


def unmarked_parts(table: pl.DataFrame, *, synthetic: bool, names: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Visits that nobody has marked: whose they are, and how old.

    Parameters
    ----------
    table
        Rows of `volume.unmarked`.
    synthetic
        `practice.is_synthetic`.
    names
        Names of providers by id.

    Examples
    --------
    >>> from healthie_nb import volume
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-01-06"]})
    >>> seen = seen.with_columns(status=pl.Series(["unrecorded", "occurred"]))
    >>> table = volume.unmarked(seen, as_of="2026-01-07")
    >>> unmarked(table, synthetic=True).to_dict()["description"]
    'Bars of 1 unmarked visit by provider. none: 1.'
    """
    cells = tables.aged(table, names)
    is_open = pl.col("age") == tables.AGED[0]
    part, among = wording.share("share").alias("part"), wording.interval()
    rows = _in_order(cells.select("row", "rank", "count", "n", part, among, series="age", is_open=is_open))
    ends = cells.group_by("row", maintain_order=True).agg(
        total=pl.col("count").sum(), text=pl.format("{}", wording.number(pl.col("count").sum()))
    )
    told = "; ".join(f"{row}: {text}" for row, _, text in ends.rows())
    said = f"Bars of {wording.several(int(cells['count'].sum()), 'unmarked visit')} by provider. {told or 'None'}."
    notes = (*wording.remarks(table, synthetic=synthetic), *([YOUNG] if rows["is_open"].any() else []))
    return data.parts(tables.UNMARKED, notes, said, rows=rows, ends=ends)


def _in_order(cells: pl.DataFrame) -> pl.DataFrame:
    """Give the first bar a part of nothing for each series it lacks: colours go by the order in which series come."""
    if cells.is_empty():
        return cells
    name = pl.lit(cells["row"].first())
    first = cells.filter(pl.col("row") == name)
    lacking = cells.unique("series").join(first, on="series", how="anti")
    none = {
        "row": pl.lit(cells["row"].first()),
        "count": pl.lit(0, pl.Int64),
        "n": pl.lit(first["n"].first(), pl.Int64),
    }
    whole = pl.concat([first, lacking.with_columns(**none)]).sort("rank")
    return pl.concat([whole, cells.filter(pl.col("row") != name)])


def heat_parts(table: pl.DataFrame, *, synthetic: bool) -> dict[str, Any]:
    """When visits take place in the week, and when they are missed.

    Parameters
    ----------
    table
        Rows of `volume.heat`, of one slice at most.
    synthetic
        `practice.is_synthetic`.

    Raises
    ------
    MetricError for a table of several slices.

    Examples
    --------
    >>> from healthie_nb import volume
    >>> from healthie_nb.visits import example
    >>> table = volume.heat(example({"ada": ["2026-01-05", "2026-01-12 No-Show"]}), as_of="2026-01-31")
    >>> heat(table, synthetic=True).to_dict()["description"]
    'Heat map of visits by weekday and hour. Fullest Mon 15:00 with 2.'
    """
    most, worst = (pl.col(name).max() for name in ("visits", "rate"))
    rows = (
        one_slice(table, but="weekday hour")
        .sort("weekday")
        .select(
            *("hour", "due"),
            *data.rated("missed", "visits"),
            column=weekday(),
            row=hour(),
            ink=pl.col("visits") > DARK * most,
            rate_ink=(pl.col("rate") > DARK * worst).fill_null(value=False) & ~pl.col("few"),
        )
        .with_columns(pl.col("text").fill_null(" "))  # which is written into the cell
    )
    return data.parts(
        tables.HEAT,
        wording.remarks(table, synthetic=synthetic, n="due"),
        _heat_said(rows),
        cells=rows.sort("hour", maintain_order=True),
    )


def _heat_said(rows: pl.DataFrame) -> str:
    """Heat map in a sentence or two, for those who hear it."""
    if rows.is_empty():
        return "Heat map without visits."
    full = rows.sort("n", nulls_last=False).row(-1, named=True)
    sure = rows.filter(~pl.col("few"), pl.col("rate").is_not_null()).sort("rate")
    most = wording.told(full["n"])
    said = f"Heat map of visits by weekday and hour. Fullest {full['column']} {full['row']} with {most}"
    if sure.is_empty():
        return f"{said}."
    worst = sure.row(-1, named=True)
    return f"{said}; most often missed {worst['column']} {worst['row']}, {worst['text']} of {worst['due']:,} due."


def lead_parts(table: pl.DataFrame, *, synthetic: bool, names: Mapping[str, str] | None = None) -> dict[str, Any]:
    """How often visits were missed, by how far ahead they were booked.

    Parameters
    ----------
    table
        Rows of `volume.lead`; of a slice, the values with most visits.
    synthetic
        `practice.is_synthetic`.
    names
        Names of the slice's ids.

    Examples
    --------
    >>> from healthie_nb import volume
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-01-12 No-Show"]}).with_columns(lead_days=pl.Series([3.0, 30.0]))
    >>> table = volume.lead(seen, as_of="2026-01-31")
    >>> lead(table, synthetic=True).to_dict()["description"]
    'Dots with intervals, by how far ahead visits were booked. up to 7 days 0%*, over 21, up to 60 days 100%*.'
    """
    shown = table.with_columns(series=series_of(table, names))
    shown = shown.filter(data.top(shown, "series", "visits") != data.OTHERS)
    part = pl.format("{} booked so", wording.share("share", few=False)).fill_null("")
    rows = shown.select(*data.rated("missed", "due"), "series", row="lead", state=part)
    told = ", ".join(f"{row} {text}" for row, text in rows.select("row", pl.col("text").fill_null("none")).rows())
    notes = wording.remarks(table, synthetic=synthetic, n="due")
    said = f"Dots with intervals, by how far ahead visits were booked. {told or 'None'}."
    return data.parts(tables.LEAD, notes, said, rows=data.placed(rows), targets=data.NO_LINES)


def funnel_plot_parts(
    table: pl.DataFrame, *, synthetic: bool, names: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Each provider by number of visits, between the limits that chance alone sets.

    Parameters
    ----------
    table
        Rows of `volume.funnel_plot`.
    synthetic
        `practice.is_synthetic`.
    names
        Names of providers by id.

    Examples
    --------
    >>> from healthie_nb import volume
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-01-12 No-Show"]}).with_columns(provider_id=pl.lit("p"))
    >>> table = volume.funnel_plot(seen, as_of="2026-01-31")
    >>> funnel_plot(table, synthetic=True).to_dict()["description"]
    'Points of 1 provider against limits. Outside the 95 % limits: nobody.'
    """
    effect = pl.col("design_effect").round(1)
    name = wording.named("provider_id", names)
    return limits.parts(
        table, name, tables.FUNNEL, hits="missed", of="due", synthetic=synthetic, who="provider", effect=effect
    )


def rebooked_parts(
    table: pl.DataFrame,
    *,
    every: Every,
    synthetic: bool,
    names: Mapping[str, str] | None = None,
    targets: pl.DataFrame | None = None,
    annotations: pl.DataFrame | None = None,
) -> dict[str, Any]:
    """Share of visits soon after which the client had a next one booked, period by period, with its interval.

    Parameters
    ----------
    table
        Rows of `volume.rebooked`; of a slice, the values with most visits.
    every
        The period, as it was made.
    synthetic
        `practice.is_synthetic`.
    names
        Names of the slice's ids.
    targets, annotations
        As `roles.read` gives them; targets of the metric "rebooked".

    Examples
    --------
    >>> from healthie_nb import volume
    >>> from healthie_nb.visits import example
    >>> made = pl.lit("2026-01-01").str.to_datetime(time_unit="us", time_zone="UTC")
    >>> seen = example({"ada": ["2026-01-05", "2026-02-02"], "bob": ["2026-01-06"]}).with_columns(booked_at=made)
    >>> table = volume.rebooked(seen, as_of="2026-01-31")
    >>> chart = rebooked(table, every="month", synthetic=True)
    >>> print(chart.to_dict()["description"])  # doctest: +NORMALIZE_WHITESPACE
    Lines of the share of visits after which a next one was booked over 1 period, Jan 2026 to Jan 2026: between 50%
    and 50%; last closed 50%* of 2 (all).
    """
    shown = table.with_columns(series=series_of(table, names)).sort("series", "period", maintain_order=True)
    shown = shown.filter(data.top(shown, "series", "visits") != data.OTHERS)
    rated = data.rated("rebooked", "visits", low="robust_low", high="robust_high")
    rows = shown.select(*data.period("period", every), "series", *rated)
    notes = wording.remarks(table, synthetic=synthetic, n="visits")
    said = data.trend_said("share of visits after which a next one was booked", rows)
    marked = data.marked(rows, "rebooked", targets, annotations)
    return data.parts(tables.REBOOKED, notes, said, rows=rows, **marked)


def _heat() -> alt.HConcatChart:
    """Two maps beside each other: how many visits, and which share was missed."""
    visits = alt.Color("n:Q", title="visits", scale=alt.Scale(scheme="blues", zero=True), legend=_key(",d"))
    missed = alt.Color("rate:Q", title="no-shows", scale=alt.Scale(scheme="oranges", zero=True), legend=_key(".0%"))
    few = alt.condition("datum.few", alt.value(0.45), alt.value(1))
    left = _map(visits, alt.Text("n:Q", format=",d"), alt.when("datum.ink").then(alt.value("white")))
    is_pale = alt.when("datum.few").then(alt.value(display.INK))
    right = _map(missed, alt.Text("text:N"), is_pale.when("datum.rate_ink").then(alt.value("white")), opacity=few)
    made: alt.HConcatChart = alt.hconcat(left, right).resolve_scale(color="independent")
    return made


def _map(colour: alt.Color, text: alt.Text, ink: Any, **more: Any) -> alt.LayerChart:
    """Map of the week: rows are hours, columns weekdays."""
    base = alt.Chart(alt.NamedData("cells")).encode(
        x=alt.X("column:O", sort=list(WEEKDAYS), title=None, axis=alt.Axis(orient="top", labelAngle=0)),
        y=alt.Y("row:O", sort=alt.EncodingSortField("hour", op="min"), title=None),
        tooltip=marks.told(HEATED),
    )
    cells = base.mark_rect(stroke="#8884", strokeWidth=0.5).encode(color=colour, **more)
    words = base.mark_text(fontSize=11).encode(text=text, color=ink.otherwise(alt.value("#1b1b1b")))
    width, height = CELL
    return alt.LayerChart(layer=[cells, words]).properties(width=alt.Step(width), height=alt.Step(height))


def _key(form: str) -> alt.Legend:
    """Key of squares: a gradient's name is the page's, and another chart's gradient may have it."""
    return alt.Legend(format=form, type="symbol", symbolType="square", symbolSize=150, tickCount=4)


PARTS: Final = {"count:Q": "Visits", "n:Q": "n in all"}
UNMARKED: Final = {**PARTS, "part:N": "Of all visits that old", "interval:N": marks.WILSON}
CALLED_OFF: Final = {**PARTS, "text:N": "Of all cancelled", "interval:N": marks.WILSON}
rates = marks.drawn(lambda: marks.trend("missed", RATED, bounded=True), rates_parts)
cancellations = marks.drawn(lambda: marks.bars("cancelled visits", CALLED_OFF, bounded=True), cancellations_parts)
unmarked = marks.drawn(lambda: marks.bars("unmarked visits", UNMARKED, settling=True), unmarked_parts)
heat = marks.drawn(_heat, heat_parts)
lead = marks.drawn(lambda: marks.dots("no-shows", interval=marks.BY_CLIENT), lead_parts)
funnel_plot = marks.drawn(lambda: limits.drawing("visits due", "missed", LIMITED), funnel_plot_parts)
rebooked = marks.drawn(lambda: marks.trend("next visit booked", REBOOKED), rebooked_parts)
