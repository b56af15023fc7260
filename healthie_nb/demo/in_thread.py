"""The demo practice in a thread of this process: for tests, which then share its world."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn

from healthie_nb.demo.listener import aborting, config, listener
from healthie_nb.demo.server import Application
from healthie_nb.demo.settings import Settings
from healthie_nb.demo.world import World


@dataclass(frozen=True)
class Served:
    """A running demo practice: where it is, its key, and its world to look into and edit."""

    url: str
    key: str
    world: World
    application: Application


@contextmanager
def serving(world: World | None = None, settings: Settings | None = None) -> Iterator[Served]:
    """Return a demo practice on a free port of 127.0.0.1, gone when the block ends."""
    settings = settings or Settings()
    application, connections = aborting(world or World(), settings)
    with listener(0) as listening:
        server = uvicorn.Server(config(application, connections))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="demo-practice", daemon=True)
        thread.start()
        _wait(server, thread)
        try:
            yield Served(_url(listening), settings.key, application.practice.world, application)
        finally:
            server.should_exit = server.force_exit = True
            thread.join()


def _url(listening: socket.socket) -> str:
    return f"http://127.0.0.1:{listening.getsockname()[1]}/graphql"


def _wait(server: uvicorn.Server, thread: threading.Thread) -> None:
    while not server.started and thread.is_alive():
        thread.join(0.005)
