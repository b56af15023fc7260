"""Views of forms: of the coming visits, before the first one, measures on time, requests, and how long they take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from healthie_nb import forms as metrics
from healthie_nb.days import local
from healthie_nb.explore import choosing
from healthie_nb.explore.choosing import WHICH, Name
from healthie_nb.explore.paperwork import KNOWN, MOST, chosen, forms_line, is_one_of, of_forms
from healthie_nb.tables import forms as told
from healthie_nb.wording import named, period

if TYPE_CHECKING:
    from collections.abc import Mapping

    from healthie_nb.explore.paperwork import Paperwork
    from healthie_nb.live import Answer

FOLLOW_UPS: Final = ((31, 90), (91, 180))


def coming(source: Paperwork, view: Mapping[str, Any]) -> Answer:
    """How far the forms of the coming visits are."""
    rows, code = _coming(source, view)
    if rows.is_empty():
        return source.nothing(_none_coming(view), view)
    visits = rows.unique(["appointment_id", "client_id"])
    return source.answer(
        f"{visits.height:,} visits{choosing.said(view, source.names)} are coming in the {view['days_ahead']} days "
        f"after {view['as_of']}; {visits['is_ready'].sum():,} have all forms done.",
        "readiness",
        rows,
        code=code,
        picks={"row": told.standing_row(), "series": pl.col("state")},
    )


def lacking(source: Paperwork, view: Mapping[str, Any]) -> Answer:
    """Who comes without a form."""
    rows, code = _coming(source, view)
    if rows.is_empty():
        return source.nothing(_none_coming(view), view)
    rows = metrics.unready(rows, key=source.practice.pseudonym_key)
    if rows.is_empty():
        return source.nothing(f"{_none_coming(view)} without a form", view)
    made = choosing.call("rows = hn.forms.unready", "rows", key=Name("practice.pseudonym_key"))
    return source.answer(
        f"{rows.height:,} forms are lacking{choosing.said(view, source.names)}, of "
        f"{rows['client_id'].n_unique():,} clients.",
        "unready",
        rows,
        code=[*code, made],
        named="provider_id",
        options={"most": MOST},
    )


def before_first(source: Paperwork, view: Mapping[str, Any]) -> Answer:
    """Share of clients who had filled the forms before their first scheduled visit, by month."""
    choosing.in_order(view)
    as_of, since, until = view["as_of"], view["start"].replace(day=1), view["end"]
    files = (source.rows["filled_forms"], source.rows["form_roles"])
    rows = metrics.before_first_visit(source.visits, *files, as_of=as_of, **source.known)
    rows = rows.filter(pl.col("period").is_between(since, until))
    if rows.is_empty():
        return source.nothing("No first visit was scheduled in these months")
    given = ("visits", "filled_forms", "form_roles")
    return source.answer(
        f"{rows.filter(role='all')['clients'].sum():,} first visits were scheduled, in whole months: "
        f"{rows['period'].n_unique()}.",
        "before_first_visit",
        rows,
        code=[
            choosing.call("rows = hn.forms.before_first_visit", *given, as_of=as_of.isoformat(), **KNOWN),
            choosing.days_line("period", since, until),
        ],
        options={"every": "month"},
        picks={"period": period("period", "month"), "series": told.role_of("series")},
    )


def measures(source: Paperwork, view: Mapping[str, Any]) -> Answer:
    """Share of new clients with each outcome measure on time."""
    as_of = view["as_of"]
    which = {name: view[name] for name in WHICH if view[name]}
    visits = choosing.began(source.visits, as_of=as_of, **which) if which else source.visits
    files = (source.rows["filled_forms"], source.rows["form_roles"])
    rows = metrics.measures(visits, *files, as_of=as_of, follow_ups=FOLLOW_UPS, **source.known)
    rows = of_forms(rows, view)
    clients = int(rows.select(pl.col("clients").max().fill_null(0)).item())
    if not clients:
        return source.nothing("No outcome measure is due of new clients", view)
    given, spans = ("visits", "filled_forms", "form_roles"), Name(str(FOLLOW_UPS))
    day = as_of.isoformat()
    return source.answer(
        f"{clients:,} new clients{choosing.said(view, source.names)} were due a measure; provider, type, "
        "role and modality are those of the first visit.",
        "measures",
        rows,
        code=[
            *choosing.began_line(view, as_of=day),
            choosing.call("rows = hn.forms.measures", *given, as_of=day, follow_ups=spans, **KNOWN),
            *forms_line("rows", view),
        ],
        named="form_id",
        picks={"row": named("form_id", source.names["form_id"]), "series": pl.col("window")},
    )


def requests(source: Paperwork, view: Mapping[str, Any]) -> Answer:
    """How requests stand now, by who asked."""
    everything = metrics.requests(source.rows["form_requests"], source.rows["clients"])
    rows, senders = of_forms(everything, view), view["provider_ids"]
    rows = rows.filter(is_one_of("sender_id", senders)) if senders else rows
    if rows.is_empty():
        return source.nothing("None of these forms was asked for")
    return source.answer(
        f"{rows['requests'].sum():,} of {everything['requests'].sum():,} requests, as they stood when loaded; the "
        "provider is who asked.",
        "requests",
        rows,
        code=[
            "rows = hn.forms.requests(form_requests, clients)",
            *forms_line("rows", view),
            *forms_line("rows", view, "sender_id", "provider_ids"),
        ],
        named="form_id",
        options={"senders": source.names["sender_id"]},
        picks={"row": named("form_id", source.names["form_id"])},
    )


def times(source: Paperwork, view: Mapping[str, Any]) -> Answer:
    """How long forms take to be completed, once the ledger allows."""
    ledger, as_of = source.practice.ledger, view["as_of"]
    counts = local(ledger.counts(), zone=source.practice.zone)
    files = (source.rows["form_requests"], source.rows["clients"])
    rows = of_forms(metrics.time_to_complete(ledger.seen(), counts, *files, as_of=as_of), view)
    if rows.is_empty():
        says = metrics.ledger_standing(counts, as_of=as_of)["says"].item()
        return source.nothing(f"No times yet: {says}")
    requests = rows.unique("form_id")["requests"].sum()
    given = ("practice.ledger.seen()", "pulls", "form_requests", "clients")
    return source.answer(
        f"{requests:,} requests that appeared since the ledger began; forms: {rows['form_id'].n_unique()}.",
        "time_to_complete",
        rows,
        code=[
            "pulls = hn.days.local(practice.ledger.counts(), zone=practice.zone)",
            choosing.call("rows = hn.forms.time_to_complete", *given, as_of=as_of.isoformat()),
            *forms_line("rows", view),
        ],
        named="form_id",
        picks={"series": named("form_id", source.names["form_id"])},
    )


def overdue(source: Paperwork, view: Mapping[str, Any]) -> Answer:
    """Whose forms are overdue, by the client's provider."""
    as_of, after, providers = view["as_of"], view["after_days"], view["provider_ids"]
    asked = of_forms(source.rows["form_requests"], view)
    key = source.practice.pseudonym_key
    rows = metrics.overdue(asked, source.rows["clients"], as_of=as_of, key=key, after_days=after)
    rows = rows.filter(is_one_of("provider_id", providers)) if providers else rows
    if rows.is_empty():
        return source.nothing(f"No form is overdue by more than {after} days on {as_of}", view)
    told_ = {"as_of": as_of.isoformat(), "key": Name("practice.pseudonym_key"), "after_days": after}
    return source.answer(
        f"{rows.height:,} clients{choosing.said(view, source.names)} have {rows['forms'].sum():,} forms waiting for "
        f"more than {after} days.",
        "overdue",
        rows,
        code=[
            *forms_line("form_requests", view),
            choosing.call("rows = hn.forms.overdue", "form_requests", "clients", **told_),
            *forms_line("rows", view, "provider_id", "provider_ids"),
        ],
        named="form_id",
        options={"most": MOST},
    )


def _coming(source: Paperwork, view: Mapping[str, Any]) -> tuple[pl.DataFrame, list[str]]:
    """Rows of `forms.readiness` of the visits that a view chooses, and the lines that give them."""
    as_of, days = view["as_of"], view["days_ahead"]
    files = (source.rows[name] for name in ("filled_forms", "form_requests", "form_roles"))
    rows = metrics.readiness(source.visits, *files, as_of=as_of, days=days)
    given = ("visits", "filled_forms", "form_requests", "form_roles")
    code = [choosing.call("rows = hn.forms.readiness", *given, as_of=as_of.isoformat(), days=days)]
    if which := chosen(view, by_day=False):
        visits = source.visits.filter(*choosing.alike(view))
        rows = rows.join(visits, on="appointment_id", how="semi", maintain_order="left")
        code.append(choosing.call("visits = visits.filter", *which))
        code.append('rows = rows.join(visits, on="appointment_id", how="semi", maintain_order="left")')
    return rows, code


def _none_coming(view: Mapping[str, Any]) -> str:
    return f"Nobody comes in the {view['days_ahead']} days after {view['as_of']}"
