"""From a name to a frame, over real HTTP: every row the key may see, once, and nothing asked for twice."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from conftest import Clock, answering

from healthie_nb import query
from healthie_nb.demo import Served, World, expected_ids, serving
from healthie_nb.demo import Settings as Behaviour
from healthie_nb.failures import ApiError, ConnectionFailedError
from healthie_nb.owner import OfflineWarning
from healthie_nb.practice import Practice, connect
from healthie_nb.query import QueryError
from healthie_nb.settings import SettingsError
from healthie_nb.shelves import StoreError
from healthie_nb.views import save

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable

ZONE = ZoneInfo("America/New_York")
SPAN = {"start": "2023-01-01", "end": "2026-12-31"}
INSTANTS = {
    "start": datetime(2023, 1, 1, tzinfo=ZONE).astimezone(UTC),
    "end": datetime(2027, 1, 1, tzinfo=ZONE).astimezone(UTC),
}


def variables(practice: Practice, name: str) -> dict[str, object]:
    if name == "group_attendance":
        types = practice.load("appointment_types").filter("is_group").get_column("id")
        return {**SPAN, "type_ids": types.to_list()}
    return dict(SPAN) if name in ("appointments", "cancellation_reasons") else {}


@pytest.mark.parametrize("name", sorted({*query.names()} - {"appointments_summary"}))  # totals have no ids
def test_a_query_gives_the_worlds_own_rows_and_a_second_load_asks_nothing(
    served: Served, small_world: World, practice: Practice, name: str
) -> None:
    asked = variables(practice, name)
    rows = practice.load(name, **asked)
    bounds = INSTANTS if "start" in asked else {}
    types = {"type_ids": asked["type_ids"]} if "type_ids" in asked else {}
    expected = expected_ids(small_world, name, **bounds, **types)  # type: ignore[arg-type]
    assert sorted(rows.get_column("id")) == sorted(expected)
    assert expected
    before = served.application.practice.pages_served
    if name != "current_user":  # one row, not kept
        assert practice.load(name, **asked).equals(rows)
        assert practice.scan(name, **asked).collect().equals(rows)
        assert served.application.practice.pages_served == before


def test_a_window_is_clipped_to_whole_days_of_the_practice(small_world: World, practice: Practice) -> None:
    day = practice.load("appointments", start="2026-03-08", end="2026-03-09")  # daylight saving begins
    bounds = {"start": datetime(2026, 3, 8, 5, tzinfo=UTC), "end": datetime(2026, 3, 10, 4, tzinfo=UTC)}
    assert sorted(day.get_column("id")) == sorted(expected_ids(small_world, "appointments", **bounds))
    assert day.get_column("starts_at").is_sorted()


def test_a_wider_window_only_asks_for_the_missing_dates(served: Served, practice: Practice) -> None:
    whole = practice.load("appointments", start="2024-01-01", end="2024-12-31")
    before = served.application.practice.pages_served
    practice.load("appointments", start="2024-01-01", end="2025-01-07")
    assert served.application.practice.pages_served - before <= 6
    part = practice.load("appointments", start="2024-06-01", end="2024-06-30")
    june = datetime(2024, 6, 1, tzinfo=ZONE).astimezone(UTC), datetime(2024, 7, 1, tzinfo=ZONE).astimezone(UTC)
    assert part.equals(whole.filter(pl.col("starts_at").is_between(*june, closed="left")))


def test_nothing_is_logged_to_the_screen_until_somebody_listens() -> None:
    said = "import logging, healthie_nb.practice as p; logging.getLogger('healthie_nb.pace').warning('slow')"
    assert subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True).stderr == ""


def test_it_works_inside_a_running_loop_as_in_a_notebook(practice: Practice) -> None:
    async def cell() -> pl.DataFrame:
        return practice.load("providers")

    assert asyncio.run(cell()).height == 12


def test_an_empty_answer_has_the_same_columns(practice: Practice) -> None:
    rows = practice.load("appointments", start="2010-01-01", end="2010-12-31")
    assert rows.is_empty()
    assert rows.schema == practice.load("appointments", start="2026-01-01", end="2026-01-31").schema


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"start": "2026-02-01", "end": "2026-01-01"}, r"end \(2026-01-01\) is before start \(2026-02-01\)"),
        ({"start": "last week", "end": "2026-01-01"}, "start must be a day such as 2026-06-30 .* not 'last week'"),
        ({"start": "2026-02-30", "end": "2026-03-01"}, "start must be a day"),
        ({"start": "2026-02-01"}, "needs end; it declares start: ISO8601DateTime!"),
        ({**SPAN, "provider": "1"}, "no variable 'provider'"),
    ],
)
def test_bad_dates_and_variables_are_refused(practice: Practice, asked: dict[str, str], says: str) -> None:
    with pytest.raises(QueryError, match=says):
        practice.load("appointments", **asked)


def test_form_requests_are_asked_per_client_where_the_answer_is_about_one(
    small_world: World, practice_at: Callable[..., Practice]
) -> None:
    with serving(small_world, Behaviour(rate=None, requests_per_client=True)) as narrow:
        rows = practice_at(narrow).load("form_requests")
    assert sorted(rows.get_column("id")) == sorted(expected_ids(small_world, "form_requests"))
    assert rows.get_column("client_id").n_unique() > 100


def test_form_requests_of_clients_who_came_since_the_last_load_are_asked_for(
    small_world: World, practice_at: Callable[..., Practice], clock: Clock
) -> None:
    asks = small_world.form_requests.get_column("client_id").unique().sort()
    late = World(clients=400)
    late.replace("clients", late.clients.filter(pl.col("id") != asks[0]))
    with serving(late, Behaviour(rate=None, requests_per_client=True)) as narrow:
        practice = practice_at(narrow)
        assert practice.load("clients").height == small_world.clients.height - 1
        late.replace("clients", small_world.clients)
        clock.pass_(minutes=1)
        rows = practice.load("form_requests")
    assert sorted(rows.get_column("id")) == sorted(expected_ids(small_world, "form_requests"))


def test_form_requests_of_one_client_are_asked_for_alone(practice: Practice, served: Served) -> None:
    client = practice.load("form_requests").item(0, "client_id")
    before = served.application.practice.pages_served
    rows = practice.load("form_requests", client_id=client)
    assert rows.get_column("client_id").unique().to_list() == [client]
    assert served.application.practice.pages_served - before <= 2


def test_a_query_of_ones_own_is_loaded_from_its_file(tmp_path: pathlib.Path, practice: Practice) -> None:
    mine = tmp_path / "mine.graphql"
    mine.write_text(
        "query mine($active: String, $first: Int, $after: String) {"
        " users(active_status: $active, first: $first, after: $after, order_by: CREATED_AT_ASC)"
        " { page_info { has_next_page end_cursor } nodes { id is_active: active } } }"
    )
    assert not practice.load(mine, active="archived").get_column("is_active").any()
    assert practice.load(mine, active="active").get_column("is_active").all()


def test_a_cursor_that_repeats_is_an_error_and_nothing_is_kept(
    tmp_path: pathlib.Path, practice_at: Callable[..., Practice], served: Served
) -> None:
    owner = b'{"data":{"currentUser":{"id":"1","timezone":null,"organization":null}}}'
    info = b'"page_info":{"has_next_page":true,"end_cursor":"x"}'
    page = b'{"data":{"organizationMembers":{"total_count":3,"nodes":[],' + info + b"}}}"
    with answering((200, {}, owner), (200, {}, page)) as (url, _):
        stuck = practice_at(Served(url, served.key, served.world, served.application))
        with pytest.raises(ApiError, match="cursor is the same as before; nothing of this part is kept"):
            stuck.load("providers")
    assert not list((tmp_path / "cache").rglob("providers*/*.parquet"))


def test_an_answer_without_the_connection_is_an_error(practice_at: Callable[..., Practice], served: Served) -> None:
    owner = b'{"data":{"currentUser":{"id":"1","timezone":null,"organization":null}}}'
    with answering((200, {}, owner), (200, {}, b'{"data":{"organizationMembers":null}}')) as (url, _):
        closed = practice_at(Served(url, served.key, served.world, served.application))
        with pytest.raises(ApiError, match="the key may not be allowed to see it"):
            closed.load("providers")


def test_offline_gives_what_is_stored_whatever_its_age(
    practice: Practice, served: Served, clock: Clock, practice_at: Callable[..., Practice]
) -> None:
    with pytest.raises(StoreError, match="offline, and not all of clients is stored"):
        practice.load("clients", offline=True)
    rows, loaded_at = practice.load("clients"), clock()
    clock.pass_(days=400)
    before = served.application.practice.pages_served
    again = practice_at(served)
    assert again.load("clients", offline=True).equals(rows)
    told = again.stored().select("query", "rows", "loaded_at", "verified_at").rows()
    assert told == [("clients", rows.height, loaded_at, loaded_at)]
    assert [one.loaded_at for one in again.loaded] == [loaded_at]
    assert served.application.practice.pages_served == before
    with pytest.raises(StoreError, match="offline"):
        practice.load("appointments", offline=True, **SPAN)


def test_without_a_network_what_is_stored_is_loaded_by_a_practice_that_was_connected_before(
    tmp_path: pathlib.Path, practice_at: Callable[..., Practice], small_world: World
) -> None:
    with serving(small_world, Behaviour(rate=None)) as served:
        rows = practice_at(served).load("providers")
        asked = served.application.counters.requests
    with pytest.warns(OfflineWarning, match=r"no connection can be made.* load with offline=True") as said:
        cut_off = practice_at(served)
    assert len(said) == 1
    assert repr(cut_off).startswith("Demo practice (synthetic)")
    assert cut_off.load("providers", offline=True).equals(rows)
    assert cut_off.scan("providers", offline=True).collect().equals(rows)
    days = {"range_start": "2026-01-01", "range_end": "2026-01-31"}
    for name, given in (("appointments_summary", days), ("current_user", {})):
        with pytest.raises(StoreError, match=f"offline, and {name} is never stored"):
            cut_off.load(name, offline=True, **given)
    with pytest.raises(ConnectionFailedError):
        cut_off.load("clients")
    assert served.application.counters.requests == asked
    kept = list((tmp_path / "cache" / "store" / "owners").iterdir())
    assert len(kept) == 1
    assert kept[0].stat().st_mode & 0o077 == 0
    assert kept[0].read_bytes().startswith(b"PARE")
    for other in ({"cache_key": "a" * 64}, {"version": "2025-01-01"}, {"key": "gh_demo_of_another"}):
        with pytest.raises(ConnectionFailedError):
            practice_at(served, **other)


def test_what_has_no_pages_is_never_asked_for_offline(practice: Practice, served: Served) -> None:
    before = served.application.counters.requests
    with pytest.raises(StoreError, match="offline, and current_user is never stored"):
        practice.load("current_user", offline=True)
    with pytest.raises(StoreError, match="offline, and current_user is never stored"):
        practice.scan("current_user", offline=True)
    assert served.application.counters.requests == before


@pytest.mark.parametrize("mask", [0, 0o777])
def test_what_is_stored_is_encrypted_and_its_owners_alone_whatever_the_umask(
    tmp_path: pathlib.Path, served: Served, practice_at: Callable[..., Practice], mask: int
) -> None:
    umask = os.umask(mask)
    try:
        practice = practice_at(served)
        ids = practice.load("clients").get_column("id").to_list()
        practice.load("form_requests")
        save("retention", "mine", {}, folder=tmp_path / "data" / "views")
    finally:
        os.umask(umask)
    files = [path for kept in ("cache", "data") for path in (tmp_path / kept).rglob("*")]
    assert {path.name.split("-")[0] for path in files} >= {
        "whole", "manifest.json", "lock", "seen", "access.jsonl", "pace.sqlite", "mine.json",
    }  # fmt: skip
    for path in [tmp_path / "cache", tmp_path / "data", *files]:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
        if path.suffix == ".parquet":
            held = path.read_bytes()
            assert held.startswith(b"PARE"), path
            assert not any(id_.encode() in held for id_ in ids if len(id_) > 4)


def test_without_a_key_connect_must_be_told_if_the_demo_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEALTHIE_API_KEY", raising=False)
    monkeypatch.delenv("HEALTHIE_API_URL", raising=False)
    with pytest.raises(SettingsError, match="HEALTHIE_API_KEY is not set"):
        connect(demo=False)


def test_the_zone_can_be_overridden(practice_at: Callable[..., Practice], served: Served) -> None:
    assert practice_at(served).zone == "America/New_York"
    assert practice_at(served, zone="Europe/Berlin").zone == "Europe/Berlin"
    with pytest.raises(SettingsError, match="no zone named 'Mars'"):
        practice_at(served, zone="Mars")


def test_rows_are_asked_for_again_once_they_are_old(practice: Practice, served: Served, clock: Clock) -> None:
    practice.load("providers")
    before = served.application.practice.pages_served
    clock.pass_(hours=1)
    practice.load("providers")
    assert served.application.practice.pages_served == before
    practice.load("providers", max_age=timedelta(minutes=30))
    assert served.application.practice.pages_served > before


def test_practice_tells_what_was_loaded_through_it(practice: Practice, clock: Clock) -> None:
    assert practice.loaded == []
    for name in ("providers", "clients", "providers", "current_user"):
        practice.load(name)
    assert [(one.query, len(one.hash) == 8) for one in practice.loaded] == [
        ("clients", True),
        ("current_user", True),
        ("providers", True),
    ]
    assert all(one.loaded_at == clock() for one in practice.loaded)


def test_pseudonyms_hold_as_long_as_the_rows_and_nobody_else_can_make_them(
    served: Served, practice_at: Callable[..., Practice], monkeypatch: pytest.MonkeyPatch
) -> None:
    made_up = practice_at(served)
    assert made_up.is_synthetic
    kept = [practice_at(served, cache_key=key * 64) for key in ("a", "a", "b", "c")]
    assert len({practice.pseudonym_key for practice in [made_up, *kept]}) == 1  # the demo's clients are nobody
    for practice in kept:
        monkeypatch.setattr(practice, "is_synthetic", False)
    monkeypatch.setattr(kept[-1], "_key", None)
    ours, again, other, of_session = (practice.pseudonym_key for practice in kept)
    assert ours == again
    assert len({ours, other, of_session}) == 3
