"""What a notebook that was run hands on to its report: whose data it is, what was asked, and the checks it made.

It travels as an output of its last cell, of a MIME type of its own, which nothing shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import polars as pl

from healthie_nb.practice import Loaded, Practice
from healthie_nb.query import HealthieError
from healthie_nb.tiles import Trust

if TYPE_CHECKING:
    from collections.abc import Mapping

MIME: Final = "application/vnd.healthie-nb.handover+json"
MAY_LEAVE: Final = "healthie-nb-outside"  # in the metadata of an output that was made safe for readers outside
CHECKED: Final = ("check", "level", "value", "meaning", "advice")  # columns of quality.checks
CELL: Final = "from healthie_nb.handover import Handover\n\nHandover.found(globals())"


class HandoverError(HealthieError, ValueError):
    """A notebook that does not tell what its report has to say."""


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
        """Return what the variables of a notebook tell: its `Practice`, and all that `quality.checks` made.

        What a cell only showed is among them: IPython keeps it.

        Raises
        ------
        HandoverError without a practice, or without a check.
        """
        practices = [value for value in variables.values() if isinstance(value, Practice)]
        if not practices:
            raise HandoverError("no variable is a practice: keep what connect() returns.")
        practice = practices[-1]
        shown = (value.rows if isinstance(value, Trust) else value for value in variables.values())
        frames = [value for value in shown if isinstance(value, pl.DataFrame) and {*CHECKED} <= {*value.columns}]
        checks = dict.fromkeys(row for frame in frames for row in frame.select("check", "level").rows())
        if not checks:
            raise HandoverError(
                "it makes no trust checks: keep what quality.checks returns, and show tiles.trust of it."
            )
        return cls(
            practice=practice.name,
            is_synthetic=practice.is_synthetic,
            api_version=practice.version,
            zone=practice.zone,
            queries=tuple(practice.loaded),
            checks=tuple(checks),
        )

    @classmethod
    def taken(cls, notebook: Any) -> Handover:
        """Take what the last cell handed on out of the notebook, with the cell.

        Raises
        ------
        HandoverError when it handed nothing on.
        """
        cell = notebook.cells.pop()
        for output in cell.get("outputs", []):
            if MIME in output.get("data", {}):
                return msgspec.convert(output["data"][MIME], cls)
        raise HandoverError("the notebook handed nothing on.")

    def of_level(self, level: str) -> list[str]:
        """Names of the checks that came out so."""
        return [check for check, its in self.checks if its == level]

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return {MIME: msgspec.to_builtins(self), "text/plain": "handed on"}
