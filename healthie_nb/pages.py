"""Pages: one answer at a time, a chain of them along a cursor, and when a chain is whole.

Rows stay the JSON they came as until a part of them is complete: polars reads many pages at once in less time than it
takes to read each, and so no page waits for another in the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import msgspec
import stamina

from healthie_nb.failures import ApiError, PartialError, TooComplexError
from healthie_nb.frame import frame
from healthie_nb.progress import Progress
from healthie_nb.session import RETRY_FOR_S
from healthie_nb.windows import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import polars as pl

    from healthie_nb.query import Operation, Query
    from healthie_nb.session import Session

TRIES = 3
PARTIAL_TRIES = 8  # one answer in five that is not whole, by chance, must not end a pull
# Windows are counted up to just before a boundary, so that it does not matter whose a row on the boundary is.
JUST_BEFORE = timedelta(microseconds=500)
ALWAYS = Window(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


@dataclass(frozen=True, eq=False)
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
    nodes: list[msgspec.Raw] | None = None
    total_count: int | None = None


@dataclass(frozen=True)
class Page:
    """One answer: its rows, as JSON with commas between them; how many they are, and how many more were null.

    `total` is how many there are in all; `first` and `last` are the rows at its ends, None when it has none.
    """

    text: bytes
    rows: int
    null_items: int
    total: int | None
    is_last: bool
    cursor: str | None
    first: Mapping[str, Any] | None
    last: Mapping[str, Any] | None


@dataclass(eq=False)
class Chain:
    """A cursor and what it has brought so far."""

    pages: list[Page] = field(default_factory=list)
    null_items: int = 0
    received: int = 0
    totals: list[int | None] = field(default_factory=list)
    cursors: set[str | None] = field(default_factory=set)

    def take(self, answer: Page) -> None:
        """Keep a page."""
        self.pages.append(answer)
        self.null_items += answer.null_items
        self.received += answer.rows + answer.null_items
        self.totals.append(answer.total)

    def next(self, answer: Page, *, of: str) -> str:
        """Return the cursor of the page that follows. Raises ApiError where the server gives none, or one it gave."""
        if answer.cursor is None or answer.cursor in self.cursors:
            fault = "missing" if answer.cursor is None else "the same as before"
            raise ApiError(
                f"{of}: the server promises a next page, but its cursor is {fault}; nothing of this part is kept. Try "
                "again; if it stays so, tell Healthie"
            )
        self.cursors.add(answer.cursor)
        return answer.cursor

    @property
    def is_steady(self) -> bool:
        """Whether all pages counted the same rows."""
        return len(set(self.totals)) == 1

    @property
    def has_shrunk(self) -> bool:
        """Whether rows went while others were read: those behind them moved up, past the cursor."""
        return any(late is not None and late < (early or 0) for early, late in pairwise(self.totals))


class Puller:
    """Ask for one query with one set of variables. `progress` is told how many rows there are and how many came."""

    def __init__(
        self,
        session: Session,
        query: Query,
        variables: Mapping[str, Any],
        *,
        progress: Progress | None = None,
    ) -> None:
        self.session, self.query, self.progress = session, query, progress or Progress()
        self._variables, self._is_expected = dict(variables), False
        self.page_size = query.page_size
        self._decoder = msgspec.json.Decoder(dict[str, _Connection | None])

    async def chain(self, operation: Operation, *, until: Callable[[Page], bool] = lambda _page: False) -> Chain:
        """Follow one cursor to its end, or to the page that `until` calls the last."""
        chain = Chain()
        cursor: str | None = None
        while True:
            answer = await self.page(operation, after=cursor)
            chain.take(answer)
            if answer.is_last or until(answer):
                return chain
            cursor = chain.next(answer, of=self.query.name)

    async def whole(self) -> Part:
        """Pull a query without a window: one chain, or two that agree where nothing tells what changed meanwhile."""
        before: pl.DataFrame | None = None
        for _ in range(TRIES + 1):
            chain = await self.chain(self.query.operation, until=self._watched)
            rows = await asyncio.to_thread(self.frame, chain.pages)
            complete = chain.is_steady and chain.totals[0] in (None, rows.height + chain.null_items)
            agrees = self.query.changed is not None or (before is not None and rows.equals(before))
            if complete and agrees:
                doubt = None if len(chain.pages) == 1 else ALWAYS
                return Part(rows, None, chain.null_items, is_settled=True, doubt=doubt)
            before = rows if complete else None
        return Part(rows, None, chain.null_items, is_settled=False)

    def _watched(self, answer: Page) -> bool:
        if not self._is_expected:
            self.progress.expect(answer.total or 0)
            self._is_expected = True
        self.progress.take(answer.rows)
        return False

    async def one(self, *, retry_for_s: float = RETRY_FOR_S) -> pl.DataFrame:
        """Pull a query without pages: an object is one row, a list is many."""
        answer = await self._ask(self.query.operation, self._variables, retry_for_s=retry_for_s)
        text = bytes(msgspec.json.decode(answer, type=dict[str, msgspec.Raw])[self.query.key]).strip()
        listed = msgspec.json.decode(text if text.startswith(b"[") else b"[" + text + b"]", type=list[msgspec.Raw])
        return frame(_texts(listed), self.query.fields)

    def narrowed(self, **variables: Any) -> Puller:
        """Return one that asks the same with more variables set."""
        return Puller(self.session, self.query, {**self._variables, **variables}, progress=self.progress)

    async def count(self, window: Window) -> int:
        """Ask how many rows the server counts in a window."""
        answer = await self.page(self.query.operation, first=1, window=just_before(window))
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
        size = first or self.page_size
        try:
            data = await self._ask(operation, {**known, "first": size})
        except TooComplexError:
            # Of those in flight together the first makes the page smaller, and the others ask for that.
            is_first = size == self.page_size
            if first is not None or size == 1 or (is_first and size < self.query.page_size):
                raise
            data = None
            self.page_size = size // 2 if is_first else self.page_size
        return await self.page(operation, after=after, window=window) if data is None else self._read(data)

    async def _ask(self, operation: Operation, variables: Mapping[str, Any], **options: Any) -> bytes:
        """Ask, and a few times more while there are errors beside the data: what is not whole is not taken."""
        try:
            return await self.session.ask(operation, variables, **options)
        except PartialError as error:
            first = error  # Counted as the first attempt below: the bookkeeping of all that pass would cost too much.
        async for attempt in stamina.retry_context(on=PartialError, attempts=PARTIAL_TRIES, timeout=None, wait_max=1.0):
            with attempt:
                if attempt.num == 1:
                    raise first
                return await self.session.ask(operation, variables, **options)
        raise AssertionError  # the last attempt returns or raises

    def frame(self, pages: Sequence[Page]) -> pl.DataFrame:
        """Return pages as a flat frame: each id once, the newest of its versions."""
        return self.once_each(frame([answer.text for answer in pages], self.query.fields))

    def once_each(self, rows: pl.DataFrame, *, within: Sequence[str] = ()) -> pl.DataFrame:
        """Return each id once, or once within what these columns tell apart: the newest of its versions, in order."""
        if rows.get_column("id").n_unique() < rows.height:
            if "updated_at" in rows.columns:
                rows = rows.sort("updated_at", nulls_last=False, maintain_order=True)
            rows = rows.unique(["id", *within], keep="last", maintain_order=True)
        return rows.sort(by(self.query))

    def _read(self, data: bytes) -> Page:
        connection = None
        with contextlib.suppress(msgspec.MsgspecError):  # Raised below, without what the decoder quotes.
            connection = self._decoder.decode(data).get(self.query.key)
        if connection is None:
            raise ApiError(
                f"{self.query.name}: the answer holds no {self.query.key} with page_info; the key may not be "
                "allowed to see it, or the API version answers in another shape"
            )
        info, nodes = connection.page_info, connection.nodes or []
        texts = _texts(nodes)
        first, last = (msgspec.json.decode(texts[at]) if texts else None for at in (0, -1))
        return Page(
            text=b",".join(texts),
            rows=len(texts),
            null_items=len(nodes) - len(texts),
            total=connection.total_count,
            is_last=not info.has_next_page,
            cursor=info.end_cursor,
            first=first,
            last=last,
        )


def _texts(nodes: Sequence[msgspec.Raw]) -> list[bytes]:
    """Return the items of a list that are not null."""
    texts = [bytes(node) for node in nodes]
    return [text for text in texts if text != b"null"] if b"null" in texts else texts


def just_before(window: Window) -> Window:
    """Return the window a moment earlier, so that it does not matter on which side of its ends the server stops."""
    return Window(window.start - JUST_BEFORE, window.end - JUST_BEFORE)


def by(query: Query) -> list[str]:
    """Return the columns that a frame of this query is sorted by."""
    return [query.window, "id"] if query.window else ["id"]


def instant(text: str) -> datetime:
    """Return an instant in any of the shapes that Healthie writes."""
    return datetime.fromisoformat(text.replace(" UTC", "+00:00").replace(" ", "T", 1).replace(" ", "")).astimezone(UTC)
