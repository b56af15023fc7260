"""Who is new, and since when we know: first occurred clinical visits on complete history."""

from datetime import date, timedelta
from typing import Any, Final, Literal

import narwhals as nw
import polars as pl

from healthie_nb.engines import reduced, reducible
from healthie_nb.visits import MetricError, require

CLINICAL: Final = ("intake", "follow-up", "group")
EPOCH: Final = date(1970, 1, 1)
NewTo = Literal["practice", "provider"]
KEYS: Final = {"practice": ["client_id"], "provider": ["client_id", "provider_id"]}
SPLITS: Final = {
    "provider": "provider_id",
    "type": "appointment_type_id",
    "modality": "modality",
    "source": "source_name",
}


def day_number(day: str | date, *, name: str = "as_of") -> int:
    """Days from 1970-01-01 to a date, or to one written as 2026-06-30.

    Raises
    ------
    MetricError when it is neither.

    Examples
    --------
    >>> day_number("1970-02-01")
    31
    """
    if isinstance(day, str):
        try:
            day = date.fromisoformat(day)
        except ValueError as unread:
            raise MetricError(f"{name} is {day!r}: give a day such as '2026-06-30'.") from unread
    if type(day) is not date:
        raise MetricError(f"{name} is a {type(day).__name__}: give a date, or text such as '2026-06-30'.")
    return (day - EPOCH).days


def choice(given: str, allowed: Any, *, name: str) -> str:
    """Return `given` when it is one of the allowed words.

    Raises
    ------
    MetricError listing them.
    """
    if given not in allowed:
        raise MetricError(f"{name} is {given!r}; allowed are {', '.join(map(repr, allowed))}.")
    return given


def occurred(visits: Any, as_of: str | date, *needs: str) -> nw.LazyFrame[Any]:
    """Occurred clinical visits up to and including `as_of`, on the engine they came in.

    Clinical are the roles intake, follow-up and group; while no visit has any role (no roles were given), all count.
    A visit checked in and never marked as occurred does not count.

    Raises
    ------
    MetricError for a column missing, or when every visit is after `as_of`.
    """
    rows = reducible(visits, "client_id", "status", "role", "date", "day", "starts_at", "appointment_id", *needs)
    until = day_number(as_of)
    extent = reduced(rows.select(first=nw.col("day").min(), roles=nw.col("role").count())).row(0, named=True)
    if extent["first"] is not None and extent["first"] > until:
        begins = EPOCH + timedelta(days=extent["first"])
        raise MetricError(f"as_of is {as_of}, and the first visit is on {begins}: give a day from then on.")
    counted = rows.filter(nw.col("status") == "occurred", nw.col("day") <= until)
    return counted.filter(nw.col("role").is_in(CLINICAL)) if extent["roles"] else counted


def known(firsts: pl.DataFrame, clients: pl.DataFrame | None, history_from: str | date | None) -> pl.DataFrame:
    """Keep the rows of clients whose history is complete: signed up, and first seen, on or after `history_from`.

    Without `history_from` all are kept, which is right only when the visits reach back to the practice's first day.

    Raises
    ------
    MetricError when `history_from` comes without clients, or clients lack a column.
    """
    if history_from is None:
        return firsts
    if clients is None:
        raise MetricError(
            "history_from tells old clients from new by their sign-up: pass clients=practice.load('clients')."
        )
    require(clients, ["id", "created_at"], query="clients")
    since = day_number(history_from, name="history_from")
    newer = clients.filter(pl.col("created_at").dt.date().to_physical() >= since)
    return firsts.join(newer, left_on="client_id", right_on="id", how="semi").filter(pl.col("first_day") >= since)
