"""The access log: who asked for what and when, in JSON lines that only their owner can read. No row, no value."""

from __future__ import annotations

import getpass
import os
from typing import TYPE_CHECKING, Any

import msgspec

from healthie_nb.files import make_private, private
from healthie_nb.query import HealthieError

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

FILE = "access.jsonl"


class AccessLogError(HealthieError):
    """The access log cannot be written; what it should tell of is not given."""


def note(folder: Path, *, at: datetime, action: str, **entry: Any) -> None:
    """Append a line to `access.jsonl`: `at` UTC, `user`, `action` (load, export, forget), and what the caller adds.

    Raises
    ------
    AccessLogError
        Where that cannot be done.
    """
    line = msgspec.json.encode({"at": at, "user": _user(), "action": action, **entry}) + b"\n"
    try:
        reason = _append(folder, line)
    except OSError as error:
        reason = error.strerror
    if reason:
        raise AccessLogError(
            f"{folder / FILE}: {reason}, so it does not tell of this {action}; make room there, "
            "or let its folder be yours"
        )


def _append(folder: Path, line: bytes) -> str | None:
    make_private(folder)
    private(folder / FILE)
    # One write to a file opened for appending: lines of several processes do not mix.
    file = os.open(folder / FILE, os.O_APPEND | os.O_WRONLY)
    try:
        return None if os.write(file, line) == len(line) else "only a part of the line could be written"
    finally:
        os.close(file)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return str(os.getuid()) if hasattr(os, "getuid") else "unknown"
