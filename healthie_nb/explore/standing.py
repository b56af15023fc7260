"""Views of all clients: where they stand, who comes and goes, how far those who sign up get, and whom to call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from healthie_nb import care, flows
from healthie_nb import retention as metrics
from healthie_nb.explore import choosing
from healthie_nb.explore.choosing import WHICH, Name
from healthie_nb.explore.rows import FIRST, KNOWN
from healthie_nb.wording import period, several

if TYPE_CHECKING:
    from collections.abc import Mapping

    from healthie_nb.explore.rows import Rows
    from healthie_nb.live import Answer

THEIRS: Final = 'clients.filter(pl.col("id").is_in(visits["client_id"].implode()))'


def states(source: Rows, view: Mapping[str, Any]) -> Answer:
    """Where every client stands."""
    standing, theirs = source.of_day(view, care.standings, source.clients, programmes=source.programmes), "clients"
    if _chooses(view):
        standing = standing.join(source.began(view), left_on="id", right_on="client_id", how="semi")
        theirs = THEIRS
    if standing.is_empty():
        return source.nobody(view, by_day=False)
    rows = care.stood(standing)
    programmes = None if source.programmes is None else Name("programmes")
    return source.answer(
        source.told(view, standing.height, rows, total=several(source.clients.height, "client")),
        "states",
        rows,
        code=source.code(view, "states", theirs, programmes=programmes),
        picks={"row": pl.format("{}: {}", "state", "reason")},
    )


def flow(source: Rows, view: Mapping[str, Any]) -> Answer:
    """Who came and who left in each period from the first day on."""
    choosing.in_order(_to_date(view))
    every = view["every"]
    kinds = source.of_day(view, flows.kinds, every=every, **source.known)
    if _chooses(view):
        kinds = kinds.join(source.began(view), on="client_id", how="semi")
    rows = flows.moved(kinds, view["as_of"], every).filter(pl.col("period").is_between(view["start"], view["as_of"]))
    if rows.is_empty():
        return source.nobody(view, by_day=False)
    among = choosing.said(view, source.names)
    return source.answer(
        f"Clients seen{among} in {every}s: {rows.height:,}. {FIRST}",
        "flow",
        rows,
        code=source.code(_to_date(view), "flow", every=every, **KNOWN, days="period"),
        options={"every": every},
        picks={"period": period("period", every)},
    )


def funnel(source: Rows, view: Mapping[str, Any]) -> Answer:
    """How far those who signed up get."""
    rows = source.of_day(view, flows.funnel, source.clients, history_from=source.known["history_from"])
    if not rows["clients"][0]:
        return source.nobody(_everybody(view), by_day=False)
    return source.answer(
        f"{int(rows['clients'][0]):,} of {several(source.clients.height, 'client')} signed up early enough to be "
        "judged.",
        "funnel",
        rows,
        code=source.code(_everybody(view), "funnel", "clients", history_from=KNOWN["history_from"]),
        picks={"row": pl.col("step")},
    )


def worklist(source: Rows, view: Mapping[str, Any]) -> Answer:
    """Whom to call, by the provider of the last visit."""
    everybody = source.of_day(view, metrics.worklist, key=source.practice.pseudonym_key)
    ids = list(view["provider_ids"])
    rows = everybody.filter(pl.col("provider_id").is_in(ids)) if ids else everybody
    if rows.is_empty():
        return source.nobody(_everybody(view) | {"provider_ids": view["provider_ids"]}, by_day=False)
    kept = [choosing.ids_line("provider_id", ids)] if ids else []
    return source.answer(
        f"{rows.height:,} of {several(everybody.height, 'client')} overdue; the provider is that of the last visit.",
        "worklist",
        rows,
        code=[*source.code(_everybody(view), "worklist", key=Name("practice.pseudonym_key")), *kept],
        options=source.named("provider_id"),
    )


def _everybody(view: Mapping[str, Any]) -> dict[str, Any]:
    """View that chooses nobody by their first visit."""
    return {**view, **dict.fromkeys(WHICH, ())}


def _to_date(view: Mapping[str, Any]) -> dict[str, Any]:
    """View of the days up to the one the numbers speak for."""
    return {**view, "end": view["as_of"]}


def _chooses(view: Mapping[str, Any]) -> bool:
    return any(view[name] for name in WHICH)
