"""`healthie-nb key`: the API key in the system keyring."""

from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING

from healthie_nb.commands import say

if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Keep the API key in the system keyring instead of in a file or a shell's history.

The key is bound to its host: it is read when HEALTHIE_API_KEY is not set, and sent to no other host. One key is kept;
a second takes its place. It is asked for without echo, or read from a pipe, and never shown.

examples:
  healthie-nb key set
  pass show healthie | healthie-nb key set
  healthie-nb key set --url https://eu.api.gethealthie.com/graphql
  healthie-nb key forget
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)
    setting = actions.add_parser("set", help="ask for the key and keep it")
    setting.add_argument("--url", default="", help="the endpoint it is for, if its prefix does not say")
    actions.add_parser("forget", help="remove it from the keyring")


def run(options: argparse.Namespace) -> int:
    """Keep a key, or forget the one that is kept."""
    return _set(options.url) if options.action == "set" else _forget()


def _set(url: str) -> int:
    from healthie_nb import keys, settings  # noqa: PLC0415

    given = getpass.getpass("Healthie API key (not shown): ") if sys.stdin.isatty() else sys.stdin.readline()
    key = given.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        sys.stderr.write("healthie-nb: that is no key; copy it from Healthie: Settings, Developer, API keys\n")
        return 1
    endpoint = settings.endpoint(url, key)
    keys.keep(settings.DATA_DIR, endpoint, key)
    say(f"Kept for {endpoint}. healthie-nb doctor tries it.")
    return 0


def _forget() -> int:
    from healthie_nb import keys, settings  # noqa: PLC0415

    url = keys.forget(settings.DATA_DIR)
    say(f"The key for {url} is forgotten." if url else "No key is kept.")
    return 0
