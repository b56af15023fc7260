"""The rows that each file in queries/ must return, worked out from the world and not from the server."""

from collections.abc import Callable, Sequence
from datetime import datetime

import polars as pl

from healthie_nb.demo.truth import OWNER_ID
from healthie_nb.demo.world import World

_c = pl.col


def expected_ids(
    world: World,
    query: str,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    type_ids: Sequence[str] | None = None,
) -> list[str]:
    """Return the ids that a data set of queries/ holds, in the order of their numbers.

    start is inside, end is not: what stays after clipping, not what the wire sends. type_ids are those of
    group_attendance. Raise ValueError for another query.
    """
    if query not in _QUERIES:
        raise ValueError(f"no expectation for {query!r}; there are: {', '.join(sorted(_QUERIES))}.")
    table, column, keep = _QUERIES[query]
    rows = keep(world.table(table))
    if column is not None and start is not None:
        rows = rows.filter(_c(column) >= start)
    if column is not None and end is not None:
        rows = rows.filter(_c(column) < end)
    if type_ids is not None:
        rows = rows.filter(_c("type_id").is_in(list(type_ids)))
    return rows.sort("number")["id"].to_list()


def _all(rows: pl.DataFrame) -> pl.DataFrame:
    return rows


def _visits(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(_c("deleted_at").is_null(), ~_c("is_block"), ~_c("is_synced"))


def _cancelled(rows: pl.DataFrame) -> pl.DataFrame:
    return _visits(rows).filter(_c("status").is_in(["Cancelled", "Late Cancellation"]))


def _filled(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter("finished")


def _notes(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter("finished", _c("appointment_id").is_not_null())


def _owner(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(_c("id") == OWNER_ID)


_QUERIES: dict[str, tuple[str, str | None, Callable[[pl.DataFrame], pl.DataFrame]]] = {
    "appointments": ("appointments", "starts_at", _visits),
    "cancellation_reasons": ("appointments", "starts_at", _cancelled),
    "group_attendance": ("appointments", "starts_at", _visits),
    "clients": ("clients", None, _all),
    "providers": ("providers", None, _all),
    "appointment_types": ("appointment_types", None, _all),
    "form_requests": ("form_requests", None, _all),
    "filled_forms": ("filled_forms", "updated_at", _filled),
    "form_templates": ("form_templates", None, _all),
    "chart_notes": ("filled_forms", "updated_at", _notes),
    "current_user": ("providers", None, _owner),
}
