"""The command `healthie-nb`: one subparser per command, each with the function that runs it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from healthie_nb.query import HealthieError

if TYPE_CHECKING:
    from collections.abc import Sequence

EPILOG = """\
start here:
  healthie-nb lab                 the notebooks, on the demo practice: made-up data, nothing to set up
  HEALTHIE_API_KEY=... healthie-nb lab
                                  the same notebooks on your practice
"""
CACHE = "Rows that were loaded are kept, encrypted, until they are removed here or by practice.forget(name)."
LAB = """\
Open JupyterLab on the notebooks, on this machine only and with a token of its own.

The notebooks are copied to FOLDER (healthie-notebooks unless given); copies that are there already are kept. In a
checkout of the project its own notebooks are opened, unless FOLDER is given.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    given = sys.argv[1:] if argv is None else list(argv)
    if given[:1] == ["demo"]:  # It has its own options and its own --help.
        from healthie_nb.demo.process import main as demo  # noqa: PLC0415

        return demo(given[1:])
    options = _parser().parse_args(given)
    try:
        return int(options.run(options))
    except HealthieError as error:
        sys.stderr.write(f"healthie-nb: {error}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="healthie-nb",
        description="Healthie's data in notebooks.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_lab(commands)
    _add_cache(commands)
    commands.add_parser("demo", help="run a demo practice in the foreground; see healthie-nb demo --help")
    return parser


def _add_lab(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    lab = commands.add_parser(
        "lab",
        help="open JupyterLab on the notebooks",
        description=LAB,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    lab.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", help="where the notebooks are, or are copied to")
    lab.add_argument("--no-browser", action="store_true", help="print the URL and open nothing")
    lab.add_argument("--port", type=int, default=8888, help="first port to try (%(default)s)")
    lab.set_defaults(run=_lab)


def _lab(options: argparse.Namespace) -> int:
    from healthie_nb import lab  # noqa: PLC0415

    folder = lab.notebooks(options.folder, _say)
    lab.start(folder, port=options.port, opens_browser=not options.no_browser, say=_say)
    return 0


def _add_cache(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    cache = commands.add_parser("cache", help="list or remove what is kept on this machine", description=CACHE)
    actions = cache.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser("ls", help="list what is kept: practice, query, rows, span, age, size")
    listing.add_argument("--json", action="store_true", help="one JSON object a line, for machines")
    listing.set_defaults(run=_list_cache)
    purging = actions.add_parser("purge", help="remove all of it; the ledger and the access log stay")
    purging.add_argument("--yes", action="store_true", help="do not ask")
    purging.set_defaults(run=_purge_cache)


def _list_cache(options: argparse.Namespace) -> int:
    from healthie_nb.cabinet import kept  # noqa: PLC0415
    from healthie_nb.settings import cache_dir, environment  # noqa: PLC0415

    found = kept(cache_dir(environment()))
    if options.json:
        sys.stdout.write(found.write_ndjson())
    for row in () if options.json else found.iter_rows(named=True):
        span = f", {row['from']:%Y-%m-%d} to {row['to']:%Y-%m-%d}" if row["from"] else ""
        loaded = f"{row['loaded_at']:%Y-%m-%d %H:%M} UTC" if row["loaded_at"] else "not finished"
        size = f"{row['bytes'] / 1e6:.1f} MB"
        _say(f"{row['practice']}: {row['query']}, {row['rows']:,} rows{span}, loaded {loaded}, {size}")
    if found.is_empty() and not options.json:
        _say("Nothing is kept.")
    return 0


def _purge_cache(options: argparse.Namespace) -> int:
    from healthie_nb.settings import cache_dir, environment  # noqa: PLC0415
    from healthie_nb.store import purge  # noqa: PLC0415

    folder = cache_dir(environment())
    if not options.yes and input(f"Remove all rows kept in {folder}? [y/N] ").strip().lower() not in ("y", "yes"):
        _say("Nothing was removed.")
        return 1
    purge(folder)
    _say("Removed. The ledger and the access log stay.")
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
