"""Days end at the practice's midnight: an evening in Los Angeles is of that day, though it is the next one in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from healthie_nb import forms, quality, retention, volume
from healthie_nb.days import local
from healthie_nb.visits import APPOINTMENTS, MetricError, visits
from healthie_nb.visits import UTC as INSTANT

ZONE = "America/Los_Angeles"
AS_OF = "2026-06-30"
KEY = b"kept with the store, never shown"
ROLES = pl.DataFrame({"form_id": ["i", "m"], "role": ["intake", "outcome measure"]})
EACH = pytest.mark.parametrize(("zone", "counts"), [(ZONE, True), ("UTC", False)], ids=["there", "in UTC"])


def there(text: str) -> datetime:
    """Return the instant, in UTC, at which the clock in Los Angeles showed this."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(ZONE)).astimezone(UTC)


EVENING = there("2026-06-30 20:00")  # 3:00 of 1 July in UTC


def seen(*rows: dict[str, Any], zone: str = ZONE) -> pl.DataFrame:
    blank = {"client_id": "ada", "status": "Occurred", "created_at": there("2026-01-02 12:00"), "minutes": 50}
    made = [{"id": str(i)} | blank | row for i, row in enumerate(rows)]
    return visits(pl.DataFrame(made, schema=APPOINTMENTS), zone=zone)


FIRST = {"starts_at": there("2026-06-20 10:00")}
COMING = {"starts_at": there("2026-07-03 10:00"), "status": None}


def at(**instants: datetime | None) -> dict[str, pl.Expr]:
    return {name: pl.lit(instant, INSTANT) for name, instant in instants.items()}


def clients(**instants: datetime | None) -> pl.DataFrame:
    known = {"created_at": there("2026-01-02 12:00"), "archived_at": None} | instants
    people = pl.DataFrame({"id": ["ada"], "is_active": True, "provider_id": "p", "group_id": "g"})
    return people.with_columns(**at(**known))


def filled(form: str, when: datetime) -> pl.DataFrame:
    done = pl.DataFrame({"client_id": ["ada"], "form_id": [form], "is_finished": [True]})
    return done.with_columns(**at(filled_at=when))


def asked(when: datetime) -> pl.DataFrame:
    request = {"id": ["1"], "form_id": "i", "client_id": "ada", "sender_id": "p", "filled_form_id": None}
    return pl.DataFrame(request | {"filled_form_is_finished": False}).with_columns(**at(date_to_show=when))


def test_instants_stay_and_their_days_are_the_zones_also_in_lists() -> None:
    rows = pl.DataFrame({"at": [EVENING], "signings": [[{"signed_at": EVENING}]]})
    rows = rows.cast({"at": INSTANT, "signings": pl.List(pl.Struct({"signed_at": INSTANT}))})
    made = local(rows, zone=ZONE)
    assert made["at"].dt.date().item().isoformat() == AS_OF
    assert made["signings"].item()[0]["signed_at"].date().isoformat() == AS_OF
    assert made.cast(rows.schema).equals(rows)  # type: ignore[arg-type]
    with pytest.raises(MetricError, match="unknown time zone 'Mars'"):
        local(rows, zone="Mars")


@EACH
def test_what_is_booked_in_the_evening_is_on_the_books_that_night(zone: str, *, counts: bool) -> None:
    """Also for the funnel, whose steps are days."""
    rows = seen(FIRST, COMING | {"created_at": EVENING}, zone=zone)
    standing = retention.states(rows, clients(), as_of=AS_OF).filter(pl.col("clients") > 0)
    assert standing["reason"].to_list() == ["booked" if counts else "seen lately"]
    assert volume.booked(rows, as_of=AS_OF, weeks=1)["booked"].item() == int(counts)
    assert rows["booked_day"].max() - rows["day"].max() == (-3 if counts else -2)


@EACH
def test_what_is_called_off_in_the_evening_is_off_the_books_that_night(zone: str, *, counts: bool) -> None:
    off = COMING | {"status": "Cancelled", "status_changed_at": EVENING}
    rows = seen(FIRST, off, zone=zone)
    standing = retention.states(rows, clients(), as_of=AS_OF).filter(pl.col("clients") > 0)
    assert standing["reason"].to_list() == ["seen lately" if counts else "booked"]
    assert volume.booked(rows, as_of=AS_OF, weeks=1)["booked"].item() == int(not counts)


@EACH
def test_form_filled_in_the_evening_is_done_that_day(zone: str, *, counts: bool) -> None:
    rows = seen(FIRST, COMING)
    done = local(filled("i", EVENING), zone=zone)
    ready = forms.readiness(rows, done, asked(EVENING), ROLES, as_of=AS_OF, required=["intake"])
    assert ready["state"].to_list() == ["done" if counts else "asked"]


@EACH
def test_measure_filled_in_the_evening_is_of_that_day(zone: str, *, counts: bool) -> None:
    """Seven days after the first visit is the last of the baseline; in UTC it is the eighth."""
    done = local(filled("m", there("2026-06-27 20:00")), zone=zone)
    table = forms.measures(seen(FIRST), done, ROLES, as_of=AS_OF)
    assert table.filter(pl.col("clients") > 0)["done"].to_list() == [int(counts)]


@pytest.mark.parametrize("zone", [ZONE, "UTC"])
def test_form_before_the_first_visit_is_told_by_the_instant(zone: str) -> None:
    rows = seen({"starts_at": there("2026-06-20 20:30")})
    for minute, done in (("20:29", 1), ("20:31", 0)):
        given = local(filled("i", there(f"2026-06-20 {minute}")), zone=zone)
        table = forms.before_first_visit(rows, given, ROLES, as_of=AS_OF, required=["intake"])
        assert table["done"].to_list() == [done, done]


@EACH
def test_sign_up_in_the_evening_is_of_that_day(zone: str, *, counts: bool) -> None:
    """Before the day from which the history is complete, or after the day of the numbers."""
    rows = seen(FIRST)
    before = local(clients(created_at=there("2026-05-31 20:00")), zone=zone)
    population = retention.population(rows, before, as_of=AS_OF, history_from="2026-06-01")
    assert dict(population.rows())["unknown"] == int(counts)
    late = local(clients(created_at=EVENING), zone=zone)
    assert retention.states(rows, late, as_of=AS_OF)["clients"].sum() == int(counts)
    assert retention.funnel(rows, late, as_of=AS_OF)["too_recent"].to_list() == [int(counts)] * 4
    firsts = volume.rates(rows, as_of=AS_OF, by=["first visit"], history_from="2026-06-01", clients=before)
    assert firsts["is_first"].to_list() == [None if counts else True] * 4


@EACH
def test_archived_in_the_evening_is_archived_that_day(zone: str, *, counts: bool) -> None:
    gone = clients(archived_at=EVENING).with_columns(is_active=False)
    standing = retention.states(seen(FIRST), local(gone, zone=zone), as_of=AS_OF).filter(pl.col("clients") > 0)
    assert standing["reason"].to_list() == ["archived" if counts else "seen lately"]


@EACH
def test_note_signed_in_the_evening_is_known_that_day(zone: str, *, counts: bool) -> None:
    note = pl.DataFrame({"appointment_id": ["0"], "signings": [[{"signed_at": EVENING}]]})
    note = note.cast({"signings": pl.List(pl.Struct({"signed_at": INSTANT}))}).with_columns(**at(filled_at=EVENING))
    open_notes = forms.open_notes(seen(FIRST), local(note, zone=zone), as_of=AS_OF)
    assert open_notes.is_empty() is counts
    late = forms.notes(seen(FIRST), local(note, zone=zone), as_of=AS_OF)
    assert late.select("late", "missing").row(0) == ((1, 0) if counts else (0, 1))


@EACH
def test_note_is_due_when_its_time_was_over_that_night(zone: str, *, counts: bool) -> None:
    """An hour after 19:00 in Los Angeles."""
    rows = seen({"starts_at": there("2026-06-30 19:00")})
    none = pl.DataFrame(schema={"appointment_id": pl.String, "signings": pl.List(pl.Struct({"signed_at": INSTANT}))})
    notes = local(none.with_columns(filled_at=pl.lit(None, INSTANT)), zone=zone)
    assert forms.notes(rows, notes, as_of=AS_OF, within_hours=1)["due"].item() == int(counts)
    assert forms.overdue_notes(rows, notes, as_of=AS_OF, within_hours=1, key=KEY).height == int(counts)


@EACH
def test_form_asked_for_in_the_evening_waits_from_that_day(zone: str, *, counts: bool) -> None:
    request = local(asked(there("2026-06-15 20:00")), zone=zone)
    waiting = forms.overdue(request, clients(), as_of=AS_OF, key=KEY, after_days=14)
    assert waiting["days"].to_list() == ([15] if counts else [])


@EACH
def test_load_in_the_evening_is_of_that_day(zone: str, *, counts: bool) -> None:
    pulls = local(pl.DataFrame({"n": [1]}).select(seen_at=pl.lit(EVENING, INSTANT)), zone=zone)
    assert forms.ledger_standing(pulls, as_of=AS_OF)["pulls"].item() == int(counts)
    loaded_at = pulls["seen_at"].max()
    checks = quality.checks(seen(FIRST | {"provider_id": "p"}), as_of=AS_OF, loaded_at=loaded_at)  # type: ignore[arg-type]
    assert checks.filter(check="as of")["level"].item() == ("amber" if counts else "green")


def test_ledger_and_clients_may_be_in_different_zones() -> None:
    """Only what is compared as instants matters to the days between them."""
    pulls = pl.DataFrame({"day": [1, 6, 9, 30]}).select(seen_at=pl.datetime(2026, 6, "day", 9, time_zone="UTC"))
    ledger = pl.DataFrame({"id": ["1", "1"], "is_finished": [False, True], "status": ["Open", "Completed"]})
    shown = pl.datetime(2026, 6, pl.Series([5, 8]), 9, time_zone="UTC")
    ledger = ledger.with_columns(pulls["seen_at"][1:3], date_to_show=shown)
    one = forms.request_times(ledger, pulls, asked(EVENING), clients(), as_of=AS_OF)
    other = forms.request_times(
        ledger, local(pulls, zone=ZONE), asked(EVENING), local(clients(), zone=ZONE), as_of=AS_OF
    )
    assert one.equals(other)
    assert one.select("least", "most").rows() == [(3, 3)]
