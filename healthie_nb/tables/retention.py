"""Tables of who stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from healthie_nb.tables.table import Table
from healthie_nb.visits import MetricError
from healthie_nb.wording import interval, number, period, remarks, share

if TYPE_CHECKING:
    from healthie_nb.newcomers import Every

RETURNED: Final = "Share of new clients who came back, by time since their first visit"
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
