"""What became of each booking (moved, replaced, cancelled, missed, or it took place), and when that was known."""

import polars as pl

from healthie_nb.demo.draws import Draws
from healthie_nb.demo.moments import instant, local, midnight, workday
from healthie_nb.demo.truth import (
    CANCELLED_EARLY,
    CANCELLED_LATE,
    LATE_STATUS_FROM,
    LEFT_CHECKED_IN,
    MOVED,
    REBOOKED,
    TYPES,
    UNRECORDED,
    no_show_probability,
)

DELETED = 0.004
_REBOOKED_KEY = 2**48
"""Added to a booking's key for the row that replaces it, so that its draws are its own."""

_KEY = pl.col("key")


def outcomes(draws: Draws, planned: pl.DataFrame) -> pl.DataFrame:
    """Return the bookings with all that happens to them.

    Rows: one per booking, and one more per replaced one. Columns added: booked_for, moved_at, starts_at, status,
    status_at, reason_type, deleted_at, is_due, took_place, no_show_probability (null unless due).
    """
    placed = _with_slots(draws, planned).with_columns(_fate(draws))
    shifted = placed.with_columns(_second_date(draws))
    return (
        pl.concat([_originals(draws, shifted), _replacements(shifted)], how="diagonal")
        .with_columns(_chances())
        .with_columns(_results(draws))
        .with_columns(_status())
        .with_columns(_status_at(draws))
        .with_columns(_late_name(), _reasons(draws), _deleted(draws))
    )


def _with_slots(draws: Draws, planned: pl.DataFrame) -> pl.DataFrame:
    """Nine hours a day from eight; a provider's day fills them in an order of its own, so nothing is double-booked."""
    rank = pl.int_range(pl.len()).over("provider_id", "day")
    return (
        planned.sort("provider_id", "day", "key")
        .with_columns(
            rank=rank,
            offset=draws.integer(
                "slots", pl.col("provider_id").cast(pl.UInt32), pl.col("day").cast(pl.Int32), low=0, high=8
            ),
        )
        .with_columns(round=pl.col("rank") // 9)
        .with_columns(
            minute=480
            + (pl.col("offset") + pl.col("rank") * 4) % 9 * 60
            + pl.col("round") * 30 % 60
            + pl.col("round") // 2 * 5 % 30,
            minutes=pl.col("type_id").replace_strict({one.id: one.minutes for one in TYPES}, return_dtype=pl.Int64),
        )
        .with_columns(booked_for=instant(pl.col("day"), pl.col("minute")))
        .drop("rank", "offset", "round")
    )


def _fate(draws: Draws) -> pl.Expr:
    draw = draws.uniform("fate", _KEY)
    return (
        pl.when(pl.col("ended_at").is_not_null())
        .then(pl.lit("ended"))
        .when(draw < CANCELLED_EARLY)
        .then(pl.lit("early"))
        .when(draw < CANCELLED_EARLY + MOVED)
        .then(pl.lit("moved"))
        .when(draw < CANCELLED_EARLY + MOVED + REBOOKED)
        .then(pl.lit("rebooked"))
        .otherwise(pl.lit("due"))
        .alias("fate")
    )


def _second_date(draws: Draws) -> list[pl.Expr]:
    later = workday(pl.col("day") + pl.duration(days=draws.integer("later by", _KEY, low=1, high=5)))
    asked = pl.col("booked_for") - pl.duration(minutes=draws.integer("asked before", _KEY, low=240, high=5_000))
    soonest = pl.col("created_at") + pl.duration(hours=1)
    return [later.alias("later_day"), pl.max_horizontal(asked, soonest).alias("asked_at")]


def _originals(draws: Draws, bookings: pl.DataFrame) -> pl.DataFrame:
    moves = pl.col("fate") == "moved"
    return bookings.with_columns(
        moved_at=pl.when(moves).then("asked_at"),
        starts_at=pl.when(moves).then(instant(pl.col("later_day"), pl.col("minute"))).otherwise("booked_for"),
        reschedule_count=moves.cast(pl.Int64) + (moves & draws.chance("twice", _KEY, of=0.1)).cast(pl.Int64),
    )


def _replacements(bookings: pl.DataFrame) -> pl.DataFrame:
    starts_at = instant(pl.col("later_day"), pl.col("minute"))
    return bookings.filter(pl.col("fate") == "rebooked").with_columns(
        key=_KEY + _REBOOKED_KEY,
        created_at=pl.col("asked_at"),
        booked_for=starts_at,
        starts_at=starts_at,
        fate=pl.lit("due"),
        series=pl.lit(None, dtype=pl.Int64),
        reschedule_count=pl.lit(0, dtype=pl.Int64),
    )


def _chances() -> list[pl.Expr]:
    at = local(pl.col("starts_at"))
    lead = (local(pl.col("booked_for")).dt.date() - local(pl.col("created_at")).dt.date()).dt.total_days()
    probability = no_show_probability(
        pl.col("provider_id"), at.dt.weekday(), at.dt.hour(), lead, is_recurring=pl.col("series").is_not_null()
    )
    is_due = pl.col("fate").is_in(["due", "moved"])
    return [is_due.alias("is_due"), pl.when(is_due).then(probability).alias("no_show_probability")]


def _results(draws: Draws) -> list[pl.Expr]:
    missed = pl.col("is_due") & draws.chance("no-show", _KEY, of=pl.col("no_show_probability"))
    late = pl.col("is_due") & ~missed & draws.chance("late", _KEY, of=CANCELLED_LATE)
    return [
        missed.alias("missed"),
        late.alias("late"),
        (pl.col("is_due") & ~missed & ~late).alias("took_place"),
        draws.chance("unrecorded", _KEY, of=UNRECORDED).alias("unrecorded"),
        draws.chance("checked in", _KEY, of=LEFT_CHECKED_IN).alias("left_checked_in"),
    ]


def _status() -> pl.Expr:
    return (
        pl.when(pl.col("fate").is_in(["ended", "early"]))
        .then(pl.lit("Cancelled"))
        .when(pl.col("fate") == "rebooked")
        .then(pl.lit("Re-Scheduled"))
        .when("unrecorded")
        .then(None)
        .when("missed")
        .then(pl.lit("No-Show"))
        .when("late")
        .then(pl.lit("Late Cancellation"))
        .when("left_checked_in")
        .then(pl.lit("Checked-In"))
        .otherwise(pl.lit("Occurred"))
        .alias("status")
    )


def _status_at(draws: Draws) -> pl.Expr:
    starts_at, ends_at = pl.col("starts_at"), pl.col("starts_at") + pl.duration(minutes=pl.col("minutes"))
    early = starts_at - pl.duration(minutes=draws.integer("notice", _KEY, low=1500, high=10_000))
    late = starts_at - pl.duration(minutes=draws.integer("late notice", _KEY, low=30, high=1380))
    prompt = draws.integer("recorded after", _KEY, low=5, high=600)
    tardy = draws.integer("recorded late", _KEY, low=1_440, high=13_000)
    recorded = ends_at + pl.duration(minutes=pl.when(draws.chance("tardy", _KEY, of=0.1)).then(tardy).otherwise(prompt))
    at = (
        pl.when(pl.col("fate") == "ended")
        .then("ended_at")
        .when(pl.col("fate") == "early")
        .then(pl.max_horizontal(early, pl.col("created_at") + pl.duration(hours=1)))
        .when(pl.col("fate") == "rebooked")
        .then("asked_at")
        .when("late")
        .then(late)
        .otherwise(recorded)
    )
    return pl.when(pl.col("status").is_not_null()).then(at).alias("status_at")


def _late_name() -> pl.Expr:
    is_early_days = pl.col("late") & (pl.col("status_at") < midnight(LATE_STATUS_FROM))
    return (
        pl.when(is_early_days & pl.col("status").is_not_null())
        .then(pl.lit("Cancelled"))
        .otherwise("status")
        .alias("status")
    )


def _reasons(draws: Draws) -> pl.Expr:
    drawn = draws.pick("who cancelled", _KEY, among={"client": 0.7, "provider": 0.2, "organization": 0.1})
    has_one = pl.col("status").is_in(["Cancelled", "Late Cancellation"])
    who = pl.when(pl.col("fate") == "ended").then(pl.lit("client")).otherwise(drawn)
    return pl.when(has_one).then(who).alias("reason_type")


def _deleted(draws: Draws) -> pl.Expr:
    gone = draws.chance("deleted", _KEY, of=DELETED)
    after = pl.duration(minutes=draws.integer("deleted after", _KEY, low=600, high=40_000))
    return pl.when(gone).then(pl.col("created_at") + after).alias("deleted_at")
