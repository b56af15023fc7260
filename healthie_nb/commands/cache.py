"""`healthie-nb cache`: what is kept on this machine, listed or removed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from healthie_nb.commands import say

if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
List or remove what is kept on this machine: rows that were loaded are kept, encrypted, until they are removed here or
by practice.forget(name).

examples:
  healthie-nb cache ls
  healthie-nb cache ls --json               one JSON object a line
  healthie-nb cache purge --yes
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)
    listing = actions.add_parser("ls", help="list what is kept: practice, query, rows, span, age, size")
    listing.add_argument("--json", action="store_true", help="one JSON object a line, for machines")
    purging = actions.add_parser("purge", help="remove all of it; the ledger and the access log stay")
    purging.add_argument("--yes", action="store_true", help="do not ask")


def run(options: argparse.Namespace) -> int:
    """List, or remove once confirmed."""
    return _list(as_json=options.json) if options.action == "ls" else _purge(is_sure=options.yes)


def _list(*, as_json: bool) -> int:
    from healthie_nb.cabinet import kept  # noqa: PLC0415
    from healthie_nb.settings import cache_dir, environment  # noqa: PLC0415

    found = kept(cache_dir(environment()))
    if as_json:
        sys.stdout.write(found.write_ndjson())
        return 0
    for row in found.iter_rows(named=True):
        span = f", {row['from']:%Y-%m-%d} to {row['to']:%Y-%m-%d}" if row["from"] else ""
        loaded = f"{row['loaded_at']:%Y-%m-%d %H:%M} UTC" if row["loaded_at"] else "not finished"
        size = f"{row['bytes'] / 1e6:.1f} MB"
        say(f"{row['practice']}: {row['query']}, {row['rows']:,} rows{span}, loaded {loaded}, {size}")
    if found.is_empty():
        say("Nothing is kept.")
    return 0


def _purge(*, is_sure: bool) -> int:
    from healthie_nb.cabinet import purge  # noqa: PLC0415
    from healthie_nb.settings import cache_dir, environment  # noqa: PLC0415

    folder = cache_dir(environment())
    if not is_sure and input(f"Remove all rows kept in {folder}? [y/N] ").strip().lower() not in ("y", "yes"):
        say("Nothing was removed.")
        return 1
    purge(folder)
    say("Removed. The ledger and the access log stay.")
    return 0
