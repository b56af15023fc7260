"""Who stays: cohorts, survival, funnel, states, flow, worklist, and one practice under several definitions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal, get_args

import narwhals as nw
import polars as pl

from healthie_nb.engines import reduced
from healthie_nb.newcomers import EPOCH, KEYS, SPLITS, NewTo, choice, day_number, known, occurred
from healthie_nb.stats import FEW, wilson
from healthie_nb.visits import MetricError, require

Every = Literal["week", "month", "quarter"]
Measure = Literal["brackets", "on", "on or after"]
Counted = Literal["rolling", "calendar"]
Split = Literal["provider", "type", "modality", "source"]

TRUNCATED: Final = {"week": "1w", "month": "1mo", "quarter": "1q"}
DAYS: Final = {
    "week": 7,
    "month": 30,
    "quarter": 90,
}  # of a rolling period: a month is 30 days, a quarter three of them


@dataclass(frozen=True)
class _Cell:
    """A stretch since the first visit, both ends included: in days, or in calendar periods."""

    period: int
    label: str
    first: int
    last: int


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
    choice(every, DAYS, name="every")
    keys = KEYS[choice(new_to, KEYS, name="new_to")]
    cells = _cells(measure, counted, every, brackets, periods)
    unit = every if measure != "brackets" and counted == "calendar" else "day"
    new = (
        _returns(visits, as_of, keys=keys, cells=cells, unit=unit, split_column=_split_column(split))
        .pipe(known, clients, history_from)
        .pipe(_with_source, clients, split)
        .with_columns(cohort=pl.col("first_day").cast(pl.Int32).cast(pl.Date).dt.truncate(TRUNCATED[every]))
    )
    groups = ["cohort", *([SPLITS[split]] if split else [])]
    return (
        _counts(new, cells, groups, _passed(unit, day_number(as_of)))
        .pipe(_rated, _is_over("cohort", every, as_of))
        .sort(*groups, "period", nulls_last=True)
    )


def _cells(measure: str, counted: str, every: Every, brackets: Sequence[tuple[int, int]], periods: int) -> list[_Cell]:
    choice(measure, get_args(Measure), name="measure")
    choice(counted, get_args(Counted), name="counted")
    if measure == "brackets":
        if not brackets or any(not 1 <= first <= last for first, last in brackets):
            raise MetricError(
                f"brackets are {brackets}: give pairs of days after the first visit, such as ((31, 90),)."
            )
        return [_Cell(i, f"days {a}-{b}", a, b) for i, (a, b) in enumerate(brackets, start=1)]
    if periods < 1:
        raise MetricError(f"periods is {periods}: give how many {every}s to follow, at least 1.")
    width = DAYS[every] if counted == "rolling" else 1
    firsts = [width * (k - 1) + 1 for k in range(1, periods + 1)]
    if measure == "on":
        return [_Cell(k, f"{every} {k}", first, first + width - 1) for k, first in enumerate(firsts, start=1)]
    return [_Cell(k, f"{every} {k}-{periods}", first, width * periods) for k, first in enumerate(firsts, start=1)]


def _split_column(split: str | None) -> str | None:
    """Column of the first visit to split by; the source is the client's, not the visit's."""
    if split is None or choice(split, SPLITS, name="split") == "source":
        return None
    return SPLITS[split]


def _index(unit: str) -> nw.Expr:
    """Count of days, weeks, months or quarters, so that a difference is a number of them on every engine."""
    year, month = nw.col("date").dt.year().cast(nw.Int64), nw.col("date").dt.month().cast(nw.Int64) - 1
    day = nw.col("day").cast(nw.Int64)
    # 1970-01-01 was a Thursday: three days more, and whole weeks begin on Mondays.
    return {"day": day, "week": (day + 3) // 7, "month": year * 12 + month, "quarter": year * 4 + month // 3}[unit]


def _returns(
    visits: Any, as_of: str | date, *, keys: list[str], cells: list[_Cell], unit: str, split_column: str | None
) -> pl.DataFrame:
    """One row per newcomer: first day, and for each cell whether they came back in it. The big step."""
    extra = [split_column] if split_column and split_column not in keys else []
    rows = occurred(visits, as_of, *keys, *extra).filter(~nw.any_horizontal(nw.col(*keys).is_null(), ignore_nulls=True))
    rows = rows.with_columns(index=_index(unit))
    by_start = ["starts_at", "appointment_id"]
    firsts = rows.group_by(keys).agg(
        nw.col("day").min().alias("first_day"),
        nw.col("index").min().alias("first_index"),
        *(nw.col(name).first(order_by=by_start) for name in extra),
    )
    since = nw.col("index") - nw.col("first_index")
    came = [((since >= cell.first) & (since <= cell.last)).any().alias(f"came_{cell.period}") for cell in cells]
    kept = [nw.col(name).min() for name in ("first_day", "first_index", *extra)]
    return reduced(rows.drop(extra).join(firsts, on=keys).group_by(keys).agg(*kept, *came))


def _with_source(firsts: pl.DataFrame, clients: pl.DataFrame | None, split: str | None) -> pl.DataFrame:
    if split != "source":
        return firsts
    if clients is None:
        raise MetricError("split='source' is known per client: pass clients=practice.load('clients').")
    require(clients, ["id", "source_name"], query="clients")
    return firsts.join(clients.select("id", "source_name"), left_on="client_id", right_on="id", how="left")


def _passed(unit: str, until: int) -> pl.Expr:
    """Last index that is over at the end of `until`, less the newcomer's first: how far they have come."""
    tomorrow = pl.select(date=EPOCH + pl.duration(days=until + 1), day=pl.lit(until + 1))
    over = nw.from_native(tomorrow).select(_index(unit)).to_native().item() - 1
    return pl.lit(over) - pl.col("first_index")


def _counts(new: pl.DataFrame, cells: list[_Cell], groups: list[str], passed: pl.Expr) -> pl.DataFrame:
    """One row per group and cell: its clients, those who passed the cell, and how many of these came back in it."""
    had_time = {cell.period: passed >= cell.last for cell in cells}
    wide = new.group_by(groups).agg(
        pl.len().cast(pl.Int64).alias("clients"),
        *(is_in.sum().cast(pl.Int64).alias(f"eligible_{k}") for k, is_in in had_time.items()),
        *((is_in & pl.col(f"came_{k}")).sum().cast(pl.Int64).alias(f"returned_{k}") for k, is_in in had_time.items()),
    )
    return pl.concat(
        wide.select(
            *groups,
            pl.lit(cell.period, pl.Int64).alias("period"),
            pl.lit(cell.label).alias("label"),
            "clients",
            eligible=f"eligible_{cell.period}",
            returned=f"returned_{cell.period}",
        )
        for cell in cells
    )


def _rated(counts: pl.DataFrame, is_whole: pl.Expr) -> pl.DataFrame:
    low, high = wilson("returned", "eligible")
    return counts.with_columns(
        rate=pl.when(pl.col("eligible") > 0).then(pl.col("returned") / pl.col("eligible")),
        low=low,
        high=high,
        is_open=(pl.col("eligible") < pl.col("clients")) | is_whole.not_(),
        few=pl.col("eligible") < FEW,
    )


def _is_over(period: str, every: Every, as_of: str | date) -> pl.Expr:
    """Whether the whole period, known by its first day, lies up to and including `as_of`."""
    return pl.col(period).dt.offset_by(TRUNCATED[every]).to_physical() <= day_number(as_of) + 1
