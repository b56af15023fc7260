"""The command that runs a demo practice in the foreground, and that `start()` runs in the background."""

import argparse
import asyncio
import json
import secrets
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from healthie_nb.demo.discovery import CLIENTS, LAST_DAY, SEED, Endpoint

DESCRIPTION = """\
Run a demo practice: a clinic that does not exist, behind a GraphQL server that behaves as Healthie's does.
It listens on 127.0.0.1 only and prints its URL and key; set both in the environment to use it as if it were Healthie.

examples:
  %(prog)s                                         the practice that notebooks get when no key is set
  %(prog)s --clients 8000 --latency 300-500        twice the size, as slow as Healthie
  %(prog)s --as-of 2026-05-31                      what was known a month earlier
  %(prog)s --rate 20 --faults 502=0.1,reset=0.1    hard times for a client
  %(prog)s --json                                  one JSON object: url, key, clients, as_of, seed
"""


def main(argv: Sequence[str]) -> int:
    """Run a demo practice until it is stopped. The exit code."""
    parser = argparse.ArgumentParser(
        prog="healthie-nb demo", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    return run(parser.parse_args(argv))


def run(options: argparse.Namespace) -> int:
    """Serve it until Ctrl-C."""
    # After parsing: --help and a wrong argument need no server.
    from healthie_nb.demo.run import run as serve  # noqa: PLC0415

    try:
        say = _say_to_machines if options.json else _say
        asyncio.run(serve(options, key=f"gh_demo_{secrets.token_urlsafe(24)}", say=say))
    except KeyboardInterrupt:
        return 0
    except (ValueError, OSError) as error:
        sys.stderr.write(f"healthie-nb: {error}\n")
        return 2 if isinstance(error, ValueError) else 1
    return 0


def _say_to_machines(endpoint: Endpoint) -> None:
    told = {"url": endpoint.url, "key": endpoint.key, "clients": endpoint.clients, "seed": endpoint.seed}
    sys.stdout.write(json.dumps({**told, "as_of": str(endpoint.as_of)}) + "\n")
    sys.stdout.flush()


def _say(endpoint: Endpoint) -> None:
    sys.stdout.write(
        f"Demo practice (synthetic): {endpoint.clients} clients, as of {endpoint.as_of}, seed {endpoint.seed}\n"
        f"URL  {endpoint.url}\n"
        f"Key  {endpoint.key}\n\n"
        "To use it, copy these lines:\n"
        f"export HEALTHIE_API_URL={endpoint.url}\n"
        f"export HEALTHIE_API_KEY={endpoint.key}\n\n"
        "Stop it with Ctrl-C.\n"
    )
    sys.stdout.flush()


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add = parser.add_argument
    add(
        "--clients", type=int, default=CLIENTS, metavar="N", help=f"how many sign up in three years (default {CLIENTS})"
    )
    add("--seed", type=int, default=SEED, metavar="N", help="another practice of the same kind (default 1)")
    add("--as-of", type=date.fromisoformat, default=LAST_DAY, metavar="DATE", help=f"known up to (default {LAST_DAY})")
    add("--port", type=int, default=0, metavar="N", help="port on 127.0.0.1 (default: any free one)")
    add(
        "--latency",
        type=_span,
        default=(0.0, 0.0),
        metavar="MS-MS",
        help="answer after so many milliseconds, such as 300-500",
    )
    add("--rate", type=int, default=250, metavar="N", help="requests answered per second; 0 for no limit (default 250)")
    add(
        "--faults",
        type=_faults,
        default={},
        metavar="KIND=SHARE,...",
        help="spoil that share of the answers, 0 to 1 each",
    )
    add("--no-introspection", action="store_true", help="refuse introspection, as Healthie's production does")
    add("--idle-minutes", type=float, default=0.0, metavar="N", help="end when unused so long (default 0: never)")
    add("--json", action="store_true", help="print one JSON object, for machines")
    add("--announce", type=Path, default=None, help=argparse.SUPPRESS)


def _span(text: str) -> tuple[float, float]:
    least, _, most = text.partition("-")
    return float(least), float(most or least)


def _faults(text: str) -> dict[str, float]:
    return {kind: float(share) for kind, _, share in (one.partition("=") for one in text.split(","))}
