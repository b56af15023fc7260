"""Small frame → the table that stands beside its chart, with the same name: in HTML and in plain text."""

from healthie_nb.tables.attendance import cancellations, funnel_plot, heat, lead, rates, rebooked, unmarked
from healthie_nb.tables.cohorts import chance_limits, cohorts, means, population, second_visit
from healthie_nb.tables.forms import before_first_visit, measures, readiness, requests, time_to_complete
from healthie_nb.tables.lists import overdue, overdue_notes, unready, worklist
from healthie_nb.tables.retention import definitions, flow, funnel, states, survival
from healthie_nb.tables.signing import notes, notes_over_time, open_notes
from healthie_nb.tables.table import Table
from healthie_nb.tables.volume import booked, booking_curve, counts, panel, reconcile

__all__ = [
    "Table",
    "before_first_visit",
    "booked",
    "booking_curve",
    "cancellations",
    "chance_limits",
    "cohorts",
    "counts",
    "definitions",
    "flow",
    "funnel",
    "funnel_plot",
    "heat",
    "lead",
    "means",
    "measures",
    "notes",
    "notes_over_time",
    "open_notes",
    "overdue",
    "overdue_notes",
    "panel",
    "population",
    "rates",
    "readiness",
    "rebooked",
    "reconcile",
    "requests",
    "second_visit",
    "states",
    "survival",
    "time_to_complete",
    "unmarked",
    "unready",
    "worklist",
]
