"""What each notebook can be told: the one typed description behind its cell, its controls and the command line.

A notebook's cell tagged `parameters` has these lines; the explorer's controls of the same names start from them, and
`healthie-nb report` has an option for each.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

from healthie_nb.parameter import Parameter, ParameterError, Value

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NOTEBOOKS", "Parameter", "ParameterError", "Value", "cell", "checked", "described", "settings"]

ROLES: Final = ("intake", "follow-up", "group", "discovery", "admin", "unmapped")


def _day(name: str, default: str, meaning: str) -> Parameter:
    return Parameter(name, "day", default, meaning)


def _number(name: str, default: int, meaning: str, *, most: int, least: int = 1) -> Parameter:
    return Parameter(name, "number", default, meaning, least=least, most=most)


def _choice(name: str, allowed: tuple[str, ...], default: str, meaning: str) -> Parameter:
    return Parameter(name, "choice", default, meaning, allowed)


def _ids(name: str, option: str, meaning: str) -> Parameter:
    return Parameter(name, "ids", [], f"{meaning} only; [] for all", option=option)


def _which(visits: str) -> tuple[Parameter, ...]:
    """Parameters that choose visits by what they are like."""
    role = f'{visits} of types with these roles only, such as "intake"; [] for all'
    place = f'{visits} by "In Person", ... only; [] for all'
    return (
        _ids("provider_ids", "provider", f"{visits} with these providers"),
        _ids("appointment_type_ids", "type", f"{visits} of these appointment types"),
        Parameter("roles", "choices", [], role, ROLES, option="role"),
        Parameter("modalities", "words", [], place, option="modality"),
    )


_HISTORY: Final = (
    _day("history_from", "2023-07-01", "first day to load: who signed up or came before it is left out"),
    _day("history_until", "2026-12-31", "last day to load, with what is booked"),
    _day("as_of", "2026-06-30", "the day for which the numbers speak"),
)
_EVERY: Final = ("week", "month", "quarter")
_VIEW: Final = Parameter("view", "name", "", 'a view saved in the explorer, by name; "" for what stands above')

# The defaults fit the demo practice, whose last day is 2026-06-30: 12 cohorts closed for days 31-90, 13 closed weeks,
# and 28 days.
NOTEBOOKS: Final[dict[str, tuple[Parameter, ...]]] = {
    "retention": (
        *_HISTORY,
        _day("start", "2025-04-01", "cohorts to show: those that begin on this day or later ..."),
        _day("end", "2026-03-31", "... and on this day or earlier"),
        _choice("every", _EVERY, "month", "cohorts by week, month or quarter"),
        _number("months", 12, "how many months after the first visit to follow", most=60),
        _choice("measure", ("on", "on or after", "brackets"), "on",
                'returned "on": in each period since; "on or after": in it or later; "brackets": in days 31-90'),
        *_which("first visits"),
        _choice("split", ("", "provider", "type", "modality", "source"), "",
                'compare by "provider", "type", "modality" or "source"; "" for all together'),
        _choice("show", ("cohorts", "second visit", "against chance", "days 31-90", "survival", "time to second visit",
                         "states", "flow", "funnel", "definitions", "worklist"), "cohorts",
                "what the explorer shows first"),
        _VIEW,
    ),
    "appointment_volume": (
        *_HISTORY,
        _day("start", "2026-03-30", "visits to show: those on this day or later ..."),
        _day("end", "2026-06-28", "... and on this day or earlier"),
        _number("weeks_ahead", 4, "how many weeks after as_of to show what is booked for", most=26),
        _choice("every", _EVERY, "week", "count by week, month or quarter"),
        _choice("unit", ("client visits", "appointments", "provider hours"), "client visits",
                'count "client visits", "appointments" or "provider hours"'),
        _choice("measure", ("lost", "no-show"), "lost",
                '"lost": no-shows and those cancelled late; "no-show": no-shows alone'),
        _choice("late", ("status", "notice"), "status", 'late by Healthie\'s "status", or by hours of "notice"'),
        _choice("compare_to", ("", "last year", "period before"), "last year",
                'the same period of "last year", the "period before", or ""'),
        *_which("visits"),
        _choice("split", ("", "provider", "type", "role", "modality"), "",
                'compare by "provider", "type", "role" or "modality"; "" for counts by status, rates all together'),
        _choice("show", ("visits", "per working day", "missed", "first visits", "cancelled", "why cancelled",
                         "unmarked", "booked", "booking curve", "weekday and hour", "lead", "providers", "rebooked",
                         "clients"), "visits", "what the explorer shows first"),
        _VIEW,
    ),
    "form_completion": (
        *_HISTORY,
        _day("start", "2026-06-03", "visits to show: those on this day or later ..."),
        _day("end", "2026-06-30", "... and on this day or earlier"),
        _number("days_ahead", 7, "how many days after as_of to show who comes with which forms", most=60),
        _number("within_hours", 72, "a note is in time when signed so many hours after the visit", most=720),
        _number("after_days", 14, "a form is overdue when it waits longer than so many days", least=0, most=365),
        *_which("visits"),
        _ids("form_ids", "form", "these forms"),
        _choice("split", ("", "provider", "type", "role", "modality"), "provider",
                'notes by "provider", "type", "role" or "modality"; "" for all together'),
        _choice("show", ("notes", "notes by week", "open notes", "overdue notes", "coming visits", "who lacks forms",
                         "before the first visit", "measures", "requests", "time to complete", "overdue"), "notes",
                "what the explorer shows first"),
        _VIEW,
    ),
}  # fmt: skip
# The first of two days may not be after the second.
_IN_ORDER: Final = (
    ("history_from", "as_of"), ("as_of", "history_until"), ("start", "end"), ("history_from", "start"),
)  # fmt: skip


def described(notebook: str) -> dict[str, Parameter]:
    """Parameters of a notebook by name, in the order of its cell.

    Raises
    ------
    ParameterError for a notebook that there is not.
    """
    if notebook not in NOTEBOOKS:
        raise ParameterError(
            f"no notebook {notebook!r}{_meant(notebook, NOTEBOOKS)}; there are: {', '.join(NOTEBOOKS)}."
        )
    return {parameter.name: parameter for parameter in NOTEBOOKS[notebook]}


def cell(notebook: str) -> str:
    """Source of the notebook's `parameters` cell, word for word."""
    return "\n".join(parameter.line for parameter in described(notebook).values())


def checked(notebook: str, given: Mapping[str, object]) -> dict[str, Value]:
    """Those parameters that were given, each with its value as the cell has it, in the cell's order.

    Raises
    ------
    ParameterError for a name that the notebook does not have, or a value that it cannot take.

    Examples
    --------
    >>> checked("retention", {"months": 6, "every": "quarter"})
    {'every': 'quarter', 'months': 6}
    """
    known = described(notebook)
    for name in given:
        if name not in known:
            raise ParameterError(
                f"{notebook} has no parameter {name!r}{_meant(name, known)}; it has: {', '.join(known)}."
            )
    return {name: parameter.checked(given[name]) for name, parameter in known.items() if name in given}


def settings(notebook: str, *given: Mapping[str, object]) -> dict[str, Value]:
    """Every parameter's value: the notebook's own, then those of each mapping over those before.

    Raises
    ------
    ParameterError as `checked`, or when a first day is after a last.

    Examples
    --------
    >>> settings("retention", {"months": 6, "every": "quarter"}, {"months": 9})["months"]
    9
    """
    values = {name: parameter.default for name, parameter in described(notebook).items()}
    for some in given:
        values |= checked(notebook, some)
    for first, last in _IN_ORDER:
        if str(values[first]) > str(values[last]):
            raise ParameterError(f"{first} is {values[first]}, after {last}, {values[last]}: exchange or move them.")
    return values


def _meant(given: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(given, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
