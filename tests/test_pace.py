"""The pace: spread evenly, shared, remembered, and never above the ceiling. No test waits."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from typing import TYPE_CHECKING

import pytest

from healthie_nb.pace import Pace

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


def most_in_a_second(sent: list[float]) -> int:
    return max(sum(start <= other < start + 1 for other in sent) for start in sent)


def test_the_pace_starts_at_a_tenth_and_reaches_the_ceiling_in_ten_seconds(tmp_path: pathlib.Path) -> None:
    clock = Clock()
    with pace(tmp_path, clock) as limiter:
        sent = turns(limiter, clock, 20)
    begin = sent[0]
    assert sum(at < begin + 1 for at in sent) <= 20
    assert sum(begin + 8 <= at < begin + 9 for at in sent) < 100
    assert sum(begin + 11 <= at < begin + 12 for at in sent) >= 98
    assert most_in_a_second(sent) <= 102


def test_what_was_learned_is_kept_for_the_next_run(tmp_path: pathlib.Path) -> None:
    clock = Clock()
    with pace(tmp_path, clock) as limiter:
        turns(limiter, clock, 15)
    with pace(tmp_path, clock) as again:
        assert again.rate == pytest.approx(100, rel=0.01)
    with pace(tmp_path, clock, key="another") as other:
        assert other.rate == pytest.approx(10)


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


def test_retry_after_is_waited_for(tmp_path: pathlib.Path) -> None:
    clock = Clock()
    with pace(tmp_path, clock) as limiter:
        turns(limiter, clock, 1)
        at = clock.now
        limiter.refused(retry_after_s=30)
        assert turns(limiter, clock, 31)[0] >= at + 29


def test_a_lower_ceiling_is_kept_to_at_once(tmp_path: pathlib.Path) -> None:
    clock = Clock()
    with pace(tmp_path, clock) as limiter:
        turns(limiter, clock, 15)
    with pace(tmp_path, clock, ceiling=20) as slower:
        assert most_in_a_second(turns(slower, clock, 5)) <= 23


def test_a_clock_that_moved_back_does_not_stop_the_pull(tmp_path: pathlib.Path) -> None:
    clock = Clock()
    with pace(tmp_path, clock) as limiter:
        turns(limiter, clock, 5)
        clock.now -= 86_400
        before = clock.now
        assert turns(limiter, clock, 1)[0] - before < 1


def test_the_key_is_not_in_the_file(tmp_path: pathlib.Path) -> None:
    clock = Clock()
    with pace(tmp_path, clock) as limiter:
        turns(limiter, clock, 0.1)
        held = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"s3cret" not in held
    assert (tmp_path / "pace.sqlite").stat().st_mode & 0o077 == 0


def test_where_no_file_can_be_written_the_pace_goes_on_alone(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    clock = Clock()
    with pace(tmp_path / "file" / "below", clock) as limiter:
        assert len(turns(limiter, clock, 1)) > 5


def _ask_for_a_while(folder: pathlib.Path, seconds: float, sent: multiprocessing.Queue[list[float]]) -> None:
    async def ask() -> list[float]:
        times, end = [], time.time() + seconds
        with Pace(folder, "key", ceiling=100) as limiter:
            while time.time() < end:
                await limiter.turn()
                times.append(time.time())
        return times

    sent.put(asyncio.run(ask()))


def test_three_processes_share_one_budget(tmp_path: pathlib.Path) -> None:
    """Real processes and a real clock: together they stay under the ceiling, and use most of it."""
    clock = Clock(time.time() - 60)
    with pace(tmp_path, clock, key="key") as limiter:
        turns(limiter, clock, 15)
    context = multiprocessing.get_context("spawn")
    queue: multiprocessing.Queue[list[float]] = context.Queue()
    workers = [context.Process(target=_ask_for_a_while, args=(tmp_path, 3, queue)) for _ in range(3)]
    for worker in workers:
        worker.start()
    sent = sorted(at for _ in workers for at in queue.get(timeout=60))
    for worker in workers:
        worker.join(timeout=60)
    assert most_in_a_second(sent) <= 105
    assert most_in_a_second(sent) > 50
