"""What is planned: every client's one-to-one visits, one after the other, until the course ends."""

from datetime import timedelta

import polars as pl

from healthie_nb.demo.draws import Draws
from healthie_nb.demo.moments import instant, open_day, workday
from healthie_nb.demo.people import provider_on
from healthie_nb.demo.truth import (
    ADMIN,
    DISCOVERY,
    FOLLOW_UP,
    INTAKE,
    LAST_DAY,
    PROGRAMME_VISITS,
    RETIRED,
    THERAPY,
    TYPES,
    drop_out_probability,
)

BOOKED_AHEAD_DAYS = 60
SERIES = 6
"""Weekly sessions are booked so many at a time."""
RETIRED_SHARE = 0.3
ADMIN_SHARE = 0.25

_RETIRED_ON = next(one.deleted for one in TYPES if one.id == RETIRED)


def planned(draws: Draws, clients: pl.DataFrame) -> pl.DataFrame:
    """Every one-to-one visit ever booked.

    Rows: one per booking. Columns: key UInt64 (its draws' address), client, type_id, day Date, created_at, series
    (null unless recurring), ended_at (the course was over before this visit), position, is_last.
    """
    courses = _courses(draws, clients)
    return (
        pl.concat([courses, _discovery(draws, clients), _admin(draws, clients)], how="diagonal")
        .with_columns(draw=pl.col("client"))
        .with_columns(provider_id=provider_on(draws, pl.col("day"), pl.col("first_provider_id"), pl.col("client")))
        .drop("first_provider_id", "draw")
    )


def _courses(draws: Draws, clients: pl.DataFrame) -> pl.DataFrame:
    return (
        clients.filter("has_course")
        .select("client", "created_at", "first_provider_id", "track", "cadence", "is_migrated", start="first_day")
        .with_columns(position=_positions())
        .explode("position", empty_as_null=False)
        .with_columns(gap=_gap(draws))
        .with_columns(planned=_planned_day())
        .with_columns(type_id=_type(draws))
        .with_columns(is_last=_is_last(draws), planned_before=pl.col("planned").shift(1).over("client"))
        .with_columns(ended=pl.col("is_last").cum_sum().over("client") - pl.col("is_last").cast(pl.UInt32) > 0)
        .with_columns(block=_block(), last_day=pl.col("planned").filter("is_last").first().over("client"))
        .filter(~pl.col("ended") | (pl.col("block") == pl.col("block").filter("is_last").first().over("client")))
        .with_columns(booked_at=_booked_at(draws))
        .with_columns(created_at=_series_at(), day=open_day(pl.col("planned")))
        .select(
            (pl.col("client").cast(pl.UInt64) * 4096 + pl.col("position").cast(pl.UInt64)).alias("key"),
            "client",
            "first_provider_id",
            "type_id",
            "day",
            "created_at",
            pl.when(pl.col("block").is_not_null()).then(pl.col("client") * 100 + pl.col("block")).alias("series"),
            pl.when("ended").then(_ended_at(draws)).alias("ended_at"),
            "position",
            (pl.col("is_last") & ~pl.col("ended")).alias("is_last"),
        )
    )


def _positions() -> pl.Expr:
    """0 is the intake; whoever came from an earlier system starts at 1."""
    horizon = LAST_DAY + timedelta(days=BOOKED_AHEAD_DAYS)
    shortest = pl.when(pl.col("track") == "follow-up").then(pl.col("cadence") - 1).otherwise(7)
    fit = (pl.lit(horizon) - pl.col("start")).dt.total_days() // shortest + 1
    end = pl.when(pl.col("track") == "programme").then(PROGRAMME_VISITS + 1).otherwise(fit.clip(2, 200))
    return pl.int_ranges(pl.col("is_migrated").cast(pl.Int64), end)


def _gap(draws: Draws) -> pl.Expr:
    at = (pl.col("client"), pl.col("position"))
    # Weekly sessions keep their weekday; only the step from the intake to the first of them varies.
    weekly = pl.when(pl.col("position") == 1).then(draws.integer("step", *at, low=5, high=12)).otherwise(7)
    return (
        pl.when(pl.col("track") == "therapy")
        .then(weekly)
        .when(pl.col("track") == "programme")
        .then(draws.integer("step", *at, low=7, high=11))
        .otherwise(pl.col("cadence") + draws.integer("step", *at, low=-1, high=5))
    )


def _planned_day() -> pl.Expr:
    is_first = pl.col("position") == pl.col("position").min().over("client")
    offset = pl.when(is_first).then(0).otherwise("gap").cum_sum().over("client")
    return workday(pl.col("start") + pl.duration(days=offset))


def _type(draws: Draws) -> pl.Expr:
    retired = draws.chance("retired type", pl.col("client"), pl.col("position"), of=RETIRED_SHARE)
    return (
        pl.when(pl.col("position") == 0)
        .then(pl.lit(INTAKE))
        .when(pl.col("track") == "therapy")
        .then(pl.lit(THERAPY))
        .when((pl.col("track") == "follow-up") & (pl.col("planned") < pl.lit(_RETIRED_ON)) & retired)
        .then(pl.lit(RETIRED))
        .otherwise(pl.lit(FOLLOW_UP))
    )


def _is_last(draws: Draws) -> pl.Expr:
    drop = draws.chance("drop out", pl.col("client"), pl.col("position"), of=drop_out_probability(pl.col("type_id")))
    return drop & ~((pl.col("track") == "programme") & (pl.col("position") == PROGRAMME_VISITS))


def _block() -> pl.Expr:
    is_weekly = (pl.col("track") == "therapy") & (pl.col("position") > 0)
    return pl.when(is_weekly).then((pl.col("position") - 1) // SERIES)


def _booked_at(draws: Draws) -> pl.Expr:
    """At the end of the day of the visit before; the first one soon after the sign-up."""
    evening = draws.integer("booking minute", pl.col("client"), pl.col("position"), low=1050, high=1190)
    before = pl.col("planned_before").fill_null(pl.col("start") - pl.duration(days=6))
    at = instant(before, evening)
    soon = pl.col("created_at") + pl.duration(
        minutes=draws.integer("first booking", pl.col("client"), low=0, high=1200)
    )
    return pl.when(pl.col("position") == 0).then(soon).otherwise(at)


def _series_at() -> pl.Expr:
    of_series = pl.col("booked_at").first().over("client", "block")
    return pl.when(pl.col("block").is_not_null()).then(of_series).otherwise("booked_at")


def _ended_at(draws: Draws) -> pl.Expr:
    return instant(
        pl.col("last_day") + pl.duration(days=draws.integer("gives notice", pl.col("client"), low=1, high=4)),
        draws.integer("notice minute", pl.col("client"), low=540, high=1080),
    )


def _discovery(draws: Draws, clients: pl.DataFrame) -> pl.DataFrame:
    wait = draws.integer("discovery wait", pl.col("client"), low=3, high=9)
    return (
        clients.filter("has_discovery")
        .select(
            (pl.col("client").cast(pl.UInt64) * 4096 + 4000).alias("key"),
            "client",
            "first_provider_id",
            "created_at",
            type_id=pl.lit(DISCOVERY),
            day=workday(pl.col("created_day") + pl.duration(days=wait)),
        )
        .with_columns(day=open_day(pl.col("day")))
    )


def _admin(draws: Draws, clients: pl.DataFrame) -> pl.DataFrame:
    who = pl.col("client")
    booked = pl.col("first_day") + pl.duration(days=draws.integer("admin day", who, low=1, high=40))
    return (
        clients.filter("has_course")
        .filter(draws.chance("admin", who, of=ADMIN_SHARE))
        .select(
            (who.cast(pl.UInt64) * 4096 + 4001).alias("key"),
            "client",
            "first_provider_id",
            instant(booked, draws.integer("admin minute", who, low=540, high=1000)).alias("created_at"),
            type_id=pl.lit(ADMIN),
            day=workday(booked + pl.duration(days=3)),
        )
        .with_columns(day=open_day(pl.col("day")))
    )
