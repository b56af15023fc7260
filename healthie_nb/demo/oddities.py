"""Rows that trip up who counts calendars: blocks, synced events, bookings without a date, doubles."""

from datetime import timedelta

import polars as pl

from healthie_nb.demo.draws import Draws
from healthie_nb.demo.moments import days, instant, workday
from healthie_nb.demo.truth import ADMIN, FIRST_DAY, PROVIDERS

BLOCK_KEYS, SYNCED_KEYS, UNDATED_KEYS, DOUBLE_KEYS = (2**53 + place * 2**50 for place in range(4))
DOUBLES = 0.0003
UNDATED = 0.006
_STAYING = {one.id: 1.0 for one in PROVIDERS if one.left is None and one.started < FIRST_DAY}


def oddities(draws: Draws, clients: pl.DataFrame, bookings: pl.DataFrame) -> pl.DataFrame:
    """Rows: one per calendar block, synced event, booking without a date, and booking entered twice."""
    return pl.concat(
        [
            _events(draws, "block", BLOCK_KEYS, count=900, minutes=60),
            _events(draws, "synced", SYNCED_KEYS, count=1_400, minutes=45),
            _undated(draws, clients),
            _doubles(draws, bookings),
        ],
        how="diagonal",
    )


def _events(draws: Draws, kind: str, keys: int, *, count: int, minutes: int) -> pl.DataFrame:
    key = pl.col("key")
    frame = pl.DataFrame({"key": pl.int_range(keys, keys + count, dtype=pl.UInt64, eager=True)})
    day = workday(days(FIRST_DAY, draws.integer(f"{kind} day", key, low=2, high=1140)))
    starts_at = instant(day, draws.integer(f"{kind} hour", key, low=8, high=17) * 60)
    ahead = pl.duration(minutes=draws.integer(f"{kind} ahead", key, low=2_000, high=50_000))
    return frame.with_columns(starts_at=starts_at).with_columns(
        booked_for=pl.col("starts_at"),
        created_at=pl.col("starts_at") - ahead,
        provider_id=draws.pick(f"{kind} of", key, among=_STAYING),
        minutes=pl.lit(minutes, dtype=pl.Int64),
        is_block=pl.lit(kind == "block"),
        is_synced=pl.lit(kind == "synced"),
    )


def _undated(draws: Draws, clients: pl.DataFrame) -> pl.DataFrame:
    who = pl.col("client")
    return clients.filter(draws.chance("undated", who, of=UNDATED)).select(
        (who.cast(pl.UInt64) + UNDATED_KEYS).alias("key"),
        "client",
        (pl.col("created_at") + timedelta(days=2)).alias("created_at"),
        type_id=pl.lit(ADMIN),
        minutes=pl.lit(20, dtype=pl.Int64),
        provider_id=pl.col("first_provider_id"),
        reschedule_count=pl.lit(0, dtype=pl.Int64),
    )


def _doubles(draws: Draws, bookings: pl.DataFrame) -> pl.DataFrame:
    """Return the same client, provider and time once more, entered a minute later and left without a status."""
    return (
        bookings.filter("took_place")
        .filter(draws.chance("double", pl.col("key"), of=DOUBLES))
        .select("client", "provider_id", "type_id", "minutes", "booked_for", "starts_at", "created_at", "key")
        .with_columns(
            key=pl.col("key") + DOUBLE_KEYS,
            created_at=pl.col("created_at") + timedelta(minutes=1),
            reschedule_count=pl.lit(0, dtype=pl.Int64),
        )
    )
