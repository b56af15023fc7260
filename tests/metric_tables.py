"""Every metric's table on a demo practice: what tests that go over all of them share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import healthie_nb as hn

if TYPE_CHECKING:
    import polars as pl

    from healthie_nb.practice import Practice

AS_OF, SINCE = "2026-06-30", "2026-01-01"
SPAN = {"start": "2023-07-01", "end": "2026-12-31"}


def tables(practice: Practice) -> dict[str, list[pl.DataFrame]]:
    """Tables by the metric's name, each as a notebook would make it; those that list clients too."""
    types, clients = practice.load("appointment_types"), practice.load("clients")
    appointments = practice.load("appointments", **SPAN)
    groups = types.filter("is_group")["id"].to_list()
    attendance = practice.load("group_attendance", **SPAN, type_ids=groups)
    forms, asked, templates = (practice.load(name) for name in ("filled_forms", "form_requests", "form_templates"))
    notes = practice.load("chart_notes")
    roles, form_roles = hn.roles.propose_roles(types), hn.roles.propose_form_roles(templates)
    visits = hn.visits(
        appointments,
        zone=practice.zone,
        attendance=attendance,
        appointment_types=types,
        roles=roles,
        cancellation_reasons=practice.load("cancellation_reasons", **SPAN),
    )
    history: dict[str, Any] = {"as_of": AS_OF, "history_from": SPAN["start"], "clients": clients}
    stays, volume, done = hn.retention, hn.volume, hn.forms
    cohorts = stays.cohorts(visits, measure="on", **history)
    key = b"kept with the tests, and nowhere else"
    rates = volume.rates(visits, as_of=AS_OF, every="month", by=["provider"])
    one_rate = rates.filter(measure="lost", late="status")
    return {
        "cohorts": [cohorts, stays.cohorts(visits, split="provider", every="quarter", **history)],
        "means": [stays.means(cohorts)],
        "chance_limits": [stays.chance_limits(stays.cohorts(visits, brackets=[(1, 45)], split="provider", **history))],
        "population": [stays.population(visits, clients, as_of=AS_OF, history_from=SPAN["start"])],
        "definitions": [stays.definitions(visits, **history)],
        "funnel": [stays.funnel(visits, clients, as_of=AS_OF, history_from=SPAN["start"])],
        "states": [stays.states(visits, clients, as_of=AS_OF)],
        "flow": [stays.flow(visits, **history), stays.flow(visits, every="quarter", **history)],
        "survival": [stays.survival(visits, **history)],
        "spells": [stays.spells(visits, **history)],
        "worklist": [stays.worklist(visits, as_of=AS_OF, key=key)],
        "counts": [
            volume.counts(visits, as_of=AS_OF, every="week"),
            volume.counts(visits, as_of=AS_OF, by=["provider"], unit="provider hours"),
        ],
        "panel": [volume.panel(visits, as_of=AS_OF, by=["modality"])],
        "rates": [
            one_rate,
            volume.rates(visits, as_of=AS_OF, by=["first visit"]).filter(measure="lost", late="notice"),
        ],
        "funnel_plot": [volume.funnel_plot(visits, as_of=AS_OF)],
        "heat": [volume.heat(visits, as_of=AS_OF)],
        "lead": [volume.lead(visits, as_of=AS_OF, by=["role"])],
        "booked": [volume.booked(visits, as_of=AS_OF, by=["provider"])],
        "booking_curve": [volume.booking_curve(visits, as_of=AS_OF)],
        "rebooked": [volume.rebooked(visits, as_of=AS_OF, by=["role"])],
        "cancellations": [volume.cancellations(visits, as_of=AS_OF, since=SINCE)],
        "unmarked": [volume.unmarked(visits, as_of=AS_OF)],
        "requests": [done.requests(asked, clients)],
        "notes": [done.notes(visits, notes, as_of=AS_OF), done.notes(visits, notes, as_of=AS_OF, every="month")],
        "before_first_visit": [done.before_first_visit(visits, forms, form_roles, **history)],
        "measures": [done.measures(visits, forms, form_roles, **history)],
        "open_notes": [done.open_notes(visits, notes, as_of=AS_OF)],
        "overdue_notes": [done.overdue_notes(visits, notes, as_of=AS_OF, key=key)],
        "overdue": [done.overdue(asked, clients, as_of=AS_OF, key=key)],
        "readiness": [ready := done.readiness(visits, forms, asked, form_roles, as_of=AS_OF)],
        "unready": [done.unready(ready, key=key)],
        "checks": [hn.quality.checks(visits, as_of=AS_OF)],
    }
