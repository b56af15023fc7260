from __future__ import annotations

import re

import polars as pl
import pytest
from gallery import AS_OF, NAMES, NOTES, OVERDUE, OVERDUE_NOTES, READY, REQUESTS, SEEN, UNREADY, WORKLIST

from healthie_nb import charts, forms, retention, tables
from healthie_nb.panel import page
from healthie_nb.visits import MetricError, example

FEW = example({"a": ["2026-01-05", "2026-02-20"], "b": ["2026-01-20"], "c": ["2026-05-20"], "d": ["2026-05-01"]})


def table() -> tables.Table:
    made = retention.cohorts(FEW, as_of="2026-06-02", measure="on", periods=2)
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


# -- which forms get done --------------------------------------------------------------------------------------------


def test_lists_of_forms_name_pseudonyms_alone() -> None:
    for made, rows in (
        (tables.unready(UNREADY, synthetic=True, names=NAMES, most=3), UNREADY),
        (tables.overdue(OVERDUE, synthetic=True, names=NAMES, most=3), OVERDUE),
        (tables.overdue_notes(OVERDUE_NOTES, synthetic=True, names=NAMES, most=3), OVERDUE_NOTES),
    ):
        assert made.rows["client"].to_list() == rows["pseudonym"].head(3).to_list()
        assert made.notes[-1].startswith(f"3 of {rows.height} ")
        assert not re.search("http|client-0", made._repr_html_() + repr(made))


def test_overdue_note_of_a_session_leads_to_nobody_and_others_to_their_client() -> None:
    """The page has a link for each client; what is saved with the notebook has none."""
    is_second = pl.int_range(pl.len()) == 1
    rows = OVERDUE_NOTES.head(3).with_columns(
        pl.when(~is_second).then(pl.col("pseudonym", "client_id", "link")), is_group=is_second
    )
    made = tables.overdue_notes(rows, synthetic=True, within_hours=48, names=NAMES)
    assert made.title == "Visits without a signed chart note after 48 hours"
    assert made.rows["client"].to_list() == [rows["pseudonym"][0], "group session", rows["pseudonym"][2]]
    html = page(made, rows["link"].to_list())
    assert re.findall(r'href="([^"]+)"', html) == rows["link"].drop_nulls().to_list()
    assert '<th scope="row" class="gt_stub">group session</th>' in html


@pytest.mark.parametrize(("months", "waits"), [(12, False), (30, True)])
def test_wide_table_is_laid_out_when_one_comes_to_it(months: int, waits: bool) -> None:  # noqa: FBT001, from a table
    rows = retention.cohorts(SEEN, as_of=AS_OF, measure="on", periods=months)
    assert ("content-visibility:auto" in page(tables.cohorts(rows, every="month", synthetic=True))) is waits


def test_who_comes_without_a_form_is_who_is_not_ready() -> None:
    lacking = READY.filter(pl.col("state") != "done")
    assert UNREADY.height == lacking.height > 0
    assert {*UNREADY["appointment_id"]} == {*READY.filter(~pl.col("is_ready"))["appointment_id"]}


def test_forms_of_coming_visits_add_up() -> None:
    rows = tables.readiness(READY, synthetic=True).rows
    counts = rows.select(pl.col("visits", "done", "begun", "asked", "not asked").cast(pl.Int64))
    assert (counts["visits"] == counts.select(pl.sum_horizontal(pl.exclude("visits"))).to_series()).all()
    assert counts["visits"].sum() == READY.height
    assert rows["form"].to_list() == ["intake, later visits", "consent, later visits"]


def test_requests_are_by_form_and_of_one_form_by_sender() -> None:
    table = forms.requests(REQUESTS, pl.DataFrame({"id": REQUESTS["client_id"].unique(), "is_active": True}))
    every = tables.requests(table, synthetic=True, names=NAMES).rows
    assert every.columns[0] == "form"
    assert sorted(every["form"]) == ["PHQ-9", "Welcome form", "f3"]
    one = tables.requests(table.filter(form_id="f1"), synthetic=True, names={"p1": "a form"}, senders=NAMES).rows
    assert sorted(one["sender"]) == ["Dr Ada", "Dr Bob"]
    assert one["asked for"].cast(pl.Int64).sum() == REQUESTS.filter(form_id="f1").height
    asked = REQUESTS.filter(form_id="f1", filled_form_is_finished=True)
    assert one["completed"].cast(pl.Int64).sum() == asked.height


def test_sum_of_what_is_partly_hidden_is_hidden() -> None:
    """A form's requests less one sender's would be a number that is nobody's."""
    table = forms.requests(REQUESTS, pl.DataFrame({"id": REQUESTS["client_id"].unique(), "is_active": True}))
    counts = ["requests", "open", "started", "completed", "withdrawn", "waiting_or_done"]
    is_first = pl.int_range(pl.len()) == 0
    hidden = table.with_columns(pl.when(~is_first).then(pl.col(counts)))
    rows = tables.requests(hidden, synthetic=True).rows
    assert rows.filter(form="f1")["asked for"].item() == ""
    assert rows.filter(pl.col("form") != "f1").equals(
        tables.requests(table, synthetic=True).rows.filter(pl.col("form") != "f1")
    )
    assert "too few to tell" in charts.requests_parts(hidden, synthetic=True)["description"]


def curve(least: list[int], most: list[int]) -> pl.DataFrame:
    times = pl.DataFrame({"least": least, "most": most}, schema={"least": pl.Int64, "most": pl.Int64})
    return forms.turnbull(times).select(pl.lit("f1").alias("form_id"), pl.all())


def test_curve_is_read_at_days_as_it_stands() -> None:
    """Between two steps a curve is what it was at the earlier one; the interval is lifelines' 0.006 to 0.910."""
    rows = tables.time_to_complete(curve([2, 4], [2, 4]), synthetic=True).rows
    assert rows.select("day", "not yet completed").rows() == [
        ("0", "100%*"),
        ("1", "100%*"),
        ("2", "50%*\n1-91"),
        ("3", "50%*\n1-91"),
    ]


def test_a_ledger_that_is_too_young_is_told() -> None:
    pulls = pl.DataFrame({"seen_at": []}, schema={"seen_at": pl.Datetime("us", "UTC")})
    standing = forms.ledger_standing(pulls, as_of=AS_OF)
    for made in (
        tables.time_to_complete(curve([], []), synthetic=True, standing=standing).notes,
        charts.time_to_complete_parts(curve([], []), synthetic=True, standing=standing)["title"]["subtitle"],
    ):
        assert made[-1].startswith("Not yet: the ledger spans 0 days in 0 pulls; times to completion need 28")


def test_notes_by_period_and_notes_by_provider_are_not_mistaken_for_each_other() -> None:
    by_month = forms.notes(SEEN, NOTES, as_of=AS_OF, every="month", by=[])
    with pytest.raises(MetricError, match="show them with notes_over_time"):
        tables.notes(by_month, synthetic=True)
    for sliced in (forms.notes(SEEN, NOTES, as_of=AS_OF), forms.notes(SEEN, NOTES, as_of=AS_OF, every="month")):
        with pytest.raises(MetricError, match="not one row per period"):
            tables.notes_over_time(sliced, every="month", synthetic=True)


def test_open_notes_of_every_provider_and_age_are_there() -> None:
    table = forms.open_notes(SEEN, NOTES, as_of=AS_OF)
    rows = tables.open_notes(table, synthetic=True, names=NAMES).rows
    ages = [column for column in rows.columns if column.endswith("days")]
    counts = rows.select(pl.col(ages).cast(pl.Int64)).sum().row(0)
    assert counts == tuple(table.filter(age=age)["open"].sum() for age in ages)
    assert rows["in all"].cast(pl.Int64).sum() == table["open"].sum()
    assert rows["provider"].to_list() == ["Dr Bob", "Dr Ada"]


def test_means_are_labelled_as_a_summary_and_show_both() -> None:
    """Two cohorts, of ten and of a hundred: each client alike is not each cohort alike."""
    made = pl.DataFrame({"cohort": ["a", "b"], "period": [1, 1], "label": ["days 31-90"] * 2, "is_open": False})
    made = made.with_columns(eligible=pl.Series([10, 100]), returned=pl.Series([2, 0]), rate=pl.Series([0.2, 0.0]))
    shown = tables.means(retention.means(made), synthetic=True)
    assert shown.title == "Mean share of new clients who came back: a summary of the closed cohorts, not a curve"
    assert shown.rows.rows() == [("days 31-90", "2", "110", "2", "2%\n1-6", "10%")]


def test_population_says_what_each_standing_is() -> None:
    standing = pl.DataFrame({"standing": ["new", "unknown", "not seen"], "clients": [70, 4, 1025]})
    shown = tables.population(standing, synthetic=True)
    assert shown.rows["clients"].to_list() == ["70", "4", "1,025"]
    assert shown.rows["which are"].to_list()[2] == "left out: no clinical visit of theirs took place"
