"""The control endpoint: what tests tell a running practice to do, and what they may ask it."""

import os
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from healthie_nb.demo import edits
from healthie_nb.demo.expected import expected_ids

if TYPE_CHECKING:
    from healthie_nb.demo.server import Application

_EDITS: dict[str, Callable[..., Any]] = {
    "insert_appointment": edits.insert_appointment,
    "move_appointment": edits.move_appointment,
    "set_status": edits.set_status,
    "delete_appointment": edits.delete_appointment,
    "rename_provider": edits.rename_provider,
    "rename_type": edits.rename_type,
    "insert_client": edits.insert_client,
    "archive_client": edits.archive_client,
    "merge_clients": edits.merge_clients,
    "complete_form": edits.complete_form,
    "sign_note": edits.sign_note,
}
_MOMENTS = ("starts_at", "start", "end")


class ControlError(ValueError):
    """What was asked of the control endpoint makes no sense."""


def controlled(application: "Application", body: Any) -> dict[str, Any]:
    """Return the answer to {"action": …, the action's own arguments}. Raise ControlError for a wrong one."""
    if not isinstance(body, dict) or "action" not in body:
        raise ControlError('the control endpoint takes {"action": …}.')
    given = {name: _value(name, value) for name, value in body.items() if name != "action"}
    action = body["action"]
    actions: dict[str, Callable[..., dict[str, Any]]] = {
        "status": _status,
        "settings": _settings,
        "counters": _counters,
        "reset_counters": _reset_counters,
        "ids": _ids,
    }
    try:
        if action in actions:
            return actions[action](application, **given)
        if action in _EDITS:
            row = given.pop("id", None)
            arguments = (application.practice.world,) if row is None else (application.practice.world, row)
            return {"id": _EDITS[action](*arguments, **given)}
    except (TypeError, ValueError, KeyError) as error:
        raise ControlError(str(error)) from error
    raise ControlError(f"no action {action!r}; there are: {', '.join([*actions, *_EDITS])}.")


def _value(name: str, value: Any) -> Any:
    return datetime.fromisoformat(value) if name in _MOMENTS and isinstance(value, str) else value


def _status(application: "Application") -> dict[str, Any]:
    world = application.practice.world
    which = {"seed": world.seed, "clients": world.client_count, "as_of": world.as_of.isoformat()}
    return which | {"now": world.now.isoformat(), "process": os.getpid()}


def _settings(application: "Application", **changes: Any) -> dict[str, Any]:
    if "latency_ms" in changes:
        changes["latency_ms"] = tuple(changes["latency_ms"])
    application.practice.settings = replace(application.practice.settings, **changes)
    return {name: value for name, value in asdict(application.practice.settings).items() if name != "key"}


def _counters(application: "Application") -> dict[str, Any]:
    counters, throttle = application.counters, application.throttle
    return {
        "requests": counters.requests,
        "operations": dict(counters.operations),
        "faults": dict(counters.faults),
        "refused": throttle.refused,
        "most_in_a_second": throttle.most_in_a_window,
    }


def _reset_counters(application: "Application") -> dict[str, Any]:
    application.reset_counters()
    return _counters(application)


def _ids(application: "Application", *, query: str, **given: Any) -> dict[str, Any]:
    return {"ids": expected_ids(application.practice.world, query, **given)}
