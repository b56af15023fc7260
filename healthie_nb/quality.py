"""Whether the numbers can be trusted: one frame, one row per check, what it means and what to do."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Final, NamedTuple

import polars as pl

from healthie_nb import judgements
from healthie_nb.judgements import Given, Judgement
from healthie_nb.newcomers import day_number
from healthie_nb.visits import MetricError, require

__all__ = ["CHECKS", "checks"]


class Check(NamedTuple):
    """One check: its name, what it needs beside visits, how it judges, what it means, what to do."""

    name: str
    needs: tuple[str, ...]
    judge: Callable[[Given], Judgement]
    meaning: str
    advice: str


CHECKS: Final = (
    Check("as of", ("loaded_at",), judgements.as_of, "The day the numbers speak for was over when they were loaded.",
          "Set as_of to a day before that of loading, or load again."),
    Check("reconciled", ("reconciled",), judgements.reconciled, "Our counts of appointments are Healthie's own.",
          "Load again if rows were added or deleted since; volume.reconcile has a reason for each count that differs."),
    Check("history", (), judgements.history, "There is a year to compare with, and a quarter to be new in.",
          "Set history_from to an earlier day, from which appointments are complete, and load again."),
    Check("unmarked", (), judgements.unmarked,
          "Past visits have a status; without one they are in no rate. The newest are under settling.",
          "Ask providers to mark theirs: volume.unmarked lists them. Until then, read the bounds of rates."),
    Check("settling", (), judgements.settling, "The newest visits are marked; what is not will still change.",
          "Leave these days out, or set as_of 8 days back."),
    Check("unmapped types", ("appointment_types", "roles"), judgements.types,
          "Every visit's type has a role; without one it is in no clinical metric.",
          "Give each a role in appointment_types.csv: roles.unmapped lists them."),
    Check("unmapped forms", ("form_templates", "form_roles"), judgements.forms,
          "Every form has a role; without one it is required nowhere.",
          "Give each a role in forms.csv, if only other: roles.unmapped_forms lists them."),
    Check("unmapped statuses", (), judgements.statuses, "Every status is one we know; others are in no rate.",
          "See healthie_status of these visits, and report the word."),
    Check("late status", (), judgements.late_status,
          "Late cancellations have a status all the time; before, they are Cancelled and rates are not comparable.",
          "Judge lateness by hours of notice, late='notice', or compare only since the day it was switched on."),
    Check("occurred in the future", ("loaded_at",), judgements.future, "Nothing has an outcome before it begins.",
          "Have the dates or statuses of these visits corrected in Healthie."),
    Check("doubles", (), judgements.doubles, "A client is in one place at a time; doubles count twice.",
          "Have one of each pair deleted in Healthie."),
    Check("lengths", (), judgements.lengths, "Visits last 1 to 480 minutes; hours are counted from it.",
          "Have the lengths corrected in Healthie, or read hours with care."),
    Check("without note", ("chart_notes",), judgements.charted, "What took place has a chart note after three days.",
          "Ask providers for theirs: forms.overdue_notes lists them. A note may also not be tied to its appointment."),
    Check("group attendance", (), judgements.attendance, "Attendance of groups is loaded and marked.",
          "Ask leaders to mark who came and list clients in every session. If none is marked, load group_attendance."),
    Check("vanished", ("vanished",), judgements.vanished, "Few appointments are deleted once they were loaded.",
          "Ask why staff delete instead of cancelling: deleted visits are in no rate."),
    Check("merges", ("clients",), judgements.merges, "Visits belong to clients on the list.",
          "Clients may have been merged, or hidden from this key: load clients and appointments again."),
    Check("mass edits", (), judgements.mass_edits, "Rows were changed one by one.",
          "Most likely an import: do not read times of change up to then."),
    Check("weeks", (), judgements.weeks, "No week has under half the usual visits that took place.",
          "Note holidays in annotations.csv. If it was none, look in Healthie whether these weeks lack visits."),
    Check("providers", ("providers",), judgements.providers, "Providers with visits are members; members have visits.",
          "Load providers again; members without visits may be hidden from this key."),
    Check("ledger", ("ledger_counts",), judgements.ledger, "The ledger is old enough for times to completion.",
          "Load form_requests every day: Healthie overwrites when a form was asked for."),
    Check("not seen", (), judgements.unseen,
          "The key sees every row, and its client, provider, type and form; what it may not see comes as nothing.",
          "Use the key of a user with full access."),
)  # fmt: skip
_PASSED: Final = {
    "loaded_at": "loaded_at, from practice.stored()",
    "reconciled": "reconciled=volume.reconcile(...)",
    "appointment_types": "appointment_types=practice.load('appointment_types')",
    "roles": "roles=roles.read(..., 'appointment_types')",
    "form_templates": "form_templates=practice.load('form_templates')",
    "form_roles": "form_roles=roles.read(..., 'forms')",
    "chart_notes": "chart_notes=practice.load('chart_notes')",
    "vanished": "vanished=practice.load('appointments', ..., deleted=True)",
    "clients": "clients=practice.load('clients')",
    "providers": "providers=practice.load('providers')",
    "ledger_counts": "ledger_counts=practice.ledger.counts()",
}
_VISITS: Final = (
    *("client_id", "provider_id", "appointment_type_id", "status", "is_group", "date", "week", "starts_at"),
    *("minutes", "updated_at"),
)


def checks(
    visits: pl.DataFrame,
    *,
    as_of: str | date,
    history_from: str | date | None = None,
    loaded_at: datetime | None = None,
    clients: pl.DataFrame | None = None,
    providers: pl.DataFrame | None = None,
    appointment_types: pl.DataFrame | None = None,
    roles: pl.DataFrame | None = None,
    form_templates: pl.DataFrame | None = None,
    form_roles: pl.DataFrame | None = None,
    chart_notes: pl.DataFrame | None = None,
    reconciled: pl.DataFrame | None = None,
    unplaced: pl.DataFrame | None = None,
    vanished: pl.DataFrame | None = None,
    ledger_counts: pl.DataFrame | None = None,
    filled_forms: pl.DataFrame | None = None,
    form_requests: pl.DataFrame | None = None,
    stored: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Judge what the numbers rest on; what is not passed is not checked, and says so.

    Rows
    ----
    One per check of CHECKS, in that order, always all.

    Columns
    -------
    check String; level String: green, amber, red; value String, what it was judged by, "not checked" where something
    was not passed; meaning String, what holds when it is green; advice String, what to do when it is not.

    Raises
    ------
    MetricError for `as_of` before the first visit, a `loaded_at` without a zone, whose day it is, or a missing column.

    Source
    ------
    `visits`, `unplaced`; queries/ by the names of the arguments; volume.reconcile; practice.ledger; practice.stored()
    for the rows that were counted and not shown.

    Examples
    --------
    >>> from healthie_nb.visits import example
    >>> table = checks(example({"ada": ["2026-01-05", "2026-01-05"]}), as_of="2026-01-31")
    >>> table.filter(check="doubles").select("level", "value").row(0)
    ('red', '2 of 2 visits (100.0%)')
    """
    require(visits, _VISITS, query="appointments")
    first = visits["date"].min()
    if isinstance(first, date) and day_number(as_of) < day_number(first):
        raise MetricError(f"as_of is {as_of}, and the first visit is on {first}: give a day from then on.")
    if loaded_at is not None and loaded_at.tzinfo is None:
        raise MetricError("loaded_at has no zone: pass an instant with one, such as practice.stored() gives.")
    given = Given(
        as_of=as_of,
        all_visits=visits,
        history_from=history_from,
        loaded_at=loaded_at,
        clients=clients,
        providers=providers,
        appointment_types=appointment_types,
        roles=roles,
        form_templates=form_templates,
        form_roles=form_roles,
        chart_notes=chart_notes,
        reconciled=reconciled,
        unplaced=unplaced,
        vanished=vanished,
        ledger_counts=ledger_counts,
        filled_forms=filled_forms,
        form_requests=form_requests,
        stored=stored,
    )
    rows = [_judged(check, given) for check in CHECKS]
    return pl.DataFrame(rows, schema=["check", "level", "value", "meaning", "advice"], orient="row")


def _judged(check: Check, given: Given) -> tuple[str, str, str, str, str]:
    lacking = [_PASSED[name] for name in check.needs if getattr(given, name) is None]
    if lacking:
        return check.name, "amber", "not checked", check.meaning, f"Pass {' and '.join(lacking)}."
    level, value = check.judge(given)
    return check.name, level, value, check.meaning, check.advice
