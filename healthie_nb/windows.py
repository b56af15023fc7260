"""Windows: spans of time that are pulled, stored and counted on their own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from healthie_nb.query import QueryError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


# Windows overlap on the wire, because it is not documented which of their ends belongs to them.
OVERLAP = timedelta(seconds=1)


@dataclass(frozen=True, order=True)
class Window:
    """A span of time, its start included and its end not."""

    start: datetime
    end: datetime

    def meets(self, other: Window) -> bool:
        """Whether the two have time in common."""
        return self.start < other.end and other.start < self.end

    def halves(self) -> tuple[Window, Window]:
        """Return the window cut in the middle, at a whole second."""
        middle = (self.start + (self.end - self.start) / 2).replace(microsecond=0)
        middle = middle if middle > self.start else self.start + (self.end - self.start) / 2
        return Window(self.start, middle), Window(middle, self.end)


def wider(window: Window) -> Window:
    """Return the window with what is asked for beyond its ends."""
    return Window(window.start - OVERLAP, window.end + OVERLAP)


def between(start: object, end: object, *, zone: str) -> Window:
    """Return the window between two days in a zone, both included, or two instants, of which the end is not.

    Raises
    ------
    QueryError
        What was given is neither; or the end is before the start.
    """
    window = Window(_instant("start", start, zone, days=0), _instant("end", end, zone, days=1))
    if window.end <= window.start:
        raise QueryError(f"end ({end}) is before start ({start})")
    return window


def _instant(name: str, value: object, zone: str, *, days: int) -> datetime:
    try:
        parsed = value if isinstance(value, date) else _parsed(str(value))
    except ValueError:
        raise QueryError(
            f"{name} must be a day such as 2026-06-30 or a time such as 2026-06-30T12:00, not {value!r}"
        ) from None
    if not isinstance(parsed, datetime):
        parsed = datetime.combine(parsed + timedelta(days=days), time())
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC)


def _parsed(text: str) -> date:
    return date.fromisoformat(text) if len(text) <= len("2026-06-30") else datetime.fromisoformat(text)


def common(one: Window, other: Window) -> Window | None:
    """Return the time that two windows share."""
    start, end = max(one.start, other.start), min(one.end, other.end)
    return Window(start, end) if start < end else None


def without(held: Window | None, taken: Window | None) -> list[Window]:
    """Return what is left of a window when another is taken out of it."""
    if held is None or taken is None:
        return []
    rests = (Window(held.start, min(held.end, taken.start)), Window(max(held.start, taken.end), held.end))
    return [rest for rest in rests if rest.start < rest.end]


def joined(windows: Iterable[Window]) -> list[Window]:
    """Return windows in order, with those that touch made one."""
    found: list[Window] = []
    for window in sorted(windows):
        if found and window.start <= found[-1].end:
            found[-1] = Window(found[-1].start, max(found[-1].end, window.end))
        else:
            found.append(window)
    return found


def sliced(window: Window, times: Sequence[datetime]) -> list[Window]:
    """Return the window cut at those of these times that lie inside it."""
    cuts = [window.start, *sorted({time for time in times if window.start < time < window.end}), window.end]
    return [Window(start, end) for start, end in pairwise(cuts)]
