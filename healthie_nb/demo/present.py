"""How rows look on the wire: for each type of the schema, the expression that answers each plain field."""

import polars as pl

from healthie_nb.demo.moments import local
from healthie_nb.demo.truth import GROUPS, ORGANIZATION_ID, PROVIDERS, RAILS_ZONE

ORGANIZATION_NUMBER = int(ORGANIZATION_ID)
Fields = dict[str, pl.Expr]


def spaced(at: pl.Expr) -> pl.Expr:
    """`2026-03-01 10:15:00 -0500`, on the key owner's clock."""
    return local(at).dt.strftime("%Y-%m-%d %H:%M:%S %z")


def iso(at: pl.Expr) -> pl.Expr:
    """`2026-03-01T10:15:00-05:00`, on the key owner's clock."""
    return local(at).dt.strftime("%Y-%m-%dT%H:%M:%S%:z")


def zulu(at: pl.Expr) -> pl.Expr:
    """`2026-03-01T15:15:00.000Z`."""
    return at.dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")


def in_words(at: pl.Expr) -> pl.Expr:
    """`2026-03-01 15:15:00 UTC`."""
    return at.dt.strftime("%Y-%m-%d %H:%M:%S UTC")


_c = pl.col
_none = pl.lit(None)
_ends_at = _c("starts_at") + pl.duration(minutes=_c("minutes"))
_names = {one.id: one.name for one in PROVIDERS}

APPOINTMENT: Fields = {
    "id": _c("id"),
    "actual_duration": pl.when(_c("status") == "Occurred").then(_c("minutes")),
    "appointment_type_id": _c("type_id").cast(pl.Int64),
    "connected_chart_note_string": _none,
    "contact_type": _c("contact_type"),
    "created_at": iso(_c("created_at")),
    "current_position_in_recurring_series": _none,
    "date": spaced(_c("starts_at")),
    "deleted_at": iso(_c("deleted_at")),
    "effective_pricing_method": pl.when(_c("type_id").is_not_null()).then(pl.lit("APPOINTMENT_TYPE_DEFAULT")),
    "end": spaced(_ends_at),
    "initiator_id": _c("provider_id"),
    "is_blocker": _c("is_block"),
    "is_group": _c("is_group"),
    "late_cancellation_fee": _none,
    "length": _c("minutes"),
    "location": pl.when(_c("contact_type") == "In Person").then(pl.lit("12 Demo Street")),
    "no_show_fee": pl.when(_c("status") == "No-Show").then(2_500),
    "notes": _c("notes"),
    "organization_id": pl.lit(ORGANIZATION_ID),
    "other_cancellation_reason": _none,
    "other_party_id": _c("provider_id").cast(pl.Int64),
    "patient_reschedule_count": _c("reschedule_count"),
    "pm_status": _c("status"),
    "pm_status_changed_at": iso(_c("status_at")),
    "provider_name": _c("provider_id").replace_strict(_names, default=None),
    "reason": _c("notes"),
    "start": spaced(_c("starts_at")),
    "timezone_abbr": local(_c("starts_at")).dt.strftime("%Z"),
    "title": pl.when(_c("is_synced")).then(pl.lit("Busy")).when(_c("is_block")).then(pl.lit("Blocked")),
    "updated_at": iso(_c("updated_at")),
    "user_id": _c("client_id").cast(pl.Int64),
}
ATTENDANCE: Fields = {
    "id": _c("id"),
    "attended": pl.when(_c("outcome") != "unmarked").then(_c("outcome") == "attended"),
    "cancelled": _c("outcome") == "cancelled",
    "cancelled_at": pl.when(_c("outcome") == "cancelled").then(spaced(_c("outcome_at"))),
    "confirmed": _none,
}
CLIENT: Fields = {
    "id": _c("id"),
    "active": _c("active"),
    "age": (pl.lit(2026) - _c("dob").dt.year()).cast(pl.Int64),
    "any_incomplete_requested_form_completions": _c("has_open_requests"),
    "archived_at": iso(_c("archived_at")),
    "created_at": iso(_c("created_at")),
    "dietitian_id": _c("provider_id"),
    "dob": _c("dob").dt.strftime("%Y-%m-%d"),
    "email": _c("email"),
    "first_name": _c("first_name"),
    "full_name": pl.format("{} {}", "first_name", "last_name"),
    "gender": _c("gender"),
    "has_completed_intake_forms": _c("has_completed_intake_forms"),
    "is_active_provider": pl.lit(value=False),
    "is_owner": pl.lit(value=False),
    "is_patient": pl.lit(value=True),
    "last_activity": in_words(_c("last_activity_at")),
    "last_name": _c("last_name"),
    "legal_name": pl.format("{} {}", "first_name", "last_name"),
    "metadata": _none,
    "next_appt_date": spaced(_c("next_appointment_at")),
    "organization_id": pl.lit(ORGANIZATION_ID),
    "patients_count": _none,
    "phone_number": _c("phone_number"),
    "preferred_language": _none,
    "quick_notes": _c("quick_notes"),
    "record_identifier": pl.format("MRN-{}", "id"),
    "sex": _c("gender"),
    "ssn": _none,
    "timezone": pl.lit(RAILS_ZONE),
    "updated_at": iso(_c("updated_at")),
    "user_group_id": _c("group_id"),
}
STAFF: Fields = dict.fromkeys(CLIENT, _none) | {
    "id": _c("id"),
    "active": _c("active"),
    "created_at": iso(_c("created_at")),
    "email": pl.format("provider{}@example.org", "id"),
    "first_name": _c("name").str.split(" ").list.first(),
    "full_name": _c("name"),
    "is_active_provider": _c("active"),
    "is_owner": _c("is_owner"),
    "is_patient": pl.lit(value=False),
    "last_name": _c("name").str.split(" ").list.last(),
    "legal_name": _c("name"),
    "organization_id": pl.lit(ORGANIZATION_ID),
    "timezone": pl.lit(RAILS_ZONE),
    "updated_at": iso(_c("updated_at")),
}
TYPE: Fields = {
    "id": _c("id"),
    "clients_can_book": _c("clients_can_book"),
    "created_at": iso(_c("created_at")),
    "deleted_at": iso(_c("deleted_at")),
    "is_group": _c("is_group"),
    "length": _c("minutes"),
    "name": _c("name"),
    "organization_id": pl.lit(ORGANIZATION_NUMBER),
    "updated_at": iso(_c("updated_at")),
}
TEMPLATE: Fields = {
    "id": _c("id"),
    "created_at": iso(_c("created_at")),
    "deleted_at": iso(_c("deleted_at")),
    "is_video": pl.lit(value=False),
    "name": _c("name"),
    "prefill": pl.lit(value=True),
    "updated_at": iso(_c("updated_at")),
    "uploaded_by_healthie_team": _c("by_healthie"),
    "use_for_charting": _c("is_chart_note"),
    "use_for_program": pl.lit(value=False),
}
FILLED: Fields = {
    "id": _c("id"),
    "chart_note_status": (
        pl.when(_c("appointment_id").is_null())
        .then(None)
        .when(_c("locked_at").is_not_null())
        .then(pl.lit("SIGNED_AND_LOCKED"))
        .when(_c("signed_at").is_not_null())
        .then(pl.lit("SIGNED"))
        .otherwise(pl.lit("CREATED"))
    ),
    "created_at": iso(_c("created_at")),
    "deleted_at": _none,
    "finished": _c("finished"),
    "is_locked": _c("locked_at").is_not_null(),
    "locked_at": iso(_c("locked_at")),
    "metadata": _none,
    "name": _none,
    "record_created_at": zulu(_c("filled_at")),
    "updated_at": iso(_c("updated_at")),
    "user_id": _c("client_id"),
}
REQUEST: Fields = {
    "id": _c("id"),
    "custom_module_form_id": _c("form_id"),
    "date_to_show": in_words(pl.coalesce("completed_at", "started_at", "requested_at")),
    "form_answer_group_id": _c("filled_id"),
    "item_type": pl.lit("CustomModuleForm"),
    "recipient_id": _c("client_id"),
    "sender_id": _c("sender_id"),
    "status": (
        pl.when(_c("completed_at").is_not_null())
        .then(pl.lit("Completed"))
        .when(_c("started_at").is_not_null())
        .then(pl.lit("Incomplete"))
        .otherwise(pl.lit("Open"))
    ),
}
FIELDS: dict[str, Fields] = {
    "appointments": APPOINTMENT,
    "attendances": ATTENDANCE,
    "clients": CLIENT,
    "providers": STAFF,
    "appointment_types": TYPE,
    "form_templates": TEMPLATE,
    "filled_forms": FILLED,
    "form_requests": REQUEST,
}
GROUP_ROWS = {id_: {"id": id_, "name": name, "created_at": "2023-05-01T09:00:00-04:00"} for id_, name in GROUPS.items()}
_REASONS = {
    "client": {"1": "Feeling unwell", "2": "Schedule conflict", "3": "Cost or insurance", "4": "Feeling better"},
    "provider": {"5": "Provider unwell", "6": "Provider away"},
    "organization": {"7": "Clinic closed"},
}
# The second label of a type twice, so that they are not equally frequent.
CANCELLATION_REASONS = {
    who: [
        {"id": id_, "label": label, "reason_type": who} for id_, label in [*labels.items(), *list(labels.items())[1:2]]
    ]
    for who, labels in _REASONS.items()
}
ORGANIZATION_ROW = {
    "id": ORGANIZATION_ID,
    "name": "Demo practice (synthetic)",
    "created_at": "2023-05-01T09:00:00-04:00",
}
