"""Who is new, and since when we know: first occurred clinical visits on complete history."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final, Literal

import narwhals as nw
import polars as pl

from healthie_nb.engines import reduced, reducible
from healthie_nb.visits import MetricError, require

CLINICAL: Final = ("intake", "follow-up", "group")
CALLED_OFF: Final = ("cancelled", "late_cancelled", "rescheduled")
EPOCH: Final = date(1970, 1, 1)
Every = Literal["week", "month", "quarter"]
Split = Literal["provider", "type", "modality", "source"]
NewTo = Literal["practice", "provider"]
KEYS: Final = {"practice": ["client_id"], "provider": ["client_id", "provider_id"]}
SPLITS: Final = {
    "provider": "provider_id",
    "type": "appointment_type_id",
    "modality": "modality",
    "source": "source_name",
}

_OFFSETS: Final = {"week": "1w", "month": "1mo", "quarter": "1q"}


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


def offset(every: str) -> str:
    """Length of a calendar period, as polars writes it.

    Raises
    ------
    MetricError for a period that is not allowed.
    """
    return _OFFSETS[choice(every, _OFFSETS, name="every")]


def is_over(period: str, every: str, as_of: str | date) -> pl.Expr:
    """Whether the whole period, known by its first day, lies up to and including `as_of`."""
    return pl.col(period).dt.offset_by(offset(every)).to_physical() <= day_number(as_of) + 1


def split_columns(split: str | None) -> list[str]:
    """Name the column to split by, in a list; none without a split.

    Raises
    ------
    MetricError for a split that is not allowed.
    """
    return [] if split is None else [SPLITS[choice(split, SPLITS, name="split")]]


def with_source(firsts: pl.DataFrame, clients: pl.DataFrame | None, split: str | None) -> pl.DataFrame:
    """Add the client's source when that is the split; it is the client's, not the visit's.

    Raises
    ------
    MetricError when clients or their sources are missing.
    """
    if split != "source":
        return firsts
    if clients is None:
        raise MetricError("split='source' is known per client: pass clients=practice.load('clients').")
    require(clients, ["id", "source_name"], query="clients")
    return firsts.join(clients.select("id", "source_name"), left_on="client_id", right_on="id", how="left")


def clinical(visits: Any, as_of: str | date, *needs: str) -> nw.LazyFrame[Any]:
    """Clinical visits of every status and time, on the engine they came in.

    Clinical are the roles intake, follow-up and group; where `visits` were given no roles, all count.

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
    return rows.filter(nw.col("role").is_in(CLINICAL)) if extent["roles"] else rows


def occurred(visits: Any, as_of: str | date, *needs: str) -> nw.LazyFrame[Any]:
    """Clinical visits that occurred up to and including `as_of`.

    Raises
    ------
    MetricError as `clinical`.
    """
    return clinical(visits, as_of, *needs).filter(took_place(as_of))


def took_place(as_of: str | date) -> nw.Expr:
    """Whether a visit occurred up to and including `as_of`; one only checked in, and never marked, did not."""
    return (nw.col("status") == "occurred") & (nw.col("day") <= day_number(as_of))


def is_end(keys: Sequence[str], *, last: bool = False) -> nw.Expr:
    """Whether a visit is the first, or the last, of its client (or other keys), on any engine."""
    beyond = nw.col("appointment_id").shift(-1 if last else 1)
    return beyond.over(*keys, order_by=["starts_at", "appointment_id"]).is_null()


def bookings(visits: Any, as_of: str | date) -> pl.DataFrame:
    """Next clinical visit after `as_of` of each client, as it stood then: booked by that day, and not yet called off.

    A booking that was cancelled or rescheduled after `as_of` (by its last status change) still stood.

    Rows
    ----
    One per client with a booking, in no order.

    Columns
    -------
    client_id String; next_day Int64, days since 1970-01-01.
    """
    later = clinical(visits, as_of, "booked_day", "changed_day").filter(is_ahead(as_of))
    return reduced(later.group_by("client_id").agg(nw.col("day").min().alias("next_day")))


def is_ahead(as_of: str | date) -> nw.Expr:
    """Whether a visit lies after `as_of` and was on the books then."""
    until = day_number(as_of)
    stood = ~nw.col("status").is_in(CALLED_OFF) | (nw.col("changed_day") > until)
    booked = nw.col("booked_day").is_null() | (nw.col("booked_day") <= until)
    return (nw.col("day") > until) & stood & booked


def is_complete(history_from: str | date) -> pl.Expr:
    """Whether a client signed up, and was first seen, on or after the day from which history is complete."""
    since = day_number(history_from, name="history_from")
    return (pl.col("created_at").dt.date().to_physical() >= since) & (pl.col("first_day") >= since)


def known(firsts: pl.DataFrame, clients: pl.DataFrame | None, history_from: str | date | None) -> pl.DataFrame:
    """Keep the rows of clients whose history is complete: signed up, and first seen, on or after `history_from`.

    Without `history_from` all are kept, which is right only when the visits reach back to the practice's first day. The
    day of a sign-up is that of the zone its instant is in, see `days.local`.

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
    newer = clients.select("id", "created_at").filter(pl.col("created_at").dt.date().to_physical() >= since)
    return firsts.join(newer, left_on="client_id", right_on="id", how="semi").filter(pl.col("first_day") >= since)
