"""The policy over pages and store: first pull, resume, what changed, what vanished. All four are one flow.

1. Pull the spans that no part covers. A part is stored as it completes, so a killed run goes on where it stopped.
2. Read what changed since the watermark, newest first, and merge it by id. A window that rows entered or left
   while it was being pulled is pulled again: an arrival can hide a departure from every count.
3. Compare counts. Where the server has fewer rows than the store, halve until a page holds the difference, and pull
   that. What is gone becomes a tombstone.

Times of the server are compared with times of the server only: the watermark is the newest `updated_at` seen.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from healthie_nb.pages import TRIES, Page, Part, Puller, by, instant
from healthie_nb.store import DATELESS, DELETED, WHOLE, WINDOW, DamagedPartError, Store, StoredPart
from healthie_nb.windows import Window, common, joined, without

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from healthie_nb.query import Query

OVERLAP = timedelta(minutes=5)  # changes that are committed late carry an earlier time
RECENT = timedelta(days=14)
ONE_CLIENT = "client_id"  # a variable that asks for one client's rows, and the column that names the client
IN_FLIGHT = 32
VERIFY_AGE = timedelta(days=30)
# Counts are asked for between whole seconds, where no row lies, so that it does not matter whose the boundary is.
BETWEEN = timedelta(milliseconds=500)


@dataclass
class Refresh:
    """One run of the policy over one data set. `unsettled` lists what would not hold still."""

    puller: Puller
    store: Store
    query: Query
    now: datetime
    clients: Callable[[], Awaitable[Sequence[str]]] | None = None
    unsettled: list[str] = field(default_factory=list)
    null_items: int = 0

    def __post_init__(self) -> None:
        self._writing = asyncio.Lock()
        self._pulled: list[StoredPart] = []

    async def run(self, window: Window | None, *, is_stale: bool) -> None:
        """Bring the stored rows up to date: all of them if stale, else only fill what is missing of the window."""
        await self._mark_start()
        if window is None:
            await self._whole(is_stale=is_stale)
        else:
            await self._windows(window, is_stale=is_stale)
        if self.query.changed:
            await self._settle()
        marks = {"loaded_at": self.now}
        if self.store.manifest.verified_at is None or self._is_due():
            marks["verified_at"] = self.now
        self.store.replace((), (), now=self.now, **marks)

    # -- pulling ---------------------------------------------------------------------------------------------------

    async def _mark_start(self) -> None:
        """Remember the newest change from before the pull, so that a resumed run still knows where it began."""
        if self.query.changed and self.store.manifest.watermark is None:
            newest = await self.puller.page(self.query.changed, first=1)
            if times := newest.rows.get_column("updated_at").drop_nulls().to_list():
                self.store.replace((), (), now=self.now, watermark=instant(times[0]))

    def _is_due(self) -> bool:
        """Whether it is time to verify everything afresh: a change below a row need not touch its updated_at."""
        verified = self.store.manifest.verified_at
        return verified is not None and not timedelta(0) <= self.now - verified < VERIFY_AGE

    async def _windows(self, window: Window, *, is_stale: bool) -> None:
        manifest = self.store.manifest
        if self._is_due() or (is_stale and not self.query.changed):
            again = [part.window for part in manifest.of(WINDOW) if part.window]
        elif is_stale:
            recent = Window(self.now - RECENT, self.now)
            again = [held for part in manifest.of(WINDOW) if part.window and (held := common(part.window, recent))]
        else:
            again = []
        await self.puller.windows([*joined(again), *manifest.missing(window)], self._keep)

    async def _whole(self, *, is_stale: bool) -> None:
        has_rows = bool(self.store.manifest.of(WHOLE))
        if not has_rows or self._is_due() or (is_stale and not self.query.changed):
            part = await self.puller.whole()
            is_narrow = ONE_CLIENT in self.query.parameters and part.rows.get_column(ONE_CLIENT).n_unique() <= 1
            await self._keep(await self._per_client(part) if is_narrow and self.clients else part)

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

    async def _keep(self, part: Part) -> None:
        """Store a part in the place of what covered its span; rows that it lacks are tombstones, for now."""
        async with self._writing:
            await asyncio.to_thread(self._cover, part)

    def _cover(self, part: Part) -> None:
        self.null_items += part.null_items
        if not part.is_settled:
            self.unsettled.append(
                f"{part.window.start:%Y-%m-%d} to {part.window.end:%Y-%m-%d}" if part.window else "all rows"
            )
        kind = WINDOW if part.window else WHOLE
        old = [
            held
            for held in self.store.manifest.of(kind)
            if part.window is None or (held.window and common(held.window, part.window))
        ]
        stored = self.store.put(part.rows, kind=kind, now=self.now, window=part.window)
        new = [stored]
        for held in old:
            rows = self.store.read([held])
            outside = without(held.window, part.window)
            column = pl.col(self.query.window or "id")
            new += [
                self.store.put(
                    rows.filter(column >= rest.start, column < rest.end), kind=kind, now=held.pulled_at, window=rest
                )
                for rest in outside
            ]
            inside = rows.filter(column >= part.window.start, column < part.window.end) if part.window else rows
            new += self._tombstones(inside.join(part.rows, on="id", how="anti"))
        self.store.replace(old, new, now=self.now)
        self._pulled = [mine for mine in self._pulled if mine not in old] + [stored]

    def _tombstones(self, gone: pl.DataFrame) -> list[StoredPart]:
        seen = gone.with_columns(deleted_seen_at=pl.lit(self.now, dtype=pl.Datetime("us", "UTC")))
        return [self.store.put(seen, kind=DELETED, now=self.now)] if gone.height else []

    # -- what changed ----------------------------------------------------------------------------------------------

    async def _settle(self) -> None:
        """Merge changes, pull again what they unsettled, compare counts; until nothing moves."""
        for _ in range(TRIES + 1):
            changes, total, top = await self._changes()
            again = self._merge(changes, top)
            if not again:
                again = await self._differing(total)
            if not again:
                break
            if self.query.window:
                await self.puller.windows(joined(again), self._keep)
            else:
                await self._keep(await self.puller.whole())
        else:
            self.unsettled.append("rows that changed while they were counted")
        self._bury()

    async def _changes(self) -> tuple[pl.DataFrame, int | None, datetime | None]:
        """Return the rows changed since the watermark, how many rows there are in all, and the newest change."""
        assert self.query.changed
        watermark = self.store.manifest.watermark
        floor = watermark - OVERLAP if watermark else None

        def is_below(answer: Page) -> bool:
            oldest = answer.rows.get_column("updated_at")[-1] if answer.rows.height else None
            return floor is not None and oldest is not None and instant(oldest) < floor

        for _ in range(TRIES):
            chain = await self.puller.chain(self.query.changed, until=is_below)
            # Newest first, arrivals push rows down and only departures can hide one: then the count has fallen.
            if chain.is_steady:
                break
        rows = self.puller.frame(chain.pages)
        self.null_items += chain.null_items
        recent = rows.filter(pl.col("updated_at") >= floor) if floor else rows
        return recent, chain.totals[-1], rows.get_column("updated_at").max()  # type: ignore[return-value]

    def _merge(self, changes: pl.DataFrame, top: datetime | None) -> list[Window]:
        """Put changed rows where they belong; return the windows that rows entered or left while they were pulled."""
        manifest = self.store.manifest
        marks = {"watermark": top} if top else {}
        held = self._positions(manifest.of(WINDOW, WHOLE, DATELESS))
        news = changes.join(held, on="id", how="left").filter(
            ~pl.col("held_at").eq_missing(pl.col("updated_at")) | pl.col("part").is_null()
        )
        old, new, touched = [], [], []
        for part in manifest.of(WINDOW, WHOLE):
            arriving = news.filter(self._belongs(part))
            leaving = news.filter(pl.col("part") == part.name)
            if arriving.is_empty() and leaving.is_empty():
                continue
            moved = (
                arriving.filter(pl.col("part").is_null() | (pl.col("part") != part.name)).height
                + leaving.filter(~self._belongs(part)).height
            )
            if moved and part in self._pulled:
                touched.append(part)
            rows = self.store.read([part]).join(leaving, on="id", how="anti")
            merged = pl.concat([rows, arriving.select(rows.columns)]).sort(by(self.query))
            old.append(part)
            new.append(self.store.put(merged, kind=part.kind, now=part.pulled_at, window=part.window))
        dateless = self._dateless(news, manifest.of(DATELESS))
        self._pulled = [new[old.index(part)] if part in old else part for part in self._pulled]
        self.store.replace(
            [*old, *(manifest.of(DATELESS) if dateless else [])], [*new, *dateless], now=self.now, **marks
        )
        self._pulled = [part for part in self._pulled if part not in touched]
        return [part.window or Window(self.now, self.now) for part in touched]

    def _belongs(self, part: StoredPart) -> pl.Expr:
        if part.window is None or self.query.window is None:
            return pl.lit(value=True)
        column = pl.col(self.query.window)
        return (column >= part.window.start) & (column < part.window.end)

    def _positions(self, parts: Iterable[StoredPart]) -> pl.DataFrame:
        """Return where each stored row is: id, part, and the updated_at it has there."""
        empty = pl.DataFrame(schema={"id": pl.String, "part": pl.String, "held_at": pl.Datetime("us", "UTC")})
        columns = [pl.col("id"), pl.col("updated_at").alias("held_at")]
        return pl.concat(
            [
                empty,
                *(
                    self.store.read([part]).select(columns).select("id", pl.lit(part.name).alias("part"), "held_at")
                    for part in parts
                ),
            ]
        )

    def _dateless(self, news: pl.DataFrame, held: Sequence[StoredPart]) -> list[StoredPart]:
        """Rows without the window's column are no window's: they have a part of their own."""
        if not self.query.window:
            return []
        arriving = news.filter(pl.col(self.query.window).is_null())
        if arriving.is_empty() and not (held and news.get_column("part").is_in([part.name for part in held]).any()):
            return []
        columns = news.drop("part", "held_at").columns
        kept = self.store.read(held).join(news, on="id", how="anti") if held else arriving.clear().select(columns)
        rows = pl.concat([kept.select(columns), arriving.select(columns)]).sort("id")
        return [self.store.put(rows, kind=DATELESS, now=self.now)]

    # -- what vanished ---------------------------------------------------------------------------------------------

    async def _differing(self, total: int | None) -> list[Window]:
        """Return the windows, a page or so each, in which server and store count differently."""
        if self.query.window is None:
            differs = total is not None and total != self.store.manifest.rows + self.null_items
            return [Window(self.now, self.now)] if differs else []
        times = self._times()
        found: list[Window] = []
        for span in joined(part.window for part in self.store.manifest.of(WINDOW) if part.window):
            found += await self._halved(span, times, await self._count(span))
        return found

    async def _halved(self, window: Window, times: pl.Series, count: int) -> list[Window]:
        held = times.filter((times >= window.start) & (times < window.end)).len()
        if held == count:
            return []
        first, second = window.halves()
        if max(held, count) <= self.query.page_size or second.end - first.start <= timedelta(seconds=2):
            return [window]
        early = await self._count(first)
        return [*await self._halved(first, times, early), *await self._halved(second, times, count - early)]

    async def _count(self, window: Window) -> int:
        return await self.puller.count(Window(window.start - BETWEEN, window.end - BETWEEN))

    def _times(self) -> pl.Series:
        column = self.query.window or ""
        parts = self.store.manifest.of(WINDOW)
        empty = pl.Series(column, [], dtype=pl.Datetime("us", "UTC"))
        return pl.concat([empty, *(self.store.read([part]).get_column(column) for part in parts)])

    def _bury(self) -> None:
        """Keep as tombstones only what is nowhere else now: a row that left one window may have moved to another."""
        deleted = self.store.manifest.of(DELETED)
        if not deleted:
            return
        alive = self._positions(self.store.manifest.of(WINDOW, WHOLE, DATELESS))
        rows = self.store.read(deleted)
        gone = rows.join(alive, on="id", how="anti").sort("deleted_seen_at").unique("id", keep="first").sort("id")
        if gone.height == rows.height and len(deleted) == 1:
            return
        new = [self.store.put(gone, kind=DELETED, now=self.now)] if gone.height else []
        self.store.replace(deleted, new, now=self.now)


async def up_to_date(refresh: Refresh, window: Window | None, *, is_stale: bool) -> None:
    """Run the policy; a part that turns out to be damaged is dropped and asked for again."""
    while True:
        try:
            await refresh.run(window, is_stale=is_stale)
        except DamagedPartError as error:
            refresh.store.replace([error.part], (), now=refresh.now)
        else:
            return
