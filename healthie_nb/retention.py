"""Who stays: cohorts, survival, funnel, states, flow, worklist, and one practice under several definitions."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

import narwhals as nw
import polars as pl

from healthie_nb.care import states, worklist
from healthie_nb.engines import reducing
from healthie_nb.flows import flow, funnel
from healthie_nb.newcomers import (
    KEYS,
    SPLITS,
    Every,
    NewTo,
    Split,
    choice,
    day_number,
    is_complete,
    is_over,
    known,
    occurred,
    offset,
    split_columns,
    with_source,
)
from healthie_nb.readings import definitions
from healthie_nb.returns import Cell, Counted, Measure, cells_of, passed, returns
from healthie_nb.stats import FEW, against_chance, wilson
from healthie_nb.survival import spells, survival
from healthie_nb.visits import MetricError, require

__all__ = [
    "Every",
    "NewTo",
    "Split",
    "chance_limits",
    "cohorts",
    "definitions",
    "flow",
    "funnel",
    "means",
    "population",
    "spells",
    "states",
    "survival",
    "worklist",
]

_COHORTS: Final = ("period", "label", "is_open", "eligible", "returned", "rate")


def cohorts(
    visits: Any,
    *,
    as_of: str | date,
    every: Every = "month",
    measure: Measure = "brackets",
    brackets: Sequence[tuple[int, int]] = ((31, 90),),
    periods: int = 12,
    counted: Counted = "rolling",
    new_to: NewTo = "practice",
    split: Split | None = None,
    history_from: str | date | None = None,
    clients: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Share of each cohort of new clients that came back, in every stretch of time since their first visit.

    A cohort is the clients whose first-ever occurred clinical visit fell in that week, month or quarter. Returned:
    another occurred clinical visit on a later day, with `measure`
    "brackets" in days `brackets` after the first visit, both ends included (days 31-90 unless told otherwise);
    "on" within the 1st, 2nd, ... period after it: the columns of a heat map;
    "on or after" from the start of that period up to the end of the last of `periods`, the same horizon for all.
    Periods are `counted` "rolling", on each client's own clock (7, 30 or 90 days), or "calendar", the weeks, months or
    quarters after the cohort's own. Clients are eligible once the stretch is over for them, `as_of` included;
    `returned` counts among the eligible only. With `new_to` "provider", client and provider together are what is new,
    and returns. Clients who may have come before `history_from` are left out; `population` counts them.

    Rows
    ----
    One per cohort, value of `split` and period, in that order; also for periods that nobody has passed yet.

    Columns
    -------
    cohort Date, first day of the cohort's period; with `split`, provider_id, appointment_type_id or modality of the
    first visit, or source_name, String; period Int64 from 1; label String; clients, eligible, returned Int64;
    rate Float64 returned / eligible in 0..1, null while nobody is eligible; low, high Float64, Wilson 95 %;
    is_open Boolean, the cohort has clients who have not passed the period, or may still gain some; few Boolean,
    under 30 eligible.

    Raises
    ------
    MetricError for an option that is not allowed, `as_of` before the first visit, or a missing column.

    Source
    ------
    queries/appointments.graphql through `visits`; queries/clients.graphql.

    Examples
    --------
    >>> from healthie_nb.visits import example
    >>> seen = {"7": ["2026-01-05", "2026-02-20"], "8": ["2026-01-20"], "9": ["2026-05-02"]}
    >>> cohorts(example(seen), as_of="2026-06-30").select("cohort", "eligible", "returned", "is_open").rows()
    [(datetime.date(2026, 1, 1), 2, 1, False), (datetime.date(2026, 5, 1), 0, 0, True)]
    """
    offset(every)
    keys = KEYS[choice(new_to, KEYS, name="new_to")]
    cells = cells_of(measure, counted, every, brackets, periods)
    unit = every if measure != "brackets" and counted == "calendar" else "day"
    new = (
        returns(visits, as_of, keys=keys, cells=cells, unit=unit, columns=split_columns(split))
        .pipe(known, clients, history_from)
        .pipe(with_source, clients, split)
    )
    return tallied(new, cells, unit, as_of=as_of, every=every, columns=split_columns(split))


def tallied(
    new: pl.DataFrame, cells: Sequence[Cell], unit: str, *, as_of: str | date, every: Every, columns: Sequence[str] = ()
) -> pl.DataFrame:
    """Rows of `cohorts` from one row per newcomer, as `returns` gives them up to `as_of` or any later day."""
    groups = ["cohort", *columns]
    first_day = pl.col("first_day").cast(pl.Int32).cast(pl.Date)
    return (
        new.filter(pl.col("first_day") <= day_number(as_of))
        .with_columns(cohort=first_day.dt.truncate(offset(every)))
        .pipe(_counts, cells, groups, passed(unit, day_number(as_of)))
        .pipe(_rated, is_over("cohort", every, as_of))
        .sort(*groups, "period", nulls_last=True)
    )


def means(table: pl.DataFrame) -> pl.DataFrame:
    """Mean retention over the closed cells of `cohorts`: a summary, not a curve, as the cohorts differ by period.

    Rows
    ----
    One per period (and value of the split) with a closed cell, in order.

    Columns
    -------
    the split's, period, label; cohorts Int64; eligible, returned Int64, over the cohorts; weighted Float64 returned /
    eligible, each client alike; simple Float64, the mean of the rates, each cohort alike; low, high Float64, Wilson
    95 % of weighted; few Boolean, under 30 eligible.

    Raises
    ------
    MetricError for a missing column.

    Source
    ------
    `cohorts`.

    Examples
    --------
    >>> made = {"period": [1, 1], "label": ["days 31-90"] * 2, "is_open": [False] * 2}
    >>> made |= {"eligible": [10, 100], "returned": [2, 0], "rate": [0.2, 0.0]}
    >>> means(pl.DataFrame(made)).select(pl.col("weighted").round(3), "simple").row(0)
    (0.018, 0.1)
    """
    require(table, _COHORTS, query="cohorts")
    splits = [name for name in SPLITS.values() if name in table.columns]
    low, high = wilson("returned", "eligible")
    return (
        table.filter(~pl.col("is_open"))
        .group_by(*splits, "period", "label")
        .agg(
            pl.len().cast(pl.Int64).alias("cohorts"),
            pl.col("eligible", "returned").sum(),
            pl.col("rate").mean().alias("simple"),
        )
        .with_columns(
            weighted=pl.col("returned") / pl.col("eligible"), low=low, high=high, few=pl.col("eligible") < FEW
        )
        .select(
            *splits, "period", "label", "cohorts", "eligible", "returned", "weighted", "simple", "low", "high", "few"
        )
        .sort(*splits, "period", nulls_last=True)
    )


def chance_limits(table: pl.DataFrame) -> pl.DataFrame:
    """Set the slices of split `cohorts` against the limits that chance alone sets for their number of clients.

    For one stretch of time, as `cohorts` with one pair of `brackets`: ((1, 45),) asks for a second visit in 45 days.
    Closed cells only, added up over the cohorts; the limits are binomial around all slices together. Where providers
    see different clients, more of them fall outside by nothing they do.

    Rows
    ----
    One per value of the split with a closed cell, in order.

    Columns
    -------
    the split's; label String; cohorts, eligible, returned Int64; rate Float64 returned / eligible; overall Float64,
    that of all; low_95, high_95, low_998, high_998 Float64 in 0..1, limits at that number of eligible; standing String:
    within, below 95 %, above 95 %, below 99.8 %, above 99.8 %; few Boolean, under 30 eligible.

    Raises
    ------
    MetricError for a table that is not split, has more than one stretch of time, or lacks a column.

    Source
    ------
    `cohorts` with a split; stats.funnel_limits.

    Examples
    --------
    >>> made = {"provider_id": ["p", "q"], "period": [1, 1], "label": ["days 1-45"] * 2, "is_open": [False] * 2}
    >>> made |= {"eligible": [400, 40], "returned": [300, 16], "rate": [0.75, 0.4]}
    >>> chance_limits(pl.DataFrame(made)).select("provider_id", "rate", "standing").rows()
    [('p', 0.75, 'within'), ('q', 0.4, 'below 99.8 %')]
    """
    require(table, _COHORTS, query="cohorts")
    splits = [name for name in SPLITS.values() if name in table.columns]
    if not splits:
        raise MetricError("these cohorts are not split: make them with split='provider', or another one.")
    if table["period"].n_unique() > 1:
        raise MetricError("these cohorts have several stretches of time: filter to one period.")
    return against_chance(means(table).rename({"weighted": "rate"}), hits="returned", of="eligible").select(
        *(*splits, "label", "cohorts", "eligible", "returned", "rate", "overall"),
        *("low_95", "high_95", "low_998", "high_998", "standing", "few"),
    )


def population(
    visits: Any, clients: pl.DataFrame, *, as_of: str | date, history_from: str | date | None = None
) -> pl.DataFrame:
    """Who is in the cohorts and who is not, every client once.

    Rows
    ----
    One per standing, in fixed order: new (in a cohort); unknown (seen, and signed up or seen first before
    `history_from`, or sign-up not known); not seen (no occurred clinical visit up to `as_of`).

    Columns
    -------
    standing String; clients Int64, which add up to the clients given and those seen that are not among them.

    Raises
    ------
    MetricError for `as_of` before the first visit, or a missing column.

    Source
    ------
    queries/clients.graphql; queries/appointments.graphql through `visits`.

    Examples
    --------
    >>> from healthie_nb.visits import example
    >>> days = ["2025-03-01", "2026-01-02", "2026-01-02"]
    >>> clients = pl.DataFrame({"id": ["ada", "bob", "cy"], "created_at": days}).with_columns(
    ...     pl.col("created_at").str.to_datetime(time_unit="us", time_zone="UTC")
    ... )
    >>> seen = example({"ada": ["2026-01-05"], "bob": ["2026-01-09"]})
    >>> population(seen, clients, as_of="2026-06-30", history_from="2026-01-01").rows()
    [('new', 1), ('unknown', 1), ('not seen', 1)]
    """
    require(clients, ["id", "created_at"], query="clients")
    first_day = nw.col("day").min().alias("first_day")
    seen = reducing(occurred(visits, as_of).group_by("client_id").agg(first_day))
    is_seen = pl.col("first_day").is_not_null()
    is_new = is_seen if history_from is None else is_complete(history_from)
    return (
        clients.lazy()
        .select("id", "created_at")
        .join(seen, left_on="id", right_on="client_id", how="full")
        .select(new=is_new.sum(), unknown=is_seen.sum() - is_new.sum(), **{"not seen": is_seen.not_().sum()})
        .unpivot(variable_name="standing", value_name="clients")
        .cast({"clients": pl.Int64})
        .collect(engine="streaming")
    )


def _counts(new: pl.DataFrame, cells: Sequence[Cell], groups: list[str], passed: pl.Expr) -> pl.DataFrame:
    """One row per group and cell: its clients, those who passed the cell, and how many of these came back in it."""
    had_time = {cell.period: passed >= cell.last for cell in cells}
    wide = new.group_by(groups).agg(
        pl.len().cast(pl.Int64).alias("clients"),
        *(is_in.sum().cast(pl.Int64).alias(f"eligible_{k}") for k, is_in in had_time.items()),
        *((is_in & pl.col(f"came_{k}")).sum().cast(pl.Int64).alias(f"returned_{k}") for k, is_in in had_time.items()),
    )
    periods, labels = pl.Series([cell.period for cell in cells]), pl.Series([cell.label for cell in cells])
    counted = {name: pl.concat_list(f"{name}_{k}" for k in had_time) for name in ("eligible", "returned")}
    return wide.select(
        *groups,
        pl.lit(periods.implode()).first().alias("period"),
        pl.lit(labels.implode()).first().alias("label"),
        "clients",
        **counted,
    ).explode("period", "label", "eligible", "returned")


def _rated(counts: pl.DataFrame, is_whole: pl.Expr) -> pl.DataFrame:
    low, high = wilson("returned", "eligible")
    return counts.with_columns(
        rate=pl.when(pl.col("eligible") > 0).then(pl.col("returned") / pl.col("eligible")),
        low=low,
        high=high,
        is_open=(pl.col("eligible") < pl.col("clients")) | is_whole.not_(),
        few=pl.col("eligible") < FEW,
    )
