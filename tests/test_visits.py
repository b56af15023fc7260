from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healthie_nb.attendance import rates
from healthie_nb.visits import APPOINTMENTS, ATTENDANCE, MetricError, unplaced, visits

NOON = datetime(2026, 3, 10, 17, tzinfo=UTC)


def appointments(*rows: dict[str, object]) -> pl.DataFrame:
    defaults = {"id": "1", "client_id": "7", "starts_at": NOON, "created_at": NOON - timedelta(days=3)}
    return pl.DataFrame([defaults | row for row in rows], schema=APPOINTMENTS)


def attendance(**outcomes: dict[str, object]) -> pl.DataFrame:
    listed = [{"client_id": client} | outcome for client, outcome in outcomes.items()]
    return pl.DataFrame([{"id": "1", "attended_clients": listed}], schema=ATTENDANCE)


def only(row: dict[str, object], column: str, **options: object) -> object:
    return visits(appointments(row), zone="America/Chicago", **options)[column].item()  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("Occurred", "occurred"),
        ("No-Show", "no_show"),
        ("Re-Scheduled", "rescheduled"),
        ("Cancelled", "cancelled"),
        ("Late Cancellation", "late_cancelled"),
        ("Checked-In", "checked_in"),
        (None, "unrecorded"),
        ("", "unrecorded"),
        ("Left a message", "other"),
    ],
)
def test_status_is_fixed_and_healthies_word_is_kept(said: str | None, status: str) -> None:
    assert only({"status": said}, "status") == status
    assert only({"status": said}, "healthie_status") == said


@pytest.mark.parametrize(
    ("instant", "zone", "local", "hour"),
    [
        ("2026-03-08 07:59", "America/Chicago", date(2026, 3, 8), 1),
        ("2026-03-08 08:00", "America/Chicago", date(2026, 3, 8), 3),
        ("2026-11-01 06:30", "America/Chicago", date(2026, 11, 1), 1),
        ("2026-11-01 07:30", "America/Chicago", date(2026, 11, 1), 1),
        ("2025-01-01 05:59", "America/Chicago", date(2024, 12, 31), 23),
        ("2024-02-29 23:30", "Asia/Kolkata", date(2024, 3, 1), 5),
        ("2026-01-01 00:15", "Pacific/Kiritimati", date(2026, 1, 1), 14),
    ],
)
def test_calendar_is_local_across_daylight_saving(instant: str, zone: str, local: date, hour: int) -> None:
    rows = appointments({"starts_at": datetime.fromisoformat(instant).replace(tzinfo=UTC)})
    assert visits(rows, zone=zone).select("date", "hour").row(0) == (local, hour)


def test_week_begins_on_monday_across_a_year_end() -> None:
    row = visits(appointments({"starts_at": datetime(2027, 1, 3, 12, tzinfo=UTC)}), zone="UTC").row(0, named=True)
    assert (row["week"], row["month"], row["quarter"]) == (date(2026, 12, 28), date(2027, 1, 1), date(2027, 1, 1))
    assert (row["weekday"], row["day"]) == (7, (date(2027, 1, 3) - date(1970, 1, 1)).days)


def test_lead_is_unknown_for_recurring_moved_and_backdated_rows() -> None:
    assert only({}, "lead_days") == 3
    assert only({"recurring_id": "4"}, "lead_days") is None
    assert only({"reschedule_count": 1}, "lead_days") is None
    assert only({"status": "Re-Scheduled"}, "lead_days") is None
    assert only({"created_at": NOON + timedelta(hours=1)}, "lead_days") is None
    assert only({"created_at": NOON}, "lead_days") == 0


def test_visits_of_one_moment_are_in_the_order_of_their_ids() -> None:
    ids = ["3", "1", "2"]
    rows = visits(appointments(*({"id": one, "client_id": str(9 - int(one))} for one in ids)), zone="America/Chicago")
    assert rows["appointment_id"].to_list() == ["1", "2", "3"]


@pytest.mark.parametrize(("hours", "is_late"), [(23.5, True), (24, False), (-1, True)])
def test_notice_runs_from_the_status_change(hours: float, *, is_late: bool) -> None:
    row = {"status": "Cancelled", "status_changed_at": NOON - timedelta(hours=hours)}
    assert only(row, "notice_hours") == hours
    assert only(row, "late_by_notice") is is_late
    assert only(row | {"status": "Occurred"}, "late_by_notice") is None


def test_notice_limit_is_a_parameter() -> None:
    row = {"status": "Cancelled", "status_changed_at": NOON - timedelta(hours=30)}
    assert only(row, "late_by_notice", late_notice_hours=48) is True


def test_group_has_one_row_per_attendee_with_their_outcome() -> None:
    left_at = NOON - timedelta(hours=2)
    came = attendance(a={"attended": True}, b={"attended": False}, c={"cancelled": True, "cancelled_at": left_at})
    rows = visits(appointments({"client_id": None, "status": "Occurred"}), zone="UTC", attendance=came)
    assert rows.select("client_id", "status", "notice_hours", "is_group").rows() == [
        ("a", "occurred", None, True),
        ("b", "no_show", None, True),
        ("c", "cancelled", 2.0, True),
    ]


def test_group_without_attendance_marked_is_unrecorded_not_missed() -> None:
    nobody = attendance(a={"attended": False}, b={"attended": None})
    rows = visits(appointments({"client_id": None, "status": "Occurred"}), zone="UTC", attendance=nobody)
    assert rows["status"].to_list() == ["unrecorded", "unrecorded"]


def test_cancelled_group_is_cancelled_for_everyone() -> None:
    came = attendance(a={"attended": False}, b={"attended": False})
    rows = visits(appointments({"client_id": None, "status": "Cancelled"}), zone="UTC", attendance=came)
    assert rows["status"].to_list() == ["cancelled", "cancelled"]


def test_attendee_listed_twice_is_one_visit() -> None:
    listed = [{"client_id": "a", "attended": False}, {"client_id": "a", "attended": True}]
    twice = pl.DataFrame([{"id": "1", "attended_clients": listed}], schema=ATTENDANCE)
    rows = visits(appointments({"client_id": None}), zone="UTC", attendance=twice)
    assert rows["status"].to_list() == ["occurred"]


def test_reason_is_the_practices_own_label() -> None:
    given = appointments({"id": "1", "status": "Cancelled"}, {"id": "2", "status": "Cancelled"}, {"id": "3"})
    reasons = pl.DataFrame({"id": ["1", "2", "9"], "cancellation_reason_label": [" Unwell", None, "Moved"]})
    labelled = visits(given, zone="UTC", cancellation_reasons=reasons)
    assert labelled["cancellation_reason"].to_list() == ["Unwell", None, None]
    assert visits(given, zone="UTC")["cancellation_reason"].to_list() == [None, None, None]
    with pytest.raises(MetricError, match=r"lack cancellation_reason_label: queries/cancellation_reasons\.graphql"):
        visits(given, zone="UTC", cancellation_reasons=reasons.select("id"))


def test_roles_are_joined_and_the_unmapped_are_named_so() -> None:
    roles = pl.DataFrame({"appointment_type_id": ["t1", "t3"], "role": ["intake", None]})
    assert only({"appointment_type_id": "t1"}, "role", roles=roles) == "intake"
    assert [only({"appointment_type_id": one}, "role", roles=roles) for one in ("t2", "t3", None)] == ["unmapped"] * 3
    assert only({"appointment_type_id": "t1"}, "role", roles=roles.tail(1)) is None


def test_visits_of_an_unmapped_type_are_not_clinical_even_alone() -> None:
    """Which part of the visits is looked at does not change what is clinical."""
    roles = pl.DataFrame({"appointment_type_id": ["t1"], "role": ["intake"]})
    given = appointments({"id": "1", "appointment_type_id": "t1"}, {"id": "2", "appointment_type_id": "t2"})
    made = visits(given.with_columns(status=pl.lit("No-Show")), zone="UTC", roles=roles)
    assert rates(made, as_of="2026-03-31")["due"].to_list() == [1, 1, 1, 1]
    assert rates(made.filter(appointment_type_id="t2"), as_of="2026-03-31")["due"].to_list() == [0, 0, 0, 0]


def test_type_with_two_roles_is_refused() -> None:
    roles = pl.DataFrame({"appointment_type_id": ["t1", "t1"], "role": ["intake", "group"]})
    with pytest.raises(MetricError, match="would count its visits twice"):
        only({"appointment_type_id": "t1"}, "role", roles=roles)


def test_types_tell_which_rows_are_groups() -> None:
    types = pl.DataFrame({"id": ["t1"], "is_group": [True]})
    group = appointments({"client_id": None, "appointment_type_id": "t1"}, {"id": "2", "client_id": None})
    assert unplaced(group, appointment_types=types).rows() == [("group without attendees", 1), ("no client", 1)]


def test_test_clients_are_left_out_and_counted() -> None:
    tests = pl.DataFrame({"client_id": ["7"]})
    rows = appointments({}, {"id": "2", "client_id": "8"})
    assert visits(rows, zone="UTC", test_clients=tests)["client_id"].to_list() == ["8"]
    assert unplaced(rows, test_clients=tests).rows() == [("test client", 1)]


def test_lazy_in_is_lazy_out_with_the_same_rows() -> None:
    rows = appointments({}, {"id": "2", "client_id": "8"})
    lazy = visits(rows.lazy(), zone="UTC")
    assert isinstance(lazy, pl.LazyFrame)
    assert lazy.sort("appointment_id").collect().equals(visits(rows, zone="UTC"))


def test_empty_has_the_same_schema() -> None:
    none, some = (visits(rows, zone="UTC") for rows in (appointments().clear(), appointments({})))
    assert none.schema == some.schema


@pytest.mark.parametrize("zone", ["", "America", "Central Time (US & Canada)"])
def test_unknown_zone_says_what_is_allowed(zone: str) -> None:
    with pytest.raises(MetricError, match="give an IANA name, such as 'America/Chicago'"):
        visits(appointments({}), zone=zone)


@pytest.mark.parametrize(
    ("zone", "such"), [("chicago", "America/Chicago"), ("America/Chicgo", "America/Chicago"), ("New York", "New_York")]
)
def test_zone_that_is_nearly_one_is_answered_with_what_it_may_mean(zone: str, such: str) -> None:
    with pytest.raises(MetricError, match=f"unknown time zone '{zone}': give an IANA name, such as '.*{such}'"):
        visits(appointments({}), zone=zone)


def test_missing_column_names_the_query() -> None:
    with pytest.raises(MetricError, match=r"appointments lack starts_at: queries/appointments\.graphql"):
        visits(appointments({}).drop("starts_at"), zone="UTC")


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([None, "7", "8"]), st.sampled_from([None, NOON]), st.booleans()),
        min_size=1,
        max_size=9,
    )
)
def test_placed_and_unplaced_add_up(rows: list[tuple[str | None, datetime | None, bool]]) -> None:
    given_rows = appointments(*({"id": str(i), "client_id": c, "starts_at": at} for i, (c, at, _) in enumerate(rows)))
    groups = pl.DataFrame(
        [
            {"id": str(i), "attended_clients": [{"client_id": "a"}, {"client_id": "7"}]}
            for i, r in enumerate(rows)
            if r[2]
        ],
        schema=ATTENDANCE,
    )
    tests = pl.DataFrame({"client_id": ["7"]})
    placed = visits(given_rows, zone="UTC", attendance=groups, test_clients=tests).height
    left_out = unplaced(given_rows, attendance=groups, test_clients=tests)["rows"].sum()
    assert placed + left_out == len(rows) + groups.height
