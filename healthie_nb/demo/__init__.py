"""The demo practice: a synthetic clinic behind a real GraphQL server on loopback, which behaves as Healthie does.

`start()` runs one on demand, shared by all notebooks; `serving()` runs one in a thread, for tests; `World` is what it
serves. The server and its world are imported only when they are asked for: who only calls `start()` needs neither.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from healthie_nb.demo.process import DemoError, Endpoint, start

if TYPE_CHECKING:
    from healthie_nb.demo.canary import Canary
    from healthie_nb.demo.expected import expected_ids
    from healthie_nb.demo.in_thread import Served, serving
    from healthie_nb.demo.settings import Settings
    from healthie_nb.demo.world import World

__all__ = ["Canary", "DemoError", "Endpoint", "Served", "Settings", "World", "expected_ids", "serving", "start"]

_LATER = {
    "Canary": "canary",
    "Served": "in_thread",
    "Settings": "settings",
    "World": "world",
    "expected_ids": "expected",
    "serving": "in_thread",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for the first time."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
