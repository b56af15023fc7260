"""What `import healthie_nb` costs beside `import polars`: `python benchmarks/imports.py`.

Each is timed as a process of its own, taking turns, and the medians of `--runs` and their ratio go into
`benchmarks/README.md`.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
BEGIN, END = "<!-- imports: begin -->", "<!-- imports: end -->"
STATEMENTS = {
    "nothing": ["-c", "pass"],
    "import polars": ["-c", "import polars"],
    "import healthie_nb": ["-c", "import healthie_nb"],
    "healthie-nb --help": ["-m", "healthie_nb.cli", "--help"],
}


def took_s(arguments: list[str]) -> float:
    """Time one process from start to end."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def table(runs: int) -> str:
    """Return the figures as a table."""
    times: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for _ in range(runs):
        for name, arguments in STATEMENTS.items():
            times[name].append(took_s(arguments))
    medians = {name: statistics.median(found) for name, found in times.items()}
    base = medians["import polars"]
    rows = [f"| {name} | {1000 * median:.0f} | {median / base:.2f} |" for name, median in medians.items()]
    head = [
        f"Medians of {runs} processes each, in turn; Python {platform.python_version()}, polars {version('polars')}.",
        "",
        "| process | ms | to `import polars` |",
        "|---|---|---|",
    ]
    return "\n".join([*head, *rows])


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    text = table(parser.parse_args().runs)
    print(text)
    path = HERE / "README.md"
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
