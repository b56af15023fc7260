"""Where a key may go is decided here, before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from healthie_nb import settings
from healthie_nb.settings import SettingsError, from_environment
from healthie_nb.zones import RAILS, iana

if TYPE_CHECKING:
    import pathlib

KEY = "gh_live_s3cret"


def test_without_a_key_it_is_the_demo() -> None:
    assert from_environment({}) is None


@pytest.mark.parametrize(
    ("key", "url"),
    [
        ("gh_live_1", "https://api.gethealthie.com/graphql"),
        ("gh_sbox_1", "https://staging-api.gethealthie.com/graphql"),
    ],
)
def test_the_key_picks_the_endpoint(key: str, url: str) -> None:
    found = from_environment({"HEALTHIE_API_KEY": key})
    assert found is not None
    assert found.url == url
    assert found.version == "2026-01-01"
    assert found.max_rps == 100


@pytest.mark.parametrize(
    "url",
    [
        "http://api.gethealthie.com/graphql",
        "https://gethealthie.com.evil.example/graphql",
        "https://evil.example/?gethealthie.com",
        "https://evilgethealthie.com/graphql",
        "https://api.gethealthie.com@evil.example/graphql",
        # pragma: allowlist nextline secret
        "https://user:pass@api.gethealthie.com/graphql",
        "http://127.0.0.1.evil.example/",
        "http://[::ffff:1.2.3.4]/",
        "ftp://127.0.0.1/",
        "api.gethealthie.com",
        "http://[bad",
    ],
)
def test_the_key_goes_nowhere_else(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        from_environment({"HEALTHIE_API_KEY": KEY, "HEALTHIE_API_URL": url})
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["https://eu.api.gethealthie.com/graphql", "http://127.0.0.1:8080/graphql", "http://[::1]:1/", "http://localhost/"],
)
def test_the_key_goes_to_healthie_and_to_this_machine(url: str) -> None:
    found = from_environment({"HEALTHIE_API_KEY": KEY, "HEALTHIE_API_URL": url})
    assert found is not None
    assert found.url == url


def test_another_host_must_be_allowed_in_code_and_over_https() -> None:
    env = {"HEALTHIE_API_KEY": KEY, "HEALTHIE_API_URL": "https://proxy.example/graphql"}
    found = from_environment(env, allow_host="proxy.example")
    assert found is not None
    with pytest.raises(SettingsError, match="over https"):
        from_environment({**env, "HEALTHIE_API_URL": "http://proxy.example/"}, allow_host="proxy.example")


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"HEALTHIE_API_URL": "https://api.gethealthie.com/graphql"}, "HEALTHIE_API_KEY is not"),
        # pragma: allowlist nextline secret
        ({"HEALTHIE_API_KEY": "other"}, "starts with none of gh_live, gh_sbox"),
        ({"HEALTHIE_API_KEY": KEY, "HEALTHIE_MAX_RPS": "251"}, "up to 250, not '251'"),
        ({"HEALTHIE_API_KEY": KEY, "HEALTHIE_MAX_RPS": "fast"}, "not 'fast'"),
        ({"HEALTHIE_API_KEY": KEY, "HEALTHIE_API_VERSION": "latest"}, "must be a date such as 2026-01-01"),
        ({"HEALTHIE_API_KEY": KEY, "HEALTHIE_CACHE_KEY": "abc"}, "64 hex digits; it has 3 characters"),
    ],
)
def test_a_setting_that_cannot_be_used_says_what_can(env: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        from_environment(env)


def test_the_key_is_in_no_repr() -> None:
    assert KEY not in repr(from_environment({"HEALTHIE_API_KEY": KEY}))


def test_a_dotenv_file_gives_the_key_but_not_the_url(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text(
        f"HEALTHIE_API_KEY={KEY}\nHEALTHIE_MAX_RPS=5\nHEALTHIE_API_URL=https://evil.example\n"
    )
    monkeypatch.chdir(tmp_path)
    for name in ("HEALTHIE_API_KEY", "HEALTHIE_API_URL", "HEALTHIE_MAX_RPS"):
        monkeypatch.delenv(name, raising=False)
    with pytest.warns(UserWarning, match=r"HEALTHIE_API_URL in .*\.env is ignored"):
        env = settings.environment()
    assert env["HEALTHIE_API_KEY"] == KEY
    assert "HEALTHIE_API_URL" not in env
    monkeypatch.setenv("HEALTHIE_MAX_RPS", "7")
    with pytest.warns(UserWarning, match="is ignored"):
        assert settings.environment()["HEALTHIE_MAX_RPS"] == "7"


def test_rails_and_iana_zones_are_known() -> None:
    assert iana("Eastern Time (US & Canada)") == "America/New_York"
    assert iana("Europe/Berlin") == "Europe/Berlin"
    assert {iana(name) for name in RAILS} == {iana(name) for name in RAILS.values()}


@pytest.mark.parametrize("name", ["Mars", "", "../etc/passwd"])
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="HEALTHIE_ZONE"):
        iana(name)
