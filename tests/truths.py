"""What a load must give, worked out from the demo's world and not from its server; and practices to compare it with."""

from __future__ import annotations

import contextlib
import dataclasses
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
from conftest import NOW, Clock

from healthie_nb.demo import Served, World, expected_ids, serving
from healthie_nb.demo import Settings as Behaviour
from healthie_nb.practice import Practice
from healthie_nb.settings import Settings

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterator

SPAN = {"start": "2023-01-01", "end": "2026-12-31"}
BOUNDS = {"start": datetime(2023, 1, 1, 5, tzinfo=UTC), "end": datetime(2027, 1, 1, 5, tzinfo=UTC)}
WINDOWED = ("appointments", "filled_forms")
AT_ONCE = timedelta(0)
# Columns that the world's tables and the frames of queries/ both have, by their names there and here.
COLUMNS = {
    "appointments": {
        name: name for name in ("id", "updated_at", "starts_at", "status", "minutes", "client_id", "provider_id")
    },
    "clients": {"id": "id", "updated_at": "updated_at", "active": "is_active", "archived_at": "archived_at"},
    "filled_forms": {"id": "id", "updated_at": "updated_at", "filled_at": "filled_at", "client_id": "client_id"},
    "providers": {"id": "id", "updated_at": "updated_at", "name": "name"},
    "form_requests": {"id": "id", "form_id": "form_id", "client_id": "client_id", "filled_id": "filled_form_id"},
}


def truth(world: World, name: str = "appointments", *, null_every: int | None = None) -> pl.DataFrame:
    """Return the rows of a data set as the world has them, by id."""
    ids = expected_ids(world, name, **(BOUNDS if name in WINDOWED else {}))  # type: ignore[arg-type]
    rows = world.table(name).filter(pl.col("id").is_in(ids))
    if null_every:
        rows = rows.filter(pl.col("number") % null_every != 0)
    return plain(rows.select(pl.col(old).alias(new) for old, new in COLUMNS[name].items()))


def loaded(practice: Practice, name: str = "appointments", **options: Any) -> pl.DataFrame:
    """Return what a load gives, in the shape of `truth`."""
    rows = practice.load(name, **(SPAN if name in WINDOWED else {}), **options)
    order = [column for column in ("starts_at", "id") if column in rows.columns] if name == "appointments" else ["id"]
    if name != "filled_forms":
        assert rows.equals(rows.sort(order)), "not in order"
    return plain(rows.select(COLUMNS[name].values()))


def plain(rows: pl.DataFrame) -> pl.DataFrame:
    moments = pl.selectors.datetime()
    return rows.with_columns(moments.dt.convert_time_zone("UTC").dt.cast_time_unit("us")).sort("id")


@contextlib.contextmanager
def clinic(folder: pathlib.Path, *, clients: int = 120, **behaviour: Any) -> Iterator[tuple[Practice, Served, Clock]]:
    """Serve a clinic of its own and connect to it; the pace never holds a test up."""
    with serving(World(clients=clients), Behaviour(**{"rate": None, **behaviour})) as served:
        clock = Clock(NOW)
        yield connected(served, folder, clock), served, clock


def connected(served: Served, folder: pathlib.Path, clock: Clock, *, max_rps: float = 1e5) -> Practice:
    folders = {"cache_dir": folder / "cache", "data_dir": folder / "data"}
    return Practice(Settings(url=served.url, key=served.key, max_rps=max_rps, **folders), clock=clock)


def behave(served: Served, **changes: Any) -> None:
    """Change how a running clinic behaves."""
    served.application.practice.settings = dataclasses.replace(served.application.practice.settings, **changes)


def pages(served: Served) -> int:
    return served.application.practice.pages_served
