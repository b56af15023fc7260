"""How fast, how politely and in how much memory a practice is pulled: `python benchmarks/pull.py`.

It starts a practice of prepared pages (`prepared.py`) in a process of its own, pulls it with the library in others,
over HTTP like anyone, and with peers (`peers.py`), and puts the table into `benchmarks/README.md`. Medians of `--runs`;
where two ways are compared, they take turns in the same run.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import math
import os
import platform
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from healthie_nb.pages import instant
from healthie_nb.practice import Practice
from healthie_nb.query import read
from healthie_nb.refresh import RECENT
from healthie_nb.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
KEY = "gh_demo_bench"
START, END = "2022-01-01", "2026-12-31"
SPAN = {"start": "2022-01-01T00:00:00+00:00", "end": "2027-01-01T23:00:00+00:00"}
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)  # when the pull takes place, and what the server's rows are made for
RATE, PAGE = 250, 100
HEALTHIE = {"latency_s": [0.3, 0.5], "rate": RATE}
CHANGES = {"edits": 600, "moves": 200, "inserts": 200, "deletes": 0}
UNLIMITED = 100_000.0
BEGIN, END_MARK = "<!-- pull: begin -->", "<!-- pull: end -->"

Took = dict[str, Any]


# -- one load, in a process of its own ---------------------------------------------------------------------------------


def load(url: str, folder: Path, *, max_rps: float, now: datetime, kept: Path | None) -> dict[str, Any]:
    """Load every appointment as an analyst does, and return what it took."""
    began_s, cpu_s = time.perf_counter(), _cpu_s()
    practice = Practice(
        Settings(url=url, key=KEY, max_rps=max_rps, cache_dir=folder, data_dir=folder), clock=lambda: now
    )
    connected_s = time.perf_counter()
    rows = practice.load("appointments", start=START, end=END)
    wall_s = time.perf_counter() - connected_s
    took = {"rows": rows.height, "connect_s": connected_s - began_s, "wall_s": wall_s, "cpu_s": _cpu_s() - cpu_s}
    took["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    if kept:
        rows.write_ipc(kept)
    return took


def reads(url: str, folder: Path, plain: Path) -> dict[str, float]:
    """Load what is stored, and read the same rows from one plain Parquet file, in turns; return the medians."""
    practice = Practice(Settings(url=url, key=KEY, cache_dir=folder, data_dir=folder), clock=lambda: NOW)
    practice.load("appointments", start=START, end=END).write_parquet(plain, compression="lz4")
    stored, unencrypted = [], []
    for _ in range(7):
        stored.append(_seconds(lambda: practice.load("appointments", start=START, end=END)))
        unencrypted.append(_seconds(lambda: pl.read_parquet(plain)))
    return {"stored_s": statistics.median(stored), "plain_s": statistics.median(unencrypted)}


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _seconds(do: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    do()
    return time.perf_counter() - began_s


def command(*arguments: object, interpreter: tuple[str, ...] = (sys.executable,), script: str = "pull.py") -> list[str]:
    """Return the command that runs one of these scripts."""
    return [str(word) for word in (*interpreter, HERE / script, *arguments)]


def child(*arguments: object, **how: Any) -> Any:
    """Run one of these scripts in a process of its own and return what it printed last."""
    done = subprocess.run(command(*arguments, **how), check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


# -- the server, in another --------------------------------------------------------------------------------------------


class Prepared:
    """The practice of prepared pages, in its process."""

    def __init__(self, url: str) -> None:
        self.url = url

    def control(self, **told: Any) -> dict[str, Any]:
        """Tell it how to behave; return what it saw until then."""
        request = urllib.request.Request(self.url.replace("graphql", "control"), json.dumps(told).encode())
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def behave(self, **manner: Any) -> None:
        """Behave so, and count afresh."""
        self.control(manner=manner, reset=True)


@contextlib.contextmanager
def prepared(rows: int) -> Iterator[Prepared]:
    """Start a practice of so many rows, and end it."""
    process = subprocess.Popen(
        [sys.executable, HERE / "prepared.py", "--rows", str(rows)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        yield Prepared(process.stdout.readline().strip())
    finally:
        process.kill()
        process.wait()


# -- what is measured --------------------------------------------------------------------------------------------------


@dataclass
class Bench:
    """One server of `count` rows, and the folders of its pulls."""

    server: Prepared
    count: int
    folder: Path

    @property
    def least_s(self) -> float:
        """How long the limit lets the pages take."""
        return self.count / PAGE / RATE

    def store(self, name: str, *, keep_pace: bool = False) -> Path:
        """Return an empty folder; the pace that was learned there may stay."""
        folder = self.folder / name
        shutil.rmtree(folder / "store" if keep_pace else folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def load(self, folder: Path, *, max_rps: float = RATE, now: datetime = NOW, kept: Path | None = None) -> Took:
        """Load in a process of its own; add what the server saw, and check that every row came."""
        self.server.control(reset=True)
        took = child("load", self.server.url, folder, max_rps, now.isoformat(), *([kept] if kept else []))
        seen = self.server.control(reset=True)
        if took["rows"] != seen["rows"]:
            sys.exit(f"{took['rows']} rows loaded, {seen['rows']} served")
        asked = seen["asked"]
        return {
            **took,
            **seen,
            "rows": seen["rows"],
            "requests": len(asked),
            "refused_share": seen["refused"] / len(asked),
        }

    def pulls(self) -> tuple[Took, Took]:
        """Pull everything with nothing known, then again with the pace that it learned."""
        self.server.behave(**HEALTHIE)
        cold = self.load(self.store("pull"), kept=self.folder / "whole.arrow")
        return cold, self.load(self.store("pull", keep_pace=True))

    def refreshed(self, number: int) -> dict[str, int]:
        """Change rows, refresh what `pulls` stored, and sort what was asked by what it was for."""
        now = NOW + number * timedelta(days=2)
        self.server.control(change={**CHANGES, "at": (now - timedelta(minutes=1)).isoformat(), "seed": number + 1})
        took = self.load(self.folder / "pull", now=now, kept=self.folder / "refreshed.arrow")
        recent_start = now - RECENT
        starts = pl.scan_ipc(self.folder / "refreshed.arrow").filter(pl.col("starts_at").is_between(recent_start, now))
        windows = [(first, instant(end)) for name, first, _, end in took["asked"] if name == "appointments"]
        is_recent = [first > 1 and recent_start < end < now + timedelta(days=1) for first, end in windows]
        all_changed = sum(name == "appointments_changed" for name, *_ in took["asked"])
        found = {
            "changed": all_changed,
            "counts": sum(first == 1 for first, _ in windows),
            "recent": sum(is_recent),
            "others": sum(first > 1 for first, _ in windows) - sum(is_recent),
            "least_changed": math.ceil(sum(CHANGES.values()) / PAGE),
            "least_recent": math.ceil(starts.select(pl.len()).collect().item() / PAGE),
        }
        beyond = found["changed"] - found["least_changed"] + found["recent"] - found["least_recent"] + found["others"]
        return {**found, "beyond": beyond}

    def killed(self, *, times: int = 3) -> dict[str, Any]:
        """Pull while being killed at random moments; tell whether it ends with the frame of the undisturbed pull."""
        self.server.behave(**HEALTHIE)
        folder, kept, moments = self.store("killed"), self.folder / "killed.arrow", []
        for _ in range(times):
            process = subprocess.Popen(command("load", self.server.url, folder, RATE, NOW.isoformat()))
            moments.append(2 + random.uniform(0.3, 0.9) * self.least_s)
            time.sleep(moments[-1])
            process.kill()
            process.wait()
        asked = len(self.server.control()["asked"])
        last = child("load", self.server.url, folder, RATE, NOW.isoformat(), kept)
        seen = self.server.control(reset=True)
        same = pl.read_ipc(kept).equals(pl.read_ipc(self.folder / "whole.arrow"))
        requests = {"requests": len(seen["asked"]), "before_the_last": asked}
        return {**requests, "after_s": moments, "is_same": same, "rows": last["rows"]}


def against_peers(bench: Bench, dlt: tuple[str, ...]) -> dict[str, float]:
    """Pull without latency and without limit: the library into its store, a gql loop into a frame, dlt into Parquet."""
    bench.server.behave()
    text = bench.folder / "appointments.graphql"
    text.write_text(read("appointments").operation.text, encoding="utf-8")
    ours = bench.load(bench.store("peers"), max_rps=UNLIMITED)
    spoken = (bench.server.url, text, json.dumps(SPAN))
    gql = child("gql", *spoken, script="peers.py")
    other = child("dlt", *spoken, script="peers.py", interpreter=dlt)
    for peer in (gql, other):
        if peer["rows"] != bench.count:
            sys.exit(f"a peer loaded {peer['rows']} rows of {bench.count}")
    return {"ours_s": ours["wall_s"], "gql_s": gql["wall_s"], "dlt_s": other["wall_s"]}


# -- the table ---------------------------------------------------------------------------------------------------------


def table(results: dict[str, Any], count: int, peer_rows: int) -> str:
    """Return the table as Markdown: each figure's median, and in brackets its least and most."""
    least_s = count / PAGE / RATE
    cold, learned = results["cold"], results["learned"]
    pulls = [*cold, *learned]

    def over(takes: list[Took]) -> list[float]:
        return [took["wall_s"] / least_s for took in takes]

    rows: list[tuple[str, str, str, list[float], str]] = [
        (
            f"{count:,} appointments, time over the {least_s:.0f} s minimum, pace learned",
            "1.15",
            "1.05",
            over(learned),
            ".2f",
        ),
        ("the same from cold", "1.35", "1.15", over(cold), ".2f"),
        ("requests refused, %", "1", "0.3", [100 * took["refused_share"] for took in pulls], ".2f"),
        ("client peak memory, MB", "900", "500", [took["peak_mb"] for took in pulls], ".0f"),
        (
            "client CPU per page of 100 rows, ms",
            "2.2",
            "1.2",
            [1000 * PAGE * took["cpu_s"] / count for took in pulls],
            ".2f",
        ),
        (
            f"rows/s over a plain gql loop, {peer_rows:,} rows",
            "2",
            "6",
            ratios(results["peers"], "gql_s", "ours_s"),
            ".1f",
        ),
        ("rows/s over dlt to Parquet, the same", "5", "20", ratios(results["peers"], "dlt_s", "ours_s"), ".1f"),
        (
            "stored load over `pl.read_parquet`, unencrypted",
            "1.3",
            "1.1",
            ratios(results["reads"], "stored_s", "plain_s"),
            ".2f",
        ),
        (
            "refresh after 1,000 changes: requests beyond those needed",
            "20",
            "0",
            [run["beyond"] for run in results["refresh"]],
            ".0f",
        ),
    ]
    lines = ["| what | at least | aim | median (least to most) |", "|---|---|---|---|"]
    for what, at_least, aim, values, shape in rows:
        figures = [format(value, shape) for value in (statistics.median(values), min(values), max(values))]
        lines.append(f"| {what} | {at_least} | {aim} | **{figures[0]}** ({figures[1]} to {figures[2]}) |")
    return "\n".join(lines)


def remarks(results: dict[str, Any]) -> list[str]:
    """Return what stands below the table: what the refreshes asked, and how the killed pull ended."""
    last, killed = results["refresh"][-1], results["killed"]
    moments = ", ".join(f"{moment:.0f} s" for moment in killed["after_s"])
    pulls = [*results["cold"], *results["learned"]]
    refresh = (
        f"The last refresh asked {last['changed']} pages of changes ({last['least_changed']} needed), "
        f"{last['recent']} of the recent span ({last['least_recent']} needed), {last['counts']} counts and "
        f"{last['others']} other pages."
    )
    kill = (
        f"Killed after {moments}, the pull {'ended with exactly' if killed['is_same'] else '**did not end with**'} the "
        f"frame of the undisturbed one, in {killed['requests']:,} requests altogether."
    )
    most = max(took["most_in_a_second"] for took in pulls)
    return [refresh, kill, f"The server admitted at most {most} requests in a second."]


def ratios(takes: list[dict[str, float]], over: str, under: str) -> list[float]:
    """Return one measurement over another, run by run."""
    return [took[over] / took[under] for took in takes]


def machine() -> str:
    """Return what it ran on."""
    cpu = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        cpu = next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("polars", "gql", "aiohttp", "msgspec")]
    load_1m = os.getloadavg()[0]
    return (
        f"{cpu}, {os.cpu_count()} cores, which the server shares; load average at the start {load_1m:.1f}. "
        f"{platform.system()}, CPython {platform.python_version()}, {', '.join(versions)}."
    )


def publish(text: str) -> None:
    """Put a section between its markers in the README beside this file."""
    path = HERE / "README.md"
    before, mark, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    assert mark, f"{path} has no {BEGIN}"
    path.write_text(before + mark + "\n" + text + "\n" + END_MARK + rest.partition(END_MARK)[2], encoding="utf-8")


def measured(count: int, peer_rows: int, runs: int, dlt: tuple[str, ...]) -> dict[str, Any]:
    """Run everything and return what it took."""
    results: dict[str, Any] = {"cold": [], "learned": [], "peers": [], "reads": [], "refresh": []}
    with tempfile.TemporaryDirectory(prefix="healthie-nb-bench-") as name:
        folder = Path(name)
        with prepared(peer_rows) as server:
            bench = Bench(server, peer_rows, folder)
            for _ in range(runs):
                results["peers"].append(say("peers", against_peers(bench, dlt)))
        with prepared(count) as server:
            bench = Bench(server, count, folder)
            for _ in range(runs):
                cold, learned = bench.pulls()
                results["cold"].append(say("cold", cold))
                results["learned"].append(say("learned", learned))
            for _ in range(runs):
                results["reads"].append(
                    say("reads", child("reads", server.url, folder / "pull", folder / "plain.parquet"))
                )
            results["killed"] = say("killed", bench.killed())
            server.behave(**HEALTHIE)
            for number in range(runs):
                results["refresh"].append(say("refresh", bench.refreshed(number + 1)))
    return results


def say(what: str, took: Took) -> Took:
    """Show a measurement as it comes."""
    shown = {
        name: round(value, 2) if isinstance(value, float) else value for name, value in took.items() if name != "asked"
    }
    print(f"{what}: {shown}, load average {os.getloadavg()[0]:.1f}", flush=True)
    return took


def main() -> None:
    """Measure everything, or be one of the processes that are measured."""
    if sys.argv[1:2] == ["load"]:
        url, folder, max_rps, now, *kept = sys.argv[2:]
        moment = datetime.fromisoformat(now)
        print(
            json.dumps(
                load(url, Path(folder), max_rps=float(max_rps), now=moment, kept=Path(kept[0]) if kept else None)
            )
        )
        return
    if sys.argv[1:2] == ["reads"]:
        print(json.dumps(reads(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--peer-rows", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--dlt", help="an interpreter that has dlt[parquet]; uv fetches one otherwise")
    parser.add_argument("--dry", action="store_true", help="leave README.md as it is")
    options = parser.parse_args()
    where = machine()
    dlt = (options.dlt,) if options.dlt else ("uv", "run", "--no-project", "--with", "dlt[parquet]", "python")
    results = measured(options.rows, options.peer_rows, options.runs, dlt)
    figures = table(results, options.rows, options.peer_rows)
    heading = f"{datetime.now(UTC):%Y-%m-%d}, {options.runs} runs. {where}"
    section = "\n\n".join([heading, figures, *remarks(results)])
    print(section)
    if not options.dry:
        publish(section)


if __name__ == "__main__":
    main()
