"""How fast the metrics are beside the same ones written by hand: `python benchmarks/metrics.py`.

It makes a practice in memory (`clinic.py`), asks every metric of it, and the same in polars (`in_polars.py`), in
DuckDB's SQL (`in_sql.py`), and some in pandas (`in_pandas.py`), checks that all give the same rows, and puts the table
into `benchmarks/README.md`. They take turns; medians of `--runs`. `--on` runs the library's side on another engine.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import platform
import statistics
import time
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import clinic
import in_pandas
import in_polars
import in_sql
import polars as pl
from clinic import AS_OF, HISTORY, KEY, ZONE, Given
from polars.testing import assert_frame_equal

from healthie_nb import forms, retention, volume
from healthie_nb.visits import visits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BEGIN, END = "<!-- metrics: begin -->", "<!-- metrics: end -->"
README = Path(__file__).parent / "README.md"
ENGINES = ("polars", "duckdb")
CLOCKS: Final[dict[str, Callable[[], float]]] = {"wall": time.perf_counter, "cpu": time.process_time}
PEERS = ("polars", "duckdb", "pandas")

OURS: Final[dict[str, Callable[[Given], pl.DataFrame]]] = {
    "visits": lambda g: visits(g.appointments, zone=ZONE, attendance=g.attendance, roles=g.roles),
    "cohorts": lambda g: retention.cohorts(g.visits, as_of=AS_OF, history_from=HISTORY, clients=g.clients),
    "heat_map": lambda g: retention.cohorts(g.visits, as_of=AS_OF, measure="on"),
    "survival": lambda g: retention.survival(g.visits, as_of=AS_OF).filter(pl.col("day") > 0),
    "second_visit": lambda g: retention.survival(g.visits, as_of=AS_OF, event="second visit").filter(pl.col("day") > 0),
    "funnel": lambda g: retention.funnel(g.visits, g.clients, as_of=AS_OF),
    "states": lambda g: retention.states(g.visits, g.clients, as_of=AS_OF),
    "population": lambda g: retention.population(g.visits, g.clients, as_of=AS_OF, history_from=HISTORY),
    "definitions": lambda g: retention.definitions(g.visits, as_of=AS_OF),
    "flow": lambda g: retention.flow(g.visits, as_of=AS_OF),
    "worklist": lambda g: retention.worklist(g.visits, as_of=AS_OF, key=KEY),
    "counts": lambda g: volume.counts(g.visits, as_of=AS_OF),
    "appointments": lambda g: volume.counts(g.visits, as_of=AS_OF, unit="appointments"),
    "hours": lambda g: volume.counts(g.visits, as_of=AS_OF, unit="provider hours", by=["provider"]),
    "rates": lambda g: volume.rates(g.visits, as_of=AS_OF, every="month"),
    "first_visits": lambda g: volume.rates(g.visits, as_of=AS_OF, by=["first visit"]),
    "heat": lambda g: volume.heat(g.visits, as_of=AS_OF),
    "lead": lambda g: volume.lead(g.visits, as_of=AS_OF),
    "funnel_plot": lambda g: volume.funnel_plot(g.visits, as_of=AS_OF),
    "cancellations": lambda g: volume.cancellations(g.visits, as_of=AS_OF),
    "unmarked": lambda g: volume.unmarked(g.visits, as_of=AS_OF),
    "booked": lambda g: volume.booked(g.visits, as_of=AS_OF),
    "rebooked": lambda g: volume.rebooked(g.visits, as_of=AS_OF),
    "panel": lambda g: volume.panel(g.visits, as_of=AS_OF),
    "notes": lambda g: forms.notes(g.visits, g.chart_notes, as_of=AS_OF),
    "open_notes": lambda g: forms.open_notes(g.visits, g.chart_notes, as_of=AS_OF),
    "overdue_notes": lambda g: forms.overdue_notes(g.visits, g.chart_notes, as_of=AS_OF, key=KEY),
    "readiness": lambda g: forms.readiness(g.visits, g.filled_forms, g.form_requests, g.form_roles, as_of=AS_OF),
    "before_first_visit": lambda g: forms.before_first_visit(g.visits, g.filled_forms, g.form_roles, as_of=AS_OF),
    "measures": lambda g: forms.measures(g.visits, g.filled_forms, g.form_roles, as_of=AS_OF),
    "requests": lambda g: forms.requests(g.form_requests, g.clients),
    "overdue": lambda g: forms.overdue(g.form_requests, g.clients, as_of=AS_OF, key=KEY),
}
NO_SQL = {"visits"}  # its calendar needs time zones, which DuckDB has in an extension only


def ways(given: Given, on: Given, peers: list[str]) -> dict[str, Callable[[str], pl.DataFrame]]:
    """Return each way to answer a metric by its name: ours, and those of the peers."""
    found: dict[str, Callable[[str], pl.DataFrame]] = {"ours": lambda metric: OURS[metric](on)}
    if "polars" in peers:
        found["polars"] = lambda metric: getattr(in_polars, metric)(given)
    if "duckdb" in peers:
        connection = in_sql.tables(given)
        found["duckdb"] = lambda metric: in_sql.answer(connection, metric)
    if "pandas" in peers:
        frames = in_pandas.tables(given)
        found["pandas"] = lambda metric: in_pandas.METRICS[metric](frames)
    return found


def has(metric: str, way: str) -> bool:
    """Whether somebody wrote this metric that way."""
    return (way != "duckdb" or metric not in NO_SQL) and (way != "pandas" or metric in in_pandas.METRICS)


@contextlib.contextmanager
def placed(given: Given, engine: str) -> Iterator[Given]:
    """Put the visits on the engine that our side is to run on."""
    if engine == "polars":
        yield given
        return
    import duckdb  # noqa: PLC0415, only where it is asked for

    connection = duckdb.connect()
    connection.register("incoming", given.visits.to_arrow())
    connection.sql("create table visits as from incoming")
    connection.unregister("incoming")
    yield replace(given, visits=connection.table("visits"))
    connection.close()


def alike(ours: pl.DataFrame, theirs: pl.DataFrame) -> None:
    """Check that an answer has the rows of ours, in the columns that it has.

    Raises
    ------
        AssertionError where they differ.
    """
    columns = sorted(theirs.columns)
    labels = [name for name in columns if not ours.schema[name].is_float()]
    both = [_plain(rows.select(columns)).sort(labels, nulls_last=True) for rows in (ours, theirs)]
    assert_frame_equal(*both, check_exact=False, rel_tol=1e-9, abs_tol=1e-9)


def _plain(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one form for what engines write in several ways; rows that count nobody are no difference."""
    texts = pl.selectors.by_dtype(pl.Enum, pl.Categorical).cast(pl.String)
    zoned = pl.selectors.datetime().dt.replace_time_zone(None).dt.cast_time_unit("us")
    plain = rows.with_columns(pl.selectors.numeric().cast(pl.Float64).fill_nan(None), texts, zoned)
    return plain.filter(pl.col("clients") > 0) if "clients" in plain.columns else plain


def measured(
    metric: str, asked: dict[str, Callable[[str], pl.DataFrame]], runs: int, clock: Callable[[], float]
) -> dict[str, float]:
    """Seconds of each way, medians; the first round is for checking that they agree."""
    chosen = {name: way for name, way in asked.items() if has(metric, name)}
    ours = chosen["ours"](metric)
    for name in list(chosen)[1:]:
        try:
            alike(ours, chosen[name](metric))
        except AssertionError as apart:
            raise AssertionError(f"{metric}: {name} does not give the same rows: {apart}") from apart
    took: dict[str, list[float]] = {name: [] for name in chosen}
    for _ in range(runs):
        for name, way in chosen.items():
            gc.collect()
            began_s = clock()
            way(metric)
            took[name].append(clock() - began_s)
    return {name: statistics.median(seconds) for name, seconds in took.items()}


def table(results: dict[str, dict[str, float]], peers: list[str]) -> str:
    """Return the results as Markdown: seconds of ours, then of each peer and how many times ours they are."""
    named = {"polars": "polars by hand", "duckdb": "DuckDB", "pandas": "pandas"}
    heads = ["metric", "ours, ms", *(f"{named[peer]}, ms | times ours" for peer in peers)]
    lines = [f"| {' | '.join(heads)} |", "|---" + "|---:" * (1 + 2 * len(peers)) + "|"]
    for metric, took in results.items():
        cells = [f"{took['ours'] * 1000:.0f}"]
        for peer in peers:
            cells += [f"{took[peer] * 1000:.0f}", f"{took[peer] / took['ours']:.2f}"] if peer in took else ["", ""]
        lines.append(f"| {metric} | {' | '.join(cells)} |")
    return "\n".join(lines)


def machine() -> str:
    """Say what this was measured on."""
    processors = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    names = [line.partition(":")[2].strip() for line in processors.splitlines() if line.startswith("model name")]
    packages = ", ".join(f"{name} {version(name)}" for name in ("polars", "narwhals", "duckdb", "pandas"))
    return (
        f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores, load average at the start "
        f"{os.getloadavg()[0]:.1f}. {platform.system()}, CPython {platform.python_version()}, {packages}."
    )


def publish(text: str, begin: str = BEGIN, end: str = END) -> None:
    """Put a section between its markers in the README beside this file.

    Raises
    ------
        ValueError when they are not there.
    """
    before, mark, rest = README.read_text(encoding="utf-8").partition(begin)
    if not mark:
        raise ValueError(f"{README} has no {begin}")
    README.write_text(before + mark + "\n" + text + "\n" + end + rest.partition(end)[2], encoding="utf-8")


def main() -> None:
    """Measure what is asked for and write it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--on", choices=ENGINES, default="polars", help="the engine that our side runs on")
    parser.add_argument("--metrics", nargs="*", choices=list(OURS), default=list(OURS), metavar="METRIC")
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="cpu: of all threads, for a machine that is busy"
    )
    parser.add_argument("--dry", action="store_true", help="leave README.md as it is")
    options = parser.parse_args()
    where = machine()
    given = clinic.practice(options.rows)
    results: dict[str, dict[str, Any]] = {}
    with placed(given, options.on) as on:
        asked = ways(given, on, options.peers)
        for metric in options.metrics:
            results[metric] = measured(metric, asked, options.runs, CLOCKS[options.clock])
            print(metric, {name: round(took, 3) for name, took in results[metric].items()}, flush=True)
    size = f"{given.visits.height:,} visits, {options.runs} runs, {options.clock} time"
    heading = f"{datetime.now(UTC):%Y-%m-%d}, {size}. {where}"
    section = f"{heading}\n\n{table(results, options.peers)}"
    print(section)
    if not options.dry:
        publish(section)


if __name__ == "__main__":
    main()
