"""Explorers, one call per notebook: controls that fit the data, and what each of their settings shows."""

from healthie_nb.explore.calendar import matching
from healthie_nb.explore.choosing import began, names
from healthie_nb.explore.clients import retention
from healthie_nb.explore.forms import forms
from healthie_nb.explore.given import chosen, days, loaded, periods, refuse_unknown, split_names
from healthie_nb.explore.paperwork import of_forms
from healthie_nb.explore.volume import volume

__all__ = [
    "began",
    "chosen",
    "days",
    "forms",
    "loaded",
    "matching",
    "names",
    "of_forms",
    "periods",
    "refuse_unknown",
    "retention",
    "split_names",
    "volume",
]
