"""Windows: cut, joined and taken from each other without losing or doubling an instant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthie_nb.query import QueryError
from healthie_nb.windows import Window, between, common, joined, sliced, without

DAY = datetime(2026, 3, 8, tzinfo=UTC)
moments = st.integers(0, 40).map(lambda hours: DAY + timedelta(hours=hours))
windows = st.tuples(moments, moments).filter(lambda ends: ends[0] < ends[1]).map(lambda ends: Window(*ends))
HOURS = [DAY + timedelta(hours=hours) for hours in range(41)]


def inside(*spans: Window) -> list[datetime]:
    return [hour for span in spans for hour in HOURS if span.start <= hour < span.end]


@given(st.lists(windows))
def test_joined_windows_hold_the_same_time_once_and_in_order(spans: list[Window]) -> None:
    found = joined(spans)
    assert inside(*found) == sorted(set(inside(*spans)))
    assert all(early.end < late.start for early, late in pairwise(found))


@given(windows, windows)
def test_what_is_taken_and_what_is_left_make_the_whole(held: Window, taken: Window) -> None:
    shared = common(held, taken)
    assert sorted(inside(*without(held, taken), *([shared] if shared else []))) == inside(held)
    assert held.meets(taken) == (shared is not None)


@given(windows, st.lists(moments))
def test_slices_make_the_whole_in_order(window: Window, times: list[datetime]) -> None:
    found = sliced(window, times)
    assert inside(*found) == inside(window)
    assert {piece.start for piece in found} == {window.start, *(time for time in times if time in inside(window))}


@given(windows)
def test_halves_make_the_whole_and_neither_is_empty(window: Window) -> None:
    first, second = window.halves()
    assert (first.start, first.end, second.end) == (window.start, second.start, window.end)
    assert first.start < first.end < second.end


def test_the_shortest_window_can_be_halved() -> None:
    first, second = Window(DAY, DAY + timedelta(microseconds=2)).halves()
    assert first.end == second.start == DAY + timedelta(microseconds=1)


def test_nothing_is_left_of_what_has_no_window() -> None:
    assert without(None, Window(DAY, DAY + timedelta(days=1))) == []
    assert without(Window(DAY, DAY + timedelta(days=1)), None) == []


def test_days_are_whole_days_of_the_zone_also_when_they_have_23_hours() -> None:
    day = between("2026-03-08", "2026-03-08", zone="America/New_York")
    assert day == Window(datetime(2026, 3, 8, 5, tzinfo=UTC), datetime(2026, 3, 9, 4, tzinfo=UTC))


def test_instants_are_taken_as_they_are() -> None:
    window = between("2026-03-08T12:00", "2026-03-08T13:00:00+00:00", zone="Europe/Berlin")
    assert window == Window(datetime(2026, 3, 8, 11, tzinfo=UTC), datetime(2026, 3, 8, 13, tzinfo=UTC))


@pytest.mark.parametrize(("start", "end"), [("2026-03-09", "2026-03-08"), ("2026-03-08T12:00", "2026-03-08T12:00")])
def test_an_end_that_is_not_after_its_start_is_refused(start: str, end: str) -> None:
    with pytest.raises(QueryError, match="is before start"):
        between(start, end, zone="Etc/UTC")
