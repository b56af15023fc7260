"""Where parts are put: encrypted Parquet files in a private folder, or memory.

Wraps polars' Parquet encryption, which polars marks as unstable: every use of it is in this file. A part is bound to
its name by an additional-authenticated-data prefix, so that two parts cannot be swapped. Parts and manifest appear
whole or not at all.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import warnings
from typing import TYPE_CHECKING

import polars as pl
from filelock import FileLock

from healthie_nb.files import make_private, private
from healthie_nb.query import HealthieError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# What polars says of bytes that are not what they were; it may even panic.
UNREADABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)


MANIFEST, DRAFT = "manifest.json", "draft.json"


class StoreError(HealthieError):
    """The store cannot be used as it is. What it holds is untouched."""


class StoreWarning(UserWarning):
    """Rows cannot be kept where they should be."""


class Folder:
    """Parts as encrypted files that only their owner can read."""

    def __init__(self, path: Path, key: bytes) -> None:
        self._path, self._key = path, key
        make_private(path)

    def manifest(self, name: str = MANIFEST) -> bytes | None:
        """Return the text of the manifest, or of the draft of the next one."""
        try:
            return (self._path / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            reason = error.strerror
        raise StoreError(f"{self._path}: {reason}; set HEALTHIE_CACHE_DIR to a folder of your own")

    def put_manifest(self, text: bytes, name: str = MANIFEST) -> None:
        """Put a manifest in the place of the last one, at once."""
        self._appear(name, lambda path: path.write_bytes(text))

    def publish(self) -> None:
        """Let the draft be the manifest, at once."""
        try:
            (self._path / DRAFT).replace(self._path / MANIFEST)
        except OSError as error:
            reason = error.strerror
        else:
            return
        raise self._unwritable(reason)

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
            return file_lock(self._path / "lock")
        except OSError as error:
            reason = error.strerror
        raise self._unwritable(reason)

    def clear(self) -> None:
        """Remove everything but the lock, which another may hold. Raises StoreError where something stays."""
        reasons = set()
        for path in [self._path / DRAFT, self._path / MANIFEST, *self._path.glob("*.parquet*")]:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                reasons.add(error.strerror or "it cannot be removed")
        if reasons:
            raise not_removed(self._path, ", ".join(sorted(reasons)))

    def _appear(self, name: str, write: Callable[[Path], object]) -> int:
        """Write a private file that takes its name, flushed to the disk, only when it is whole; return its size."""
        draft = self._path / f".{name}.{secrets.token_hex(4)}"
        try:
            private(draft)
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
        self._manifests: dict[str, bytes] = {}

    def manifest(self, name: str = MANIFEST) -> bytes | None:
        """Return the text of the manifest, or of the draft of the next one."""
        return self._manifests.get(name)

    def put_manifest(self, text: bytes, name: str = MANIFEST) -> None:
        """Keep the text of a manifest."""
        self._manifests[name] = text

    def publish(self) -> None:
        """Let the draft be the manifest."""
        self._manifests[MANIFEST] = self._manifests.pop(DRAFT)

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
        self._manifests.clear()


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


def not_removed(path: Path, reason: str) -> StoreError:
    """Return the error that says that rows are still there."""
    return StoreError(f"{path}: {reason}. Rows are still there; let the folder be yours, and remove them again")


def file_lock(path: Path) -> contextlib.AbstractContextManager[object]:
    """Return a lock between processes: a file of its owner's alone. Raises OSError where it cannot be made."""
    private(path)
    os.close(os.open(path, os.O_RDWR))
    return FileLock(path, mode=0o600)
