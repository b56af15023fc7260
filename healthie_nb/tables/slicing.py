"""What a sliced table is of, in words: the same in its chart and its table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from healthie_nb.slices import COLUMNS
from healthie_nb.visits import MetricError
from healthie_nb.wording import ALL, NOBODY, named

if TYPE_CHECKING:
    from collections.abc import Mapping

# A status in words, in the order in which a column is stacked.
STATUSES: Final = {
    "occurred": "occurred",
    "no_show": "no-show",
    "checked_in": "checked in",
    "unrecorded": "unmarked",
    "other": "other",
    "rescheduled": "rescheduled",
    "late_cancelled": "cancelled late",
    "cancelled": "cancelled",
}
WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
LABELS: Final = {column: label for label, column in COLUMNS.items()}


def slices_of(table: pl.DataFrame) -> list[str]:
    """Columns that a table is sliced by."""
    return [column for column in COLUMNS.values() if column in table.columns]


def one_slice(table: pl.DataFrame, *, but: str = "") -> pl.DataFrame:
    """Refuse a table of several slices at once: what is drawn shows one.

    Raises
    ------
    MetricError naming the columns to filter by.
    """
    columns = [column for column in slices_of(table) if column not in but.split()]
    if columns and table.select(columns).unique().height > 1:
        raise MetricError(f"this table is sliced by {', '.join(columns)}: filter it to one value first.")
    return table


def series_of(table: pl.DataFrame, names: Mapping[str, str] | None) -> pl.Expr:
    """Name of each row's slice; "all" where there is none.

    Examples
    --------
    >>> rows = pl.DataFrame({"provider_id": ["7", "8"], "weekday": [1, 7]})
    >>> rows.select(made=series_of(rows, {"7": "Dr Ada"}))["made"].to_list()
    ['Dr Ada · Mon', '8 · Sun']
    """
    words = [_word(column, names) for column in slices_of(table)]
    return pl.concat_str(words, separator=" · ") if words else pl.lit(ALL)


def open_rows(table: pl.DataFrame, columns: list[str]) -> frozenset[tuple[int, int]]:
    """Cells of rows that are open, but for those that name the row."""
    first = 1 + ("of" in columns)
    return frozenset((i, j) for i, is_it in enumerate(table["is_open"]) if is_it for j in range(first, len(columns)))


def _word(column: str, names: Mapping[str, str] | None) -> pl.Expr:
    """Value of a slice in words."""
    value = pl.col(column)
    if column == "status":
        return value.replace(STATUSES)
    if column == "weekday":
        return weekday()
    if column == "hour":
        return hour()
    if column == "is_first":
        said = pl.when(value).then(pl.lit("first visits")).otherwise(pl.lit("later visits"))
        return pl.when(value.is_null()).then(pl.lit("not known which")).otherwise(said)
    return named(column, names) if column.endswith("_id") else value.fill_null(NOBODY)


def weekday() -> pl.Expr:
    """Weekday in three letters."""
    return pl.col("weekday").cast(pl.Int64).replace_strict(range(1, 8), WEEKDAYS, return_dtype=pl.String)


def hour() -> pl.Expr:
    """Hour of the day: 8:00."""
    return pl.format("{}:00", "hour")
