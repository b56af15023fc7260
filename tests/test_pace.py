"""The pace: spread evenly, shared, remembered, and never above the ceiling. No test waits."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import json
import random
import sqlite3
import subprocess
import sys
import time
from bisect import bisect_left
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest
from conftest import answering
from truths import clinic

from healthie_nb.demo import Settings as Behaviour
from healthie_nb.demo import World, serving
from healthie_nb.failures import AuthenticationError
from healthie_nb.pace import AHEAD_S, FILE, Pace
from healthie_nb.practice import Practice
from healthie_nb.settings import Settings

if TYPE_CHECKING:
    import pathlib


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def pace(folder: pathlib.Path, clock: Clock, *, ceiling: float = 100, key: str = "gh_live_s3cret") -> Pace:
    return Pace(folder, key, ceiling=ceiling, clock=clock, sleep=clock.sleep)


def turns(limiter: Pace, clock: Clock, seconds: float) -> list[float]:
    """Return when requests went out during so many seconds."""

    async def ask() -> list[float]:
        sent, end = [], clock.now + seconds
        while clock.now < end:
            await limiter.turn()
            sent.append(clock.now)
        return sent

    return asyncio.run(ask())


def most_in_a_second(sent: list[float], *, but_for_s: float = 0.0) -> int:
    sent = sorted(sent)
    return max(bisect_left(sent, start + 1 - but_for_s) - place for place, start in enumerate(sent))


class Hours(Clock):
    """A clock for several who sleep at once. Each wakes up late, by chance."""

    def __init__(self, *, late_s: float) -> None:
        super().__init__()
        self.chance, self.late_s = random.Random(7), late_s
        self.asleep: list[tuple[float, int, asyncio.Future[None]]] = []

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        until = self.now + seconds + self.late_s * self.chance.random() ** 4
        heapq.heappush(self.asleep, (until, id(woken), woken))
        await woken

    async def pass_(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            for _ in range(5):  # whoever is awake goes to sleep
                await asyncio.sleep(0)
            at, _, woken = heapq.heappop(self.asleep)
            self.now = max(self.now, at)
            woken.set_result(None)


def test_the_pace_starts_at_a_tenth_and_reaches_the_ceiling_in_ten_seconds(tmp_path: pathlib.Path) -> None:
    clock = Clock()
    with pace(tmp_path, clock) as limiter:
        sent = turns(limiter, clock, 20)
    begin = sent[0]
    assert sum(at < begin + 1 for at in sent) <= 20
    assert sum(begin + 8 <= at < begin + 9 for at in sent) < 100
    assert sum(begin + 11 <= at < begin + 12 for at in sent) >= 97
    assert most_in_a_second(sent) <= 100


def test_what_was_learned_is_kept_for_the_next_run(tmp_path: pathlib.Path) -> None:
    clock = Clock()
    with pace(tmp_path, clock) as limiter:
        turns(limiter, clock, 15)
    with pace(tmp_path, clock) as again:
        assert again.rate == pytest.approx(100, rel=0.01)
    with pace(tmp_path, clock, key="another") as other:
        assert other.rate == pytest.approx(10)


def test_a_server_that_refuses_all_is_asked_seldom_and_the_pace_is_back_soon_after(tmp_path: pathlib.Path) -> None:
    clock = Clock()

    async def refused(limiter: Pace, seconds: float) -> int:
        asked, begun = 0, clock.now
        while clock.now < begun + seconds:
            await limiter.turn()
            asked += 1
            limiter.refused(is_shut=clock.now - begun > 2)
        return asked

    with pace(tmp_path, clock) as limiter:
        turns(limiter, clock, 15)
        assert asyncio.run(refused(limiter, 60)) < 450
        limiter.reopened()
        assert limiter.rate < 1
    with pace(tmp_path, clock) as again:
        turns(again, clock, 15)
        assert again.rate > 90


def test_a_refusal_slows_down_once_and_the_rise_is_slow_near_it(tmp_path: pathlib.Path) -> None:
    clock = Clock()
    with pace(tmp_path, clock) as limiter:
        turns(limiter, clock, 15)
        for _ in range(20):
            limiter.refused()
        cut = limiter.rate
        assert cut == pytest.approx(97)
        turns(limiter, clock, 10)
        assert cut < limiter.rate < 99.5
        turns(limiter, clock, 60)
        assert limiter.rate > 99


def test_refusals_of_one_second_are_one_sign_and_those_that_go_on_a_stronger_one(tmp_path: pathlib.Path) -> None:
    clock = Clock()
    with pace(tmp_path, clock) as limiter:
        turns(limiter, clock, 15)
        rates = []
        for passed_s in (0.0, 0.75, 0.25, 8.0):  # a power of two each: no rounding
            clock.now += passed_s
            limiter.refused()
            rates.append(limiter.rate)
    assert rates == pytest.approx([97, 97, 97 * 0.9, 97 * 0.9 * 0.97])


@pytest.mark.parametrize("ceiling", [0.5, 5, 100])
@pytest.mark.parametrize("retry_after_s", [1, 30, 600])
def test_retry_after_is_waited_for_to_the_end_however_slow_the_pace(
    tmp_path: pathlib.Path, ceiling: float, retry_after_s: float
) -> None:
    clock = Clock()
    with pace(tmp_path, clock, ceiling=ceiling) as limiter:
        turns(limiter, clock, 1)
        at = clock.now
        limiter.refused(retry_after_s=retry_after_s)
        assert turns(limiter, clock, 1)[0] >= at + min(retry_after_s, AHEAD_S)


def test_retry_after_of_a_server_is_enough_to_be_admitted(tmp_path: pathlib.Path) -> None:
    """Over HTTP, one request a second at most: whoever asks a moment before the second is over is refused again."""
    with serving(World(clients=5), Behaviour(rate=1, retry_after_s=1)) as served:
        folders = {"cache_dir": tmp_path, "data_dir": tmp_path}
        practice = Practice(Settings(url=served.url, key=served.key, max_rps=20, **folders))
        practice.load("current_user")
        assert served.application.throttle.refused == 1


def test_retry_after_may_be_a_date(tmp_path: pathlib.Path) -> None:
    until = int(time.time()) + 2
    refused = (429, {"Retry-After": formatdate(until, usegmt=True)}, b"")
    with answering(refused, (200, {}, b'{"data": {"currentUser": null}}')) as (url, asked):
        with pytest.raises(AuthenticationError, match="does not know the key's owner"):
            Practice(Settings(url=url, key="gh_live_other", cache_dir=tmp_path, data_dir=tmp_path, cache_key="0" * 64))
        assert time.time() >= until
    assert len(asked) == 2


def test_a_lower_ceiling_is_kept_to_at_once(tmp_path: pathlib.Path) -> None:
    clock = Clock()
    with pace(tmp_path, clock) as limiter:
        turns(limiter, clock, 15)
    with pace(tmp_path, clock, ceiling=20) as slower:
        assert most_in_a_second(turns(slower, clock, 5)) <= 20


def test_a_clock_that_moved_back_does_not_stop_the_pull(tmp_path: pathlib.Path) -> None:
    clock = Clock()
    with pace(tmp_path, clock) as limiter:
        turns(limiter, clock, 5)
        clock.now -= 86_400
        before = clock.now
        assert turns(limiter, clock, 1)[0] - before < 1


@pytest.mark.parametrize("spoilt", [b"not a database" * 500, b"SQLite format 3\0" + bytes(9_000)])
def test_a_damaged_file_gives_way_to_a_new_one(tmp_path: pathlib.Path, spoilt: bytes) -> None:
    clock = Clock()
    (tmp_path / FILE).write_bytes(spoilt)
    with pace(tmp_path, clock) as limiter:
        turns(limiter, clock, 5)
        learned = limiter.rate
    with pace(tmp_path, clock) as again:
        assert again.rate == learned > 10
        turns(again, clock, 1)
        learned = again.rate
        again._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with (tmp_path / FILE).open("r+b") as file:  # under its feet
            file.write(spoilt)
        (tmp_path / f"{FILE}-wal").write_bytes(b"")
        with pace(tmp_path, clock, key="another") as other:
            turns(other, clock, 1)
        assert len(turns(again, clock, 1)) > 10
        assert again.rate >= learned


def test_what_is_full_or_locked_ends_no_pull_and_what_was_learned_stays(tmp_path: pathlib.Path) -> None:
    clock = Clock()
    with pace(tmp_path, clock) as limiter:
        turns(limiter, clock, 5)
        learned = limiter.rate
        limiter._database.execute("PRAGMA busy_timeout=0")
        with contextlib.closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as another:
            another.execute("BEGIN IMMEDIATE")
            assert most_in_a_second(turns(limiter, clock, 2)) > 20
            limiter.refused()
        assert limiter.rate > learned


def test_the_key_is_not_in_the_file(tmp_path: pathlib.Path) -> None:
    clock = Clock()
    with pace(tmp_path, clock) as limiter:
        turns(limiter, clock, 0.1)
        held = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"s3cret" not in held
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0


def test_where_no_file_can_be_written_the_pace_goes_on_alone(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    clock = Clock()
    with pace(tmp_path / "file" / "below", clock) as limiter:
        assert len(turns(limiter, clock, 1)) > 5


@pytest.mark.parametrize("ceiling", [5, 100])
@pytest.mark.parametrize(("late_s", "used"), [(0.0, 0.95), (0.01, 0.95), (0.3, 0.2)])
def test_no_second_has_more_requests_than_the_ceiling_however_late_any_of_three_wakes_up(
    tmp_path: pathlib.Path, ceiling: float, late_s: float, used: float
) -> None:
    clock = Hours(late_s=late_s)
    sent: list[float] = []

    async def ask(limiter: Pace) -> None:
        while True:
            await limiter.turn()
            sent.append(clock.now)

    async def main() -> None:
        paces = [pace(tmp_path, clock, ceiling=ceiling) for _ in range(3)]
        asking = [asyncio.create_task(ask(limiter)) for limiter in paces]
        await clock.pass_(20)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        for limiter in paces:
            limiter.__exit__()

    asyncio.run(main())
    assert most_in_a_second(sent) <= ceiling
    assert sum(at >= sent[0] + 15 for at in sent) >= used * ceiling * (clock.now - sent[0] - 15) - 1


LOADS = """
import asyncio, dataclasses, json, pathlib, sys, time
from healthie_nb import query
from healthie_nb.practice import Practice
from healthie_nb.session import Session
from healthie_nb.settings import Settings

sent, once, read = [], Session._once, query.read

async def timed(session, request):
    sent.append(time.time())
    return await once(session, request)

Session._once = timed
query.read = lambda name: dataclasses.replace(read(name), page_size=20)
folder = pathlib.Path(sys.argv[3])
folders = {"cache_dir": folder / sys.argv[4], "data_dir": folder}  # a cache of its own, as HEALTHIE_CACHE_DIR gives
practice = Practice(Settings(url=sys.argv[1], key=sys.argv[2], max_rps=60, **folders))
practice.load(sys.argv[4], start="2024-01-01", end="2026-12-31")
print(json.dumps(sent))
"""


def test_three_processes_that_load_over_http_stay_under_the_ceiling_together(tmp_path: pathlib.Path) -> None:
    """Real processes, servers and clocks: the pace is learned already, and each keeps its rows in another folder."""
    clock = Clock(time.time() - 60)
    with clinic(tmp_path / "own", latency_ms=(20, 40)) as (_, served, _):
        with pace(tmp_path, clock, ceiling=60, key=served.key) as limiter:
            turns(limiter, clock, 15)
        command = [sys.executable, "-c", LOADS, served.url, served.key, str(tmp_path)]
        names = ("appointments", "filled_forms", "chart_notes")
        running = [subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True) for name in names]
        each = [json.loads(process.communicate(timeout=60)[0]) for process in running]
    assert min(map(len, each)) > 30
    sent = [at for times in each for at in times]
    # A fiftieth of a second for what lies between the pace's clock and the test's.
    assert 40 < most_in_a_second(sent, but_for_s=0.02) <= 60
