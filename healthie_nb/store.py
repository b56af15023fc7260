"""What was loaded, kept: encrypted Parquet parts and a manifest of what they cover. Passive: it asks nobody.

Wraps polars' Parquet encryption, which polars marks as unstable: every use of it is in this file. A part is bound to
its name by an additional-authenticated-data prefix, so that two parts cannot be swapped. Parts and manifest appear
whole or not at all; a part that cannot be read is dropped, to be asked for again, never guessed at.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import secrets
import shutil
import warnings
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

import keyring
import keyring.errors
import msgspec
import polars as pl
from filelock import FileLock

from healthie_nb.query import HealthieError
from healthie_nb.windows import Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from healthie_nb.settings import Settings

logger = logging.getLogger(__name__)

FORMAT = 1
GRACE = timedelta(hours=1)  # a reader may still hold a part that a refresh has replaced
WINDOW, WHOLE, DATELESS, DELETED = "window", "whole", "dateless", "deleted"


class StoreError(HealthieError):
    """The store cannot be used as it is. What it holds is untouched."""


class DamagedPartError(StoreError):
    """A part is missing, cut off, changed, or written with another key."""

    def __init__(self, part: StoredPart) -> None:
        super().__init__(f"part {part.name} cannot be read; it will be asked for again")
        self.part = part


class StoredPart(msgspec.Struct, frozen=True):
    """One file of rows. A window's part holds the rows whose window column lies in [start, end)."""

    name: str
    kind: str
    rows: int
    size: int
    pulled_at: datetime
    start: datetime | None = None
    end: datetime | None = None

    @property
    def window(self) -> Window | None:
        """The span that the part covers; None where it is not a window's."""
        return Window(self.start, self.end) if self.start and self.end else None


class Manifest(msgspec.Struct, frozen=True):
    """What is stored of one data set.

    `watermark`: changes up to here are in. `loaded_at`: last brought up to date. `verified_at`: last pulled afresh.
    """

    query: str
    practice: str
    format: int = FORMAT
    parts: tuple[StoredPart, ...] = ()
    retired: tuple[tuple[str, datetime], ...] = ()
    watermark: datetime | None = None
    loaded_at: datetime | None = None
    verified_at: datetime | None = None

    def of(self, *kinds: str) -> list[StoredPart]:
        """Return the parts of these kinds, in order of time."""
        start = datetime.min.replace(tzinfo=UTC)
        return sorted(
            (part for part in self.parts if part.kind in kinds), key=lambda part: (part.start or start, part.name)
        )

    @property
    def rows(self) -> int:
        """Rows that `load` may give."""
        return sum(part.rows for part in self.of(WINDOW, WHOLE))

    def missing(self, window: Window) -> list[Window]:
        """Return the spans of the window that no part covers."""
        gaps, reached = [], window.start
        for part in self.of(WINDOW):
            assert part.window
            if part.window.start >= window.end:
                break
            if part.window.start > reached:
                gaps.append(Window(reached, part.window.start))
            reached = max(reached, part.window.end)
        return [*gaps, Window(reached, window.end)] if reached < window.end else gaps


class _Place(Protocol):
    """Where bytes and frames are put: a folder, or memory."""

    def manifest(self) -> bytes | None: ...
    def put_manifest(self, text: bytes) -> None: ...
    def put(self, name: str, rows: pl.DataFrame) -> int: ...
    def scan(self, name: str) -> pl.LazyFrame: ...
    def remove(self, name: str) -> None: ...
    def lock(self) -> contextlib.AbstractContextManager[object]: ...
    def clear(self) -> None: ...


class Store:
    """The stored rows of one data set."""

    def __init__(self, place: _Place, *, query: str, practice: str) -> None:
        self._place, self._empty = place, Manifest(query=query, practice=practice)

    @property
    def manifest(self) -> Manifest:
        """What is stored now. A manifest that cannot be read counts as nothing stored."""
        text = self._place.manifest()
        if text is None:
            return self._empty
        try:
            manifest = msgspec.json.decode(text, type=Manifest)
        except msgspec.MsgspecError:
            logger.warning("the manifest of %s cannot be read; its rows will be asked for again", self._empty.query)
            return self._empty
        return manifest if manifest.format == FORMAT else self._empty

    def lock(self) -> contextlib.AbstractContextManager[object]:
        """Hold off other writers, in this process and in others. Readers need no lock."""
        return self._place.lock()

    def put(self, rows: pl.DataFrame, *, kind: str, now: datetime, window: Window | None = None) -> StoredPart:
        """Write a part and return it; it counts once `replace` names it."""
        span = f"-{window.start:%Y%m%d}-{window.end:%Y%m%d}" if window else ""
        name = f"{kind}{span}-{secrets.token_hex(4)}"
        size = self._place.put(name, rows)
        return StoredPart(name, kind, rows.height, size, now, *((window.start, window.end) if window else ()))

    def replace(
        self, old: Iterable[StoredPart], new: Iterable[StoredPart], *, now: datetime, **marks: datetime | None
    ) -> Manifest:
        """Exchange parts and set marks, all at once; files that are replaced stay for an hour, for their readers."""
        manifest = self.manifest
        gone = {part.name for part in old}
        expired = {name for name, at in manifest.retired if not now - GRACE <= at <= now + GRACE}
        after = msgspec.structs.replace(
            manifest,
            parts=(*(part for part in manifest.parts if part.name not in gone), *new),
            retired=(
                *(item for item in manifest.retired if item[0] not in expired),
                *((name, now) for name in sorted(gone)),
            ),
            **marks,
        )
        self._place.put_manifest(msgspec.json.encode(after))
        for name in expired:
            self._place.remove(name)
        return after

    def scan(self, parts: Iterable[StoredPart]) -> pl.LazyFrame:
        """Return the rows of these parts, unread."""
        return pl.concat([self._place.scan(part.name) for part in parts])

    def read(self, parts: Sequence[StoredPart]) -> pl.DataFrame:
        """Return the rows of these parts. Raises as `collect` does."""
        return self.collect(self.scan(parts), parts)

    def collect(self, rows: pl.LazyFrame, parts: Sequence[StoredPart]) -> pl.DataFrame:
        """Return rows that were scanned from these parts.

        Raises
        ------
        DamagedPartError
            Naming the part; what polars says of it is left out.
        """
        try:
            return rows.collect()
        except (pl.exceptions.PolarsError, OSError):
            pass
        for part in parts:
            damaged = False
            try:
                damaged = self._place.scan(part.name).collect().height != part.rows
            except (pl.exceptions.PolarsError, OSError):
                damaged = True
            if damaged:
                raise DamagedPartError(part)
        raise StoreError(
            f"the stored parts of {self._empty.query} do not fit together; run practice.forget({self._empty.query!r})"
        )

    def drop(self, part: StoredPart, *, now: datetime) -> None:
        """Uncover what a damaged part covered, so that it is asked for again."""
        with self.lock():
            self.replace((part,), (), now=now)

    def forget(self) -> None:
        """Remove what is stored."""
        self._place.clear()


class Folder:
    """Parts as encrypted files that only their owner can read."""

    def __init__(self, path: Path, key: bytes) -> None:
        self._path, self._key = path, key
        make_private(path)

    def manifest(self) -> bytes | None:
        """Return the manifest's text."""
        try:
            return (self._path / "manifest.json").read_bytes()
        except FileNotFoundError:
            return None

    def put_manifest(self, text: bytes) -> None:
        """Put a manifest in the place of the last one, at once."""
        with self._appearing("manifest.json") as path:
            path.write_bytes(text)

    def put(self, name: str, rows: pl.DataFrame) -> int:
        """Write a part; return its size in bytes."""
        properties = pl.ParquetEncryptionProperties(footer_key=self._key, aad_prefix=name.encode())
        with self._appearing(f"{name}.parquet") as path:
            rows.write_parquet(path, compression="lz4", encryption=properties)
            return path.stat().st_size

    def scan(self, name: str) -> pl.LazyFrame:
        """Return a part, unread."""
        properties = pl.ParquetDecryptionProperties(footer_key=self._key, aad_prefix=name.encode())
        return pl.scan_parquet(self._path / f"{name}.parquet", decryption=properties, glob=False)

    def remove(self, name: str) -> None:
        """Remove a part that nothing names any more."""
        (self._path / f"{name}.parquet").unlink(missing_ok=True)

    def lock(self) -> contextlib.AbstractContextManager[object]:
        """Return the lock of this data set."""
        os.close(os.open(self._path / "lock", os.O_CREAT | os.O_RDWR, 0o600))
        return FileLock(self._path / "lock", mode=0o600)

    def clear(self) -> None:
        """Remove everything but the lock, which another may hold."""
        (self._path / "manifest.json").unlink(missing_ok=True)
        for path in self._path.glob("*.parquet*"):
            path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _appearing(self, name: str) -> Iterator[Path]:
        """Yield a private file that takes its name, flushed to the disk, only when it is whole."""
        draft = self._path / f".{name}.{secrets.token_hex(4)}"
        try:
            os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            yield draft
            with draft.open("rb+") as file:
                os.fsync(file.fileno())
            draft.replace(self._path / name)
        except (OSError, pl.exceptions.PolarsError) as error:
            reason = getattr(error, "strerror", None) or "it cannot be written"
        else:
            return
        finally:
            draft.unlink(missing_ok=True)
        raise StoreError(
            f"{self._path}: {reason}. What was stored before is whole. Make room there (healthie-nb cache purge), or "
            "set HEALTHIE_CACHE_DIR to another folder"
        )


class Memory:
    """Parts as frames, gone with the process."""

    def __init__(self) -> None:
        self._frames: dict[str, pl.DataFrame] = {}
        self._manifest: bytes | None = None

    def manifest(self) -> bytes | None:
        """Return the manifest's text."""
        return self._manifest

    def put_manifest(self, text: bytes) -> None:
        """Keep the manifest's text."""
        self._manifest = text

    def put(self, name: str, rows: pl.DataFrame) -> int:
        """Keep a frame; return about how many bytes it takes."""
        self._frames[name] = rows
        return int(rows.estimated_size())

    def scan(self, name: str) -> pl.LazyFrame:
        """Return a frame, unread."""
        if name not in self._frames:
            raise FileNotFoundError(name)
        return self._frames[name].lazy()

    def remove(self, name: str) -> None:
        """Let a frame go."""
        self._frames.pop(name, None)

    def lock(self) -> contextlib.AbstractContextManager[object]:
        """Return nothing to wait for: no other process can see this."""
        return contextlib.nullcontext()

    def clear(self) -> None:
        """Let everything go."""
        self._frames.clear()
        self._manifest = None


def cache_key(settings: Settings) -> bytes | None:
    """Return the key of the stored parts: HEALTHIE_CACHE_KEY, or the system keyring's, made at first use.

    None where there is neither; one warning says how to turn the store on. The demo practice has a key of its own: its
    rows are synthetic.
    """
    if settings.cache_key:
        return bytes.fromhex(settings.cache_key)
    if settings.is_synthetic:
        return hashlib.sha256(b"healthie-nb demo practice").digest()
    try:
        kept = keyring.get_password("healthie-nb", "cache")
        if kept is None:
            kept = secrets.token_hex(32)
            keyring.set_password("healthie-nb", "cache", kept)
    except keyring.errors.KeyringError:
        warnings.warn(
            "there is no system keyring, so rows are kept in memory only and loaded anew each time. To keep them "
            "encrypted on this machine, set HEALTHIE_CACHE_KEY to 64 hex digits, as from "
            "python -c 'import secrets; print(secrets.token_hex(32))'",
            stacklevel=4,
        )
        return None
    return bytes.fromhex(kept)


def make_private(path: Path) -> None:
    """Make a folder, and those above it that are missing, that only its owner can enter, whatever the umask."""
    if path.is_dir():
        return
    make_private(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    path.chmod(0o700)


def readable_name(name: str, *identity: object) -> str:
    """Return a folder's name that says what it holds, with eight hex digits that tell it from others."""
    digest = hashlib.sha256(repr(identity).encode()).hexdigest()[:8]
    return f"{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')[:40]}-{digest}"


def purge(root: Path) -> None:
    """Remove every stored data set below a cache folder. The ledger is elsewhere and stays."""
    shutil.rmtree(root / "store", ignore_errors=True)
