"""Each check turns from green when what it looks for is put into the data."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from healthie_nb import quality, volume
from healthie_nb.demo import Settings as Behaviour
from healthie_nb.demo import World, serving, truth
from healthie_nb.visits import MetricError, example, unplaced, visits

if TYPE_CHECKING:
    from collections.abc import Callable

    from healthie_nb.practice import Practice

AS_OF = "2026-06-30"
LOADED = datetime(2026, 7, 1, 12, tzinfo=UTC)
DAYS = [(date(2025, 1, 6) + timedelta(days=days)).isoformat() for days in range(540)]
SOUND = example({"ada": DAYS}).with_columns(
    minutes=pl.lit(50, pl.Int64),
    provider_id=pl.lit("p"),
    appointment_type_id=pl.lit("t"),
    updated_at=pl.col("starts_at") + pl.duration(hours=3),
)
TYPES = pl.DataFrame({"id": ["t"], "name": ["Visit"]})
ROLES = pl.DataFrame({"appointment_type_id": ["t"], "role": ["follow-up"]})
NOTES = SOUND.select(
    "appointment_id",
    filled_at="starts_at",
    signings=pl.concat_list(pl.struct(signed_at=pl.col("starts_at"))),
)
PULLS = pl.DataFrame({"seen_at": [LOADED - timedelta(days=40), LOADED - timedelta(days=2)]}).cast(
    pl.Datetime("us", "UTC")
)
TEMPLATES = pl.DataFrame({"id": ["f", "n"], "name": ["Form", "Note"], "is_chart_note": [False, True]})
GIVEN: dict[str, Any] = {
    "as_of": AS_OF,
    "loaded_at": LOADED,
    "clients": pl.DataFrame({"id": ["ada"]}),
    "providers": pl.DataFrame({"id": ["p"], "is_active": [True]}),
    "appointment_types": TYPES,
    "roles": ROLES,
    "form_templates": TEMPLATES,
    "form_roles": pl.DataFrame({"form_id": ["f"], "role": ["intake"]}),
    "chart_notes": NOTES,
    "reconciled": pl.DataFrame({"ours": [540], "difference": [0]}),
    "vanished": SOUND.clear(),
    "ledger_counts": PULLS,
}


def levels(rows: pl.DataFrame, **given: Any) -> dict[str, str]:
    return dict(quality.checks(rows, **(GIVEN | given)).select("check", "level").rows())


def last(days: int) -> pl.Expr:
    return pl.col("date") > date(2026, 6, 29) - timedelta(days=days)


def test_sound_data_is_green_but_for_a_status_never_used() -> None:
    assert {name for name, level in levels(SOUND).items() if level != "green"} == {"late status"}


def test_unmarked_visits_are_told_by_the_ages_of_volume() -> None:
    """Together they are all there are, as the headline counts them."""
    rows = SOUND.with_columns(status=pl.lit("unrecorded"))
    ages = volume.unmarked(rows, as_of=AS_OF)
    fresh = ages.filter(pl.col("age").is_in(["0-2 days", "3-7 days"]))["unmarked"].sum()
    values = dict(quality.checks(rows, **GIVEN).select("check", "value").rows())
    assert values["settling"] == f"{fresh} of {fresh} visits at most 7 days old (100.0%)"
    old = ages["unmarked"].sum() - fresh
    assert values["unmarked"] == f"{old} of {old} visits older than 7 days (100.0%)"
    assert min(old, fresh) > 0


BROKEN: dict[str, tuple[str, pl.DataFrame, dict[str, Any]]] = {
    "as of": ("red", SOUND, {"as_of": "2026-07-02"}),
    "reconciled": ("red", SOUND, {"reconciled": pl.DataFrame({"ours": [540], "difference": [-20]})}),
    "history": ("red", SOUND, {"history_from": "2026-03-01"}),
    "unmarked": ("red", SOUND.with_columns(status=pl.lit("unrecorded")), {}),
    "settling": (
        "red",
        SOUND.with_columns(status=pl.when(last(7)).then(pl.lit("unrecorded")).otherwise("status")),
        {},
    ),
    "unmapped types": ("red", SOUND, {"roles": ROLES.clear()}),
    "unmapped forms": ("amber", SOUND, {"form_roles": GIVEN["form_roles"].with_columns(role=pl.lit(None, pl.String))}),
    "unmapped statuses": ("red", SOUND.with_columns(status=pl.lit("other")), {}),
    "late status": (
        "amber",
        SOUND.with_columns(
            status=pl.when(last(9)).then(pl.lit("late_cancelled")).when(last(200)).then(pl.lit("cancelled"))
        ),
        {},
    ),
    "occurred in the future": ("red", SOUND, {"loaded_at": datetime(2026, 6, 1, tzinfo=UTC)}),
    "doubles": ("red", pl.concat([SOUND, SOUND.head(9)]), {}),
    "lengths": ("red", SOUND.with_columns(minutes=pl.lit(None, pl.Int64)), {}),
    "without note": ("red", SOUND, {"chart_notes": NOTES.head(100)}),
    "group attendance": ("red", SOUND.with_columns(is_group=pl.lit(value=True), status=pl.lit("unrecorded")), {}),
    "vanished": ("red", SOUND, {"vanished": SOUND.head(60)}),
    "merges": ("red", SOUND, {"clients": pl.DataFrame({"id": ["bob"]})}),
    "mass edits": ("amber", SOUND.with_columns(updated_at=pl.lit(LOADED)), {}),
    "weeks": ("red", SOUND.filter(~last(14)).vstack(SOUND.filter(last(1))), {}),
    "providers": ("red", SOUND, {"providers": pl.DataFrame({"id": ["q"], "is_active": [True]})}),
    "ledger": ("amber", SOUND, {"ledger_counts": PULLS.tail(1)}),
    "not seen": ("red", SOUND.with_columns(provider_id=pl.lit(None, pl.String)), {}),
}


NOTHING = pl.lit(None, pl.String)
FILLED = pl.DataFrame({"client_id": ["ada"], "form_id": ["f"], "form_is_chart_note": [False]})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"unplaced": pl.DataFrame({"reason": ["no client"], "rows": [3]})}, "3 appointments without a client"),
        ({"filled_forms": FILLED.with_columns(client_id=NOTHING)}, "1 forms without a client or form"),
        ({"filled_forms": FILLED.with_columns(form_id=NOTHING)}, "1 forms without a client or form"),
        ({"form_requests": FILLED.with_columns(client_id=NOTHING)}, "1 form requests without a client"),
        ({"stored": pl.DataFrame({"hidden": [0, 1200]})}, "1,200 rows that Healthie counts and does not show"),
    ],
)
def test_what_the_key_may_not_see_is_told(given: dict[str, Any], says: str) -> None:
    row = quality.checks(SOUND, **GIVEN, **given).filter(check="not seen").row(0, named=True)
    assert row["level"] == "amber"
    assert row["value"] == f"0 of 540 visits without provider or type (0.0%); {says}"


def test_note_of_a_group_has_no_client_and_hides_none() -> None:
    notes = FILLED.with_columns(client_id=NOTHING, form_is_chart_note=pl.lit(value=True))
    assert levels(SOUND, filled_forms=notes)["not seen"] == "green"


def test_rows_that_never_came_are_kept_in_mind(small_world: World, practice_at: Callable[..., Practice]) -> None:
    """Every tenth comes as null: counted by the server, and never seen."""
    with serving(small_world, Behaviour(rate=None, null_every=10)) as served:
        practice = practice_at(served)
        rows = practice.load("clients")
        (hidden,) = practice.stored()["hidden"]
    assert hidden == small_world.clients.height - rows.height > 0
    value = quality.checks(SOUND, **GIVEN, stored=practice.stored()).filter(check="not seen")["value"].item()
    assert value.endswith(f"; {hidden} rows that Healthie counts and does not show")


@pytest.mark.parametrize("check", BROKEN)
def test_broken_data_is_told(check: str) -> None:
    level, rows, given = BROKEN[check]
    assert levels(rows, **given)[check] == level


@pytest.mark.parametrize(
    ("weeks", "says"), [(1, " weeks: 2026-06-22"), (6, "2026-06-22"), (8, "2026-06-22 and 2 earlier")]
)
def test_weeks_that_lack_visits_are_named_or_counted(weeks: int, says: str) -> None:
    few = SOUND.with_columns(status=pl.when(last(7 * weeks)).then(pl.lit("no_show")).otherwise("status"))
    value = quality.checks(few, **GIVEN).filter(check="weeks")["value"].item()
    assert value.startswith(f"{weeks} of ")
    assert value.endswith(says)
    assert value.count("2026-") == min(weeks, 6)


def test_numbers_and_nouns_are_written_out() -> None:
    many = pl.concat([SOUND] * 3)
    found = dict(quality.checks(many, **(GIVEN | {"roles": ROLES.clear()})).select("check", "value").rows())
    assert found["lengths"] == "0 of 1,620 visits (0.0%)"
    assert found["unmapped types"] == "1 type without a role; 1,620 of 1,620 visits (100.0%)"


def test_every_check_is_tried() -> None:
    assert list(BROKEN) == [check.name for check in quality.CHECKS]


def test_what_is_not_passed_is_not_checked_and_says_so() -> None:
    table = quality.checks(SOUND, as_of=AS_OF)
    assert table.height == len(quality.CHECKS)
    row = table.filter(check="unmapped types").row(0, named=True)
    assert (row["level"], row["value"]) == ("amber", "not checked")
    assert row["advice"].startswith("Pass appointment_types=practice.load('appointment_types') and roles=")


def test_totals_not_ready_are_amber() -> None:
    pending = pl.DataFrame({"ours": [5], "difference": [None]}, schema_overrides={"difference": pl.Int64})
    assert levels(SOUND, reconciled=pending)["reconciled"] == "amber"


def test_empty_practice_is_judged_without_an_error() -> None:
    assert levels(SOUND.clear())["history"] == "red"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"as_of": "2024-01-01"}, "the first visit is on 2025-01-06"),
        ({"loaded_at": datetime(2026, 7, 1)}, "loaded_at has no zone"),  # noqa: DTZ001 - that is the mistake
        ({"clients": pl.DataFrame({"x": [1]})}, r"clients lack id: queries/clients\.graphql"),
    ],
)
def test_bad_input_says_what_to_do(given: dict[str, Any], message: str) -> None:
    with pytest.raises(MetricError, match=message):
        levels(SOUND, **given)


def test_demo_practice_has_the_faults_that_were_put_into_it(practice: Practice) -> None:
    span = {"start": "2023-07-01", "end": "2026-08-31"}
    rows, types = practice.load("appointments", **span), practice.load("appointment_types")
    roles = pl.DataFrame([{"appointment_type_id": one.id, "role": one.role} for one in truth.TYPES])
    attendance = practice.load("group_attendance", **span, type_ids=[truth.GROUP])
    seen = visits(rows, zone=practice.zone, attendance=attendance, appointment_types=types, roles=roles)
    totals = practice.load("appointments_summary", range_start="2025-01-01", range_end="2026-06-30")
    providers = practice.load("providers")
    reconciled = volume.reconcile(
        rows,
        totals,
        start="2025-01-01",
        end="2026-06-30",
        zone=practice.zone,
        providers=providers,
        appointment_types=types,
    )
    table = quality.checks(
        seen,
        as_of=AS_OF,
        loaded_at=LOADED,
        clients=practice.load("clients"),
        providers=providers,
        appointment_types=types,
        roles=roles,
        chart_notes=practice.load("chart_notes"),
        reconciled=reconciled,
        unplaced=unplaced(rows, attendance=attendance, appointment_types=types),
        vanished=practice.load("appointments", **span, deleted=True),
        filled_forms=practice.load("filled_forms"),
        form_requests=practice.load("form_requests"),
        stored=practice.stored(),
    )
    found = dict(table.select("check", "level").rows())
    for check in ("as of", "reconciled", "history", "unmapped types", "not seen", "occurred in the future", "merges"):
        assert found[check] == "green", table.filter(check=check).row(0)
    for check in ("late status", "mass edits"):
        assert found[check] == "amber", table.filter(check=check).row(0)
    assert "2024-02-11 07:00:00 UTC" in table.filter(check="mass edits")["value"].item()
