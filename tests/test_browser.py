"""The retention notebook in JupyterLab, in a browser that reaches this machine only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from browsing import Lab

pytestmark = pytest.mark.browser

NOTEBOOK = "retention"


def test_every_cell_runs(lab: Lab) -> None:
    assert lab.errors() == []
    expect(lab.page.locator(".jp-OutputArea-output svg.marks")).to_have_count(10)
    lab.shoot("top", lab.page.locator(".jp-Cell").first)
    lab.shoot("cohorts", lab.page.locator("svg.marks").first)


def test_synthetic_data_is_labelled_on_each_chart(lab: Lab) -> None:
    for drawing in lab.page.locator(".jp-OutputArea-output svg.marks").all():
        expect(drawing).to_contain_text("Demo practice: synthetic data")


def test_no_chart_offers_to_send_its_data_to_an_editor(lab: Lab) -> None:
    expect(lab.page.locator(".vega-actions, .vega-embed summary")).to_have_count(0)


def test_filter_redraws_chart_and_table(lab: Lab) -> None:
    drawing, table = lab.drawing, lab.table
    lab.shoot("explorer", lab.explorer)
    lab.control("Provider").select_option(index=1)
    expect(lab.explorer.locator("table")).not_to_have_text(table, use_inner_text=True)
    lab.redrawn(drawing)
    lab.shoot("filtered", lab.explorer)
    lab.press("Reset")
    expect(lab.explorer.locator("table")).to_have_text(table, use_inner_text=True)


def test_cohorts_by_quarter(lab: Lab) -> None:
    lab.control("By").select_option("quarter")
    expect(lab.explorer.locator("svg.marks")).to_contain_text("Q2 2025")
    lab.press("Reset")
    expect(lab.explorer.locator("svg.marks")).not_to_contain_text("Q2 2025")


def test_impossible_dates_say_so_in_words(lab: Lab) -> None:
    until = lab.control("until")
    until.fill("2024-12-31")
    until.press("Tab")
    expect(lab.explorer.get_by_role("status").first).to_contain_text("first day is after the last")
    expect(lab.explorer.locator("svg.marks")).to_be_hidden()
    lab.shoot("impossible", lab.explorer)
    lab.press("Reset")
    expect(lab.explorer.locator("svg.marks")).to_be_visible()


def test_selecting_in_the_chart_lists_its_rows_alone(lab: Lab) -> None:
    rows = lab.explorer.locator("tbody tr")
    everything = rows.count()
    lab.explorer.locator("svg.marks .mark-rect path").first.click(force=True)
    expect(rows).to_have_count(1)
    lab.shoot("selected", lab.explorer)
    lab.press("Reset")
    lab.control("By").select_option("quarter")
    lab.press("Reset")
    expect(rows).to_have_count(everything)


def test_view_is_saved_and_loaded_by_name(lab: Lab) -> None:
    lab.control("By").select_option("quarter")
    lab.control("Save as").fill("board")
    lab.control("Save as").press("Tab")
    lab.press("Save")
    expect(lab.explorer.get_by_text("board is saved")).to_be_visible()
    lab.press("Reset")
    expect(lab.explorer.locator("svg.marks")).not_to_contain_text("Q2 2025")
    lab.control("Saved view").select_option("board")
    lab.press("Load")
    expect(lab.explorer.locator("svg.marks")).to_contain_text("Q2 2025")
    lab.press("Remove")
    lab.press("Reset")


def test_export_asks_for_whom_and_says_where_it_is(lab: Lab) -> None:
    lab.press("Export")
    expect(lab.explorer.get_by_text("Choose first for whom")).to_be_visible()
    lab.control("Export for").select_option("inside the practice")
    lab.press("Export")
    expect(lab.explorer.get_by_text("Written: exports/retention-cohorts-internal")).to_be_visible()


def test_dark_theme_is_legible(lab: Lab) -> None:
    """Text is light on dark: the chart takes the page's colour. The picture is for people."""
    lab.theme("Dark")
    title = lab.explorer.locator("svg.marks text", has_text="Share of new clients").first
    colour = title.evaluate("el => getComputedStyle(el).fill")
    red, green, blue = (int(part) for part in colour.removeprefix("rgb(").rstrip(")").split(",")[:3])
    lab.shoot("dark", lab.explorer)
    assert min(red, green, blue) > 150


def test_nothing_was_asked_of_another_host_and_nothing_went_wrong(lab: Lab) -> None:
    assert lab.refused == []
    assert lab.complaints == []
