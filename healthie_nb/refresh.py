"""The policy over pages and store: first pull, resume, what changed, what vanished. All four are one flow.

1. Read what changed since the watermark, newest first, and merge it by id; on an empty store, only where that begins.
2. Pull the spans that no part covers. A part is stored as it completes, so a killed run goes on where it stopped.
3. Read what changed meanwhile. A part of several pages that rows entered or left while it was pulled is pulled again,
   page by page, and so is a list without a window to which any were added: an arrival can hide a departure from every
   count.
4. Compare counts. All that came is stored now and nothing is missing, so where the server has fewer rows some have
   gone: halve until a page holds the difference, and pull that. What is gone becomes a tombstone.

3 and 4 are repeated until nothing moves. Until then all of it is a draft, which readers do not see. Times of the server
are compared with times of the server only: the watermark is the newest `updated_at` seen.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from healthie_nb.flight import Flight, finely
from healthie_nb.manifest import WHOLE, WINDOW, StoredPart
from healthie_nb.merge import ONE_CLIENT, Merge
from healthie_nb.pages import TRIES, Page, Part, Puller, by, instant
from healthie_nb.store import DamagedPartError
from healthie_nb.vanished import Vanished
from healthie_nb.windows import Window, common, joined

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from healthie_nb.query import Query
    from healthie_nb.store import Draft, Store

logger = logging.getLogger(__name__)

OVERLAP = timedelta(minutes=5)  # changes that are committed late carry an earlier time
RECENT = timedelta(days=14)
IN_FLIGHT = 32
VERIFY_AGE = timedelta(days=30)
FULL, HALF_FULL = 1.0, 0.5  # how full to make a page of rows that are known, and of rows that were moving
AHEAD = timedelta(days=1)  # a part pulled further ahead than this was written by a clock that was wrong
ROUNDS = TRIES + 3


@dataclass
class Refresh:
    """One run of the policy over one data set. `unsettled` lists what would not hold still.

    `witness` sees what is stored at the end, before anything says that it is up to date.
    """

    puller: Puller
    store: Draft
    query: Query
    now: datetime
    clients: Callable[[], Awaitable[Sequence[str]]] | None = None
    witness: Callable[[Store], None] | None = None
    verify_age: timedelta = VERIFY_AGE
    unsettled: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.merge = Merge(self.store, self.query, self.now)
        self._known = pl.DataFrame()  # the changed rows that the last look saw
        self._total: int | None = None

    async def run(self, window: Window | None, *, is_stale: bool) -> None:
        """Bring the stored rows up to date: all of them if stale, else only fill what is missing of the window."""
        self.store.sweep()
        self.unsettled.clear()
        suspects = await self._catch_up() if self.query.changed else []
        if window is None:
            await self._whole(is_stale=is_stale)
        else:
            unsure = [part.window for part in suspects if part.window]
            again = await asyncio.to_thread(self._again, unsure, is_stale=is_stale)
            await Flight(self.puller, self._keep).pull([*again, *self.store.manifest.missing(window)])
        await self._settle()
        await asyncio.to_thread(self._finish)

    def _finish(self) -> None:
        self.merge.bury()
        self.merge.compact()
        if self.witness:
            self.witness(self.store)
        parts = self.store.manifest.of(WINDOW, WHOLE)
        self.unsettled += [_named(part.window) for part in parts if not part.is_settled]
        verified_at = min((part.pulled_at for part in parts), default=self.now)
        loaded_at = None if self.unsettled else self.now  # None: the next load tries again
        self.store.publish(now=self.now, verified_at=verified_at, loaded_at=loaded_at)

    # -- pulling ---------------------------------------------------------------------------------------------------

    def _is_due(self, part: StoredPart) -> bool:
        """Whether to pull a part afresh: a change below a row need not touch its updated_at."""
        return not part.is_settled or not is_verified(part.pulled_at, now=self.now, age=self.verify_age)

    def _again(self, suspects: Sequence[Window], *, is_stale: bool) -> list[Window]:
        """Return what is stored and yet to be pulled: what is due, and of a stale store what is recent."""
        again, recent = list(suspects), []
        span = Window(self.now - RECENT, self.now)
        for part in self.store.manifest.of(WINDOW):
            if part.window and (self._is_due(part) or (is_stale and not self.query.changed)):
                again.append(part.window)
            elif part.window and is_stale and (held := common(part.window, span)):
                recent.append(held)
        # What changed is in by now, so most full pages stay one page.
        return [*joined(self.merge.carve(joined(again))), *self._pages(recent, full=FULL)]

    def _pages(self, windows: Sequence[Window], *, full: float) -> list[Window]:
        """Return windows of stored rows cut into pages: within one, rows cannot move past a cursor."""
        if not windows:
            return []
        found = joined(self.merge.carve(joined(windows)))
        rows = self.store.each(self.store.manifest.of(WINDOW), self.query.window or "id")
        times, most = pl.concat(rows).to_series(), max(1, int(full * self.puller.page_size))
        return [piece for window in found for piece in finely(window, times, most)]

    async def _whole(self, *, is_stale: bool) -> None:
        held = self.store.manifest.of(WHOLE)
        if not held or any(map(self._is_due, held)) or (is_stale and not self.query.changed):
            await self._keep([await self._pulled()])

    async def _pulled(self) -> Part:
        part = await self.puller.whole()
        is_narrow = ONE_CLIENT in self.query.parameters and part.rows.get_column(ONE_CLIENT).n_unique() <= 1
        return await self._per_client(part) if is_narrow and self.clients else part

    async def _per_client(self, own: Part) -> Part:
        """Ask client by client: it is not documented whether the API answers for all of them at once."""
        assert self.clients
        at_once = asyncio.Semaphore(IN_FLIGHT)

        async def one(client_id: str) -> Part:
            async with at_once:
                return await self.puller.narrowed(client_id=client_id).whole()

        parts = [own, *await asyncio.gather(*map(one, await self.clients()))]
        rows = pl.concat([part.rows for part in parts]).unique("id").sort(by(self.query))
        return Part(rows, None, sum(part.null_items for part in parts), all(part.is_settled for part in parts))

    async def _keep(self, parts: Sequence[Part]) -> None:
        await asyncio.to_thread(self.merge.cover, parts)

    # -- what changed ----------------------------------------------------------------------------------------------

    async def _catch_up(self) -> list[StoredPart]:
        """Merge what changed since the watermark; return the parts that cannot be trusted because of it."""
        is_first = self.store.manifest.watermark is None and not self.store.manifest.parts
        changes, is_whole = await self._changes(is_first=is_first)
        watermark, top = self.store.manifest.watermark, changes.get_column("updated_at").max()
        news, marks = None, {}
        if is_whole:  # Else the watermark stays, and what was skipped is read next time.
            news = self._news(changes, watermark)
            marks = {"watermark": max([time for time in (watermark, top) if isinstance(time, datetime)], default=None)}
            self._known = changes.select("id", "updated_at")
        else:
            self.unsettled.append("the rows that changed")
        return await asyncio.to_thread(self.merge.changes, changes, news, **marks)

    def _news(self, changes: pl.DataFrame, watermark: datetime | None) -> pl.DataFrame:
        """Return what changed since the last look; or, after a killed run, since the look that it began with."""
        if self._known.width:
            news = changes.join(self._known, on=["id", "updated_at"], how="anti", nulls_equal=True)
        else:
            news = changes.filter(pl.col("updated_at") > watermark) if watermark else changes
        if self.query.window or watermark is None or "created_at" not in news.columns:
            return news
        # In a list without a window only who came can hide another.
        return news.filter((pl.col("created_at") > watermark - OVERLAP) | pl.col("created_at").is_null())

    async def _changes(self, *, is_first: bool) -> tuple[pl.DataFrame, bool]:
        """Return the rows changed since the watermark, and whether none can have been skipped."""
        assert self.query.changed
        watermark = self.store.manifest.watermark
        floor = watermark - OVERLAP if watermark else None

        def is_below(answer: Page) -> bool:
            nonlocal floor
            newest, oldest = (row["updated_at"] if row else None for row in (answer.first, answer.last))
            if floor is None and is_first and newest:
                floor = instant(newest) - OVERLAP
            return floor is not None and oldest is not None and instant(oldest) < floor

        for _ in range(TRIES):
            chain = await self.puller.chain(self.query.changed, until=is_below)
            # Newest first, arrivals push rows down and only departures can hide one: then the count has fallen.
            if not chain.has_shrunk:
                break
        rows = await asyncio.to_thread(self.puller.frame, chain.pages)
        self._total = chain.totals[-1]
        recent = rows.filter((pl.col("updated_at") >= floor) | pl.col("updated_at").is_null()) if floor else rows
        return recent, not chain.has_shrunk

    # -- until nothing moves ---------------------------------------------------------------------------------------

    async def _settle(self) -> None:
        """Merge changes, pull again what they unsettled, compare counts; until nothing moves."""
        is_compared = False
        for _ in range(ROUNDS):
            self.unsettled.clear()
            self.merge.has_moved, was_moving = False, self.merge.has_moved
            again = await self._catch_up() if self.query.changed else []
            if again:
                await self._repulled([part.window for part in again if part.window])
                continue
            if not self.query.window:
                differs = self.query.changed is not None and self._differs()
                if differs and (not is_compared or was_moving):
                    await self._repulled([])
                    is_compared = True
                    continue
                return
            differing = await Vanished(self.puller, self.store, self.query).windows()
            if differing and is_compared and not (was_moving or self.merge.has_moved):
                logger.info("%s: the server counts rows that it does not list", self.query.name)
                return
            if not differing:
                return
            is_compared = True
            await self._repulled(differing)
        self.unsettled.append("rows that changed while they were counted")

    def _differs(self) -> bool:
        held = sum(part.rows + part.null_items for part in self.store.manifest.of(WHOLE))
        return self._total is not None and self._total != held

    async def _repulled(self, windows: Sequence[Window]) -> None:
        """Pull windows again, a page at a time; of a list that has none, all of it."""
        if not self.query.window:
            await self._keep([await self._pulled()])
            return
        pages = await asyncio.to_thread(self._pages, windows, full=HALF_FULL)
        await Flight(self.puller, self._keep).pull(pages)


def is_verified(at: datetime, *, now: datetime, age: timedelta) -> bool:
    """Whether what was pulled then need not be pulled afresh."""
    return -AHEAD <= now - at < age


def _named(window: Window | None) -> str:
    return f"{window.start:%Y-%m-%d} to {window.end:%Y-%m-%d}" if window else "all rows"


async def up_to_date(refresh: Refresh, window: Window | None, *, is_stale: bool) -> None:
    """Run the policy; parts that turn out to be damaged are dropped and asked for again."""
    for _ in range(TRIES):
        try:
            await refresh.run(window, is_stale=is_stale)
        except DamagedPartError as error:
            damage = error
        else:
            return
        await asyncio.to_thread(lambda: refresh.store.uncover(refresh.store.damaged(), now=refresh.now))
    raise damage
