"""Local days and minutes of the practice, and the instants they are."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from healthie_nb.demo.truth import ZONE

UTC_INSTANT = pl.Datetime("us", "UTC")
CLOSED_SHIFT_DAYS = 9
_CLOSED = [101, *range(1224, 1232)]
"""Month and day in one number."""


def instant(day: pl.Expr, minute: pl.Expr) -> pl.Expr:
    """Return the instant, in UTC, of a local day and the minutes since its midnight.

    Not for the hours when clocks change.
    """
    local = day.cast(pl.Datetime("us")) + pl.duration(minutes=minute)
    return local.dt.replace_time_zone(ZONE, ambiguous="earliest").dt.convert_time_zone("UTC")


def local(at: pl.Expr) -> pl.Expr:
    """Return the instant on the practice's clock."""
    return at.dt.convert_time_zone(ZONE)


def midnight(day: date) -> datetime:
    """Return the instant a local day begins."""
    return datetime.combine(day, time(), tzinfo=ZoneInfo(ZONE)).astimezone(UTC)


def end_of(day: date) -> datetime:
    """Return the instant a local day is over."""
    return midnight(day + timedelta(days=1))


def days(start: date, count: pl.Expr) -> pl.Expr:
    """Date: so many days after a start."""
    return pl.lit(start) + pl.duration(days=count)


def workday(day: pl.Expr) -> pl.Expr:
    """Return the day itself, or the Monday after its weekend."""
    return day + pl.duration(days=day.dt.weekday().cast(pl.Int64).replace_strict({6: 2, 7: 1}, default=0))


def open_day(day: pl.Expr) -> pl.Expr:
    """Return a working day on which the practice is open: it closes from December 24 to New Year's Day."""
    closed = (day.dt.month().cast(pl.Int64) * 100 + day.dt.day()).is_in(_CLOSED)
    return workday(day + pl.duration(days=closed.cast(pl.Int64) * CLOSED_SHIFT_DAYS))
