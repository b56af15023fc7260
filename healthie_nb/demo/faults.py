"""Answers gone wrong on purpose: which request gets which fault, and what that looks like on the wire."""

import json
from random import Random
from typing import Any, NamedTuple

from healthie_nb.demo.settings import FAULTS

THROTTLED = {
    "errors": [{"message": "Too many requests. Please try again later.", "extensions": {"code": "TOO_MANY_REQUESTS"}}]
}
HTML = b"<html><head><title>502 Bad Gateway</title></head><body><center>nginx</center></body></html>"
BEFORE = frozenset({"429", "throttle200", "408", "500", "502", "503", "504", "reset", "timeout", "nonjson"})
"""Faults that replace the answer; the others spoil it."""


class Reply(NamedTuple):
    """What goes on the wire."""

    status: int
    body: bytes
    content_type: str = "application/json; charset=utf-8"
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Faults:
    """Draws the fault of each request, in the order they come, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._chance = Random(seed)

    def draw(self, shares: dict[str, float]) -> str | None:
        """Return the fault of the next request, or None."""
        draw = self._chance.random()
        for kind in FAULTS:
            draw -= shares.get(kind, 0.0)
            if draw < 0:
                return kind
        return None


def replaced(kind: str) -> Reply:
    """Return the reply that takes the place of an answer."""
    if kind == "429":
        return Reply(429, json.dumps(THROTTLED).encode())
    if kind == "throttle200":
        return Reply(200, json.dumps(THROTTLED).encode())
    if kind in ("502", "503"):
        return Reply(int(kind), HTML, "text/html")
    if kind == "nonjson":
        return Reply(200, b"upstream connect error or disconnect/reset before headers", "text/plain")
    return Reply(int(kind), json.dumps({"error": f"HTTP {kind}"}).encode())


def partial(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the answer with an error beside its data, and the last row of its first connection gone."""
    data = answer.get("data") or {}
    for name, value in data.items():
        if isinstance(value, dict) and value.get("nodes"):
            path = [name, "nodes", len(value["nodes"]) - 1]
            nodes = [*value["nodes"][:-1], None]
            error = {"message": "Something went wrong", "path": path}
            return answer | {"data": data | {name: value | {"nodes": nodes}}, "errors": [error]}
    return answer | {"errors": [{"message": "Something went wrong"}]}
