"""Whether intervals of 95 % hold the known probability about 95 times in 100: 200 seeded worlds for each."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from healthie_nb import forms, retention, volume
from healthie_nb.stats import wilson
from healthie_nb.visits import APPOINTMENTS, visits

if TYPE_CHECKING:
    from collections.abc import Callable

    Interval = tuple[float, float]

WORLDS = 200
FIRST = datetime(2025, 1, 6, 15, tzinfo=UTC)
STAYS = 0.99  # from one day to the next
MISSES = 0.15
SIGNS = 0.8
BOOKS = 0.6
DONE = 0.1


def world(rows: dict[str, Any]) -> pl.DataFrame:
    """Visits from days since the first, and whatever else is known of them."""
    made = pl.DataFrame(rows).with_columns(
        pl.col("client_id").cast(pl.String),
        id=pl.int_range(pl.len()).cast(pl.String),
        starts_at=(pl.lit(FIRST) + pl.duration(days="day")).cast(pl.Datetime("us", "UTC")),
    )
    whole = pl.concat([pl.DataFrame(schema=APPOINTMENTS), made.drop("day")], how="diagonal_relaxed")
    return visits(whole.select(APPOINTMENTS.names()), zone="UTC")


def leavers(seed: int) -> pl.DataFrame:
    """Clients who come weekly until they stop, each day with the same small probability."""
    rng = np.random.default_rng(seed)
    weeks = (rng.geometric(1 - STAYS, 80) - 1) // 7 + 1
    who = np.repeat(np.arange(80), weeks)
    since = np.concatenate([np.arange(n) * 7 for n in weeks])
    return world({"client_id": who, "day": np.repeat(rng.integers(0, 300, 80), weeks) + since, "status": "Occurred"})


def missers(seed: int) -> pl.DataFrame:
    """Clients who miss their visits with a probability of their own, around a common one."""
    rng = np.random.default_rng(seed)
    n = rng.integers(1, 12, 120)
    who, often = np.repeat(np.arange(120), n), rng.beta(MISSES / 0.5, (1 - MISSES) / 0.5, 120)
    status = np.where(rng.random(len(who)) < often[who], "No-Show", "Occurred")
    return world({"client_id": who, "day": rng.integers(0, 300, len(who)), "status": status})


def returned(seed: int) -> dict[str, Interval]:
    table = retention.cohorts(leavers(seed), as_of="2026-06-30", every="quarter", brackets=[(28, 28)])
    low, high = wilson(pl.col("returned").sum(), pl.col("eligible").sum())
    return {"cohorts": table.select(low=low, high=high).row(0)}


def lapsed(seed: int) -> dict[str, Interval]:
    """Who came on day 21 has not lapsed by day 27: the gap is 13 days. Some are censored before."""
    curve = retention.survival(leavers(seed), as_of="2025-09-30", gap_days=13)
    return {"survival": curve.filter(pl.col("day") <= 27).select("low", "high").row(-1)}


def missed(seed: int) -> dict[str, Interval]:
    table = volume.rates(missers(seed), as_of="2026-06-30")
    robust = table.select("robust_low", "robust_high").row(0)
    return {"rates, clustered": robust, "rates, as if visits were alone": table.select("low", "high").row(0)}


def signed(seed: int) -> dict[str, Interval]:
    seen, rng = leavers(seed), np.random.default_rng(seed)
    hours = pl.Series(np.where(rng.random(seen.height) < SIGNS, 5, 100))
    signing = pl.struct(signed_at=pl.col("starts_at") + pl.duration(hours=hours))
    notes = seen.select("appointment_id", filled_at="starts_at", signings=pl.concat_list(signing))
    return {"notes": forms.notes(seen, notes, as_of="2027-12-31", by=[]).select("low", "high").row(0)}


def booked_again(seed: int) -> dict[str, Interval]:
    """Clients who come every 8 days and book the next visit a day after one, or too late, as is their own habit."""
    rng = np.random.default_rng(seed)
    visits_of = rng.integers(2, 10, 120)
    who, often = np.repeat(np.arange(120), visits_of), rng.beta(BOOKS / 0.5, (1 - BOOKS) / 0.5, 120)
    day = np.concatenate([np.arange(n) * 8 for n in visits_of])
    status = ["Occurred" if who[i] == who[i + 1] else None for i in range(len(who) - 1)] + [None]  # the last: to come
    made = pl.DataFrame({"day": day - 8, "wait": np.where(rng.random(len(who)) < often[who], 24, 180)})
    at = made.select(pl.lit(FIRST) + pl.duration(days="day", hours="wait")).to_series()
    seen = world({"client_id": who, "day": day, "status": status, "created_at": at})
    table = volume.rebooked(seen, as_of="2025-04-30", every="quarter")
    return {"rebooked": table.select("robust_low", "robust_high").row(0)}


def completed(seed: int) -> dict[str, Interval]:
    """Forms done each day with the same probability: some seen to the day, some between two pulls, some still open."""
    rng = np.random.default_rng(seed)
    took, until, early = rng.geometric(DONE, 120), rng.integers(5, 60, 120), rng.integers(0, 4, 120)
    is_open, between = took > until, rng.random(120) < 0.4
    least = np.where(is_open, until, np.where(between, (took - early).clip(0), took))
    most = np.where(between, took - early + 3, took)
    times = pl.DataFrame({"least": least, "most": most}).with_columns(
        most=pl.when(~pl.Series(is_open)).then(pl.col("most"))
    )
    return {"time_to_complete": forms.turnbull(times).filter(pl.col("day") <= 10).select("low", "high").row(-1)}


KNOWN: dict[str, tuple[Callable[[int], dict[str, Interval]], float]] = {
    "cohorts": (returned, STAYS**28),
    "survival": (lapsed, STAYS**21),
    "rates": (missed, MISSES),
    "notes": (signed, SIGNS),
    "rebooked": (booked_again, BOOKS),
    "time_to_complete": (completed, (1 - DONE) ** 10),
}


@pytest.mark.parametrize("metric", KNOWN)
def test_known_probability_is_inside_about_95_times_in_100(metric: str, record_property: Any) -> None:
    """Where visits cluster, in the interval that knows it; the one that does not shows why there is another."""
    intervals, truth = KNOWN[metric]
    worlds = [intervals(seed) for seed in range(WORLDS)]
    shares = {name: sum(world[name][0] <= truth <= world[name][1] for world in worlds) / WORLDS for name in worlds[0]}
    for name, share in shares.items():
        record_property(f"covered: {name}", share)
    alone = shares.pop("rates, as if visits were alone", 0.0)
    assert alone < 0.85
    assert all(0.915 <= share <= 0.985 for share in shares.values()), shares  # 2.3 standard errors of 200 worlds
