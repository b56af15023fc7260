"""Visits of any engine: a metric's big step in, a small polars frame out."""

from datetime import UTC, datetime
from typing import Any

import narwhals as nw
import polars as pl

from healthie_nb.visits import MetricError

AT_ONCE = 3_000_000  # rows, for each of which a big step may hold something


def reducible(visits: Any, *needs: str) -> nw.LazyFrame[Any]:
    """Visits of any engine as one kind of lazy frame, for a metric's big step.

    Raises
    ------
        MetricError when the frame is of another kind, or lacks one of the columns in `needs`.
    """
    try:
        rows: nw.LazyFrame[Any] = nw.from_native(visits).lazy()
    except TypeError as unsupported:
        message = (
            f"visits are a {type(visits).__name__}; allowed are a polars DataFrame or LazyFrame, a DuckDB relation and "
            "a PySpark DataFrame. Make them with visits(...), or read an exported folder with one of these engines."
        )
        raise MetricError(message) from unsupported
    there = rows.collect_schema().names()
    lacking = [name for name in needs if name not in there]
    if lacking:
        raise MetricError(
            f"these visits lack {', '.join(lacking)}: make them with visits(appointments, zone=...), of the rows that "
            "queries/appointments.graphql gives"
        )
    return rows


def reduced(rows: nw.LazyFrame[Any]) -> pl.DataFrame:
    """Answer of a metric's big step: a polars frame in no order; on every engine whole numbers Int64, instants UTC."""
    return reducing(rows).collect(engine="streaming")


def reducing(rows: nw.LazyFrame[Any]) -> pl.LazyFrame:
    """Return the same as `reduced`, which on polars is not made before it is collected with what follows."""
    native = rows.to_native()
    if isinstance(native, pl.LazyFrame):
        answer = native
    elif rows.implementation.is_duckdb():
        answer = pl.LazyFrame(native)  # by Arrow's C interface: its own .pl() needs pyarrow
    else:
        answer = _collected(rows).lazy()
    return answer.cast({pl.selectors.integer(): pl.Int64, pl.selectors.datetime(): pl.Datetime("us", "UTC")})


def by_year(rows: nw.LazyFrame[Any]) -> list[nw.LazyFrame[Any]]:
    """Rows in parts that no `starts_at` is in two of, for a big step that holds something for each of them.

    On polars one part a year where they are many, for memory; other engines put on disk what does not fit.
    """
    if not isinstance(rows.to_native(), pl.LazyFrame):
        return [rows]
    at = nw.col("starts_at")
    if reduced(rows.select(nw.len())).item() <= AT_ONCE:
        return [rows]
    first, last = reduced(rows.select(first=at.min(), last=at.max())).row(0)
    years = range(first.year, last.year + 1)
    return [
        rows.filter(at >= datetime(year, 1, 1, tzinfo=UTC), at < datetime(year + 1, 1, 1, tzinfo=UTC)) for year in years
    ]


def _collected(rows: nw.LazyFrame[Any]) -> pl.DataFrame:
    try:
        answer: pl.DataFrame = rows.collect(backend="polars").to_native()
    except ImportError as missing:
        raise MetricError(
            f"{rows.implementation.value} hands its answers over by pyarrow, which is not installed; install "
            "healthie-nb[spark]"
        ) from missing
    return answer
