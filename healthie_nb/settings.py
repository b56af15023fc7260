"""Where to ask, as whom and how fast: read from the environment, here and nowhere else.

Wraps python-dotenv for the `.env` file and platformdirs for the folders.
"""

from __future__ import annotations

import ipaddress
import os
import re
import warnings
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dotenv import dotenv_values, find_dotenv
from platformdirs import user_cache_path, user_data_path

from healthie_nb import keys
from healthie_nb.query import HealthieError

if TYPE_CHECKING:
    from collections.abc import Mapping

ENDPOINTS = {
    "gh_live": "https://api.gethealthie.com/graphql",
    "gh_sbox": "https://staging-api.gethealthie.com/graphql",
}
DEMO_KEY = "gh_demo"
CACHE_DIR = user_cache_path("healthie-nb", appauthor=False)
DATA_DIR = user_data_path("healthie-nb", appauthor=False)
VERSION = "2026-01-01"
MAX_RPS = 100.0
DOCUMENTED_RPS = 250.0


class SettingsError(HealthieError, ValueError):
    """A setting that cannot be used as given."""


@dataclass(frozen=True)
class Settings:
    """Settings of one connection. The key is in no repr."""

    url: str
    key: str = field(repr=False)
    version: str = VERSION
    shard: str | None = None
    max_rps: float = MAX_RPS
    zone: str | None = None
    cache_dir: Path = CACHE_DIR  # may be lost
    data_dir: Path = DATA_DIR  # may not
    cache_key: str | None = field(default=None, repr=False)

    @property
    def host(self) -> str:
        """The host that is asked."""
        return urlsplit(self.url).hostname or ""

    @property
    def is_synthetic(self) -> bool:
        """Whether this is a demo practice: its keys say so, and no key of Healthie's looks like one."""
        return self.key.startswith(DEMO_KEY) and _is_loopback(self.host)


def environment() -> dict[str, str]:
    """Return the HEALTHIE_ variables: the process's, and those of a `.env` file above the working folder.

    The file may hold the key and settings, but not the URL: whoever can place a file must not learn the key.
    """
    path = find_dotenv(usecwd=True)
    kept = {name: value for name, value in dotenv_values(path).items() if value} if path else {}
    if kept.pop("HEALTHIE_API_URL", None):
        warnings.warn(f"HEALTHIE_API_URL in {path} is ignored; set it in the environment", stacklevel=2)
    return {name: value for name, value in {**kept, **os.environ}.items() if name.startswith("HEALTHIE_")}


def cache_dir(env: Mapping[str, str]) -> Path:
    """Return where rows are kept: HEALTHIE_CACHE_DIR, or the user's cache folder."""
    folder = env.get("HEALTHIE_CACHE_DIR")
    return Path(folder).expanduser() if folder else CACHE_DIR


def from_environment(env: Mapping[str, str], *, allow_host: str | None = None) -> Settings | None:
    """Return the settings that the variables describe, with the key of the system keyring when they name none.

    None when there is neither, or HEALTHIE_DEMO is set: that means the demo practice.

    Raises
    ------
    SettingsError
        A URL without a key; a key whose endpoint is unknown; a host that may not have the key; a value out of range.
    KeyringError
        A key is kept in the system keyring, which does not give it.
    """
    if env.get("HEALTHIE_DEMO", "").strip():
        return None
    key = env.get("HEALTHIE_API_KEY", "").strip()
    url = env.get("HEALTHIE_API_URL", "").strip()
    if not key:
        kept = keys.read(DATA_DIR)
        if kept is None and url:
            raise SettingsError("HEALTHIE_API_URL is set, HEALTHIE_API_KEY is not; set both, or neither for the demo")
        if kept is None:
            return None
        if url and urlsplit(url).hostname != urlsplit(kept.url).hostname:
            raise SettingsError(
                f"the key in the system keyring is for {urlsplit(kept.url).hostname} and not sent to another host; "
                "set HEALTHIE_API_KEY for this one, or unset HEALTHIE_API_URL"
            )
        url, key = url or kept.url, kept.key
    return settings(env, endpoint(url, key, allow_host=allow_host), key)


def settings(env: Mapping[str, str], url: str, key: str) -> Settings:
    """Return the settings that the variables describe, for this endpoint and key."""
    return Settings(
        url=url,
        key=key,
        version=_version(env.get("HEALTHIE_API_VERSION", VERSION)),
        shard=env.get("HEALTHIE_API_SHARD"),
        max_rps=_rate(env.get("HEALTHIE_MAX_RPS", str(MAX_RPS))),
        zone=env.get("HEALTHIE_ZONE"),
        cache_dir=cache_dir(env),
        cache_key=_cache_key(env.get("HEALTHIE_CACHE_KEY")),
    )


def endpoint(url: str, key: str, *, allow_host: str | None = None) -> str:
    """Return the URL that this key is for, the one given or its prefix's. Raises SettingsError where it may not go."""
    if not url:
        for prefix, endpoint in ENDPOINTS.items():
            if key.startswith(prefix):
                return endpoint
        raise SettingsError(
            f"the key starts with none of {', '.join(ENDPOINTS)}, so its endpoint is unknown; "
            f"set HEALTHIE_API_URL to {' or '.join(ENDPOINTS.values())}"
        )
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError as error:
        raise SettingsError(f"HEALTHIE_API_URL is not a URL: {url!r}") from error
    is_healthie = parts.scheme == "https" and (host == "gethealthie.com" or host.endswith(".gethealthie.com"))
    is_local = parts.scheme in ("http", "https") and _is_loopback(host)
    is_allowed = parts.scheme == "https" and host == allow_host
    if parts.username or parts.password or not (is_healthie or is_local or is_allowed):
        raise SettingsError(
            f"the key is not sent to {parts.scheme or 'no scheme'}://{host or '(no host)'}: it may go to "
            "https://*.gethealthie.com and to this machine. To send it elsewhere over https, say so in code: "
            f"connect(allow_host={host!r})"
        )
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _version(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise SettingsError(f"HEALTHIE_API_VERSION must be a date such as {VERSION}, not {text!r}") from None


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate <= DOCUMENTED_RPS:
        raise SettingsError(
            f"HEALTHIE_MAX_RPS must be a number of requests per second up to {DOCUMENTED_RPS:.0f}, not {text!r}"
        )
    return rate


def _cache_key(text: str | None) -> str | None:
    if text and not re.fullmatch(r"[0-9a-fA-F]{64}", text):  # the value stays out of the message
        raise SettingsError(f"HEALTHIE_CACHE_KEY must be 64 hex digits; it has {len(text)} characters")
    return text or None
