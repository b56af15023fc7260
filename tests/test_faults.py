"""Whatever goes wrong on the way, what is loaded is what the practice has: over real HTTP, a fifth of requests hit."""

from __future__ import annotations

import dataclasses
import math
import os
import random
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from truths import BOUNDS, COLUMNS, SPAN, behave, clinic, connected, loaded, pages, plain, truth

from healthie_nb import query, session
from healthie_nb.demo.settings import FAULTS
from healthie_nb.failures import ApiError, LockedOutError
from healthie_nb.pace import Pace
from healthie_nb.practice import Practice
from healthie_nb.windows import Window

if TYPE_CHECKING:
    import pathlib

    from healthie_nb.demo import Served

NAMES = ("appointments", "clients", "form_requests")


@pytest.mark.usefixtures("without_waiting")
@pytest.mark.parametrize("kind", FAULTS)
def test_a_fifth_of_answers_gone_wrong_changes_no_row(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    if kind == "timeout":
        monkeypatch.setattr(session, "REQUEST_TIMEOUT_S", 0.5)
    with clinic(tmp_path, faults={kind: 0.2}, fault_seed=3) as (practice, served, clock):
        assert loaded(practice).equals(truth(served.world))
        assert loaded(practice, "form_requests").equals(truth(served.world, "form_requests"))
        clock.pass_(days=2)
        assert loaded(practice).equals(truth(served.world))
        assert served.application.counters.faults[kind] >= 3


@pytest.mark.usefixtures("without_waiting")
@pytest.mark.parametrize("seed", [1, 2])
def test_every_fault_together_changes_no_row(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(session, "REQUEST_TIMEOUT_S", 0.5)
    faults = dict.fromkeys(FAULTS, 0.03)
    with clinic(tmp_path, faults=faults, fault_seed=seed) as (practice, served, _):
        for name in NAMES:
            assert loaded(practice, name).equals(truth(served.world, name)), name
        assert len(served.application.counters.faults) >= 6


@pytest.mark.usefixtures("without_waiting")
def test_an_answer_that_is_never_whole_ends_the_pull_and_none_of_it_is_kept(tmp_path: pathlib.Path) -> None:
    with clinic(tmp_path) as (practice, served, _):
        behave(served, faults={"partial": 1.0})
        with pytest.raises(ApiError, match="answered with errors: Something went wrong"):
            loaded(practice, "clients")
        behave(served, faults={})
        assert loaded(practice, "clients").equals(truth(served.world, "clients"))


@pytest.mark.usefixtures("without_waiting")
def test_a_pull_that_a_failure_ends_goes_on_where_it_stopped(tmp_path: pathlib.Path) -> None:
    with clinic(tmp_path, latency_ms=(5, 15)) as (practice, served, _):
        behave(served, faults={"partial": 0.0})
        undisturbed = connected(served, tmp_path / "other", practice._clock)
        before = pages(served)
        loaded(undisturbed)
        needed = pages(served) - before
        spent = 0
        for share in (0.7, 0.7, 0.0):
            behave(served, faults={"partial": share})
            before = pages(served)
            try:
                rows = loaded(practice)
            except ApiError:
                continue
            finally:
                spent = pages(served) - before
        assert rows.equals(truth(served.world))
        assert spent <= needed + 4


def test_a_smaller_page_is_asked_for_when_many_at_once_were_too_complex(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with clinic(tmp_path) as (practice, served, _):
        monkeypatch.setattr("healthie_nb.demo.limits.MAX_COMPLEXITY", 1_200)
        assert loaded(practice).equals(truth(served.world))


@pytest.mark.parametrize("name", ["appointments", "clients"])
def test_a_lock_out_in_mid_pull_says_how_far_it_got_and_the_next_load_asks_for_the_rest(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("healthie_nb.session.SHUT_S", 0.2)
    monkeypatch.setattr("healthie_nb.session.LOCKED_OUT_S", 2.5)
    monkeypatch.setattr("healthie_nb.flight.KEPT_PAGES", 2)
    at_page = {"appointments": 30, "clients": 4}[name]
    with clinic(tmp_path, clients=400) as (_, served, clock):
        monkeypatch.setattr(
            "healthie_nb.demo.practice.random_edit",
            lambda *_: behave(served, rate=1, lockout_after=1, lockout_s=3600.0, edit_every=None),
        )
        practice = connected(served, tmp_path, clock, max_rps=250.0)
        behave(served, edit_every=at_page)
        with pytest.raises(LockedOutError, match=r"run the same again after \d\d:\d\d\. ") as caught:
            loaded(practice, name)
        assert caught.value.__cause__ is None
        with Pace(tmp_path / "data", served.key, ceiling=250.0) as learned:
            assert learned.rate < 80, "it was nearly 250, and was halved twice"
            assert learned._last.knee == 250, "and soon as fast as before"
        behave(served, rate=None, lockout_after=None)
        served.application.reset_counters()
        before, rows = pages(served), truth(served.world, name)
        assert loaded(practice, name).equals(rows)
        told = re.search(r"([\d,]+) of about ([\d,]+) rows .* and (\d+) of 1,461 days are whole", str(caught.value))
        if name == "clients":
            assert "what came of it is not kept" in str(caught.value)
            return
        assert told
        came, expected, days = (int(number.replace(",", "")) for number in told.groups())
        assert 500 <= came < expected
        assert expected >= rows.height
        assert 0 < days < 1_461
        assert pages(served) - before <= (rows.height - came) / 100 + 20


CHILD = """
import pathlib, sys
sys.path.insert(0, sys.argv[1])
from conftest import Clock
from healthie_nb import flight
from healthie_nb.practice import Practice
from healthie_nb.settings import Settings
flight.KEPT_PAGES, flight.MOST_IN_FLIGHT = 2, 6  # so that a pull takes its time, and keeps as it goes
folder = pathlib.Path(sys.argv[4])
settings = Settings(
    url=sys.argv[2], key=sys.argv[3], cache_dir=folder / "cache", data_dir=folder / "data", max_rps=1e5
)
practice = Practice(settings, clock=Clock())
print("ready", flush=True)
print(practice.load("appointments", start="2023-01-01", end="2026-12-31").height, flush=True)
"""


def child(
    served: Served, folder: pathlib.Path, script: str = CHILD, *, stdin: int | None = None
) -> subprocess.Popen[str]:
    here = os.path.dirname(__file__)  # noqa: PTH120
    command = [sys.executable, "-c", script, here, served.url, served.key, str(folder)]
    return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_killed_three_times_it_asks_for_what_is_not_stored_and_ends_with_the_same_frame(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(7)
    with clinic(tmp_path, clients=400, latency_ms=(100, 140)) as (practice, served, clock):
        undisturbed = connected(served, tmp_path / "other", clock).load("appointments", **SPAN)
        for _ in range(3):
            before, last = pages(served), chance.randrange(20, 36)
            running = child(served, tmp_path)
            while pages(served) - before < last and running.poll() is None:
                time.sleep(0.005)
            running.send_signal(signal.SIGKILL)
            running.communicate()
            time.sleep(0.3)  # what the killed one asked for last is answered, and counted, by then
        gaps = (
            practice._cabinet.store(query.read("appointments"), {}).draft().manifest.missing(Window(*BOUNDS.values()))
        )
        times = undisturbed.get_column("starts_at")
        missing = sum(int(times.is_between(gap.start, gap.end, closed="left").sum()) for gap in gaps)
        assert missing < times.len()
        monkeypatch.setattr("healthie_nb.flight.WORTH_A_SPLIT", math.inf)  # each cut would cost up to a page
        before = pages(served)
        assert practice.load("appointments", **SPAN).equals(undisturbed)
        assert pages(served) - before <= missing / 100 + 2 * (len(gaps) + 4) + 4
        assert not list((tmp_path / "cache").rglob("appointments*/.*")), "drafts of the killed are swept"


FULL = (
    CHILD.partition("print(")[0]
    + """
import resource, signal
from healthie_nb.shelves import StoreError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))  # some pages fit, a batch does not
try:
    practice.load("appointments", start="2023-01-01", end="2026-12-31")
except StoreError as error:
    print(error, flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
sys.stdin.readline()
print(practice.load("appointments", start="2023-01-01", end="2026-12-31").height, flush=True)
"""
)


def test_a_disk_that_is_full_ends_a_pull_that_goes_on_once_there_is_room(tmp_path: pathlib.Path) -> None:
    with clinic(tmp_path, clients=400, latency_ms=(20, 30)) as (practice, served, clock):
        connected(served, tmp_path / "other", clock).load("appointments", **SPAN)
        needed, rows = pages(served), truth(served.world).height
        with child(served, tmp_path, FULL, stdin=subprocess.PIPE) as running:
            assert running.stdout
            said = running.stdout.readline()
            assert "What was stored before is whole. Make room there (healthie-nb cache purge)" in said, said
            stored = practice._cabinet.store(query.read("appointments"), {}).draft().manifest.rows
            before = pages(served)
            out, errors = running.communicate("there is room\n", timeout=60)
        assert (out.split(), "Traceback" in errors) == ([str(rows)], False), errors
        assert stored > 0
        assert pages(served) - before <= needed - stored / 100 + 10
        assert loaded(practice, offline=True).equals(truth(served.world))


def test_two_processes_that_load_the_same_pull_it_once(tmp_path: pathlib.Path) -> None:
    with clinic(tmp_path, latency_ms=(20, 30)) as (_, served, clock):
        connected(served, tmp_path / "other", clock).load("appointments", **SPAN)
        once = served.application.counters.operations["appointments"]
        served.application.reset_counters()
        both = [child(served, tmp_path) for _ in range(2)]
        said = [running.communicate(timeout=60) for running in both]
        assert [out.split() for out, _ in said] == [["ready", str(truth(served.world).height)]] * 2, said
        assert served.application.counters.operations["appointments"] <= once + 6


def test_several_queries_are_loaded_at_once_by_one_practice(tmp_path: pathlib.Path) -> None:
    names = ("appointments", "clients", "form_requests", "filled_forms", "providers")
    with clinic(tmp_path, latency_ms=(20, 30)) as (practice, served, _), ThreadPoolExecutor(len(names)) as at_once:
        found = dict(zip(names, at_once.map(lambda name: loaded(practice, name), names), strict=True))
        for name, rows in found.items():
            assert rows.equals(truth(served.world, name)), name
        assert [each.query for each in practice.loaded] == sorted(names)


def flipped(parts: list[pathlib.Path]) -> None:
    chance = random.Random(5)
    for path in parts:
        whole = bytearray(path.read_bytes())
        whole[chance.randrange(20, len(whole) // 2)] ^= 4
        path.write_bytes(whole)


def cut_off(parts: list[pathlib.Path]) -> None:
    for path in parts:
        path.write_bytes(path.read_bytes()[:-40])


def swapped(parts: list[pathlib.Path]) -> None:
    held = [path.read_bytes() for path in parts]
    for path, other in zip(parts, [*held[1:], held[0]], strict=True):
        path.write_bytes(other)


def removed(parts: list[pathlib.Path]) -> None:
    for path in parts:
        path.unlink()


@pytest.mark.usefixtures("without_waiting")
@pytest.mark.parametrize("damage", ["cut off", "missing", "swapped", "another key"])
def test_a_scan_of_damaged_parts_asks_for_them_again(tmp_path: pathlib.Path, damage: str) -> None:
    names = ("clients", "providers")
    with clinic(tmp_path) as (first, served, clock):
        for name in names:
            loaded(first, name)
        one, two = (next((tmp_path / "cache").rglob(f"{name}-*/whole-*")) for name in names)
        of_one, of_two = one.read_bytes(), two.read_bytes()
        if damage == "cut off":
            one.write_bytes(of_one[:-9])
        if damage == "missing":
            one.unlink()
        if damage == "swapped":
            one.write_bytes(of_two), two.write_bytes(of_one)
        cache_key = "b" * 64 if damage == "another key" else None
        practice = Practice(dataclasses.replace(first._settings, cache_key=cache_key), clock=clock)
        for name in names:
            rows = practice.scan(name).collect()
            assert plain(rows.select(COLUMNS[name].values())).equals(truth(served.world, name)), name


@pytest.mark.usefixtures("without_waiting")
def test_a_damaged_part_is_asked_for_again_and_nothing_else(tmp_path: pathlib.Path) -> None:
    spans = [{"start": f"{year}-02-01", "end": f"{year}-04-30"} for year in (2024, 2025)]
    asked = [("appointments", spans[0]), ("appointments", spans[1]), ("clients", {}), ("form_requests", {})]
    with clinic(tmp_path, clients=60) as (practice, served, _):
        before = pages(served)
        rows = [practice.load(name, **span) for name, span in asked]
        once = pages(served) - before
        for damage in (flipped, cut_off, swapped, removed):
            damage(sorted((tmp_path / "cache").rglob("*.parquet")))
            before = pages(served)
            for (name, span), known in zip(asked, rows, strict=True):
                assert practice.load(name, **span).equals(known), (damage, name)
            assert 0 < pages(served) - before <= once + 4, damage
        assert loaded(practice).equals(truth(served.world))


def test_parts_of_another_key_are_asked_for_again(tmp_path: pathlib.Path) -> None:
    with clinic(tmp_path, clients=60) as (first, served, clock):
        asked = []
        for number, key in enumerate(("a", "a", "b")):
            folder = tmp_path / key  # of the ledger, which another key does not open
            practice = Practice(
                dataclasses.replace(first._settings, cache_key=key * 64, data_dir=folder, max_rps=1e5), clock=clock
            )
            before = pages(served)
            for name in ("appointments", "clients"):
                assert loaded(practice, name).equals(truth(served.world, name)), (number, name)
            asked.append(pages(served) - before)
        assert asked[1] == 0
        assert 0 < asked[2] <= asked[0] + 4
