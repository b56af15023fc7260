from __future__ import annotations

import re

import polars as pl
from gallery import NAMES, WORKLIST

from healthie_nb import retention, tables
from healthie_nb.visits import example

SEEN = example({"a": ["2026-01-05", "2026-02-20"], "b": ["2026-01-20"], "c": ["2026-05-20"], "d": ["2026-05-01"]})


def table() -> tables.Table:
    made = retention.cohorts(SEEN, as_of="2026-06-02", measure="on", periods=2)
    return tables.cohorts(made, every="month", synthetic=True)


def words(html: str) -> list[str]:
    """Text of every cell, in order."""
    cells = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", html, re.DOTALL)
    return [re.sub(r"<[^>]+>", " ", cell).strip() for cell in cells]


def test_open_cohort_says_of_how_many_its_share_is() -> None:
    assert table().rows.rows() == [
        ("Jan 2026", "2", "0%*\n0-66", "50%*\n9-91"),
        ("May 2026", "2", "0%*\nof 1: 0-79", ""),
    ]


def test_open_cells_are_hatched() -> None:
    assert table().hatched == {(1, 2), (1, 3)}
    assert table()._repr_html_().count("background-image:var(--open)") == 2


def test_text_has_every_number_that_the_table_has() -> None:
    assert repr(table()).splitlines() == [
        "Share of new clients who came back, by time since their first visit",
        "Demo practice: synthetic data",
        "Hatched: part of the cohort has not had that long yet",
        "* under 30 eligible",
        "first visit  new clients           month 1      month 2",
        "Jan 2026               2        0%* [0-66]  50%* [9-91]",
        "May 2026               2  0%* [of 1: 0-79]",
    ]


def test_page_has_every_word_that_the_table_has() -> None:
    shown = words(table()._repr_html_())
    assert shown[0] == table().title
    assert shown[2:6] == table().rows.columns
    assert [text.replace(" ", "") for text in shown[6:]] == [
        cell.replace("\n", "").replace(" ", "") for row in table().rows.rows() for cell in row
    ]


def test_headings_say_what_they_are_for() -> None:
    html = table()._repr_html_()
    assert html.count('scope="col"') == 4
    assert html.count('scope="row"') == 2


def test_two_of_the_same_are_the_same() -> None:
    """A random id, as great_tables would give it, would be another output each time."""
    assert table()._repr_html_() == table()._repr_html_()


def test_rows_below_the_values_of_a_group() -> None:
    made = tables.Table("t", "Title", (), pl.DataFrame({"form": ["A", "A", "B"], "who": ["x", "y", "x"]}), group="form")
    assert words(made._repr_html_()) == ["Title", "who", "A", "x", "y", "B", "x"]


def test_table_without_rows_is_shown() -> None:
    empty = tables.Table("t", "Title", (), table().rows.clear())
    assert words(empty._repr_html_())[1:] == table().rows.columns
    assert repr(empty).splitlines()[1] == "first visit  new clients  month 1  month 2"


def test_what_a_practice_wrote_is_text_in_html() -> None:
    odd = tables.Table("t", "<b>", ("<i>",), pl.DataFrame({"<script>": ["<img>\n<img>"]}))
    assert not re.search(r"<(b|i|script|img)>", odd._repr_html_())
    assert "&lt;script&gt;" in odd._repr_html_()


def test_list_of_whom_to_call_names_pseudonyms_alone() -> None:
    made = tables.worklist(WORKLIST, synthetic=True, names=NAMES, most=3)
    assert made.rows["client"].to_list() == WORKLIST["pseudonym"].head(3).to_list()
    assert made.notes[-1] == f"3 of {WORKLIST.height} clients, the longest overdue and not booked first"
    assert "http" not in made._repr_html_() + repr(made)
