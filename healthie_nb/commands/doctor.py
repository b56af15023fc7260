"""`healthie-nb doctor`: what works and, for what does not, what to do."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from typing import TYPE_CHECKING

from healthie_nb.commands import say

if TYPE_CHECKING:
    import argparse

    from healthie_nb.doctor import Finding

DESCRIPTION = """\
Try everything that stands between you and your data: the key, the host, the API version and when it ends, the zone,
the clock, what the key may see, the pace, the store and its key, the ledger, the disk and the system keyring. For each
thing that is wrong it says what to do. Without a key it examines the demo practice. No key and no row is ever shown.

The exit code is 1 when something is wrong.

examples:
  healthie-nb doctor
  healthie-nb doctor --json                 one JSON object a line: subject, state, says, todo
"""
COLOURS = {"ok": "\033[32m", "note": "\033[33m", "wrong": "\033[31m"}
PLAIN = "\033[0m"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("--json", action="store_true", help="one JSON object a line, for machines")


def run(options: argparse.Namespace) -> int:
    """Print each finding as soon as it is known; 1 when one of them is wrong."""
    from healthie_nb.doctor import findings  # noqa: PLC0415

    is_well = True
    for finding in findings():
        is_well &= finding.state != "wrong"
        if options.json:
            sys.stdout.write(json.dumps(dataclasses.asdict(finding)) + "\n")
        else:
            say(_line(finding))
    return 0 if is_well else 1


def _line(finding: Finding) -> str:
    is_coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    colour, plain = (COLOURS[finding.state], PLAIN) if is_coloured else ("", "")
    line = f"{colour}{finding.state:<6}{plain}{finding.subject:<22}{finding.says}"
    return f"{line}\n{'':28}→ {finding.todo}" if finding.todo else line
