"""What was seen when, kept for good, outside the cache: Healthie overwrites the time of a form request on completion.

Append-only. Every pull adds what is new or has changed since the last, and the day's counts. Nothing here removes a
row: neither `forget` nor `purge` knows this folder. What cannot be read stops the pull; it never starts over.
"""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from healthie_nb.frame import INSTANT
from healthie_nb.query import HealthieError
from healthie_nb.shelves import UNREADABLE, Folder, StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

QUERY = "form_requests"
STAMP = "%Y%m%dT%H%M%S%f"
NO_KEY = "there is no key to keep a ledger with; set HEALTHIE_CACHE_KEY to 64 hex digits"
SEEN = {
    "id": pl.String(),
    "status": pl.String(),
    "date_to_show": INSTANT,
    "is_finished": pl.Boolean(),
    "seen_at": INSTANT,
}
COUNTS = {"status": pl.String(), "requests": pl.Int64(), "seen_at": INSTANT}


class LedgerError(HealthieError):
    """The ledger cannot be read or written. Nothing was changed."""


class Ledger:
    """The ledger of one practice, encrypted as its store is; without a key nothing is kept, and it is empty."""

    def __init__(self, folder: Path, key: bytes | None) -> None:
        self._folder, self._key = folder, key

    @property
    def is_kept(self) -> bool:
        """Whether there is a key to keep it with."""
        return self._key is not None

    def verify(self) -> None:
        """Raise LedgerError unless all of it can be read: nothing is added to a ledger of which a part cannot."""
        self.counts()
        self.seen()

    def record(self, requests: pl.DataFrame, *, seen_at: datetime, are_all: bool = True) -> None:
        """Append the requests whose state is not the one last seen; of all requests, also how many have each status."""
        self.counts()  # all of it must be readable, and seen() is read below
        now = pl.lit(seen_at, dtype=INSTANT).alias("seen_at")
        state = requests.select("id", "status", "date_to_show", is_finished="filled_form_is_finished")
        known = self.seen().group_by("id", maintain_order=True).last().drop("seen_at")
        news = state.join(known, on=state.columns, how="anti", nulls_equal=True)
        if news.height:
            self._append("seen", news.with_columns(now), seen_at)
        if are_all:
            counts = state.group_by("status").agg(pl.len().cast(pl.Int64).alias("requests"))
            self._append("counts", counts.sort("status", nulls_last=True).with_columns(now), seen_at)

    def seen(self) -> pl.DataFrame:
        """Return every state in which a form request was seen.

        Rows: one per request and change, in the order they were seen. Columns: id String; status String; date_to_show
        Datetime UTC; is_finished Boolean; seen_at Datetime UTC. Raises LedgerError. Source: form_requests.graphql.
        """
        return self._read("seen", SEEN)

    def counts(self) -> pl.DataFrame:
        """Return how many requests had each status when they were pulled.

        Rows: one per pull and status. Columns: status String; requests Int64; seen_at Datetime UTC. Raises LedgerError.
        """
        return self._read("counts", COUNTS)

    def _append(self, kind: str, rows: pl.DataFrame, seen_at: datetime) -> None:
        if self._key is None:
            raise LedgerError(NO_KEY)
        with contextlib.suppress(StoreError, OSError):
            Folder(self._folder, self._key).put(self._next(kind, seen_at), rows)
            return
        raise LedgerError(
            f"{self._folder} cannot be written, so what was seen of form requests is not kept; make room there, or "
            "make it yours, and load them again: what they were today is not to be had later"
        )

    def _next(self, kind: str, seen_at: datetime) -> str:
        """Return a name behind those there are: files stand in the order they were written, whatever the clock says."""
        named, paths = f"{kind}-{seen_at:{STAMP}}", self._paths(kind)
        if not paths or named > paths[-1].stem:
            return named
        last = datetime.strptime(paths[-1].stem, f"{kind}-{STAMP}")  # noqa: DTZ007, a name has no zone
        return f"{kind}-{last + timedelta(microseconds=1):{STAMP}}"

    def _read(self, kind: str, columns: Mapping[str, pl.DataType]) -> pl.DataFrame:
        found = [pl.DataFrame(schema=dict(columns))]
        for path in self._paths(kind) if self._key else ():
            rows = None
            with contextlib.suppress(*UNREADABLE):
                rows = Folder(self._folder, self._key or b"").scan(path.stem).collect()
            if rows is None or rows.schema != columns:
                raise _unreadable(path)
            found.append(rows)
        return pl.concat(found)

    def _paths(self, kind: str) -> list[Path]:
        """Return its files of a kind, in order. A folder that may not be read is not an empty one."""
        with contextlib.suppress(OSError):
            return sorted(path for path in self._folder.iterdir() if path.match(f"{kind}-*.parquet"))
        if self._folder.exists():
            raise _unreadable(self._folder)
        return []


def _unreadable(path: Path) -> LedgerError:
    return LedgerError(
        f"{path} cannot be read, so nothing was added to the ledger; it cannot be made again. Set the "
        "HEALTHIE_CACHE_KEY it was written with, or bring the file back from a backup"
    )
