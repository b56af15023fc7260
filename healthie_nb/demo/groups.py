"""The skills groups: three series a week, led by one or two, and who came to each session."""

from datetime import date, timedelta

import polars as pl

from healthie_nb.demo.courses import BOOKED_AHEAD_DAYS
from healthie_nb.demo.draws import Draws
from healthie_nb.demo.moments import instant, open_day
from healthie_nb.demo.truth import FIRST_DAY, GROUP, GROUP_CANCELLED, GROUP_MISSED, LAST_DAY, drop_out_probability

SERIES_ID = 7_000_000
NEVER_MARKED = 0.05
CALLED_OFF = 0.03
JOINS = 0.12
SESSIONS = 24
"""Nobody stays longer in a group."""

_KEYS = 2**52
_LEADERS = (("902", "905", 2, 1020), ("903", None, 3, 1050), ("907", None, 4, 720))
"""Leader, co-leader, weekday (Monday 1), minute of the day."""


def sessions(draws: Draws) -> pl.DataFrame:
    """Every session. Rows: one per date and group. Columns: key, and those of a booking without a client."""
    key = pl.col("key")
    status = (
        pl.when(draws.chance("group off", key, of=CALLED_OFF)).then(pl.lit("Cancelled")).otherwise(pl.lit("Occurred"))
    )
    return (
        pl.concat([_dates(group) for group in range(len(_LEADERS))])
        .filter(open_day(pl.col("day")) == pl.col("day"))
        .with_columns(
            key=pl.lit(_KEYS, dtype=pl.UInt64) + pl.col("group").cast(pl.UInt64) * 4096 + pl.col("week").cast(pl.UInt64)
        )
        .with_columns(booked_for=instant(pl.col("day"), pl.col("minute")), status=status)
        .with_columns(starts_at=pl.col("booked_for"), status_at=_status_at(draws))
        .with_columns(
            created_at=pl.col("starts_at").min().over("group", pl.col("week") // 13) - pl.duration(days=75),
            is_marked=~draws.chance("never marked", key, of=NEVER_MARKED),
            reason_type=pl.when(pl.col("status") == "Cancelled").then(pl.lit("provider")),
            took_place=pl.col("status") == "Occurred",
            is_group=pl.lit(value=True),
            series=SERIES_ID + pl.col("group").cast(pl.Int64) * 100 + pl.col("week").cast(pl.Int64) // 13,
            reschedule_count=pl.lit(0, dtype=pl.Int64),
            minutes=pl.lit(90, dtype=pl.Int64),
            type_id=pl.lit(GROUP),
        )
    )


def attendances(draws: Draws, clients: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """Who was to come to which session.

    Rows: one per client and session. Columns: key (of the session), client,
    joined_at, outcome (attended, missed, cancelled, unmarked), outcome_at, is_last (the client's last session).
    """
    at = (pl.col("client"), pl.col("week"))
    outcome = draws.uniform("group outcome", *at)
    drop = float(pl.select(drop_out_probability(pl.lit(GROUP))).item())
    return (
        _members(draws, clients)
        .join(
            sessions.select("group", "week", "key", "starts_at", "status", "status_at", "created_at", "is_marked"),
            on="group",
        )
        .filter(pl.col("week").is_between(pl.col("from_week"), pl.col("from_week") + SESSIONS - 1))
        .sort("client", "week")
        .with_columns(is_last=draws.chance("leaves group", *at, of=drop))
        .filter(pl.col("is_last").cum_sum().over("client") - pl.col("is_last").cast(pl.UInt32) == 0)
        .with_columns(draw=outcome)
        .with_columns(outcome=_outcome())
        .with_columns(
            joined_at=pl.max_horizontal("created_at", pl.col("starts_at") - pl.duration(days=6)),
            outcome_at=_outcome_at(draws),
        )
        .select("key", "client", "joined_at", "outcome", "outcome_at", "is_last")
    )


def _dates(group: int) -> pl.DataFrame:
    leader, partner, weekday, minute = _LEADERS[group]
    start = FIRST_DAY + timedelta(days=14 + (weekday - FIRST_DAY.isoweekday()) % 7)
    dates: list[date] = pl.date_range(start, LAST_DAY + timedelta(days=BOOKED_AHEAD_DAYS), "1w", eager=True).to_list()
    return pl.DataFrame({"day": dates}).with_columns(
        group=pl.lit(group, dtype=pl.UInt32),
        week=pl.int_range(pl.len(), dtype=pl.UInt32),
        minute=pl.lit(minute),
        provider_id=pl.lit(leader),
        co_provider_id=pl.lit(partner, dtype=pl.String),
    )


def _status_at(draws: Draws) -> pl.Expr:
    recorded = pl.col("booked_for") + pl.duration(
        minutes=draws.integer("group recorded", pl.col("key"), low=95, high=900)
    )
    return (
        pl.when(pl.col("status") == "Cancelled").then(pl.col("booked_for") - pl.duration(hours=50)).otherwise(recorded)
    )


def _members(draws: Draws, clients: pl.DataFrame) -> pl.DataFrame:
    """Clients who join a group some weeks after their first visit."""
    who = pl.col("client")
    weeks = (pl.col("first_day") - pl.lit(FIRST_DAY)).dt.total_days() // 7 + draws.integer(
        "joins after", who, low=2, high=10
    )
    return (
        clients.filter("has_course")
        .filter(draws.chance("joins group", who, of=JOINS))
        .select("client", group=draws.integer("group", who, low=0, high=2).cast(pl.UInt32), from_week=weeks.clip(0))
    )


def _outcome() -> pl.Expr:
    return (
        pl.when(pl.col("status") == "Cancelled")
        .then(pl.lit("unmarked"))
        .when(pl.col("draw") < GROUP_CANCELLED)
        .then(pl.lit("cancelled"))
        .when(~pl.col("is_marked"))
        .then(pl.lit("unmarked"))
        .when(pl.col("draw") < GROUP_CANCELLED + (1 - GROUP_CANCELLED) * GROUP_MISSED)
        .then(pl.lit("missed"))
        .otherwise(pl.lit("attended"))
    )


def _outcome_at(draws: Draws) -> pl.Expr:
    hours = draws.integer("group notice", pl.col("client"), pl.col("week"), low=2, high=96)
    return (
        pl.when(pl.col("outcome") == "cancelled")
        .then(pl.col("starts_at") - pl.duration(hours=hours))
        .when(pl.col("outcome") != "unmarked")
        .then("status_at")
    )
