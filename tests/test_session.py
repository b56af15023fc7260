"""Every failure has a name, says what to do, and quotes neither key nor data."""

from __future__ import annotations

import json
import logging
import pathlib
import socket
import subprocess
import sys
import traceback

import pytest
import stamina
from conftest import answering

from healthie_nb import query as queries
from healthie_nb.connection import VersionWarning
from healthie_nb.failures import (
    ApiError,
    AuthenticationError,
    ConnectionFailedError,
    LockedOutError,
    TooComplexError,
    UnavailableError,
    VersionError,
)
from healthie_nb.pace import Pace
from healthie_nb.practice import Practice
from healthie_nb.session import Counts, Session, run
from healthie_nb.settings import Settings

KEY = "gh_live_s3cret"
JSON = {"Content-Type": "application/json"}
OWNER = {"currentUser": {"id": "1", "timezone": "Europe/Berlin", "organization": {"id": "2", "name": "Praxis"}}}


def connected(url: str, folder: pathlib.Path, key: str = KEY, **settings: object) -> Practice:
    return Practice(Settings(url=url, key=key, cache_dir=folder, data_dir=folder, cache_key="0" * 64, **settings))  # type: ignore[arg-type]


def said(body: object) -> bytes:
    return json.dumps(body).encode()


def error(message: str, code: str | None = None, **more: object) -> bytes:
    return said({"errors": [{"message": message, "extensions": {"code": code, **more} if code else {}}]})


def everything(error: BaseException) -> str:
    """Return all that a traceback could show, causes and attributes included."""
    chain, text = [error], "".join(traceback.format_exception(error))
    for one in chain:
        text += repr(one) + repr(vars(one)) + repr(one.args)
        chain += [other for other in (one.__cause__, one.__context__) if other]
    return text


@pytest.mark.parametrize(
    ("status", "body", "kind", "says"),
    [
        (401, b"{}", AuthenticationError, "does not accept the key; check HEALTHIE_API_KEY"),
        (403, b"<html>Forbidden</html>", AuthenticationError, "does not accept the key"),
        (200, said({"data": {"currentUser": None}}), AuthenticationError, "does not know the key's owner"),
        (200, error("API Key is invalid"), AuthenticationError, "check HEALTHIE_API_KEY"),
        (200, error("no", "UNAUTHENTICATED"), AuthenticationError, "check HEALTHIE_API_KEY"),
        (
            200,
            error("Version 2020-01-01 is not served", "UNSUPPORTED_API_VERSION", latest_version="2026-07-01"),
            VersionError,
            "set HEALTHIE_API_VERSION to 2026-07-01",
        ),
        (302, b"", ConnectionFailedError, "redirects elsewhere, where the key does not follow"),
        (404, b"not here", ApiError, "answered HTTP 404; check HEALTHIE_API_URL"),
        (200, b"<html>Jane Doe</html>", UnavailableError, "not GraphQL .a web page"),
        (200, b'{"data": {"curr', UnavailableError, "not GraphQL"),
        (200, b"null", UnavailableError, "not GraphQL"),
        (503, b"<html>Jane Doe</html>", UnavailableError, "HTTP 503"),
        (200, said({"data": None}), UnavailableError, "not GraphQL"),
        (
            200,
            said({"data": OWNER, "errors": [{"message": "Client Jane Doe, born 1970-01-01"}]}),
            ApiError,
            "with errors",
        ),
        (200, error("Query has depth of 30, which exceeds max depth of 25"), TooComplexError, "30, which exceeds"),
        (200, error("Field 'timezone' doesn't exist on type 'User'"), ApiError, "'timezone' doesn't exist on type"),
        (400, b"{}", ApiError, "answered HTTP 400"),
    ],
)
def test_what_a_server_may_answer_has_a_name(
    tmp_path: pathlib.Path, status: int, body: bytes, kind: type[ApiError], says: str
) -> None:
    headers = {"Location": "https://evil.example/"} if status == 302 else {}
    with stamina.set_testing(True, attempts=2), answering((status, headers, body)) as (url, asked):
        with pytest.raises(kind, match=says) as caught:
            connected(url, tmp_path)
    may_pass = kind is UnavailableError or says == "with errors"  # beside data: some of it was not had, this time
    assert len(asked) == (2 if may_pass else 1)
    shown = everything(caught.value)
    assert KEY not in shown
    assert not {"Jane", "Doe", "1970"} & set(shown.replace(",", " ").split())


def test_an_endpoint_that_is_not_there_is_named(tmp_path: pathlib.Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(ConnectionFailedError, match=r"127\.0\.0\.1: no connection can be made") as caught:
        connected(f"http://127.0.0.1:{port}/graphql", tmp_path)
    assert KEY not in everything(caught.value)


def test_a_host_that_does_not_exist_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConnectionFailedError, match="no such host can be found") as caught:
        connected("https://nowhere.invalid/graphql", tmp_path)
    assert KEY not in everything(caught.value)


def test_a_server_without_tls_is_named(tmp_path: pathlib.Path) -> None:
    with answering((200, {}, b"{}")) as (url, _):
        with pytest.raises(ConnectionFailedError, match="TLS") as caught:
            connected(url.replace("http:", "https:"), tmp_path)
    assert KEY not in everything(caught.value)


def test_headers_are_those_that_healthie_documents(tmp_path: pathlib.Path) -> None:
    with answering((200, {}, said({"data": OWNER}))) as (url, asked):
        practice = connected(url, tmp_path, shard="7")
    assert asked[0]["Authorization"] == f"Basic {KEY}"
    assert asked[0]["AuthorizationSource"] == "API"
    assert asked[0]["AuthorizationShard"] == "7"
    assert asked[0]["Healthie-GraphQL-API-Version"] == "2026-01-01"
    assert practice.zone == "Europe/Berlin"
    assert practice.name == "Praxis"
    assert KEY not in repr(practice)
    assert str(url.split(":")[2].split("/")[0]) not in repr(practice)


def test_a_sunset_is_said_once(tmp_path: pathlib.Path) -> None:
    warning = {"code": "API_VERSION_SUNSET_WARNING", "sunset_date": "2027-01-31", "latest_version": "2026-07-01"}
    body = said({"data": OWNER, "extensions": {"warnings": [warning]}})
    with answering((200, {}, body)) as (url, _):
        with pytest.warns(
            VersionWarning, match=r"2026-01-01 on 2027-01-31; set HEALTHIE_API_VERSION to 2026-07-01"
        ) as shown:
            practice = connected(url, tmp_path)
            practice.load("current_user")
    assert len(shown) == 1
    assert "served until 2027-01-31" in repr(practice)


@pytest.mark.parametrize("status", [200, 429])
def test_a_throttled_answer_is_asked_again(tmp_path: pathlib.Path, status: int) -> None:
    refused = (status, {"Retry-After": "0"}, error("Too many requests. Please try again later.", "TOO_MANY_REQUESTS"))
    with answering(refused, refused, (200, {}, said({"data": OWNER}))) as (url, asked):
        assert connected(url, tmp_path).name == "Praxis"
    assert len(asked) == 3


@pytest.mark.parametrize("throttled", [1, 4])
def test_what_was_asked_refused_and_asked_again_is_counted(tmp_path: pathlib.Path, throttled: int) -> None:
    refused = (429, {"Retry-After": "0"}, b""), (200, {}, error("Too many requests", "TOO_MANY_REQUESTS"))
    broken = [(503, {}, b""), (200, {}, b"<html>"), (200, {}, b'{"data": {"curr')]
    answers = [*(refused[number % 2] for number in range(throttled)), *broken, (200, {}, said({"data": OWNER}))]

    async def ask(url: str) -> Counts:
        settings = Settings(url=url, key=KEY, cache_dir=tmp_path, data_dir=tmp_path)
        with Pace(tmp_path, KEY, ceiling=1e5) as pace:
            async with Session(settings, pace) as session:
                await session.ask(queries.read("current_user").operation, {})
                return session.counts

    with answering(*answers) as (url, asked), stamina.set_testing(True, attempts=10):
        counts = run(lambda: ask(url))
    assert counts == Counts(requests=len(answers), refused=throttled, retried=len(broken))
    assert len(asked) == len(answers)


def test_a_lock_out_ends_the_pull_and_says_when_to_go_on(tmp_path: pathlib.Path) -> None:
    with answering((429, {"Retry-After": "3600"}, b"")) as (url, asked):
        with pytest.raises(LockedOutError, match=r"refuses every request.* run the same again after \d\d:\d\d$"):
            connected(url, tmp_path)
    assert len(asked) == 1


def test_logs_hold_neither_key_nor_data(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in (None, "gql", "gql.transport.aiohttp", "aiohttp", "asyncio"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    try:
        with caplog.at_level(logging.DEBUG), answering((200, {}, said({"data": OWNER}))) as (url, _):
            connected(url, tmp_path)
    finally:
        for name in (None, "gql", "gql.transport.aiohttp", "aiohttp", "asyncio"):
            logging.getLogger(name).setLevel(logging.NOTSET if name else logging.WARNING)
    assert KEY not in caplog.text
    assert "Praxis" not in caplog.text


INTERRUPTED = """
import pathlib, signal, sys, threading, os, time
sys.path.insert(0, {tests!r})
from healthie_nb.demo import Settings as Behaviour, World, serving
from healthie_nb.pace import Pace
from healthie_nb.practice import Practice
from healthie_nb.session import Counts, Session, run
from healthie_nb.settings import Settings

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
with serving(World(clients=400), Behaviour(latency_ms=(300, 400), rate=None)) as served:
    practice = Practice(Settings(url=served.url, key=served.key, data_dir=pathlib.Path({folder!r})))
    threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    started = time.monotonic()
    try:
        practice.load("form_requests")
    except KeyboardInterrupt:
        print("interrupted after", round(time.monotonic() - started, 1), "with", threading.active_count(), "threads")
"""


def test_an_interrupt_stops_a_pull_cleanly(tmp_path: pathlib.Path) -> None:
    script = INTERRUPTED.format(tests=str(pathlib.Path(__file__).parent), folder=str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""
    seconds = float(done.stdout.split()[2])
    assert seconds < 3
    assert int(done.stdout.split()[4]) <= 3  # main, the server's, and the timer's at most
