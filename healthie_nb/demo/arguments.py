"""What a caller may ask of each connection, and as which moment a date in an argument is read."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from graphql import GraphQLError

from healthie_nb.demo.moments import midnight
from healthie_nb.demo.truth import ZONE

Arguments = Mapping[str, Any]

PAGING = frozenset({"first", "last", "after", "before"})


def supported(given: Arguments, names: frozenset[str]) -> dict[str, Any]:
    """Return the arguments that are set, without those of paging.

    Raise GraphQLError for one the demo practice has not built: an argument silently ignored answers another question.
    """
    asked = {name: value for name, value in given.items() if value is not None and name not in PAGING}
    for name in asked:
        if name not in names:
            raise GraphQLError(f"Argument {name} is not supported by the demo practice.")
    return asked


def moment(text: str) -> datetime:
    """Return the instant meant: a bare date or a time without offset is read on the key owner's clock."""
    try:
        if len(text) == len("2026-06-30"):
            return midnight(date.fromisoformat(text))
        at = datetime.fromisoformat(text)
    except ValueError:
        raise GraphQLError(f"{text!r} is not an ISO 8601 date or time.") from None
    return (at if at.tzinfo else at.replace(tzinfo=ZoneInfo(ZONE))).astimezone(UTC)


def day(text: str) -> date:
    """Return the day meant."""
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        raise GraphQLError(f"{text!r} is not an ISO 8601 date.") from None
