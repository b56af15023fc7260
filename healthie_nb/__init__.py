"""Healthie's GraphQL API as polars frames, and the metrics that the notebooks are built on.

`connect()` gives a practice, `Practice.load()` its rows, `visits()` what the metrics take. Names are imported when they
are first used, so that a script pays only for what it needs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

# At once: imported later by any other module, the module of this name would take the function's place here.
from healthie_nb.visits import visits as visits

if TYPE_CHECKING:
    from healthie_nb import charts as charts
    from healthie_nb import days as days
    from healthie_nb import explore as explore
    from healthie_nb import export as export
    from healthie_nb import forms as forms
    from healthie_nb import parameters as parameters
    from healthie_nb import privacy as privacy
    from healthie_nb import quality as quality
    from healthie_nb import query as query
    from healthie_nb import retention as retention
    from healthie_nb import roles as roles
    from healthie_nb import stats as stats
    from healthie_nb import tables as tables
    from healthie_nb import tiles as tiles
    from healthie_nb import views as views
    from healthie_nb import volume as volume
    from healthie_nb.practice import Practice as Practice
    from healthie_nb.practice import connect as connect
    from healthie_nb.query import HealthieError as HealthieError

_NAMES = {"Practice": "practice", "connect": "practice", "HealthieError": "query"}
_MODULES = {
    "charts",
    "days",
    "explore",
    "export",
    "forms",
    "parameters",
    "privacy",
    "quality",
    "query",
    "retention",
    "roles",
    "stats",
    "tables",
    "tiles",
    "views",
    "volume",
}
__all__ = [
    "HealthieError",
    "Practice",
    "charts",
    "connect",
    "days",
    "explore",
    "export",
    "forms",
    "parameters",
    "privacy",
    "quality",
    "query",
    "retention",
    "roles",
    "stats",
    "tables",
    "tiles",
    "views",
    "visits",
    "volume",
]


if not TYPE_CHECKING:  # with it, every name that there is not would be typed, as Any

    def __getattr__(name: str) -> object:
        if name in _MODULES:
            return importlib.import_module(f"{__name__}.{name}")
        if name in _NAMES:
            return getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
