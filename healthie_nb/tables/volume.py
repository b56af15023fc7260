"""Tables of how full the calendar is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import polars as pl

from healthie_nb.newcomers import choice
from healthie_nb.tables.slicing import LABELS, STATUSES, one_slice, open_rows, series_of, slices_of
from healthie_nb.tables.table import Table
from healthie_nb.wording import day, number, period, remarks, several

if TYPE_CHECKING:
    from collections.abc import Mapping

    from healthie_nb.newcomers import Every

Compared = Literal["", "last year", "period before"]
COMPARED: Final = {"": "", "last year": "last_year", "period before": "before"}
PER_DAY: Final = "per working day"
IN_ALL: Final = "in all"
PANEL: Final = "Clients under care: seen in the days up to each period's end"
SHORT: Final = "Hatched or hollow: still filling up, for the history there is begins too late"
BOOKED: Final = "Booked for the coming weeks, beside earlier weeks at the same point before them"
CURVE: Final = "How full the books were, so many weeks before each week"
RECONCILED: Final = "Our counts beside Healthie's own totals"


def counts(
    table: pl.DataFrame,
    *,
    every: Every,
    synthetic: bool,
    names: Mapping[str, str] | None = None,
    per_working_day: bool = False,
    compare_to: Compared = "",
) -> Table:
    """Table of counts, a column per slice: what `charts.counts` draws, all values of a slice.

    Rows
    ----
    One per period.

    Columns
    -------
    period; each value of the slice; in all; working days; per working day; with `compare_to` "last year" or "period
    before", what there was then in all, and the change since. With `per_working_day` the slices and "in all" are
    divided by the working days, and nothing else is told.

    Raises
    ------
    MetricError for `compare_to` that is not allowed.

    Source
    ------
    `volume.counts`.

    Examples
    --------
    >>> from healthie_nb import volume
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-02-05 No-Show"], "bob": ["2026-02-09"]})
    >>> table = volume.counts(seen, as_of="2026-02-28", by=[])
    >>> counts(table, every="month", synthetic=True)
    Client visits per month
    Demo practice: synthetic data
    period    in all  working days  per working day
    Jan 2026       1            22              0.0
    Feb 2026       2            20              0.1
    """
    value, decimals = ("per_working_day", 1) if per_working_day else ("count", 0)
    cells = table.with_columns(series=series_of(table, names), rank=rank_of(table)).sort("rank", "series")
    columns = cells["series"].unique(maintain_order=True).to_list() if slices_of(table) else []
    totals = totalled(table)
    wide = cells.pivot(on="series", index="period", values=value, aggregate_function="sum", on_columns=columns)
    then = compared_to(compare_to)
    compared = [] if per_working_day else [number("per_working_day", decimals=1).alias(PER_DAY)]
    if then and not per_working_day:
        compared += [number(then).alias(compare_to.replace("period", f"the {every}")), _change(then).alias("change")]
    rows = totals.join(wide, on="period", how="left", maintain_order="left").select(
        period("period", every),
        *(number(pl.col(name).fill_null(0), decimals=decimals).alias(name) for name in columns),
        number(value, decimals=decimals).alias(IN_ALL),
        number("working_days").alias("working days"),
        *compared,
    )
    title = counts_title(table, every, per_working_day=per_working_day)
    return Table("counts", title, remarks(table, synthetic=synthetic), rows, open_rows(totals, rows.columns))


def compared_to(compare_to: str) -> str:
    """Column of counts to compare to, or none.

    Raises
    ------
    MetricError for one that is not allowed.
    """
    return COMPARED[choice(compare_to, COMPARED, name="compare_to")]


def _change(then: str) -> pl.Expr:
    """Change since then in whole per cent; empty where nothing can be told, and for a period that is not over."""
    by = ((pl.col("count") / pl.col(then) - 1) * 100).round()
    is_told = pl.col("is_open").not_() & (pl.col(then) > 0)
    return pl.when(is_told).then(pl.format("{}%", signed(by))).fill_null("")


def totalled(table: pl.DataFrame) -> pl.DataFrame:
    """All slices together; null where no slice has one.

    Rows
    ----
    One per period, in order.

    Columns
    -------
    period, count, before, last_year, per_working_day, working_days, is_open.
    """
    known = (
        pl.when(pl.col(name).is_not_null().any()).then(pl.col(name).sum()).alias(name)
        for name in ("count", "before", "last_year", "per_working_day")
    )
    return table.group_by("period").agg(*known, pl.col("working_days", "is_open").first()).sort("period")


def rank_of(table: pl.DataFrame) -> pl.Expr:
    """Order of a row's series: statuses as a column is stacked, others the heaviest first."""
    columns = slices_of(table)
    if columns == ["status"]:
        return pl.col("status").replace_strict(list(STATUSES), range(len(STATUSES)), return_dtype=pl.Int64)
    return -pl.col("count").sum().over(columns) if columns else pl.lit(0)


def counts_title(table: pl.DataFrame, every: str, *, per_working_day: bool) -> str:
    """Name what is counted: Client visits per week, by status."""
    unit = str(table["unit"].first()) if table.height else "visits"
    by = " and ".join(LABELS[column] for column in slices_of(table))
    per = f"{PER_DAY}, {every} by {every}" if per_working_day else f"per {every}"
    return f"{unit.capitalize()} {per}{f', by {by}' if by else ''}"


def panel(table: pl.DataFrame, *, every: Every, synthetic: bool, names: Mapping[str, str] | None = None) -> Table:
    """Clients under care as a table: what `charts.panel` draws, all values of a slice.

    Rows
    ----
    One per value of the slice and period.

    Columns
    -------
    period; until, the last day counted; clients.

    Source
    ------
    `volume.panel`.

    Examples
    --------
    >>> from healthie_nb import volume
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05"], "bob": ["2026-01-09", "2026-04-09"]})
    >>> table = volume.panel(seen, as_of="2026-04-30")
    >>> panel(table, every="month", synthetic=True)
    Clients under care: seen in the days up to each period's end
    Demo practice: synthetic data
    Hatched or hollow: still filling up, for the history there is begins too late
    period          until  clients
    Jan 2026  31 Jan 2026        2
    Feb 2026  28 Feb 2026        2
    Mar 2026  31 Mar 2026        2
    Apr 2026  30 Apr 2026        1
    """
    split = bool(slices_of(table))
    shown = table.with_columns(is_open="is_short", of=series_of(table, names))
    shown = shown.sort("of", "period") if split else shown
    rows = shown.select(*(["of"] if split else []), period("period", every), day("until"), number("clients"))
    notes = panel_notes(table, synthetic=synthetic)
    return Table("panel", PANEL, notes, rows, open_rows(shown, rows.columns), group="of" if split else None)


def panel_notes(table: pl.DataFrame, *, synthetic: bool) -> tuple[str, ...]:
    """Remarks under a panel."""
    return (*remarks(table, synthetic=synthetic), *([SHORT] if table["is_short"].any() else []))


def booked(table: pl.DataFrame, *, synthetic: bool, names: Mapping[str, str] | None = None) -> Table:
    """Bookings as a table: what `charts.booked` draws, all values of a slice.

    Rows
    ----
    One per value of the slice and coming week.

    Columns
    -------
    week; booked; usual at this point, the median of the earlier weeks; more or fewer than usual; lowest to highest of
    them; of how many weeks; usual in the end, what stood in the end in those that are over.

    Source
    ------
    `volume.booked`.

    Examples
    --------
    >>> from healthie_nb import volume
    >>> from healthie_nb.visits import example
    >>> made = pl.lit("2026-01-01").str.to_datetime(time_unit="us", time_zone="UTC")
    >>> seen = example({"ada": ["2026-01-05", "2026-01-12"], "bob": ["2026-01-13"]}).with_columns(booked_at=made)
    >>> table = volume.booked(seen, as_of="2026-01-11", weeks=1)
    >>> booked(table, synthetic=True)
    Booked for the coming weeks, beside earlier weeks at the same point before them
    Demo practice: synthetic data
                week  booked  usual at this point  more or fewer  lowest to highest  earlier weeks  usual in the end
    12 Jan to 18 Jan       2                  1.0           +1.0             1 to 1              1               1.0
    """
    split = bool(slices_of(table))
    rows = table.select(
        *([series_of(table, names).alias("of")] if split else []),
        week().alias("week"),
        number("booked"),
        number("usual", decimals=1).alias("usual at this point"),
        signed(pl.col("booked") - pl.col("usual"), decimals=1).alias("more or fewer"),
        pl.when(pl.col("lowest").is_not_null() & pl.col("highest").is_not_null())
        .then(pl.format("{} to {}", number("lowest"), number("highest")))
        .alias("lowest to highest"),
        number("earlier").alias("earlier weeks"),
        number("usual_final", decimals=1).alias("usual in the end"),
    )
    return Table("booked", BOOKED, remarks(table, synthetic=synthetic), rows, group="of" if split else None)


def booking_curve(table: pl.DataFrame, *, synthetic: bool) -> Table:
    """Booking curve as a table, a column per number of weeks ahead: what `charts.booking_curve` draws.

    Rows
    ----
    One per week, in order.

    Columns
    -------
    week; booked so many weeks ahead; what stood in the end, for weeks that are over.

    Raises
    ------
    MetricError for a table of several slices.

    Source
    ------
    `volume.booking_curve`.

    Examples
    --------
    >>> from healthie_nb import volume
    >>> from healthie_nb.visits import example
    >>> made = pl.lit("2026-01-01").str.to_datetime(time_unit="us", time_zone="UTC")
    >>> seen = example({"ada": ["2026-01-05", "2026-01-12"], "bob": ["2026-01-13"]}).with_columns(booked_at=made)
    >>> table = volume.booking_curve(seen, as_of="2026-01-11", weeks=1)
    >>> booking_curve(table, synthetic=True)
    How full the books were, so many weeks before each week
    Demo practice: synthetic data
                week  1 week ahead  in the end
     5 Jan to 11 Jan             1           1
    12 Jan to 18 Jan             2
    """
    cells = one_slice(table).with_columns(series=ahead()).sort("ahead", "week_from")
    columns = cells["series"].unique(maintain_order=True).to_list()
    wide = cells.pivot(on="series", index="week_from", values="booked", on_columns=columns)
    weeks = cells.group_by("week_from", "week_to").agg(pl.col("final").drop_nulls().first()).sort("week_from")
    rows = weeks.join(wide, on="week_from", how="left", maintain_order="left").select(
        week().alias("week"), *(number(name) for name in columns), number("final").alias("in the end")
    )
    return Table("booking-curve", CURVE, remarks(table, synthetic=synthetic), rows)


def reconcile(table: pl.DataFrame, *, synthetic: bool) -> Table:
    """Reconciliation as a table: what `charts.reconcile` draws, and why the two differ.

    Rows
    ----
    One per name.

    Columns
    -------
    name; ours; Healthie's; difference; statuses in which they differ; likely reasons.

    Source
    ------
    `volume.reconcile`.

    Examples
    --------
    >>> counted = {"name": ["Ada", "Ada"], "status": ["no_show", "occurred"], "ids": [1, 1], "ours": [3, 12]}
    >>> counted |= {"theirs": [2, 12], "difference": [1, 0], "reason": ["marked since", None]}
    >>> table = pl.DataFrame(counted)
    >>> reconcile(table, synthetic=True)
    Our counts beside Healthie's own totals
    Demo practice: synthetic data
    1 of 2 counts differ
    name  ours  Healthie's  difference  differ in  likely reason
    Ada     15          14          +1  no-show    marked since
    """
    rows = reconciled(table).select(
        "name",
        number("ours"),
        number("theirs").alias("Healthie's"),
        signed(pl.col("difference")).alias("difference"),
        pl.col("statuses").alias("differ in"),
        pl.col("reasons").alias("likely reason"),
    )
    return Table("reconcile", RECONCILED, (*remarks(table, synthetic=synthetic), agreement(table)), rows)


def reconciled(table: pl.DataFrame) -> pl.DataFrame:
    """Reconciliation by name alone.

    Rows
    ----
    One per name, in order.

    Columns
    -------
    name; ours, theirs, difference Int64, the latter null while Healthie is still making its totals; statuses, reasons
    String, where they differ.
    """
    differs = pl.col("difference").fill_null(0) != 0
    theirs = pl.col("theirs", "difference")
    return (
        table.group_by("name")
        .agg(
            pl.col("ours").sum(),
            pl.when(theirs.is_not_null().any()).then(theirs.sum()),
            pl.col("status").replace(STATUSES).filter(differs).str.join(", ").alias("statuses"),
            pl.col("reason").drop_nulls().unique(maintain_order=True).str.join("; ").alias("reasons"),
        )
        .sort("name")
    )


def agreement(table: pl.DataFrame) -> str:
    """Tell in a sentence how far the two agree."""
    if table.height and table["theirs"].null_count() == table.height:
        return "Healthie is still making its totals: ask again in some minutes"
    differ = int((table["difference"] != 0).sum())
    if differ:
        return f"{differ:,} of {several(table.height, 'count')} differ"
    return f"All {table['ours'].sum():,} agree, name by name and status by status"


def week() -> pl.Expr:
    """Seven days in words: 1 Jul to 7 Jul."""
    return pl.format("{} to {}", *(pl.col(name).dt.to_string("%-d %b") for name in ("week_from", "week_to")))


def ahead() -> pl.Expr:
    """How far ahead the books were read, in words."""
    unit = pl.when(pl.col("ahead") == 1).then(pl.lit("week")).otherwise(pl.lit("weeks"))
    return pl.format("{} {} ahead", "ahead", unit)


def signed(value: pl.Expr, *, decimals: int = 0) -> pl.Expr:
    """Difference with its sign; empty where there is none."""
    sign = pl.when(value > 0).then(pl.lit("+")).otherwise(pl.lit(""))
    return pl.concat_str(sign, number(value, decimals=decimals))
