"""Windows and cursors in flight at once become parts: whole, typed, each row once.

A cursor is a chain: one page at a time. A windowed query is pulled as many windows side by side; whenever the pace
leaves room, the window with the most rows left is cut in two. Rows come in the order of the window's column, so the
running chain simply stops at the cut and nothing is asked twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import msgspec
import stamina

from healthie_nb.failures import ApiError, PartialError, TooComplexError
from healthie_nb.frame import frame, page
from healthie_nb.session import RETRY_FOR_S
from healthie_nb.windows import Window, sliced

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    import polars as pl

    from healthie_nb.query import Operation, Query
    from healthie_nb.session import Session

# Windows overlap on the wire, because it is not documented which of their ends belongs to them.
OVERLAP = timedelta(seconds=1)
WORTH_A_SPLIT = 4  # pages left
MAX_LATENCY_S = 0.5  # a server slower than this is not helped by more requests
MOST_IN_FLIGHT = 160  # what the limit that Healthie documents has use for; more would only wait in line here
KEPT_PAGES = 25  # what a killed pull may lose of each window
TRIES = 3
PARTIAL_TRIES = 8  # one answer in five that is not whole, by chance, must not end a pull
# Windows are counted up to just before a boundary, so that it does not matter whose a row on the boundary is.
JUST_BEFORE = timedelta(microseconds=500)


@dataclass(frozen=True)
class Part:
    """The rows of one window, or of a whole chain. `is_settled` is false when they would not hold still.

    One page is what the server held at one moment. Between two pages a row may go and another come, which moves a third
    past the cursor and leaves every count as it was: `doubt` is the span in which such rows may lie.
    """

    rows: pl.DataFrame
    window: Window | None
    null_items: int
    is_settled: bool
    doubt: Window | None = None


class _PageInfo(msgspec.Struct):
    has_next_page: bool
    end_cursor: str | None = None


class _Connection(msgspec.Struct):
    page_info: _PageInfo
    nodes: msgspec.Raw = msgspec.Raw(b"[]")
    total_count: int | None = None


@dataclass(frozen=True)
class Page:
    """One answer: its rows, nested; how many were null; how many there are in all."""

    rows: pl.DataFrame
    null_items: int
    total: int | None
    is_last: bool
    cursor: str | None


@dataclass(eq=False)
class Chain:
    """A cursor and what it has brought so far."""

    pages: list[pl.DataFrame] = field(default_factory=list)
    null_items: int = 0
    received: int = 0
    totals: list[int | None] = field(default_factory=list)
    cursors: set[str | None] = field(default_factory=set)

    def take(self, answer: Page) -> None:
        """Keep a page."""
        self.pages.append(answer.rows)
        self.null_items += answer.null_items
        self.received += answer.rows.height + answer.null_items
        self.totals.append(answer.total)

    @property
    def is_steady(self) -> bool:
        """Whether all pages counted the same rows."""
        return len(set(self.totals)) == 1

    @property
    def has_shrunk(self) -> bool:
        """Whether rows went while others were read: those behind them moved up, past the cursor."""
        return any(late is not None and late < (early or 0) for early, late in pairwise(self.totals))


@dataclass(eq=False)
class _Run(Chain):
    """A window being pulled. `window.end` moves closer when the rest is given to another; `wire` stays."""

    window: Window = field(kw_only=True)
    wire_end: datetime = field(kw_only=True)
    expected: float = field(kw_only=True)
    reached: datetime = field(kw_only=True)
    tries: int = field(kw_only=True, default=0)
    kept: int = field(kw_only=True, default=0)  # rows that earlier parts of the same cursor hold
    begun: datetime = field(kw_only=True, default=datetime.min.replace(tzinfo=UTC))  # up to where they do
    is_exact: bool = field(kw_only=True, default=False)  # without overlap, uncut: null items can be told

    @classmethod
    def over(cls, window: Window, *, expected: float, tries: int = 0, is_exact: bool = False) -> _Run:
        return cls(
            window=window,
            wire_end=window.end,
            expected=expected,
            reached=window.start,
            tries=tries,
            is_exact=is_exact,
        )

    @property
    def left(self) -> float:
        """About how many rows are still to come, as if they were spread evenly."""
        total = self.totals[-1] if self.totals else None
        ahead = self.expected if total is None else max(0.0, total - self.received)
        whole = 0.0 if self.is_exact else (self.wire_end - self.reached).total_seconds()
        return ahead * max(0.0, (self.window.end - self.reached).total_seconds()) / whole if whole > 0 else 0.0

    def split(self) -> _Run:
        """Give away the later half of what is left."""
        ahead, behind = Window(self.reached, self.window.end).halves()
        given = _Run.over(behind, expected=self.left / 2)
        self.window = dataclasses.replace(self.window, end=ahead.end)
        return given


class Puller:
    """Pull one query with one set of variables. `took` is told how many rows each page brought."""

    def __init__(
        self,
        session: Session,
        query: Query,
        variables: Mapping[str, Any],
        *,
        took: Callable[[int], None] = lambda _rows: None,
    ) -> None:
        self._session, self._query, self._variables, self._took = session, query, dict(variables), took
        self._page_size = query.page_size
        self._decoder = msgspec.json.Decoder(dict[str, _Connection | None])

    async def windows(self, windows: Sequence[Window], keep: Callable[[Part], Awaitable[None]]) -> None:
        """Pull these windows side by side; each part is kept as soon as it is whole."""
        waiting = [_Run.over(window, expected=math.inf) for window in reversed(windows)]
        running: dict[_Run, asyncio.Task[None]] = {}

        def spread() -> None:
            while len(running) < self._wanted():
                run = waiting.pop() if waiting else self._cut(running)
                if run is None:
                    return
                running[run] = group.create_task(one(run))

        async def one(run: _Run) -> None:
            waiting.extend(await self._window(run, keep, spread))
            del running[run]
            spread()

        failure: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:
                spread()
        except BaseExceptionGroup as errors:
            failure = errors.exceptions[0]
        if failure is not None:  # The others failed of the same thing, or because of it.
            raise failure

    async def chain(self, operation: Operation, *, until: Callable[[Page], bool] = lambda _page: False) -> Chain:
        """Follow one cursor to its end, or to the page that `until` calls the last."""
        chain = Chain()
        cursor: str | None = None
        while True:
            answer = await self.page(operation, after=cursor)
            chain.take(answer)
            if answer.is_last or until(answer):
                return chain
            cursor = self._next(answer, chain)

    async def whole(self) -> Part:
        """Pull a query without a window: one chain, or two that agree where nothing tells what changed meanwhile."""
        before: pl.DataFrame | None = None
        for _ in range(TRIES + 1):
            chain = await self.chain(self._query.operation)
            rows = self.frame(chain.pages)
            complete = chain.is_steady and chain.totals[0] in (None, rows.height + chain.null_items)
            agrees = self._query.changed is not None or (before is not None and rows.equals(before))
            if complete and agrees:
                return Part(rows, None, chain.null_items, is_settled=True)
            before = rows if complete else None
        return Part(rows, None, chain.null_items, is_settled=False)

    async def one(self, *, retry_for_s: float = RETRY_FOR_S) -> pl.DataFrame:
        """Pull a query without pages: an object is one row, a list is many."""
        answer = await self._ask(self._query.operation, self._variables, retry_for_s=retry_for_s)
        text = bytes(msgspec.json.decode(answer, type=dict[str, msgspec.Raw])[self._query.key]).strip()
        rows, _ = page(
            b"[]" if text == b"null" else text if text.startswith(b"[") else b"[" + text + b"]", self._query.fields
        )
        return frame([rows], self._query.fields)

    def narrowed(self, **variables: Any) -> Puller:
        """Return one that asks the same with more variables set."""
        return Puller(self._session, self._query, {**self._variables, **variables}, took=self._took)

    async def count(self, window: Window) -> int:
        """Ask how many rows the server counts in a window."""
        answer = await self.page(self._query.operation, first=1, window=_just_before(window))
        assert answer.total is not None  # a windowed query asks for it: query.read sees to that
        return answer.total

    async def page(
        self, operation: Operation, *, after: str | None = None, first: int | None = None, window: Window | None = None
    ) -> Page:
        """Ask for one page; once per pull, ask for a smaller one if it was too complex."""
        variables = {**self._variables, "after": after}
        if window:
            variables |= {"start": window.start.isoformat(), "end": window.end.isoformat()}
        known = {name: value for name, value in variables.items() if name in operation.variables}
        size = first or self._page_size
        try:
            data = await self._ask(operation, {**known, "first": size})
        except TooComplexError:
            # Of those in flight together the first makes the page smaller, and the others ask for that.
            is_first = size == self._page_size
            if first is not None or size == 1 or (is_first and size < self._query.page_size):
                raise
            data = None
            self._page_size = size // 2 if is_first else self._page_size
        return await self.page(operation, after=after, window=window) if data is None else self._read(data)

    async def _ask(self, operation: Operation, variables: Mapping[str, Any], **options: Any) -> bytes:
        """Ask, and a few times more while there are errors beside the data: what is not whole is not taken."""
        try:
            return await self._session.ask(operation, variables, **options)
        except PartialError as error:
            first = error  # Counted as the first attempt below: the bookkeeping of all that pass would cost too much.
        async for attempt in stamina.retry_context(on=PartialError, attempts=PARTIAL_TRIES, timeout=None, wait_max=1.0):
            with attempt:
                if attempt.num == 1:
                    raise first
                return await self._session.ask(operation, variables, **options)
        raise AssertionError  # the last attempt returns or raises

    def frame(self, pages: Sequence[pl.DataFrame]) -> pl.DataFrame:
        """Return pages as a flat frame: each id once, the newest of its versions."""
        return self._once_each(frame(pages, self._query.fields))

    def _once_each(self, rows: pl.DataFrame) -> pl.DataFrame:
        found = rows.lazy()
        newest = (
            found.sort("updated_at", nulls_last=False, maintain_order=True) if "updated_at" in rows.columns else found
        )
        return newest.unique("id", keep="last", maintain_order=True).sort(by(self._query)).collect()

    def _read(self, data: bytes) -> Page:
        connection = None
        with contextlib.suppress(msgspec.MsgspecError):  # Raised below, without what the decoder quotes.
            connection = self._decoder.decode(data).get(self._query.key)
        if connection is None:
            raise ApiError(
                f"{self._query.name}: the answer holds no {self._query.key} with page_info; the key may not be "
                "allowed to see it, or the API version answers in another shape"
            )
        rows, null_items = page(_listed(connection.nodes), self._query.fields)
        self._took(rows.height)
        info = connection.page_info
        return Page(rows, null_items, connection.total_count, not info.has_next_page, info.end_cursor)

    def _next(self, answer: Page, chain: Chain) -> str:
        if answer.cursor is None or answer.cursor in chain.cursors:
            fault = "missing" if answer.cursor is None else "the same as before"
            raise ApiError(
                f"{self._query.name}: the server promises a next page, but its cursor is {fault}; nothing of this part "
                "is kept. Try again; if it stays so, tell Healthie"
            )
        chain.cursors.add(answer.cursor)
        return answer.cursor

    def _wanted(self) -> int:
        """Return how many requests must be in flight for the pace to be used: Little's law, and a few to spare."""
        pace, session = self._session.pace, self._session
        return min(MOST_IN_FLIGHT, 1 + math.ceil(1.25 * pace.rate * min(session.latency_s, MAX_LATENCY_S)))

    def _cut(self, running: Mapping[_Run, object]) -> _Run | None:
        longest = max(running, key=lambda run: run.left, default=None)
        if longest is None or not WORTH_A_SPLIT * self._page_size < longest.left < math.inf:
            return None
        return longest.split()

    async def _window(
        self, run: _Run, keep: Callable[[Part], Awaitable[None]], spread: Callable[[], None]
    ) -> list[_Run]:
        """Pull a window and keep it; return what is to be pulled again because rows moved meanwhile."""
        asked = _just_before(run.window) if run.is_exact else _wider(run.window)
        cursor: str | None = None
        while True:
            answer = await self.page(self._query.operation, after=cursor, window=asked)
            run.take(answer)
            run.reached = self._reached(answer, run)
            if answer.is_last or run.reached >= run.window.end:
                break
            cursor = self._next(answer, run)
            spread()
            if len(run.pages) >= KEPT_PAGES and (begun := await asyncio.to_thread(self._begun, run)):
                run.window = Window(run.begun, run.window.end)
                await keep(begun)
        part = await asyncio.to_thread(self._part, run, was_cut=not answer.is_last)
        is_known = run.is_exact or not run.null_items
        if run.tries == TRIES or (part.is_settled and is_known):
            await keep(dataclasses.replace(part, is_settled=part.is_settled and is_known))
            return []
        tries = run.tries + (not part.is_settled)
        again = self.finely(run.window, part.rows)
        return [
            _Run.over(window, expected=self._page_size / 2, tries=tries, is_exact=run.is_exact or run.null_items > 0)
            for window in again
        ]

    def _begun(self, run: _Run) -> Part | None:
        """Take what is whole out of a long run, so that a killed pull has it; None where nothing can be taken yet."""
        rows = frame(run.pages, self._query.fields)
        times = rows.get_column(self._query.window or "")
        left = rows.height - int(times.search_sorted(run.reached))  # more rows of this instant may come
        done = Window(run.window.start, run.reached)
        if run.null_items or not run.is_steady or not times.is_sorted() or left >= run.pages[-1].height:
            return None
        if done.start >= done.end:
            return None
        run.begun = run.reached
        run.kept += rows.head(-left).n_unique("id")
        run.pages = [run.pages[-1].tail(left)]
        inside = self._once_each(rows.filter(times >= done.start, times < done.end))
        return Part(inside, done, 0, is_settled=True, doubt=_wider(Window(done.start, run.wire_end)))

    def finely(self, window: Window, rows: pl.DataFrame) -> list[Window]:
        """Return the window cut so that each piece fits a page: there rows cannot move from page to page."""
        times = rows.get_column(self._query.window or "").sort()
        return sliced(window, times.gather_every(max(1, self._page_size // 2)).to_list())

    def _reached(self, answer: Page, run: _Run) -> datetime:
        text = answer.rows.get_column(self._query.window or "")[-1] if answer.rows.height else None
        return max(run.reached, instant(text)) if text else run.reached

    def _part(self, run: _Run, *, was_cut: bool) -> Part:
        rows = frame(run.pages, self._query.fields)
        times = rows.get_column(self._query.window or "")
        # After a cut the rest is another's, if the rows did come in order.
        is_whole = times.is_sorted() if was_cut else run.totals[0] == run.kept + rows.n_unique("id") + run.null_items
        inside = self._once_each(rows.filter(times >= run.window.start, times < run.window.end))
        doubt = None if len(run.pages) == 1 and not run.kept else _wider(Window(run.window.start, run.wire_end))
        return Part(inside, run.window, run.null_items, is_settled=is_whole and run.is_steady, doubt=doubt)


def _wider(window: Window) -> Window:
    return Window(window.start - OVERLAP, window.end + OVERLAP)


def _just_before(window: Window) -> Window:
    return Window(window.start - JUST_BEFORE, window.end - JUST_BEFORE)


def _listed(nodes: msgspec.Raw) -> bytes:
    return b"[]" if bytes(nodes) == b"null" else bytes(nodes)


def by(query: Query) -> list[str]:
    """Return the columns that a frame of this query is sorted by."""
    return [query.window, "id"] if query.window else ["id"]


def instant(text: str) -> datetime:
    """Return an instant in any of the shapes that Healthie writes."""
    return datetime.fromisoformat(text.replace(" UTC", "+00:00").replace(" ", "T", 1).replace(" ", "")).astimezone(UTC)
