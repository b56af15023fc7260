"""Metrics at sizes that outgrow memory, on every engine: `python benchmarks/size.py`.

It makes practices of several sizes (`large.py`) as a pull would leave them, encrypted, and as an export. Each metric
runs in a process of its own, from files to table: on polars over the encrypted parts, with visits made on the way; by
DuckDB and Spark over the export; in pandas as one would write it by hand. All must give the same rows.
`--only` measures a part and keeps what was measured before, so that a long measurement can be made in pieces.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import export_in_pandas
import large
import polars as pl
from clinic import AS_OF
from metrics import alike, machine, publish
from polars.testing import assert_frame_equal

from healthie_nb import retention, volume

if TYPE_CHECKING:
    from collections.abc import Callable

BEGIN, END = "<!-- size: begin -->", "<!-- size: end -->"
SIZES = (1_000_000, 10_000_000, 20_000_000)
ENGINES = ("polars", "polars, exported", "DuckDB", "Spark", "pandas")
KEY = b"kept with the store, never shown"

OURS: Final[dict[str, Callable[[Any], pl.DataFrame]]] = {
    "counts": lambda v: volume.counts(v, as_of=AS_OF),
    "hours": lambda v: volume.counts(v, as_of=AS_OF, unit="provider hours", by=["provider"]),
    "rates": lambda v: volume.rates(v, as_of=AS_OF, every="month"),
    "panel": lambda v: volume.panel(v, as_of=AS_OF),
    "rebooked": lambda v: volume.rebooked(v, as_of=AS_OF),
    "cohorts": lambda v: retention.cohorts(v, as_of=AS_OF, measure="on"),
    "survival": lambda v: retention.survival(v, as_of=AS_OF),
    "flow": lambda v: retention.flow(v, as_of=AS_OF),
}
BY_HAND: Final[dict[str, Callable[[Path], pl.DataFrame]]] = {
    "counts": export_in_pandas.counts,
    "panel": export_in_pandas.panel,
    "cohorts": export_in_pandas.cohorts,
}


def answered(metric: str, engine: str, folder: Path) -> tuple[pl.DataFrame, float, float]:
    """Return a metric's table, how long it took, and how much of the processors; imports and Spark's start left out."""
    lake = folder / "lake"
    if engine == "Spark":
        session = spark()
    began_s, spent_s = time.perf_counter(), time.process_time()
    match engine:
        case "polars":
            made = OURS[metric](large.scanned(folder))
        case "polars, exported":
            made = OURS[metric](pl.scan_parquet(lake / "visits"))
        case "DuckDB":
            import duckdb  # noqa: PLC0415, only where it is measured

            with duckdb.connect() as connection:
                made = OURS[metric](connection.read_parquet(f"{lake}/visits/*/*.parquet"))
        case "Spark":
            made = OURS[metric](session.read.parquet(f"{lake}/visits"))
        case _:
            made = BY_HAND[metric](lake)
    return made, time.perf_counter() - began_s, time.process_time() - spent_s


def spark() -> Any:
    """Start Spark in one process with both cores, as one tries it on a laptop."""
    import pyspark  # noqa: PLC0415, only where it is measured
    from pyspark.sql import SparkSession  # noqa: PLC0415

    os.environ |= {"SPARK_HOME": str(Path(pyspark.__file__).parent), "SPARK_LOCAL_IP": "127.0.0.1"}
    builder = SparkSession.builder.master(f"local[{os.cpu_count()}]")
    for name, value in {
        "spark.driver.memory": "4g",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        "spark.sql.shuffle.partitions": "8",
    }.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def child(metric: str, engine: str, folder: Path, out: Path) -> None:
    """Measure one, in this process: its table into a file, seconds and the most memory as JSON."""
    made, took_s, cpu_s = answered(metric, engine, folder)
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak_kb = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    made.write_parquet(out)
    print(json.dumps({"seconds": took_s, "cpu_s": cpu_s, "peak_gb": peak_kb / 1e6}))


def stored(folder: Path, runs: int) -> dict[str, float]:
    """Measure the store of one practice beside plain Parquet of the same rows, in turn, in this process."""
    kept = large.store(folder)
    parts = kept.manifest.parts
    rows, plain = kept.read(parts), folder / "plain.parquet"
    rows.write_parquet(plain, compression="lz4")
    ways: dict[str, Callable[[], object]] = {
        "read_s": lambda: kept.read(parts),
        "plain_read_s": lambda: pl.read_parquet(plain),
        "count_s": lambda: _by_status(kept.scan(parts)),
        "plain_count_s": lambda: _by_status(pl.scan_parquet(plain)),
    }
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, way in ways.items():
            began_s = time.perf_counter()
            way()
            took[name].append(time.perf_counter() - began_s)
    exported = list((folder / "lake").rglob("*.parquet"))
    seen = pl.read_parquet(exported)
    return {
        "rows": rows.height,
        "stored_bytes": sum(part.size for part in parts) / rows.height,
        "plain_bytes": plain.stat().st_size / rows.height,
        "frame_bytes": rows.estimated_size() / rows.height,
        "exported_bytes": sum(path.stat().st_size for path in exported) / seen.height,
        "visits_bytes": seen.estimated_size() / seen.height,
        **{name: statistics.median(seconds) for name, seconds in took.items()},
        "runs": runs,
    }


def _by_status(rows: pl.LazyFrame) -> pl.DataFrame:
    return rows.group_by("status").len().collect(engine="streaming")


def store_table(told: dict[str, float]) -> str:
    """Return what the store costs as Markdown."""
    lines = [
        f"Store, {told['rows']:,.0f} appointments, medians of {told['runs']:.0f} runs in turn:",
        "",
        "| | encrypted parts | plain Parquet, lz4, one file | ratio |",
        "|---|---:|---:|---:|",
    ]
    for what, ours, theirs in (
        ("bytes an appointment", "stored_bytes", "plain_bytes"),
        ("read all, s", "read_s", "plain_read_s"),
        ("count by status, lazily, s", "count_s", "plain_count_s"),
    ):
        lines.append(f"| {what} | {told[ours]:.3g} | {told[theirs]:.3g} | {told[ours] / told[theirs]:.2f} |")
    sizes = (
        f"An appointment takes {told['frame_bytes']:.0f} bytes in a frame; a visit {told['visits_bytes']:.0f} in a "
        f"frame and {told['exported_bytes']:.1f} exported."
    )
    return "\n".join([*lines, "", sizes])


def measured(metric: str, engine: str, rows: int, folder: Path) -> dict[str, float]:
    """Measure one in a process of its own; its table must be that of polars.

    Raises
    ------
        AssertionError where it is another.
    """
    place = large.made(rows, folder)
    answers = place / "answers"
    answers.mkdir(exist_ok=True)
    out = answers / f"{metric} {engine}.parquet"
    command = [sys.executable, __file__, "--child", metric, engine, str(place), str(out)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    made, ours = pl.read_parquet(out), pl.read_parquet(answers / f"{metric} polars.parquet")
    if engine == "pandas":
        alike(ours.filter(pl.col("count") > 0) if "count" in ours.columns else ours, made)
    else:
        assert_frame_equal(made, ours, check_exact=True)
    result: dict[str, float] = json.loads(said.splitlines()[-1])
    return result


def table(kept: list[dict[str, Any]]) -> str:
    """Return the results as Markdown: per metric and engine the seconds and the memory of each size, and the growth."""
    sizes = sorted({one["rows"] for one in kept})
    million = [f"{rows // 1_000_000}M" for rows in sizes]
    heads = " | ".join(f"CPU s, {size} | GB" for size in million)
    lines = [
        f"| metric | engine | runs | {heads} | time, 1M to 10M | memory |",
        "|---|---|---:" + "|---:" * (2 * len(sizes) + 2) + "|",
    ]
    for metric in OURS:
        for engine in ENGINES:
            runs = {rows: [one for one in kept if _is(one, metric, engine, rows)] for rows in sizes}
            if any(runs.values()):
                lines.append(_line(metric, engine, runs))
    return "\n".join(lines)


def _is(one: dict[str, Any], metric: str, engine: str, rows: int) -> bool:
    return (one["metric"], one["engine"], one["rows"]) == (metric, engine, rows)


def _line(metric: str, engine: str, runs: dict[int, list[dict[str, Any]]]) -> str:
    spent = "seconds" if engine == "Spark" else "cpu_s"  # Java's is another process
    medians = {
        rows: {name: statistics.median(one[name] for one in found) for name in (spent, "peak_gb")}
        for rows, found in runs.items()
        if found
    }
    cells = [metric, engine, ", ".join(str(len(found)) for found in runs.values())]
    for rows in runs:
        told = medians.get(rows)
        memory = "" if engine == "Spark" else f"{told['peak_gb']:.2f}" if told else ""  # its memory is Java's
        cells += [f"{told[spent]:.2f}", memory] if told else ["", ""]
    small, large_ = medians.get(SIZES[0]), medians.get(SIZES[1])
    grown = [f"{large_[name] / small[name]:.1f}x" for name in (spent, "peak_gb")] if small and large_ else ["", ""]
    grown[1] = "" if engine == "Spark" else grown[1]
    return f"| {' | '.join([*cells, *grown])} |"


def main() -> None:
    """Measure what is asked for and write it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="*", default=list(SIZES))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--engines", nargs="*", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--metrics", nargs="*", choices=list(OURS), default=list(OURS), metavar="METRIC")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "healthie-nb-size")
    parser.add_argument("--only", action="store_true", help="add to what was measured before, in the folder")
    parser.add_argument("--dry", action="store_true", help="leave README.md as it is")
    parser.add_argument("--store", type=int, help="measure the store at so many rows, and no metric")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        metric, engine, folder, out = options.child
        child(metric, engine, Path(folder), Path(out))
        return
    log, told = options.folder / "measured.json", options.folder / "store.json"
    kept = json.loads(log.read_text(encoding="utf-8")) if options.only and log.exists() else []
    if not options.only or options.store:
        result = stored(large.made(options.store or SIZES[0], options.folder), 5)
        told.write_text(json.dumps(result), encoding="utf-8")
    for _ in range(0 if options.store else options.runs):
        for rows in options.rows:
            for metric in options.metrics:
                for engine in options.engines:
                    if engine == "pandas" and metric not in BY_HAND:
                        continue
                    result = measured(metric, engine, rows, options.folder)
                    kept.append({"metric": metric, "engine": engine, "rows": rows, **result})
                    print(kept[-1], flush=True)
                    log.write_text(json.dumps(kept), encoding="utf-8")
    packages = ", ".join(f"{name} {version(name)}" for name in ("pyspark", "pandas"))
    heading = f"{datetime.now(UTC):%Y-%m-%d}, medians; runs: how many at each size. {machine()} {packages}."
    section = f"{heading}\n\n{table(kept)}\n\n{store_table(json.loads(told.read_text(encoding='utf-8')))}"
    print(section)
    if not options.dry:
        publish(section, BEGIN, END)


if __name__ == "__main__":
    main()
