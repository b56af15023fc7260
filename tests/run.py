"""Run every check in the order in which failures are cheapest: format, lint, types, tests, notebooks.

Exits with the first failure. `--quick` leaves out the browser and the notebooks.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

PYTEST = [sys.executable, "-m", "pytest"]
NBVAL = [
    "--nbval",
    "--nbval-sanitize-with",
    "tests/sanitize.cfg",
    "--nbval-cell-timeout",
    "180",
    "-p",
    "no:cacheprovider",
]
STEPS = [
    ("format", ["ruff", "format", "--check", "."]),
    ("lint", ["ruff", "check", "."]),
    ("types", ["mypy"]),
    ("queries", [sys.executable, "-m", "healthie_nb.cli", "check"]),
    ("kept outputs", [sys.executable, "-m", "healthie_nb.cli", "check-notebooks", "notebooks"]),
    ("tests", [*PYTEST, "-q", "--cov", "--cov-report", "term:skip-covered", "--durations", "25"]),
    ("doctests", [*PYTEST, "-q", "--doctest-modules", "healthie_nb"]),
    ("notebooks", [*PYTEST, "-q", *NBVAL, "notebooks"]),
]
SLOW = {"notebooks"}


def main() -> None:
    """Run the steps away from the user's own folders."""
    is_quick = "--quick" in sys.argv
    # A run neither sees nor changes what the user keeps; a demo practice may still be writing when it ends.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        run(is_quick=is_quick, environment={**os.environ, "XDG_CACHE_HOME": home, "XDG_DATA_HOME": home})


def run(*, is_quick: bool, environment: dict[str, str]) -> None:
    """Run the steps in order; leave with the code of the first that fails."""
    for name, command in STEPS:
        if is_quick and name in SLOW:
            continue
        started = time.monotonic()
        extra = ["-m", "not browser"] if is_quick and name == "tests" else []
        code = subprocess.run([*command, *extra], env=environment, check=False).returncode
        print(f"-- {name}: {'passed' if code == 0 else 'FAILED'} in {time.monotonic() - started:.0f} s", flush=True)
        if code:
            sys.exit(code)


if __name__ == "__main__":
    main()
