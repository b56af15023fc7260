"""Headline figures of appointment volume: the last closed period beside its target and last year, and what is ahead."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from healthie_nb.called_off import AGES
from healthie_nb.tables import attendance as words
from healthie_nb.tables.slicing import slices_of
from healthie_nb.tables.volume import PER_DAY, totalled, week
from healthie_nb.targets import holding
from healthie_nb.tiles.tile import Tile, Tiles, Tone
from healthie_nb.visits import MetricError
from healthie_nb.wording import interval, period, share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from healthie_nb.newcomers import Every

YEAR: Final = {"week": "-52w", "month": "-1y", "quarter": "-1y"}  # as volume.counts: a week's is 52 weeks back
FRESH: Final = tuple(AGES.values())[:2]


def volume(
    counts: pl.DataFrame,
    rates: pl.DataFrame,
    booked: pl.DataFrame,
    unmarked: pl.DataFrame,
    *,
    every: Every,
    synthetic: bool,
    targets: pl.DataFrame | None = None,
) -> Tiles:
    """Headline of volume: what took place in the last closed period, what was lost, what is booked and unmarked.

    A count is good when it reaches its target. A share missed is good when it is no higher than its target, a caution
    when it is but its interval reaches the target, a problem when it does not. Bookings are a caution when they are
    below those of every earlier week at the same point.

    Parameters
    ----------
    counts
        Rows of `volume.counts` by status; its last closed period is the one told.
    rates
        Rows of `volume.rates` with the same `every`, of one measure and one way of telling late, as far back as last
        year.
    booked
        Rows of `volume.booked`, not sliced.
    unmarked
        Rows of `volume.unmarked`.
    every
        The period of counts and rates, as they were made.
    synthetic
        `practice.is_synthetic`: whether they have to say that the data is made up.
    targets
        As `roles.read` gives them: of "visits per week", "visits per working day", "no-show", "lost" and so on.

    Raises
    ------
    MetricError for counts or rates that are sliced otherwise, or targets of a metric that has none.
    """
    if slices_of(counts) != ["status"] or slices_of(rates) or rates.select("measure", "late").n_unique() > 1:
        raise MetricError("tiles take counts by status alone, and rates of one measure and one way of telling late.")
    closed = totalled(counts.filter(~pl.col("is_open")))
    last = closed["period"].max()
    if not isinstance(last, date):
        return Tiles([*_ahead(booked), _unmarked(unmarked)], title=f"No closed {every}", synthetic=synthetic)
    title = f"Last closed {every}: {closed.select(period('period', every)).item(-1, 0)}"
    within = counts.filter(pl.col("period") == last)
    tiles = [*_took_place(within, every, targets), _missed(rates, last, every, targets)]
    return Tiles([*tiles, *_ahead(booked), _unmarked(unmarked)], title=title, synthetic=synthetic)


def _took_place(within: pl.DataFrame, every: str, targets: pl.DataFrame | None) -> list[Tile]:
    """Tell what took place, in all and per working day."""
    kept, arrived = within.filter(status="occurred"), within.filter(status="checked_in")["count"].sum()
    unit, day, days = within.select("unit", "period", "working_days").row(0)
    count, before, last_year = (
        None if within[name].is_null().all() else float(kept[name].sum()) for name in ("count", "before", "last_year")
    )
    notes = [
        f"of {_said(float(within['count'].sum()))} on the calendar",
        *([f"{_said(float(arrived))} more checked in, not marked"] if arrived else []),
        f"the {every} before {_said(before)}",
        f"last year {_said(last_year)}{_change(count, last_year)}",
    ]
    metric = unit.removeprefix("client ")
    per_day = None if not days or count is None else count / days
    return [
        _counted(f"{unit.capitalize()} that took place", count, notes, holding(targets, f"{metric} per {every}", day)),
        _counted(
            f"Took place {PER_DAY}", per_day, [f"{days} working days"], holding(targets, f"{metric} {PER_DAY}", day), 1
        ),
    ]


def _counted(label: str, count: float | None, notes: list[str], target: float | None, decimals: int = 0) -> Tile:
    """Count beside its target, which it should reach."""
    if target is None or count is None:
        return Tile(label, _said(count, decimals), _joined(notes))
    tone: Tone = "green" if count >= target else "amber"
    return Tile(label, _said(count, decimals), _joined([*notes, f"target {_said(target, decimals)}"]), tone)


def _missed(rates: pl.DataFrame, last: date, every: str, targets: pl.DataFrame | None) -> Tile:
    """Share missed beside its target, which it should not exceed."""
    measure = str(rates["measure"].first()) if rates.height else "lost"
    label = f"Missed: {words.MISSED[measure]}"
    told = rates.filter(pl.col("period") == last, pl.col("due") > 0)
    if told.is_empty():
        return Tile(label, "none due")
    row = told.with_columns(
        said=share("rate"), interval=interval("robust_low", "robust_high"), bounds=words.bounds()
    ).row(0, named=True)
    notes = [f"{row['missed']:,} of {row['due']:,} due", f"95 % {row['interval']}"]
    notes += [f"{row['bounds']} with {row['unmarked']:,} unmarked"] if row["unmarked"] else []
    earlier = rates.filter(pl.col("period") == pl.lit(last).dt.offset_by(YEAR[every]), pl.col("due") > 0)
    notes += [f"last year {text} of {due:,}" for text, due in earlier.select(share("rate"), "due").rows()]
    target = holding(targets, measure, last)
    if target is None:
        return Tile(label, row["said"], _joined(notes))
    tone: Tone = "green" if row["rate"] <= target else "amber" if row["robust_low"] <= target else "red"
    why = ", which the interval reaches" if tone == "amber" else ""
    return Tile(label, row["said"], _joined([*notes, f"target {target:.0%}{why}"]), tone)


def _ahead(booked: pl.DataFrame) -> list[Tile]:
    """Tell what is booked for the first coming week, and for the last."""
    rows = booked.with_columns(said=week()).sort("ahead").rows(named=True)
    return [_booked(row) for row in (rows[:1] + rows[1:][-1:])]


def _booked(row: dict[str, Any]) -> Tile:
    label = f"Booked, {row['said']}"
    if row["usual"] is None:
        return Tile(label, _said(row["booked"]), "no earlier weeks to compare to")
    notes = [f"usual {_said(row['usual'], 1)} at this point", f"{_said(row['lowest'])} to {_said(row['highest'])}"]
    tone: Tone = "amber" if row["booked"] < row["lowest"] else "plain"
    return Tile(label, _said(row["booked"]), _joined([*notes, f"{row['earlier']} earlier weeks"]), tone)


def _unmarked(unmarked: pl.DataFrame) -> Tile:
    """Visits that nobody has marked, and how many of them have waited."""
    old = float(unmarked.filter(~pl.col("age").is_in(FRESH))["unmarked"].sum())
    every_one = _said(float(unmarked["unmarked"].sum()))
    return Tile("Unmarked visits", every_one, f"{_said(old)} of them older than 7 days")


def _change(now: float | None, then: float | None) -> str:
    return f" ({now / then - 1:+.0%})" if then and now is not None else ""


def _said(count: float | None, decimals: int = 0) -> str:
    return "not known" if count is None else f"{count:,.{decimals}f}"


def _joined(notes: Sequence[str]) -> str:
    return " · ".join(notes)
