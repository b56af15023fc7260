from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from healthie_nb import retention, tables
from healthie_nb.visits import example

if TYPE_CHECKING:
    from healthie_nb.newcomers import Every

SEEN = example({"a": ["2026-01-05", "2026-02-20"], "b": ["2026-01-20"], "c": ["2026-05-20"], "d": ["2026-05-01"]})


def table(every: Every = "month") -> tables.Table:
    made = retention.cohorts(SEEN, as_of="2026-06-02", every=every, measure="on", periods=2)
    return tables.cohorts(made, every=every, synthetic=True)


def test_open_cohort_says_of_how_many_its_share_is() -> None:
    assert table().rows.rows() == [
        ("Jan 2026", "2", "0%*\n0-66", "50%*\n9-91"),
        ("May 2026", "2", "0%*\nof 1: 0-79", ""),
    ]


def test_open_cells_are_hatched() -> None:
    assert table().hatched == {(1, 2), (1, 3)}
    assert table()._repr_html_().count("repeating-linear-gradient") == 2


def test_text_has_every_number_that_the_table_has() -> None:
    assert repr(table()).splitlines() == [
        "Share of new clients who came back, by time since their first visit",
        "Demo practice: synthetic data",
        "Hatched: part of the cohort has not had that long yet",
        "* under 30 clients",
        "first visit  new clients           month 1      month 2",
        "   Jan 2026            2        0%* [0-66]  50%* [9-91]",
        "   May 2026            2  0%* [of 1: 0-79]",
    ]


@pytest.mark.parametrize(("every", "name"), [("week", "29 Dec 2025"), ("month", "Jan 2026"), ("quarter", "Q1 2026")])
def test_cohort_is_named_as_people_say_it(every: Every, name: str) -> None:
    made = retention.cohorts(example({"a": ["2026-01-01"]}), as_of="2026-06-30", every=every, measure="on", periods=1)
    assert tables.cohorts(made, every=every, synthetic=False).rows["first visit"].item() == name


def test_what_a_practice_wrote_is_text_in_html() -> None:
    odd = tables.Table("<b>", (), table().rows.rename({"first visit": "<script>"}))
    assert "<script>" not in odd._repr_html_()
    assert "&lt;script&gt;" in odd._repr_html_()
