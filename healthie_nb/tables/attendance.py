"""Tables of who came and who did not, of what was called off, and of what nobody marked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from healthie_nb.called_off import AGES, NOTICES, OLDER
from healthie_nb.tables.slicing import LABELS, WEEKDAYS, hour, one_slice, open_rows, series_of, slices_of, weekday
from healthie_nb.tables.table import Table
from healthie_nb.tables.volume import IN_ALL
from healthie_nb.wording import day, interval, named, number, period, rated, remarks, share

if TYPE_CHECKING:
    from collections.abc import Mapping

    from healthie_nb.newcomers import Every

MISSED: Final = {"no-show": "no-shows", "lost": "no-shows and cancelled late"}
LATE: Final = {"status": "late by Healthie's status", "notice": "late by hours of notice"}
BOUNDS: Final = "Upright lines: the share if all unmarked visits had been kept, or missed"
CANCELLED: Final = "Cancelled visits, by {} and with how much notice"
UNMARKED: Final = "Visits that nobody has marked, by whose they are and how old"
HEAT: Final = "Visits by weekday and hour, and the share of no-shows"
LEAD: Final = "Share of no-shows, by how far ahead the visit was booked"
FUNNEL: Final = "Share missed by provider, against the limits that chance alone sets"
REBOOKED: Final = "Share of visits soon after which the client had a next one booked"
AGED: Final = (*AGES.values(), OLDER)


def rates(table: pl.DataFrame, *, every: Every, synthetic: bool, names: Mapping[str, str] | None = None) -> Table:
    """Rates as a table: what `charts.rates` draws, all values of a slice.

    Rows
    ----
    One per series and period; a series is what varies: the slice, the measure, how late is told.

    Columns
    -------
    period; due; missed; share with its 95 % interval, cluster-robust; unmarked; the share if all of these were kept,
    and if all were missed.

    Source
    ------
    `volume.rates` with `every`.

    Examples
    --------
    >>> from healthie_nb import volume
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-01-12 No-Show"], "bob": ["2026-01-06", "2026-01-13"]})
    >>> table = volume.rates(seen, as_of="2026-01-31", every="month")
    >>> table = table.filter(measure="no-show", late="status")
    >>> rates(table, every="month", synthetic=True)
    Share of due visits missed: no-shows
    Demo practice: synthetic data
    * under 30 due
    period    due  missed        share  unmarked  if these were kept or missed
    Jan 2026    4       1  25%* [4-74]         0                        25-25%
    """
    shown = table.with_columns(of=rates_series(table, names))
    split = shown["of"].n_unique() > 1
    shown = shown.sort("of", "period", maintain_order=True)
    rows = shown.select(
        *(["of"] if split else []),
        period("period", every),
        *(number(name) for name in ("due", "missed")),
        rated(low="robust_low", high="robust_high").alias("share"),
        number("unmarked"),
        bounds().fill_null("").alias("if these were kept or missed"),
    )
    notes = remarks(table, synthetic=synthetic, n="due")
    group = "of" if split else None
    return Table("rates", rates_title(table), notes, rows, open_rows(shown, rows.columns), group=group)


def rates_series(table: pl.DataFrame, names: Mapping[str, str] | None) -> pl.Expr:
    """Name what varies between the rows of a period: the slice, the measure, how late is told."""
    kinds = {"measure": MISSED, "late": LATE}
    words = [pl.col(name).replace(said) for name, said in kinds.items() if table[name].n_unique() > 1]
    if slices_of(table) or not words:
        words = [series_of(table, names), *words]
    return pl.concat_str(words, separator=" · ")


def rates_title(table: pl.DataFrame) -> str:
    """Name the measure: Share of due visits missed: no-shows and cancelled late."""
    measures = table["measure"].unique().to_list()
    return f"Share of due visits missed{f': {MISSED[measures[0]]}' if len(measures) == 1 else ''}"


def bounds() -> pl.Expr:
    """Share if all unmarked visits were kept, and if all were missed: 14-17%."""
    return pl.format("{}%", interval("if_kept", "if_missed"))


def cancellations(table: pl.DataFrame, *, synthetic: bool, names: Mapping[str, str] | None = None) -> Table:
    """Table of cancellations: what `charts.cancellations` draws, all periods of the table together.

    Rows
    ----
    One per value of the slice; where there is none, per who cancelled, or per reason where that was not told.

    Columns
    -------
    of whom; how many with each notice; in all; share of all cancelled; how many of them Healthie
    calls late.

    Source
    ------
    `volume.cancellations`.

    Examples
    --------
    >>> from healthie_nb import volume
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-01-12 Cancelled"]})
    >>> table = volume.cancellations(seen, as_of="2026-01-31")
    >>> cancellations(table, synthetic=True).rows.row(0)  # doctest: +NORMALIZE_WHITESPACE
    ('nobody said', '0', '0', '0', '0', '1', '1', '100%', '0')
    """
    cells = cancelled(table, names)
    wide = cells.pivot(on="notice", index="row", values="count", aggregate_function="sum", on_columns=list(NOTICES))
    totals = cells.group_by("row", maintain_order=True).agg(pl.col("count", "late").sum())
    rows = totals.join(wide, on="row", how="left", maintain_order="left").select(
        pl.col("row").alias("of"),
        *(number(pl.col(notice).fill_null(0)).alias(notice) for notice in NOTICES),
        number("count").alias(IN_ALL),
        part_of_all().alias("share"),
        number("late").alias("late by Healthie's status"),
    )
    return Table("cancellations", cancelled_title(table), remarks(cells, synthetic=synthetic), rows)


def cancelled(table: pl.DataFrame, names: Mapping[str, str] | None) -> pl.DataFrame:
    """All periods' cancellations together.

    Rows
    ----
    One per row and notice: the rows with most first, the longest notice first.

    Columns
    -------
    row, as `who`; notice String; rank Int64, of the notice; count, late Int64; n Int64, of the row.
    """
    rank = pl.col("notice").replace_strict(NOTICES, range(len(NOTICES)), return_dtype=pl.Int64)
    return (
        table.group_by(who(table, names).alias("row"), "notice", rank.alias("rank"))
        .agg(count=pl.col("cancellations").sum(), late=pl.col("late_by_status").sum())
        .with_columns(n=pl.col("count").sum().over("row"))
        .sort("n", "row", "rank", descending=[True, False, False])
    )


def who(table: pl.DataFrame, names: Mapping[str, str] | None) -> pl.Expr:
    """Name of the slice; where there is none, of who cancelled, or else why."""
    if slices_of(table):
        return series_of(table, names)
    if "cancelled_by" in table.columns:
        return pl.col("cancelled_by").fill_null("nobody said")
    return pl.col("cancellation_reason").fill_null("no reason given")


def cancelled_title(table: pl.DataFrame) -> str:
    """Name who it is told of."""
    told = "who cancelled" if "cancelled_by" in table.columns else "reason"
    return CANCELLED.format(" and ".join(LABELS[column] for column in slices_of(table)) or told)


def part_of_all(count: str = "count") -> pl.Expr:
    """Part of all rows together, in whole per cent."""
    part = (pl.col(count) / pl.col(count).sum() * 100).fill_nan(0).round().cast(pl.Int64)
    return pl.format("{}%", part)


def unmarked(table: pl.DataFrame, *, synthetic: bool, names: Mapping[str, str] | None = None) -> Table:
    """Unmarked visits as a table: what `charts.unmarked` draws.

    Rows
    ----
    One per provider, those with most first.

    Columns
    -------
    provider; how many of each age; in all; the oldest.

    Source
    ------
    `volume.unmarked`.

    Examples
    --------
    >>> from healthie_nb import volume
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-01-06"]})
    >>> seen = seen.with_columns(status=pl.Series(["unrecorded", "occurred"]))
    >>> table = volume.unmarked(seen, as_of="2026-01-07")
    >>> unmarked(table, synthetic=True)
    Visits that nobody has marked, by whose they are and how old
    Demo practice: synthetic data
    provider  0-2 days  3-7 days  8-30 days  31-90 days  over 90 days  in all      oldest
    none             1         0          0           0             0       1  5 Jan 2026
    """
    cells = aged(table, names)
    wide = cells.pivot(on="age", index="row", values="count", aggregate_function="sum", on_columns=list(AGED))
    totals = cells.group_by("row", maintain_order=True).agg(pl.col("count").sum(), pl.col("oldest").min())
    rows = totals.join(wide, on="row", how="left", maintain_order="left").select(
        pl.col("row").alias("provider"),
        *(number(pl.col(age).fill_null(0)).alias(age) for age in AGED),
        number("count").alias(IN_ALL),
        day("oldest"),
    )
    return Table("unmarked", UNMARKED, remarks(table, synthetic=synthetic), rows)


def aged(table: pl.DataFrame, names: Mapping[str, str] | None) -> pl.DataFrame:
    """Unmarked visits with the provider's name.

    Rows
    ----
    One per provider and age, those with most first, the youngest first.

    Columns
    -------
    row, the provider's name; rank Int64, of the age; count Int64; n Int64, of the provider; the rest as it was.
    """
    return table.with_columns(
        row=named("provider_id", names),
        rank=pl.col("age").replace_strict(AGED, range(len(AGED)), return_dtype=pl.Int64),
        count=pl.col("unmarked"),
        n=pl.col("unmarked").sum().over("provider_id"),
    ).sort("n", "row", "rank", descending=[True, False, False])


def heat(table: pl.DataFrame, *, synthetic: bool) -> Table:
    """Week by the hour as a table: what `charts.heat` draws.

    Rows
    ----
    One per hour.

    Columns
    -------
    hour; for each weekday the visits, and below them the share of no-shows among those due.

    Raises
    ------
    MetricError for a table of several slices.

    Source
    ------
    `volume.heat`.

    Examples
    --------
    >>> from healthie_nb import volume
    >>> from healthie_nb.visits import example
    >>> table = volume.heat(example({"ada": ["2026-01-05", "2026-01-12 No-Show"]}), as_of="2026-01-31")
    >>> heat(table, synthetic=True)
    Visits by weekday and hour, and the share of no-shows
    Demo practice: synthetic data
    * under 30 due
     hour       Mon
    15:00  2 [50%*]
    """
    said = pl.concat_str(number("visits"), pl.format("\n{}", share("rate")), ignore_nulls=True)
    cells = one_slice(table, but="weekday hour").with_columns(row=hour(), column=weekday(), said=said).sort("hour")
    days = [name for name in WEEKDAYS if name in {*cells["column"]}]
    wide = cells.pivot(on="column", index="row", values="said", on_columns=days)
    rows = wide.select(pl.col("row").alias("hour"), *(pl.col(name).fill_null("") for name in days))
    return Table("heat", HEAT, remarks(table, synthetic=synthetic, n="due"), rows)


def lead(table: pl.DataFrame, *, synthetic: bool, names: Mapping[str, str] | None = None) -> Table:
    """Days booked ahead as a table: what `charts.lead` draws.

    Rows
    ----
    One per value of the slice and bracket of days.

    Columns
    -------
    booked ahead; visits, and which share of all; due; no-shows; share with its 95 % interval, cluster-robust.

    Source
    ------
    `volume.lead`.

    Examples
    --------
    >>> from healthie_nb import volume
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-01-12 No-Show"]}).with_columns(lead_days=pl.Series([3.0, 30.0]))
    >>> table = volume.lead(seen, as_of="2026-01-31")
    >>> lead(table, synthetic=True)
    Share of no-shows, by how far ahead the visit was booked
    Demo practice: synthetic data
    * under 30 due
    booked ahead            visits  of all  due  no-shows           share
    up to 7 days                 1     50%    1         0      0%* [0-79]
    over 21, up to 60 days       1     50%    1         1  100%* [21-100]
    """
    split = bool(slices_of(table))
    rows = table.select(
        *([series_of(table, names).alias("of")] if split else []),
        pl.col("lead").alias("booked ahead"),
        number("visits"),
        share("share", few=False).fill_null("").alias("of all"),
        number("due"),
        number("missed").alias("no-shows"),
        rated().alias("share"),
    )
    notes = remarks(table, synthetic=synthetic, n="due")
    return Table("lead", LEAD, notes, rows, group="of" if split else None)


def funnel_plot(table: pl.DataFrame, *, synthetic: bool, names: Mapping[str, str] | None = None) -> Table:
    """Table of providers against limits: what `charts.funnel_plot` draws.

    Rows
    ----
    One per provider, those with most visits first.

    Columns
    -------
    provider; due; missed; share; limits at that many due, 95 % and 99.8 %; standing; how much visits of one client are
    alike.

    Source
    ------
    `volume.funnel_plot`.

    Examples
    --------
    >>> from healthie_nb import volume
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-01-12 No-Show"]}).with_columns(provider_id=pl.lit("p"))
    >>> table = volume.funnel_plot(seen, as_of="2026-01-31")
    >>> funnel_plot(table, synthetic=True)
    Share missed by provider, against the limits that chance alone sets
    Demo practice: synthetic data
    * under 30 due
    provider  due  missed  share  95 % limits  99.8 % limits  standing  design effect
    p           2       1   50%*       0-100%         0-100%  within              1.0
    """
    rows = table.sort("due", "provider_id", descending=[True, False]).select(
        named("provider_id", names).alias("provider"),
        number("due"),
        number("missed"),
        share("rate").fill_null("").alias("share"),
        pl.format("{}%", interval("low_95", "high_95")).fill_null("").alias("95 % limits"),
        pl.format("{}%", interval("low_998", "high_998")).fill_null("").alias("99.8 % limits"),
        "standing",
        number("design_effect", decimals=1).alias("design effect"),
    )
    return Table("funnel-plot", FUNNEL, remarks(table, synthetic=synthetic, n="due"), rows)


def rebooked(table: pl.DataFrame, *, every: Every, synthetic: bool, names: Mapping[str, str] | None = None) -> Table:
    """Rebooking as a table: what `charts.rebooked` draws, all values of a slice.

    Rows
    ----
    One per value of the slice and period.

    Columns
    -------
    period; clients; visits; rebooked; share with its 95 % interval, cluster-robust.

    Source
    ------
    `volume.rebooked`.

    Examples
    --------
    >>> from healthie_nb import volume
    >>> from healthie_nb.visits import example
    >>> made = pl.lit("2026-01-01").str.to_datetime(time_unit="us", time_zone="UTC")
    >>> seen = example({"ada": ["2026-01-05", "2026-02-02"], "bob": ["2026-01-06"]}).with_columns(booked_at=made)
    >>> table = volume.rebooked(seen, as_of="2026-01-31")
    >>> rebooked(table, every="month", synthetic=True)
    Share of visits soon after which the client had a next one booked
    Demo practice: synthetic data
    Hatched or hollow: not over yet, and still changing
    * under 30 visits
    period    clients  visits  rebooked        share
    Jan 2026        2       2         1  50%* [5-95]
    """
    split = bool(slices_of(table))
    shown = table.with_columns(of=series_of(table, names))
    shown = shown.sort("of", "period") if split else shown
    rows = shown.select(
        *(["of"] if split else []),
        period("period", every),
        *(number(name) for name in ("clients", "visits", "rebooked")),
        rated(low="robust_low", high="robust_high").alias("share"),
    )
    notes = remarks(table, synthetic=synthetic, n="visits")
    return Table("rebooked", REBOOKED, notes, rows, open_rows(shown, rows.columns), group="of" if split else None)
