"""Who came and who did not: shares of due visits missed, their bounds and intervals."""

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import product
from typing import Any, Final, Literal, get_args

import narwhals as nw
import polars as pl

from healthie_nb.engines import reduced
from healthie_nb.newcomers import Every, clinical, is_complete, is_over, offset
from healthie_nb.slices import By, between, columns_of, number
from healthie_nb.stats import FEW, from_moments, wilson
from healthie_nb.visits import MetricError, require

Measure = Literal["no-show", "lost"]
Late = Literal["status", "notice"]

MEASURES: Final = get_args(Measure)
LATE: Final = get_args(Late)
RATED: Final = ("provider", "type", "role", "modality", "weekday", "hour", "first visit")
_KEPT: Final = ("occurred", "checked_in")
_COUNTED: Final = ("kept", "no_show", "late_status", "late_notice", "unmarked")


def rates(
    visits: Any,
    *,
    as_of: str | date,
    every: Every | None = None,
    by: Sequence[By] = (),
    since: str | date | None = None,
    history_from: str | date | None = None,
    clients: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Share of due clinical visits that were missed, with bounds for what nobody marked.

    Due: occurred, checked in, no-show or cancelled late, up to `as_of`; cancelled in time, rescheduled and unrecorded
    are outside. Missed, by `measure`: "no-show", no-shows alone; "lost", with those cancelled late. Late is told in two
    ways, beside each other: by Healthie's "status" Late Cancellation, which a practice may have switched on midway, and
    by "notice" under the hours given to `visits`, for Cancelled and Late Cancellation alike (Healthie keeps only the
    last change of a status; where its time is not known, the status tells). A "first visit" is one before which the
    client had no occurred clinical visit; with `history_from`, of clients who may have come before it this is unknown.

    Rows
    ----
    One per period, slice, measure and way of telling late, in that order.

    Columns
    -------
    with `every`, period Date, its first day; per `by` provider_id, appointment_type_id, role, modality String, weekday,
    hour Int64, is_first Boolean (null: unknown); measure, late String; clients Int64 with due visits; due, missed
    Int64; rate Float64 missed / due in 0..1, null when due is 0; low, high Float64, Wilson 95 %; robust_low,
    robust_high Float64, cluster-robust by client, for visits of one client are alike; design_effect Float64; unmarked
    Int64, past visits without a status; if_kept, if_missed Float64, the rate if all of these were kept, or missed;
    with `every`, is_open Boolean, the period is not over at `as_of`; few Boolean, under 30 due.

    Raises
    ------
    MetricError for an option that is not allowed, `as_of` before the first visit, or a missing column.

    Source
    ------
    queries/appointments.graphql, group_attendance.graphql through `visits`; queries/clients.graphql.

    Examples
    --------
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-01-12 No-Show"], "bob": ["2026-01-06", "2026-01-13"]})
    >>> rates(seen, as_of="2026-01-31").select("measure", "late", "clients", "due", "missed", "rate").row(0)
    ('no-show', 'status', 2, 4, 1, 0.25)
    """
    columns = columns_of(by, RATED)
    if every is None:
        return sliced(visits, as_of, columns, since=since, history_from=history_from, clients=clients)
    offset(every)
    table = sliced(visits, as_of, [every, *columns], since=since, history_from=history_from, clients=clients)
    return (
        table.rename({every: "period"})
        .with_columns(is_open=~is_over("period", every, as_of))
        .select(pl.exclude("few"), "few")
    )


def sliced(
    visits: Any,
    as_of: str | date,
    columns: list[str],
    *,
    since: str | date | None = None,
    history_from: str | date | None = None,
    clients: pl.DataFrame | None = None,
    made: Mapping[str, nw.Expr] | None = None,
    measures: Sequence[str] = MEASURES,
    lates: Sequence[str] = LATE,
) -> pl.DataFrame:
    """Rates per value of columns, of which some are `made` on the way; else as `rates`."""
    complete_from = history_from if "is_first" in columns else None
    per_client = _outcomes(visits, as_of, since, columns, made or {}, is_partial=complete_from is not None)
    if complete_from is not None:
        known = _with_unknown(reduced(per_client), complete_from, clients)
        per_client = nw.from_native(known).lazy()
    sums = reduced(_summed(per_client, columns, lates))
    sums = sums if columns else sums.fill_null(0)  # SQL's sum of nothing
    parts = pl.concat(_part(sums, columns, *which) for which in product(measures, lates))
    order = pl.Enum(MEASURES), pl.Enum(LATE)
    named = pl.col("measure").cast(order[0]), pl.col("late").cast(order[1])
    return _measured(parts, columns).sort(*columns, *named, nulls_last=True)


def _outcomes(
    visits: Any,
    as_of: str | date,
    since: str | date | None,
    columns: list[str],
    made: Mapping[str, nw.Expr],
    *,
    is_partial: bool,
) -> nw.LazyFrame[Any]:
    """Count outcomes per client and slice; where history is partial, with the client's first day in it."""
    needs = [name for name in columns if name not in {"is_first", *made}]
    rows = clinical(visits, as_of, "late_by_notice", *needs)
    status = nw.col("status")
    if "is_first" in columns:
        first_kept = nw.when(status == "occurred").then(nw.col("starts_at")).min().over("client_id")
        first_day = {"first_day": nw.col("day").min().over("client_id")} if is_partial else {}
        rows = rows.with_columns(first_kept=first_kept, **first_day)
        before = (nw.col("starts_at") <= nw.col("first_kept")) | nw.col("first_kept").is_null()
        rows = rows.with_columns(is_first=before)
    is_late = status == "late_cancelled"
    is_off = is_late | (status == "cancelled")
    by_notice = nw.when(nw.col("late_by_notice").is_null()).then(is_late).otherwise(nw.col("late_by_notice"))
    counted = {
        "kept": status.is_in(_KEPT),
        "no_show": status == "no_show",
        "late_status": is_late,
        "late_notice": is_off & by_notice,
        "unmarked": status == "unrecorded",
    }
    kept = between(rows, since, as_of).with_columns(**made) if made else between(rows, since, as_of)
    extra = [nw.col("first_day").min()] if is_partial else []
    return kept.group_by("client_id", *columns).agg(
        *(number(holds).alias(name) for name, holds in counted.items()), *extra
    )


def _summed(per_client: nw.LazyFrame[Any], columns: list[str], lates: Sequence[str]) -> nw.LazyFrame[Any]:
    """Add up over clients what rates and their cluster-robust intervals are made from. The big step, with `_outcomes`.

    Of every way of telling late: clients, due, and of both measures the missed; squared and times each other.
    """
    no_show, sums = nw.col("no_show"), [number(nw.col("unmarked")).alias("unmarked")]
    for late in lates:
        lost = no_show + nw.col(f"late_{late}")
        due = nw.col("kept") + lost
        made = {"clients": due > 0, "due": due, "of_squared": due * due}
        for measure, missed in (("no-show", no_show), ("lost", lost)):
            made |= {f"missed {measure}": missed, f"hits_squared {measure}": missed * missed}
            made |= {f"hits_of {measure}": missed * due}
        sums += [number(column).alias(f"{name} {late}") for name, column in made.items()]
    return per_client.group_by(columns).agg(*sums) if columns else per_client.select(*sums)


def _with_unknown(per_client: pl.DataFrame, history_from: str | date, clients: pl.DataFrame | None) -> pl.DataFrame:
    """Tell no first visit of those who may have come before the history there is."""
    if clients is None:
        raise MetricError(
            "history_from tells old clients from new by their sign-up: pass clients=practice.load('clients')."
        )
    require(clients, ["id", "created_at"], query="clients")
    signed_up = clients.select("id", "created_at")
    is_first = pl.when(is_complete(history_from)).then("is_first")
    judged = (
        per_client.join(signed_up, left_on="client_id", right_on="id", how="left")
        .with_columns(is_first=is_first)
        .drop("first_day", "created_at")
    )
    slices = [name for name in judged.columns if name not in _COUNTED]
    return judged.group_by(slices, maintain_order=True).agg(pl.col(_COUNTED).sum())


def _part(sums: pl.DataFrame, columns: list[str], measure: str, late: str) -> pl.DataFrame:
    """Name the sums of one measure under one way of telling late."""
    names = {name: f"{name} {late}" for name in ("clients", "due", "of_squared")}
    names |= {name: f"{name} {measure} {late}" for name in ("missed", "hits_squared", "hits_of")}
    own = {name: pl.col(theirs) for name, theirs in names.items()}
    return sums.select(*columns, "unmarked", measure=pl.lit(measure), late=pl.lit(late), **own)


def _measured(sums: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    """Rates of every measure, under every way of telling late, from their sums."""
    robust = from_moments(sums, hits="missed", of="due").rename({"low": "robust_low", "high": "robust_high"})
    low, high = wilson("missed", "due")
    unmarked = pl.col("unmarked")
    of = pl.col("due") + unmarked
    return robust.select(
        *(*columns, "measure", "late", "clients", "due", "missed", "rate"),
        low.alias("low"),
        high.alias("high"),
        *("robust_low", "robust_high", "design_effect", "unmarked"),
        if_kept=pl.when(of > 0).then(pl.col("missed") / of),
        if_missed=pl.when(of > 0).then((pl.col("missed") + unmarked) / of),
        few=pl.col("due") < FEW,
    )
