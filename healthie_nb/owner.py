"""Whose key it is: asked at every connect, and kept beside the rows, which are not found without it.

What is kept is encrypted as the rows are, in a file named by a digest of host, key and version.
"""

from __future__ import annotations

import contextlib
import hashlib
import warnings
from typing import TYPE_CHECKING, Any

from healthie_nb.failures import ConnectionFailedError, UnavailableError
from healthie_nb.shelves import UNREADABLE, Folder, StoreError

if TYPE_CHECKING:
    import polars as pl

    from healthie_nb.connection import Connection


class OfflineWarning(UserWarning):
    """Nobody answers; what is stored can be loaded all the same."""


def owner(connection: Connection, key: bytes | None) -> dict[str, Any]:
    """Return the row of the key's owner: as it is now; where nobody answers, as it was last, with a warning."""
    settings = connection.settings
    digest = hashlib.sha256(f"healthie-nb owner {settings.host} {settings.version} {settings.key}".encode())
    name = digest.hexdigest()[:32]
    folder = settings.cache_dir / "store" / "owners"
    kept = _kept(Folder(folder, key), name) if key and folder.is_dir() else None
    try:
        found = connection.owner()
    except (ConnectionFailedError, UnavailableError) as error:
        if kept is None:
            raise
        message = f"{error}. Until it answers, load with offline=True: what is stored, whatever its age"
        warnings.warn(message, OfflineWarning, stacklevel=4)
        return kept.row(0, named=True)
    if key and (kept is None or not kept.equals(found)):
        with contextlib.suppress(StoreError, OSError):  # Where this cannot be kept, rows cannot either: said there.
            Folder(folder, key).put(name, found)
    return found.row(0, named=True)


def _kept(folder: Folder, name: str) -> pl.DataFrame | None:
    with contextlib.suppress(*UNREADABLE):
        return folder.scan(name).collect()
    return None
