"""The demo practice on the wire: POST /graphql answers as Healthie does, POST /control is for tests."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgspec

from healthie_nb.demo import versions
from healthie_nb.demo.answers import answer, asks_for_schema, failed, operation_name
from healthie_nb.demo.control import ControlError, controlled
from healthie_nb.demo.faults import BEFORE, THROTTLED, Faults, Reply, partial, replaced
from healthie_nb.demo.practice import RunningPractice
from healthie_nb.demo.settings import Settings
from healthie_nb.demo.throttle import Throttle
from healthie_nb.demo.world import World

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_JSON = msgspec.json.Encoder()


@dataclass
class Counters:
    """What the server saw."""

    requests: int = 0
    operations: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)


class Application:
    """The demo practice as an ASGI application. `abort` drops the connection of a scope without a word."""

    def __init__(self, world: World, settings: Settings, abort: Callable[[Scope], None] | None = None) -> None:
        self.practice = RunningPractice(world, settings)
        self.reset_counters()
        self.last_used = time.monotonic()
        self._abort = abort or (lambda _: None)
        self._faults = Faults(settings.fault_seed)
        self._latency = Random(settings.fault_seed)

    def reset_counters(self) -> None:
        """Start counting afresh, the rate's window too."""
        self.counters = Counters()
        self.throttle = Throttle(time.monotonic)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if headers.get("host", "").rsplit(":", 1)[0] not in LOOPBACK:
            # A page that rebinds its own name to 127.0.0.1 must not read the practice.
            await _reply(send, Reply(421, b"This server answers on loopback only.", "text/plain"))
            return
        body = await _body(receive)
        if headers.get("authorization") == f"Basic {self.practice.settings.key}":
            self.last_used = time.monotonic()
        route = (scope["method"], scope["path"])
        if route == ("POST", "/graphql"):
            await self._graphql(scope, receive, send, headers, body)
        elif route == ("POST", "/control"):
            await _reply(send, self._control(headers, body))
        else:
            await _reply(send, Reply(404, b'{"status":404,"error":"Not Found"}'))

    async def _graphql(self, scope: Scope, receive: Receive, send: Send, headers: dict[str, str], raw: bytes) -> None:
        settings = self.practice.settings
        body = _decoded(raw)
        self.counters.requests += 1
        self.counters.operations[operation_name(body)] += 1
        refusal = self._refusal(settings, headers, body)
        fault = None if refusal else self._faults.draw(settings.faults)
        await asyncio.sleep(self._latency.uniform(*settings.latency_ms) / 1_000)
        if refusal is not None:
            await _reply(send, refusal)
            return
        if fault is not None:
            self.counters.faults[fault] += 1
        if fault == "timeout":
            await _hang(receive, settings.hang_s)
            return
        if fault == "reset":
            self._abort(scope)
            return
        if fault in BEFORE:
            await _reply(send, replaced(str(fault)))
            return
        await self._send_answer(scope, send, self._answer(headers, body), fault)

    def _refusal(self, settings: Settings, headers: dict[str, str], body: Any) -> Reply | None:
        if not self.throttle.passes(settings.rate, lockout_after=settings.lockout_after, lockout_s=settings.lockout_s):
            return self._throttled(settings)
        if headers.get("authorization") != f"Basic {settings.key}" or headers.get("authorizationsource") != "API":
            return _key_rejected(settings)
        if asks_for_schema(body) and not settings.allows_introspection:
            return Reply(500, b'{"status":500,"error":"Internal Server Error"}')
        rejection = versions.rejection(headers.get(versions.HEADER), is_after_sunset=settings.is_after_sunset)
        return None if rejection is None else Reply(200, _JSON.encode({"errors": [rejection]}))

    def _throttled(self, settings: Settings) -> Reply:
        style = settings.throttle
        if style == "alternate":
            style = "429" if self.throttle.refused % 2 else "200"
        after = settings.retry_after_s
        extra = () if after is None else ((b"retry-after", str(after).encode()),)
        return Reply(int(style), _JSON.encode(THROTTLED), headers=extra)

    def _answer(self, headers: dict[str, str], body: Any) -> dict[str, Any]:
        result = answer(self.practice, body)
        warnings = versions.warnings(headers.get(versions.HEADER))
        if warnings:
            result["extensions"] = {"warnings": warnings}
        return result

    async def _send_answer(self, scope: Scope, send: Send, result: dict[str, Any], fault: str | None) -> None:
        body = _JSON.encode(partial(result) if fault == "partial" else result)
        if fault == "truncated":
            body = body[: len(body) // 2]
        if fault != "midbody":
            await _reply(send, Reply(200, body))
            return
        await _start(send, Reply(200, body))
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        self._abort(scope)

    def _control(self, headers: dict[str, str], raw: bytes) -> Reply:
        if headers.get("authorization") != f"Basic {self.practice.settings.key}":
            return Reply(401, b'{"error":"the control endpoint needs the key"}')
        try:
            return Reply(200, _JSON.encode(controlled(self, _decoded(raw))))
        except ControlError as error:
            return Reply(400, _JSON.encode({"error": str(error)}))


def _key_rejected(settings: Settings) -> Reply:
    if settings.rejects_key_with == "401":
        return Reply(401, b'{"error":"Unauthorized"}')
    if settings.rejects_key_with == "errors":
        return Reply(200, _JSON.encode(failed("API Key is invalid", code="UNAUTHENTICATED")))
    return Reply(200, b'{"data":{"currentUser":null}}')


def _decoded(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return None


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body"):
            return b"".join(parts)


async def _hang(receive: Receive, seconds: float) -> None:
    """Wait until the caller gives up."""
    try:
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return


async def _reply(send: Send, reply: Reply) -> None:
    await _start(send, reply)
    await send({"type": "http.response.body", "body": reply.body})


async def _start(send: Send, reply: Reply) -> None:
    headers = [
        (b"content-type", reply.content_type.encode()),
        (b"content-length", str(len(reply.body)).encode()),
        *reply.headers,
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
