"""The volume notebook in JupyterLab, in a browser that reaches this machine only."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from browsing import NAMES
from playwright.sync_api import expect

from healthie_nb import parameters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from browsing import Lab

pytestmark = pytest.mark.browser

NOTEBOOK = "appointment_volume"
SHOWS = dict(
    zip(
        parameters.described(NOTEBOOK)["show"].allowed,
        ("On the calendar", "Per working day", "Missed visits", "Missed: first visits", "Cancelled, by whom",
         "Cancelled, why", "Unmarked", "Booked ahead", "Booking curve", "Weekday and hour", "Days booked ahead",
         "Providers", "Rebooked", "Clients under care"),
        strict=True,
    )
)  # fmt: skip
CHARTS = 9  # of the sections; the explorer's is one more


@pytest.fixture(scope="module")
def start(lab: Lab) -> str:
    """Return the table as it is at first."""
    expect(lab.explorer.locator("table")).to_contain_text("22 Jun 2026")
    return lab.table


@pytest.fixture(autouse=True)
def as_it_starts(lab: Lab, start: str) -> Iterator[None]:
    """Go back to the notebook's parameters after each test, and wait until that is done."""
    yield
    lab.press("Reset")
    expect(lab.explorer.locator("table")).to_have_text(start, use_inner_text=True)


def showing(lab: Lab, title: str) -> None:
    """Show something else, and wait for its table."""
    table = lab.table
    lab.control("Show").select_option(title)
    expect(lab.explorer.locator("table")).not_to_have_text(table, use_inner_text=True)


def test_every_cell_runs(lab: Lab) -> None:
    assert lab.shown_before == CHARTS + 1  # reopened, it shows its charts before anything is run
    assert lab.errors() == []
    expect(lab.page.locator(".jp-OutputArea-output svg.marks")).to_have_count(CHARTS + 1)
    for drawing in lab.page.locator(".jp-OutputArea-output svg.marks").all():
        expect(drawing).to_contain_text("Demo practice: synthetic data")
    lab.shoot("volume-top", lab.page.locator(".hn-tiles").first)
    for i, drawing in enumerate(lab.page.locator("svg.marks").all()):
        lab.shoot(f"volume-{i}", drawing)
    lab.watch()


def test_no_chart_offers_to_send_its_data_to_an_editor(lab: Lab) -> None:
    expect(lab.page.locator(".vega-actions, .vega-embed summary")).to_have_count(0)


def test_every_view_draws_its_own_chart_and_table(lab: Lab) -> None:
    for show, title in list(SHOWS.items())[1:]:
        drawing = lab.drawing
        showing(lab, title)
        lab.redrawn(drawing)
        expect(lab.explorer.locator("svg.marks")).to_contain_text("Demo practice: synthetic data")
        lab.shoot(f"volume-view-{show.replace(' ', '-')}", lab.explorer)


# Each with what it changes in the sentence, the table or the chart of the view in which it is used.
CONTROLS = {
    "By": ("On the calendar", "month", "Client visits per month"),
    "Count": ("On the calendar", "provider hours", "Provider hours per week"),
    "Compare to": ("On the calendar", "period before", "the week before"),
    "Split by": ("On the calendar", "modality", "by modality"),
    "Measure": ("Missed visits", "no-show", "missed: no-shows"),
    "Late by": ("Providers", "notice", "missed"),
}


@pytest.mark.parametrize("label", CONTROLS)
def test_choice_changes_the_view(lab: Lab, label: str) -> None:
    title, word, said = CONTROLS[label]
    if title != SHOWS["visits"]:
        showing(lab, title)
    drawing = lab.drawing
    lab.control(label).select_option(word)
    lab.redrawn(drawing)
    expect(lab.explorer).to_contain_text(said)


@pytest.mark.parametrize("label", ["Provider", "Appointment type", "Role", "Modality"])
def test_list_says_how_many_remain(lab: Lab, label: str) -> None:
    status = lab.explorer.get_by_role("status").first
    everything = status.inner_text()
    lab.control(label).select_option(index=1)
    expect(status).not_to_have_text(everything)
    expect(status).to_contain_text(f" clients for {label.lower()} ")


def test_days_and_weeks_ahead_change_the_view(lab: Lab) -> None:
    rows = lab.explorer.locator("tbody tr")
    for label, day in {"From": "2026-05-04", "Until": "2026-05-31", "As of": "2026-05-20"}.items():
        before = rows.count()
        lab.control(label).fill(day)
        lab.control(label).press("Tab")
        expect(rows).not_to_have_count(before)
    expect(rows).to_have_count(3)
    showing(lab, "Booked ahead")
    expect(rows).to_have_count(4)
    lab.control("Weeks ahead (1-26)").fill("6")
    lab.control("Weeks ahead (1-26)").press("Tab")
    expect(rows).to_have_count(6)


def test_impossible_days_say_so_in_words(lab: Lab) -> None:
    lab.control("Until").fill("2025-12-31")
    lab.control("Until").press("Tab")
    expect(lab.explorer.get_by_role("status").first).to_contain_text("first day is after the last")
    expect(lab.explorer.locator("svg.marks")).to_be_hidden()


@pytest.mark.parametrize(
    ("show", "mark"),
    [("visits", ".mark-rect path"), ("cancelled", ".mark-rect path"), ("missed", ".mark-symbol path")],
)
def test_selecting_in_the_chart_lists_its_rows_alone(lab: Lab, show: str, mark: str) -> None:
    if show != "visits":
        drawing = lab.drawing
        showing(lab, SHOWS[show])
        lab.redrawn(drawing)
    rows = lab.explorer.locator("tbody tr")
    lab.page.wait_for_timeout(300)
    lab.explorer.locator(f"svg.marks {mark}").first.click(force=True)
    expect(rows).to_have_count(1)
    expect(lab.explorer.get_by_text(re.compile("^Selected: "))).to_be_visible()
    expect(lab.control("Selected").locator("option:checked")).not_to_contain_text("All")
    lab.shoot(f"volume-selected-{show}", lab.explorer)
    box = lab.explorer.locator("svg.marks path.background").first.bounding_box()
    assert box
    lab.page.mouse.click(box["x"] + box["width"] - 3, box["y"] + 3)  # beside the marks, and still in the chart
    expect(lab.explorer.get_by_text(re.compile("^Selected: "))).to_have_count(0)
    expect(lab.control("Selected").locator("option:checked")).to_contain_text("All")


def test_keys_select_in_a_list_what_a_click_selects_in_the_chart(lab: Lab) -> None:
    names = lab.explorer.locator("select, input, button").evaluate_all(NAMES)
    assert "Selected" in names
    assert all(names)
    rows, outlined = lab.explorer.locator("tbody tr"), lab.explorer.locator("svg.marks path[stroke='currentColor']")
    everything = rows.count()
    lab.control("Modality").focus()
    lab.page.keyboard.press("Tab")
    expect(lab.control("Selected")).to_be_focused()
    for key, count, status in (
        ("ArrowDown", 1, "occurred"),
        ("Shift+ArrowDown", 2, "no-show"),
        ("End", 1, "cancelled"),
    ):
        lab.page.keyboard.press(key)
        expect(outlined).to_have_count(count)
        expect(lab.explorer.locator("thead")).to_contain_text(status)
        expect(rows).to_have_count(1)
    expect(lab.explorer.locator("tbody")).to_contain_text("22 Jun 2026")
    lab.shoot("volume-by-keys", lab.explorer)
    lab.page.keyboard.press("Home")
    expect(rows).to_have_count(everything)
    expect(outlined).to_have_count(0)
    expect(lab.control("Selected")).to_be_focused()


def test_both_maps_of_the_week_can_be_clicked(lab: Lab) -> None:
    drawing = lab.drawing
    showing(lab, SHOWS["weekday and hour"])
    lab.redrawn(drawing)
    lab.page.wait_for_timeout(300)
    cells = lab.explorer.locator("svg.marks .mark-rect path")
    for cell, said in ((cells.first, "Mon · 8:00"), (cells.last, "Wed · 17:00")):
        cell.click(force=True)
        expect(lab.explorer.get_by_text(re.compile("^Selected: "))).to_contain_text(said)
        expect(lab.explorer.locator("tbody tr")).to_have_count(1)
        expect(lab.explorer.locator("svg.marks path[stroke='currentColor']")).to_have_count(2)


def test_split_is_called_by_what_the_chart_shows(lab: Lab) -> None:
    chosen = lab.control("Split by").locator("option:checked")
    for title, word in (("On the calendar", "status"), ("Missed visits", "nothing"), ("Per working day", "status")):
        lab.control("Show").select_option(title)
        expect(chosen).to_have_text(word)


def test_view_is_saved_and_loaded_by_name(lab: Lab) -> None:
    showing(lab, "Missed visits")
    lab.control("By").select_option("month")
    expect(lab.explorer.locator("table")).not_to_contain_text("30 Mar 2026")
    lab.control("Save as").fill("monday")
    lab.control("Save as").press("Tab")
    lab.press("Save")
    expect(lab.explorer.get_by_text("monday is saved")).to_be_visible()
    lab.press("Reset")
    expect(lab.explorer.locator("svg.marks")).to_contain_text("Client visits per week")
    lab.control("Saved view").select_option("monday")
    lab.press("Load")
    expect(lab.explorer.locator("svg.marks")).to_contain_text("Share of due visits missed")
    expect(lab.explorer.locator("table")).not_to_contain_text("30 Mar 2026")
    lab.press("Remove")
    expect(lab.explorer.get_by_text("monday is removed")).to_be_visible()


@pytest.mark.parametrize("what", ["Table as CSV", "Chart as SVG"])
def test_export_asks_for_whom_and_says_where_it_is(lab: Lab, what: str) -> None:
    lab.control("Export for").select_option("Choose")
    lab.press("Export")
    expect(lab.explorer.get_by_text("Choose first for whom")).to_be_visible()
    for audience in ("inside", "outside"):
        lab.control("Export for").select_option(f"{audience} the practice")
        lab.control("What").select_option(what)
        lab.press("Export")
        kind = {"inside": "internal", "outside": "external"}[audience]
        # A column whose counts are hidden in part would be too short.
        is_refused = audience == "outside" and what == "Chart as SVG"
        written = f"Written: exports/appointment_volume-visits-{kind}"
        said = "without them its sums would be wrong" if is_refused else written
        expect(lab.explorer.get_by_text(said)).to_be_visible()


def test_code_of_the_view_is_shown(lab: Lab) -> None:
    lab.press("Show as code")
    expect(lab.explorer.locator("pre")).to_contain_text("rows = hn.volume.counts(")
    lab.press("Show as code")


def test_dark_theme_is_legible(lab: Lab) -> None:
    """Text is light on dark: charts and tiles take the page's colour. The pictures are for people."""
    lab.theme("Dark")
    for i, drawing in enumerate(lab.page.locator("svg.marks").all()):
        title = drawing.locator("text").first
        colour = title.evaluate("el => getComputedStyle(el).fill")
        assert min(int(part) for part in re.findall(r"\d+", colour)[:3]) > 150
        lab.shoot(f"volume-dark-{i}", drawing)
    lab.shoot("volume-dark-top", lab.page.locator(".hn-tiles").first)
    lab.theme("Light")


def test_nothing_was_blank_asked_of_another_host_or_went_wrong(lab: Lab) -> None:
    assert lab.blank == 0
    assert lab.refused == []
    assert lab.complaints == []
