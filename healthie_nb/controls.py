"""Labelled, keyboard-reachable controls for the explorers. Wraps ipywidgets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import ipywidgets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

ALL: Final = ""  # no id is empty
VISIBLE: Final = 6  # options in sight before a list scrolls
INPUT: Final = "58px"  # a label and an input under it
_ABOVE: Final = {"description_width": "initial"}


def day(label: str, value: date) -> ipywidgets.DatePicker:
    """Date picker, its label above it."""
    return ipywidgets.DatePicker(value=value, description=label, style=_ABOVE, layout=_layout("10.5em", INPUT))


def one_of(label: str, value: str, options: Sequence[str]) -> ipywidgets.Dropdown:
    """Drop-down list of words."""
    return ipywidgets.Dropdown(
        value=value, options=options, description=label, style=_ABOVE, layout=_layout("7em", INPUT)
    )


def some_of(label: str, names: Mapping[str, str]) -> ipywidgets.SelectMultiple:
    """List to choose several from, by id, with "All" on top: all until one is chosen, and all again when none is."""
    options = [(f"All {len(names)}", ALL), *((name, key) for key, name in names.items())]
    chosen = ipywidgets.SelectMultiple(
        value=(ALL,),
        options=options,
        rows=min(VISIBLE, len(options)),
        description=label,
        style=_ABOVE,
        layout=_layout("13em", "auto"),
    )
    chosen.observe(_all_or_some, "value")
    return chosen


def value(control: ipywidgets.Widget) -> Any:
    """Value of a control; for a list the ids chosen, none where all are."""
    if isinstance(control, ipywidgets.SelectMultiple):
        return tuple(key for key in control.value if key != ALL)
    return control.value


def _layout(width: str, height: str) -> ipywidgets.Layout:
    return ipywidgets.Layout(
        width=width, flex_flow="column", align_items="flex-start", height=height, margin="0 1em 0.5em 0"
    )


def _all_or_some(change: Mapping[str, Any]) -> None:
    """Keep "All" apart from the others: whichever was chosen last counts."""
    old, new = change["old"], change["new"]
    some = tuple(key for key in new if key != ALL)
    is_all = not some or (ALL in new and ALL not in old)
    change["owner"].value = (ALL,) if is_all else some
