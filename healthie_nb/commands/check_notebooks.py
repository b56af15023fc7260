"""`healthie-nb check-notebooks`: notebooks that hold nothing but the demo practice's outputs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from healthie_nb.commands import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

DESCRIPTION = """\
Check that saved notebooks can be kept in a repository: what they show is the demo practice's, run once from the first
cell to the last, without widget state, parameters of papermill and errors, and without what identifies people: names'
and birth dates' columns, e-mail addresses, phone numbers, ids that are no pseudonyms, links into Healthie, keys.

FILES may be folders. Without FILES, every notebook below this folder is checked. For each thing found it says file,
cell, what it is and what to do, and never the thing itself. The exit code is 1 when something was found.

examples:
  healthie-nb check-notebooks
  healthie-nb check-notebooks notebooks/ mine.ipynb
  healthie-nb check-notebooks --json        one JSON object a line: file, cell, what, todo
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("files", nargs="*", type=Path, metavar="FILES", help="notebooks, or folders of them")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, for machines")


def run(options: argparse.Namespace) -> int:
    """Say what was found in each notebook; 1 when there is anything, or no notebook."""
    from healthie_nb.saved import findings  # noqa: PLC0415

    paths = list(dict.fromkeys(_notebooks(options.files or [Path()])))
    if not paths:
        sys.stderr.write("healthie-nb: no notebook there; give files, or folders that have some\n")
        return 1
    found = [finding for path in paths for finding in findings(path)]
    for finding in found:
        where = finding.file if finding.cell is None else f"{finding.file}, cell {finding.cell}"
        line = json.dumps(finding._asdict()) if options.json else f"{where}: {finding.what}\n  → {finding.todo}"
        sys.stdout.write(f"{line}\n")
    if not options.json:
        notebooks = "notebook" if len(paths) == 1 else "notebooks"
        say(f"{len(paths)} {notebooks}: {f'{len(found)} to mend' if found else 'nothing to mend'}")
    return 1 if found else 0


def _notebooks(given: Sequence[Path]) -> Iterator[Path]:
    """Files as given, and those in folders, but not what Jupyter keeps of earlier ones and tools keep of their own."""
    for path in given:
        if not path.is_dir():
            yield path
            continue
        inside = sorted(path.rglob("*.ipynb"))
        yield from (one for one in inside if not any(part.startswith(".") for part in one.relative_to(path).parts))
