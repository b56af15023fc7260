"""Which visits a metric of volume counts, and by what it slices them."""

from collections.abc import Collection, Sequence
from datetime import date, timedelta
from typing import Any, Final, Literal

import narwhals as nw
import polars as pl

from healthie_nb.engines import reduced, reducible
from healthie_nb.newcomers import EPOCH, choice, day_number
from healthie_nb.visits import MetricError

By = Literal["provider", "type", "role", "modality", "status", "weekday", "hour", "first visit"]

COLUMNS: Final[dict[str, str]] = {
    "provider": "provider_id",
    "type": "appointment_type_id",
    "role": "role",
    "modality": "modality",
    "status": "status",
    "weekday": "weekday",
    "hour": "hour",
    "first visit": "is_first",
}


def columns_of(by: Sequence[str], allowed: Collection[str]) -> list[str]:
    """Name the columns to slice by.

    Raises
    ------
    MetricError for one that is not allowed, or given twice.

    Examples
    --------
    >>> columns_of(["provider"], ["provider", "role"])
    ['provider_id']
    """
    if isinstance(by, str):
        raise MetricError(f"by is {by!r}: give a list of {', '.join(map(repr, allowed))}, such as [{by!r}].")
    if len({*by}) < len(by):
        raise MetricError(f"by is {list(by)}: name each once.")
    return [COLUMNS[choice(name, allowed, name="by")] for name in by]


def begun(visits: Any, as_of: str | date, *needs: str) -> nw.LazyFrame[Any]:
    """Visits of every role, status and time, on the engine they came in.

    Raises
    ------
    MetricError for a column missing, or when every visit is after `as_of`.
    """
    rows = reducible(visits, "day", *needs)
    first, until = reduced(rows.select(first=nw.col("day").min())).item(), day_number(as_of)
    if first is not None and first > until:
        begins = EPOCH + timedelta(days=first)
        raise MetricError(f"as_of is {as_of}, and the first visit is on {begins}: give a day from then on.")
    return rows


def between(rows: nw.LazyFrame[Any], since: str | date | None, as_of: str | date) -> nw.LazyFrame[Any]:
    """Keep the days from `since`, or the first, up to and including `as_of`."""
    rows = rows.filter(nw.col("day") <= day_number(as_of))
    return rows if since is None else rows.filter(nw.col("day") >= day_number(since, name="since"))


def number(holds: nw.Expr) -> nw.Expr:
    """How many rows something holds for, as a whole number on every engine."""
    return holds.cast(nw.Int64).sum().cast(nw.Int64)


def periods(first: date | None, as_of: str | date, step: str) -> pl.DataFrame:
    """Every calendar period from one's first day to that of `as_of`: none without a first.

    Rows: one per period, in order. Columns: period Date.
    """
    if first is None:
        return pl.DataFrame(schema={"period": pl.Date})
    last = EPOCH + timedelta(days=day_number(as_of))
    return pl.DataFrame({"period": pl.date_range(first, last, step, eager=True)})
