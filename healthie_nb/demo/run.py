"""One demo practice running in this process, until it is stopped or nobody uses it."""

import asyncio
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import uvicorn
from filelock import FileLock, Timeout

from healthie_nb.demo.discovery import Endpoint, announce, withdraw
from healthie_nb.demo.listener import HOST, aborting, config, listener
from healthie_nb.demo.server import Application
from healthie_nb.demo.settings import Settings
from healthie_nb.demo.world import World


async def run(options: Namespace, *, key: str, say: Callable[[Endpoint], None]) -> None:
    """Serve the practice that the options describe. Raise ValueError or OSError when they cannot be served."""
    settings = Settings(
        key=key,
        rate=options.rate or None,
        latency_ms=options.latency,
        faults=options.faults,
        allows_introspection=not options.no_introspection,
    )
    world = World(seed=options.seed, clients=options.clients, as_of=options.as_of)
    with listener(options.port) as listening:
        url = f"http://{HOST}:{listening.getsockname()[1]}/graphql"
        endpoint = Endpoint(url, key, world.seed, world.client_count, world.as_of)
        application, connections = aborting(world, settings)
        server = uvicorn.Server(config(application, connections))
        await _served(server, application, endpoint, listening=listening, options=options, say=say)


async def _served(
    server: uvicorn.Server, application: Application, endpoint: Endpoint, *, listening: object, options: Namespace,
    say: Callable[[Endpoint], None],
) -> None:  # fmt: skip
    at: Path | None = options.announce
    if at is not None:
        announce(at, endpoint)
    say(endpoint)
    watch = asyncio.create_task(_end_when_idle(server, application, endpoint, options.idle_minutes * 60, at))
    try:
        await server.serve(sockets=[listening])  # type: ignore[list-item]
    finally:
        watch.cancel()
        if at is not None:
            withdraw(at, endpoint)


async def _end_when_idle(
    server: uvicorn.Server, application: Application, endpoint: Endpoint, idle_s: float, at: Path | None
) -> None:
    while idle_s > 0:
        await asyncio.sleep(min(5.0, idle_s / 4))
        if time.monotonic() - application.last_used < idle_s:
            continue
        if at is None or _gone(at, endpoint, application, idle_s):
            server.should_exit = True
            return


def _gone(at: Path, endpoint: Endpoint, application: Application, idle_s: float) -> bool:
    """Withdraw the announcement, unless somebody is just about to use it: they hold the lock while they look."""
    try:
        with FileLock(at.with_suffix(".lock"), timeout=0, mode=0o600):
            if time.monotonic() - application.last_used < idle_s:
                return False
            withdraw(at, endpoint)
            return True
    except Timeout:
        return False
