"""Where a data set is put for others to read: a folder, or an object store through polars' own support for them.

What is put takes its name only when it is whole: on a disk by a rename, in an object store by how these work.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import polars as pl
from filelock import FileLock

from healthie_nb.files import appear, make_private
from healthie_nb.query import HealthieError
from healthie_nb.shelves import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

STORES: Final = ("s3", "s3a", "gs", "gcs", "az", "azure", "abfs", "abfss", "adl")


class LakeError(HealthieError, ValueError):
    """A data set that cannot be exported as asked. What was there before is untouched."""


class Place(Protocol):
    """A data set's folder, and the record beside it."""

    def lock(self) -> contextlib.AbstractContextManager[object]:
        """Hold off another export to here."""

    def text(self) -> bytes | None:
        """Return the record, if there is one."""

    def is_taken(self) -> bool:
        """Whether there is something, whosever it is."""

    def rows(self, file: str) -> int | None:
        """Return how many rows a file has; None if it is not there or cannot be read."""

    def put(self, file: str, rows: pl.DataFrame, content: bytes) -> None:
        """Put a file in its place. Raises LakeError."""

    def put_text(self, text: bytes) -> None:
        """Put the record in its place. Raises LakeError."""


def place(to: str | Path, name: str, storage_options: Mapping[str, Any] | None) -> Place:
    """Return the place of a data set below `to`, which is a folder or an address.

    Raises
    ------
    LakeError
        An address of another kind, or options where none are used.
    """
    scheme = re.match(r"([a-z0-9]+)://", str(to))
    if scheme and scheme[1] in STORES:
        return Bucket(str(to).rstrip("/"), name, dict(storage_options or {}))
    if scheme:
        raise LakeError(f"to is {str(to)!r}; allowed are a folder, or s3://, gs:// or az:// with a bucket and a path.")
    if storage_options:
        raise LakeError(f"storage_options are for object stores, and {to} is a folder: leave them out.")
    return Folder(Path(to).expanduser(), name)


class Folder:
    """A folder that only its owner can enter. Drafts lie beside it, not in it, where readers would trip over them."""

    def __init__(self, root: Path, name: str) -> None:
        self._root, self._name = root, name

    def __str__(self) -> str:
        """Return its path."""
        return str(self._root / self._name)

    def lock(self) -> contextlib.AbstractContextManager[object]:
        """Make the folder, and hold off another export to it. Raises LakeError where it cannot be written."""
        with self._writing():
            make_private(self._root / self._name)
            lock = FileLock(self._root / f".{self._name}.lock", mode=0o600).acquire()
            for draft in self._root.glob(f".{self._name}*.draft"):  # of an export that was killed
                draft.unlink(missing_ok=True)
        return lock

    def text(self) -> bytes | None:
        """Return the record, if there is one."""
        try:
            return self._record.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            reason = error.strerror
        raise LakeError(f"{self._record} cannot be read: {reason}.")

    def is_taken(self) -> bool:
        """Whether there is something, whosever it is."""
        there = self._root / self._name
        return any(there.iterdir()) if there.is_dir() else there.exists()

    def rows(self, file: str) -> int | None:
        """Return how many rows a file has; None if it is not there or cannot be read."""
        return _rows(str(self._root / self._name / file), None)

    def put(self, file: str, rows: pl.DataFrame, content: bytes) -> None:  # noqa: ARG002, the rows are for a bucket
        """Put a file in its place. Raises LakeError."""
        path = self._root / self._name / file
        with self._writing():
            make_private(path.parent)
            appear(path, content, drafts=self._root)

    def put_text(self, text: bytes) -> None:
        """Put the record in its place. Raises LakeError."""
        with self._writing():
            appear(self._record, text)

    @property
    def _record(self) -> Path:
        return self._root / f"{self._name}.json"

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LakeError(
                f"{self} cannot be written: {error.strerror or type(error).__name__}. What was there before is whole."
            ) from None


class Bucket:
    """A prefix in an object store. Without `options` polars looks for credentials where the store's own tools do."""

    def __init__(self, root: str, name: str, options: dict[str, Any]) -> None:
        self._root, self._name, self._options = root, name, options

    def __str__(self) -> str:
        """Return its address."""
        return f"{self._root}/{self._name}"

    def lock(self) -> contextlib.AbstractContextManager[object]:
        """Return nothing to wait for: an object store has no locks."""
        return contextlib.nullcontext()

    def text(self) -> bytes | None:
        """Return the record, if there is one. Raises LakeError where the store does not let us read."""
        with self._asking():
            try:
                lines = pl.scan_lines(f"{self}.json", storage_options=self._options, glob=False).collect()
            except FileNotFoundError:
                return None
            return "\n".join(lines.to_series()).encode()

    def is_taken(self) -> bool:
        """Whether there is something, whosever it is."""
        with self._asking():
            try:
                return not pl.scan_lines(f"{self}/**/*", storage_options=self._options, n_rows=1).collect().is_empty()
            except pl.exceptions.ComputeError:  # there is, and it is no text
                return True

    def rows(self, file: str) -> int | None:
        """Return how many rows a file has; None if it is not there or cannot be read."""
        return _rows(f"{self}/{file}", self._options)

    def put(self, file: str, rows: pl.DataFrame, content: bytes) -> None:  # noqa: ARG002, polars sends frames, not bytes
        """Put a file in its place. Raises LakeError."""
        with self._asking():
            rows.write_parquet(f"{self}/{file}", storage_options=self._options)

    def put_text(self, text: bytes) -> None:
        """Put the record in its place. Raises LakeError."""
        lines = pl.LazyFrame({"line": text.decode().splitlines()})
        with self._asking():
            lines.sink_csv(
                f"{self}.json",
                include_header=False,
                quote_style="never",
                check_extension=False,
                storage_options=self._options,
            )

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except UNREADABLE as error:
            said = str(error).partition("\n")[0]
        else:
            return
        raise LakeError(
            f"{self} cannot be reached: {said[:300]} Give credentials, as storage_options or where the store's tools "
            "look for them. What was there before is whole."
        )


def _rows(path: str, options: dict[str, Any] | None) -> int | None:
    try:
        rows = pl.scan_parquet(path, glob=False, hive_partitioning=False, storage_options=options)
        return int(rows.select(pl.len()).collect().item())
    except UNREADABLE:
        return None
