"""Frames to the nested rows that a request selects: no field more, and linked rows fetched a page at a time."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl

from healthie_nb.demo.facts import with_facts
from healthie_nb.demo.present import CANCELLATION_REASONS, FIELDS, GROUP_ROWS, ORGANIZATION_ROW, iso
from healthie_nb.demo.world import World

Row = dict[str, Any]
Wanted = Mapping[str, "Wanted"]
"""Field names, each with the fields wanted below it."""


class Link(NamedTuple):
    """A field that is the row of another table whose id stands in a column."""

    table: str
    column: str


_PEOPLE = "people"
LINKS: dict[str, dict[str, Link]] = {
    "appointments": {
        "appointment_type": Link("appointment_types", "type_id"),
        "provider": Link("providers", "provider_id"),
        "user": Link("clients", "client_id"),
    },
    "attendances": {"user": Link("clients", "client_id")},
    "clients": {"dietitian": Link("providers", "provider_id")},
    "filled_forms": {
        "appointment": Link("appointments", "appointment_id"),
        "custom_module_form": Link("form_templates", "form_id"),
        "filler": Link(_PEOPLE, "filler_id"),
        "requested_form_completion": Link("form_requests", "request_id"),
        "user": Link("clients", "client_id"),
    },
    "form_requests": {
        "custom_module_form": Link("form_templates", "form_id"),
        "form_answer_group": Link("filled_forms", "filled_id"),
        "recipient": Link("clients", "client_id"),
        "sender": Link("providers", "sender_id"),
    },
}


def rows(world: World, table: str, frame: pl.DataFrame, wanted: Wanted) -> list[Row]:
    """Return the frame's rows as dicts of the fields wanted, in its order."""
    fields = FIELDS[table]
    plain = [fields[name].alias(name) for name in wanted if name in fields]
    shown = with_facts(world, frame, wanted) if table == "clients" else frame
    # `id` always: a row without a plain field would lose its height.
    dicts = shown.select(fields["id"].alias("id"), *(one for one in plain if one.meta.output_name() != "id")).to_dicts()
    for name, below in wanted.items():
        if name not in fields:
            for row, value in zip(dicts, _nested(world, table, frame, name, below), strict=True):
                row[name] = value
    return dicts


def by_ids(world: World, table: str, ids: Sequence[str | None], wanted: Wanted) -> dict[str, Row]:
    """Return the rows with these ids, by id."""
    if table == _PEOPLE:
        return by_ids(world, "clients", ids, wanted) | by_ids(world, "providers", ids, wanted)
    known = pl.Series("id", list({one for one in ids if one is not None}), dtype=pl.String)
    frame = world.table(table)
    return {row["id"]: row for row in rows(world, table, frame.filter(pl.col("id").is_in(known.implode())), wanted)}


def _nested(world: World, table: str, frame: pl.DataFrame, name: str, wanted: Wanted) -> Sequence[Any]:
    link = LINKS.get(table, {}).get(name)
    if link is not None:
        ids = frame[link.column].to_list()
        # Most ask only for the id, which is here already.
        if set(wanted) <= {"id", "__typename"}:
            return [None if one is None else {"id": one} for one in ids]
        found = by_ids(world, link.table, ids, wanted)
        return [None if one is None else found.get(one) for one in ids]
    special = _SPECIAL.get((table, name))
    return [None] * frame.height if special is None else special(world, frame, wanted)


def _reason(_: World, frame: pl.DataFrame, __: Wanted) -> list[Row | None]:
    """One of the practice's reasons of each type, in a fixed mixture over the appointments."""
    return [
        None if who is None else CANCELLATION_REASONS[who][number % len(CANCELLATION_REASONS[who])]
        for who, number in frame.select("reason_type", "number").rows()
    ]


def _recurring(_: World, frame: pl.DataFrame, __: Wanted) -> list[Row | None]:
    return [
        None if one is None else {"id": one, "repeat_interval": "Weekly", "repeat_times": "6"}
        for one in frame["series"]
    ]


def _attended(world: World, frame: pl.DataFrame, wanted: Wanted) -> list[list[Row]]:
    ids = frame["id"]
    theirs = world.attendances.filter(pl.col("appointment_id").is_in(ids.implode())).sort("number")
    listed: dict[str, list[Row]] = {one: [] for one in ids}
    for one, row in zip(theirs["appointment_id"], rows(world, "attendances", theirs, wanted), strict=True):
        listed[one].append(row)
    return [listed[one] for one in ids]


def _attendees(world: World, frame: pl.DataFrame, wanted: Wanted) -> list[list[Row]]:
    """Everyone in a group; a one-to-one visit names its client here only every other time, as Healthie may."""
    single = by_ids(world, "clients", frame["client_id"].to_list(), wanted)
    groups = _attended(world, frame, {"user": wanted})
    return [
        [one["user"] for one in group if one["user"]]
        if is_group
        else [single[who]]
        if who in single and number % 2
        else []
        for group, is_group, who, number in zip(
            groups, frame["is_group"], frame["client_id"], frame["number"], strict=True
        )
    ]


def _providers(world: World, frame: pl.DataFrame, wanted: Wanted) -> list[list[Row]]:
    both = frame.select("provider_id", "co_provider_id").rows()
    found = by_ids(world, "providers", [one for pair in both for one in pair], wanted)
    return [[found[one] for one in pair if one is not None] for pair in both]


def _group(_: World, frame: pl.DataFrame, __: Wanted) -> list[Row | None]:
    return [None if one is None else GROUP_ROWS[one] for one in frame["group_id"]]


def _source(_: World, frame: pl.DataFrame, __: Wanted) -> list[Row | None]:
    return [
        None
        if name is None
        else {"id": id_, "ref_source": name, "readable_source": name, "ref_type": "other", "ref_source_other": None}
        for id_, name in frame.select("id", "source").rows()
    ]


def _organization(world: World, frame: pl.DataFrame, __: Wanted) -> list[Row]:
    return [ORGANIZATION_ROW | {"id": world.organization_id}] * frame.height


def _their_appointments(world: World, frame: pl.DataFrame, wanted: Wanted) -> list[list[Row]]:
    theirs = world.appointments.filter(
        pl.col("client_id").is_in(frame["id"].implode()), pl.col("deleted_at").is_null()
    ).sort("number")
    listed: dict[str, list[Row]] = {one: [] for one in frame["id"]}
    for one, row in zip(theirs["client_id"], rows(world, "appointments", theirs, wanted), strict=True):
        listed[one].append(row)
    return [listed[one] for one in frame["id"]]


def _signings(world: World, frame: pl.DataFrame, wanted: Wanted) -> list[list[Row]]:
    times = frame.select("id", "filler_id", at=iso(pl.col("signed_at"))).rows()
    who = by_ids(world, "providers", frame["filler_id"].to_list(), wanted.get("user", {}))
    return [[] if at is None else [{"id": id_, "created_at": at, "user": who.get(one)}] for id_, one, at in times]


def _answers(_: World, frame: pl.DataFrame, __: Wanted) -> list[list[Row]]:
    return [
        [
            {
                "id": f"{id_}1",
                "label": "How are you?",
                "answer": "As well as made-up people are.",
                "custom_module_id": form,
            }
        ]
        for id_, form in frame.select("id", "form_id").rows()
    ]


def _locked_by(world: World, frame: pl.DataFrame, wanted: Wanted) -> list[Row | None]:
    who = by_ids(world, "providers", frame["filler_id"].to_list(), wanted)
    return [None if at is None else who.get(one) for at, one in frame.select("locked_at", "filler_id").rows()]


def _recurring_form(_: World, frame: pl.DataFrame, __: Wanted) -> list[Row | None]:
    return [
        None if one is None else {
            "id": one, "form_id": form, "form_type": "CustomModuleForm", "interval": "6", "interval_type": "weeks",
            "is_active": True, "recurrence_end_at": None,
        }
        for one, form in frame.select("series", "form_id").rows()
    ]  # fmt: skip


_SPECIAL: dict[tuple[str, str], Callable[[World, pl.DataFrame, Wanted], Sequence[Any]]] = {
    ("appointments", "attended_clients"): _attended,
    ("appointments", "attendees"): _attendees,
    ("appointments", "cancellation_reason"): _reason,
    ("appointments", "providers"): _providers,
    ("appointments", "recurring_appointment"): _recurring,
    ("clients", "appointments"): _their_appointments,
    ("clients", "client_source"): _source,
    ("clients", "organization"): _organization,
    ("clients", "user_group"): _group,
    ("filled_forms", "form_answer_group_signings"): _signings,
    ("filled_forms", "form_answers"): _answers,
    ("filled_forms", "locked_by"): _locked_by,
    ("form_requests", "recurring_form"): _recurring_form,
    ("providers", "organization"): _organization,
}
