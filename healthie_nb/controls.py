"""Labelled, keyboard-reachable controls for the explorers. Wraps ipywidgets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import ipywidgets
import traitlets

if TYPE_CHECKING:
    from collections.abc import Sequence

ALL: Final = ""  # no id is empty
VISIBLE: Final = 5  # options in sight before a list scrolls
LONG: Final = 8  # a list of more has a field to search it by
INPUT: Final = "58px"  # a label and an input under it
_ABOVE: Final = {"description_width": "initial"}


def day(label: str, value: date, *, most: date | None = None) -> ipywidgets.DatePicker:
    """Date picker, its label above it."""
    return ipywidgets.DatePicker(
        value=value, max=most, description=label, style=_ABOVE, layout=_layout("10.5em", INPUT)
    )


def number(label: str, value: int, *, least: int, most: int) -> ipywidgets.BoundedIntText:
    """Whole number within bounds, which its label tells: what is typed beyond them becomes the nearest."""
    told = f"{label} ({least}-{most})"
    return ipywidgets.BoundedIntText(
        value=value,
        min=least,
        max=most,
        description=told,
        style=_ABOVE,
        layout=_layout(f"{max(6, len(told) * 0.55):.0f}em", INPUT),
    )


def one_of(label: str, value: str, options: Sequence[str] | Mapping[str, str]) -> ipywidgets.Dropdown:
    """Drop-down list of words; a mapping has what is read and what it stands for."""
    named = list(options.items()) if isinstance(options, Mapping) else [(word, word) for word in options]
    width = f"{max(7, *(len(name) * 0.55 + 3 for name, _ in named)):.0f}em"
    return ipywidgets.Dropdown(
        value=value, options=named, description=label, style=_ABOVE, layout=_layout(width, INPUT)
    )


def rename(control: ipywidgets.Dropdown, value: str, word: str) -> None:
    """Call one of the values by another word; what is chosen stays."""
    named = [(word if one == value else name, one) for name, one in control.options]
    if named != list(control.options):
        chosen, control.options = control.value, named
        control.value = chosen


class Several(ipywidgets.VBox):  # type: ignore[misc]
    """List to choose several from, by id, with "All" on top, and a field to search it by when it is long.

    `value` are the ids chosen, none where all are: all until one is chosen, and all again when none is.
    """

    value = traitlets.Tuple()

    def __init__(
        self, label: str, names: Mapping[str, str], chosen: Sequence[str] = (), *, width: str = "13em"
    ) -> None:
        self.names = dict(names)
        self.list = ipywidgets.SelectMultiple(
            options=self._options(""),
            value=(ALL,),
            rows=_in_sight(names),
            description=label,
            style=_ABOVE,
            layout=_layout(width, "auto"),
        )
        self.search = ipywidgets.Text(
            placeholder=f"Search {label.lower()}",
            tooltip=f"Search {label.lower()}",
            layout=ipywidgets.Layout(width=width, display=_search_of(names)),
        )
        super().__init__([self.list, self.search], layout=ipywidgets.Layout(margin="0 1em 0 0"))
        self._is_ours = False
        self.list.observe(self._listed, "value")
        self.search.observe(lambda _: self._offer(), "value")
        self.value = tuple(chosen)

    def offer(self, names: Mapping[str, str]) -> None:
        """Offer others from now on; none of them is chosen."""
        self.search.value, self.value = "", ()
        if names != self.names:
            self.names = dict(names)
            self.list.rows = _in_sight(names)
            self.search.layout.display = _search_of(names)
            self._offer()

    @traitlets.validate("value")
    def _known(self, proposal: Mapping[str, Any]) -> tuple[str, ...]:
        if unknown := [key for key in proposal["value"] if key not in self.names]:
            raise traitlets.TraitError(f"no {', '.join(unknown)} in {self.list.description}.")
        return tuple(proposal["value"])

    @traitlets.observe("value")
    def _set(self, _: object) -> None:
        if not self._is_ours:
            self._offer()

    def _listed(self, change: Mapping[str, Any]) -> None:
        """Keep "All" apart from the others: whichever was chosen last counts."""
        if self._is_ours:
            return
        old, new = change["old"], change["new"]
        some = tuple(key for key in new if key != ALL)
        self.value = () if not some or (ALL in new and ALL not in old) else some
        self._offer()

    def _offer(self) -> None:
        """Offer what the search finds, and what is chosen."""
        self._is_ours = True
        self.list.options = self._options(self.search.value)
        self.list.value = self.value or (ALL,)
        self._is_ours = False

    def _options(self, sought: str) -> list[tuple[str, str]]:
        found = [(name, key) for key, name in self.names.items() if sought.lower() in name.lower() or key in self.value]
        return [(f"All {len(self.names)}", ALL), *found]


def setting(control: ipywidgets.Widget) -> Any:
    """Value of a control as a parameter has it: a day as text, ids as a list."""
    value = control.value
    if isinstance(value, date):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value


def fitting(control: ipywidgets.Widget, setting: Any) -> Any:
    """Value that a control takes for a parameter's; ids that it does not offer are left out."""
    if isinstance(control, Several):
        return tuple(key for key in setting if key in control.names)
    if isinstance(control, ipywidgets.DatePicker):
        return date.fromisoformat(setting)
    return setting


def _in_sight(names: Mapping[str, str]) -> int:
    return min(VISIBLE, len(names) + 1)


def _search_of(names: Mapping[str, str]) -> str:
    return "" if len(names) > LONG else "none"


def _layout(width: str, height: str) -> ipywidgets.Layout:
    return ipywidgets.Layout(
        width=width, flex_flow="column", align_items="flex-start", height=height, margin="0 1em 0.5em 0"
    )
