"""How far a pull is: rows of all rows, rows a second, time left. Wraps tqdm.

Shown in a terminal or a notebook, once a pull has taken a moment; silent elsewhere, and under pytest and nbval, whose
outputs are compared.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

if TYPE_CHECKING:
    from collections.abc import Iterator

import contextlib

DELAY_S = 2.0


class Progress:
    """What a pull tells: how many rows there are, and how many came. Without a bar it shows nobody."""

    def __init__(self, bar: Any = None) -> None:
        self._bar = bar
        self.expected, self.came = 0, 0

    def expect(self, rows: int) -> None:
        """Take note of that many more rows to come."""
        self.expected += rows
        if self._bar is not None:
            self._bar.total = (self._bar.total or 0) + rows

    def take(self, rows: int) -> None:
        """Count rows that came; those that are asked for again do not count beyond what was expected."""
        self.came += rows
        if self._bar is not None:
            left = rows if self._bar.total is None else max(0, self._bar.total - self._bar.n)
            self._bar.update(min(rows, left))


@contextlib.contextmanager
def shown(name: str) -> Iterator[Progress]:
    """Show the progress of loading `name` for as long as the block runs."""
    with tqdm(desc=name, unit=" rows", disable=not _is_watched(), delay=DELAY_S, leave=False) as bar:
        yield Progress(bar)


def _is_watched() -> bool:
    return "PYTEST_VERSION" not in os.environ and ("ipykernel" in sys.modules or sys.stderr.isatty())
