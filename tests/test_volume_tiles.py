"""Headline of volume: the last closed week against its target and last year."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from healthie_nb import tiles, volume
from healthie_nb.roles import COLUMNS
from healthie_nb.visits import MetricError, example

# The week of 1 June 2026 is closed on the 10th; 52 weeks before it is that of 2 June 2025.
SEEN = example(
    {
        "a": ["2025-06-02", "2026-06-01", "2026-06-08"],
        "b": ["2025-06-03 No-Show", "2026-06-02", "2026-06-03 No-Show"],
        "c": ["2026-05-26", "2026-06-04", "2026-06-05 Cancelled", "2026-06-12 None"],
    }
).with_columns(booked_day=pl.lit(date(2025, 1, 1)).cast(pl.Int32))
AS_OF = "2026-06-10"


def headline(**targets: float) -> list[str]:
    given = pl.DataFrame(
        {"metric": [name.replace("_", " ") for name in targets], "target": [*targets.values()], "since": None},
        schema=COLUMNS["targets"],
    )
    counts = volume.counts(SEEN, as_of=AS_OF, every="week")
    rates = volume.rates(SEEN, as_of=AS_OF, every="week").filter(measure="lost", late="status")
    booked, unmarked = volume.booked(SEEN, as_of=AS_OF, weeks=2), volume.unmarked(SEEN, as_of=AS_OF)
    made = tiles.volume(counts, rates, booked, unmarked, every="week", synthetic=True, targets=given)
    return repr(made).splitlines()


def test_last_closed_week_stands_beside_last_year_and_the_week_before() -> None:
    assert headline() == [
        "Last closed week: 1 Jun 2026",
        "Demo practice: synthetic data",
        "Client visits that took place: 3 · of 5 on the calendar · the week before 1 · last year 1 (+200%)",
        "Took place per working day: 0.6 · 5 working days",
        "Missed: no-shows and cancelled late: 25%* · 1 of 4 due · 95 % 5-70 · last year 50%* of 2",
        "Booked, 11 Jun to 17 Jun: 1 · usual 0.0 at this point · 0 to 3 · 8 earlier weeks",
        "Booked, 18 Jun to 24 Jun: 0 · usual 0.5 at this point · 0 to 3 · 8 earlier weeks",
        "Unmarked visits: 0 · 0 of them older than 7 days",
    ]


@pytest.mark.parametrize(
    ("targets", "line", "said"),
    [
        ({"visits_per_week": 3}, 2, "target 3 · ✓ good"),
        ({"visits_per_week": 4}, 2, "target 4 · ! caution"),
        ({"visits_per_working_day": 0.7}, 3, "target 0.7 · ! caution"),
        ({"lost": 0.3}, 4, "target 30% · ✓ good"),
        ({"lost": 0.1}, 4, "target 10%, which the interval reaches · ! caution"),
        ({"lost": 0.01}, 4, "target 1% · ✕ problem"),
    ],
)
def test_target_gives_the_tone(targets: dict[str, float], line: int, said: str) -> None:
    """A share missed is a problem only where its whole interval lies above the target."""
    assert headline(**targets)[line].endswith(said)


@pytest.mark.parametrize(
    ("targets", "says"),
    [
        ({"no_shows": 0.1}, "no target is for 'no shows'; metrics with targets are .*. Did you mean 'no-show'?"),
        ({"lost": 8}, "the target of 'lost' is 8: it is a share, give 0 to 1, as in 0.08 for 8 %"),
    ],
)
def test_target_that_no_metric_has_is_refused(targets: dict[str, float], says: str) -> None:
    with pytest.raises(MetricError, match=says):
        headline(**targets)


def test_checked_in_has_not_taken_place() -> None:
    """Docs: checked in and never marked is due, but has not occurred."""
    seen = example({"a": ["2026-06-01", "2026-06-02 Checked-In", "2026-06-08"]})
    counts, rates = (make(seen, as_of=AS_OF, every="week") for make in (volume.counts, volume.rates))
    rates = rates.filter(measure="lost", late="status")
    booked, unmarked = volume.booked(SEEN, as_of=AS_OF, weeks=1), volume.unmarked(seen, as_of=AS_OF)
    made = repr(tiles.volume(counts, rates, booked, unmarked, every="week", synthetic=True)).splitlines()
    assert [line.removesuffix(" · the week before not known · last year not known") for line in made[2:4]] == [
        "Client visits that took place: 1 · of 2 on the calendar · 1 more checked in, not marked",
        "Took place per working day: 0.2 · 5 working days",
    ]


def test_other_slices_are_refused() -> None:
    counts = volume.counts(SEEN, as_of=AS_OF, by=["modality"])
    rates = volume.rates(SEEN, as_of=AS_OF, every="month")
    with pytest.raises(MetricError, match="counts by status alone"):
        tiles.volume(counts, rates, pl.DataFrame(), pl.DataFrame(), every="month", synthetic=True)
