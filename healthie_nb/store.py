"""What was loaded, kept: parts of rows and a manifest of what they cover. Passive: it asks nobody.

A part that cannot be read is dropped, to be asked for again, never guessed at.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import warnings
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec
import polars as pl

from healthie_nb.manifest import DELETED, MOVED, Manifest, StoredPart, read, written
from healthie_nb.shelves import DRAFT, MANIFEST, UNREADABLE, StoreError, StoreWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from healthie_nb.windows import Window

logger = logging.getLogger(__name__)
T = TypeVar("T")

GRACE = timedelta(hours=1)  # a reader may still hold a part that a refresh has replaced


class DamagedPartError(StoreError):
    """A part is missing, cut off, changed, or written with another key."""

    def __init__(self, part: StoredPart) -> None:
        super().__init__(f"part {part.name} cannot be read; it will be asked for again")
        self.part = part


class _Place(Protocol):
    """Where bytes and frames are put: a folder, or memory."""

    def manifest(self, name: str) -> bytes | None: ...
    def put_manifest(self, text: bytes, name: str) -> None: ...
    def publish(self) -> None: ...
    def put(self, name: str, rows: pl.DataFrame) -> int: ...
    def scan(self, name: str) -> pl.LazyFrame: ...
    def names(self) -> set[str]: ...
    def remove(self, name: str) -> None: ...
    def lock(self) -> contextlib.AbstractContextManager[object]: ...
    def clear(self) -> None: ...


class Store:
    """The stored rows of one data set, as readers see them."""

    _name = MANIFEST

    def __init__(self, place: _Place, *, query: str, practice: str) -> None:
        self._place, self._empty = place, Manifest(query=query, practice=practice)

    @property
    def manifest(self) -> Manifest:
        """What is stored now. A manifest that cannot be read counts as nothing stored."""
        return self._read(MANIFEST) or self._empty

    def _read(self, name: str) -> Manifest | None:
        text = self._place.manifest(name)
        manifest = read(text) if text is not None else None
        if manifest is None and text is not None:
            logger.warning("the %s of %s cannot be read; its rows will be asked for again", name, self._empty.query)
        return manifest

    def draft(self) -> Draft:
        """Return what a refresh works on; what a killed one left of it, if one did."""
        return Draft(self._place, query=self._empty.query, practice=self._empty.practice)

    @property
    def found(self) -> Manifest:
        """What is stored, or what a first pull that has not ended has stored so far."""
        manifest = self.manifest
        return manifest if manifest.parts else self.draft().manifest

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
        expired -= self._shown() if expired else set()
        after = msgspec.structs.replace(
            manifest,
            parts=(*(part for part in manifest.parts if part.name not in gone), *new),
            retired=tuple(sorted(item for item in retired.items() if item[0] not in expired)),
            **marks,
        )
        self._place.put_manifest(written(after), self._name)
        for name in expired:
            self._place.remove(name)
        return after

    def _shown(self) -> set[str]:
        """Return the names of parts that stay, for readers see them although they were replaced here."""
        return set()

    def sweep(self) -> None:
        """Remove parts that a killed run wrote and never named. For the holder of the lock only."""
        manifests = (self.manifest, self.draft().manifest)
        named = {part.name for manifest in manifests for part in manifest.parts}
        retired = {name for manifest in manifests for name, _ in manifest.retired}
        for name in self._place.names() - named - retired:
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
        return self._unless_damaged(lambda: pl.concat(self.each(parts)), parts)

    def each(self, parts: Sequence[StoredPart], *columns: str) -> list[pl.DataFrame]:
        """Return the rows of each of these parts, or some columns of them. Raises as `collect` does."""
        # One plan over hundreds of files takes polars four times as long as a plan for each.
        scanned = [self.scan([part]).select(columns or pl.all()) for part in parts]
        return self._unless_damaged(lambda: pl.collect_all(scanned), parts)

    def collect(self, rows: pl.LazyFrame, parts: Sequence[StoredPart]) -> pl.DataFrame:
        """Return rows that were scanned from these parts.

        Raises
        ------
        DamagedPartError
            Naming the part; what polars says of it is left out.
        """
        return self._unless_damaged(rows.collect, parts)

    def _unless_damaged(self, read: Callable[[], T], parts: Sequence[StoredPart]) -> T:
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
            self.uncover([part, *self.damaged()], now=now)
            if self._place.manifest(DRAFT) is not None:
                draft = self.draft()
                draft.uncover([part, *draft.damaged()], now=now)

    def uncover(self, parts: Sequence[StoredPart], *, now: datetime) -> None:
        """Let go of damaged parts, so that their rows are asked for again. Says so where they are not to be had."""
        self.replace(parts, (), now=now)
        if any(part.kind in (DELETED, MOVED) for part in parts):
            message = f"what had vanished from {self._empty.query} or was merged cannot be read, and is forgotten"
            warnings.warn(message, StoreWarning, stacklevel=2)

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


class Draft(Store):
    """The stored rows as a refresh is making them: readers see none of it until all is done.

    For the holder of the lock only. It outlives the refresh that is killed; the next goes on with it.
    """

    _name = DRAFT

    @property
    def manifest(self) -> Manifest:
        """What is stored, with what this refresh has changed."""
        return self._read(DRAFT) or super().manifest

    def _shown(self) -> set[str]:
        return {part.name for part in super().manifest.parts}

    def publish(self, *, now: datetime, **marks: datetime | None) -> None:
        """Set marks, and show readers all at once what it is now; what they saw before stays for an hour."""
        manifest, shown = self.manifest, self._shown()
        retired = tuple((name, now if name in shown else at) for name, at in manifest.retired)
        self._place.put_manifest(written(msgspec.structs.replace(manifest, retired=retired, **marks)), DRAFT)
        self._place.publish()
