"""What each connection lists, in which order, and which arguments it knows."""

from collections.abc import Callable
from typing import Any, NamedTuple

import polars as pl
from graphql import GraphQLError

from healthie_nb.demo import filters
from healthie_nb.demo.arguments import Arguments, supported
from healthie_nb.demo.settings import Settings
from healthie_nb.demo.world import World


class Listing(NamedTuple):
    """How a connection answers.

    The table it reads, the arguments it knows, its rows before they are ordered, the column behind each order key.
    """

    table: str
    arguments: frozenset[str]
    rows: Callable[[World, Settings, dict[str, Any]], pl.DataFrame]
    order: dict[str, str]


def listed(listing: Listing, world: World, settings: Settings, given: Arguments) -> pl.DataFrame:
    """Return the rows a connection lists, ordered, ties by id."""
    asked = supported(given, listing.arguments)
    return _ordered(listing.rows(world, settings, asked), asked.get("order_by"), listing.order)


def _ordered(rows: pl.DataFrame, key: str | None, columns: dict[str, str]) -> pl.DataFrame:
    if key in (None, "UNSORTED"):
        return rows.sort("number")
    name, _, direction = str(key).rpartition("_")
    if name not in columns:
        raise GraphQLError(f"Argument order_by: {key} is not supported by the demo practice.")
    is_descending = direction == "DESC"
    return rows.sort(columns[name], "number", descending=[is_descending, is_descending], nulls_last=True)


_DATES = {"CREATED_AT": "created_at", "UPDATED_AT": "updated_at"}
LISTINGS = {
    "appointments": Listing(
        "appointments",
        frozenset(
            [
                "is_org",
                "filter",
                "with_all_statuses",
                "startDate",
                "endDate",
                "include_blockers",
                "filter_synced_appointments",
                "include_suborganizations",
                "provider_id",
                "provider_ids",
                "use_provider_inclusions",
                "user_id",
                "without_status",
                "order_by",
                "filter_by_appointment_status",
                "filter_by_appointment_statuses",
                "filter_by_appointment_type_id",
                "filter_by_appointment_type_ids",
            ]
        ),
        filters.appointments,
        {"DATE": "starts_at", **_DATES},
    ),
    "users": Listing(
        "clients",
        frozenset(
            [
                "active_status",
                "group_id",
                "id",
                "ids",
                "limited_to_provider",
                "provider_id",
                "show_all_by_default",
                "include_suborg_patients",
                "order_by",
            ]
        ),
        filters.users,
        {**_DATES, "EMAIL": "email", "FIRST_NAME": "first_name", "LAST_NAME": "last_name"},
    ),
    "organizationMembers": Listing("providers", frozenset({"order_by"}), filters.members, _DATES),
    "appointmentTypes": Listing(
        "appointment_types",
        frozenset({"with_deleted_appt_types", "org_level", "clients_can_book", "appointment_type_ids", "order_by"}),
        filters.types,
        {**_DATES, "POSITION": "number"},
    ),
    "customModuleForms": Listing(
        "form_templates",
        frozenset({"active_status", "include_default_templates", "order_by"}),
        filters.templates,
        {**_DATES, "NAME": "name"},
    ),
    "formAnswerGroups": Listing(
        "filled_forms",
        frozenset(
            [
                "custom_module_form_id",
                "filler_id",
                "form_answer_group_id",
                "ids",
                "include_group_notes",
                "user_id",
                "locked_status",
                "signed_status",
                "updated_after",
                "updated_before",
                "use_for_charting",
                "order_by",
            ]
        ),
        filters.filled,
        {**_DATES, "RECORD_CREATED_AT": "filled_at"},
    ),
    "chartNotes": Listing(
        "filled_forms",
        frozenset(["start_date", "end_date", "user_id", "provider_ids", "chart_note_status", "custom_module_form_ids"]),
        filters.notes,
        {},
    ),
    "requestedFormCompletions": Listing("form_requests", frozenset({"status", "user_id"}), filters.requests, {}),
}
