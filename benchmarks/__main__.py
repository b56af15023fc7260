"""All benchmarks, or those that are named, in turn, then their tables: `python -m benchmarks [NAME ...]`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
NAMES = [name for name in ("imports", "pull", "metrics", "size", "redraw") if (HERE / f"{name}.py").exists()]


def main() -> int:
    """Run them, each in a process of its own; 1 when one has failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of: {', '.join(NAMES)}")
    chosen = parser.parse_args().names or NAMES
    if unknown := sorted(set(chosen) - set(NAMES)):
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(NAMES)}")
    failed = [name for name in chosen if subprocess.run([sys.executable, HERE / f"{name}.py"], check=False).returncode]
    subprocess.run([sys.executable, HERE / "capacity.py"], check=True)  # what follows from them
    print((HERE / "README.md").read_text(encoding="utf-8"))
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
