"""The API key in the system keyring: bound to its host, never shown, and never silently replaced by the demo."""

from __future__ import annotations

import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ClassVar

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends import fail, null

from healthie_nb import cli, keys, settings
from healthie_nb.cabinet import cache_key
from healthie_nb.settings import SettingsError, from_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "gh_live_s3cret"


class InMemory(KeyringBackend):
    """A keyring of the test's own."""

    priority: ClassVar[float] = 1
    is_locked = False

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        if self.is_locked:
            raise keyring.errors.KeyringLocked(f"do not show {KEY}")
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[InMemory]:
    before, ring = keyring.get_keyring(), InMemory()
    monkeypatch.setattr(settings, "DATA_DIR", tmp_path / "data")
    keyring.set_keyring(ring)
    yield ring
    keyring.set_keyring(before)


def key_set(monkeypatch: pytest.MonkeyPatch, given: str, *options: str) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(given))
    return cli.main(["key", "set", *options])


def test_key_that_was_set_is_used_when_no_variable_names_one(
    ring: InMemory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert from_environment({}) is None
    assert key_set(monkeypatch, f"{KEY}\n") == 0
    said = "".join(capsys.readouterr())
    assert "https://api.gethealthie.com/graphql" in said
    assert KEY not in said
    found = from_environment({})
    assert found is not None
    assert (found.url, found.key) == ("https://api.gethealthie.com/graphql", KEY)
    other = from_environment({"HEALTHIE_API_KEY": "gh_sbox_other"})
    assert other is not None
    assert other.key == "gh_sbox_other"
    assert ring.kept == {("healthie-nb", "API key for api.gethealthie.com"): KEY}


def test_key_is_asked_for_without_echo(ring: InMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO("not this")
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdin", terminal)
    monkeypatch.setattr("getpass.getpass", lambda _prompt: KEY)
    assert cli.main(["key", "set"]) == 0
    assert list(ring.kept.values()) == [KEY]


def test_key_is_sent_to_no_other_host(ring: InMemory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert ring.kept == {}
    key_set(monkeypatch, KEY)
    with pytest.raises(SettingsError, match=r"is for api\.gethealthie\.com and not sent to another host"):
        from_environment({"HEALTHIE_API_URL": "https://staging-api.gethealthie.com/graphql"})
    # Whoever changes the note learns nothing: the key is found by its host.
    (tmp_path / "data" / "key.json").write_text(json.dumps({"url": "http://127.0.0.1:9/graphql"}))
    with pytest.raises(keys.KeyringError, match=r"lost the key for 127\.0\.0\.1"):
        from_environment({})


def test_key_for_a_strange_host_is_not_kept(
    ring: InMemory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert key_set(monkeypatch, KEY, "--url", "https://evil.example/graphql") == 1
    assert "the key is not sent to https://evil.example" in capsys.readouterr().err
    assert ring.kept == {}


@pytest.mark.parametrize("given", ["", "\n", "gh_live_a b\n", "gh_live_\x07\n"])
def test_what_is_no_key_is_not_kept(
    given: str, ring: InMemory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert key_set(monkeypatch, given) == 1
    assert "that is no key" in capsys.readouterr().err
    assert ring.kept == {}


def test_second_key_takes_the_place_of_the_first(ring: InMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    key_set(monkeypatch, KEY)
    key_set(monkeypatch, "gh_sbox_2")
    assert ring.kept == {("healthie-nb", "API key for staging-api.gethealthie.com"): "gh_sbox_2"}


def test_forgotten_key_is_gone_and_forgetting_twice_is_no_error(
    ring: InMemory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key_set(monkeypatch, KEY)
    assert cli.main(["key", "forget"]) == 0
    assert cli.main(["key", "forget"]) == 0
    assert "No key is kept." in capsys.readouterr().out
    assert ring.kept == {}
    assert from_environment({}) is None


def test_locked_keyring_is_an_error_and_not_the_demo(ring: InMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    key_set(monkeypatch, KEY)
    ring.is_locked = True
    with pytest.raises(keys.KeyringError, match="unlock it, or set HEALTHIE_API_KEY") as caught:
        from_environment({})
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_without_a_keyring_it_says_what_to_do_instead(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(settings, "DATA_DIR", tmp_path)
    before = keyring.get_keyring()
    keyring.set_keyring(keyring.backends.fail.Keyring())
    assert key_set(monkeypatch, KEY) == 1
    keyring.set_keyring(before)
    said = capsys.readouterr().err
    assert "set HEALTHIE_API_KEY instead" in said
    assert KEY not in said
    assert not (tmp_path / "key.json").exists()
    assert keys.backend() == "" or keys.backend() == before.name


def test_note_is_its_owners_and_holds_no_key(ring: InMemory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    key_set(monkeypatch, KEY)
    note = tmp_path / "data" / "key.json"
    assert note.stat().st_mode & 0o077 == 0
    assert KEY not in note.read_text()
    assert KEY not in repr(keys.read(tmp_path / "data"))
    assert ring.kept


def live(tmp_path: Path) -> settings.Settings:
    return settings.Settings(url="https://api.gethealthie.com/graphql", key=KEY, data_dir=tmp_path / "data")


def test_key_of_the_rows_is_made_at_first_use_and_kept(ring: InMemory, tmp_path: Path) -> None:
    key = cache_key(live(tmp_path))
    assert key is not None
    assert len(key) == 32
    assert ring.kept == {("healthie-nb", "cache"): key.hex()}
    assert cache_key(live(tmp_path)) == key
    assert not list((tmp_path / "data").glob("*.json"))


def test_two_first_uses_at_once_make_one_key(ring: InMemory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    both, get, asked = threading.Barrier(2), ring.get_password, []

    def late(service: str, username: str) -> str | None:
        kept = get(service, username)
        asked.append(username)
        if len(asked) <= 2:  # the two first answers come at the same moment
            both.wait(timeout=10)
        return kept

    monkeypatch.setattr(ring, "get_password", late)
    with ThreadPoolExecutor(2) as at_once:
        found = list(at_once.map(cache_key, [live(tmp_path)] * 2))
    assert {key.hex() for key in found if key} == set(ring.kept.values())
    assert len(ring.kept) == 1


@pytest.mark.parametrize("keeps_nothing", [null.Keyring(), fail.Keyring()])
def test_keyring_that_keeps_nothing_leaves_memory_and_a_warning(
    ring: InMemory, tmp_path: Path, keeps_nothing: KeyringBackend
) -> None:
    keyring.set_keyring(keeps_nothing)
    with pytest.warns(UserWarning, match="kept in memory only.* set HEALTHIE_CACHE_KEY"):
        assert cache_key(live(tmp_path)) is None
    assert ring.kept == {}
