"""How fast we may ask: one paced budget for every process that uses the same key, learned and kept.

A generic cell rate limiter (GCRA) in SQLite: requests are spread evenly, not sent in bursts, because Healthie's
allowance is shared with the practice's portal. The rate starts at a tenth of the ceiling, rises to it in about ten
seconds, is cut when the server refuses and then rises slowly near the rate that was refused. The ceiling holds for any
second, whatever wakes up late: so a little less than it is used, and a request is counted when it goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import sqlite3
import time
from typing import TYPE_CHECKING, NamedTuple, Self, TypeVar

from healthie_nb.files import make_private, private

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

T = TypeVar("T")

logger = logging.getLogger(__name__)

FILE = "pace.sqlite"
START = 0.1  # of the ceiling
RAMP_S = 10.0
EARLY = 2.0  # requests that may go early, to make good a late wake-up
EARLY_SHARE = 0.02  # of a low ceiling, if that is less
SLACK = 0.005  # of the ceiling, for what happens between here and the server
CUT, TOUCHED = 0.9, 0.97  # of the rate, when refused; and when it was not for a while: then the limit was only touched
HALF = 0.5  # when all is refused
CALM_S = 5.0
CREEP = 0.002  # of the ceiling, per second, above the rate that was last refused
LEAST_RPS = 0.5
AHEAD_S = 120.0  # a schedule further ahead than this was written by another clock
TICK_S = 1e-6  # what the wall clock can tell apart


class _State(NamedTuple):
    """`due` is when the next request may go; `knee` is the rate from which on the rise is slow."""

    due: float
    rate: float
    knee: float
    seen: float
    cut: float


class Pace:
    """The budget of one key. Times are the wall clock's, so that processes agree; the key is kept as a hash only."""

    def __init__(
        self,
        folder: Path,
        key: str,
        *,
        ceiling: float,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._key = hashlib.sha256(f"healthie-nb pace {key}".encode()).hexdigest()[:32]
        self._ceiling, self._clock, self._sleep = ceiling, clock, sleep
        self._early = min(EARLY, EARLY_SHARE * ceiling)
        self._queue = asyncio.Lock()
        self._last = _State(0.0, ceiling * START, ceiling, 0.0, 0.0)
        self._folder, self._database = folder, _opened(folder)
        self._surely(self._look)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    @property
    def rate(self) -> float:
        """Requests per second, as learned so far."""
        return self._last.rate

    async def turn(self) -> None:
        """Wait until one request may be sent, and count it."""
        # One waits at a time, and counts its request when it goes: what came meanwhile, from whomever, is heeded.
        async with self._queue:
            while (wait_s := self._surely(self._claim)) > 0:
                await self._sleep(wait_s)

    def refused(self, *, retry_after_s: float = 0.0, is_shut: bool = False) -> None:
        """Take note that the server refused a request: slow down, and stay away for as long as it says.

        `is_shut`: it has refused all of them for a while. Then asking often is of no use, and the rate is halved.
        """
        self._surely(lambda: self._slow_down(retry_after_s, is_shut=is_shut))

    def reopened(self) -> None:
        """Rise as from the start again: how often a server was asked that refused all tells nothing of its limit."""
        self._surely(self._forget_knee)

    def _forget_knee(self) -> None:
        with self._transaction() as state:
            self._keep(state._replace(knee=self._ceiling))

    def _slow_down(self, retry_after_s: float, *, is_shut: bool) -> None:
        with self._transaction() as state:
            now = self._clock()
            due = max(state.due, now + min(retry_after_s, AHEAD_S))
            # Requests in flight are refused together: that is one sign, not many.
            if now - state.cut < 1.0:
                self._keep(state._replace(due=due))
                return
            left = HALF if is_shut else TOUCHED if now - state.cut > CALM_S else CUT
            rate = max(LEAST_RPS, state.rate * left)
            self._keep(_State(due=due, rate=rate, knee=rate, seen=now, cut=now))

    def _look(self) -> None:
        with self._transaction() as state:
            self._last = state

    def _claim(self) -> float:
        """Count a request, if one may go now; else return how long to wait."""
        with self._transaction() as state:
            now = self._clock()
            due = state.due if state.due - now <= AHEAD_S else now
            if due - now > TICK_S:
                return due - now
            # At the ceiling so many seconds between two that any second has room for those that go early.
            rate = self._risen(state, now)
            interval_s = 1 / (rate * (1 - SLACK - self._early / self._ceiling))
            due = max(due, now - self._early * interval_s) + interval_s
            self._keep(state._replace(due=due, rate=rate, seen=now))
            return 0.0

    def _risen(self, state: _State, now: float) -> float:
        """Return the rate after the time since the last request, of which a pause counts as a second at most."""
        passed_s = min(max(now - state.seen, 0.0), 1.0) if state.seen else 0.0
        knee = min(state.knee, self._ceiling)
        fast = min(state.rate + passed_s * self._ceiling * (1 - START) / RAMP_S, knee)
        risen = max(fast, state.rate) + (passed_s * self._ceiling * CREEP if fast >= knee else 0.0)
        return min(risen, self._ceiling)

    def _surely(self, step: Callable[[], T]) -> T:
        """Take a step that may be repeated; where the shared file fails, a second time elsewhere."""
        try:
            return step()
        except sqlite3.Error as error:
            self._database.close()
            self._database = _opened(self._folder, after=error)
            return step()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[_State]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            row = self._database.execute(
                "SELECT due, rate, knee, seen, cut FROM pace WHERE key = ?", (self._key,)
            ).fetchone()
            yield _State(*row) if row else self._last
        finally:
            if self._database.in_transaction:  # A failure may have ended it.
                self._database.execute("COMMIT")

    def _keep(self, state: _State) -> None:
        self._database.execute("INSERT OR REPLACE INTO pace VALUES (?, ?, ?, ?, ?, ?)", (self._key, *state))
        self._last = state


def _opened(folder: Path, *, after: Exception | None = None) -> sqlite3.Connection:
    """Open the shared file, a new one in the place of a damaged one; where that cannot be, pace alone, in memory."""
    try:
        make_private(folder)
        if _is_damage(after):
            for ending in ("", "-wal", "-shm"):
                (folder / f"{FILE}{ending}").unlink(missing_ok=True)
        if after is None or _is_damage(after):
            return _shared(folder / FILE)
    except (OSError, sqlite3.Error) as error:
        if after is None:
            return _opened(folder, after=error)
    logger.warning("the pace cannot be shared through %s; other processes are not seen", folder)
    return _prepared(sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False))


def _is_damage(error: Exception | None) -> bool:
    return getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _shared(path: Path) -> sqlite3.Connection:
    private(path)
    return _prepared(sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False))


def _prepared(database: sqlite3.Connection) -> sqlite3.Connection:
    try:
        # A pace lost with the power is no loss, so nothing waits for the disk.
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=OFF")
        database.execute(
            "CREATE TABLE IF NOT EXISTS pace "
            "(key TEXT PRIMARY KEY, due REAL, rate REAL, knee REAL, seen REAL, cut REAL)"
        )
    except sqlite3.Error:
        database.close()
        raise
    return database
