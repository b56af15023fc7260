"""Changes made while the practice runs, as its staff would make them: Healthie's updated_at included."""

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import Any

import polars as pl

from healthie_nb.demo.world import World

MOVED_BY = timedelta(days=3)


class EditError(ValueError):
    """An edit names a row that is not there."""


def insert_appointment(
    world: World, *, client_id: str, provider_id: str, type_id: str, starts_at: datetime, minutes: int = 30
) -> str:
    """Book a visit. The id of the new row."""
    _present(world, "clients", client_id), _present(world, "providers", provider_id)
    _present(world, "appointment_types", type_id)
    now, number = world.tick(), _next_number(world, "appointments")
    new = {
        "id": str(number), "number": number, "client_id": client_id, "provider_id": provider_id, "type_id": type_id,
        "is_group": False, "is_block": False, "is_synced": False, "created_at": now, "updated_at": now,
        "starts_at": starts_at, "minutes": minutes, "contact_type": "In Person", "reschedule_count": 0,
        "took_place": False,
    }  # fmt: skip
    _append(world, "appointments", new)
    return str(number)


def move_appointment(world: World, id_: str, *, starts_at: datetime) -> None:
    """Give a visit another time on the same row, and count it."""
    now = world.tick()
    count = pl.col("reschedule_count").fill_null(0) + 1
    _update(world, "appointments", id_, starts_at=starts_at, updated_at=now, reschedule_count=count)


def set_status(world: World, id_: str, *, status: str | None) -> None:
    """Record an outcome, or take it back."""
    now = world.tick()
    reason = "client" if status in ("Cancelled", "Late Cancellation") else None
    _update(world, "appointments", id_, status=status, status_at=now, updated_at=now, reason_type=reason)


def delete_appointment(world: World, id_: str) -> None:
    """Delete a visit: it is not listed any more, and nothing that is listed says so."""
    _update(world, "appointments", id_, deleted_at=world.tick())


def rename_provider(world: World, id_: str, *, name: str) -> None:
    """Rename a member of staff. Appointments are not touched."""
    _update(world, "providers", id_, name=name, updated_at=world.tick())


def rename_type(world: World, id_: str, *, name: str) -> None:
    """Rename an appointment type. Appointments are not touched."""
    _update(world, "appointment_types", id_, name=name, updated_at=world.tick())


def insert_client(world: World, *, like: str) -> str:
    """Sign up a client with the name, source and provider of another, as who signs up twice. The id of the new row."""
    known = _present(world, "clients", like)
    now, number = world.tick(), _next_number(world, "clients")
    same = {name: known[name] for name in ("first_name", "last_name", "source", "provider_id", "group_id", "track")}
    new = {"id": str(number), "number": number, "created_at": now, "updated_at": now, "active": True, "is_test": False}
    _append(world, "clients", {**same, **new})
    return str(number)


def archive_client(world: World, id_: str) -> None:
    """Archive a client, which cancels the upcoming visits."""
    now = world.tick()
    _update(world, "clients", id_, active=False, archived_at=now, updated_at=now)
    theirs = (
        (pl.col("client_id") == id_)
        & (pl.col("starts_at") > now)
        & pl.col("status").is_null()
        & pl.col("deleted_at").is_null()
    )
    _change(
        world, "appointments", theirs, status="Cancelled", status_at=now, updated_at=now, reason_type="organization"
    )


def merge_clients(world: World, gone: str, *, into: str) -> None:
    """Merge a client into another: the id vanishes, and what was theirs belongs to the other."""
    _present(world, "clients", gone), _present(world, "clients", into)
    now = world.tick()
    world.replace("clients", world.clients.filter(pl.col("id") != gone))
    _update(world, "clients", into, updated_at=now)
    for name in ("appointments", "filled_forms"):
        _change(world, name, pl.col("client_id") == gone, client_id=into, updated_at=now)
    _change(world, "filled_forms", pl.col("filler_id") == gone, filler_id=into)
    for name in ("attendances", "form_requests"):
        _change(world, name, pl.col("client_id") == gone, client_id=into)


def complete_form(world: World, request_id: str) -> str:
    """Let the client fill a form they were asked for. The id of the filled form."""
    request = _present(world, "form_requests", request_id)
    if request["completed_at"] is not None:
        raise EditError(f"form request {request_id!r} is completed already.")
    now = world.tick()
    filled_id = request["filled_id"] or str(_next_number(world, "filled_forms"))
    if request["filled_id"] is None:
        same = {name: request[name] for name in ("form_id", "client_id")}
        theirs = {"filler_id": request["client_id"], "request_id": request_id}
        _append(world, "filled_forms", {"id": filled_id, "number": int(filled_id), **same, **theirs})
    _update(world, "filled_forms", filled_id, created_at=now, filled_at=now, updated_at=now, finished=True)
    started = pl.coalesce("started_at", pl.lit(now))
    _update(world, "form_requests", request_id, completed_at=now, started_at=started, filled_id=filled_id)
    return filled_id


def sign_note(world: World, filled_id: str) -> None:
    """Sign a chart note."""
    now = world.tick()
    _update(world, "filled_forms", filled_id, signed_at=now, updated_at=now)


def random_edit(world: World, chance: Random) -> str:
    """One edit picked at random, of a calendar row rather than of what there is less of. What was done."""
    what = chance.choice((*_CALENDAR, *_CALENDAR, *_OTHERS))
    if what in _OTHERS:
        _OTHERS[what](world, chance)
    else:
        _calendar_edit(world, chance, what)
    return what


_CALENDAR = ("insert", "move", "status", "delete")


def _calendar_edit(world: World, chance: Random, what: str) -> None:
    listed = world.appointments.filter(
        pl.col("deleted_at").is_null(), pl.col("client_id").is_not_null(), pl.col("starts_at").is_not_null()
    )
    row = listed.row(chance.randrange(listed.height), named=True)
    if what == "insert":
        same = {name: row[name] for name in ("client_id", "provider_id", "type_id")}
        insert_appointment(world, starts_at=row["starts_at"] + MOVED_BY, **same)
    elif what == "move":
        move_appointment(world, row["id"], starts_at=row["starts_at"] + MOVED_BY)
    elif what == "status":
        set_status(world, row["id"], status=chance.choice(("Occurred", "No-Show", "Cancelled")))
    else:
        delete_appointment(world, row["id"])


def _rename(world: World, chance: Random) -> None:
    rename_provider(world, _one(world.providers, chance), name=f"Renamed {chance.randrange(1_000)}")


def _sign_up(world: World, chance: Random) -> None:
    insert_client(world, like=_one(world.clients, chance))


def _merge(world: World, chance: Random) -> None:
    gone, into = _one(world.clients, chance), _one(world.clients, chance)
    if gone == into:
        _sign_up(world, chance)
    else:
        merge_clients(world, gone, into=into)


def _archive(world: World, chance: Random) -> None:
    archive_client(world, _one(world.clients, chance))


def _complete(world: World, chance: Random) -> None:
    waiting = world.form_requests.filter(pl.col("completed_at").is_null())
    if waiting.height:
        complete_form(world, _one(waiting, chance))


def _sign(world: World, chance: Random) -> None:
    notes = world.filled_forms.filter(pl.col("finished"), pl.col("signed_at").is_null())
    if notes.height:
        sign_note(world, _one(notes, chance))


_OTHERS: dict[str, Callable[[World, Random], None]] = {
    "rename": _rename, "sign up": _sign_up, "merge": _merge, "archive": _archive, "complete": _complete, "sign": _sign,
}  # fmt: skip


def _one(rows: pl.DataFrame, chance: Random) -> str:
    return str(rows.item(chance.randrange(rows.height), "id"))


def _present(world: World, table: str, id_: str) -> dict[str, Any]:
    found = world.table(table).filter(pl.col("id") == id_)
    if found.is_empty():
        raise EditError(f"no row {id_!r} in {table}.")
    return found.row(0, named=True)


def _next_number(world: World, table: str) -> int:
    return int(world.table(table).select(pl.col("number").max()).item() or 0) + 1


def _append(world: World, table: str, row: dict[str, Any]) -> None:
    frame = world.table(table)
    schema = {name: dtype for name, dtype in frame.schema.items() if name in row}
    world.replace(table, pl.concat([frame, pl.DataFrame([row], schema=schema)], how="diagonal"))


def _update(world: World, table: str, id_: str, **values: Any) -> None:
    _present(world, table, id_)
    _change(world, table, pl.col("id") == id_, **values)


def _change(world: World, table: str, where: pl.Expr, **values: Any) -> None:
    frame = world.table(table)
    given = {name: value if isinstance(value, pl.Expr) else pl.lit(value) for name, value in values.items()}
    new = {name: pl.when(where).then(value).otherwise(name).cast(frame.schema[name]) for name, value in given.items()}
    world.replace(table, frame.with_columns(**new))
