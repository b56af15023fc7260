"""The retention notebook in JupyterLab, in a browser that reaches this machine only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from browsing import NAMES
from playwright.sync_api import expect

from healthie_nb import parameters

if TYPE_CHECKING:
    from browsing import Lab

pytestmark = pytest.mark.browser

NOTEBOOK = "retention"
CHARTS = 9  # of its sections
SHOWS = parameters.described(NOTEBOOK)["show"].allowed
WITHOUT_CHART = ("worklist",)


def test_charts_are_there_before_anything_is_run(lab: Lab) -> None:
    assert lab.shown_before == CHARTS + 1


def test_every_cell_runs(lab: Lab) -> None:
    assert lab.errors() == []
    expect(lab.page.locator(".jp-OutputArea-output svg.marks")).to_have_count(CHARTS + 1)
    for drawing in lab.page.locator(".jp-OutputArea-output svg.marks").all():
        expect(drawing).to_contain_text("Demo practice: synthetic data")
    expect(lab.page.locator(".vega-actions, .vega-embed summary")).to_have_count(0)  # they would send data away
    for section, shown in enumerate(lab.page.locator(".jp-MarkdownOutput h2").all()):
        lab.shoot(f"retention-{section}", shown)
    lab.watch()


def test_every_control_redraws_chart_and_table(lab: Lab) -> None:
    drawing, table = lab.drawing, lab.table
    choices = {"By": "quarter", "Measure": "days 31-90"}
    lists = ("Provider", "Appointment type", "Role", "Modality")
    inputs = {"Months (1-60)": "6", "From": "2025-07-01", "Until": "2026-02-28", "As of": "2026-05-31"}
    for label in (*choices, *lists, *inputs):
        before = lab.explorer.inner_text()
        if label in inputs:
            lab.control(label).fill(inputs[label])
            lab.control(label).press("Tab")
        elif label in choices:
            lab.control(label).select_option(choices[label])
        else:
            lab.control(label).select_option(index=1)
        expect(lab.explorer).not_to_have_text(before, use_inner_text=True)
        if label == "Provider":
            lab.redrawn(drawing)
            lab.shoot("retention-filtered", lab.explorer)
        if label not in inputs:
            lab.press("Reset")
            expect(lab.explorer.locator("table")).to_have_text(table, use_inner_text=True)
    lab.press("Reset")
    expect(lab.explorer.locator("table")).to_have_text(table, use_inner_text=True)


def test_every_view_is_drawn_and_listed(lab: Lab) -> None:
    labels = lab.control("Show").locator("option").all_inner_texts()
    for name, label in zip(SHOWS[1:], labels[1:], strict=True):
        before = lab.table
        lab.control("Show").select_option(label)
        expect(lab.explorer.locator("table")).not_to_have_text(before, use_inner_text=True)
        expect(lab.explorer.locator("svg.marks")).to_be_visible(visible=name not in WITHOUT_CHART)
        lab.shoot(f"retention-{name}".replace(" ", "-"), lab.explorer)
    link = lab.explorer.locator("tbody a").first
    assert (link.get_attribute("href") or "").startswith("https://secure.gethealthie.com/users/")
    lab.control("Show").select_option(labels[1])
    lab.control("Split by").select_option("type")
    expect(lab.explorer.locator("svg.marks")).to_contain_text("Initial")
    lab.press("Reset")
    expect(lab.explorer.locator("svg.marks")).to_contain_text("n 72")


def test_impossible_dates_say_so_in_words(lab: Lab) -> None:
    until = lab.control("Until")
    until.fill("2024-12-31")
    until.press("Tab")
    expect(lab.explorer.get_by_role("status").first).to_contain_text("first day is after the last")
    expect(lab.explorer.locator("svg.marks")).to_be_hidden()
    lab.shoot("retention-impossible", lab.explorer)
    lab.press("Reset")
    expect(lab.explorer.locator("svg.marks")).to_be_visible()


def test_selecting_in_the_chart_lists_its_rows_alone(lab: Lab) -> None:
    rows = lab.explorer.locator("tbody tr")
    everything = rows.count()
    lab.explorer.locator("svg.marks .mark-rect path").first.click(force=True)
    expect(rows).to_have_count(1)
    lab.shoot("retention-selected", lab.explorer)
    lab.press("Reset")
    expect(rows).to_have_count(everything)
    lab.control("Selected").focus()
    lab.page.keyboard.press("ArrowDown")
    expect(rows).to_have_count(1)
    lab.press("Reset")
    expect(rows).to_have_count(everything)
    lab.explorer.locator("svg.marks .mark-rect path").first.click(force=True)
    expect(rows).to_have_count(1)
    lab.control("By").select_option("quarter")
    lab.press("Reset")
    expect(rows).to_have_count(everything)


def test_tab_reaches_every_control_and_arrow_keys_change_it(lab: Lab) -> None:
    visible = "select, input, button"
    wanted = {name for name in lab.explorer.locator(visible).evaluate_all(NAMES) if name}
    assert {"Show", "Provider", "Reset", "Save", "Export", "Show as code"} <= wanted
    reached: set[str] = set()
    lab.control("Show").focus()
    for _ in range(3 * len(wanted)):
        reached |= set(lab.page.locator(":focus").evaluate_all(NAMES))
        lab.page.keyboard.press("Tab")
    assert wanted <= reached
    drawing = lab.drawing
    lab.control("By").focus()
    lab.page.keyboard.press("ArrowDown")
    lab.redrawn(drawing)
    lab.control("As of").focus()
    lab.page.keyboard.press("Tab")
    lab.explorer.get_by_role("button", name="Reset", exact=True).focus()
    lab.page.keyboard.press("Enter")
    expect(lab.control("By")).to_have_value("month")


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
    """Text is light on dark: the chart takes the page's colour. The pictures are for people."""
    lab.theme("Dark")
    title = lab.explorer.locator("svg.marks text", has_text="Share of new clients").first
    colour = title.evaluate("el => getComputedStyle(el).fill")
    red, green, blue = (int(part) for part in colour.removeprefix("rgb(").rstrip(")").split(",")[:3])
    for section, shown in enumerate(lab.page.locator(".jp-MarkdownOutput h2").all()):
        lab.shoot(f"retention-dark-{section}", shown)
    assert min(red, green, blue) > 150


def test_nothing_was_blank_asked_of_another_host_or_went_wrong(lab: Lab) -> None:
    assert lab.blank == 0
    assert lab.refused == []
    assert lab.complaints == []
