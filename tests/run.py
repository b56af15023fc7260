"""Run every check in the order in which failures are cheapest: format, lint, types, tests, notebooks.

Exits with the first failure. `--quick` leaves out the browser and the notebooks.
"""

from __future__ import annotations

import subprocess
import sys
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
    ("tests", [*PYTEST, "-q", "--cov", "--cov-report", "term:skip-covered"]),
    ("doctests", [*PYTEST, "-q", "--doctest-modules", "healthie_nb"]),
    ("notebooks", [*PYTEST, "-q", "-W", "default", *NBVAL, "notebooks"]),
]
SLOW = {"notebooks"}


def main() -> None:
    """Run the steps; say what failed."""
    is_quick = "--quick" in sys.argv
    for name, command in STEPS:
        if is_quick and name in SLOW:
            continue
        started = time.monotonic()
        extra = ["-m", "not browser"] if is_quick and name == "tests" else []
        code = subprocess.run([*command, *extra], check=False).returncode
        print(f"-- {name}: {'passed' if code == 0 else 'FAILED'} in {time.monotonic() - started:.0f} s", flush=True)
        if code:
            sys.exit(code)


if __name__ == "__main__":
    main()
