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


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
