"""The access log: who asked for what and when, in JSON lines that only their owner can read. No row, no value."""

from __future__ import annotations

import getpass
import os
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path


def note(folder: Path, *, at: datetime, action: str, **entry: Any) -> None:
    """Append a line to `access.jsonl`: `at` UTC, `user`, `action` (load, export, forget), and what the caller adds."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    line = msgspec.json.encode({"at": at, "user": _user(), "action": action, **entry}) + b"\n"
    # One write to a file opened for appending: lines of several processes do not mix.
    file = os.open(folder / "access.jsonl", os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        os.write(file, line)
    finally:
        os.close(file)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return str(os.getuid()) if hasattr(os, "getuid") else "unknown"
