"""Charts of how full the calendar is: what was on it, what is booked, and whether Healthie counts the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import altair as alt
import polars as pl

from healthie_nb import display, wording
from healthie_nb.charts import data, marks
from healthie_nb.tables import volume as tables
from healthie_nb.tables.slicing import one_slice, series_of, slices_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from healthie_nb.newcomers import Every

# More colours than six nobody tells apart: who arrived or not, and was never marked as occurred or missed, is one.
UNDECIDED: Final = dict.fromkeys(("checked in", "unmarked", "other"), "checked in or unmarked")
LINE: Final = "Bold line: all together, {}"
READ: Final = "Upright mark: usual at this point, with the lowest and highest; ring: usual in the end"
COUNTED: Final = {
    "count_text:N": "Count",
    "share:N": "Share of the period",
    "total:Q": "n in all",
    "days:Q": "Working days",
}
BOOKED: Final = {
    "row:N": "Week",
    "count:Q": "n booked",
    "usual:Q": "Usual at this point (median)",
    "range:N": "Lowest to highest",
    "earlier:Q": "Earlier weeks",
    "final:Q": "Usual in the end",
}
AGREED: Final = {"row:N": "Of", "count:Q": "n, ours", "theirs:Q": "Healthie's", "said:N": "They"}


def counts_parts(
    table: pl.DataFrame,
    *,
    every: Every,
    synthetic: bool,
    names: Mapping[str, str] | None = None,
    per_working_day: bool = False,
    compare_to: tables.Compared = "",
    targets: pl.DataFrame | None = None,
    annotations: pl.DataFrame | None = None,
) -> dict[str, Any]:
    """Columns of what was on the calendar, period by period, made up of the slices.

    Parameters
    ----------
    table
        Rows of `volume.counts`, of one slice at most.
    every
        The period, as it was made.
    synthetic
        `practice.is_synthetic`: whether the chart has to say that its data is made up.
    names
        Names of the slice's ids.
    per_working_day
        Draw counts divided by the working days, so that a period with days off, or not over yet, is like the others;
        nothing is compared to then.
    compare_to
        "last year", "period before" or "": where a line is drawn, for all slices together.
    targets, annotations
        As `roles.read` gives them; targets of the metric "visits per week", "visits per working day" and so on, or
        "appointments per ...", "provider hours per ...".

    Raises
    ------
    MetricError for `compare_to` that is not allowed.

    Examples
    --------
    >>> from healthie_nb import volume
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-02-05 No-Show"], "bob": ["2026-02-09"]})
    >>> table = volume.counts(seen, as_of="2026-02-28", by=[])
    >>> counts(table, every="month", synthetic=True).to_dict()["description"]
    'Columns of 2 periods, Jan 2026 to Feb 2026: between 1 and 2; last closed Feb 2026, 2.'
    """
    column = "" if per_working_day else tables.compared_to(compare_to)
    value, decimals = ("per_working_day", 1) if per_working_day else ("count", 0)
    totals = _totals(table, every, value, column)
    rows = _stacked(table, every, value, names).with_columns(
        count_text=wording.number("count", decimals=decimals),
        share=pl.format("{}%", (pl.col("count") / pl.col("total") * 100).round().cast(pl.Int64)),
        total=pl.col("total").round(1),
    )
    notes = wording.remarks(table, synthetic=synthetic)
    if column:
        notes = (*notes, LINE.format(compare_to.replace("period", f"the {every}")))
    unit = (str(table["unit"].first()) if table.height else "").removeprefix("client ")
    metric = f"{unit} per {'working day' if per_working_day else every}"
    return data.parts(
        tables.counts_title(table, every, per_working_day=per_working_day),
        notes,
        _columns_said(totals, compare_to if column else ""),
        rows=rows,
        totals=totals.filter(pl.col("compared").is_not_null()),
        **data.marked(totals, metric, targets, annotations),
    )


def _totals(table: pl.DataFrame, every: Every, value: str, column: str) -> pl.DataFrame:
    """One row per period: all slices together, and what they are compared to."""
    compared = pl.col(column).cast(pl.Float64) if column else pl.lit(None, pl.Float64)
    return tables.totalled(table).select(
        *data.period("period", every),
        total=pl.col(value).round(1),
        compared=compared,
        said=pl.format("{}", wording.number(compared)),
    )


def _stacked(table: pl.DataFrame, every: Every, value: str, names: Mapping[str, str] | None) -> pl.DataFrame:
    """One row per period and series, on top of each other; what has no colour of its own is together."""
    named = table.with_columns(series=counts_series(table, names), rank=tables.rank_of(table))
    order = {
        name: place for place, name in enumerate(named.sort("rank", "series")["series"].unique(maintain_order=True))
    }
    order |= {data.OTHERS: len(order)} if data.OTHERS in order else {}
    together = named.group_by("period", "series").agg(
        pl.col(value).sum().alias("count"), pl.col("working_days", "is_open").first()
    )
    rank = pl.col("series").replace_strict(list(order), list(order.values()), return_dtype=pl.Int64)
    shown = (
        together.filter(pl.col("count") > 0)
        .sort(rank, "period")
        .select(*data.period("period", every), "series", "count", days="working_days")
    )
    return data.stacked(shown.with_columns(total=pl.col("count").sum().over("at")))


def counts_series(table: pl.DataFrame, names: Mapping[str, str] | None) -> pl.Expr:
    """Slice in words, as a colour stands for it: those that nobody decided as one; values with fewest as others."""
    word = series_of(table, names)
    return word.replace(UNDECIDED) if slices_of(table) == ["status"] else data.top(table, word, "count")


def _columns_said(totals: pl.DataFrame, compare_to: str) -> str:
    """Columns in a sentence or two, for those who hear them."""
    if totals.is_empty():
        return "No columns: nothing was on the calendar."
    closed = totals.filter(~pl.col("is_open"))
    last = (closed if closed.height else totals).row(-1, named=True)
    beside = f", {compare_to} {last['said']}" if compare_to and last["compared"] is not None else ""
    low, high = totals.select(low=pl.col("total").min(), high=pl.col("total").max()).row(0)
    return (
        f"Columns of {wording.several(totals.height, 'period')}, {totals['period'][0]} to {totals['period'][-1]}: "
        f"between {wording.told(low)} and {wording.told(high)}; last closed {last['period']}, "
        f"{wording.told(last['total'])}{beside}."
    )


def panel_parts(
    table: pl.DataFrame,
    *,
    every: Every,
    synthetic: bool,
    names: Mapping[str, str] | None = None,
    targets: pl.DataFrame | None = None,
    annotations: pl.DataFrame | None = None,
) -> dict[str, Any]:
    """Clients under care at the end of each period.

    Parameters
    ----------
    table
        Rows of `volume.panel`; of a slice, the values with most clients.
    every
        The period, as it was made.
    synthetic
        `practice.is_synthetic`.
    names
        Names of the slice's ids.
    targets, annotations
        As `roles.read` gives them; targets of the metric "clients under care".

    Examples
    --------
    >>> from healthie_nb import volume
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05"], "bob": ["2026-01-09", "2026-04-09"]})
    >>> table = volume.panel(seen, as_of="2026-04-30")
    >>> panel(table, every="month", synthetic=True).to_dict()["description"]
    'Lines of clients under care over 4 periods; last 1 (all).'
    """
    named = table.with_columns(series=series_of(table, names))
    named = named.filter(data.top(named, "series", "clients") != data.OTHERS)
    shaped = named.select(*data.period("period", every, is_open="is_short"), "series", count="clients")
    filling = pl.when("is_open").then(pl.lit("still filling up")).otherwise(pl.lit("whole"))
    rows = shaped.with_columns(state=filling)
    ends = rows.group_by("series", maintain_order=True).last().select("series", "count").rows()
    said = ", ".join(f"{wording.told(count)} ({series})" for series, count in ends)
    over = wording.several(rows["period"].n_unique(), "period")
    description = f"Lines of clients under care over {over}; last {said or 'nobody'}."
    marked = data.marked(rows, "clients under care", targets, annotations)
    notes = tables.panel_notes(table, synthetic=synthetic)
    return data.parts(tables.PANEL, notes, description, rows=rows, **marked)


def booked_parts(table: pl.DataFrame, *, synthetic: bool) -> dict[str, Any]:
    """Bars of what is booked for the coming weeks, beside earlier weeks at the same point before them.

    Parameters
    ----------
    table
        Rows of `volume.booked`, of one slice at most.
    synthetic
        `practice.is_synthetic`.

    Raises
    ------
    MetricError for a table of several slices.

    Examples
    --------
    >>> from healthie_nb import volume
    >>> from healthie_nb.visits import example
    >>> made = pl.lit("2026-01-01").str.to_datetime(time_unit="us", time_zone="UTC")
    >>> seen = example({"ada": ["2026-01-05", "2026-01-12"], "bob": ["2026-01-13"]}).with_columns(booked_at=made)
    >>> table = volume.booked(seen, as_of="2026-01-11", weeks=1)
    >>> booked(table, synthetic=True).to_dict()["description"]
    'Bars of clinical visits booked for 1 coming week. 12 Jan to 18 Jan: 2, usual 1.0.'
    """
    rows = one_slice(table).select(
        tables.week().alias("row"),
        *("usual", "lowest", "highest", "earlier"),
        count="booked",
        final="usual_final",
        range=pl.format("{} to {}", wording.number("lowest"), wording.number("highest")),
        said=pl.format("{}  ·  {}", wording.number("booked"), _usual()),
    )
    told = (f"{row}: {said.replace('  ·  ', ', ')}" for row, said in rows.select("row", "said").rows())
    notes = (*wording.remarks(table, synthetic=synthetic), READ)
    said = f"Bars of clinical visits booked for {wording.several(rows.height, 'coming week')}. {'; '.join(told)}."
    return data.parts(tables.BOOKED, notes, said, rows=rows)


def _usual() -> pl.Expr:
    """Tell what is usual at this point, in words."""
    return pl.format("usual {}", wording.number("usual", decimals=1)).str.replace("^usual $", "no earlier weeks")


def booking_curve_parts(table: pl.DataFrame, *, synthetic: bool) -> dict[str, Any]:
    """How full the books were so many weeks before each week, and what stood in the end.

    Parameters
    ----------
    table
        Rows of `volume.booking_curve`, of one slice at most.
    synthetic
        `practice.is_synthetic`.

    Raises
    ------
    MetricError for a table of several slices.

    Examples
    --------
    >>> from healthie_nb import volume
    >>> from healthie_nb.visits import example
    >>> made = pl.lit("2026-01-01").str.to_datetime(time_unit="us", time_zone="UTC")
    >>> seen = example({"ada": ["2026-01-05", "2026-01-12"], "bob": ["2026-01-13"]}).with_columns(booked_at=made)
    >>> table = volume.booking_curve(seen, as_of="2026-01-11", weeks=1)
    >>> booking_curve(table, synthetic=True).to_dict()["description"]
    'Lines of clinical visits on the books by week, for each number of weeks ahead; now 2 1 week ahead.'
    """
    known = one_slice(table).select("ahead", "week_from", "week_to", "booked", "final", "back")
    ends = known.filter(pl.col("final").is_not_null()).unique("week_from").sort("week_from")
    ends = ends.select("week_from", "week_to", series=pl.lit("in the end"), count="final", is_open=pl.lit(value=False))
    books = known.sort("ahead", "week_from").select(
        "week_from", "week_to", series=tables.ahead(), count="booked", is_open=pl.col("back") == 0
    )
    rows = pl.concat([ends, books]).select(
        data.moment(pl.col("week_from")).alias("at"),
        data.moment(pl.col("week_to")).alias("until"),
        tables.week().alias("period"),
        "is_open",
        pl.when("is_open").then(pl.lit("now")).otherwise(pl.lit("then")).alias("state"),
        "series",
        "count",
    )
    rows = rows.filter(data.top(rows, "series", "count") != data.OTHERS)
    now = rows.filter("is_open").select("series", "count").rows()
    said = ", ".join(f"{wording.told(count)} {series}" for series, count in now) or "nothing"
    description = f"Lines of clinical visits on the books by week, for each number of weeks ahead; now {said}."
    marked = data.marked(rows, "booked", None, None)
    notes = (*wording.remarks(table, synthetic=synthetic), "Hollow: as the books stand now")
    return data.parts(tables.CURVE, notes, description, rows=rows, **marked)


def reconcile_parts(table: pl.DataFrame, *, synthetic: bool) -> dict[str, Any]:
    """Our counts as bars, Healthie's as marks, name by name.

    Parameters
    ----------
    table
        Rows of `volume.reconcile`.
    synthetic
        `practice.is_synthetic`.

    Examples
    --------
    >>> counted = {"name": ["Ada", "Ada"], "status": ["no_show", "occurred"], "ids": [1, 1], "ours": [3, 12]}
    >>> counted |= {"theirs": [2, 12], "difference": [1, 0], "reason": ["marked since", None]}
    >>> table = pl.DataFrame(counted)
    >>> reconcile(table, synthetic=True).to_dict()["description"]
    "Bars of our counts with marks at Healthie's, by name. 1 of 2 counts differ."
    """
    differs = pl.format("{}  ·  {}", tables.signed(pl.col("difference")), "statuses")
    said = (
        pl.when(pl.col("theirs").is_null())
        .then(pl.lit("not told yet"))
        .when(pl.col("statuses") == "")
        .then(pl.lit("agree"))
        .otherwise(differs)
    )
    rows = tables.reconciled(table).select("theirs", row="name", count="ours", said=said)
    agreement = tables.agreement(table)
    description = f"Bars of our counts with marks at Healthie's, by name. {agreement}."
    notes = (*wording.remarks(table, synthetic=synthetic), agreement)
    return data.parts(tables.RECONCILED, notes, description, rows=rows)


def _booked() -> alt.LayerChart:
    base = alt.Chart(alt.NamedData("rows")).encode(
        x=alt.X("count:Q", title="clinical visits", axis=marks.COUNT),
        y=marks.category(),
        tooltip=marks.told(BOOKED),
    )
    bars = base.mark_bar(color=marks.MAIN)
    spread = base.mark_rule(strokeWidth=1.5, color=display.INK).encode(x=alt.X("lowest:Q"), x2="highest:Q")
    usual = base.mark_tick(thickness=3, size=18, color=display.INK).encode(x="usual:Q")
    end = base.mark_point(size=60, filled=False, color=display.INK).encode(x="final:Q")
    words = base.mark_text(align="left").encode(text="said:N", x=alt.value(marks.WIDTH - 150))
    return marks.beside(bars, spread, usual, end, words, step=34)


def _reconcile() -> alt.LayerChart:
    base = alt.Chart(alt.NamedData("rows")).encode(
        x=alt.X("count:Q", title="appointments", axis=marks.COUNT),
        y=marks.category(),
        tooltip=marks.told(AGREED),
    )
    theirs = base.mark_tick(thickness=3, size=20, color=display.INK).encode(x="theirs:Q")
    words = base.mark_text(align="left", dx=8).encode(text="said:N")
    return marks.beside(base.mark_bar(color=marks.MAIN), theirs, words)


counts = marks.drawn(lambda: marks.columns(COUNTED), counts_parts)
panel = marks.drawn(lambda: marks.lines({"count:Q": "n clients"}), panel_parts)
booked = marks.drawn(_booked, booked_parts)
booking_curve = marks.drawn(lambda: marks.lines({"count:Q": "n booked"}), booking_curve_parts)
reconcile = marks.drawn(_reconcile, reconcile_parts)
