"""`healthie-nb check`: queries parsed, validated and priced, without sending them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from healthie_nb.commands import say

if TYPE_CHECKING:
    import argparse

    from healthie_nb.query import Query

DESCRIPTION = """\
Check .graphql files: fields, arguments and paging against the schema, what a request costs by Healthie's rule (2,000
points at most), how many rows fit into one, and which columns may identify a client. Nothing is sent.

Without FILES the packaged queries are checked. The exit code is 1 when a file cannot be used.

examples:
  healthie-nb check mine.graphql
  healthie-nb check queries/*.graphql --json
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument(
        "files", nargs="*", type=Path, metavar="FILES", help=".graphql files; the packaged ones if none"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line, for machines")


def run(options: argparse.Namespace) -> int:
    """Check each file; 1 when one of them cannot be used."""
    from healthie_nb.query import QueryError, folder, names, read  # noqa: PLC0415

    all_fit = True
    for path in options.files or [folder() / f"{name}.graphql" for name in names()]:
        try:
            told = _told(read(path))
        except QueryError as error:
            all_fit, told = False, {"query": path.stem, "error": str(error)}
        if options.json:
            sys.stdout.write(json.dumps({"file": str(path), **told}) + "\n")
        elif "error" in told:
            sys.stderr.write(f"healthie-nb: {told['error']}\n")
        else:
            say(_sentence(told))
    return 0 if all_fit else 1


def _told(query: Query) -> dict[str, Any]:
    from healthie_nb.frame import schema  # noqa: PLC0415

    return {
        "query": query.name,
        "columns": list(schema(query.fields)),
        "parameters": list(query.parameters),
        "window": query.window,
        "is_paged": query.is_paged,
        "is_refreshable": query.changed is not None,
        "page_size": query.page_size if query.is_paged else None,
        "cost": query.operation.cost(first=query.page_size),
        "identifying": list(query.identifying),
    }


def _sentence(told: dict[str, Any]) -> str:
    columns = f"{len(told['columns'])} columns"
    price = f"{told['cost']:,} points a request"
    page = f"{told['page_size']} rows and {price}" if told["is_paged"] else price
    ways = [
        f"in windows of {told['window']}" if told["window"] else "",
        "refreshed by what changed" if told["is_refreshable"] else "",
        f"identifying: {', '.join(told['identifying'])}" if told["identifying"] else "nothing identifying",
    ]
    return f"{told['query']}: {columns}, {'; '.join([page, *filter(None, ways)])}"
