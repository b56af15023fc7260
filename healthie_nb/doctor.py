"""What stands between an analyst and the data, tried piece by piece; what is wrong comes with what to do.

No key, row or variable is in a finding.
"""

from __future__ import annotations

import json
import platform
import shutil
import warnings
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal

import polars as pl

from healthie_nb import keys
from healthie_nb import query as queries
from healthie_nb import settings as configuration
from healthie_nb.cabinet import cache_key
from healthie_nb.connection import Connection
from healthie_nb.failures import ApiError
from healthie_nb.ledger import NO_KEY
from healthie_nb.pace import Pace
from healthie_nb.practice import EARLIEST, Practice, configured
from healthie_nb.query import HealthieError
from healthie_nb.session import run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from healthie_nb.query import Query
    from healthie_nb.settings import Settings

PATIENCE_S = 15.0  # a person waits for each answer
SKEW = timedelta(minutes=2)
SUNSET_NEAR = timedelta(days=30)
LEAST_FREE_BYTES = 1_000_000_000
LATEST = date(2100, 1, 1)
NO_KEYRING = "set HEALTHIE_CACHE_KEY to 64 hex digits, as from python -c 'import secrets; print(secrets.token_hex(32))'"


@dataclass(frozen=True)
class Finding:
    """One thing that was tried. `todo` says how to mend what is wrong, or what a note may lead to."""

    subject: str
    state: Literal["ok", "note", "wrong"]
    says: str
    todo: str = ""


def findings() -> Iterator[Finding]:
    """Yield what was found, each as soon as it is known."""
    yield Finding("versions", "ok", _versions())
    settings = None
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            settings = configured()
        yield from (Finding("settings", "note", *_said(str(warning.message))) for warning in warned)
        yield _key(settings)
    except HealthieError as error:
        yield Finding("key", "wrong", *_said(str(error)))
    if settings is not None:
        yield from _online(settings)
    yield from _on_this_machine(settings)


def _said(message: str) -> tuple[str, str]:
    """Return what is wrong and what to do: our messages hold both, in this order."""
    wrong, _, advice = message.partition("; ")
    return wrong, advice


def _versions() -> str:
    parts = [f"{name} {version(name)}" for name in ("healthie-nb", "polars", "gql")]
    return ", ".join([*parts, f"Python {platform.python_version()}", platform.system()])


def _key(settings: Settings) -> Finding:
    if settings.is_synthetic and "HEALTHIE_API_KEY" not in configuration.environment():
        advice = "set HEALTHIE_API_KEY, or run healthie-nb key set, to see your own practice"
        return Finding("key", "note", "none is set, so this is the demo practice: synthetic data", advice)
    known = (*configuration.ENDPOINTS, configuration.DEMO_KEY)
    kind = next((f"a {prefix} key" for prefix in known if settings.key.startswith(prefix)), "a key of another kind")
    where = "HEALTHIE_API_KEY" if "HEALTHIE_API_KEY" in configuration.environment() else "the system keyring"
    return Finding("key", "ok", f"{kind}, from {where}")


# -- what the endpoint says -------------------------------------------------------------------------------------------


def _online(settings: Settings) -> Iterator[Finding]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they say is found below
        try:
            connection = Connection(settings)
            connection.owner()
            practice = Practice(settings)
        except HealthieError as error:
            yield Finding(_part(error), "wrong", *_said(str(error)))
            return
    yield Finding("host", "ok", f"{settings.url} answers")
    yield Finding("practice", "ok", practice.name)
    yield _version(connection)
    yield Finding("zone", "ok", f"{practice.zone}, from {'HEALTHIE_ZONE' if settings.zone else 'the key owner'}")
    yield from _answers(connection)
    yield _store(practice, settings)
    yield _ledger(practice)


def _part(error: HealthieError) -> str:
    kinds = {"AuthenticationError": "key", "VersionError": "version", "SettingsError": "zone"}
    return kinds.get(type(error).__name__, "host")


def _version(connection: Connection) -> Finding:
    asked, sunset = connection.settings.version, connection.sunset
    if sunset is None:
        return Finding("version", "ok", f"{asked}, no end announced")
    says, advice = f"{asked}, served until {sunset}", "set HEALTHIE_API_VERSION to a later one before then"
    try:
        is_near = date.fromisoformat(sunset) - datetime.now(UTC).date() < SUNSET_NEAR
    except ValueError:
        is_near = False
    return Finding("version", "wrong" if is_near else "note", says, advice)


def _answers(connection: Connection) -> Iterator[Finding]:
    """Ask each query for its count; the first answer also tells the server's clock."""
    found: list[Finding] = []

    async def main() -> str:
        async with connection.session() as session:
            for query in filter(_is_countable, map(queries.read, queries.names())):
                span = {"start": EARLIEST.isoformat(), "end": LATEST.isoformat()} if query.window else {}
                try:
                    answer = await session.ask(query.operation, {**span, "first": 1}, retry_for_s=PATIENCE_S)
                    found.append(_seen(query, json.loads(answer)))
                except ApiError as error:
                    advice = "ask an administrator of the practice to let the key's owner see it"
                    found.append(Finding(query.name, "wrong", str(error), advice))
            return session.server_date

    told = run(main)
    yield _clock(told)
    yield from found
    with Pace(connection.settings.data_dir, connection.settings.key, ceiling=connection.settings.max_rps) as pace:
        says = f"{pace.rate:.0f} requests a second learned so far, {connection.settings.max_rps:.0f} at most"
    yield Finding("pace", "ok", says)


def _is_countable(query: Query) -> bool:
    return query.operation.has_count and query.is_paged and query.operation.required <= queries.WINDOW


def _seen(query: Query, answer: dict[str, dict[str, int] | None]) -> Finding:
    connection = answer.get(query.key)
    if connection is None:
        return Finding(query.name, "wrong", "the key may not see it", "ask an administrator to let its owner see it")
    count = connection["total_count"]
    advice = "" if count else "if there should be some, the key's owner may not see them: ask an administrator"
    return Finding(query.name, "ok" if count else "note", f"{count:,} rows to be seen", advice)


def _clock(server_date: str) -> Finding:
    try:
        skew = datetime.now(UTC) - parsedate_to_datetime(server_date)
    except (TypeError, ValueError):
        return Finding("clock", "note", "the server does not tell the time")
    seconds = f"{abs(skew.total_seconds()):.0f} s {'ahead of' if skew > timedelta(0) else 'behind'} the server's"
    if abs(skew) <= SKEW:
        return Finding("clock", "ok", f"agrees with the server's within {max(1.0, abs(skew.total_seconds())):.0f} s")
    return Finding("clock", "wrong", seconds, "set this machine's clock: what changed is asked for by time")


# -- what is on this machine ------------------------------------------------------------------------------------------


def _store(practice: Practice, settings: Settings) -> Finding:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # said below
        if cache_key(settings) is None:
            says = "rows are kept in memory only: there is no key to encrypt them with"
            return Finding("store", "wrong", says, NO_KEYRING)
    stored = practice.stored()
    rows, megabytes = sum(stored.get_column("rows")), sum(stored.get_column("bytes")) / 1e6
    key = "the demo's own" if settings.is_synthetic else "in the system keyring"
    counted = "1 query" if stored.height == 1 else f"{stored.height} queries"
    kept = f"{rows:,} rows of {counted}, {megabytes:.1f} MB, in {settings.cache_dir}"
    return Finding("store", "ok", f"{kept}; key: {'HEALTHIE_CACHE_KEY' if settings.cache_key else key}")


def _ledger(practice: Practice) -> Finding:
    try:
        seen = practice.ledger.seen()
    except HealthieError as error:
        return Finding("ledger", "wrong", *_said(str(error)))
    if not practice.ledger.is_kept:
        return Finding("ledger", "wrong", *_said(NO_KEY))
    if seen.is_empty():
        advice = "load form_requests, best every day: times of completion cannot be had later"
        return Finding("ledger", "note", "nothing yet", advice)
    first, last = seen.select(pl.col("seen_at").min().alias("first"), pl.col("seen_at").max().alias("last")).row(0)
    return Finding("ledger", "ok", f"{seen.height:,} states of form requests, {first:%Y-%m-%d} to {last:%Y-%m-%d}")


def _on_this_machine(settings: Settings | None) -> Iterator[Finding]:
    cache = settings.cache_dir if settings else configuration.CACHE_DIR
    yield _disk([cache, configuration.DATA_DIR])
    yield _keyring(is_needed=settings is not None and not settings.is_synthetic and not settings.cache_key)


def _disk(folders: Sequence[Path]) -> Finding:
    places = [next(parent for parent in (folder, *folder.parents) if parent.is_dir()) for folder in folders]
    free = min(shutil.disk_usage(place).free for place in places)
    advice = "make room there, with healthie-nb cache purge for one, or set HEALTHIE_CACHE_DIR to another disk"
    is_short = free < LEAST_FREE_BYTES
    return Finding("disk", "wrong" if is_short else "ok", f"{free / 1e9:.1f} GB free", advice if is_short else "")


def _keyring(*, is_needed: bool) -> Finding:
    name = keys.backend()
    if name:
        return Finding("keyring", "ok", name)
    return Finding("keyring", "wrong" if is_needed else "note", "there is none that works", NO_KEYRING)
