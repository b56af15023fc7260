"""The practice as it was known at one moment: what happened later is undone, and last changes are dated accordingly."""

from datetime import UTC, datetime

import polars as pl

from healthie_nb.demo.draws import Draws
from healthie_nb.demo.history import History
from healthie_nb.demo.moments import end_of
from healthie_nb.demo.people import provider_on
from healthie_nb.demo.truth import (
    CARE_GROUP,
    COMPLETED_GROUP,
    FIRST_DAY,
    FORMS,
    OWNER_ID,
    PROGRAMME_GROUP,
    PROVIDERS,
    TYPES,
)

FOUNDED = datetime(2023, 5, 1, 13, tzinfo=UTC)
ARCHIVE_TIMES_FROM = datetime(2023, 8, 7, tzinfo=UTC)
"""Healthie records when a client was archived only since then."""
MASS_EDIT_AT = datetime(2024, 2, 11, 7, tzinfo=UTC)
"""An import touched every appointment there was, in the same second."""

_CLIENT_COLUMNS = (
    "id", "number", "first_name", "last_name", "email", "phone_number", "dob", "gender", "quick_notes", "is_test",
    "source", "created_at", "updated_at", "active", "archived_at", "provider_id", "group_id", "track",
)  # fmt: skip
_APPOINTMENT_COLUMNS = (
    "id", "number", "client_id", "provider_id", "co_provider_id", "type_id", "is_group", "is_block", "is_synced",
    "created_at", "updated_at", "starts_at", "minutes", "status", "status_at", "reason_type", "contact_type", "series",
    "reschedule_count", "deleted_at", "notes", "position", "is_last", "is_due", "took_place", "no_show_probability",
)  # fmt: skip
_FILLED_COLUMNS = (
    "id", "number", "form_id", "client_id", "filler_id", "appointment_id", "request_id", "created_at", "filled_at",
    "updated_at", "finished", "signed_at", "locked_at", "in_time_probability",
)  # fmt: skip


def clients(story: History, now: datetime, seed: int) -> pl.DataFrame:
    """Clients on record. Merged ones are gone."""
    day, left = pl.lit(now.date()), {one.id: end_of(one.left) if one.left else None for one in PROVIDERS}
    handed_over = pl.col("first_provider_id").replace_strict(left, return_dtype=pl.Datetime("us", "UTC"))
    archived, completed = _before(now, "archived_at"), _before(now, "completed_at")
    group = pl.when(pl.col("track") == "programme").then(pl.lit(PROGRAMME_GROUP)).otherwise(pl.lit(CARE_GROUP))
    return (
        story.clients.filter(pl.col("created_at") < now, ~(pl.col("merged_at") < now).fill_null(value=False))
        .with_columns(archived_at=archived, completed_at=completed, handed_over_at=handed_over)
        .with_columns(
            number=pl.col("id").cast(pl.UInt32),
            active=pl.col("archived_at").is_null(),
            provider_id=provider_on(Draws(seed), day, pl.col("first_provider_id"), pl.col("draw")),
            group_id=pl.when(pl.col("completed_at").is_not_null())
            .then(pl.lit(COMPLETED_GROUP))
            .when("has_course")
            .then(group),
            updated_at=pl.max_horizontal(
                "created_at",
                "archived_at",
                "completed_at",
                pl.when(_past(now, "handed_over_at")).then("handed_over_at"),
            ),
        )
        .with_columns(archived_at=pl.when(pl.col("archived_at") >= ARCHIVE_TIMES_FROM).then("archived_at"))
        .select(_CLIENT_COLUMNS)
    )


def appointments(story: History, now: datetime) -> pl.DataFrame:
    """Calendar rows on record, deleted ones too (`deleted_at`): the API never lists those."""
    mass_edit = pl.when((pl.col("created_at") < MASS_EDIT_AT) & pl.lit(now > MASS_EDIT_AT)).then(pl.lit(MASS_EDIT_AT))
    moved = pl.col("moved_at").is_not_null()
    status = pl.col("status_at").is_not_null()
    return (
        _owned(story, story.appointments.filter(pl.col("created_at") < now), now)
        .with_columns(_before(now, name) for name in ("moved_at", "status_at", "deleted_at"))
        .with_columns(
            starts_at=pl.when(moved).then("starts_at").otherwise("booked_for"),
            reschedule_count=pl.when(moved).then("reschedule_count").otherwise(pl.col("reschedule_count") * 0),
            status=pl.when(status).then("status"),
            reason_type=pl.when(status).then("reason_type"),
            updated_at=pl.max_horizontal("created_at", "moved_at", "status_at", "deleted_at", "merged_at", mass_edit),
            series=pl.col("series").cast(pl.String),
            notes=pl.when(pl.col("number") % 7 == 0).then(pl.format("Asked for {}.", "contact_type")),
        )
        .select(_APPOINTMENT_COLUMNS)
    )


def attendances(story: History, now: datetime) -> pl.DataFrame:
    """Who is to come to group sessions. Columns: id, number, appointment_id, client_id, outcome, outcome_at."""
    return (
        _owned(story, story.attendances.filter(pl.col("joined_at") < now), now)
        .with_columns(outcome_at=_before(now, "outcome_at"))
        .with_columns(outcome=pl.when(pl.col("outcome_at").is_null()).then(pl.lit("unmarked")).otherwise("outcome"))
        .select("id", "number", "appointment_id", "client_id", "outcome", "outcome_at", "is_last")
    )


def requests(story: History, now: datetime) -> pl.DataFrame:
    """Form requests on record.

    Columns: id, number, client_id, form_id, sender_id, series, requested_at, started_at,
    completed_at, filled_id, completion_probability.
    """
    drafts = story.filled.filter(pl.col("began_at") < now).select(filled_id="id", id="request_id").drop_nulls()
    return (
        _owned(story, story.requests.filter(pl.col("requested_at") < now), now)
        .with_columns(_before(now, "started_at"), _before(now, "completed_at"), pl.col("series").cast(pl.String))
        .join(drafts, on="id", how="left", maintain_order="left")
        .select(
            "id", "number", "client_id", "form_id", "sender_id", "series", "requested_at", "started_at", "completed_at",
            "filled_id", "completion_probability",
        )
    )  # fmt: skip


def filled_forms(story: History, now: datetime) -> pl.DataFrame:
    """Return filled forms and notes on record, drafts too (`finished`): the API never lists those."""
    filled_at = pl.coalesce(_before(now, "completed_at"), "began_at")
    return (
        _owned(story, story.filled.filter(pl.col("began_at") < now), now)
        .with_columns(
            filled_at=filled_at,
            finished=pl.col("completed_at").is_not_null() & (pl.col("completed_at") < now),
            signed_at=_before(now, "signed_at"),
            locked_at=_before(now, "locked_at"),
        )
        .with_columns(
            # Only the moment of filling has parts of a second; the dates that Healthie keeps of every record do not.
            created_at=pl.coalesce("service_at", "filled_at").dt.truncate("1s"),
            updated_at=pl.max_horizontal("filled_at", "signed_at", "locked_at", "merged_at").dt.truncate("1s"),
            filler_id=pl.coalesce("provider_id", "client_id"),
        )
        .select(_FILLED_COLUMNS)
    )


def providers(now: datetime) -> pl.DataFrame:
    """Staff. Columns: id, number, name, active, is_owner, created_at, updated_at."""
    started = [max(FOUNDED, end_of(one.started)) if one.started > FIRST_DAY else FOUNDED for one in PROVIDERS]
    left = [end_of(one.left) if one.left else None for one in PROVIDERS]
    return (
        pl.DataFrame(
            {
                "id": [one.id for one in PROVIDERS],
                "name": [one.name for one in PROVIDERS],
                "created_at": started,
                "left_at": left,
            },
            schema_overrides={"created_at": pl.Datetime("us", "UTC"), "left_at": pl.Datetime("us", "UTC")},
        )
        .with_columns(left_at=_before(now, "left_at"), number=pl.col("id").cast(pl.UInt32))
        .with_columns(
            active=pl.col("left_at").is_null(),
            is_owner=pl.col("id") == OWNER_ID,
            updated_at=pl.max_horizontal("created_at", "left_at"),
        )
        .drop("left_at")
        .filter(pl.col("created_at") < now)
    )


def appointment_types(now: datetime) -> pl.DataFrame:
    """Appointment types.

    Columns: id, number, name, minutes, role, is_group, clients_can_book, deleted_at, created_at,
    updated_at.
    """
    deleted = [end_of(one.deleted) if one.deleted else None for one in TYPES]
    return (
        pl.DataFrame(
            {name: [getattr(one, name) for one in TYPES] for name in ("id", "name", "minutes", "role")}
            | {"deleted_at": pl.Series(deleted, dtype=pl.Datetime("us", "UTC"))}
        )
        .with_columns(
            deleted_at=_before(now, "deleted_at"), created_at=pl.lit(FOUNDED), number=pl.col("id").cast(pl.UInt32)
        )
        .with_columns(
            is_group=pl.col("role") == "group",
            clients_can_book=pl.col("role").is_in(["intake", "discovery"]),
            updated_at=pl.max_horizontal("created_at", "deleted_at"),
        )
    )


def form_templates() -> pl.DataFrame:
    """Form templates. Columns: id, number, name, role, is_chart_note, by_healthie and Healthie's dates."""
    return pl.DataFrame(
        {name: [getattr(one, name) for one in FORMS] for name in ("id", "name", "role", "is_chart_note", "by_healthie")}
    ).with_columns(
        created_at=pl.lit(FOUNDED), updated_at=pl.lit(FOUNDED), number=pl.col("id").cast(pl.UInt32),
        deleted_at=pl.lit(None, dtype=pl.Datetime("us", "UTC")),
    )  # fmt: skip


def _past(now: datetime, name: str) -> pl.Expr:
    return (pl.col(name) < now).fill_null(value=False)


def _before(now: datetime, name: str) -> pl.Expr:
    """Return the instant, if it was past at that moment."""
    return pl.when(pl.col(name) < now).then(name).alias(name)


def _owned(story: History, rows: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """Return the rows with client_id: the client they belong to by then, and merged_at when a merge gave them away."""
    owners = (
        story.clients.select("client", "id", "merged_into", merged_at=_before(now, "merged_at"))
        .with_columns(owner=pl.when(pl.col("merged_at").is_not_null()).then("merged_into").otherwise("client"))
        .join(story.clients.select(owner="client", client_id="id"), on="owner", how="left")
        .select("client", "client_id", pl.when(pl.col("merged_at").is_not_null()).then("merged_at").alias("merged_at"))
    )
    return rows.join(owners, on="client", how="left", maintain_order="left").with_columns(
        merged_at=pl.when(
            pl.col("merged_at")
            > pl.coalesce(
                pl.selectors.by_name("created_at", "requested_at", "began_at", "joined_at", require_all=False)
            )
        ).then("merged_at")
    )
