"""Windows in flight: cut, kept as they come, told apart from what moved; on a server that a test writes."""

from __future__ import annotations

import asyncio
import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healthie_nb import flight, landings, query
from healthie_nb.failures import ApiError, PartialError, TooComplexError
from healthie_nb.flight import Flight, Run, finely
from healthie_nb.landings import together
from healthie_nb.pages import Page, Part, Puller, instant
from healthie_nb.windows import Window, joined, wider

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

START = datetime(2026, 1, 1, tzinfo=UTC)
ASKED = query.read("appointments")


ENDS = ("both", "first", "last", "neither")


class Pace:
    rate = 100.0


class Calendar:
    """A calendar as `Session.ask` shows it, by offsets, as Healthie's cursors may be. `edit` runs before each page."""

    def __init__(
        self, hours: list[int], edit: Callable[[Calendar], None] = lambda _: None, size: int = 5, ends: str = "both"
    ) -> None:
        self.rows = {str(number): START + timedelta(hours=hour) for number, hour in enumerate(hours)}
        self.edit, self.size, self.ends, self.asked = edit, size, ends, 0
        self.in_flight, self.most_in_flight = 0, 0
        self.hidden: set[str] = set()
        self.windows: set[Window] = set()
        self.pace, self.latency_s = Pace(), 0.1
        self.changed: dict[str, datetime] = {}

    async def ask(self, _operation: object, variables: dict[str, Any], **_: object) -> bytes:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await asyncio.sleep(0)
        self.in_flight -= 1
        self.edit(self)
        self.asked += 1
        start, end = (datetime.fromisoformat(variables[name]) for name in ("start", "end"))
        self.windows.add(Window(start, end))
        listed = sorted((at, id_) for id_, at in self.rows.items() if self.is_in(start, at, end))
        offset, first = int(variables["after"] or 0), min(variables["first"], self.size)
        nodes = [None if id_ in self.hidden else self.row(id_, at) for at, id_ in listed[offset : offset + first]]
        info = {"has_next_page": offset + first < len(listed), "end_cursor": str(offset + first)}
        return json.dumps({"appointments": {"total_count": len(listed), "page_info": info, "nodes": nodes}}).encode()

    def is_in(self, start: datetime, at: datetime, end: datetime) -> bool:
        """It is not documented which ends of a window are its own."""
        has_start, has_end = self.ends in ("both", "first"), self.ends in ("both", "last")
        return start < at < end or (has_start and at == start) or (has_end and at == end)

    def row(self, id_: str, at: datetime) -> dict[str, Any]:
        changed = self.changed.get(id_, START)
        return {"id": id_, "starts_at": at.isoformat(), "updated_at": changed.isoformat(), "minutes": 30}


def pulled(calendar: Calendar, window: Window, size: int = 5) -> list[Part]:
    puller, kept = Puller(calendar, ASKED, {}), []  # type: ignore[arg-type]
    puller.page_size = size

    async def keep(parts: Sequence[Part]) -> None:
        kept.extend(parts)

    asyncio.run(Flight(puller, keep).pull([window]))
    return kept


def ids(parts: list[Part]) -> list[str]:
    return [id_ for part in parts for id_ in part.rows.get_column("id")]


def whole(hours: int) -> Window:
    return Window(START, START + timedelta(hours=hours))


@settings(deadline=None, max_examples=60)
@given(
    hours=st.lists(st.integers(0, 60), max_size=120),
    end=st.integers(1, 61),
    every=st.integers(2, 6),
    ends=st.sampled_from(ENDS),
)
def test_parts_hold_each_row_of_the_window_once_whatever_the_calendar_and_the_ends_of_a_window(
    hours: list[int], end: int, every: int, ends: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flight, "KEPT_PAGES", every)
        calendar = Calendar(hours, ends=ends)
        parts = pulled(calendar, whole(end))
    assert sorted(ids(parts)) == sorted(id_ for id_, at in calendar.rows.items() if at < START + timedelta(hours=end))
    assert joined(part.window for part in parts if part.window) == [whole(end)]
    assert sum(((part.window.end - part.window.start) for part in parts if part.window), timedelta()) == timedelta(
        hours=end
    )
    assert all(part.is_settled for part in parts)


@given(hours=st.lists(st.integers(0, 30), max_size=80), end=st.integers(1, 31), most=st.integers(1, 12))
def test_a_window_cut_into_pages_has_no_more_in_any_than_fit(hours: list[int], end: int, most: int) -> None:
    times = [START + timedelta(hours=hour) for hour in hours]
    pieces = finely(whole(end), pl.Series(times, dtype=pl.Datetime("us", "UTC")), most)
    assert joined(pieces) == [whole(end)]
    assert all(early.end == late.start for early, late in itertools.pairwise(pieces))
    for piece in pieces:
        asked = wider(piece)
        around = [time for time in times if asked.start <= time <= asked.end and time < whole(end).end]
        assert len(around) <= most or len(set(around)) == 1
        assert len(pieces) == 1 or any(piece.start <= time < piece.end for time in times)


def test_as_many_windows_are_in_flight_as_the_pace_has_use_for() -> None:
    calendar = Calendar(list(range(600)))  # 100 requests a second of 0.1 s: 10 in flight, and a few to spare
    pulled(calendar, whole(600))
    assert 10 <= calendar.most_in_flight <= 13


def test_doubt_reaches_as_far_as_was_asked_and_no_further() -> None:
    calendar = Calendar(list(range(600)))
    parts = pulled(calendar, whole(600))
    doubts = [part.doubt for part in parts if part.doubt]
    assert len(doubts) > 3
    assert {doubt.start for doubt in doubts} <= {window.start for window in calendar.windows}
    assert {doubt.end for doubt in doubts} <= {window.end for window in calendar.windows}
    assert all(part.window and wider(part.window).start == part.doubt.start for part in parts if part.doubt)


def a_page(rows: int, total: int, hour: int) -> Page:
    last = {"starts_at": (START + timedelta(hours=hour)).isoformat()}
    return Page(b"", rows, 0, total, is_last=False, cursor=str(hour), first=last, last=last)


def test_what_is_left_of_a_window_is_known_once_others_have_counted_what_they_took_over() -> None:
    run = Run.over(whole(100), "starts_at")
    run.has_asked = True
    run.take(a_page(10, total=110, hour=0))
    assert run.left == 100
    later = run.split()
    latest = later.split()  # before it has asked: so its count will not hold these rows, and the first one's does
    assert (run.left, later.left, latest.left) == (50, 25, 25)
    later.take(a_page(10, total=30, hour=50))
    assert (run.left, later.left) == (50, 20)
    latest.take(a_page(10, total=60, hour=75))
    assert (run.left, latest.left) == (10, 50)


def a_part(start: int, end: int, **facts: Any) -> Part:
    hours = range(start, end)
    rows = pl.DataFrame({"id": [str(hour) for hour in hours]})
    window = Window(START + timedelta(hours=start), START + timedelta(hours=end))
    return Part(rows, window, facts.pop("null_items", 0), **{"is_settled": True, **facts})


def test_a_query_may_call_its_columns_as_it_likes() -> None:
    text = ASKED.operation.text
    assert not any(name in text or name.isidentifier() for name in (landings.NUMBER, *landings.BOUNDS))


def test_small_neighbours_are_kept_together_and_nothing_else() -> None:
    (one,) = together([a_part(3, 5), a_part(0, 3)], most=5)
    assert (one.window, ids([one]), one.doubt) == (a_part(0, 5).window, ["0", "1", "2", "3", "4"], None)
    spans = [wider(Window(START, START + timedelta(hours=hours))) for hours in (3, 9)]
    (doubted,) = together([a_part(0, 3, doubt=spans[0]), a_part(3, 5, doubt=spans[1])], most=5)
    assert doubted.doubt == spans[1]
    for other in (
        a_part(4, 5),  # there is a gap before it
        a_part(3, 6),  # more than fit
        a_part(3, 5, doubt=spans[0]),  # what one may lack the other does not
        a_part(3, 5, is_settled=False),
        a_part(3, 5, null_items=1),
    ):
        assert len(together([a_part(0, 3), other], most=5)) == 2


def test_a_row_past_the_cursor_is_not_lost_when_one_before_it_goes() -> None:
    def edit(calendar: Calendar) -> None:
        if calendar.asked == 2:
            calendar.rows.pop("1", None)

    calendar = Calendar(list(range(20)), edit)
    assert set(ids(pulled(calendar, whole(24)))) >= set(calendar.rows)


def test_a_part_of_one_page_leaves_no_doubt_and_one_of_several_does() -> None:
    (one,) = pulled(Calendar([1, 2, 3]), whole(24))
    assert one.doubt is None
    several = pulled(Calendar(list(range(12))), whole(24))
    assert all(part.doubt for part in several)


def test_what_never_holds_still_is_kept_and_said_to_be_unsettled() -> None:
    numbers = itertools.count(1_000)

    def edit(calendar: Calendar) -> None:
        calendar.rows[str(next(numbers))] = START + timedelta(hours=1)

    parts = pulled(Calendar([1] * 12, edit), whole(24))
    assert not all(part.is_settled for part in parts)


@settings(deadline=None, max_examples=40)
@given(hours=st.lists(st.integers(0, 60), max_size=60), hidden=st.sets(st.integers(0, 59)))
def test_null_items_are_counted_where_they_are(hours: list[int], hidden: set[int]) -> None:
    calendar = Calendar(hours)
    calendar.hidden = {str(number) for number in hidden}
    parts = pulled(calendar, whole(61))
    assert sorted(ids(parts)) == sorted(set(calendar.rows) - calendar.hidden)
    for part in parts:
        assert part.window
        inside = [id_ for id_, at in calendar.rows.items() if part.window.start <= at < part.window.end]
        assert part.rows.height + part.null_items == len(inside)


def test_a_long_window_is_kept_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flight, "KEPT_PAGES", 3)
    monkeypatch.setattr(Pace, "rate", 0.0)  # one request at a time
    calendar = Calendar([hour // 2 for hour in range(200)])
    calendar.latency_s = 0.0

    def broken(calendar: Calendar) -> None:
        if calendar.asked == 30:
            raise ConnectionError

    calendar.edit = broken
    puller, kept = Puller(calendar, ASKED, {}), []  # type: ignore[arg-type]
    puller.page_size = 5

    async def keep(parts: Sequence[Part]) -> None:
        kept.extend(parts)

    with pytest.raises(ConnectionError):
        asyncio.run(Flight(puller, keep).pull([whole(100)]))
    assert len(ids(kept)) > 100
    assert sorted(ids(kept), key=int) == [str(number) for number in range(len(ids(kept)))]
    assert kept[0].window
    assert kept[0].window.start == START
    assert all(one.window.end == two.window.start for one, two in itertools.pairwise(kept) if one.window and two.window)


def test_pages_in_flight_that_are_too_complex_shrink_together() -> None:
    calendar = Calendar(list(range(60)), size=100)
    plain_ask = calendar.ask

    async def ask(operation: object, variables: dict[str, Any], **options: object) -> bytes:
        await asyncio.sleep(0)
        if variables["first"] > 50:
            raise TooComplexError("Query has complexity of 3000, which exceeds max complexity of 2000")
        return await plain_ask(operation, variables, **options)

    calendar.ask = ask  # type: ignore[method-assign]
    puller = Puller(calendar, ASKED, {})  # type: ignore[arg-type]
    windows = [Window(START + timedelta(hours=day), START + timedelta(hours=day + 10)) for day in range(0, 60, 10)]
    found: list[Part] = []

    async def keep(parts: Sequence[Part]) -> None:
        found.extend(parts)

    asyncio.run(Flight(puller, keep).pull(windows))
    assert len(ids(found)) == 60


def test_a_page_that_stays_too_complex_is_an_error_and_not_asked_for_for_ever() -> None:
    calendar = Calendar([1])

    async def ask(*_: object, **__: object) -> bytes:
        calendar.asked += 1
        raise TooComplexError("too complex")

    calendar.ask = ask  # type: ignore[method-assign]
    with pytest.raises(TooComplexError):
        pulled(calendar, whole(2), size=ASKED.page_size)
    assert calendar.asked == 2


@pytest.mark.usefixtures("without_waiting")
def test_an_error_beside_data_is_asked_again_and_then_an_error() -> None:
    calendar = Calendar([1, 2])
    plain_ask, failures = calendar.ask, itertools.count()

    async def ask(operation: object, variables: dict[str, Any], **options: object) -> bytes:
        if next(failures) < 5:
            raise PartialError("the API answered with errors: Something went wrong")
        return await plain_ask(operation, variables, **options)

    calendar.ask = ask  # type: ignore[method-assign]
    assert len(ids(pulled(calendar, whole(5)))) == 2


def test_rows_that_do_not_come_in_order_are_not_cut_short() -> None:
    """A server that sorts otherwise is slower, and not wrong."""
    calendar = Calendar([hour * 7 % 60 for hour in range(60)])
    by_id = sorted(calendar.rows.items(), key=lambda item: int(item[0]))

    async def ask(_operation: object, variables: dict[str, Any], **_: object) -> bytes:
        start, end = (datetime.fromisoformat(variables[name]) for name in ("start", "end"))
        listed = [calendar.row(id_, at) for id_, at in by_id if start <= at <= end]
        offset = int(variables["after"] or 0)
        info = {"has_next_page": offset + 5 < len(listed), "end_cursor": str(offset + 5)}
        nodes = listed[offset : offset + 5]
        return json.dumps({"appointments": {"total_count": len(listed), "page_info": info, "nodes": nodes}}).encode()

    calendar.ask = ask  # type: ignore[method-assign]
    parts = pulled(calendar, whole(61))
    assert sorted(ids(parts)) == sorted(calendar.rows)


class Listing:
    """Form requests as `Session.ask` shows them: no window, no times. `edit` runs before each page."""

    def __init__(self, edit: Callable[[Listing], None]) -> None:
        self.rows, self.edit, self.asked, self.passes = list(range(23)), edit, 0, 0

    async def ask(self, _operation: object, variables: dict[str, Any], **_: object) -> bytes:
        self.asked += 1
        self.passes += variables["after"] is None
        self.edit(self)
        offset = int(variables["after"] or 0)
        nodes = [{"id": str(number)} for number in self.rows[offset : offset + 5]]
        info = {"has_next_page": offset + 5 < len(self.rows), "end_cursor": str(offset + 5)}
        answer = {"requestedFormCompletions": {"total_count": len(self.rows), "page_info": info, "nodes": nodes}}
        return json.dumps(answer).encode()


def swap(listing: Listing) -> None:
    """One goes from the front while another comes at the end: no count tells."""
    listing.rows = [*listing.rows[1:], max(listing.rows) + 1]


@pytest.mark.parametrize(("until", "passes"), [(0, 2), (2, 3), (5, 3), (7, 4)])
def test_what_has_neither_window_nor_times_is_pulled_until_two_passes_agree(until: int, passes: int) -> None:
    listing = Listing(lambda listing: swap(listing) if 1 < listing.asked <= until else None)
    part = asyncio.run(Puller(listing, query.read("form_requests"), {}).whole())  # type: ignore[arg-type]
    assert part.is_settled
    assert part.rows.get_column("id").sort().to_list() == sorted(map(str, listing.rows))
    assert listing.passes == passes


def test_what_never_agrees_is_pulled_four_times_and_said_to_be_unsettled() -> None:
    listing = Listing(swap)
    part = asyncio.run(Puller(listing, query.read("form_requests"), {}).whole())  # type: ignore[arg-type]
    assert not part.is_settled
    assert listing.passes == 4


@pytest.mark.parametrize(
    "text",
    ["2026-03-01T10:15:00-05:00", "2026-03-01T15:15:00.000Z", "2026-03-01 10:15:00 -0500", "2026-03-01 15:15:00 UTC"],
)
def test_an_instant_is_read_in_every_shape_that_healthie_writes(text: str) -> None:
    assert instant(text) == datetime(2026, 3, 1, 15, 15, tzinfo=UTC)


def test_a_next_page_without_a_cursor_is_an_error() -> None:
    calendar = Calendar([1])

    async def ask(*_: object, **__: object) -> bytes:
        info = {"has_next_page": True, "end_cursor": None}
        return json.dumps({"appointments": {"total_count": 9, "page_info": info, "nodes": []}}).encode()

    calendar.ask = ask  # type: ignore[method-assign]
    with pytest.raises(ApiError, match="its cursor is missing"):
        pulled(calendar, whole(2))


def test_a_page_of_the_newest_version_of_each_row_wins() -> None:
    calendar = Calendar([1, 2])
    calendar.changed["0"] = START + timedelta(days=1)
    puller = Puller(calendar, ASKED, {})  # type: ignore[arg-type]

    def answer(*rows: dict[str, Any]) -> Page:
        info = {"has_next_page": False}
        text = json.dumps({"appointments": {"total_count": 1, "page_info": info, "nodes": list(rows)}})
        return puller._read(text.encode())

    new = calendar.row("0", START + timedelta(hours=5))
    calendar.changed.clear()
    old = calendar.row("0", START + timedelta(hours=1))
    for order in ([new, old], [old, new]):
        rows = puller.frame([answer(row) for row in order])
        assert rows.get_column("starts_at").to_list() == [START + timedelta(hours=5)]
