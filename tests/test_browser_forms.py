"""The forms notebook in JupyterLab, in a browser that reaches this machine only."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from browsing import Lab

pytestmark = pytest.mark.browser

NOTEBOOK = "form_completion"
CHARTS = 8  # and the explorer's
# What each view shows of itself: in its chart, or in its table where it is a list.
VIEWS = {
    "Notes week by week": "Hatched or hollow",
    "Open notes": "visits without a signed note",
    "Forms of coming visits": "intake, first visits",
    "Before the first visit": "had filled them",
    "Measures on time": "Mood questionnaire",
    "Requests now": "Satisfaction survey",
}
CHART = re.compile(r"^https://secure\.gethealthie\.com/users/\d+$")
LISTS = {
    "Overdue notes": "visits, the longest overdue first",
    "Who lacks forms": "forms lacking, the soonest visits first",
    "Overdue": "clients, the longest waiting first",
}


@pytest.fixture(autouse=True)
def from_the_start(lab: Lab) -> None:
    """Whatever a test left set is set back."""
    lab.press("Reset")


def test_every_cell_runs(lab: Lab) -> None:
    assert lab.errors() == []
    expect(lab.page.locator(".jp-OutputArea-output svg.marks")).to_have_count(CHARTS + 1)
    parts = {"tiles": "At a glance", "notes": "Notes signed in time", "late": "Whose notes", "ready": "Who comes with"}
    for name, text in parts.items():
        lab.shoot(f"forms-{name}", lab.page.get_by_role("heading", name=text).first)


def test_synthetic_data_is_labelled_on_each_chart_and_tile(lab: Lab) -> None:
    for drawing in lab.page.locator(".jp-OutputArea-output svg.marks").all():
        expect(drawing).to_contain_text("Demo practice: synthetic data")
    for tiles in lab.page.locator("section.hn-tiles").all():
        expect(tiles).to_contain_text("Demo practice: synthetic data")


def test_trust_strip_unfolds(lab: Lab) -> None:
    folded = lab.page.get_by_text("Our counts of appointments are Healthie's own.")
    expect(folded).to_be_hidden()
    lab.page.get_by_text("What the other checks say").click()
    expect(folded).to_be_visible()
    lab.shoot("forms-trust", lab.page.locator("section.hn-tiles").last)


def test_every_view_is_drawn(lab: Lab) -> None:
    lab.shoot("forms-explorer", lab.explorer)
    for title, said in VIEWS.items():
        lab.control("Show").select_option(title)
        expect(lab.explorer.locator("svg.marks")).to_contain_text(said)
        expect(lab.explorer.locator("table")).to_be_visible()
        lab.shoot(f"forms-{title.lower().replace(' ', '-')}", lab.explorer)
    for title, said in LISTS.items():
        lab.control("Show").select_option(title)
        expect(lab.explorer.locator("table")).to_contain_text(said)
        expect(lab.explorer.locator("svg.marks")).to_be_hidden()
        link = lab.explorer.locator("tbody a").first
        expect(link).to_have_attribute("href", CHART)
        expect(link).to_have_css("text-decoration-line", "underline")
        lab.shoot(f"forms-{title.lower().replace(' ', '-')}", lab.explorer)
    lab.control("Show").select_option("Time to complete")
    expect(lab.explorer.get_by_role("status").first).to_contain_text("No times yet: the ledger begins after 2026-06-30")


def test_every_control_changes_what_is_shown(lab: Lab) -> None:
    """Each is used once, in a view that it bears on, whose sentence tells of it."""
    sentence = lab.explorer.get_by_role("status").first
    used = [
        (
            "Notes signed in time",
            "took place",
            {"Split by": "role", "Signed within hours (1-720)": 24, "As of": "2026-06-20"},
        ),
        ("Open notes", "no signed note", {"From": "2026-06-15", "Until": "2026-06-25", "Modality": "In Person"}),
        (
            "Forms of coming visits",
            "are coming",
            {"Days ahead (1-60)": 3, "Role": "follow-up", "Appointment type": "Follow-up visit"},
        ),
        ("Overdue notes", "after 72 hours", {"Signed within hours (1-720)": 24, "Provider": "Greta Mbeki"}),
        ("Requests now", "requests", {"Form": "Consent to treatment", "Provider": "Greta Mbeki"}),
        ("Overdue", "waiting", {"Overdue after days (0-365)": 200}),
    ]
    for title, said, controls in used:
        lab.control("Show").select_option(title)
        expect(sentence).to_contain_text(said)
        for label, value in controls.items():
            before, control = sentence.inner_text(), lab.control(label)
            if control.evaluate("element => element.tagName") == "SELECT":
                control.select_option(str(value))
            else:
                control.fill(str(value))
                control.press("Tab")
            expect(sentence, f"{label} in {title}").not_to_have_text(before, use_inner_text=True)
        lab.press("Reset")
        expect(lab.explorer.locator("table")).to_contain_text("signed within 72 hours")


def test_impossible_choice_says_so_in_words(lab: Lab) -> None:
    lab.control("Until").fill("2026-01-01")
    lab.control("Until").press("Tab")
    expect(lab.explorer.get_by_role("status").first).to_contain_text("first day is after the last")
    expect(lab.explorer.locator("svg.marks")).to_be_hidden()
    lab.press("Reset")
    expect(lab.explorer.locator("svg.marks")).to_be_visible()


def test_selecting_in_the_chart_lists_its_rows_alone(lab: Lab) -> None:
    lab.control("Show").select_option("Open notes")
    expect(lab.explorer.locator("svg.marks")).to_contain_text("visits without a signed note")
    rows = lab.explorer.locator("tbody tr")
    everything = rows.count()
    assert everything > 1
    lab.explorer.locator("svg.marks .mark-rect path").first.click(force=True)
    expect(lab.explorer.get_by_text("Selected:")).to_be_visible()
    expect(rows).to_have_count(1)
    lab.shoot("forms-selected", lab.explorer)
    lab.control("Selected").focus()
    lab.page.keyboard.press("Home")
    expect(rows).to_have_count(everything)
    lab.page.keyboard.press("ArrowDown")
    expect(rows).to_have_count(1)


def test_view_is_saved_and_loaded_by_name(lab: Lab) -> None:
    lab.control("Show").select_option("Forms of coming visits")
    lab.control("Save as").fill("monday")
    lab.control("Save as").press("Tab")
    lab.press("Save")
    expect(lab.explorer.get_by_text("monday is saved")).to_be_visible()
    lab.press("Reset")
    expect(lab.explorer.locator("svg.marks")).to_contain_text("signed within 72 hours")
    lab.control("Saved view").select_option("monday")
    lab.press("Load")
    expect(lab.explorer.locator("svg.marks")).to_contain_text("intake, first visits")
    lab.press("Remove")


def test_export_inside_and_outside_the_practice(lab: Lab) -> None:
    lab.control("Export for").select_option("inside the practice")
    lab.press("Export")
    expect(lab.explorer.get_by_text("Written: exports/form_completion-notes-internal")).to_be_visible()
    lab.control("Show").select_option("Overdue")
    lab.control("Export for").select_option("outside the practice")
    lab.press("Export")
    expect(lab.explorer.get_by_text("overdue stays in the practice")).to_be_visible()


def test_code_of_the_view_is_shown(lab: Lab) -> None:
    lab.press("Show as code")
    expect(lab.explorer.get_by_label("Code of this view")).to_contain_text("rows = hn.forms.notes(")
    lab.press("Show as code")


def test_dark_theme_is_legible(lab: Lab) -> None:
    """Text is light on dark, in charts and tiles; the pictures are for people."""
    lab.theme("Dark")
    title = lab.explorer.locator("svg.marks text", has_text="Share of visits").first
    tile = lab.page.locator("section.hn-tiles b").first
    for text, part in ((title, "fill"), (tile, "color")):
        colour = text.evaluate(f"el => getComputedStyle(el).{part}")
        assert min(int(value) for value in colour.removeprefix("rgb(").rstrip(")").split(",")[:3]) > 150
    for name, shown in (
        ("explorer", lab.explorer),
        ("tiles", lab.page.get_by_role("heading", name="At a glance").first),
        ("notes", lab.page.get_by_role("heading", name="Notes signed in time").first),
        ("late", lab.page.get_by_role("heading", name="Whose notes").first),
        ("ready", lab.page.get_by_role("heading", name="Who comes with").first),
    ):
        lab.shoot(f"forms-dark-{name}", shown)
    lab.control("Show").select_option("Overdue notes")
    expect(lab.explorer.locator("tbody a").first).to_be_visible()
    lab.shoot("forms-dark-overdue-notes", lab.explorer)


def test_nothing_was_asked_of_another_host_and_nothing_went_wrong(lab: Lab) -> None:
    assert lab.refused == []
    assert lab.complaints == [], lab.complaints
