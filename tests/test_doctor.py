"""The doctor: each thing that can be wrong is found, named and comes with what to do."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import keyring
import pytest
from conftest import answering

from healthie_nb import cli, doctor, query, schemas, settings
from healthie_nb.demo import Settings as Behaviour
from healthie_nb.demo import expected_ids, serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from healthie_nb.demo import Served, World
    from healthie_nb.practice import Practice

PATIENCE_S = 0.5
MORE = """query more($first: Int, $after: String) {
  users(first: $first, after: $after) { page_info { has_next_page end_cursor } nodes { id shoe_size } }
}"""
OWNER = {"currentUser": {"id": "1", "timezone": "Europe/Berlin", "organization": {"id": "2", "name": "Praxis"}}}


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(settings, "DATA_DIR", tmp_path / "data")
    monkeypatch.setenv("HEALTHIE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(doctor, "PATIENCE_S", PATIENCE_S)
    monkeypatch.setattr("healthie_nb.connection.CONNECT_FOR_S", PATIENCE_S)


def examined(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str, key: str = "gh_live_s3cret"
) -> tuple[int, dict[str, dict[str, Any]]]:
    monkeypatch.setenv("HEALTHIE_API_URL", url)
    monkeypatch.setenv("HEALTHIE_API_KEY", key)
    code = cli.main(["doctor", "--json"])
    said = capsys.readouterr().out
    assert key not in said
    return code, {row["subject"]: row for row in map(json.loads, said.splitlines())}


def test_demo_is_well(served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = examined(monkeypatch, capsys, served.url, served.key)
    assert code == 0
    assert {row["state"] for row in found.values()} == {"ok", "note"}
    for name in ("clients", "appointments", "form_requests", "providers"):
        expected = expected_ids(served.world, name, start=datetime(1990, 1, 1, tzinfo=UTC))
        assert found[name]["says"] == f"{len(expected):,} rows to be seen"
    assert found["zone"]["says"] == "America/New_York, from the key owner"
    assert found["clock"]["state"] == "ok"
    assert found["version"]["says"] == "2026-01-01, served until 2027-01-31"


def test_text_says_what_to_do(
    served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEALTHIE_API_URL", served.url)
    monkeypatch.setenv("HEALTHIE_API_KEY", "gh_demo_wrong")
    assert cli.main(["doctor"]) == 1
    wrong = [line for line in capsys.readouterr().out.splitlines() if line.startswith("wrong") or "→" in line]
    assert wrong[0].split()[:2] == ["wrong", "key"]
    assert "check HEALTHIE_API_KEY" in wrong[1]


@pytest.mark.parametrize(
    ("variables", "subject", "todo"),
    [
        # pragma: allowlist nextline secret
        ({"HEALTHIE_API_KEY": "what"}, "key", "set HEALTHIE_API_URL"),
        # pragma: allowlist nextline secret
        ({"HEALTHIE_API_KEY": "gh_live_1", "HEALTHIE_API_URL": "http://127.0.0.1:9/graphql"}, "host", "the network"),
        # pragma: allowlist nextline secret
        ({"HEALTHIE_CACHE_KEY": "abc", "HEALTHIE_API_KEY": "gh_live_1"}, "key", ""),
    ],
)
def test_setting_that_cannot_be_used_is_found(
    variables: dict[str, str],
    subject: str,
    todo: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cli.main(["doctor", "--json"]) == 1
    found = {row["subject"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert found[subject]["state"] == "wrong"
    assert todo in found[subject]["todo"]
    assert found["disk"]["state"] == "ok"  # what is on this machine is examined all the same


def test_what_the_endpoint_tells_is_judged(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A version that ends next week; a query that the key may not see, one refused, one without rows; no keyring."""
    soon = (datetime.now(UTC) + timedelta(days=7)).date().isoformat()
    data = {**OWNER, "appointments": {"total_count": 5}, "users": None, "organizationMembers": {"total_count": 0}}
    warning = {"code": "API_VERSION_SUNSET_WARNING", "latest_version": "2026-07-01", "sunset_date": soon}
    body = json.dumps({"data": data, "extensions": {"warnings": [warning]}}).encode()
    refusal = json.dumps({"errors": [{"message": "something is not permitted"}]}).encode()
    monkeypatch.setattr(keyring, "get_password", failing)
    with answering((200, {}, body), (200, {}, body), (200, {}, refusal), (200, {}, body)) as (url, _):
        code, found = examined(monkeypatch, capsys, url)
    assert code == 1
    states = {name: row["state"] for name, row in found.items()}
    assert states["version"] == states["store"] == states["ledger"] == states["keyring"] == "wrong"
    assert states["appointment_types"] == states["clients"] == "wrong"
    assert (states["appointments"], states["providers"]) == ("ok", "note")
    assert "administrator" in found["clients"]["todo"]
    assert "HEALTHIE_CACHE_KEY" in found["store"]["todo"]
    assert all(row["todo"] for row in found.values() if row["state"] == "wrong")


def failing(*_: str) -> str:
    raise keyring.errors.NoKeyringError


@pytest.mark.parametrize(
    ("minutes", "state", "says"),
    [(0, "ok", "agrees"), (-5, "wrong", "300 s ahead of the server's"), (5, "wrong", "300 s behind the server's")],
)
def test_clock_is_compared_with_the_servers(minutes: int, state: str, says: str) -> None:
    found = doctor._clock(format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True))
    assert found.state == state
    assert says in re.sub(r"\b(299|301)\b", "300", found.says)
    assert doctor._clock("").state == "note"


def test_full_disk_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5))
    found = doctor._disk([tmp_path / "not" / "there"])
    assert (found.state, found.says) == ("wrong", "0.0 GB free")
    assert "cache purge" in found.todo


def test_ledger_that_cannot_be_read_is_found(practice_at: Callable[..., Practice], served: Served) -> None:
    practice = practice_at(served)
    practice.load("form_requests")
    assert doctor._ledger(practice).state == "ok"
    (file, *_) = practice.ledger._folder.glob("seen-*.parquet")
    file.write_bytes(file.read_bytes()[:50])
    found = doctor._ledger(practice)
    assert found.state == "wrong"
    assert "backup" in found.says + found.todo


def test_schema_is_saved_for_queries_that_need_more(
    served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "kept" / "schema.graphql"
    monkeypatch.setattr("healthie_nb.schemas.saved_schema_path", lambda: path)
    monkeypatch.setenv("HEALTHIE_API_URL", served.url)
    monkeypatch.setenv("HEALTHIE_API_KEY", served.key)
    assert cli.main(["schema", "save"]) == 0
    assert str(path) in capsys.readouterr().out
    assert path.stat().st_mode & 0o077 == 0
    added = path.read_text().replace("type User {", "type User {\n  shoe_size: Int", 1)
    path.write_text(added)
    asked = query.parse(MORE, name="more")
    assert asked.identifying == ("shoe_size",)
    assert query.parse(MORE.replace("shoe_size", "shoe_size @phi(if: false)"), name="more").identifying == ()
    assert cli.main(["schema", "forget"]) == 0
    with pytest.raises(query.QueryError, match="healthie-nb schema save"):
        query.parse(MORE + "# the schema is gone", name="more")


def test_endpoint_that_tells_no_schema_is_named(
    small_world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("healthie_nb.introspection.RETRY_FOR_S", PATIENCE_S)
    with serving(small_world, Behaviour(rate=None, allows_introspection=False)) as closed:
        monkeypatch.setenv("HEALTHIE_API_URL", closed.url)
        monkeypatch.setenv("HEALTHIE_API_KEY", closed.key)
        assert cli.main(["schema", "save"]) == 1
    assert "use a key of Healthie's test environment" in capsys.readouterr().err
    assert not schemas.saved_schema_path().exists()


def test_answer_that_is_no_schema_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bodies = [json.dumps({"data": data}).encode() for data in (OWNER, {"__schema": {"directives": []}})]
    with answering(*((200, {}, body) for body in bodies)) as (url, _):
        monkeypatch.setenv("HEALTHIE_API_URL", url)
        monkeypatch.setenv("HEALTHIE_API_KEY", "gh_sbox_1")
        assert cli.main(["schema", "save"]) == 1
    assert "is no schema; check HEALTHIE_API_URL" in capsys.readouterr().err


def test_check_prices_the_packaged_queries(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["query"] for row in told] == query.names()
    assert all(row["cost"] <= 2000 and row["page_size"] in (100, None) for row in told)
    (appointments,) = (row for row in told if row["query"] == "appointments")
    # By hand: 6 of overhead, 100 rows of 14 columns, 5 of them in objects that cost a point of their own.
    assert (appointments["cost"], len(appointments["columns"])) == (6 + 100 * (14 + 5), 14)


def test_check_names_identifying_columns_and_files_that_cannot_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "good.graphql", tmp_path / "bad.graphql"
    good.write_text(MORE.replace("shoe_size", "name: full_name"))
    bad.write_text("query bad { users { nodes { idd } } }")
    assert cli.main(["check", str(good), str(bad), str(tmp_path / "none.graphql")]) == 1
    said = capsys.readouterr()
    assert "good: 2 columns, 100 rows and 205 points a request; identifying: name" in said.out
    assert "bad.graphql, line 1: Cannot query field 'idd'" in said.err
    assert "no file" in said.err
