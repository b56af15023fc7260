"""Tables of cohorts: who came back, a second time or later, and who is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from healthie_nb.newcomers import SPLITS
from healthie_nb.tables.table import Table
from healthie_nb.visits import MetricError
from healthie_nb.wording import ALL, NOUNS, interval, named, number, period, rated, remarks, share

if TYPE_CHECKING:
    from collections.abc import Mapping

    from healthie_nb.newcomers import Every

RETURNED: Final = "Share of new clients who came back, by time since their first visit"
MEANS: Final = "Mean share of new clients who came back: a summary of the closed cohorts, not a curve"
POPULATION: Final = "Who is in the cohorts, and who is not"
STANDINGS: Final = {
    "new": "in a cohort: their first visit ever is known",
    "unknown": "left out: they may have come before the history that is loaded",
    "not seen": "left out: no clinical visit of theirs took place",
}
SETTLING: Final = "Hatched: part of the cohort has not had that long yet"


def cohorts(table: pl.DataFrame, *, every: Every, synthetic: bool) -> Table:
    r"""Cohorts as a table: what `charts.cohorts` draws, with the intervals.

    Rows
    ----
    One per cohort, by date.

    Columns
    -------
    first visit, the cohort; new clients, its size; then for each stretch of time since the first visit the share that
    returned and its 95 % interval in per cent; of how many, where that is not the whole cohort.

    Raises
    ------
    MetricError for a table split by provider, type, modality or source.

    Source
    ------
    `retention.cohorts`.

    Examples
    --------
    >>> from healthie_nb import retention
    >>> from healthie_nb.visits import example
    >>> seen = example({"7": ["2026-01-05", "2026-02-20"], "8": ["2026-01-20"]})
    >>> cohorts(retention.cohorts(seen, as_of="2026-06-30"), every="month", synthetic=False).rows.row(0)
    ('Jan 2026', '2', '50%*\n9-91')
    """
    index = ["first visit", "new clients"]
    of = pl.when(pl.col("eligible") < pl.col("clients")).then(pl.format("of {}: ", "eligible")).otherwise(pl.lit(""))
    named = unsplit(table).select(
        "label",
        "is_open",
        period("cohort", every).alias(index[0]),
        number("clients").alias(index[1]),
        text=pl.concat_str(share(), pl.lit("\n"), of, interval(), ignore_nulls=False).fill_null(""),
    )
    rows = named.pivot(on="label", index=index, values="text", maintain_order=True)
    is_open = named.pivot(on="label", index=index, values="is_open", maintain_order=True).rows()
    hatched = frozenset((i, j) for i, row in enumerate(is_open) for j, is_it in enumerate(row) if is_it is True)
    return Table("cohorts", RETURNED, remarks(table, synthetic=synthetic, n="eligible", open_=SETTLING), rows, hatched)


def unsplit(table: pl.DataFrame) -> pl.DataFrame:
    """Refuse cohorts of several groups at once: one chart or table shows one row per cohort.

    Raises
    ------
    MetricError naming the column to filter by.
    """
    if table.select("cohort", "period").is_duplicated().any():
        raise MetricError(f"these cohorts are split by {table.columns[1]}: filter the table to one value of it first.")
    return table


def means(table: pl.DataFrame, *, synthetic: bool, names: Mapping[str, str] | None = None) -> Table:
    r"""Means over closed cohorts as a table: a summary of what `charts.cohorts` draws, labelled as one.

    Rows
    ----
    One per value of the split and stretch of time since the first visit.

    Columns
    -------
    since the first visit; cohorts, those closed; clients in them; came back; each client alike, the weighted mean with
    its 95 % interval; each cohort alike, the simple mean.

    Source
    ------
    `retention.means`.

    Examples
    --------
    >>> from healthie_nb import retention
    >>> from healthie_nb.visits import example
    >>> seen = example({"7": ["2026-01-05", "2026-02-20"], "8": ["2026-01-20"], "9": ["2026-02-02"]})
    >>> table = retention.means(retention.cohorts(seen, as_of="2026-06-30"))
    >>> means(table, synthetic=True).rows.row(0)
    ('days 31-90', '2', '3', '1', '33%*\n6-79', '25%*')
    """
    rows = table.select(
        *([series_of(table, names).alias("of")] if split_of(table) else []),
        pl.col("label").alias("since the first visit"),
        number("cohorts"),
        number("eligible").alias("clients"),
        number("returned").alias("came back"),
        rated("weighted").alias("each client alike"),
        share("simple").fill_null("").alias("each cohort alike"),
    )
    return Table("means", MEANS, remarks(table, synthetic=synthetic, n="eligible"), rows)


def population(table: pl.DataFrame, *, synthetic: bool) -> Table:
    """Who is in the cohorts and who is not, as a table.

    Rows
    ----
    One per standing.

    Columns
    -------
    standing; clients; what it means.

    Source
    ------
    `retention.population`.

    Examples
    --------
    >>> table = pl.DataFrame({"standing": ["new", "unknown", "not seen"], "clients": [70, 4, 1025]})
    >>> population(table, synthetic=True).rows.row(0)
    ('new', '70', 'in a cohort: their first visit ever is known')
    """
    rows = table.select("standing", number("clients"), pl.col("standing").replace_strict(STANDINGS).alias("which are"))
    return Table("population", POPULATION, remarks(table, synthetic=synthetic), rows)


def second_visit(
    table: pl.DataFrame, *, every: Every, synthetic: bool, names: Mapping[str, str] | None = None
) -> Table:
    """Second visits as a table: what `charts.second_visit` draws, all values of a split.

    Rows
    ----
    One per value of the split and cohort.

    Columns
    -------
    first visit, the cohort; new clients; have had that long; came again of these; share with its 95 % interval.

    Source
    ------
    `retention.cohorts` with one bracket.

    Examples
    --------
    >>> from healthie_nb import retention
    >>> from healthie_nb.visits import example
    >>> seen = {"7": ["2026-01-05", "2026-02-20"], "8": ["2026-01-20"], "9": ["2026-05-02"]}
    >>> table = retention.cohorts(example(seen), as_of="2026-06-30")
    >>> second_visit(table, every="month", synthetic=True)
    Share of new clients who came again in days 31-90 after the first visit
    Demo practice: synthetic data
    Hatched or hollow: not over yet, and still changing
    * under 30 eligible
    first visit  new clients  have had that long  came again        share
    Jan 2026               2                   2           1  50%* [9-91]
    May 2026               1                   0           0
    """
    split = split_of(table)
    rows = table.select(
        *([series_of(table, names).alias("of")] if split else []),
        period("cohort", every).alias("first visit"),
        number("clients").alias("new clients"),
        number("eligible").alias("have had that long"),
        number("returned").alias("came again"),
        rated().alias("share"),
    )
    notes = remarks(table, synthetic=synthetic, n="eligible")
    hatched = open_rows(table, rows.columns)
    return Table("second-visit", second_visit_title(table), notes, rows, hatched, group="of" if split else None)


def chance_limits(table: pl.DataFrame, *, synthetic: bool, names: Mapping[str, str] | None = None) -> Table:
    """Values of a split against the limits of chance as a table: what `charts.chance_limits` draws.

    Rows
    ----
    One per value of the split, those with most clients first.

    Columns
    -------
    of; have had that long; came again; share; limits at that number, 95 % and 99.8 %; standing.

    Source
    ------
    `retention.chance_limits`.

    Examples
    --------
    >>> from healthie_nb import retention
    >>> made = {"provider_id": ["p", "q"], "period": [1, 1], "label": ["days 1-45"] * 2, "is_open": [False] * 2}
    >>> made |= {"eligible": [400, 40], "returned": [300, 16], "rate": [0.75, 0.4]}
    >>> table = retention.chance_limits(pl.DataFrame(made))
    >>> chance_limits(table, synthetic=True)
    Share of new clients who came again in days 1-45 after the first visit
    Demo practice: synthetic data
    of  have had that long  came again  share  95 % limits  99.8 % limits  standing
    p                  400         300    75%       67-76%         65-78%  within
    q                   40          16    40%       57-85%         48-92%  below 99.8 %
    """
    rows = table.sort("eligible", descending=True, maintain_order=True).select(
        series_of(table, names).alias("of"),
        number("eligible").alias("have had that long"),
        number("returned").alias("came again"),
        share().fill_null("").alias("share"),
        pl.format("{}%", interval("low_95", "high_95")).fill_null("").alias("95 % limits"),
        pl.format("{}%", interval("low_998", "high_998")).fill_null("").alias("99.8 % limits"),
        "standing",
    )
    return Table("chance-limits", second_visit_title(table), remarks(table, synthetic=synthetic, n="eligible"), rows)


def second_visit_title(table: pl.DataFrame) -> str:
    """Name the stretch of time: days 1-45."""
    label = str(table["label"].first()) if table.height else "time"
    return f"Share of new clients who came again in {label} after the first visit"


def split_of(table: pl.DataFrame) -> str | None:
    """Column that a table is split by, if it is."""
    return next((column for column in SPLITS.values() if column in table.columns), None)


def series_of(table: pl.DataFrame, names: Mapping[str, str] | None) -> pl.Expr:
    """Name of each row's value of the split; "all" where there is none."""
    split = split_of(table)
    return named(split, names) if split else pl.lit(ALL)


def noun_of(table: pl.DataFrame) -> str:
    """Say what a value of a table's split is; "all" where there is none."""
    split = split_of(table)
    return NOUNS.get(split, split) if split else ALL


def open_rows(table: pl.DataFrame, columns: list[str]) -> frozenset[tuple[int, int]]:
    """Cells of rows that are open, but for those that name the row."""
    names = 1 + ("of" in columns)
    return frozenset((i, j) for i, is_it in enumerate(table["is_open"]) if is_it for j in range(names, len(columns)))
