"""Healthie's filters, with the defaults that hide rows: which rows of the world each connection holds."""

from typing import Any

import polars as pl
from graphql import GraphQLError

from healthie_nb.demo.arguments import day, moment
from healthie_nb.demo.moments import local
from healthie_nb.demo.settings import Settings
from healthie_nb.demo.truth import OWNER_ID
from healthie_nb.demo.world import World

HIDDEN_STATUSES = ["Cancelled", "No-Show", "Re-Scheduled"]
_c = pl.col


def appointments(world: World, _: Settings, asked: dict[str, Any]) -> pl.DataFrame:
    """Calendar rows: not deleted, whose, when and which as asked."""
    if ("startDate" in asked) != ("endDate" in asked):
        raise GraphQLError("startDate and endDate must be passed together.")
    keep = [_c("deleted_at").is_null(), *_whose(asked), *_when(world, asked), *_which(asked)]
    return world.appointments.filter(keep)


def _whose(asked: dict[str, Any]) -> list[pl.Expr]:
    leads, co_leads = _c("provider_id"), _c("co_provider_id")
    use_inclusions = asked.get("use_provider_inclusions", True)
    keep = []
    providers = [*asked.get("provider_ids", []), *([asked["provider_id"]] if "provider_id" in asked else [])]
    if providers:
        helps = co_leads.is_in(providers).fill_null(value=False) if use_inclusions else pl.lit(value=False)
        keep.append(leads.is_in(providers) | helps)
    elif not asked.get("is_org", False):
        keep.append((leads == OWNER_ID) | co_leads.eq_missing(pl.lit(OWNER_ID)))
    if "user_id" in asked:
        keep.append(_c("client_id").eq_missing(pl.lit(asked["user_id"])))
    return keep


def _when(world: World, asked: dict[str, Any]) -> list[pl.Expr]:
    starts_at, which = _c("starts_at"), asked.get("filter", "future")
    spans = {"all": pl.lit(value=True), "future": starts_at >= world.now, "past": starts_at < world.now}
    if which not in spans:
        raise GraphQLError(f"Argument filter: {which!r} is not one of {', '.join(spans)}.")
    keep = [spans[which]]
    if "startDate" in asked:
        keep.append(starts_at.is_between(moment(asked["startDate"]), moment(asked["endDate"])))
    return keep


def _which(asked: dict[str, Any]) -> list[pl.Expr]:
    keep = []
    statuses = [*asked.get("filter_by_appointment_statuses", [])]
    if "filter_by_appointment_status" in asked:
        statuses.append(asked["filter_by_appointment_status"])
    if statuses:
        keep.append(_c("status").is_in(statuses))
    elif not asked.get("with_all_statuses", False):
        keep.append(~_c("status").is_in(HIDDEN_STATUSES).fill_null(value=False))
    if asked.get("without_status", False):
        keep.append(_c("status").is_null())
    if not asked.get("include_blockers", True):
        keep.append(~_c("is_block"))
    if asked.get("filter_synced_appointments", False):
        keep.append(~_c("is_synced"))
    types = [*asked.get("filter_by_appointment_type_ids", [])]
    if "filter_by_appointment_type_id" in asked:
        types.append(asked["filter_by_appointment_type_id"])
    if types:
        keep.append(_c("type_id").is_in(types))
    return keep


def users(world: World, _: Settings, asked: dict[str, Any]) -> pl.DataFrame:
    """Clients."""
    filters = set(asked) - {"order_by", "show_all_by_default", "include_suborg_patients"}
    if not asked.get("show_all_by_default", True) and not filters:
        return world.clients.clear()
    status = asked.get("active_status")
    states = {None: pl.lit(value=True), "active": _c("active"), "archived": ~_c("active")}
    if status not in states:
        raise GraphQLError(f"Argument active_status: {status!r} is neither active nor archived.")
    ids = [*asked.get("ids", []), *([asked["id"]] if "id" in asked else [])]
    keep = [states[status]]
    if ids:
        keep.append(_c("id").is_in(ids))
    if "provider_id" in asked:
        keep.append(_c("provider_id") == asked["provider_id"])
    if asked.get("limited_to_provider", False):
        keep.append(_c("provider_id") == OWNER_ID)
    if "group_id" in asked:
        keep.append(_c("group_id").eq_missing(pl.lit(asked["group_id"])))
    return world.clients.filter(keep)


def members(world: World, _: Settings, __: dict[str, Any]) -> pl.DataFrame:
    """Staff, those who left too."""
    return world.providers


def types(world: World, _: Settings, asked: dict[str, Any]) -> pl.DataFrame:
    """Appointment types."""
    keep = [pl.lit(value=True)]
    if not asked.get("with_deleted_appt_types", False):
        keep.append(_c("deleted_at").is_null())
    if not asked.get("org_level", False):
        # What the key owner offers alone: groups are the others' work.
        keep.append(~_c("is_group"))
    if "clients_can_book" in asked:
        keep.append(_c("clients_can_book") == asked["clients_can_book"])
    if "appointment_type_ids" in asked:
        keep.append(_c("id").is_in(asked["appointment_type_ids"]))
    return world.appointment_types.filter(keep)


def templates(world: World, _: Settings, asked: dict[str, Any]) -> pl.DataFrame:
    """Form templates."""
    keep = [pl.lit(value=True)]
    if not asked.get("include_default_templates", False):
        keep.append(~_c("by_healthie"))
    if "active_status" in asked:
        keep.append(_c("deleted_at").is_null() == asked["active_status"])
    return world.form_templates.filter(keep)


def filled(world: World, _: Settings, asked: dict[str, Any]) -> pl.DataFrame:
    """Forms and notes that are filled; never drafts."""
    ids = [*asked.get("ids", []), *([asked["form_answer_group_id"]] if "form_answer_group_id" in asked else [])]
    keep = [_c("finished")]
    if not asked.get("include_group_notes", False):
        keep.append(_c("client_id").is_not_null())
    for name, column in (("custom_module_form_id", "form_id"), ("user_id", "client_id"), ("filler_id", "filler_id")):
        if name in asked:
            keep.append(_c(column).eq_missing(pl.lit(asked[name])))
    if ids:
        keep.append(_c("id").is_in(ids))
    for name, column in (("locked_status", "locked_at"), ("signed_status", "signed_at")):
        if name in asked:
            keep.append(_c(column).is_not_null() == asked[name])
    if "use_for_charting" in asked:
        keep.append(_c("appointment_id").is_not_null() == asked["use_for_charting"])
    if "updated_after" in asked:
        keep.append(_c("updated_at") >= moment(asked["updated_after"]))
    if "updated_before" in asked:
        keep.append(_c("updated_at") <= moment(asked["updated_before"]))
    return world.filled_forms.filter(keep)


def notes(world: World, _: Settings, asked: dict[str, Any]) -> pl.DataFrame:
    """Chart notes, by day of service."""
    keep = [_c("finished"), _c("appointment_id").is_not_null()]
    service_day = local(_c("created_at")).dt.date()
    if "start_date" in asked:
        keep.append(service_day >= day(asked["start_date"]))
    if "end_date" in asked:
        keep.append(service_day <= day(asked["end_date"]))
    if "user_id" in asked:
        keep.append(_c("client_id").eq_missing(pl.lit(asked["user_id"])))
    if "provider_ids" in asked:
        keep.append(_c("filler_id").is_in(asked["provider_ids"]))
    if "custom_module_form_ids" in asked:
        keep.append(_c("form_id").is_in(asked["custom_module_form_ids"]))
    return world.filled_forms.filter(keep).filter(_note_status(asked.get("chart_note_status")))


def _note_status(status: str | None) -> pl.Expr:
    signed, locked = _c("signed_at").is_not_null(), _c("locked_at").is_not_null()
    states = {
        None: pl.lit(value=True),
        "CREATED": ~signed & ~locked,
        "SIGNED": signed & ~locked,
        "SIGNED_AND_LOCKED": signed & locked,
    }
    return states.get(status, pl.lit(value=False))


def requests(world: World, settings: Settings, asked: dict[str, Any]) -> pl.DataFrame:
    """Form requests; of one client only when the practice is set so."""
    client = asked.get("user_id", OWNER_ID if settings.requests_per_client else None)
    rows = world.form_requests if client is None else world.form_requests.filter(_c("client_id") == client)
    if "status" not in asked:
        return rows
    done, begun = _c("completed_at").is_not_null(), _c("started_at").is_not_null()
    states = {"Open": ~done & ~begun, "Incomplete": ~done & begun, "Completed": done}
    return rows.filter(states.get(asked["status"], pl.lit(value=False)))
