"""Windows in flight at once become parts: whole, typed, each row once.

A windowed query is pulled as many windows side by side; whenever the pace leaves room, the window with the most rows
left is cut in two. Rows come in the order of the window's column, so the running chain simply stops at the cut and
nothing is asked twice. What has landed is made into parts and kept together, beside those still in flight: polars is
quicker over many pages, and a manifest is written once for all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from healthie_nb import landings
from healthie_nb.landings import Landing
from healthie_nb.pages import TRIES, Chain, Page, Part, Puller, instant, just_before
from healthie_nb.query import HealthieError
from healthie_nb.windows import Window, sliced, wider

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import polars as pl

EARLIEST = datetime.min.replace(tzinfo=UTC)
WORTH_A_SPLIT = 2  # pages left: a cut costs half a page, and a chain of more would be waited for at the end
SPARE = 1.1  # times as many in flight as the pace has use for on average
MAX_LATENCY_S = 0.5  # a server slower than this is not helped by more requests
MOST_IN_FLIGHT = 160  # what the limit that Healthie documents has use for; more would only wait in line here
KEPT_PAGES = 25  # what a killed pull may lose of each window
BATCH_PAGES = 100  # landed, that are made into parts together; fewer at first, for a short pull is killed too
BATCH_S = 0.25  # or as many as landed in this time


@dataclass(eq=False)
class Run(Chain):
    """A window being pulled. `window.end` moves closer when the rest is given to another; `wire_end` stays.

    `reached` is up to where it has asked, `begun` up to where its rows have landed, `landed` how many ids those are.
    `given` are the windows that others took over from it since it asked.
    """

    column: str = field(kw_only=True)
    window: Window = field(kw_only=True)
    wire_end: datetime = field(kw_only=True)
    reached: datetime = field(kw_only=True)
    expected: float = field(kw_only=True)
    tries: int = field(kw_only=True)
    is_exact: bool = field(kw_only=True)  # without overlap, uncut: null items can be told
    begun: datetime = field(default=EARLIEST, init=False)
    landed: int = field(default=0, init=False)
    is_ordered: bool = field(default=True, init=False)
    has_asked: bool = field(default=False, init=False)
    giver: Run | None = field(default=None, init=False, repr=False)
    given: list[Run] = field(default_factory=list, init=False, repr=False)

    @classmethod
    def over(
        cls, window: Window, column: str, *, expected: float = math.inf, tries: int = 0, is_exact: bool = False
    ) -> Run:
        """Return a run over a window that has asked nothing yet."""
        asked: Any = {"wire_end": window.end, "reached": window.start, "expected": expected}
        return cls(column=column, window=window, tries=tries, is_exact=is_exact, **asked)

    @property
    def left(self) -> float:
        """How many rows are still to come; about how many, as if spread evenly, where another has yet to count its."""
        if self.is_exact:
            return 0.0
        total = self.totals[-1] if self.totals else None
        ahead = self.expected if total is None else max(0.0, total - self.received)
        if all(run.totals for run in self.given):
            return max(0.0, ahead - sum(run.totals[0] or 0 for run in self.given))
        rest, whole = (end - self.reached for end in (self.window.end, self.wire_end))
        return ahead * max(0.0, rest / whole) if whole else 0.0

    def take(self, answer: Page) -> None:
        """Keep a page."""
        super().take(answer)
        if answer.last and (time := answer.last[self.column]):
            self.reached = max(self.reached, instant(time))

    def split(self) -> Run:
        """Give away the later half of what is left."""
        ahead, behind = Window(self.reached, self.window.end).halves()
        given = Run.over(behind, self.column, expected=self.left / 2)
        if self.has_asked:
            given.giver = self
        else:  # What it will be told of does not hold the rest, which its giver was told of.
            given.giver, self.expected = self.giver, given.expected
        if given.giver:
            given.giver.given.append(given)
        self.window = dataclasses.replace(self.window, end=ahead.end)
        return given

    def begin(self) -> Landing | None:
        """Let go of what a long run has, so that a killed pull keeps it; None where that cannot be told apart yet."""
        first = self.pages[-1].first if self.pages else None
        if self.null_items or not self.is_steady or not first or instant(first[self.column]) >= self.reached:
            return None
        if not self.window.start < self.reached < self.window.end:
            return None
        done, self.window = Window(self.window.start, self.reached), Window(self.reached, self.window.end)
        landing = Landing(self, self.pages, done, self.begun)
        # More rows of the last instant may come, so its page stays.
        self.pages, self.begun = self.pages[-1:], self.reached
        return landing

    def end(self, *, was_cut: bool) -> Landing:
        """Let go of the rest."""
        how: Any = {"is_steady": self.is_steady, "is_last": True, "was_cut": was_cut}
        pages, self.pages = self.pages, []  # Its giver still knows it, and need not hold them.
        return Landing(self, pages, self.window, self.begun, null_items=self.null_items, **how)


class Flight:
    """Pull windows of one query side by side, and `keep` their parts as they land."""

    def __init__(self, puller: Puller, keep: Callable[[Sequence[Part]], Awaitable[None]]) -> None:
        self._puller, self._keep, self._column = puller, keep, puller.query.window or ""
        self._waiting: list[Run] = []
        self._running: set[Run] = set()
        self._landed: list[Landing] = []
        self._batch_pages = 1
        self._enough = asyncio.Event()
        self._storing: asyncio.Future[None] | None = None

    async def pull(self, windows: Sequence[Window]) -> None:
        """Pull these windows. When that fails, what has come until then is kept before the failure is raised."""
        self._waiting = [Run.over(window, self._column) for window in reversed(windows)]
        failure: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as self._group:
                self._spread()
                self._group.create_task(self._keeping())
        except BaseExceptionGroup as errors:
            failure = errors.exceptions[0]
        if isinstance(failure, Exception):
            self._landed += filter(None, (run.begin() for run in self._running))
            with contextlib.suppress(HealthieError):  # The first failure is the one to tell.
                if self._storing:
                    await self._storing
                await self._store()
        if failure is not None:  # The others failed of the same thing, or because of it.
            raise failure

    def _spread(self) -> None:
        """Let so many windows be in flight as the pace has use for."""
        while len(self._running) < self._wanted():
            run = self._waiting.pop() if self._waiting else self._cut()
            if run is None:
                return
            self._running.add(run)
            self._group.create_task(self._fly(run))

    def _wanted(self) -> int:
        """Return how many requests must be in flight for the pace to be used: Little's law, and a few to spare."""
        session = self._puller.session
        return min(MOST_IN_FLIGHT, 1 + math.ceil(SPARE * session.pace.rate * min(session.latency_s, MAX_LATENCY_S)))

    def _cut(self) -> Run | None:
        longest = max(self._running, key=lambda run: run.left, default=None)
        if longest is None or not WORTH_A_SPLIT * self._puller.page_size < longest.left < math.inf:
            return None
        return longest.split()

    async def _fly(self, run: Run) -> None:
        """Follow a window's cursor to its end, or to where the rest was given to another."""
        operation, cursor = self._puller.query.operation, None
        run.wire_end, run.has_asked = run.window.end, True  # It may have been cut since it was made.
        wire = just_before(run.window) if run.is_exact else wider(run.window)
        while True:
            answer = await self._puller.page(operation, after=cursor, window=wire)
            if not run.totals and run.expected == math.inf:
                self._puller.progress.expect(answer.total or 0)
            run.take(answer)
            if answer.is_last or run.reached >= run.window.end:
                break
            cursor = run.next(answer, of=self._puller.query.name)
            self._spread()
            if len(run.pages) >= KEPT_PAGES and (landing := run.begin()):
                self._land(landing)
        self._running.remove(run)
        self._spread()
        self._land(run.end(was_cut=not answer.is_last))

    # -- what has landed -------------------------------------------------------------------------------------------

    def _land(self, landing: Landing) -> None:
        self._landed.append(landing)
        if not self._running or sum(len(each.pages) for each in self._landed) >= self._batch_pages:
            self._enough.set()

    async def _keeping(self) -> None:
        """Keep what has landed, batch by batch, until nothing is in flight; what is not whole takes off again."""
        while self._running or self._landed:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BATCH_S):
                    await self._enough.wait()
            self._enough.clear()
            self._batch_pages = min(2 * self._batch_pages, BATCH_PAGES)
            # The failure of another must not stop it halfway.
            self._storing = asyncio.ensure_future(self._store())
            await asyncio.shield(self._storing)
            self._spread()

    async def _store(self) -> None:
        landed, self._landed = self._landed, []
        parts, again = await asyncio.to_thread(self._sorted_out, landed)
        if parts:
            await self._keep(parts)
        self._puller.progress.take(sum(part.rows.height for part in parts))
        self._waiting += again

    def _sorted_out(self, landed: Sequence[Landing]) -> tuple[list[Part], list[Run]]:
        """Return the parts that may be kept, and runs over the windows of the others, a page or so each."""
        parts, again = [], []
        for landing, part in landings.parts(landed, self._puller):
            run = landing.run
            is_known = run.is_exact or not part.null_items
            if run.tries == TRIES or (part.is_settled and is_known):
                parts.append(dataclasses.replace(part, is_settled=part.is_settled and is_known))
                continue
            times, size = part.rows.get_column(self._column), max(1, self._puller.page_size // 2)
            tries, is_exact = run.tries + (not part.is_settled), run.is_exact or part.null_items > 0
            again += [
                Run.over(piece, self._column, expected=size, tries=tries, is_exact=is_exact)
                for piece in finely(landing.window, times, size)
            ]
        return landings.together(parts, most=KEPT_PAGES * self._puller.page_size), again


def finely(window: Window, times: pl.Series, most: int) -> list[Window]:
    """Return the window cut so that each piece has at most so many of these times, or one of them alone.

    Cuts lie halfway between two times, where what is asked for beyond a window's ends brings nothing.
    """
    inside = times.filter(times.is_between(window.start, window.end, closed="left")).sort()
    cuts, held, last = [], 0, window.start
    for count, time in inside.rle().struct.unnest().iter_rows():
        if held and held + count > most:
            cuts.append(last + (time - last) / 2)
            held = 0
        held, last = held + count, time
    return sliced(window, cuts)
