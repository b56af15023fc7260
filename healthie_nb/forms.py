"""Which forms get done: requests as they stand and overdue; notes, paperwork, measures and times from other rooms."""

from datetime import date, timedelta
from typing import Final

import polars as pl

from healthie_nb.chart_notes import notes, open_notes, overdue_notes
from healthie_nb.completion import ledger_standing, request_times, time_to_complete, turnbull
from healthie_nb.linked import CHART, linked
from healthie_nb.newcomers import EPOCH, day_number
from healthie_nb.paperwork import before_first_visit, measures, readiness
from healthie_nb.stats import FEW, from_moments, squares, wilson
from healthie_nb.visits import MetricError, require

__all__ = [
    "before_first_visit",
    "ledger_standing",
    "measures",
    "notes",
    "open_notes",
    "overdue",
    "overdue_notes",
    "readiness",
    "request_times",
    "requests",
    "time_to_complete",
    "turnbull",
    "unready",
]

STANDING: Final = pl.Enum(["open", "started", "completed", "withdrawn"])  # of a request
_REQUEST: Final = (
    "id",
    "form_id",
    "client_id",
    "sender_id",
    "date_to_show",
    "filled_form_id",
    "filled_form_is_finished",
)


def requests(form_requests: pl.DataFrame, clients: pl.DataFrame) -> pl.DataFrame:
    """How the requests of each form and sender stand now: open, begun, completed, or withdrawn.

    Now is when they were loaded: Healthie overwrites when a form was asked for, so there is no rate per month, and what
    was asked yesterday has not had the time of what was asked last year. The linked form tells what is completed, not
    Healthie's word. Requests not completed of clients who are archived, or not on the list, are withdrawn: nobody waits
    for them.

    Rows
    ----
    One per form and sender, in that order.

    Columns
    -------
    form_id, sender_id String; requests, open, started, completed, withdrawn Int64, the last four adding up to the
    first; waiting_or_done Int64, without withdrawn ones; completed_now Float64, completed / waiting_or_done, null when
    0; low, high Float64, Wilson 95 %; robust_low, robust_high Float64, cluster-robust by client; few Boolean, under 30.

    Raises
    ------
    MetricError for a missing column.

    Source
    ------
    queries/form_requests.graphql, clients.graphql.

    Examples
    --------
    >>> asked = pl.DataFrame({"id": ["1", "2"], "form_id": ["f", "f"], "client_id": ["ada", "bob"]}).with_columns(
    ...     sender_id=pl.lit("p"), date_to_show=None, filled_form_id=None, filled_form_is_finished=pl.lit(False)
    ... )
    >>> requests(asked, pl.DataFrame({"id": ["ada", "bob"], "is_active": [True, False]})).row(0)[:7]
    ('f', 'p', 2, 1, 0, 0, 1)
    """
    keys, states = ["form_id", "sender_id"], STANDING.categories
    counts = [(pl.col("state") == state).sum().cast(pl.Int64).alias(state) for state in states]
    of = pl.col("waiting_or_done")
    tally = (
        _standing(form_requests, clients)
        .group_by("client_id", *keys)
        .agg(pl.len().cast(pl.Int64).alias("requests"), *counts)
        .with_columns(waiting_or_done=pl.col("requests") - pl.col("withdrawn"))
        .group_by(keys)
        .agg(
            pl.col("requests", *states, "waiting_or_done").sum(),
            (of > 0).sum().cast(pl.Int64).alias("clients"),
            *squares("completed", "waiting_or_done"),
        )
        .collect(engine="streaming")
    )
    robust = from_moments(tally, hits="completed", of="waiting_or_done")
    low, high = wilson("completed", "waiting_or_done")
    return (
        robust.rename({"rate": "completed_now", "low": "robust_low", "high": "robust_high"})
        .with_columns(low=low, high=high, few=of < FEW)
        .select(
            *(*keys, "requests", *states, "waiting_or_done", "completed_now", "low", "high"),
            *("robust_low", "robust_high", "few"),
        )
        .sort(keys, nulls_last=True)
    )


def overdue(
    form_requests: pl.DataFrame,
    clients: pl.DataFrame,
    *,
    as_of: str | date,
    key: bytes,
    after_days: int = 14,
    link: str = CHART,
) -> pl.DataFrame:
    """Active clients with forms that were asked for or begun long ago and are not completed, the oldest first.

    Days are those of the zone the requests' instants are in, see `days.local`.

    Rows
    ----
    One per client with a form waiting for more than `after_days`, longest first.

    Columns
    -------
    pseudonym, client_id, provider_id String; forms Int64, waiting that long; started Int64 of these; oldest Date: when
    the oldest was asked for, or begun, which is all that Healthie keeps of it then; days Int64 since; form_ids List of
    String; link String, `link` with the client's id.

    Raises
    ------
    MetricError for a link without {client_id}, a day that is none, `as_of` before the first request, or a missing
    column.

    Source
    ------
    queries/form_requests.graphql, clients.graphql. It names clients by id: it is for the practice, not for publication.

    Examples
    --------
    >>> asked = pl.DataFrame({"id": ["1"], "form_id": ["f"], "client_id": ["ada"]}).with_columns(
    ...     sender_id=pl.lit("p"), filled_form_id=None, filled_form_is_finished=pl.lit(False),
    ...     date_to_show=pl.lit("2026-01-05").str.to_datetime(time_unit="us", time_zone="UTC"),
    ... )
    >>> clients = pl.DataFrame({"id": ["ada"], "is_active": [True], "provider_id": ["p"]})
    >>> key = b"kept with the store, never shown"
    >>> overdue(asked, clients, as_of="2026-01-31", key=key).select("client_id", "forms", "days").rows()
    [('ada', 1, 26)]
    """
    require(clients, ["provider_id"], query="clients")
    today = EPOCH + timedelta(days=day_number(as_of))
    since = pl.col("date_to_show").dt.date()
    standing = _standing(form_requests, clients)
    first = form_requests.select(pl.col("date_to_show").min().dt.date()).item()
    if first is not None and today < first:
        raise MetricError(f"as_of is {as_of}, and the first request is of {first}: give a day from then on.")
    return (
        standing.filter(
            pl.col("state").is_in(["open", "started"]), (pl.lit(today) - since).dt.total_days() > after_days
        )
        .group_by("client_id")
        .agg(
            forms=pl.len().cast(pl.Int64),
            started=(pl.col("state") == "started").sum().cast(pl.Int64),
            oldest=since.min(),
            form_ids=pl.col("form_id").drop_nulls().unique().sort(),
        )
        .join(clients.lazy().select(client_id="id", provider_id="provider_id"), on="client_id", how="left")
        .with_columns(days=(pl.lit(today) - pl.col("oldest")).dt.total_days())
        .collect(engine="streaming")
        .sort("oldest", "client_id")
        .select("client_id", "provider_id", "forms", "started", "oldest", "days", "form_ids")
        .pipe(linked, key=key, link=link)
    )


def unready(readiness: pl.DataFrame, *, key: bytes, link: str = CHART) -> pl.DataFrame:
    """Coming visits whose client lacks a required form, and which: who has to be asked for it, the soonest first.

    Rows
    ----
    One per coming visit and required role that is not done, in the order of `readiness`.

    Columns
    -------
    pseudonym, client_id, appointment_id, provider_id String; date Date; is_first Boolean, no visit of the client took
    place yet; role String, the form lacking; state String: begun, asked, not asked; link String, `link` with the
    client's id.

    Raises
    ------
    MetricError for a link without {client_id}, or a missing column.

    Source
    ------
    `readiness`. It names clients by id: it is for the practice, not for publication.

    Examples
    --------
    >>> ready = {"client_id": "7", "appointment_id": "1", "provider_id": "p", "date": [date(2026, 7, 1)] * 2}
    >>> ready |= {"is_first": True, "role": ["intake", "consent"], "state": ["asked", "done"]}
    >>> unready(pl.DataFrame(ready), key=b"kept with the store").select("is_first", "role", "state", "link").row(0)
    (True, 'intake', 'asked', 'https://secure.gethealthie.com/users/7')
    """
    columns = ["client_id", "appointment_id", "provider_id", "date", "is_first", "role", "state"]
    require(readiness, columns, query="readiness")
    return readiness.filter(pl.col("state") != "done").select(columns).pipe(linked, key=key, link=link)


def _standing(form_requests: pl.DataFrame, clients: pl.DataFrame) -> pl.LazyFrame:
    """Each request with its state; of a client who is archived, or no longer there, one not completed is withdrawn."""
    require(form_requests, _REQUEST, query="form_requests")
    require(clients, ["id", "is_active"], query="clients")
    active = clients.lazy().filter("is_active").select(client_id="id", is_waited_for=True)
    state = (
        pl.when(pl.col("filled_form_is_finished"))
        .then(pl.lit("completed", STANDING))
        .when(pl.col("is_waited_for").is_null())
        .then(pl.lit("withdrawn", STANDING))
        .when(pl.col("filled_form_id").is_not_null())
        .then(pl.lit("started", STANDING))
        .otherwise(pl.lit("open", STANDING))
    )
    return form_requests.lazy().join(active, on="client_id", how="left").with_columns(state=state)
