"""What is loaded equals the practice at that moment: after edits, while edits go on, after kills and failures."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import pathlib
import random
import shutil
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
import stamina
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from truths import AT_ONCE, SPAN, behave, clinic, connected, loaded, pages, truth

from healthie_nb import query
from healthie_nb.demo import edits
from healthie_nb.manifest import WINDOW
from healthie_nb.shelves import Folder, StoreError, StoreWarning
from healthie_nb.upkeep import IncompleteWarning, MergedWarning

if TYPE_CHECKING:
    from healthie_nb.practice import Practice
    from healthie_nb.store import Store

ALL = ("appointments", "clients", "filled_forms", "providers", "form_requests")
MOVED_TO = datetime(2025, 2, 3, 15, tzinfo=UTC)
pytestmark = pytest.mark.usefixtures("without_waiting")


def some(world: Any, number: int = 0) -> str:
    """Return the id of a visit with one client and a date."""
    listed = world.appointments.filter(
        pl.col("deleted_at").is_null(), ~pl.col("is_block"), ~pl.col("is_synced"), pl.col("client_id").is_not_null()
    ).filter(pl.col("starts_at").is_between(datetime(2024, 1, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)))
    return str(listed.sort("number").item(number % listed.height, "id"))


def small_pages(monkeypatch: pytest.MonkeyPatch, **sizes: int) -> None:
    """Ask for few rows at a time, so that there is much paging."""
    read = query.read
    monkeypatch.setattr(query, "read", lambda name: dataclasses.replace(read(name), page_size=sizes.get(name, 100)))


def booked(world: Any, _: random.Random) -> str:
    """Book one more visit of a client, in the place of a random edit."""
    row = world.appointments.filter(pl.col("id") == some(world)).row(0, named=True)
    same = {name: row[name] for name in ("client_id", "provider_id", "type_id", "starts_at")}
    return edits.insert_appointment(world, **same)


def stored(practice: Practice, name: str = "appointments") -> Store:
    return practice._cabinet.store(query.read(name), {})


def test_each_kind_of_edit_is_seen_by_the_next_refresh(tmp_path: pathlib.Path) -> None:
    with clinic(tmp_path) as (practice, served, clock):
        world = served.world
        for name in ALL:
            assert loaded(practice, name).equals(truth(world, name)), name
        gone = some(world)
        edits.delete_appointment(world, gone)
        edits.move_appointment(world, some(world, 5), starts_at=datetime(2026, 8, 1, 15, tzinfo=UTC))
        edits.move_appointment(world, some(world, 9), starts_at=datetime(2031, 1, 1, 15, tzinfo=UTC))  # out of reach
        edits.set_status(world, some(world, 20), status="No-Show")
        edits.set_status(world, some(world, 21), status=None)
        row = world.appointments.filter(pl.col("id") == some(world, 30)).row(0, named=True)
        same = {name: row[name] for name in ("client_id", "provider_id", "type_id")}
        edits.insert_appointment(world, starts_at=datetime(2025, 5, 5, 15, tzinfo=UTC), **same)
        edits.rename_provider(world, world.providers.item(0, "id"), name="Somebody Else")
        edits.archive_client(world, row["client_id"])
        edits.complete_form(world, world.form_requests.filter(pl.col("completed_at").is_null()).item(0, "id"))
        clock.pass_(days=2)
        for name in ALL:
            assert loaded(practice, name).equals(truth(world, name)), name
        tombstones = practice.load("appointments", deleted=True, **SPAN)
        assert tombstones.get_column("id").to_list() == [gone]
        assert tombstones.get_column("deleted_seen_at").to_list() == [clock()]


def test_a_merged_client_vanishes_and_what_was_theirs_is_the_others(tmp_path: pathlib.Path) -> None:
    with clinic(tmp_path) as (practice, served, clock):
        before, _ = loaded(practice), loaded(practice, "clients")
        assert practice.merged().is_empty()
        one, two = truth(served.world).drop_nulls("client_id").get_column("client_id").unique().sort().head(2)
        edits.merge_clients(served.world, one, into=two)
        clock.pass_(days=2)
        assert loaded(practice).equals(truth(served.world))
        with pytest.warns(MergedWarning, match=r"merged into others: 1; practice\.merged\(\) lists"):
            assert loaded(practice, "clients").equals(truth(served.world, "clients"))
        seen_at = clock()
        clock.pass_(days=2)
        assert loaded(practice, "clients").equals(truth(served.world, "clients"))  # it is said once
        assert practice.load("clients", deleted=True).get_column("id").to_list() == [one]
        theirs = before.filter(pl.col("client_id") == one).height
        assert practice.merged().rows() == [(one, two, "appointments", theirs, seen_at)]
        assert practice.load("appointments", deleted=True, **SPAN).is_empty()


def test_what_told_of_merged_clients_is_left_out_and_forgotten_once_it_is_damaged(tmp_path: pathlib.Path) -> None:
    with clinic(tmp_path) as (practice, served, clock):
        loaded(practice), loaded(practice, "clients")
        one, two, three = truth(served.world).drop_nulls("client_id").get_column("client_id").unique().sort().head(3)
        edits.merge_clients(served.world, one, into=two)
        clock.pass_(days=2)
        with pytest.warns(MergedWarning):
            loaded(practice), loaded(practice, "clients")
        (moved,) = (tmp_path / "cache").rglob("moved-*.parquet")
        moved.write_bytes(moved.read_bytes()[:100])
        for _ in range(2):
            with pytest.warns(StoreWarning, match="appointments tells of merged clients, and cannot all be read"):
                assert practice.merged().is_empty()
        edits.set_status(served.world, some(served.world), status="No-Show")
        clock.pass_(days=2)
        with pytest.warns(StoreWarning, match="cannot all be read"), pytest.warns(StoreWarning, match="is forgotten"):
            assert loaded(practice).equals(truth(served.world))
        assert practice.merged().is_empty()
        edits.merge_clients(served.world, three, into=two)
        clock.pass_(days=2)
        with pytest.warns(MergedWarning):
            loaded(practice), loaded(practice, "clients")
        assert practice.merged().get_column("client_id").to_list() == [three]


def test_a_refresh_asks_for_what_changed_and_little_more(tmp_path: pathlib.Path) -> None:
    with clinic(tmp_path, clients=400) as (practice, served, clock):
        loaded(practice)
        for number in range(150):
            edits.set_status(served.world, some(served.world, number * 7), status="Occurred")
        clock.pass_(days=2)
        before = pages(served)
        assert loaded(practice).equals(truth(served.world))
        assert pages(served) - before <= 2 + 2 + 12  # the changes, twice; recent days and counts


def test_the_server_counts_a_vanished_row_even_where_one_came(tmp_path: pathlib.Path) -> None:
    with clinic(tmp_path) as (practice, served, clock):
        loaded(practice)
        for number in (3, 40, 77):
            row = served.world.appointments.filter(pl.col("id") == some(served.world, number)).row(0, named=True)
            edits.delete_appointment(served.world, row["id"])
            same = {name: row[name] for name in ("client_id", "provider_id", "type_id", "starts_at")}
            edits.insert_appointment(served.world, **same)
        clock.pass_(days=2)
        assert loaded(practice).equals(truth(served.world))


@pytest.mark.parametrize(("every", "seed"), [(1, 1), (2, 2), (5, 3)])
def test_edits_while_paging_leave_nothing_behind(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, every: int, seed: int
) -> None:
    """An arrival can hide a departure from every count; what is loaded after the last edit is exact."""
    monkeypatch.setattr("healthie_nb.flight.KEPT_PAGES", 3)
    small_pages(monkeypatch, appointments=60, filled_forms=40, form_requests=40, clients=8, providers=5)
    with clinic(tmp_path, clients=30, fault_seed=seed) as (practice, served, clock), warnings.catch_warnings():
        warnings.simplefilter("ignore", IncompleteWarning)
        warnings.simplefilter("ignore", MergedWarning)
        for _ in range(2):
            behave(served, edit_every=every)
            for name in ALL:
                loaded(practice, name, max_age=AT_ONCE)
            behave(served, edit_every=None)
            clock.pass_(days=2)
            for name in ALL:
                assert loaded(practice, name).equals(truth(served.world, name)), name
            clock.pass_(days=2)


def test_a_client_who_comes_while_another_goes_hides_none_whenever_they_do(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two pages of a list without a window: who moved past the cursor is in no page and in all counts."""
    small_pages(monkeypatch, clients=5)
    left = [0]

    def swapped(world: Any, _: random.Random) -> None:
        left[0] -= 1
        if left[0] == 0:
            gone, into = world.clients.sort("number").get_column("id").head(2)
            edits.merge_clients(world, gone, into=into)
            edits.insert_client(world, like=into)

    monkeypatch.setattr("healthie_nb.demo.practice.random_edit", swapped)
    with clinic(tmp_path, clients=20, edit_every=1) as (_, served, clock):
        for page in range(1, 9):
            practice, left[0] = connected(served, tmp_path / str(page), clock), page
            loaded(practice, "clients")
            assert left[0] <= 0
            clock.pass_(days=2)
            assert loaded(practice, "clients").equals(truth(served.world, "clients")), page


def test_edits_that_end_before_the_pull_does_are_in_and_nothing_is_said(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = list(range(10))

    def edit(world: Any, chance: random.Random) -> None:
        if left:
            left.pop()
            edits.random_edit(world, chance)

    monkeypatch.setattr("healthie_nb.demo.practice.random_edit", edit)
    with clinic(tmp_path, edit_every=2) as (practice, served, _):
        assert loaded(practice).equals(truth(served.world))  # an IncompleteWarning would be an error
        assert not left
        assert stored(practice).manifest.loaded_at is not None


def test_what_never_held_still_is_told_and_asked_for_again_at_once(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("healthie_nb.demo.practice.random_edit", booked)
    with clinic(tmp_path) as (practice, served, _):
        behave(served, edit_every=1)
        with pytest.warns(IncompleteWarning, match=r"appointments: .* did not hold still while pulled"):
            loaded(practice)
        behave(served, edit_every=None)
        assert stored(practice).manifest.loaded_at is None
        assert loaded(practice).equals(truth(served.world))  # the clock has not moved


def test_what_has_no_times_and_never_holds_still_is_told_too(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def renamed(world: Any, _: random.Random) -> None:
        form = pl.when(pl.int_range(pl.len()) == 0).then(pl.lit(str(world.tick()))).otherwise("form_id")
        world.replace("form_requests", world.form_requests.with_columns(form_id=form))

    monkeypatch.setattr("healthie_nb.demo.practice.random_edit", renamed)
    with clinic(tmp_path, clients=20) as (practice, served, _):
        behave(served, edit_every=1)
        with pytest.warns(IncompleteWarning, match="form_requests: all rows did not hold still"):
            loaded(practice, "form_requests")
        behave(served, edit_every=None)
        assert loaded(practice, "form_requests").equals(truth(served.world, "form_requests"))


def test_rows_that_the_key_may_not_see_are_counted_and_not_pulled_again_and_again(tmp_path: pathlib.Path) -> None:
    with clinic(tmp_path, null_every=7) as (practice, served, clock):
        for name in ("appointments", "clients", "form_requests"):
            assert loaded(practice, name).equals(truth(served.world, name, null_every=7)), name
        clock.pass_(days=2)
        before = pages(served)
        assert loaded(practice).equals(truth(served.world, null_every=7))
        assert pages(served) - before < 60
        seen = [int(some(served.world, number)) for number in range(300)]
        gone = [str(number) for number in seen if number % 7][:3]
        for id_ in gone:
            edits.delete_appointment(served.world, id_)
        clock.pass_(days=2)
        assert loaded(practice).equals(truth(served.world, null_every=7))
        assert practice.load("appointments", deleted=True, **SPAN).get_column("id").sort().to_list() == sorted(gone)


def test_all_is_pulled_afresh_once_it_is_old_because_a_change_may_leave_no_trace(tmp_path: pathlib.Path) -> None:
    with clinic(tmp_path) as (practice, served, clock):
        loaded(practice)
        id_ = some(served.world)
        silent = pl.when(pl.col("id") == id_).then(pl.lit(77)).otherwise("minutes").alias("minutes")
        served.world.replace("appointments", served.world.appointments.with_columns(silent))
        clock.pass_(days=29)
        assert not loaded(practice).equals(truth(served.world))
        clock.pass_(days=2)
        assert loaded(practice).equals(truth(served.world))
        assert stored(practice).manifest.verified_at == clock() - timedelta(days=2)  # the recent days, two days ago


def test_how_long_rows_go_unverified_is_the_callers_to_say(tmp_path: pathlib.Path) -> None:
    with clinic(tmp_path) as (practice, served, clock):
        loaded(practice)
        silent = pl.when(pl.col("id") == some(served.world)).then(pl.lit(77)).otherwise("minutes").alias("minutes")
        served.world.replace("appointments", served.world.appointments.with_columns(silent))
        age = timedelta(days=5)
        clock.pass_(days=4)
        assert not loaded(practice, verify_age=age).equals(truth(served.world))
        clock.pass_(hours=23)  # within a day of the last load, and of five of the first
        before = pages(served)
        loaded(practice, verify_age=age)
        assert pages(served) == before
        clock.pass_(minutes=61)
        assert loaded(practice, verify_age=age, max_age=timedelta(days=300)).equals(truth(served.world))
        before = pages(served)
        assert loaded(practice, verify_age=age).equals(truth(served.world))
        assert pages(served) == before
        rows = practice.scan("appointments", verify_age=timedelta(0), **SPAN).collect()
        assert rows.height == truth(served.world).height
        assert pages(served) > before


def changed(world: Any, id_: str, **values: Any) -> None:
    """Change a visit and nothing else of it, not even updated_at."""
    new = [
        pl.when(pl.col("id") == id_).then(pl.lit(value)).otherwise(name).alias(name) for name, value in values.items()
    ]
    world.replace("appointments", world.appointments.with_columns(new))


def test_recent_days_are_pulled_again_each_time_because_a_change_may_leave_no_trace(tmp_path: pathlib.Path) -> None:
    with clinic(tmp_path) as (practice, served, clock):
        loaded(practice)
        visits = truth(served.world)
        for days in (1, 3, 9):
            off = (visits.get_column("starts_at") - (clock() - timedelta(days=days))).abs()
            changed(served.world, visits.item(off.arg_min(), "id"), minutes=70 + days)
        clock.pass_(days=2)
        rows = loaded(practice)
        assert rows.equals(truth(served.world))
        assert rows.filter(pl.col("minutes").is_in([71, 73, 79])).height == 3


def test_a_change_that_is_committed_late_with_an_earlier_time_is_seen(tmp_path: pathlib.Path) -> None:
    """No count tells of it, and it is not of the recent days."""
    with clinic(tmp_path) as (practice, served, clock):
        loaded(practice)
        watermark = stored(practice).manifest.watermark
        assert watermark
        changed(served.world, some(served.world), status="No-Show", updated_at=watermark - timedelta(minutes=4))
        clock.pass_(days=2)
        assert loaded(practice).equals(truth(served.world))


def test_what_vanished_is_found_by_halving(tmp_path: pathlib.Path) -> None:
    with clinic(tmp_path, clients=400) as (practice, served, clock):
        height = loaded(practice).height
        cost = {}
        for what in ("nothing", "one"):
            if what == "one":
                edits.delete_appointment(served.world, some(served.world))
            clock.pass_(days=2)
            before = pages(served)
            assert loaded(practice).equals(truth(served.world))
            cost[what] = pages(served) - before
        assert cost["one"] - cost["nothing"] <= 2 * math.log2(height / 100) + 4


def test_a_clock_that_is_set_back_loses_nothing(tmp_path: pathlib.Path) -> None:
    with clinic(tmp_path) as (practice, served, clock):
        loaded(practice)
        edits.delete_appointment(served.world, some(served.world))
        clock.pass_(hours=-3)
        assert loaded(practice).equals(truth(served.world))
        edits.delete_appointment(served.world, some(served.world))
        clock.pass_(days=-900)
        assert loaded(practice).equals(truth(served.world))
        assert stored(practice).manifest.verified_at == clock()


def test_a_reader_is_not_held_up_by_a_refresh_and_sees_all_of_it_or_nothing(tmp_path: pathlib.Path) -> None:
    """Rows that move from window to window while these are pulled in turn are never in both, nor in neither."""
    with clinic(tmp_path, clients=400) as (practice, served, clock), ThreadPoolExecutor(1) as another:
        before, world = loaded(practice), served.world
        moved = pl.when(pl.col("number") % 3 == 0).then(pl.col("starts_at").dt.offset_by("-200d"))
        silently = moved.otherwise("starts_at").alias("starts_at")
        world.replace("appointments", world.appointments.with_columns(silently))
        for number in range(150):
            edits.move_appointment(world, some(world, number * 7), starts_at=MOVED_TO)
        after = truth(world)
        clock.pass_(days=31)
        behave(served, latency_ms=(100, 120))
        refresh = another.submit(lambda: loaded(connected(served, tmp_path, clock)))
        asked, reads = pages(served), 0
        while not refresh.done():
            seen = loaded(practice, offline=True)
            assert seen.equals(before) or seen.equals(after)
            reads += pages(served) > asked
        assert reads >= 3
        assert refresh.result().equals(after)
        assert loaded(practice).equals(after)


def test_rows_that_did_not_hold_still_are_asked_for_again_however_young(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with clinic(tmp_path) as (practice, served, clock):
        loaded(practice)
        monkeypatch.setattr("healthie_nb.demo.practice.random_edit", booked)
        behave(served, edit_every=1)
        clock.pass_(hours=2)
        with pytest.warns(IncompleteWarning):
            loaded(practice, max_age=timedelta(hours=1))
        behave(served, edit_every=None)
        booked(served.world, random.Random(1))
        assert loaded(practice).equals(truth(served.world))  # although the first load was less than a day ago


def test_small_parts_become_few(tmp_path: pathlib.Path) -> None:
    with clinic(tmp_path, clients=400, latency_ms=(5, 10)) as (practice, served, clock):
        loaded(practice)
        assert len(stored(practice).manifest.of(WINDOW)) == 1
        clock.pass_(days=2)
        assert loaded(practice).equals(truth(served.world))
        assert len(stored(practice).manifest.of(WINDOW)) == 1


def test_dates_apart_are_stored_apart_and_each_is_refreshed(tmp_path: pathlib.Path) -> None:
    with clinic(tmp_path) as (practice, served, clock):
        practice.load("appointments", start="2024-01-01", end="2024-03-31")
        practice.load("appointments", start="2025-01-01", end="2025-03-31")
        assert len(stored(practice).manifest.of(WINDOW)) == 2
        edits.move_appointment(served.world, some(served.world, 1), starts_at=datetime(2025, 2, 3, 15, tzinfo=UTC))
        edits.delete_appointment(served.world, some(served.world, 2))
        clock.pass_(days=2)
        for year in (2024, 2025):
            rows = practice.load("appointments", start=f"{year}-01-01", end=f"{year}-03-31")
            expected = truth(served.world).filter(
                pl.col("starts_at") >= pl.datetime(year, 1, 1, 5, time_zone="UTC"),
                pl.col("starts_at") < pl.datetime(year, 4, 1, 4, time_zone="UTC"),
            )
            assert rows.get_column("id").sort().to_list() == expected.get_column("id").to_list()


class Killed(BaseException):
    """What a kill looks like from inside: nothing is cleaned up after it."""


class Crowd(RuleBasedStateMachine):
    """Loads, edits, refreshes, kills and faults in any order; what a load returns is what the practice has."""

    @initialize(seed=st.integers(0, 1_000))
    def open(self, seed: int) -> None:
        self.stack = contextlib.ExitStack()
        self.stack.enter_context(stamina.set_testing(True, attempts=200))
        self.stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", MergedWarning)
        warnings.simplefilter("ignore", StoreWarning)
        self.stack.enter_context(pytest.MonkeyPatch.context()).setattr("healthie_nb.flight.KEPT_PAGES", 3)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="healthie-nb-crowd-"))
        self.practice, self.served, self.clock = self.stack.enter_context(
            clinic(self.folder, clients=60, fault_seed=seed)
        )
        self.chance = random.Random(seed)
        self.known: set[str] = set()
        self.gone: set[str] = set()

    def teardown(self) -> None:
        if hasattr(self, "stack"):
            self.stack.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    @rule(times=st.integers(1, 5))
    def edit(self, times: int) -> None:
        for _ in range(times):
            edits.random_edit(self.served.world, self.chance)

    @rule()
    def merge_or_archive(self) -> None:
        one, two = self.chance.sample(self.served.world.clients.get_column("id").to_list(), 2)
        if self.chance.random() < 0.5:
            edits.merge_clients(self.served.world, one, into=two)
        else:
            edits.archive_client(self.served.world, one)

    @rule(days=st.sampled_from([0.1, 2, 40, -1]))
    def let_time_pass(self, days: float) -> None:
        self.clock.pass_(days=days)

    @rule(
        kinds=st.sets(
            st.sampled_from(["429", "503", "reset", "midbody", "truncated", "nonjson", "partial"]), max_size=2
        )
    )
    def disturb(self, kinds: set[str]) -> None:
        behave(self.served, faults=dict.fromkeys(kinds, 0.2 / max(1, len(kinds))))

    @rule()
    def load_deleted(self) -> None:
        """What was loaded once and was deleted since is a tombstone, and nothing else is."""
        self.clock.pass_(minutes=1)
        now = set(self.practice.load("appointments", max_age=timedelta(0), **SPAN).get_column("id"))
        deleted = set(self.served.world.appointments.filter(pl.col("deleted_at").is_not_null()).get_column("id"))
        self.gone |= (self.known & deleted) - now
        self.known = now
        found = set(self.practice.load("appointments", deleted=True, **SPAN).get_column("id"))
        assert self.gone <= found <= deleted

    @rule(name=st.sampled_from(["appointments", "clients", "form_requests", "filled_forms"]))
    def load(self, name: str) -> None:
        self.clock.pass_(minutes=1)
        assert loaded(self.practice, name, max_age=timedelta(0)).equals(truth(self.served.world, name))

    @rule(start=st.integers(0, 35), months=st.integers(1, 12))
    def load_window(self, start: int, months: int) -> None:
        self.clock.pass_(minutes=1)
        begin = datetime(2023, 7, 1, tzinfo=UTC) + timedelta(days=30 * start)
        window = {"start": begin, "end": begin + timedelta(days=30 * months)}
        rows = self.practice.load("appointments", max_age=timedelta(0), **window)
        expected = truth(self.served.world).filter(
            pl.col("starts_at") >= window["start"], pl.col("starts_at") < window["end"]
        )
        assert rows.get_column("id").sort().to_list() == expected.get_column("id").to_list()
        assert rows.sort("id").get_column("status").to_list() == expected.get_column("status").to_list()

    @rule(every=st.sampled_from([1, 3, 8]))
    def load_while_others_edit(self, every: int) -> None:
        self.clock.pass_(minutes=1)
        behave(self.served, edit_every=every)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", IncompleteWarning)
            self.practice.load("appointments", max_age=timedelta(0), **SPAN)
        behave(self.served, edit_every=None)

    @rule(writes=st.integers(0, 12), whole=st.booleans())
    def kill(self, *, writes: int, whole: bool) -> None:
        """Let a load die after so many writes, before or after the one that would have been next took effect."""
        self.clock.pass_(minutes=1)
        left = writes

        def deadly(write: Any) -> Any:
            def wrapped(*given: Any) -> Any:
                nonlocal left
                left -= 1
                if left < 0:
                    raise Killed
                done = write(*given)
                if left == 0 and whole:
                    left = -1
                    raise Killed
                return done

            return wrapped

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Folder, "put", deadly(Folder.put))
            patch.setattr(Folder, "put_manifest", deadly(Folder.put_manifest))
            patch.setattr(Folder, "publish", deadly(Folder.publish))
            before = self.shown()
            with contextlib.suppress(Killed, BaseExceptionGroup):
                self.practice.load("appointments", max_age=timedelta(0), **SPAN)
        self.practice = connected(self.served, self.folder, self.clock)
        after = self.shown()
        if before is not None:
            assert after is not None
        assert after is None or (before is not None and after.equals(before)) or after.equals(truth(self.served.world))

    def shown(self) -> pl.DataFrame | None:
        """Return what a reader is shown who asks nothing; None where not all of it is stored."""
        with contextlib.suppress(StoreError):
            return loaded(self.practice, offline=True)
        return None

    @rule()
    def damage(self) -> None:
        parts = sorted((self.folder / "cache").rglob("*.parquet"))
        if parts:
            path = self.chance.choice(parts)
            path.write_bytes(path.read_bytes()[: self.chance.randrange(200)])
            self.known, self.gone = set(), set()  # what it held is not known any more

    @invariant()
    def parts_never_overlap(self) -> None:
        if not hasattr(self, "practice"):
            return
        store = stored(self.practice)
        for manifest in (store.manifest, store.draft().manifest):
            windows = [part.window for part in manifest.of(WINDOW) if part.window]
            assert all(early.end <= late.start for early, late in pairwise(windows))


examples, steps = (300, 40) if "NIGHTLY" in os.environ else (8, 14)
Crowd.TestCase.settings = settings(
    max_examples=examples,
    stateful_step_count=steps,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
TestCrowd = Crowd.TestCase
