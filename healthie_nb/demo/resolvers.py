"""The schema with its answers: connections are listed, objects fetched by id, plain fields read from the row."""

from collections.abc import Callable
from functools import cache, partial
from importlib.resources import files
from typing import Any, NamedTuple

from ariadne import ObjectType, QueryType, make_executable_schema
from graphql import GraphQLResolveInfo, GraphQLSchema

from healthie_nb.demo.arguments import supported
from healthie_nb.demo.listings import LISTINGS
from healthie_nb.demo.practice import RunningPractice
from healthie_nb.demo.rows import Row, by_ids
from healthie_nb.demo.selections import Fragments, Variables, Wanted, wanted
from healthie_nb.demo.summary import summary
from healthie_nb.demo.truth import OWNER_ID

Info = GraphQLResolveInfo[Any]


class Context(NamedTuple):
    """What a resolver needs to know of the request."""

    practice: RunningPractice
    fragments: Fragments
    variables: Variables


@cache
def schema() -> GraphQLSchema:
    """Return the packaged part of Healthie's schema, executable."""
    query = QueryType()
    for field in LISTINGS:
        query.set_field(field, partial(_connection, field))
    query.set_field("appointment", _appointment)
    query.set_field("user", _user)
    query.set_field("currentUser", _current_user)
    query.set_field("appointmentsSummary", _summary)
    objects = [_object(name, field, special) for (name, field), special in SPECIAL.items()]
    text = (files("healthie_nb") / "schema.graphql").read_text(encoding="utf-8")
    return make_executable_schema(text, query, *objects)


def from_row(source: Row, info: Info, **_: Any) -> Any:
    """Return a plain field: what the row holds under its name."""
    return source.get(info.field_name)


def _wanted(info: Info) -> Wanted:
    context: Context = info.context
    return wanted(info.field_nodes, context.fragments, context.variables)


def _connection(field: str, _: object, info: Info, **given: Any) -> Row:
    context: Context = info.context
    return context.practice.connection(field, given, _wanted(info))


def _one(info: Info, table: str, id_: str | None, *, also: str = "id") -> Row | None:
    context: Context = info.context
    asked: Wanted = {also: {}} | _wanted(info)
    return None if id_ is None else by_ids(context.practice.world, table, [id_], asked).get(id_)


def _appointment(_: object, info: Info, **given: Any) -> Row | None:
    asked = supported(given, frozenset({"id", "include_deleted"}))
    row = _one(info, "appointments", asked.get("id"), also="deleted_at")
    return None if row is None or (row["deleted_at"] and not asked.get("include_deleted")) else row


def _user(_: object, info: Info, **given: Any) -> Row | None:
    asked = supported(given, frozenset({"id", "or_current_user", "clear_notifs"}))
    return _one(info, "people", asked.get("id", OWNER_ID if asked.get("or_current_user") else None))


def _current_user(_: object, info: Info) -> Row | None:
    return _one(info, "providers", OWNER_ID)


def _summary(_: object, info: Info, **given: Any) -> Row:
    context: Context = info.context
    return summary(context.practice.world, given, is_in_progress=context.practice.settings.summary_in_progress)


def _object(name: str, field: str, special: Callable[..., Any]) -> ObjectType:
    bound = ObjectType(name)
    bound.set_field(field, lambda source, _, **given: special(source, **given))
    return bound


def _pm_status(row: Row, *, check_for_client_cancel: bool = False) -> Any:
    del check_for_client_cancel  # No client here cancels by the portal, so there is nothing to check.
    return row["pm_status"]


def _providers(row: Row, *, empty_unless_multiple: bool = False) -> Any:
    found = row["providers"]
    return [] if empty_unless_multiple and len(found) < 2 else found  # noqa: PLR2004 - multiple


def _patients_count(row: Row, *, only_primary: bool = False) -> Any:
    del only_primary
    return row["patients_count"]


def _is_patient(row: Row, *, already_known_value: bool | None = None) -> Any:
    return row["is_patient"] if already_known_value is None else already_known_value


def _form_answers(row: Row, *, is_for_editing: bool = False, custom_module_ids: list[str] | None = None) -> Any:
    del is_for_editing
    answers = row["form_answers"]
    return [one for one in answers if custom_module_ids is None or one["custom_module_id"] in custom_module_ids]


SPECIAL: dict[tuple[str, str], Callable[..., Any]] = {
    ("Appointment", "pm_status"): _pm_status,
    ("Appointment", "providers"): _providers,
    ("FormAnswerGroup", "form_answers"): _form_answers,
    ("User", "is_patient"): _is_patient,
    ("User", "patients_count"): _patients_count,
}
"""The fields of rows that take arguments."""
