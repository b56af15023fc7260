"""Small frame → Altair chart: one function per metric, with the metric's name, and beside it `NAME_parts`.

Only the rows of the small frame go into a chart, never a client's. `NAME_parts` is what follows from the rows: title,
description and data sets, so that other rows can be put into a kept specification. `display` says how charts are shown.
"""

from healthie_nb import display as _  # noqa: F401, from here on charts are drawn without a network
from healthie_nb.charts.cohorts import cohorts, cohorts_parts
from healthie_nb.charts.retention import (
    definitions,
    definitions_parts,
    flow,
    flow_parts,
    funnel,
    funnel_parts,
    second_visit,
    second_visit_parts,
    states,
    states_parts,
    survival,
    survival_parts,
)

__all__ = [
    "cohorts",
    "cohorts_parts",
    "definitions",
    "definitions_parts",
    "flow",
    "flow_parts",
    "funnel",
    "funnel_parts",
    "second_visit",
    "second_visit_parts",
    "states",
    "states_parts",
    "survival",
    "survival_parts",
]
