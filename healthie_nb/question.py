"""One call of `load`: what is asked, of which days, and where its answer is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from healthie_nb.frame import INSTANT, schema
from healthie_nb.manifest import DELETED, WHOLE, WINDOW, Manifest
from healthie_nb.windows import Window, without

if TYPE_CHECKING:
    from collections.abc import Mapping

    from healthie_nb.manifest import StoredPart
    from healthie_nb.query import Query
    from healthie_nb.store import Store


@dataclass(frozen=True)
class Question:
    """A query with its variables. Those that say which days are its `window`, None where it has none."""

    query: Query
    variables: Mapping[str, Any]
    window: Window | None
    store: Store

    def is_covered(self, manifest: Manifest) -> bool:
        """Whether what is stored answers it, of whatever age."""
        return not manifest.missing(self.window) if self.window else bool(manifest.of(WHOLE))

    def rows(self, manifest: Manifest, *, deleted: bool = False) -> pl.LazyFrame:
        """Return its answer from the stored parts, unread; or the rows that vanished from it."""
        parts = manifest.of(DELETED) if deleted else manifest.of(WINDOW, WHOLE)
        within = [part for part in parts if not (self.window and part.window) or part.window.meets(self.window)]
        if not within:
            columns = schema(self.query.fields)
            return pl.LazyFrame(schema={**columns, "deleted_seen_at": INSTANT} if deleted else columns)
        return pl.concat([self._within(part) for part in within])

    def _within(self, part: StoredPart) -> pl.LazyFrame:
        rows, column = self.store.scan([part]), self.query.window
        if self.window is None or column is None or (part.window and not without(part.window, self.window)):
            return rows
        return rows.filter(pl.col(column).is_between(self.window.start, self.window.end, closed="left"))
