"""`healthie-nb lab`: JupyterLab in front of the notebooks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from healthie_nb.commands import say

if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Open JupyterLab on the notebooks, on this machine only and with a token of its own.

The notebooks are copied to FOLDER (healthie-notebooks unless given); copies that are there already are kept. In a
checkout of the project its own notebooks are opened, unless FOLDER is given.

examples:
  healthie-nb lab                           on the demo practice: made-up data, nothing to set up
  HEALTHIE_API_KEY=... healthie-nb lab      on your practice
  healthie-nb lab --no-browser --port 9000 my-notebooks
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument(
        "folder", nargs="?", type=Path, metavar="FOLDER", help="where the notebooks are, or are copied to"
    )
    parser.add_argument("--no-browser", action="store_true", help="print the URL and open nothing")
    parser.add_argument("--port", type=int, default=8888, help="first port to try (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """Serve the notebooks until Ctrl-C."""
    from healthie_nb import lab  # noqa: PLC0415

    folder = lab.notebooks(options.folder, say)
    lab.start(folder, port=options.port, opens_browser=not options.no_browser, say=say)
    return 0
