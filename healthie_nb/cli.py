"""The command `healthie-nb`: finds the command that was given in `commands/` and runs it."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

EPILOG: Final = """\
start here:
  healthie-nb lab                 the notebooks, on the demo practice: made-up data, nothing to set up
  HEALTHIE_API_KEY=... healthie-nb lab
                                  the same notebooks on your practice
healthie-nb COMMAND --help says more, with examples. Exit codes: 0 it went well, 1 it could not be done, 2 the command
line is wrong.
"""
# In the order in which one meets them. The module of `check-notebooks` is commands/check_notebooks.py.
COMMANDS: Final = {
    "lab": "open JupyterLab on the notebooks",
    "demo": "run a demo practice in the foreground",
    "doctor": "try the connection and all that belongs to it; say what is wrong and what to do",
    "check": "check queries and tell what they cost, without sending them",
    "key": "keep the API key in the system keyring",
    "schema": "keep the whole schema of an endpoint, for queries of your own",
    "report": "run a notebook with your parameters and write it as one HTML page",
    "check-notebooks": "check that saved notebooks hold nothing but the demo practice's outputs",
    "cache": "list or remove what is kept on this machine",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    given = sys.argv[1:] if argv is None else list(argv)
    options = _parser(given[0] if given else "").parse_args(given)

    from healthie_nb.query import HealthieError  # noqa: PLC0415, half a second that --help need not take

    try:
        return int(options.run(options))
    except HealthieError as error:
        sys.stderr.write(f"healthie-nb: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # such as `| head`: nobody is listening any more, also not to Python as it leaves
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser(chosen: str) -> argparse.ArgumentParser:
    """Return a parser that knows all commands by name and the chosen one in full."""
    parser = argparse.ArgumentParser(
        prog="healthie-nb",
        description="Healthie's data in notebooks.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, formatter_class=argparse.RawDescriptionHelpFormatter)
        if name == chosen:
            module = importlib.import_module(f"healthie_nb.commands.{name.replace('-', '_')}")
            command.description = module.DESCRIPTION
            module.add_options(command)
            command.set_defaults(run=module.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
