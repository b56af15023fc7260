"""The explorer of the forms notebook: notes signed in time, who comes with which forms, what was asked for."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from healthie_nb.explore import asked, charted, choosing
from healthie_nb.explore.choosing import WHICH, show
from healthie_nb.explore.paperwork import Paperwork
from healthie_nb.live import Explorer, Show

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import polars as pl

    from healthie_nb.live import Answer
    from healthie_nb.practice import Practice


def forms(
    practice: Practice,
    visits: pl.DataFrame,
    settings: Mapping[str, Any],
    *,
    clients: pl.DataFrame,
    providers: pl.DataFrame,
    appointment_types: pl.DataFrame,
    chart_notes: pl.DataFrame,
    filled_forms: pl.DataFrame,
    form_requests: pl.DataFrame,
    form_templates: pl.DataFrame,
    form_roles: pl.DataFrame,
    targets: pl.DataFrame | None = None,
    annotations: pl.DataFrame | None = None,
) -> Explorer:
    """Forms to look around in: chart notes, forms of the coming visits and before the first, measures, requests.

    The lists choose visits by what each of them is like; of measures, clients by their first visit; of requests, by who
    asked; of what is overdue, by the client's provider.

    Parameters
    ----------
    practice
        From `connect`: it knows whether the data is made up, where exports come from, and its ledger of requests.
    visits
        The whole history and what is booked, from `visits`.
    settings
        Every parameter of the notebook, from `parameters.settings`; the controls start from them.
    clients, providers, appointment_types, chart_notes, filled_forms, form_requests, form_templates
        Rows of the queries.
    form_roles
        From `roles.read`, or `roles.propose_form_roles`.
    targets, annotations
        As `roles.read` gives them, to be drawn.
    """
    rows = {
        "clients": clients,
        "providers": providers,
        "appointment_types": appointment_types,
        "chart_notes": chart_notes,
        "filled_forms": filled_forms,
        "form_requests": form_requests,
        "form_templates": form_templates,
        "form_roles": form_roles,
    }
    source = Paperwork(practice, visits, settings, rows, marks={"targets": targets, "annotations": annotations})
    choices = choosing.controls_of("form_completion", settings, source.names)
    return Explorer(
        "form_completion", shows(source), choices, practice=practice, first=settings["show"], names=source.names
    )


def shows(source: Paperwork) -> dict[str, Show]:
    """Everything there is to show, by the word for it in the parameter `show`."""
    which = tuple(WHICH)
    held, ahead = ("as_of", "start", "end", *which), ("as_of", "days_ahead", *which)

    def of(view: Callable[..., Answer]) -> Callable[[Mapping[str, Any]], Answer]:
        return partial(view, source)

    by_week = of(charted.notes_by_week)
    made = {
        "notes": show("notes", ("within_hours", "split", *held), "Notes signed in time", of(charted.notes)),
        "notes by week": show("notes", ("within_hours", *held), "Notes week by week", by_week, drawn="notes_over_time"),
        "open notes": show("open_notes", held, "Open notes", of(charted.open_notes)),
        "overdue notes": show(
            "overdue_notes", ("within_hours", *held), "Overdue notes", of(charted.overdue_notes), has_links=True
        ),
        "coming visits": show("readiness", ahead, "Forms of coming visits", of(asked.coming)),
        "who lacks forms": show("unready", ahead, "Who lacks forms", of(asked.lacking), has_links=True),
        "before the first visit": show(
            "before_first_visit", ("as_of", "start", "end"), "Before the first visit", of(asked.before_first)
        ),
        "measures": show("measures", ("as_of", "form_ids", *which), "Measures on time", of(asked.measures)),
        "requests": show("requests", ("form_ids", "provider_ids"), "Requests now", of(asked.requests)),
        "time to complete": show("time_to_complete", ("as_of", "form_ids"), "Time to complete", of(asked.times)),
        "overdue": show(
            "overdue",
            ("as_of", "after_days", "form_ids", "provider_ids"),
            "Overdue",
            of(asked.overdue),
            has_links=True,
        ),
    }
    return {name: choosing.marked(shown, source.marks) for name, shown in made.items()}
