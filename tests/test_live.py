from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import altair as alt
import polars as pl
import pytest

from healthie_nb import controls, views
from healthie_nb.live import Answer, Explorer, Show
from healthie_nb.selection import PICKED
from healthie_nb.tables import Table
from healthie_nb.visits import MetricError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Practice:
    """As much of a practice as an export needs."""

    name, is_synthetic, version, zone, loaded = "Demo practice", True, "2026-01-01", "UTC", ()

    def __init__(self) -> None:
        self.noted: list[tuple[str, dict[str, Any]]] = []

    def note(self, action: str, **entry: Any) -> None:
        self.noted.append((action, entry))


class Asked:
    """An answer that notes what it was asked."""

    def __init__(self) -> None:
        self.views: list[dict[str, Any]] = []

    def __call__(self, view: Mapping[str, Any]) -> Answer:
        self.views.append(dict(view))
        if view["every"] == "quarter":
            raise MetricError("no quarters & no years")
        rows = pl.DataFrame({"standing": [view["every"], "unknown"], "clients": [70, 4]})
        if view["show"] == "worklist":
            rows = rows.with_columns(link=pl.format("https://secure.gethealthie.com/users/{}", "clients"))
        sentence = f"every {view['every']} & {view['measure']}"
        return Answer(sentence, rows, {"synthetic": True}, {"row": pl.col("standing")}, "rows = population")


def draw(rows: pl.DataFrame, *, synthetic: bool) -> alt.LayerChart:
    bars = alt.Chart(alt.NamedData("rows")).mark_bar().encode(x="clients:Q", y="row:N")
    return alt.layer(bars, bars.mark_text()).properties(**parts(rows, synthetic=synthetic))


def parts(rows: pl.DataFrame, *, synthetic: bool) -> dict[str, Any]:
    assert synthetic
    return {"datasets": {"rows": rows.rename({"standing": "row"}).to_dicts()}}


def listed(rows: pl.DataFrame, *, synthetic: bool) -> Table:
    assert synthetic
    return Table("population", "T", (), rows.select(pl.col("standing", "clients").cast(pl.String)))


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def explorer(asked: Asked) -> Explorer:
    choices = {
        "as_of": controls.day("As of", date(2026, 6, 30)),
        "every": controls.one_of("By", "month", ["week", "month", "quarter"]),
        "measure": controls.one_of("Measure", "on", ["on", "on or after"]),
    }
    shows = {
        "cohorts": Show("Charted", ("as_of", "every", "measure"), asked, listed, "population", chart=draw, parts=parts),
        "worklist": Show("Listed", ("every",), asked, listed, "population", has_links=True),
    }
    return Explorer("retention", shows, choices, practice=Practice(), first="cohorts")  # type: ignore[arg-type]


def buttons(explorer: Explorer) -> dict[str, Any]:
    found, queue = {}, [explorer.box]
    while queue:
        widget = queue.pop()
        queue.extend(getattr(widget, "children", ()))
        if hasattr(widget, "click"):
            found[widget.description] = widget
    return found


def pick(explorer: Explorer, *rows: str) -> None:
    """Do what the page does when something is selected in the chart."""
    store = [{"fields": [{"field": "row", "type": "E"}], "values": [row]} for row in rows]
    value = {"row": list(rows)} if rows else {}
    explorer._chart._vl_selections = {PICKED: {"value": value, "store": store}}


def test_change_puts_only_rows_into_the_kept_specification(explorer: Explorer) -> None:
    before = dict(explorer._chart.spec)
    explorer.controls["every"].value = "week"
    after = dict(explorer._chart.spec)
    assert after.pop("datasets") == {"rows": [{"row": "week", "clients": 70}, {"row": "unknown", "clients": 4}]}
    assert before.pop("datasets")["rows"][0] == {"row": "month", "clients": 70}
    assert before == after


def test_table_and_sentence_change_with_the_chart(explorer: Explorer) -> None:
    explorer.controls["every"].value = "week"
    assert '<th scope="row" class="gt_stub">week</th>' in explorer._table.html
    assert explorer._status.value == '<div role="status">every week &amp; on</div>'


def test_reset_redraws_once(explorer: Explorer, asked: Asked) -> None:
    explorer.controls["every"].value = "week"
    explorer.controls["measure"].value = "on or after"
    explorer.reset()
    seen = [(view["every"], view["measure"]) for view in asked.views]
    assert seen == [("month", "on"), ("week", "on"), ("week", "on or after"), ("month", "on")]


def test_what_cannot_be_is_said_in_words(explorer: Explorer) -> None:
    explorer.controls["every"].value = "quarter"
    assert "no quarters &amp; no years" in explorer._status.value
    assert explorer._chart.layout.display == "none"
    assert explorer._table.html == ""
    assert explorer.spec is None
    explorer.reset()
    assert explorer._chart.layout.display == ""


def test_another_thing_shown_keeps_the_settings_and_hides_what_does_not_bear_on_it(explorer: Explorer) -> None:
    explorer.controls["every"].value = "week"
    explorer.controls["show"].value = "worklist"
    assert explorer.controls["measure"].layout.display == "none"
    assert explorer.controls["every"].layout.display == ""
    assert explorer.rows["standing"][0] == "week"
    assert explorer.spec is None


def test_selecting_in_the_chart_filters_the_table(explorer: Explorer) -> None:
    pick(explorer, "unknown")
    assert explorer.rows.rows() == [("unknown", 4)]
    assert "month</th>" not in explorer._table.html
    assert "Selected: unknown" in explorer._note.value
    pick(explorer, "unknown", "month")
    assert explorer.rows.height == 2
    pick(explorer)
    assert (explorer.rows.height, explorer._note.value) == (2, "")


def test_reset_selects_and_searches_nothing(explorer: Explorer) -> None:
    several = explorer.controls["provider_ids"] = controls.Several("Provider", {"1": "Ada", "2": "Bob"})
    explorer._initial["provider_ids"] = ()
    several.search.value = "ad"
    explorer.reset()
    pick(explorer, "unknown")
    drawn = explorer.spec
    explorer.reset()
    assert (explorer.rows.height, explorer._note.value, several.search.value) == (2, "", "")
    assert explorer.spec != drawn  # drawn again, it has no mark outlined


def test_a_click_selects_the_rows_of_a_mark_and_outlines_it(explorer: Explorer) -> None:
    bars, words = explorer.spec["layer"]  # type: ignore[index]
    [picked] = bars["params"]
    assert picked == {"name": PICKED, "select": {"type": "point", "fields": ["row"]}}
    assert bars["encoding"]["stroke"]["condition"]["param"] == PICKED
    assert "params" not in words


def test_output_has_a_picture_and_text_that_stay_the_same(explorer: Explorer) -> None:
    data = explorer._repr_mimebundle_()
    assert data["text/plain"].splitlines() == ["every month & on", "T", "standing  clients", "month          70",
                                               "unknown         4"]  # fmt: skip
    assert data["image/png"].startswith(b"\x89PNG")
    assert "application/vnd.jupyter.widget-view+json" in data


def test_links_and_rows_are_on_the_page_and_nowhere_else(explorer: Explorer) -> None:
    explorer.controls["show"].value = "worklist"
    assert 'href="https://secure.gethealthie.com/users/70"' in explorer._table.html
    said = str(explorer._repr_mimebundle_()) + str(explorer._table.get_state())
    assert "gethealthie" not in said


def test_scripts_come_with_the_widget(explorer: Explorer) -> None:
    """Altair's own widget imports them from a CDN."""
    assert "https://esm.sh" not in explorer._chart._esm
    assert explorer._chart.embed_options["actions"] is False


def test_view_is_saved_loaded_and_removed_by_name(explorer: Explorer) -> None:
    desk, press = explorer.desk, buttons(explorer)
    explorer.controls["every"].value = "week"
    desk.name.value = "board"
    press["Save"].click()
    assert desk.said == 'board is saved; notebook and report take it as view = "board".'
    board = {"as_of": "2026-06-30", "every": "week", "measure": "on", "show": "cohorts"}
    assert views.read("retention", "board") == board
    explorer.reset()
    desk.view.value = "board"
    press["Load"].click()
    assert explorer.settings == board
    assert desk.said == "board is loaded."
    press["Remove"].click()
    assert views.names("retention") == []
    assert "board" not in dict(desk.view.options)


def test_view_without_a_name_is_refused_in_words(explorer: Explorer) -> None:
    buttons(explorer)["Save"].click()
    assert "a view needs a name" in explorer.desk.said
    buttons(explorer)["Load"].click()
    assert explorer.desk.said == "Choose a saved view first."


def test_code_is_shown_when_asked_for(explorer: Explorer) -> None:
    assert explorer.desk.code.layout.display == "none"
    explorer.desk.shows_code.value = True
    assert explorer.desk.code.layout.display == ""
    assert "rows = population" in explorer.desk.code.value


@pytest.mark.parametrize("ending", ["csv", "xlsx", "parquet", "png", "svg"])
def test_export_asks_for_whom_first(
    explorer: Explorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.chdir(tmp_path)
    desk, press = explorer.desk, buttons(explorer)
    desk.format.value = ending
    press["Export"].click()
    assert desk.said.startswith("Choose first for whom")
    assert list(tmp_path.iterdir()) == []
    desk.audience.value = "internal"
    press["Export"].click()
    [written] = (tmp_path / "exports").glob(f"*.{ending}")
    assert desk.said == f"Written: {written.relative_to(tmp_path)}"
    assert explorer.practice.noted[0][1]["audience"] == "internal"  # type: ignore[attr-defined]


def test_outside_the_practice_small_counts_are_hidden_and_a_selection_is_not_told(
    explorer: Explorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    explorer.desk.format.value, explorer.desk.audience.value = "parquet", "external"
    pick(explorer, "unknown")
    buttons(explorer)["Export"].click()
    [written] = (tmp_path / "exports").glob("*.parquet")
    assert pl.read_parquet(written).rows() == [("month", None), ("unknown", None)]


def test_nothing_to_export_is_said(explorer: Explorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    explorer.desk.audience.value = "internal"
    explorer.controls["every"].value = "quarter"
    buttons(explorer)["Export"].click()
    assert explorer.desk.said == "There is nothing to export in this view."
    explorer.reset()
    explorer.controls["show"].value, explorer.desk.format.value = "worklist", "png"
    buttons(explorer)["Export"].click()
    assert explorer.desk.said == "This view has no chart: export its table."
    assert list(tmp_path.iterdir()) == []
