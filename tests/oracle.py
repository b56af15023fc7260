"""DuckDB beside the metrics: the same question in SQL, and the metric itself on every engine at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
from hypothesis import HealthCheck, settings
from polars import selectors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

on_worlds = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


CHICAGO = "America/Chicago"


def on_the_wall(world: pl.DataFrame, zone: str = CHICAGO) -> pl.DataFrame:
    """Visits with what the practice's clock showed when they were booked and changed: booked_local, changed_local."""
    wall = {"booked_local": "booked_at", "changed_local": "status_changed_at"}
    return world.with_columns(
        pl.col(at).dt.convert_time_zone(zone).dt.replace_time_zone(None).alias(name) for name, at in wall.items()
    )


class Oracle:
    """One DuckDB for the tests of a module; it reads visits from a file, as one who outgrew memory would."""

    def __init__(self, folder: Path, base: str) -> None:
        self.path, self.plain, self.base = str(folder / "visits.parquet"), str(folder / "plain.parquet"), base
        self.connection = duckdb.connect()

    def table(self, name: str, rows: pl.DataFrame) -> None:
        """Create a table; instants without their zone, UTC, which DuckDB's own SQL needs an extension to take apart."""
        rows.with_columns(selectors.datetime().dt.replace_time_zone(None)).write_parquet(self.plain)
        self.connection.sql(f"create or replace table {name} as from '{self.plain}'")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.connection.sql(self.base + query).fetchall()

    def everywhere(self, world: pl.DataFrame, metric: Callable[[Any], pl.DataFrame]) -> pl.DataFrame:
        """Return the answer that all engines give; the world becomes the table `visits`."""
        self.table("visits", on_the_wall(world))
        world.write_parquet(self.path)
        answer = metric(world)
        for engine in (world.lazy(), self.connection.read_parquet(self.path)):
            other = metric(engine)
            assert other.schema == answer.schema
            assert other.equals(answer), (answer, other)
        return answer
