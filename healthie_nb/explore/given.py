"""What the cells of a notebook take from its settings, so that its sections follow them as its explorer does."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from healthie_nb.explore.choosing import WHICH, began, names
from healthie_nb.parameter import ParameterError
from healthie_nb.returns import DAYS

if TYPE_CHECKING:
    from collections.abc import Mapping

WIDEST: Final = 60  # columns of a heat map
NAMED: Final = 8  # of those there are, in a refusal


def chosen(
    visits: pl.DataFrame, clients: pl.DataFrame, settings: Mapping[str, Any]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Visits and rows of the clients whose first visit was as the settings choose; all where they choose nothing.

    Raises
    ------
    MetricError as `began`.
    """
    which = {name: settings[name] for name in WHICH if settings[name]}
    if not which:
        return visits, clients
    kept = began(visits, as_of=settings["as_of"], **which)
    return kept, clients.filter(pl.col("id").is_in(kept["client_id"].implode()))


def refuse_unknown(
    settings: Mapping[str, Any],
    appointments: pl.DataFrame,
    *,
    providers: pl.DataFrame,
    appointment_types: pl.DataFrame,
    form_templates: pl.DataFrame | None = None,
) -> None:
    """Refuse settings with an id that neither a frame nor an appointment has: nobody wants to read about nobody.

    Raises
    ------
    ParameterError with the ids there are.

    Examples
    --------
    >>> people = pl.DataFrame({"id": ["7", "8"], "name": ["Dr Ada", "Dr Bob"]})
    >>> booked = pl.DataFrame({"provider_id": ["7"], "appointment_type_id": ["1"]})
    >>> asked = {"provider_ids": ["9"], "appointment_type_ids": ["1"]}
    >>> refuse_unknown(asked, booked, providers=people, appointment_types=people.clear())
    Traceback (most recent call last):
    healthie_nb.parameter.ParameterError: provider_ids: this practice has no 9; it has 7 (Dr Ada), 8 (Dr Bob).
    """
    told = [
        *_unknown("provider_ids", settings, providers, appointments["provider_id"]),
        *_unknown("appointment_type_ids", settings, appointment_types, appointments["appointment_type_id"]),
        *([] if form_templates is None else _unknown("form_ids", settings, form_templates, pl.Series())),
    ]
    if told:
        raise ParameterError(" ".join(told))


def _unknown(name: str, settings: Mapping[str, Any], there: pl.DataFrame, used: pl.Series) -> list[str]:
    known, in_use = names(there), set(used.drop_nulls())
    lacking = [one for one in settings[name] if one not in known and one not in in_use]
    if not lacking:
        return []
    has = [f"{one} ({called})" for one, called in known.items()]
    rest = f" and {len(has) - NAMED:,} more" if len(has) > NAMED else ""
    return [f"{name}: this practice has no {', '.join(lacking)}; it has {', '.join(has[:NAMED]) or 'none'}{rest}."]


def loaded(visits: pl.DataFrame, loaded_at: datetime) -> str:
    """Say how many visits there are, of how many clients, of which days, and when they were loaded.

    Examples
    --------
    >>> from datetime import UTC
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-02-05"], "bob": ["2026-02-09"]})
    >>> loaded(seen, datetime(2026, 7, 1, 9, 30, tzinfo=UTC))
    '3 visits of 2 clients, from 2026-01-05 to 2026-02-09, loaded on 2026-07-01.'
    """
    first, last = visits.select(first=pl.col("date").min(), last=pl.col("date").max()).row(0)
    span = f"from {first} to {last}, " if visits.height else ""
    clients = visits["client_id"].n_unique()
    return f"{visits.height:,} visits of {clients:,} clients, {span}loaded on {loaded_at.date()}."


def days(settings: Mapping[str, Any]) -> tuple[date, date]:
    """First and last day to show.

    Examples
    --------
    >>> days({"start": "2026-01-01", "end": "2026-06-30"})
    (datetime.date(2026, 1, 1), datetime.date(2026, 6, 30))
    """
    return date.fromisoformat(settings["start"]), date.fromisoformat(settings["end"])


def periods(settings: Mapping[str, Any]) -> int:
    """How many weeks, months or quarters make up the months to follow; no more than a heat map has room for.

    Examples
    --------
    >>> periods({"months": 12, "every": "quarter"}), periods({"months": 40, "every": "week"})
    (4, 60)
    """
    return int(min(WIDEST, -(-settings["months"] * DAYS["month"] // DAYS[settings["every"]])))


def split_names(
    settings: Mapping[str, Any], *, providers: pl.DataFrame, appointment_types: pl.DataFrame
) -> dict[str, str]:
    """Name by id of what the settings split by; none where its values are words.

    Examples
    --------
    >>> people = pl.DataFrame({"id": ["7"], "name": ["Dr Ada"]})
    >>> split_names({"split": "provider"}, providers=people, appointment_types=people.clear())
    {'7': 'Dr Ada'}
    """
    named = {"provider": providers, "type": appointment_types}
    return names(named[settings["split"]]) if settings["split"] in named else {}
