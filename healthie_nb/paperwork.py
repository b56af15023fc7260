"""Forms and consents that a visit needs: before the coming ones, and before the first one."""

from collections.abc import Collection, Sequence
from datetime import date
from typing import Any, Final

import narwhals as nw
import polars as pl

from healthie_nb.days import instant, night
from healthie_nb.engines import reduced
from healthie_nb.newcomers import (
    CALLED_OFF,
    Every,
    choice,
    clinical,
    day_number,
    is_over,
    known,
    occurred,
    offset,
    took_place,
)
from healthie_nb.roles import FORM_ROLES
from healthie_nb.stats import FEW, wilson
from healthie_nb.visits import MetricError, require

REQUIRED: Final = ("intake", "consent")
_FILLED: Final = ("client_id", "form_id", "filled_at", "is_finished")
_ASKED: Final = ("client_id", "form_id", "filled_form_id", "filled_form_is_finished")


def readiness(
    visits: Any,
    filled_forms: pl.DataFrame,
    form_requests: pl.DataFrame,
    form_roles: pl.DataFrame,
    *,
    as_of: str | date,
    days: int = 7,
    required: Sequence[str] = REQUIRED,
) -> pl.DataFrame:
    """Clinical visits of the next days and how each required role of form stands: ready is a visit that lacks none.

    A role is done by any finished form of it, asked for or not, whenever up to the end of `as_of` in the zone of the
    forms' instants, see `days.local`. It names visits and clients by id: it is for the practice, not for publication;
    how many of the visits are ready is a count over them.

    Rows
    ----
    One per coming visit and required role, by starts_at, client, visit, and roles as `required`.

    Columns
    -------
    starts_at Datetime UTC; date Date; appointment_id, client_id, provider_id String; is_first Boolean, no visit of the
    client took place yet; role String; state String: done, begun, asked, not asked (as loaded; Healthie keeps no times
    of requests); is_ready Boolean, of the visit: every role is done.

    Raises
    ------
    MetricError for roles that are none, repeated or not allowed, `as_of` before the first visit, or a missing column.

    Source
    ------
    queries/appointments.graphql through `visits`; queries/filled_forms.graphql, form_requests.graphql; roles.read.

    Examples
    --------
    >>> from healthie_nb.visits import example
    >>> coming = example({"ada": ["2026-01-05", "2026-02-03"], "bob": ["2026-02-04"]})
    >>> filled = pl.DataFrame({"client_id": ["ada"], "form_id": ["f"], "is_finished": [True]})
    >>> filled = filled.with_columns(filled_at=coming["starts_at"][0])
    >>> asked = pl.DataFrame({"client_id": ["bob"], "form_id": ["f"], "filled_form_id": [None]})
    >>> asked = asked.with_columns(filled_form_is_finished=pl.lit(None, pl.Boolean))
    >>> roles = pl.DataFrame({"form_id": ["f"], "role": ["intake"]})
    >>> table = readiness(coming, filled, asked, roles, as_of="2026-01-31", required=["intake"])
    >>> table.select("client_id", "is_first", "role", "state", "is_ready").rows()
    [('ada', False, 'intake', 'done', True), ('bob', True, 'intake', 'asked', False)]
    >>> table.unique(["appointment_id", "client_id"]).select(ready=pl.sum("is_ready"), visits=pl.len()).row(0)
    (1, 2)
    """
    if days < 1:
        raise MetricError(f"days is {days}: give how many days ahead, at least 1.")
    due = _coming(visits, as_of, days)
    role_of = _roles(form_roles, required)
    done = _done(filled_forms, role_of).filter(pl.col("filled_at") < night(as_of, filled_forms["filled_at"]))
    steps = [done.select("client_id", "role", state=pl.lit("done")), _asked(form_requests, role_of)]
    reached = (
        pl.concat(steps)
        .join(due.lazy(), on="client_id", how="semi")
        .group_by("client_id", "role")
        .agg(pl.col("state").max())  # asked, begun, done: who is further is later in the alphabet
    )
    wanted = pl.LazyFrame({"role": list(required)}, schema={"role": pl.String})
    visit = ["starts_at", "client_id", "appointment_id"]
    return (
        due.lazy()
        .join(wanted, how="cross")
        .join(reached, on=["client_id", "role"], how="left")
        .with_columns(pl.col("state").fill_null("not asked"))
        .with_columns(is_ready=(pl.col("state") == "done").all().over("appointment_id", "client_id"))
        .select(*due.columns, "role", "state", "is_ready")
        .sort(*visit, pl.col("role").cast(pl.Enum(required)))
        .collect()
    )


def _coming(visits: Any, as_of: str | date, days: int) -> pl.DataFrame:
    """One row per clinical visit on the books of the next days. The big step of `readiness`."""
    until = day_number(as_of)
    rows = clinical(visits, as_of, "provider_id")
    coming = rows.filter(nw.col("day") > until, nw.col("day") <= until + days, ~nw.col("status").is_in(CALLED_OFF))
    theirs = rows.filter(took_place(as_of)).join(coming.select("client_id"), on="client_id", how="semi")
    seen = theirs.select("client_id").unique().with_columns(seen=nw.lit(1))
    columns = ["starts_at", "date", "appointment_id", "client_id", "provider_id"]
    with_seen = coming.select(columns).join(seen, on="client_id", how="left")
    return reduced(with_seen.select(*columns, is_first=nw.col("seen").is_null()))


def before_first_visit(
    visits: Any,
    filled_forms: pl.DataFrame,
    form_roles: pl.DataFrame,
    *,
    as_of: str | date,
    every: Every = "month",
    required: Sequence[str] = REQUIRED,
    history_from: str | date | None = None,
    clients: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Share of clients who had filled each required form before their first scheduled clinical visit began.

    The first scheduled visit, not the first that took place: who comes has more often filled the forms. It is the first
    that was not cancelled or rescheduled in time, up to `as_of`: kept, missed, cancelled late or left unmarked.

    Rows
    ----
    One per period of that visit and role, in order; last "all" of the roles.

    Columns
    -------
    period Date, its first day; role String: of `required`, or all; clients, done Int64; rate Float64 done / clients;
    low, high Float64, Wilson 95 %; is_open Boolean, the period is not over at `as_of`; few Boolean, under 30 clients.

    Raises
    ------
    MetricError for an option that is not allowed, `as_of` before the first visit, or a missing column.

    Source
    ------
    queries/appointments.graphql through `visits`; queries/filled_forms.graphql; queries/clients.graphql; roles.read.

    Examples
    --------
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05"], "bob": ["2026-01-06 No-Show"]})
    >>> filled = pl.DataFrame({"client_id": ["ada"], "form_id": ["f"], "is_finished": [True]})
    >>> filled = filled.with_columns(filled_at=seen["starts_at"][0] - pl.duration(days=1))
    >>> roles = pl.DataFrame({"form_id": ["f"], "role": ["consent"]})
    >>> table = before_first_visit(seen, filled, roles, as_of="2026-01-31", required=["consent"])
    >>> table.select("role", "clients", "done", "rate").rows()
    [('consent', 2, 1, 0.5), ('all', 2, 1, 0.5)]
    """
    offset(every)
    role_of = _roles(form_roles, required)
    rows = clinical(visits, as_of, every).filter(
        nw.col("day") <= day_number(as_of), ~nw.col("status").is_in(["cancelled", "rescheduled"])
    )
    firsts = reduced(
        rows.group_by("client_id").agg(
            nw.col("day").min().alias("first_day"),
            nw.col("starts_at").min(),
            nw.col(every).min().alias("period"),
        )
    ).pipe(known, clients, history_from)
    filled_at = [pl.when(role=role).then("filled_at").min().alias(role) for role in required]
    done = _done(filled_forms, role_of).group_by("client_id").agg(filled_at)
    judged = (
        firsts.lazy()
        .join(done, on="client_id", how="left")
        .with_columns((pl.col(required) < pl.col("starts_at")).fill_null(value=False))
    )
    low, high = wilson("done", "clients")
    columns = [*required, "all"]
    order = pl.col("role").cast(pl.Enum(columns))
    return (
        judged.with_columns(all=pl.all_horizontal(*required))
        .group_by("period")
        .agg(pl.len().cast(pl.Int64).alias("clients"), pl.col(columns).sum().cast(pl.Int64))
        .unpivot(columns, index=["period", "clients"], variable_name="role", value_name="done")
        .collect(engine="streaming")
        .with_columns(rate=pl.col("done") / pl.col("clients"), low=low, high=high)
        .with_columns(is_open=~is_over("period", every, as_of), few=pl.col("clients") < FEW)
        .sort("period", order)
    )


def measures(
    visits: Any,
    filled_forms: pl.DataFrame,
    form_roles: pl.DataFrame,
    *,
    as_of: str | date,
    baseline: tuple[int, int] = (-14, 7),
    follow_ups: Sequence[tuple[int, int]] = ((31, 90),),
    history_from: str | date | None = None,
    clients: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Share of new clients with each outcome measure at baseline, and on time afterwards while they were in care.

    Windows are days from the first occurred clinical visit, both ends included; the day of a form is that of the zone
    its instant is in, see `days.local`. Baseline counts every new client whose window is over at `as_of`; a follow-up
    those of them with an occurred clinical visit in that window.

    Rows
    ----
    One per form of the role outcome measure and window, by form, windows in order.

    Columns
    -------
    form_id String; window String: baseline, days 31-90, ...; clients, done Int64; rate Float64 done / clients, null
    when there are none; low, high Float64, Wilson 95 %; few Boolean, under 30 clients.

    Raises
    ------
    MetricError for a window that ends before it begins, when no form has the role, `as_of` before the first visit, or a
    missing column.

    Source
    ------
    queries/appointments.graphql through `visits`; queries/filled_forms.graphql; queries/clients.graphql; roles.read.

    Examples
    --------
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-02-16"], "bob": ["2026-01-06"]})
    >>> filled = seen.filter(client_id="ada").select("client_id", filled_at="starts_at", form_id=pl.lit("phq"))
    >>> roles = pl.DataFrame({"form_id": ["phq"], "role": ["outcome measure"]})
    >>> table = measures(seen, filled.with_columns(is_finished=pl.lit(True)), roles, as_of="2026-06-30")
    >>> table.select("window", "clients", "done", "rate").rows()
    [('baseline', 2, 1, 0.5), ('days 31-90', 1, 1, 1.0)]
    """
    windows = [("baseline", *baseline), *((f"days {first}-{last}", first, last) for first, last in follow_ups)]
    if any(first > last for _, first, last in windows) or any(first < 1 for first, _ in follow_ups):
        raise MetricError(
            f"baseline is {baseline} and follow_ups are {follow_ups}: give days from the first visit, first and last, "
            "those of follow-ups from 1 on."
        )
    forms = _roles(form_roles, ["outcome measure"])
    if forms.is_empty():
        raise MetricError("no form has the role 'outcome measure': give it to one in forms.csv.")
    firsts = _seen_in(visits, as_of, follow_ups).pipe(known, clients, history_from)
    filled = _done(filled_forms, forms).select("client_id", "form_id", "filled_day").collect(engine="streaming")
    age, until = pl.col("filled_day") - pl.col("first_day"), day_number(as_of)
    parts = []
    for place, (window, first, last) in enumerate(windows):
        was_there = pl.lit(value=True) if place == 0 else pl.col(f"came_{place}")
        eligible = firsts.filter(was_there, until - pl.col("first_day") >= last).select("client_id", "first_day")
        done = eligible.join(filled, on="client_id").filter(age.is_between(first, last))
        counted = done.group_by("form_id").agg(pl.col("client_id").n_unique().cast(pl.Int64).alias("done"))
        parts.append(
            forms.select("form_id")
            .join(counted, on="form_id", how="left")
            .select(
                "form_id",
                pl.lit(window).alias("window"),
                pl.lit(place).alias("place"),
                pl.lit(eligible.height, pl.Int64).alias("clients"),
                pl.col("done").fill_null(0),
            )
        )
    low, high = wilson("done", "clients")
    rate = pl.when(pl.col("clients") > 0).then(pl.col("done") / pl.col("clients"))
    return (
        pl.concat(parts)
        .sort("form_id", "place")
        .drop("place")
        .with_columns(rate=rate, low=low, high=high, few=pl.col("clients") < FEW)
    )


def _seen_in(visits: Any, as_of: str | date, windows: Sequence[tuple[int, int]]) -> pl.DataFrame:
    """One row per client: the first day, and for each window whether they came in it. The big step."""
    rows = occurred(visits, as_of).with_columns(first_day=nw.col("day").min().over("client_id"))
    since = nw.col("day") - nw.col("first_day")
    came = [
        ((since >= first) & (since <= last)).any().alias(f"came_{place}")
        for place, (first, last) in enumerate(windows, start=1)
    ]
    return reduced(rows.group_by("client_id").agg(nw.col("first_day").min(), *came))


def _roles(form_roles: pl.DataFrame, wanted: Collection[str]) -> pl.DataFrame:
    require(form_roles, ["form_id", "role"], query="form_roles")
    if not wanted or len({*wanted}) < len(wanted):
        raise MetricError(f"required is {list(wanted)}: name at least one role of form, and each once.")
    for role in wanted:
        choice(role, FORM_ROLES, name="role")
    return form_roles.filter(pl.col("role").is_in(list(wanted))).select("form_id", "role").unique().sort("form_id")


def _done(filled_forms: pl.DataFrame, role_of: pl.DataFrame) -> pl.LazyFrame:
    """Finished forms of the wanted roles, with the day in the zone of their instants."""
    require(filled_forms, _FILLED, query="filled_forms")
    day = pl.col("filled_at").dt.date().to_physical().cast(pl.Int64)
    return (
        filled_forms.lazy()
        .filter("is_finished")
        .join(role_of.lazy(), on="form_id")
        .select("client_id", "form_id", "role", instant("filled_at"), filled_day=day)
    )


def _asked(form_requests: pl.DataFrame, role_of: pl.DataFrame) -> pl.LazyFrame:
    """Return the requests not done. Columns: client_id, role, state (asked, begun)."""
    require(form_requests, _ASKED, query="form_requests")
    state = pl.when(pl.col("filled_form_id").is_not_null()).then(pl.lit("begun")).otherwise(pl.lit("asked"))
    return (
        form_requests.lazy()
        .filter(~pl.col("filled_form_is_finished").fill_null(value=False))
        .join(role_of.lazy(), on="form_id")
        .select("client_id", "role", state=state)
    )
