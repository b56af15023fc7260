"""What can be clicked in a chart can be chosen in the list beside it, in every view of every notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt
import polars as pl
import pytest
import vl_convert

import healthie_nb as hn
from healthie_nb import explore, parameters
from healthie_nb.selection import PICKED, Selection, selecting, with_selected

if TYPE_CHECKING:
    from healthie_nb.live import Explorer

ROWS = pl.DataFrame({"week": ["1 Jun", "1 Jun", "8 Jun", None], "state": ["kept", "missed", "kept", "kept"]})
BAR = {"type": "bar"}
PICKS = {"at": pl.col("week"), "series": pl.col("state")}
# Lists, a curve of all clients, and times that the ledger does not allow yet.
WITHOUT_MARKS = {
    "worklist",
    "who lacks forms",
    "overdue",
    "overdue notes",
    "survival",
    "time to second visit",
    "time to complete",
}


class Asked:
    """A selection beside a chart, and how often it was drawn and listed."""

    def __init__(self) -> None:
        self.drawn = self.listed = 0
        self.chart = alt.JupyterChart(alt.Chart(alt.InlineData(values=[])).mark_point().add_params(
            alt.selection_point(name=PICKED, fields=["x"])
        ))  # fmt: skip
        self.selection = Selection(self.chart, self.draw, self.show)
        self.selection.offer(ROWS, PICKS, drawn())
        self.draw()

    def draw(self) -> None:
        self.drawn += 1
        self.selection.put(selecting({"mark": BAR, "usermeta": {}}, list(PICKS)))

    def show(self) -> None:
        self.listed += 1

    def tell(self, *marks: tuple[str, str]) -> None:
        """Do what the page does when marks were clicked, or when a chart has been drawn."""
        fields = [{"field": name, "type": "E"} for name in PICKS]
        store = [{"fields": fields, "values": list(mark)} for mark in marks]
        value = {name: [mark[i] for mark in marks] for i, name in enumerate(PICKS)} if marks else {}
        self.chart._vl_selections = {PICKED: {"value": value, "store": store}}


def drawn(*marks: tuple[str, str]) -> dict[str, list[dict[str, Any]]]:
    """Return the data of a chart with these marks, or with all."""
    marks = marks or (("1 Jun", "kept"), ("1 Jun", "missed"), ("8 Jun", "kept"))
    return {"rows": [dict(zip(PICKS, mark, strict=True)) for mark in marks]}


@pytest.fixture
def asked() -> Asked:
    return Asked()


def test_each_mark_is_offered_once_in_the_order_of_the_chart(asked: Asked) -> None:
    assert list(asked.selection.list.names) == ["1 Jun · kept", "1 Jun · missed", "8 Jun · kept"]
    asked.selection.offer(ROWS, PICKS, {"totals": [{"at": "8 Jun"}], **drawn(("8 Jun", "kept"), ("1 Jun", "kept"))})
    assert list(asked.selection.list.names) == ["8 Jun · kept", "1 Jun · kept"]  # others are not drawn
    assert asked.selection.of(ROWS).height == ROWS.height


def test_what_is_chosen_in_the_list_is_selected_in_the_chart(asked: Asked) -> None:
    asked.selection.list.value = ("1 Jun · missed",)
    assert asked.chart.spec["params"][0]["value"] == [{"at": "1 Jun", "series": "missed"}]
    assert asked.selection.of(ROWS).rows() == [("1 Jun", "missed")]
    assert (asked.drawn, asked.listed) == (2, 1)


def test_what_is_clicked_is_chosen_in_the_list_and_not_drawn_again(asked: Asked) -> None:
    asked.tell(("8 Jun", "kept"))
    assert asked.selection.list.value == asked.selection.list.list.value == ("8 Jun · kept",)
    asked.tell(("8 Jun", "kept"), ("1 Jun", "missed"))
    assert asked.selection.of(ROWS).height == 2
    asked.tell()
    assert asked.selection.list.value == ()
    assert (asked.drawn, asked.listed) == (1, 3)


def test_charts_that_were_drawn_one_after_the_other_select_nothing_of_their_own(asked: Asked) -> None:
    """Each tells what it was drawn with when it is done, while the next was chosen already."""
    asked.selection.list.value = ("1 Jun · kept",)
    asked.selection.list.value = ("1 Jun · missed",)
    asked.tell(("1 Jun", "kept"))
    assert asked.selection.list.value == ("1 Jun · missed",)
    asked.tell(("1 Jun", "missed"))
    asked.tell(("1 Jun", "kept"))  # now it was clicked
    assert asked.selection.list.value == ("1 Jun · kept",)


def test_a_click_is_forgotten_in_the_chart_too(asked: Asked) -> None:
    before = asked.chart.spec
    asked.tell(("8 Jun", "kept"))
    asked.selection.clear()
    assert asked.chart.spec != before
    assert "value" not in asked.chart.spec["params"][0]


def test_other_rows_are_offered_with_nothing_selected(asked: Asked) -> None:
    asked.selection.list.value = ("1 Jun · kept",)
    asked.selection.offer(ROWS.head(1), PICKS, drawn())
    assert asked.selection.list.value == ()
    assert asked.selection.list.layout.display == "none"  # of a single mark there is nothing to choose
    asked.selection.offer(ROWS, PICKS, drawn())
    assert asked.selection.list.layout.display == ""
    asked.selection.offer(ROWS, PICKS, {})
    assert asked.selection.list.layout.display == "none"


def test_many_are_told_by_the_first_few(asked: Asked) -> None:
    rows = pl.DataFrame({"week": list("abcdef")})
    asked.selection.offer(rows, {"at": pl.col("week")}, {"rows": rows.rename({"week": "at"}).to_dicts()})
    asked.selection.list.value = tuple("abcdef")
    assert asked.selection.said == "a; b; c; d and 2 more"


def test_selected_marks_go_into_a_copy() -> None:
    spec = selecting({"layer": [{"mark": BAR}, {"mark": "text"}]}, ["at"])
    made = with_selected(spec, [{"at": "1 Jun"}])
    assert made["layer"][0]["params"][0]["value"] == [{"at": "1 Jun"}]
    assert "value" not in spec["layer"][0]["params"][0]
    assert made["layer"][1] == {"mark": "text"}


def test_maps_beside_each_other_select_together(notebook: dict[str, Any]) -> None:
    shown = explorer(notebook, "appointment_volume")
    shown.set({"show": "weekday and hour"})
    assert shown.spec is not None
    assert [len(part["layer"][0]["params"]) for part in shown.spec["hconcat"]] == [1, 1]
    shown.selection.list.value = ("Wed · 9:00",)
    drawn = vl_convert.vegalite_to_svg(shown.spec)
    assert drawn.count('stroke="currentColor"') == 2
    assert shown.rows.select("weekday", "hour").rows() == [(3, 9)]


def explorer(notebook: dict[str, Any], name: str) -> Explorer:
    given, known = parameters.settings(name, {}), (notebook["practice"], notebook["visits"])
    loaded = {key: notebook[key] for key in ("clients", "providers", "appointment_types")}
    if name == "retention":
        return explore.retention(*known, given, **loaded)
    if name == "appointment_volume":
        return explore.volume(*known, given, **loaded)
    forms = {key: notebook[key] for key in ("chart_notes", "filled_forms", "form_requests", "form_templates")}
    roles = hn.roles.propose_form_roles(notebook["form_templates"])
    return explore.forms(*known, given, **loaded, **forms, form_roles=roles)


@pytest.mark.parametrize("name", parameters.NOTEBOOKS)
def test_every_mark_of_every_view_can_be_chosen_in_the_list(notebook: dict[str, Any], name: str) -> None:
    shown = explorer(notebook, name)
    for show in shown.shows:
        shown.set({"show": show})
        offered, fields = shown.selection.list.names, list(shown.answer.picks)
        drawn = [
            {field: row[field] for field in fields}
            for rows in (shown.spec or {"datasets": {}})["datasets"].values()
            for row in rows
            if fields and {*fields} <= {*row} and row.get("count") != 0
        ]
        assert {" · ".join(row.values()) for row in drawn} <= {*offered}, show
        assert bool(drawn) is (show not in WITHOUT_MARKS), show
        if drawn:
            shown.selection.list.value = (" · ".join(drawn[-1].values()),)
            assert shown.rows.height > 0, show
            assert shown.rows.height < shown.answer.rows.height or len(offered) == 1, show
            assert f"'value': [{drawn[-1]}]" in str(shown.spec), show
