"""JSON rows become a typed, flat frame; nothing is rounded, dropped or guessed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from healthie_nb import frame, query
from healthie_nb.fields import Field
from healthie_nb.frame import FrameError

if TYPE_CHECKING:
    import polars as pl

ROWS = (
    Field("id", "ID", is_list=False, is_phi=False),
    Field("at", "ISO8601DateTime", is_list=False, is_phi=False),
    Field("day", "ISO8601Date", is_list=False, is_phi=False),
    Field("minutes", "Int", is_list=False, is_phi=False),
    Field("score", "Float", is_list=False, is_phi=False),
    Field("is_new", "Boolean", is_list=False, is_phi=False),
    Field("client", "User", is_list=False, is_phi=False, fields=(Field("id", "ID", is_list=False, is_phi=False),)),
    Field("tags", "String", is_list=True, is_phi=False),
    Field(
        "seats",
        "Seat",
        is_list=True,
        is_phi=False,
        fields=(
            Field(
                "client", "User", is_list=False, is_phi=False, fields=(Field("id", "ID", is_list=False, is_phi=False),)
            ),
            Field("at", "ISO8601DateTime", is_list=False, is_phi=False),
        ),
    ),
)


def framed(*rows: dict[str, Any]) -> pl.DataFrame:
    return frame.frame([json.dumps(row).encode() for row in rows], ROWS)


def test_types_come_from_the_schema() -> None:
    seat = {"client": {"id": 9}, "at": "2022-09-30 17:20:14 UTC"}
    rows = framed(
        {
            "id": 7,
            "at": "2026-03-01T10:15:00-05:00",
            "day": "2026-03-01",
            "minutes": 50,
            "score": 1,
            "is_new": True,
            "client": {"id": "12345678901234567890123"},
            "tags": ["a"],
            "seats": [seat, None],
        }
    )
    assert rows.to_dicts() == [
        {
            "id": "7",
            "at": datetime(2026, 3, 1, 15, 15, tzinfo=UTC),
            "day": datetime(2026, 3, 1).date(),  # noqa: DTZ001
            "minutes": 50,
            "score": 1.0,
            "is_new": True,
            "client_id": "12345678901234567890123",
            "tags": ["a"],
            "seats": [{"client_id": "9", "at": datetime(2022, 9, 30, 17, 20, 14, tzinfo=UTC)}],
        }
    ]


def test_an_empty_answer_has_the_same_schema() -> None:
    rows = framed({"id": 1})
    assert framed().schema == rows.schema == frame.schema(ROWS)
    for name in query.names():
        fields = query.read(name).fields
        assert frame.frame([], fields).schema == frame.schema(fields)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-03-01T10:15:00-05:00", datetime(2026, 3, 1, 15, 15, tzinfo=UTC)),
        ("2026-05-21T09:30:00.123Z", datetime(2026, 5, 21, 9, 30, 0, 123000, tzinfo=UTC)),
        ("2026-01-30 12:15:00 -0700", datetime(2026, 1, 30, 19, 15, tzinfo=UTC)),
        ("2022-09-30 17:20:14 UTC", datetime(2022, 9, 30, 17, 20, 14, tzinfo=UTC)),
    ],
)
def test_each_shape_of_an_instant_is_read_alone_and_among_others(text: str, instant: datetime) -> None:
    assert framed({"id": 1, "at": text}).item(0, "at") == instant
    mixed = framed({"id": 1, "at": "2026-03-01T10:15:00-05:00"}, {"id": 2, "at": text}, {"id": 3, "at": None})
    assert mixed.get_column("at").to_list() == [datetime(2026, 3, 1, 15, 15, tzinfo=UTC), instant, None]


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ({"minutes": 50.5}, "minutes"),
        ({"minutes": 12345678901234567890123}, "minutes"),
        ({"minutes": "many"}, "minutes"),
        ({"at": "2026-03-01T10:15:00"}, "at"),
        ({"at": "Jane Doe"}, "at"),
        ({"day": "2026-02-30"}, "day"),
        ({"seats": [{"at": "Jane Doe"}]}, "seats"),
    ],
)
def test_a_value_that_polars_would_change_is_an_error_without_the_value(row: dict[str, Any], column: str) -> None:
    with pytest.raises(FrameError, match=f"column {column}: a value is not of type") as caught:
        framed({"id": 1, **row})
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert "Jane" not in str(caught.value)


@pytest.mark.parametrize("row", [{"client": "Jane Doe"}, {"id": {"name": "Jane Doe"}}, {"is_new": "Jane Doe"}])
def test_another_shape_is_an_error_without_the_value(row: dict[str, Any]) -> None:
    with pytest.raises(FrameError, match="do not have the shape") as caught:
        framed(row)
    assert "Jane" not in f"{caught.value}{caught.value.__cause__}{caught.value.__context__}"
