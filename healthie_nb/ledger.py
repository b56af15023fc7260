"""What was seen when, kept for good, outside the cache: Healthie overwrites the time of a form request on completion.

Append-only. Every pull adds what is new or has changed since the last, and the day's counts. Nothing here removes a
row: neither `forget` nor `purge` knows this folder. What cannot be read stops the pull; it never starts over.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import polars as pl

from healthie_nb.frame import INSTANT
from healthie_nb.query import HealthieError
from healthie_nb.shelves import Folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

QUERY = "form_requests"
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
        self._folder, self._place = folder, Folder(folder, key) if key else None

    @property
    def is_kept(self) -> bool:
        """Whether there is a key to keep it with."""
        return self._place is not None

    def record(self, requests: pl.DataFrame, *, seen_at: datetime) -> None:
        """Append the requests whose state is not the one last seen, and how many there are of each status."""
        self.counts()  # nothing is added to a ledger of which a part cannot be read
        now = pl.lit(seen_at, dtype=INSTANT).alias("seen_at")
        state = requests.select("id", "status", "date_to_show", is_finished="filled_form_is_finished")
        known = self.seen().group_by("id", maintain_order=True).last().drop("seen_at")
        news = state.join(known, on=state.columns, how="anti", nulls_equal=True)
        counts = state.group_by("status").agg(pl.len().cast(pl.Int64).alias("requests")).sort("status", nulls_last=True)
        if news.height:
            self._append("seen", news.with_columns(now), seen_at)
        self._append("counts", counts.with_columns(now), seen_at)

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
        if self._place is None:
            raise LedgerError(NO_KEY)
        self._place.put(f"{kind}-{seen_at:%Y%m%dT%H%M%S%f}", rows)

    def _read(self, kind: str, columns: Mapping[str, pl.DataType]) -> pl.DataFrame:
        found = [pl.DataFrame(schema=dict(columns))]
        if self._place is None:
            return found[0]
        for path in sorted(self._folder.glob(f"{kind}-*.parquet")):
            rows = None
            with contextlib.suppress(pl.exceptions.PolarsError, OSError):
                rows = self._place.scan(path.stem).collect()
            if rows is None or rows.schema != columns:
                raise LedgerError(
                    f"{path} cannot be read, so nothing was added to the ledger; it cannot be made again. Set the "
                    "HEALTHIE_CACHE_KEY it was written with, or bring the file back from a backup"
                )
            found.append(rows)
        return pl.concat(found)
