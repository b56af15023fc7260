"""What readers outside the practice are shown: every chart and table, drawn of rows in which counts are hidden."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import Any

import IPython
import polars as pl
import pytest
from gallery import CHARTS, NAMES, WORKLIST, Shown
from IPython.core.formatters import DisplayFormatter
from IPython.display import Markdown

from healthie_nb import charts, disclosure, display, outside, pictures, tables
from healthie_nb.handover import MAY_LEAVE, Handover
from healthie_nb.tiles import Tile, Tiles

drawn = pytest.mark.parametrize(
    "shown", [one for one in CHARTS if disclosure.may_leave(one.name)], ids=lambda s: s.name
)


def told(shown: Shown) -> pl.DataFrame:
    return disclosure.told(
        shown.rows, metric=shown.name, audience="external", names=dict.fromkeys(disclosure.IDS, NAMES)
    )


def nothing_told(shown: Shown) -> pl.DataFrame:
    """Return the rows with every count, and what follows from it, hidden."""
    layout = disclosure.layout_of(shown.name)
    hidden = [name for name in (*layout.counts, *layout.rest, *layout.blank) if name in shown.rows.columns]
    kept = {"is_open", "few", "standing"}  # booleans stay as they are: a chart may filter by them
    rows = told(shown)
    return rows.with_columns(pl.lit(None, rows.schema[name]).alias(name) for name in hidden if name not in kept)


def numbers(text: str) -> set[str]:
    return set(re.findall(r"\d+(?:[.,]\d+)*", text))


@drawn
@pytest.mark.parametrize("hide", [told, nothing_told])
def test_chart_and_table_show_what_the_practice_sees_or_nothing(shown: Shown, hide: Any) -> None:
    """No number is another one because some are hidden, and none is written as nothing."""
    if shown.name in disclosure.ADDING:
        return
    drawing = pictures.svg(display.finished(shown.chart(hide(shown)).to_dict()), {})
    assert "e+308" not in drawing  # a picture without an end
    inside, outside = (shown.parts(rows) for rows in (None, hide(shown)))
    outside["datasets"].pop("targets", None)  # the practice's own lines, or one that is not to be seen
    assert numbers(json.dumps(outside)) <= numbers(json.dumps(inside))
    if shown.name in tables.__all__:
        every, some = shown.table(), shown.table(hide(shown))
        cells = {cell for row in every.rows.rows() for cell in row} | {""}
        assert {cell.partition("\n")[0] for row in some.rows.rows() for cell in row} <= {
            cell.partition("\n")[0] for cell in cells
        }
        assert "None" not in repr(some)
        assert "<table" in some._repr_html_()


@pytest.mark.parametrize("name", disclosure.ADDING)
def test_what_adds_up_is_not_drawn_where_something_is_hidden(name: str) -> None:
    shown = next(one for one in CHARTS if one.name == name)
    with pytest.raises(disclosure.DisclosureError, match="its sums would be wrong: choose longer periods"):
        disclosure.to_draw(shown.rows, metric=name, audience="external")
    assert disclosure.to_draw(shown.rows, metric=name, audience="internal").equals(shown.rows)
    whole = disclosure.told(shown.rows, metric=name, audience="external").drop_nulls(disclosure.LAYOUTS[name].counts)
    assert disclosure.to_draw(whole, metric=name, audience="external").height == whole.height


def test_every_chart_and_table_is_of_a_metric_that_outside_may_have_or_not() -> None:
    names = {name for name in (*charts.__all__, *tables.__all__) if name.islower() and not name.endswith("_parts")}
    assert {name for name in names if disclosure.METRIC_OF.get(name, name) not in disclosure.LAYOUTS} == set()


@pytest.fixture
def form(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what a kernel for readers outside makes of a thing that a cell shows."""
    for module in (charts, tables):
        for name in module.__all__:
            monkeypatch.setattr(module, name, getattr(module, name))
    formatter = DisplayFormatter()
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(display_formatter=formatter))
    outside.only()
    return formatter.format


STATES = pl.DataFrame(
    {
        "state": ["active", "active", "left", "left"],
        "reason": ["booked", "seen lately", "lapsed", "archived"],
        "clients": [70, 60, 45, 4],
        "share": [0.39, 0.34, 0.25, 0.02],
        "low": [0.32, 0.27, 0.19, 0.01],
        "high": [0.46, 0.41, 0.32, 0.06],
        "few": [False] * 4,
    }
)


def test_charts_and_tables_are_shown_without_small_counts(form: Any) -> None:
    table = tables.states(STATES, synthetic=True)
    data, metadata = form(table)
    assert metadata[MAY_LEAVE]
    assert table.rows["clients"].to_list()[-1] == ""
    assert data["text/plain"] == repr(table)
    _, metadata = form(charts.states(STATES, synthetic=True))
    assert metadata[MAY_LEAVE]


def test_names_stand_for_the_ids_that_do_not_leave(form: Any) -> None:
    plot = next(shown for shown in CHARTS if shown.name == "funnel_plot")
    unnamed = {name: value for name, value in plot.options.items() if name != "names"}
    assert plot.rows["provider_id"].to_list() == ["p1", "p2"]
    assert tables.funnel_plot(plot.rows, names=NAMES, synthetic=True, **unnamed).rows[:, 0].to_list() == [
        "Dr Ada",
        "Dr Bob",
    ]
    data, _ = form(tables.funnel_plot(plot.rows, synthetic=True, **unnamed))
    assert "provider 1" in data["text/html"]
    assert "p1" not in data["text/html"]


@pytest.mark.parametrize("what", ["worklist", "tiles"])
def test_what_stays_in_the_practice_is_said_to(what: str, form: Any) -> None:
    tiles = Tiles([Tile("Lapsed", "4")], title="June", synthetic=True)
    shown = tables.worklist(WORKLIST, synthetic=True) if what == "worklist" else tiles
    assert form(shown) == ({"text/html": outside.WITHHELD}, {MAY_LEAVE: True})


@pytest.mark.parametrize("shown", [STATES, Markdown("4 clients"), "4 clients", 4, display])
def test_what_is_not_known_to_be_safe_is_not_shown(shown: object, form: Any) -> None:
    assert form(shown) == ({}, {})


def test_chart_of_an_analyst_is_not_shown(form: Any) -> None:
    import altair as alt  # noqa: PLC0415

    assert form(alt.Chart(STATES).mark_bar())[0] == {"text/html": outside.WITHHELD}


def test_what_the_report_needs_is_handed_on(form: Any) -> None:
    handed = Handover("Demo practice", True, "2026-01-01", "UTC", (), ())  # noqa: FBT003
    assert "application/vnd.healthie-nb.handover+json" in form(handed)[0]
