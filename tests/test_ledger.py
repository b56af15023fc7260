"""The ledger only grows, outlives the cache, and never starts over."""

from __future__ import annotations

import json
import os
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import keyring.backends.fail
import polars as pl
import pytest

from healthie_nb import access
from healthie_nb.access import AccessLogError
from healthie_nb.cli import main
from healthie_nb.connection import Connection
from healthie_nb.ledger import Ledger, LedgerError
from healthie_nb.shelves import StoreError, StoreWarning

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable

    from conftest import Clock

    from healthie_nb.demo import Served
    from healthie_nb.practice import Practice

KEY = bytes(32)
DAY = datetime(2026, 7, 1, 12, tzinfo=UTC)


def requests(*rows: tuple[str, str, bool]) -> pl.DataFrame:
    found = [{"id": i, "status": s, "date_to_show": DAY, "filled_form_is_finished": f} for i, s, f in rows]
    return pl.DataFrame(found).with_columns(pl.col("date_to_show").dt.cast_time_unit("us"))


def test_only_what_changed_is_appended_and_counts_each_time(tmp_path: pathlib.Path) -> None:
    ledger = Ledger(tmp_path, KEY)
    ledger.record(requests(("1", "Open", False), ("2", "Open", False)), seen_at=DAY)
    ledger.record(requests(("1", "Open", False), ("2", "Open", True)), seen_at=DAY.replace(day=2))
    seen = ledger.seen()
    assert seen.select("id", "is_finished").rows() == [("1", False), ("2", False), ("2", True)]
    assert seen.get_column("seen_at").dt.day().to_list() == [1, 1, 2]
    assert ledger.counts().select("status", "requests").rows() == [("Open", 2), ("Open", 2)]


@pytest.mark.parametrize("back", [timedelta(hours=3), timedelta(days=400)])
def test_a_clock_that_is_set_back_does_not_write_a_change_again_and_again(
    tmp_path: pathlib.Path, back: timedelta
) -> None:
    ledger, done = Ledger(tmp_path, KEY), requests(("1", "Open", True))
    ledger.record(requests(("1", "Open", False)), seen_at=DAY)
    for minutes in range(3):
        ledger.record(done, seen_at=DAY - back + timedelta(minutes=minutes))
    assert ledger.seen().select("is_finished", "seen_at").rows() == [(False, DAY), (True, DAY - back)]
    assert ledger.counts().height == 4
    ledger.record(requests(("1", "Open", False)), seen_at=DAY + timedelta(days=1))
    assert ledger.seen().get_column("is_finished").to_list() == [False, True, False]


def test_what_cannot_be_read_stops_it_and_nothing_is_added(tmp_path: pathlib.Path) -> None:
    Ledger(tmp_path, KEY).record(requests(("1", "Open", False)), seen_at=DAY)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(LedgerError, match="cannot be read, so nothing was added"):
        Ledger(tmp_path, bytes(31) + b"1").record(requests(("1", "Open", True)), seen_at=DAY.replace(day=2))
    (before[0]).write_bytes(before[0].read_bytes()[:-20])
    with pytest.raises(LedgerError, match="bring the file back from a backup"):
        Ledger(tmp_path, KEY).record(requests(("1", "Open", True)), seen_at=DAY.replace(day=2))
    assert sorted(tmp_path.iterdir()) == before


def test_one_flipped_bit_anywhere_stops_it_or_changes_nothing(tmp_path: pathlib.Path) -> None:
    ledger = Ledger(tmp_path, KEY)
    ledger.record(requests(*((str(number), "Open", False) for number in range(50))), seen_at=DAY)
    seen, path, chance, found = ledger.seen(), next(tmp_path.glob("seen-*")), random.Random(1), 0
    whole = path.read_bytes()
    for at in [*range(8), *(chance.randrange(len(whole)) for _ in range(300))]:
        flipped = bytearray(whole)
        flipped[at] ^= 1 << chance.randrange(8)
        path.write_bytes(flipped)
        try:
            rows = ledger.seen()
        except LedgerError as error:
            found += error.__context__ is None
        else:
            assert rows.equals(seen)
    assert found > 200


def test_what_polars_panics_at_is_an_unreadable_ledger(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def panics(*_: object) -> None:
        raise pl.exceptions.PanicException("index out of bounds")

    Ledger(tmp_path, KEY).record(requests(("1", "Open", False)), seen_at=DAY)
    monkeypatch.setattr("healthie_nb.shelves.Folder.scan", panics)
    with pytest.raises(LedgerError, match="cannot be read"):
        Ledger(tmp_path, KEY).seen()


def test_a_folder_that_is_none_is_not_an_empty_ledger(tmp_path: pathlib.Path) -> None:
    (tmp_path / "ledger").write_text("in the way")
    ledger = Ledger(tmp_path / "ledger", KEY)
    for action in (ledger.seen, lambda: ledger.record(requests(("1", "Open", False)), seen_at=DAY)):
        with pytest.raises(LedgerError, match="cannot be read, so nothing was added"):
            action()
    nowhere = Ledger(tmp_path / "ledger" / "below", KEY)
    assert nowhere.seen().is_empty()
    with pytest.raises(LedgerError, match=r"cannot be written.* make room there"):
        nowhere.record(requests(("1", "Open", False)), seen_at=DAY)


def test_an_unreadable_ledger_stops_every_load_and_costs_no_request(
    tmp_path: pathlib.Path, practice: Practice, served: Served, clock: Clock
) -> None:
    rows = practice.load("form_requests")
    path = min((tmp_path / "data" / "ledger").rglob("seen-*"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    clock.pass_(days=2)
    before = served.application.practice.pages_served
    for _ in range(2):
        with pytest.raises(LedgerError, match="bring the file back from a backup"):
            practice.load("form_requests")
    assert served.application.practice.pages_served == before
    path.write_bytes(whole)
    assert practice.load("form_requests").equals(rows)
    assert practice.ledger.counts().get_column("seen_at").n_unique() == 2


def test_a_pull_whose_record_fails_is_not_up_to_date(practice: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise LedgerError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "record", full)
        for _ in range(2):
            with pytest.raises(LedgerError, match="the disk is full"):
                practice.load("form_requests")
    rows = practice.load("form_requests")
    assert sorted(practice.ledger.seen().get_column("id")) == sorted(rows.get_column("id"))


def test_a_renamed_organisation_keeps_its_ledger_and_its_store(
    practice: Practice, served: Served, practice_at: Callable[..., Practice], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = practice.load("form_requests")
    ask, name = Connection.owner, pl.lit("Another name").alias("organization_name")
    monkeypatch.setattr(Connection, "owner", lambda self: ask(self).with_columns(name))
    renamed, before = practice_at(served), served.application.practice.pages_served
    assert renamed.name == "Another name"
    assert renamed.load("form_requests").equals(rows)
    assert served.application.practice.pages_served == before
    assert renamed.ledger.seen().equals(practice.ledger.seen())
    assert renamed.ledger.seen().height == rows.height


def test_requests_of_one_client_are_recorded_but_are_not_the_days_counts(practice: Practice) -> None:
    client = practice.load("form_requests").item(0, "client_id")
    counts = practice.ledger.counts()
    practice.forget("form_requests")
    practice.load("form_requests", client_id=client)
    assert practice.ledger.counts().equals(counts)


def test_a_pull_of_form_requests_is_recorded_and_forget_leaves_it(practice: Practice, clock: Clock) -> None:
    rows = practice.load("form_requests")
    assert sorted(practice.ledger.seen().get_column("id")) == sorted(rows.get_column("id"))
    practice.forget("form_requests")
    clock.pass_(days=2)
    practice.load("form_requests")
    assert practice.ledger.seen().height == rows.height
    assert practice.ledger.counts().get_column("seen_at").n_unique() == 2


def test_what_is_kept_is_listed_and_forgotten(practice: Practice) -> None:
    practice.load("appointments", start="2026-01-01", end="2026-01-31")
    practice.load("clients")
    kept = practice.stored()
    assert kept.get_column("query").to_list() == ["appointments", "clients"]
    assert kept.row(0, named=True)["from"] == datetime(2026, 1, 1, 5, tzinfo=UTC)
    assert kept.row(0, named=True)["to"] == datetime(2026, 2, 1, 5, tzinfo=UTC)
    assert kept.get_column("rows").to_list() == [
        practice.load("appointments", start="2026-01-01", end="2026-01-31").height,
        practice.load("clients").height,
    ]
    assert (kept.get_column("bytes") > 0).all()
    practice.forget("clients")
    assert practice.stored().get_column("query").to_list() == ["appointments"]
    with pytest.raises(StoreError, match="nothing is stored of 'clients'; stored are: appointments"):
        practice.forget("clients")


def test_the_access_log_says_who_asked_for_what_without_values(
    tmp_path: pathlib.Path, practice: Practice, served: Served
) -> None:
    types = practice.load("appointment_types").get_column("id").to_list()
    practice.load("group_attendance", start="2026-01-01", end="2026-01-31", type_ids=types)
    practice.load("group_attendance", start="2026-01-01", end="2026-01-31", type_ids=types)
    path = tmp_path / "data" / "access.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["query"], line["source"]) for line in lines] == [
        ("appointment_types", "api"),
        ("group_attendance", "api"),
        ("group_attendance", "store"),
    ]
    assert lines[1]["from"].startswith("2026-01-01T05:00")
    assert set(lines[1]) == {"at", "user", "action", "query", "hash", "from", "to", "rows", "source"}
    assert path.stat().st_mode & 0o077 == 0
    assert served.key not in path.read_text()
    assert "type_ids" not in path.read_text()


def test_the_access_log_counts_the_rows_that_were_given_not_those_that_are_stored(
    tmp_path: pathlib.Path, practice: Practice
) -> None:
    year, january = {"start": "2025-01-01", "end": "2025-12-31"}, {"start": "2025-01-01", "end": "2025-01-31"}
    given = [practice.load("appointments", **year), practice.load("appointments", **january)]
    given.append(practice.scan("appointments", start="2025-01-10", end="2025-01-20").collect())
    given.append(practice.load("appointments", **year, deleted=True))
    given.append(practice.load("current_user"))
    lines = [json.loads(line) for line in (tmp_path / "data" / "access.jsonl").read_text().splitlines()]
    assert [line["rows"] for line in lines] == [rows.height for rows in given]
    assert [line["source"] for line in lines] == ["api", "store", "store", "store", "api"]
    assert given[0].height > given[1].height > given[2].height > given[3].height == 0
    assert (lines[-1]["action"], lines[-1]["query"], lines[-1]["rows"]) == ("load", "current_user", 1)


def test_without_a_line_in_the_access_log_no_rows_are_given(tmp_path: pathlib.Path, practice: Practice) -> None:
    path = tmp_path / "data" / "access.jsonl"
    path.mkdir(parents=True)
    for action in (practice.load, practice.scan):
        with pytest.raises(AccessLogError, match=r"access\.jsonl: .* it does not tell of this load"):
            action("providers")
    path.rmdir()
    assert practice.load("providers").height == 12


def test_half_a_line_in_the_access_log_is_none(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda _file, line: len(line) - 1)
        with pytest.raises(AccessLogError, match="only a part of the line could be written"):
            access.note(tmp_path, at=DAY, action="load")
    access.note(tmp_path, at=DAY, action="load")


def test_without_a_key_rows_are_kept_in_memory_and_one_warning_says_so(
    tmp_path: pathlib.Path, practice_at: Callable[..., Practice], served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("healthie_nb.settings.Settings.is_synthetic", property(lambda _self: False))
    monkeypatch.setattr("keyring.core._keyring_backend", keyring.backends.fail.Keyring())
    with pytest.warns(UserWarning, match="set HEALTHIE_CACHE_KEY to 64 hex digits|stops serving") as shown:
        practice = practice_at(served)
    assert sum("HEALTHIE_CACHE_KEY" in str(one.message) for one in shown) == 1
    rows = practice.load("providers")
    assert practice.load("providers").equals(rows)
    assert practice.stored().get_column("query").to_list() == ["providers"]
    assert "in memory only" in repr(practice)
    assert not list((tmp_path / "cache").rglob("*.parquet"))
    practice.load("form_requests")
    assert practice.ledger.seen().is_empty()
    assert practice.ledger.counts().is_empty()
    with pytest.raises(LedgerError, match="no key to keep a ledger with; set HEALTHIE_CACHE_KEY"):
        practice.ledger.record(requests(("1", "Open", False)), seen_at=DAY)


def test_the_command_lists_and_purges_what_is_kept(
    tmp_path: pathlib.Path, practice: Practice, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEALTHIE_CACHE_DIR", str(tmp_path / "cache"))
    practice.load("form_requests")
    practice.load("appointments", start="2026-01-01", end="2026-01-31")
    assert main(["cache", "ls"]) == 0
    assert "Demo practice (synthetic): appointments, " in capsys.readouterr().out
    assert main(["cache", "ls", "--json"]) == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["query"] for line in listed] == ["appointments", "form_requests"]
    monkeypatch.setattr("builtins.input", lambda _question: "n")
    assert main(["cache", "purge"]) == 1
    assert practice.stored().height == 2
    assert main(["cache", "purge", "--yes"]) == 0
    assert practice.stored().is_empty()
    assert practice.ledger.seen().height > 0


def test_where_no_folder_can_be_made_rows_are_kept_in_memory_and_one_warning_says_so(
    tmp_path: pathlib.Path, practice_at: Callable[..., Practice], served: Served
) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "store").write_text("in the way")
    practice = practice_at(served)
    with pytest.warns(StoreWarning, match="kept in memory only.*set HEALTHIE_CACHE_DIR") as shown:
        rows = practice.load("providers")
    assert len(shown) == 1
    before = served.application.practice.pages_served
    assert practice.load("providers").equals(rows)
    assert served.application.practice.pages_served == before
