"""What a notebook that was run hands on to its report: whose data it is, what was asked, and the checks it made.

It travels as an output of its last cell, of a MIME type of its own, which nothing shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import polars as pl

from healthie_nb.practice import Loaded, Practice

if TYPE_CHECKING:
    from collections.abc import Mapping

MIME: Final = "application/vnd.healthie-nb.handover+json"
MAY_LEAVE: Final = "healthie-nb-outside"  # in the metadata of an output that was made safe for readers outside
CHECKED: Final = ("check", "level", "value", "meaning", "advice")  # columns of quality.checks
CELL: Final = "from healthie_nb.handover import Handover\n\nHandover.found(globals())"


class Handover(msgspec.Struct, frozen=True):
    """The practice of a notebook, its queries, and how its trust checks came out: name and level, as they were made."""

    practice: str
    is_synthetic: bool
    api_version: str
    zone: str
    queries: tuple[Loaded, ...]
    checks: tuple[tuple[str, str], ...]

    @classmethod
    def found(cls, variables: Mapping[str, object]) -> Handover:
        """Return what the variables of a notebook tell: its `Practice`, and every frame that `quality.checks` made.

        Raises
        ------
        ValueError without a practice.
        """
        practices = [value for value in variables.values() if isinstance(value, Practice)]
        if not practices:
            raise ValueError("no variable is a practice: keep what connect() returns.")
        practice = practices[-1]
        frames = {id(value): value for value in variables.values() if isinstance(value, pl.DataFrame)}
        checks = [frame for frame in frames.values() if tuple(frame.columns) == CHECKED]
        return cls(
            practice=practice.name,
            is_synthetic=practice.is_synthetic,
            api_version=practice.version,
            zone=practice.zone,
            queries=tuple(practice.loaded),
            checks=tuple(row for frame in checks for row in frame.select("check", "level").rows()),
        )

    @classmethod
    def taken(cls, notebook: Any) -> Handover:
        """Take what the last cell handed on out of the notebook, with the cell.

        Raises
        ------
        ValueError when it handed nothing on.
        """
        cell = notebook.cells.pop()
        for output in cell.get("outputs", []):
            if MIME in output.get("data", {}):
                return msgspec.convert(output["data"][MIME], cls)
        raise ValueError("the notebook handed nothing on.")

    def of_level(self, level: str) -> list[str]:
        """Names of the checks that came out so."""
        return [check for check, its in self.checks if its == level]

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return {MIME: msgspec.to_builtins(self), "text/plain": "handed on"}
