"""Small frame → the table that stands beside its chart, with the same name: in HTML and in plain text."""

from healthie_nb.tables.retention import (
    cohorts,
    definitions,
    flow,
    funnel,
    second_visit,
    states,
    survival,
    worklist,
)
from healthie_nb.tables.table import Table

__all__ = [
    "Table",
    "cohorts",
    "definitions",
    "flow",
    "funnel",
    "second_visit",
    "states",
    "survival",
    "worklist",
]
