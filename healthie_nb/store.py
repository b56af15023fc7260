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
from typing import TYPE_CHECKING, Any, Protocol

import keyring
import keyring.errors
import msgspec
import polars as pl
from filelock import FileLock

from healthie_nb.query import HealthieError
from healthie_nb.windows import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from healthie_nb.settings import Settings

logger = logging.getLogger(__name__)

FORMAT = 2
GRACE = timedelta(hours=1)  # a reader may still hold a part that a refresh has replaced
# GONE rows were missing from a pull and may have moved elsewhere; at its end they are DELETED, or not gone.
WINDOW, WHOLE, DATELESS, GONE, DELETED = "window", "whole", "dateless", "gone", "deleted"


# What polars says of bytes that are not what they were; it may even panic.
UNREADABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)


class StoreError(HealthieError):
    """The store cannot be used as it is. What it holds is untouched."""


class StoreWarning(UserWarning):
    """Rows cannot be kept where they should be."""


class DamagedPartError(StoreError):
    """A part is missing, cut off, changed, or written with another key."""

    def __init__(self, part: StoredPart) -> None:
        super().__init__(f"part {part.name} cannot be read; it will be asked for again")
        self.part = part


class StoredPart(msgspec.Struct, frozen=True):
    """One file of rows. A window's part holds the rows whose window column lies in [start, end).

    `null_items`: rows that the server counts and the key may not see. `doubt`: the span of time in which rows that came
    or went while these were pulled may have hidden others; None once what changed meanwhile is known. `is_settled`:
    false when the rows would not hold still; they are asked for again next time.
    """

    name: str
    kind: str
    rows: int
    size: int
    pulled_at: datetime
    start: datetime | None = None
    end: datetime | None = None
    null_items: int = 0
    doubt: tuple[datetime, datetime] | None = None
    is_settled: bool = True

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
    def names(self) -> set[str]: ...
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
            manifest: Manifest | None = msgspec.json.decode(_checked(text), type=Manifest)
        except msgspec.MsgspecError:
            manifest = None
        if manifest is None or manifest.format != FORMAT:
            logger.warning("the manifest of %s cannot be read; its rows will be asked for again", self._empty.query)
            return self._empty
        return manifest

    def lock(self) -> contextlib.AbstractContextManager[object]:
        """Hold off other writers, in this process and in others. Readers need no lock."""
        return self._place.lock()

    def put(
        self, rows: pl.DataFrame, *, kind: str, now: datetime, window: Window | None = None, **facts: Any
    ) -> StoredPart:
        """Write a part and return it; it counts once `replace` names it. `facts` are fields of StoredPart."""
        span = f"-{window.start:%Y%m%d}-{window.end:%Y%m%d}" if window else ""
        name = f"{kind}{span}-{secrets.token_hex(4)}"
        size = self._place.put(name, rows)
        return StoredPart(name, kind, rows.height, size, now, *((window.start, window.end) if window else ()), **facts)

    def replace(
        self, old: Iterable[StoredPart], new: Iterable[StoredPart], *, now: datetime, **marks: datetime | None
    ) -> Manifest:
        """Exchange parts and set marks, all at once; files that are replaced stay for an hour, for their readers."""
        manifest, new = self.manifest, tuple(new)
        gone = {part.name for part in old}
        # A time that lies ahead was written by a clock that has been set back since: its hour begins now.
        retired = {name: min(at, now) for name, at in manifest.retired} | dict.fromkeys(
            gone - {part.name for part in new}, now
        )
        expired = {name for name, at in retired.items() if at < now - GRACE}
        after = msgspec.structs.replace(
            manifest,
            parts=(*(part for part in manifest.parts if part.name not in gone), *new),
            retired=tuple(sorted(item for item in retired.items() if item[0] not in expired)),
            **marks,
        )
        text = msgspec.json.encode(after)
        self._place.put_manifest(text + b"\n" + _checksum(text))
        for name in expired:
            self._place.remove(name)
        return after

    def sweep(self) -> None:
        """Remove parts that a killed run wrote and never named. For the holder of the lock only."""
        manifest = self.manifest
        named = {part.name for part in manifest.parts} | {name for name, _ in manifest.retired}
        for name in self._place.names() - named:
            self._place.remove(name)

    def scan(self, parts: Iterable[StoredPart]) -> pl.LazyFrame:
        """Return the rows of these parts, unread."""
        scanned = []
        for part in parts:
            with contextlib.suppress(OSError):
                scanned.append(self._place.scan(part.name))
                continue
            raise DamagedPartError(part)
        return pl.concat(scanned)

    def read(self, parts: Sequence[StoredPart]) -> pl.DataFrame:
        """Return the rows of these parts. Raises as `collect` does."""
        # One plan over hundreds of files takes polars four times as long as a plan for each.
        scanned = [self.scan([part]) for part in parts]
        return self._unless_damaged(lambda: pl.concat(pl.collect_all(scanned)), parts)

    def collect(self, rows: pl.LazyFrame, parts: Sequence[StoredPart]) -> pl.DataFrame:
        """Return rows that were scanned from these parts.

        Raises
        ------
        DamagedPartError
            Naming the part; what polars says of it is left out.
        """
        return self._unless_damaged(rows.collect, parts)

    def _unless_damaged(self, read: Callable[[], pl.DataFrame], parts: Sequence[StoredPart]) -> pl.DataFrame:
        try:
            return read()
        except UNREADABLE:
            pass
        if damaged := next((part for part in parts if self._is_damaged(part)), None):
            raise DamagedPartError(damaged)
        raise StoreError(
            f"the stored parts of {self._empty.query} do not fit together; run practice.forget({self._empty.query!r})"
        )

    def drop(self, part: StoredPart, *, now: datetime) -> None:
        """Uncover what a damaged part covered, so that it is asked for again; all other damaged ones with it."""
        with self.lock():
            self.replace({part, *self.damaged()}, (), now=now)

    def damaged(self) -> list[StoredPart]:
        """Return the parts that cannot be read. Reads all of them."""
        return [part for part in self.manifest.parts if self._is_damaged(part)]

    def _is_damaged(self, part: StoredPart) -> bool:
        try:
            return self._place.scan(part.name).collect().height != part.rows
        except UNREADABLE:
            return True

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
        except OSError as error:
            reason = error.strerror
        raise StoreError(f"{self._path}: {reason}; set HEALTHIE_CACHE_DIR to a folder of your own")

    def put_manifest(self, text: bytes) -> None:
        """Put a manifest in the place of the last one, at once."""
        self._appear("manifest.json", lambda path: path.write_bytes(text))

    def put(self, name: str, rows: pl.DataFrame) -> int:
        """Write a part; return its size in bytes."""
        properties = pl.ParquetEncryptionProperties(footer_key=self._key, aad_prefix=name.encode())
        return self._appear(
            f"{name}.parquet", lambda path: rows.write_parquet(path, compression="lz4", encryption=properties)
        )

    def scan(self, name: str) -> pl.LazyFrame:
        """Return a part, unread."""
        properties = pl.ParquetDecryptionProperties(footer_key=self._key, aad_prefix=name.encode())
        return pl.scan_parquet(self._path / f"{name}.parquet", decryption=properties, glob=False)

    def names(self) -> set[str]:
        """Return the names of all files of parts, finished or not."""
        return {path.stem for path in self._path.glob("*.parquet")} | {
            path.name for path in self._path.glob(".*.????????")
        }

    def remove(self, name: str) -> None:
        """Remove a part that nothing names any more."""
        for path in (self._path / f"{name}.parquet", self._path / name):
            with contextlib.suppress(OSError):  # What cannot be removed now is swept later.
                path.unlink(missing_ok=True)

    def lock(self) -> contextlib.AbstractContextManager[object]:
        """Return the lock of this data set. Raises StoreError where it cannot be taken."""
        try:
            os.close(os.open(self._path / "lock", os.O_CREAT | os.O_RDWR, 0o600))
            return FileLock(self._path / "lock", mode=0o600)
        except OSError as error:
            reason = error.strerror
        raise self._unwritable(reason)

    def clear(self) -> None:
        """Remove everything but the lock, which another may hold."""
        (self._path / "manifest.json").unlink(missing_ok=True)
        for path in self._path.glob("*.parquet*"):
            path.unlink(missing_ok=True)

    def _appear(self, name: str, write: Callable[[Path], object]) -> int:
        """Write a private file that takes its name, flushed to the disk, only when it is whole; return its size."""
        draft = self._path / f".{name}.{secrets.token_hex(4)}"
        try:
            os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            write(draft)
            with draft.open("rb+") as file:
                os.fsync(file.fileno())
                size = os.fstat(file.fileno()).st_size
            draft.replace(self._path / name)
        except UNREADABLE as error:
            reason = getattr(error, "strerror", None) or "it cannot be written"
        else:
            return size
        finally:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
        raise self._unwritable(reason)

    def _unwritable(self, reason: str | None) -> StoreError:
        return StoreError(
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

    def names(self) -> set[str]:
        """Return the names of all frames."""
        return set(self._frames)

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


def place(path: Path, key: bytes) -> Folder | Memory:
    """Return the folder; memory, with a warning, where nothing can be written and nothing is stored yet."""
    try:
        folder = Folder(path, key)
        if os.access(path, os.W_OK) or folder.manifest() is not None:
            return folder
        reason: str | None = "it is read-only"
    except OSError as error:
        reason = error.strerror
    warnings.warn(
        f"{path}: {reason}, so rows are kept in memory only and loaded anew each time; set HEALTHIE_CACHE_DIR to "
        "another folder",
        StoreWarning,
        stacklevel=5,
    )
    return Memory()


def _checksum(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest().encode()


def _checked(text: bytes) -> bytes:
    """Return the manifest above its checksum; nothing if the two do not fit."""
    body, _, checksum = text.rpartition(b"\n")
    return body if _checksum(body) == checksum else b""


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
