"""`healthie-nb schema`: the whole of an endpoint's schema, for queries of one's own."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from healthie_nb.commands import say

if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Keep the whole schema of the connected endpoint, so that queries of your own may use what the packaged part leaves out.

Healthie's test environment tells its schema, its production does not: use a key that starts with gh_sbox once; the
schema then serves every key on this machine. Columns that only it knows count as identifying until the query says
@phi(if: false) behind them. Without a key it is the demo practice's schema, which has nothing to add.

examples:
  HEALTHIE_API_KEY=gh_sbox_... healthie-nb schema save
  healthie-nb schema save --json            path, types, and packaged queries that do not fit it
  healthie-nb schema forget                 back to the packaged part
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)
    saving = actions.add_parser("save", help="ask the endpoint for its schema and keep it")
    saving.add_argument("--json", action="store_true", help="one JSON object, for machines")
    actions.add_parser("forget", help="remove the schema that is kept")


def run(options: argparse.Namespace) -> int:
    """Save, or forget; 1 when packaged queries do not fit what was saved."""
    return _save(as_json=options.json) if options.action == "save" else _forget()


def _save(*, as_json: bool) -> int:
    from healthie_nb.connection import Connection  # noqa: PLC0415
    from healthie_nb.introspection import save  # noqa: PLC0415
    from healthie_nb.practice import configured  # noqa: PLC0415

    settings = configured()
    saved = save(Connection(settings))
    host = "the demo practice" if settings.is_synthetic else settings.host
    if as_json:
        told = {"path": str(saved.path), "host": host, "types": saved.types, "unfit": saved.unfit}
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        say(f"{saved.types} types of {host}, API version {settings.version}, kept in {saved.path}")
    for name in saved.unfit:
        sys.stderr.write(f"healthie-nb: {name} does not fit this schema; its version may no longer be served\n")
    return 1 if saved.unfit else 0


def _forget() -> int:
    from healthie_nb.schemas import saved_schema_path  # noqa: PLC0415

    path = saved_schema_path()
    say("Removed." if path.is_file() else "No schema is kept.")
    path.unlink(missing_ok=True)
    return 0
