"""On whose calendar sign-ups, forms and notes fall.

Metrics take the day of an instant, and the end of a day, from the time zone that its column is in: UTC as it is loaded,
the practice's own after `local`. Visits have days of their own, made with the zone.
"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from healthie_nb.newcomers import EPOCH, day_number
from healthie_nb.visits import UTC as INSTANT
from healthie_nb.visits import known_zone


def local(rows: pl.DataFrame, *, zone: str) -> pl.DataFrame:
    """Rows with every instant on the practice's own clock: the same instants, and its days.

    What is filled at eight in the evening in Chicago is of that day there, and of the next one in UTC.

    Rows, Columns
    -------------
    As given; Datetime in `zone`, also within lists.

    Raises
    ------
    MetricError for an unknown zone.

    Source
    ------
    `rows` from queries/, or from practice.ledger.

    Examples
    --------
    >>> at = pl.lit("2026-06-30 01:00").str.to_datetime(time_unit="us", time_zone="UTC")
    >>> filled = pl.DataFrame({"id": ["1"]}).with_columns(filled_at=at)
    >>> local(filled, zone="America/Chicago").select(pl.col("filled_at").dt.date()).item()
    datetime.date(2026, 6, 29)
    """
    known_zone(zone)
    return rows.cast({name: _in_zone(dtype, zone) for name, dtype in rows.schema.items()})


def _in_zone(dtype: pl.DataType, zone: str) -> pl.DataType:
    if isinstance(dtype, pl.Datetime):
        return pl.Datetime(dtype.time_unit, zone) if dtype.time_zone else dtype
    if isinstance(dtype, pl.List):
        return pl.List(_in_zone(dtype.inner, zone))  # type: ignore[arg-type]
    if isinstance(dtype, pl.Struct):
        return pl.Struct({one.name: _in_zone(one.dtype, zone) for one in dtype.fields})  # type: ignore[arg-type]
    return dtype


def night(day: str | date, instants: pl.Series) -> pl.Expr:
    """End of a day in the zone of these instants, in UTC."""
    zone = getattr(instants.dtype, "time_zone", None) or "UTC"
    after = datetime.combine(EPOCH + timedelta(days=day_number(day) + 1), time(), ZoneInfo(zone))
    return pl.lit(after.astimezone(UTC)).cast(INSTANT)


def instant(column: str) -> pl.Expr:
    """Instants in UTC, whichever zone they are in, so that those of several frames can be compared."""
    return pl.col(column).cast(INSTANT)
