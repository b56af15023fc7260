"""The socket side of the demo practice: loopback only, and connections that can be dropped on purpose."""

import socket
import struct
from asyncio import BaseTransport
from functools import partial
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from healthie_nb.demo.server import Application, Scope
from healthie_nb.demo.settings import Settings
from healthie_nb.demo.world import World

HOST = "127.0.0.1"
_RESET = struct.pack("ii", 1, 0)
"""Linger on, for no time: closing then sends RST instead of FIN."""

Connections = dict[tuple[str, int], BaseTransport]


class _Protocol(H11Protocol):
    """uvicorn's protocol, which also tells who is connected."""

    def __init__(self, connections: Connections, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._connections = connections

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._connections[transport.get_extra_info("peername")] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self.client is not None:
            self._connections.pop(self.client, None)
        super().connection_lost(exc)


def listener(port: int) -> socket.socket:
    """Return a listening socket on loopback; port 0 is any free one."""
    listening = socket.create_server((HOST, port), backlog=1_024)
    # Connections inherit it. Without it an answer's body waits 40 ms for its head to be acknowledged.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def aborting(world: World, settings: Settings) -> tuple[Application, Connections]:
    """Return the application, able to drop the connections that its server will keep."""
    connections: Connections = {}
    return Application(world, settings, partial(_drop, connections)), connections


def config(application: Application, connections: Connections) -> uvicorn.Config:
    """How uvicorn runs it: silent, nothing but HTTP."""
    return uvicorn.Config(
        application,
        http=partial(_Protocol, connections),  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        log_level="critical",
        timeout_keep_alive=75,
        server_header=False,
    )


def _drop(connections: Connections, scope: Scope) -> None:
    transport: Any = connections.get(tuple(scope["client"]))
    if transport is None:
        return
    plain = transport.get_extra_info("socket")
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()
