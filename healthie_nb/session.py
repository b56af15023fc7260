"""One authenticated session: headers, version, warnings, retries through the pace, and every failure by its name.

Wraps gql (and aiohttp under it) for GraphQL over HTTP, msgspec for cutting the rows out of an answer undecoded, and
stamina for retries. What the server or a library says about a failure is not passed on whole: it may quote the key, a
variable or a client's data.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self, TypeVar

import aiohttp
import msgspec
import stamina
from gql import Client, GraphQLRequest
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.exceptions import TransportError

from healthie_nb.failures import (
    ApiError,
    LockedOutError,
    PassingError,
    ThrottledError,
    Trace,
    UnavailableError,
    below_graphql,
    by_status,
    in_answer,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from healthie_nb.pace import Pace
    from healthie_nb.query import Operation
    from healthie_nb.settings import Settings

T = TypeVar("T")

REQUEST_TIMEOUT_S = 60.0
CONNECT_TIMEOUT_S = 10.0
RETRY_FOR_S = 180.0
SHUT_S = 2.0  # refused for so long without exception: asking as often as before will not help
LOCKED_OUT_S = 60.0
LOCK_LASTS = timedelta(hours=1)  # longer than any that was reported


class Envelope(msgspec.Struct):
    """An answer with its data left as bytes."""

    data: msgspec.Raw = msgspec.Raw(b"null")
    errors: list[dict[str, Any]] | None = None
    extensions: dict[str, Any] | None = None

    def get(self, name: str) -> Any:
        """Return a part of the answer, as gql asks for it."""
        part = getattr(self, name, None)
        return None if isinstance(part, msgspec.Raw) and bytes(part) == b"null" else part

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None


@dataclass
class Counts:
    """What a session has asked so far."""

    requests: int = 0
    refused: int = 0
    retried: int = 0


class _Request(GraphQLRequest):
    """A request whose text is already printed: gql prints the document anew for each."""

    def __init__(self, operation: Operation, variables: Mapping[str, Any]) -> None:
        self.text = operation.text
        self._payload = {"query": operation.text, "operationName": operation.name, "variables": dict(variables)}
        self.variable_values = None

    @property
    def payload(self) -> dict[str, Any]:
        return self._payload


_trace: contextvars.ContextVar[Trace] = contextvars.ContextVar("trace")


class _Answer(aiohttp.ClientResponse):
    """An answer that tells its status to whoever waits for it, and whose bytes are decoded as they are.

    aiohttp's own tracing would tell as much, at a fifth of what a request costs.
    """

    async def start(self, connection: Any) -> aiohttp.ClientResponse:
        await super().start(connection)
        trace = _trace.get()
        trace.status, trace.date = self.status, self.headers.get("Date", "")
        trace.retry_after = self.headers.get("Retry-After", "")
        return self

    async def json(self, *, loads: Callable[[bytes], Any] = msgspec.json.decode, **_: object) -> Any:  # type: ignore[override]
        return loads(await self.read())


@dataclass
class Session:
    """Ask one endpoint. Use as an async context manager; inside the event loop only."""

    settings: Settings
    pace: Pace
    warned: Callable[[dict[str, Any]], None] = lambda _warning: None
    counts: Counts = field(default_factory=Counts)
    latency_s: float = 0.0
    server_date: str = ""  # as the last answer's Date header had it

    async def __aenter__(self) -> Self:
        _silence()
        self._stack = contextlib.AsyncExitStack()
        self._session = await self._stack.enter_async_context(_client(self.settings))
        self._first_refusal_s: float | None = None
        self._is_shut = False
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.__aexit__(*exc)  # type: ignore[arg-type]

    async def ask(
        self, operation: Operation, variables: Mapping[str, Any], *, retry_for_s: float = RETRY_FOR_S
    ) -> bytes:
        """Return the data of the answer as JSON bytes.

        What may pass is asked again after a wait that grows, with jitter, for `retry_for_s`. A refusal for asking too
        often is not one of these failures: it is asked again at its next turn, so the pace is its wait, cut by the
        refusal, and a lock-out its end. All of them are in `counts`.

        Raises
        ------
        AuthenticationError, VersionError, TooComplexError, ConnectionFailedError, LockedOutError, UnavailableError
            By what is to be done about it.
        ApiError
            The answer holds errors, beside data or not.
        """
        request = _Request(operation, variables)
        # Most pass at once, and stamina's bookkeeping costs nearly as much as a request: so it starts at a failure.
        try:
            return await self._until_admitted(request)
        except PassingError as error:
            first = error
        try:
            async for attempt in stamina.retry_context(
                on=PassingError, attempts=None, timeout=retry_for_s, wait_initial=0.2, wait_max=10.0
            ):
                with attempt:
                    if attempt.num == 1:
                        raise first
                    self.counts.retried += 1
                    return await self._until_admitted(request)
        except PassingError as error:
            message = (
                f"{self.settings.host}: {error}, again and again for {retry_for_s:.0f} s; try later, or check the URL"
            )
        raise UnavailableError(message)

    async def _until_admitted(self, request: _Request) -> bytes:
        """Ask again for as long as the server says that it is too early, but no longer than a lock-out."""
        while True:
            # A retry counts against the limit too, so wait before, not after.
            await self.pace.turn()
            self.counts.requests += 1
            sent = asyncio.get_running_loop().time()
            try:
                data = await self._once(request)
            except ThrottledError as error:
                self._note_refusal(error.retry_after_s)
                continue
            self._note_admission()
            took_s = asyncio.get_running_loop().time() - sent
            self.latency_s = took_s if self.latency_s == 0 else 0.9 * self.latency_s + 0.1 * took_s
            return data

    def _note_admission(self) -> None:
        if self._is_shut:
            self.pace.reopened()
        self._first_refusal_s, self._is_shut = None, False

    def _note_refusal(self, retry_after_s: float) -> None:
        self.counts.refused += 1
        now = asyncio.get_running_loop().time()
        if self._first_refusal_s is None:
            self._first_refusal_s = now
        refused_for_s = now - self._first_refusal_s
        self._is_shut = refused_for_s > SHUT_S
        self.pace.refused(retry_after_s=retry_after_s, is_shut=self._is_shut)
        if max(refused_for_s, retry_after_s) > LOCKED_OUT_S:
            self.pace.reopened()
            wait = timedelta(seconds=retry_after_s) if retry_after_s > LOCKED_OUT_S else LOCK_LASTS
            raise LockedOutError(
                f"{self.settings.host} refuses every request, as it does for a while once a key has asked too often; "
                f"run the same again after {datetime.now().astimezone() + wait:%H:%M}"
            )

    async def _once(self, request: _Request) -> bytes:
        trace = Trace()
        _trace.set(trace)
        failure: ApiError | None = None
        try:
            result = await self._session.transport.execute(request, extra_args={"allow_redirects": False})
        except TransportError as error:
            failure = below_graphql(error, trace, self.settings.host)
        # Raised here, where no other error is in flight: its cause would carry the headers, and so the key.
        if failure is not None:
            raise failure
        self.server_date = trace.date
        for warning in (result.extensions or {}).get("warnings", ()):
            self.warned(warning)
        if result.errors or result.data is None:
            raise in_answer(result.errors or [], trace, request.text, is_partial=result.data is not None)
        if refused := by_status(trace, self.settings.host):
            raise refused
        return bytes(result.data)


def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end from sync code, also inside a notebook's running loop.

    Wraps anyio's blocking portal: the loop lives in a thread of its own. An interrupt in the calling thread cancels
    the coroutine and waits for it to have cleaned up.
    """
    from anyio.from_thread import start_blocking_portal  # noqa: PLC0415

    with start_blocking_portal() as portal:
        result: T = portal.call(main)
        return result


def _client(settings: Settings) -> Client:
    headers = {
        "Authorization": f"Basic {settings.key}",
        "AuthorizationSource": "API",
        "Healthie-GraphQL-API-Version": settings.version,
    }
    if settings.shard:
        headers["AuthorizationShard"] = settings.shard
    transport = AIOHTTPTransport(
        settings.url,
        headers=headers,
        json_serialize=lambda value: msgspec.json.encode(value).decode(),
        json_deserialize=msgspec.json.Decoder(Envelope).decode,
        client_session_args={
            "connector": aiohttp.TCPConnector(limit=0),
            "cookie_jar": aiohttp.DummyCookieJar(),
            "timeout": aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S),
            "response_class": _Answer,
        },
    )
    return Client(transport=transport, parse_results=False, execute_timeout=None)


def _silence() -> None:
    """Switch off the loggers that would write variables and answers: they hold what must not be logged."""
    for name in ("gql.transport.aiohttp", "gql.client"):
        logging.getLogger(name).disabled = True
    stamina_logger = logging.getLogger("stamina")
    if not stamina_logger.handlers:  # Without a handler Python would print each retry.
        stamina_logger.addHandler(logging.NullHandler())
