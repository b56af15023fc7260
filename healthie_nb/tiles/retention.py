"""Headline of who stays."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from healthie_nb import retention as metrics
from healthie_nb.targets import holding
from healthie_nb.tiles.tile import Tile, Tiles, aimed, toned
from healthie_nb.wording import interval, period, share

if TYPE_CHECKING:
    from healthie_nb.newcomers import Every


def retention(
    states: pl.DataFrame,
    flow: pl.DataFrame,
    second_visits: pl.DataFrame,
    *,
    as_of: str | date,
    every: Every,
    synthetic: bool,
    targets: pl.DataFrame | None = None,
) -> Tiles:
    """Tiles of who stays: active, new, came a second time, lapsed, and who is in care with nothing booked.

    Parameters
    ----------
    states
        Rows of `retention.states`: active is who is in care, lapsed who is lapsed.
    flow
        Rows of `retention.flow`: new is who was so in its last closed period, beside the mean of those before.
    second_visits
        Rows of `retention.cohorts` with one bracket, not split: the rate is that of its closed cohorts together.
    as_of
        The day they speak for.
    every
        The period of the flow.
    synthetic
        `practice.is_synthetic`: whether they have to say that their data is made up.
    targets
        As `roles.read` gives them; the second visit is good, or a problem, when its whole interval is on that side of
        the target of the metric "second visit" that holds on the day, and a caution between.

    Raises
    ------
    MetricError for targets of a metric that has none.

    Examples
    --------
    >>> from healthie_nb import retention as metrics
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-02-05"], "bob": ["2026-02-09"]})
    >>> flow = metrics.flow(seen, as_of="2026-03-31")
    >>> second = metrics.cohorts(seen, as_of="2026-03-31", brackets=((1, 45),))
    >>> none = pl.DataFrame({"state": [], "reason": [], "clients": []}, schema_overrides={"clients": pl.Int64})
    >>> print(retention(none, flow, second, as_of="2026-03-31", every="month", synthetic=False).tiles[2])
    Second visit, days 1-45: 50%* · 95 % interval 9-91%, of 2 new clients in 2 closed cohorts
    """
    day = date.fromisoformat(str(as_of))
    again = _came_again(second_visits, holding(targets, "second visit", day))
    tiles = [_active(states), _new(flow, every), again, _lapsed(states), _not_booked(states)]
    return Tiles(tiles, title=f"Who stays, as of {day.day} {day:%b %Y}", synthetic=synthetic)


def _active(states: pl.DataFrame) -> Tile:
    note = f"{_part(_in(states, 'in care'), states)}: seen in the last 90 days, or booked"
    return Tile("Active clients", f"{_in(states, 'in care'):,}", note)


def _lapsed(states: pl.DataFrame) -> Tile:
    note = f"{_part(_in(states, 'lapsed'), states)}: not seen for over 90 days, nothing booked"
    return Tile("Lapsed", f"{_in(states, 'lapsed'):,}", note)


def _not_booked(states: pl.DataFrame) -> Tile:
    unbooked = int(states.filter(state="in care", reason="seen lately")["clients"].sum())
    return Tile("Nothing booked", f"{unbooked:,}", f"of {_in(states, 'in care'):,} active clients")


def _new(flow: pl.DataFrame, every: Every) -> Tile:
    closed = flow.filter(~pl.col("is_open"))
    if closed.is_empty():
        return Tile("New clients", "none yet", f"no {every} is over")
    name, new = closed.select(period("period", every), "new").row(-1)
    before = closed["new"].head(closed.height - 1)
    note = f"; {int(before.sum()) / before.len():,.0f} a {every} in the {before.len()} before" if before.len() else ""
    return Tile("New clients", f"{new:,}", f"in {name}{note}")


def _came_again(second_visits: pl.DataFrame, target: float | None) -> Tile:
    means = metrics.means(second_visits)
    label = f"Second visit, {second_visits.row(0, named=True)['label']}" if second_visits.height else "Second visit"
    if means.is_empty():
        return Tile(label, "none yet", "no cohort has had that long")
    said, bounds, n, cohorts, rate, low, high = means.select(
        share("weighted"), interval(), "eligible", "cohorts", pl.col("weighted").alias("rate"), "low", "high"
    ).row(0)
    note = f"95 % interval {bounds}%, of {n:,} new clients in {cohorts} closed cohorts{aimed(rate, low, high, target)}"
    return Tile(label, said, note, toned(low, high, target))


def _in(states: pl.DataFrame, state: str) -> int:
    return int(states.filter(pl.col("state") == state)["clients"].sum())


def _part(clients: int, states: pl.DataFrame) -> str:
    total = int(states["clients"].sum())
    return f"{clients / total:.0%} of {total:,} clients" if total else "of no clients"
