"""The API key in the system keyring, bound to its host, so that no shell, notebook or file holds it.

Wraps keyring. A note beside the ledger says which endpoint a key is kept for, and no more: without it the keyring is
not even asked, and whoever changes it gains nothing, for the key is found by its host.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from typing import TYPE_CHECKING, NamedTuple, TypeVar
from urllib.parse import urlsplit

from healthie_nb.files import make_private
from healthie_nb.query import HealthieError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

T = TypeVar("T")
SERVICE = "healthie-nb"


class KeyringError(HealthieError):
    """The system keyring does not do what it is asked."""


class Kept(NamedTuple):
    """A key and the endpoint it is for. Never printed: its repr has no key."""

    url: str
    key: str

    def __repr__(self) -> str:
        return f"Kept(url={self.url!r})"


def read(folder: Path) -> Kept | None:
    """Return the key that is kept, None when none is.

    Raises
    ------
    KeyringError
        One is kept, and the keyring does not give it.
    """
    url = endpoint(folder)
    if not url:
        return None
    trouble = f"holds the key for {_host(url)} and cannot be read; unlock it, or set HEALTHIE_API_KEY"
    key = _asked(lambda keyring: keyring.get_password(SERVICE, _entry(url)), trouble=trouble)
    if not key:
        raise KeyringError(
            f"the system keyring has lost the key for {_host(url)}; run healthie-nb key set, or healthie-nb key forget"
        )
    return Kept(url, key)


def endpoint(folder: Path) -> str:
    """Return the URL that a key is kept for, without asking the keyring; empty when none is."""
    try:
        return str(json.loads((folder / "key.json").read_text(encoding="utf-8"))["url"])
    except (OSError, ValueError, TypeError, KeyError):
        return ""


def keep(folder: Path, url: str, key: str) -> None:
    """Put a key into the keyring, in the place of the one that was there. Raises KeyringError."""
    forget(folder)
    trouble = "keeps nothing; set HEALTHIE_API_KEY instead, in the environment or in a .env file"
    _asked(lambda keyring: keyring.set_password(SERVICE, _entry(url), key), trouble=trouble)
    write_private(folder / "key.json", json.dumps({"url": url}))


def forget(folder: Path) -> str:
    """Take the key out of the keyring; return the URL it was for, empty when there was none. Raises KeyringError."""
    url = endpoint(folder)
    if url:
        _asked(lambda keyring: _deleted(keyring, _entry(url)), trouble="cannot be changed; unlock it")
        (folder / "key.json").unlink(missing_ok=True)
    return url


def backend() -> str:
    """Return the name of the keyring that is used; empty where none works."""
    try:
        _asked(lambda keyring: keyring.get_password(SERVICE, "nothing has this name"), trouble="does not work")
        return _asked(lambda keyring: str(keyring.get_keyring().name), trouble="does not work")
    except KeyringError:
        return ""


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    make_private(path.parent)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _entry(url: str) -> str:
    return f"API key for {_host(url)}"


def _deleted(keyring: ModuleType, entry: str) -> None:
    if keyring.get_password(SERVICE, entry) is not None:
        keyring.delete_password(SERVICE, entry)


def _asked(ask: Callable[[ModuleType], T], *, trouble: str) -> T:
    """Return what the keyring answers. Raises KeyringError without the cause, which may quote the entry."""
    import keyring.errors  # noqa: PLC0415, most never keep a key here

    with contextlib.suppress(keyring.errors.KeyringError):
        return ask(keyring)
    raise KeyringError(f"the system keyring {trouble}")
