"""Small frame → the table that stands beside its chart, with the same name: in HTML and in plain text."""

from healthie_nb.tables.attendance import cancellations, funnel_plot, heat, lead, rates, rebooked, unmarked
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
from healthie_nb.tables.volume import booked, booking_curve, counts, panel, reconcile

__all__ = [
    "Table",
    "booked",
    "booking_curve",
    "cancellations",
    "cohorts",
    "counts",
    "definitions",
    "flow",
    "funnel",
    "funnel_plot",
    "heat",
    "lead",
    "panel",
    "rates",
    "rebooked",
    "reconcile",
    "second_visit",
    "states",
    "survival",
    "unmarked",
    "worklist",
]
