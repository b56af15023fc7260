"""Pages of a listing: cursors that look opaque and are offsets, sizes clamped without a word."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Mapping
from typing import Any, NamedTuple

from graphql import GraphQLError

MAX_PAGE = 100


class Page(NamedTuple):
    """The half-open range of a listing's rows that one answer holds, of so many."""

    start: int
    end: int
    total: int

    def info(self) -> dict[str, Any]:
        """Return the page_info of the answer."""
        some = self.end > self.start
        return {
            "has_next_page": self.end < self.total,
            "has_previous_page": self.start > 0,
            "start_cursor": cursor(self.start) if some else None,
            "end_cursor": cursor(self.end - 1) if some else None,
        }


def page(total: int, given: Mapping[str, Any]) -> Page:
    """Return the page asked for by first, last, after and before. Raise GraphQLError for a bad size or cursor."""
    after, before = given.get("after"), given.get("before")
    start = 0 if after is None else min(_offset(after) + 1, total)
    end = total if before is None else min(_offset(before), total)
    first, last = _size(given, "first"), _size(given, "last")
    if first is None and last is None:
        first = MAX_PAGE
    if first is not None:
        end = min(end, start + first)
    if last is not None:
        start = max(start, end - last)
    return Page(start, max(start, end), total)


def cursor(offset: int) -> str:
    """Return the cursor of the row at an offset."""
    return urlsafe_b64encode(f"{offset + 1}".encode()).decode().rstrip("=")


def _offset(text: str) -> int:
    try:
        return int(urlsafe_b64decode(text + "=" * (-len(text) % 4))) - 1
    except (ValueError, Error):
        raise GraphQLError(f"Invalid cursor: {text!r}.") from None


def _size(given: Mapping[str, Any], name: str) -> int | None:
    size = given.get(name)
    if size is None:
        return None
    if size < 0:
        raise GraphQLError(f"Argument {name} is {size}; it may not be below 0.")
    return min(int(size), MAX_PAGE)
