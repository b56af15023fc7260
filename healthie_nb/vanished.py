"""Where the server counts other rows than the store holds: one count, then by halving what differs.

Rows that came are known by then, and none is missing, so a difference is rows that went. One thing escapes: a row that
goes from a part into which one comes that the key may not see. It is found when that part is pulled afresh.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from healthie_nb.frame import INSTANT
from healthie_nb.manifest import WINDOW
from healthie_nb.windows import Window, joined

if TYPE_CHECKING:
    from healthie_nb.pages import Puller
    from healthie_nb.query import Query
    from healthie_nb.store import Store

SHORTEST = timedelta(seconds=2)


@dataclass
class Vanished:
    """Find the windows, a page or so each, in which server and store count differently."""

    puller: Puller
    store: Store
    query: Query

    async def windows(self) -> list[Window]:
        """Return them, in order."""
        pieces = self._pieces()
        counting = asyncio.gather(*(self.puller.count(window) for window, _ in pieces))
        times, counts = await asyncio.gather(asyncio.to_thread(self._times), counting)
        finding = (self._in_piece(*piece, times, count) for piece, count in zip(pieces, counts, strict=True))
        found = await asyncio.gather(*finding)
        return [window for windows in found for window in windows]

    def _pieces(self) -> list[tuple[Window, int]]:
        """Return the spans that are stored, each with the null items in it.

        An item may move from one part to another without a trace, so where there are any, each part is counted.
        """
        parts = [part for part in self.store.manifest.of(WINDOW) if part.window]
        pieces: list[tuple[Window, int]] = []
        for span in joined(part.window for part in parts if part.window):
            inside = [(part.window, part.null_items) for part in parts if part.window and part.window.meets(span)]
            pieces += inside if any(hidden for _, hidden in inside) else [(span, 0)]
        return pieces

    async def _in_piece(self, window: Window, hidden: int, times: pl.Series, count: int) -> list[Window]:
        """Where the null items are is not known, so what holds any is not halved."""
        if not hidden:
            return await self._halved(window, times, count)
        return [] if count == _held(window, times) + hidden else [window]

    async def _halved(self, window: Window, times: pl.Series, count: int) -> list[Window]:
        held = _held(window, times)
        if held == count:
            return []
        if max(held, count) <= self.query.page_size or window.end - window.start <= SHORTEST:
            return [window]
        first, second = window.halves()
        early = await self.puller.count(first)
        found = await asyncio.gather(
            self._halved(first, times, early), self._halved(second, times, max(0, count - early))
        )
        return [*found[0], *found[1]]

    def _times(self) -> pl.Series:
        """Return the window's column of all stored rows, sorted."""
        column, parts = self.query.window or "", self.store.manifest.of(WINDOW)
        if not parts:
            return pl.Series(column, [], dtype=INSTANT)
        return pl.concat(self.store.each(parts, column)).get_column(column).sort()


def _held(window: Window, times: pl.Series) -> int:
    return int(times.search_sorted(window.end)) - int(times.search_sorted(window.start))
