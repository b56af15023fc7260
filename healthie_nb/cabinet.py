"""The stores of one practice: a folder for each question that was asked, by readable names, and the key to them.

Wraps keyring, for the key.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
import shutil
import warnings
from typing import TYPE_CHECKING, Any

import keyring
import keyring.errors
import polars as pl

from healthie_nb.files import make_private
from healthie_nb.frame import INSTANT
from healthie_nb.manifest import DELETED, MOVED, WHOLE, WINDOW
from healthie_nb.shelves import Folder, Memory, StoreError, StoreWarning, file_lock, not_removed, place
from healthie_nb.store import DamagedPartError, Store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from healthie_nb.manifest import Manifest, StoredPart
    from healthie_nb.query import Query
    from healthie_nb.settings import Settings

STORED = {
    "practice": pl.String(),
    "query": pl.String(),
    "rows": pl.Int64(),
    "from": INSTANT,
    "to": INSTANT,
    "loaded_at": INSTANT,
    "verified_at": INSTANT,
    "bytes": pl.Int64(),
    "hidden": pl.Int64(),
}

MOVES = {
    "id": pl.String(),
    "client_id": pl.String(),
    "into_client_id": pl.String(),
    "query": pl.String(),
    "seen_at": INSTANT,
}
CLIENTS = "clients"


class Cabinet:
    """What a practice keeps: on disk where there is a key to encrypt it with, else in memory."""

    def __init__(self, root: Path, key: bytes | None, *, practice: str, identity: tuple[object, ...]) -> None:
        self.root = kept_folder(root / "store", practice, identity)
        self._key, self._practice = key, practice
        self._memory: dict[str, Store] = {}

    def store(self, query: Query, variables: Mapping[str, Any]) -> Store:
        """Return where the rows of a query, with these variables other than the window, are kept."""
        texts = (query.operation.text, query.changed.text if query.changed else "")
        name = readable_name(query.name, texts, sorted(variables.items()))
        if name in self._memory:
            return self._memory[name]
        where = Memory() if self._key is None else place(self.root / name, self._key)
        store = Store(where, query=query.name, practice=self._practice)
        if isinstance(where, Memory):
            self._memory[name] = store
        return store

    def stored(self) -> pl.DataFrame:
        """Return what is kept.

        Rows: one per question. Columns: query String; rows Int64; from, to, loaded_at, verified_at Datetime UTC; bytes
        Int64, on disk; hidden Int64, rows that the server counts and the key may not see. from and to are the ends of
        what is covered, null where the query has no window.
        """
        return _listed(store.found for _, store in self._all()).drop("practice")

    def merged(self) -> pl.DataFrame:
        """Return which clients vanished while rows of theirs became another's; as `Practice.merged`."""
        vanished, moved = [pl.Series("id", [], pl.String)], [pl.DataFrame(schema=MOVES)]
        for _, store in self._all():
            manifest = store.manifest
            if manifest.query == CLIENTS:
                vanished += [rows.get_column("id") for rows in _legible(store, manifest.of(DELETED))]
            name = pl.lit(manifest.query).alias("query")
            moved += [rows.with_columns(name).select(list(MOVES)) for rows in _legible(store, manifest.of(MOVED))]
        return (
            pl.concat(moved)
            .filter(pl.col("client_id").is_in(pl.concat(vanished).implode()))
            .group_by("client_id", "into_client_id", "query")
            .agg(rows=pl.col("id").n_unique().cast(pl.Int64), seen_at=pl.col("seen_at").min())
            .sort("client_id", "into_client_id", "query")
        )

    def forget(self, query: str) -> int:
        """Remove what is kept of a query, whatever its variables; return how many rows went.

        Raises
        ------
        StoreError
            Nothing is kept of it; the message lists what is.
        """
        mine = [(folder, store) for folder, store in self._all() if store.found.query == query]
        if not mine:
            kept = ", ".join(sorted({store.found.query for _, store in self._all()})) or "nothing"
            raise StoreError(f"nothing is stored of {query!r}; stored are: {kept}")
        rows = 0
        for folder, store in mine:
            rows += store.found.rows
            with store.lock():
                store.forget()
            if folder:
                shutil.rmtree(folder, ignore_errors=True)
        return rows

    def _all(self) -> Iterator[tuple[Path | None, Store]]:
        yield from ((None, store) for store in self._memory.values())
        for path in _folders(self.root.glob("*/*.json")):
            yield path, Store(Folder(path, self._key or b""), query="unreadable", practice=self._practice)


def _legible(store: Store, parts: Iterable[StoredPart]) -> Iterator[pl.DataFrame]:
    """Yield the rows of the parts that can be read; a warning tells of others, which the next refresh lets go of."""
    for part in parts:
        try:
            rows = store.read([part])
        except DamagedPartError:
            message = f"what is stored of {store.manifest.query} tells of merged clients, and cannot all be read"
            warnings.warn(message, StoreWarning, stacklevel=4)
        else:
            yield rows


def cache_key(settings: Settings) -> bytes | None:
    """Return the key of the stored parts: HEALTHIE_CACHE_KEY, or the system keyring's, made at first use.

    None where there is neither; one warning says how to turn the store on. The demo practice has a key of its own: its
    rows are synthetic.
    """
    if settings.cache_key:
        return bytes.fromhex(settings.cache_key)
    if settings.is_synthetic:
        return hashlib.sha256(b"healthie-nb demo practice").digest()
    with contextlib.suppress(keyring.errors.KeyringError):
        if kept := _kept_key(settings.data_dir):
            return bytes.fromhex(kept)
    warnings.warn(
        "there is no system keyring, so rows are kept in memory only and loaded anew each time. To keep them "
        "encrypted on this machine, set HEALTHIE_CACHE_KEY to 64 hex digits, as from "
        "python -c 'import secrets; print(secrets.token_hex(32))'",
        stacklevel=4,
    )
    return None


def _kept_key(folder: Path) -> str | None:
    """Return the keyring's key, made at first use; None from a keyring that keeps nothing.

    Two that are first at once must not make two keys: what one of them writes, nobody could read.
    """
    kept = keyring.get_password("healthie-nb", "cache")
    if kept is not None:
        return kept
    with _lock(folder):
        if keyring.get_password("healthie-nb", "cache") is None:
            keyring.set_password("healthie-nb", "cache", secrets.token_hex(32))
    return keyring.get_password("healthie-nb", "cache")  # what is kept counts, not what was to be


def _lock(folder: Path) -> contextlib.AbstractContextManager[object]:
    with contextlib.suppress(OSError):
        make_private(folder)
        return file_lock(folder / "cache-key.lock")
    return contextlib.nullcontext()


def readable_name(name: str, *identity: object) -> str:
    """Return a folder's name that says what it holds, with eight hex digits that tell it from others."""
    return f"{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')[:40]}-{_digest(identity)}"


def kept_folder(parent: Path, name: str, *identity: object) -> Path:
    """Return where what has this identity is kept: where it was first, should its name have changed since."""
    folder = parent / readable_name(name, *identity)
    before = sorted(parent.glob(f"*-{_digest(identity)}"))
    return folder if folder in before or not before else before[0]


def _digest(identity: tuple[object, ...]) -> str:
    return hashlib.sha256(repr(identity).encode()).hexdigest()[:8]


def purge(root: Path) -> None:
    """Remove every stored data set below a cache folder. The ledger is elsewhere and stays.

    Raises
    ------
    StoreError
        Not all of it could be removed.
    """
    folder = root / "store"
    shutil.rmtree(folder, ignore_errors=True)
    if folder.is_dir():
        raise not_removed(folder, "not all of it could be removed")


def kept(root: Path) -> pl.DataFrame:
    """Return what is kept below a cache folder, of whichever practice; `Cabinet.stored` with the practice's name."""
    folders = _folders((root / "store").glob("*/*/*.json"))
    return _listed(Store(Folder(folder, b""), query="unreadable", practice="unknown").found for folder in folders)


def _folders(manifests: Iterable[Path]) -> list[Path]:
    return sorted({path.parent for path in manifests})


def _listed(manifests: Iterable[Manifest]) -> pl.DataFrame:
    found = []
    for manifest in manifests:
        spans = [part.window for part in manifest.of(WINDOW) if part.window]
        start, end = min((span.start for span in spans), default=None), max((span.end for span in spans), default=None)
        held = manifest.of(WINDOW, WHOLE)
        size, hidden = sum(part.size for part in held), sum(part.null_items for part in held)
        times = (manifest.loaded_at, manifest.verified_at)
        found.append((manifest.practice, manifest.query, manifest.rows, start, end, *times, size, hidden))
    return pl.DataFrame(found, schema=STORED, orient="row").sort("practice", "query", "from", "bytes")
