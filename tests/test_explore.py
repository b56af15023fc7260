from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import polars as pl
import pytest

from healthie_nb import explore, retention
from healthie_nb.visits import APPOINTMENTS, visits

if TYPE_CHECKING:
    from healthie_nb.live import Explorer

PROVIDERS = pl.DataFrame({"id": ["1", "2", "3"], "name": ["Bo", "Ada", "Cy"], "is_active": [False, True, True]})
TYPES = pl.DataFrame({"id": ["x", "y"], "name": ["Intake", "Follow-up"]})
BOOKED = [  # client, day, provider, type
    ("a", "2025-01-10", "1", "x"),
    ("a", "2025-02-20", "2", "y"),
    ("b", "2025-01-15", "2", "x"),
    ("c", "2025-02-01", "2", "y"),
    ("d", "2025-05-01", "9", "x"),
]


def booked() -> pl.DataFrame:
    rows = [
        {
            "id": str(i),
            "client_id": client,
            "starts_at": datetime.fromisoformat(day).replace(hour=15, tzinfo=UTC),
            "status": "Occurred",
            "provider_id": provider,
            "appointment_type_id": kind,
        }
        for i, (client, day, provider, kind) in enumerate(BOOKED)
    ]
    return visits(pl.DataFrame(rows, schema=APPOINTMENTS), zone="UTC")


def explorer(**options: object) -> Explorer:
    given: dict[str, object] = {"cohorts_from": "2025-01-01", "cohorts_until": "2025-12-31", "months": 6} | options
    return explore.retention(
        booked(), as_of="2026-06-30", providers=PROVIDERS, appointment_types=TYPES, synthetic=True, **given
    )  # type: ignore[arg-type]


def clients(shown: Explorer) -> list[tuple[date, int]]:
    return shown.rows.unique("cohort").sort("cohort").select("cohort", "clients").rows()


JANUARY, FEBRUARY, MAY = date(2025, 1, 1), date(2025, 2, 1), date(2025, 5, 1)


def test_untouched_explorer_shows_what_the_metric_says() -> None:
    assert explorer().rows.equals(retention.cohorts(booked(), as_of="2026-06-30", measure="on", periods=6))


def test_controls_start_from_the_parameters() -> None:
    shown = explorer(cohorts_from="2025-02-01", cohorts_until="2025-04-30")
    assert clients(shown) == [(FEBRUARY, 1)]


def test_provider_filter_keeps_all_visits_of_the_clients_who_began_there() -> None:
    shown = explorer()
    shown.controls["provider_ids"].value = ("1",)
    assert clients(shown) == [(JANUARY, 1)]
    assert shown.rows["returned"].to_list() == [0, 1, 0, 0, 0, 0]  # with another provider, day 41


def test_filters_add_up() -> None:
    shown = explorer()
    shown.controls["provider_ids"].value = ("2",)
    shown.controls["appointment_type_ids"].value = ("y",)
    assert clients(shown) == [(FEBRUARY, 1)]


def test_quarters_reach_as_far_as_the_months() -> None:
    shown = explorer()
    shown.controls["every"].value = "quarter"
    assert shown.rows.select("cohort", "label", "clients").rows()[:2] == [
        (JANUARY, "quarter 1", 3),
        (JANUARY, "quarter 2", 3),
    ]
    assert shown.rows["period"].max() == 2


def test_lists_offer_only_what_occurs_by_name() -> None:
    """A provider who left says so, and one whom the query did not give is shown by id."""
    names = [name for name, _ in explorer().controls["provider_ids"].options]
    assert names == ["All 3", "Ada", "Bo (left)", "id 9"]


def test_it_says_how_many_clients_remain() -> None:
    shown = explorer()
    assert repr(shown).startswith("4 of 4 new clients; cohorts: 3.")
    shown.controls["provider_ids"].value = ("2",)
    assert repr(shown).startswith("2 of 4 new clients; cohorts: 2.")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"provider_ids": ("1",), "appointment_type_ids": ("y",)}, "among Bo (left) and Follow-up"),
        ({"cohorts_from": date(2026, 1, 1)}, "The first date is after the last"),
        ({"cohorts_from": date(2025, 10, 1)}, "No cohort begins between 2025-10-01 and 2025-12-31."),
        ({"cohorts_until": None}, "Give both dates"),
    ],
)
def test_impossible_view_says_so_in_words(settings: dict[str, object], words: str) -> None:
    shown = explorer()
    for name, value in settings.items():
        shown.controls[name].value = value
    assert words in repr(shown)
    assert shown.rows.is_empty()
    assert "image/png" not in shown._repr_mimebundle_()


def test_unknown_clients_are_left_out() -> None:
    known = pl.DataFrame(
        {"id": list("abcd"), "created_at": [datetime(2020 if c == "a" else 2025, 1, 1, tzinfo=UTC) for c in "abcd"]}
    )
    shown = explorer(history_from="2025-01-01", clients=known)
    assert clients(shown) == [(JANUARY, 1), (FEBRUARY, 1), (MAY, 1)]
