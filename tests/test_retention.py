from datetime import UTC, date, datetime

import polars as pl
import pytest

from healthie_nb.retention import cohorts
from healthie_nb.visits import MetricError, example

JANUARY = date(2026, 1, 1)


def clients(**signed_up: str | None) -> pl.DataFrame:
    at = [None if day is None else datetime.fromisoformat(day).replace(tzinfo=UTC) for day in signed_up.values()]
    return pl.DataFrame(
        {"id": list(signed_up), "created_at": at}, schema={"id": pl.String, "created_at": pl.Datetime("us", "UTC")}
    )


@pytest.mark.parametrize(("day", "returned"), [(30, 0), (31, 1), (90, 1), (91, 0)])
def test_bracket_holds_both_its_ends(day: int, returned: int) -> None:
    back = date.fromordinal(JANUARY.toordinal() + day).isoformat()
    table = cohorts(example({"a": ["2026-01-01", back]}), as_of="2026-12-31")
    assert table.select("eligible", "returned").row(0) == (1, returned)


def test_client_who_has_not_reached_the_bracket_is_in_neither_side() -> None:
    seen = example({"old": ["2026-01-01", "2026-02-10"], "new": ["2026-01-31", "2026-03-20"]})
    table = cohorts(seen, as_of="2026-04-30")
    assert table.select("clients", "eligible", "returned", "is_open").row(0) == (2, 1, 1, True)


def test_day_of_the_bracket_end_is_enough() -> None:
    seen = example({"a": ["2026-01-01"]})
    assert cohorts(seen, as_of="2026-03-31")["eligible"].item() == 0
    assert cohorts(seen, as_of="2026-04-01")["eligible"].item() == 1


def test_cohort_that_can_still_grow_is_open() -> None:
    seen = example({"a": ["2026-01-01"]})
    assert cohorts(seen, as_of="2026-01-20", brackets=[(1, 7)])["is_open"].item() is True
    assert cohorts(seen, as_of="2026-01-31", brackets=[(1, 7)])["is_open"].item() is False


def test_under_thirty_eligible_are_few() -> None:
    seen = {f"{client}": ["2026-01-01"] for client in range(30)}
    assert cohorts(example(seen), as_of="2026-12-31")["few"].item() is False
    assert cohorts(example(dict(list(seen.items())[1:])), as_of="2026-12-31")["few"].item() is True


def test_published_rule_of_on_or_after_counts_only_those_who_have_reached_the_day() -> None:
    """Who joined 10 days ago is not in the day-30 denominator, though they came again; who joined 30 days ago is."""
    seen = example({"30 ago": ["2026-05-01"], "29 ago": ["2026-05-02"], "10 ago": ["2026-05-21", "2026-05-25"]})
    table = cohorts(seen, as_of="2026-05-31", measure="on or after", periods=1)
    assert table.select("clients", "eligible", "returned", "rate", "is_open").row(0) == (3, 1, 0, 0.0, True)


def test_calendar_periods_follow_the_calendar() -> None:
    seen = example({"a": ["2025-12-31", "2026-01-01", "2026-03-31"]})
    table = cohorts(seen, as_of="2026-03-30", measure="on", counted="calendar", periods=3)
    assert table.select("returned", "eligible").rows() == [(1, 1), (0, 1), (0, 0)]


def test_rolling_periods_follow_each_client() -> None:
    seen = example({"a": ["2025-12-31", "2026-01-01", "2026-03-31"]})
    table = cohorts(seen, as_of="2026-03-31", measure="on", periods=3)
    assert table.select("label", "returned", "eligible").rows() == [
        ("month 1", 1, 1),
        ("month 2", 0, 1),
        ("month 3", 1, 1),
    ]


def test_on_or_after_ends_at_the_same_horizon_for_all() -> None:
    seen = example({"a": ["2026-01-01", "2026-02-20"], "b": ["2026-01-01", "2026-08-01"]})
    table = cohorts(seen, as_of="2026-12-31", measure="on or after", periods=3)
    assert table["returned"].to_list() == [1, 1, 0]


def test_visit_on_the_first_day_again_is_no_return() -> None:
    table = cohorts(example({"a": ["2026-01-01", "2026-01-01"]}), as_of="2026-12-31", brackets=[(1, 90)])
    assert table["returned"].item() == 0


def test_missed_visits_make_nobody_new_and_nobody_returned() -> None:
    seen = example({"a": ["2026-01-01 No-Show", "2026-02-01", "2026-03-15 Cancelled"]})
    assert cohorts(seen, as_of="2026-12-31").select("cohort", "returned").row(0) == (date(2026, 2, 1), 0)


def test_clients_from_before_complete_history_are_left_out() -> None:
    seen = example({name: ["2026-02-01"] for name in ("before", "since", "nobody", "undated")})
    signed_up = clients(before="2025-12-31", since="2026-01-01", undated=None)
    table = cohorts(seen, as_of="2026-12-31", history_from="2026-01-01", clients=signed_up)
    assert table["clients"].item() == 1


def test_history_needs_clients() -> None:
    with pytest.raises(MetricError, match="pass clients="):
        cohorts(example({"a": ["2026-02-01"]}), as_of="2026-12-31", history_from="2026-01-01")


def test_as_of_before_the_data_is_refused() -> None:
    with pytest.raises(MetricError, match="as_of is 2026-01-31, and the first visit is on 2026-02-01"):
        cohorts(example({"a": ["2026-02-01"]}), as_of="2026-01-31")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": "day"}, "every is 'day'; allowed are 'week', 'month', 'quarter'"),
        ({"measure": "in"}, "measure is 'in'; allowed are 'brackets', 'on', 'on or after'"),
        ({"split": "city"}, "split is 'city'; allowed are 'provider', 'type', 'modality', 'source'"),
        ({"new_to": "town"}, "new_to is 'town'; allowed are 'practice', 'provider'"),
        ({"brackets": [(0, 5)]}, "pairs of days after the first visit"),
        ({"as_of": "June"}, "as_of is 'June': give a day such as '2026-06-30'"),
    ],
)
def test_wrong_option_lists_the_allowed_ones(options: dict[str, object], message: str) -> None:
    with pytest.raises(MetricError, match=message):
        cohorts(example({"a": ["2026-02-01"]}), **{"as_of": "2026-12-31"} | options)  # type: ignore[arg-type]


def test_no_visits_give_an_empty_table() -> None:
    some = cohorts(example({"a": ["2026-02-01"]}), as_of="2026-12-31")
    none = cohorts(example({"a": ["2026-02-01"]}).clear(), as_of="2026-12-31")
    assert none.schema == some.schema
    assert none.is_empty()
