"""The paper: forms asked of clients, forms filled, and the notes that providers write after visits."""

import polars as pl

from healthie_nb.demo.draws import Draws
from healthie_nb.demo.truth import (
    CONSENT,
    DIARY,
    FORMS,
    GROUP,
    GROUP_NOTE,
    INTAKE_FORM,
    NEVER_SIGNED,
    NO_NOTE,
    NOTE,
    OWNER_ID,
    PHQ,
    PROVIDERS,
    STARTED_NOT_COMPLETED,
    SURVEY,
    TYPES,
)

UNASKED = 0.08
_CHARTED = [one.id for one in TYPES if one.role in ("intake", "follow-up", "group")]
SURVEY_AT = 3
MEASURE_EVERY = 8
"""The mood questionnaire comes before the first visit and every so many visits after."""


def requests(draws: Draws, clients: pl.DataFrame, bookings: pl.DataFrame) -> pl.DataFrame:
    """Every form asked of a client.

    Rows: one per request. Columns: key UInt64, client, form_id, sender_id, series,
    requested_at, started_at, completed_at (each null if it never happens), completion_probability.
    """
    key = pl.col("key")
    done = {one.id: one.completion for one in FORMS if one.completion is not None}
    completed = draws.chance("completes", key, of=pl.col("completion_probability"))
    started = completed | draws.chance("starts", key, of=STARTED_NOT_COMPLETED)
    return (
        pl.concat([_at_sign_up(draws, clients), _at_visits(draws, bookings)], how="diagonal")
        .with_columns(completion_probability=pl.col("form_id").replace_strict(done, return_dtype=pl.Float64))
        .with_columns(began_at=pl.col("requested_at") + pl.duration(minutes=_delay(draws)))
        .with_columns(
            started_at=pl.when(started).then("began_at"),
            completed_at=pl.when(completed).then(
                pl.col("began_at")
                + pl.duration(minutes=draws.integer("fills for", key, low=3, high=90))
                + pl.duration(milliseconds=draws.integer("fills ms", key, low=0, high=999))
            ),
        )
        .drop("began_at")
    )


def unasked(draws: Draws, clients: pl.DataFrame) -> pl.DataFrame:
    """Consents that clients filled without being asked. Rows: one each. Columns: key, client, form_id, completed_at."""
    who = pl.col("client")
    return clients.filter(draws.chance("unasked", who, of=UNASKED)).select(
        (who.cast(pl.UInt64) * 4096 + 2**51).alias("key"),
        "client",
        (pl.col("created_at") + pl.duration(minutes=draws.integer("unasked at", who, low=1, high=60))).alias(
            "completed_at"
        ),
        form_id=pl.lit(CONSENT),
    )


def notes(draws: Draws, bookings: pl.DataFrame) -> pl.DataFrame:
    """Chart notes.

    Rows: one per clinical visit that took place and has one. Columns: key (of the booking), client, provider_id,
    form_id, written_at, signed_at, locked_at, in_time_probability (of a signature within 72 h, if ever signed).
    """
    key = pl.col("key")
    in_time = {one.id: one.signs_within_72_h for one in PROVIDERS}
    ends_at = pl.col("starts_at") + pl.duration(minutes=pl.col("minutes"))
    written = ends_at + pl.duration(milliseconds=draws.integer("written after", key, low=60_000, high=5_400_000))
    delay = (
        pl.when(draws.chance("signs in time", key, of=pl.col("in_time_probability")))
        .then(draws.integer("signs after", key, low=95, high=4_200))
        .otherwise(draws.integer("signs late", key, low=4_400, high=30_000))
    )
    return (
        bookings.filter(pl.col("took_place"), pl.col("type_id").is_in(_CHARTED))
        .filter(~draws.chance("no note", key, of=NO_NOTE))
        .with_columns(in_time_probability=pl.col("provider_id").replace_strict(in_time, return_dtype=pl.Float64))
        .with_columns(written_at=written)
        .with_columns(
            signed_at=pl.when(~draws.chance("never signed", key, of=NEVER_SIGNED)).then(
                ends_at + pl.duration(minutes=delay)
            )
        )
        .select(
            "key",
            "client",
            "provider_id",
            pl.when(pl.col("type_id") == GROUP).then(pl.lit(GROUP_NOTE)).otherwise(pl.lit(NOTE)).alias("form_id"),
            "written_at",
            "signed_at",
            pl.when(draws.chance("locks", key, of=0.5))
            .then(pl.col("signed_at") + pl.duration(days=1))
            .alias("locked_at"),
            "in_time_probability",
        )
    )


def _at_sign_up(draws: Draws, clients: pl.DataFrame) -> pl.DataFrame:
    who = pl.col("client")
    asked = clients.filter(~pl.col("is_migrated")).with_columns(
        requested_at=pl.col("created_at") + pl.duration(minutes=draws.integer("asked", who, low=1, high=90))
    )
    return pl.concat(
        [
            asked.select(
                (who.cast(pl.UInt64) * 4096 + place).alias("key"), "client", "requested_at",
                form_id=pl.lit(form), sender_id=pl.lit(OWNER_ID), series=pl.lit(None, dtype=pl.UInt32),
            )
            for place, form in enumerate((INTAKE_FORM, CONSENT))
        ]
    )  # fmt: skip


def _at_visits(draws: Draws, bookings: pl.DataFrame) -> pl.DataFrame:
    """Ask for the diary after the first follow-up, the survey after the third, the measure before each eighth visit."""
    position = pl.col("position")
    visits = bookings.filter(position.is_not_null(), pl.col("ended_at").is_null(), pl.col("key") < 2**48)
    before = pl.col("booked_for") - pl.duration(
        minutes=draws.integer("asks before", pl.col("key"), low=2_900, high=4_300)
    )
    after = pl.col("booked_for") + pl.duration(minutes=draws.integer("asks after", pl.col("key"), low=60, high=300))
    parts = [
        visits.filter(position == 1).select(*_request(DIARY, 0, after)),
        visits.filter(position == SURVEY_AT).select(*_request(SURVEY, 1, after)),
        visits.filter(position % MEASURE_EVERY == 0).select(*_request(PHQ, 2, pl.max_horizontal(before, "created_at"))),
    ]
    return pl.concat(parts)


def _request(form: str, place: int, requested_at: pl.Expr) -> list[pl.Expr]:
    recurs = pl.lit(form == PHQ) & (pl.col("position") > 0)
    return [
        (pl.col("key") + 2**50 + place * 2**44).alias("key"),
        pl.col("client"),
        requested_at.alias("requested_at"),
        pl.lit(form).alias("form_id"),
        pl.col("provider_id").alias("sender_id"),
        pl.when(recurs).then(pl.col("client")).alias("series"),
    ]


def _delay(draws: Draws) -> pl.Expr:
    """Minutes until a client begins: most in the first third of the form's time."""
    span = pl.col("form_id").replace_strict({one.id: one.days * 1_440 for one in FORMS}, return_dtype=pl.Int64)
    draw = draws.uniform("delay", pl.col("key"))
    return (10 + draw * draw * span).cast(pl.Int64)
