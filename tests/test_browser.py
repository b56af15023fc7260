"""The notebook as the analyst sees it: `healthie-nb lab` in Chromium, with every host but loopback blocked."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Locator, Page, Route, expect, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.browser

CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
RUN_ALL = """async () => {
    const notebook = jupyterapp.shell.currentWidget;
    await notebook.context.ready;
    await notebook.sessionContext.ready;
    await jupyterapp.commands.execute('notebook:run-all-cells');
}"""
REDRAWN = """([explorer, before]) => {
    const drawing = explorer.querySelector('svg.marks');
    return drawing && drawing.innerHTML.length && drawing.innerHTML !== before;
}"""
COMMAND = "([command, options]) => jupyterapp.commands.execute(command, options)"
RUN_ALL_MS = 120_000


@dataclass
class Lab:
    """An open notebook, and what the browser asked for and complained about."""

    page: Page
    folder: Path
    refused: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def explorer(self) -> Locator:
        return self.page.locator(".jp-OutputArea-output:has(.widget-select-multiple)")

    @property
    def table(self) -> str:
        return self.explorer.locator("table").inner_text()

    @property
    def drawing(self) -> str:
        return self.explorer.locator("svg.marks").inner_html()

    def shoot(self, name: str, shown: Locator) -> None:
        """Leave a picture in the folder of this run, or in $SCREENSHOTS, for people to look at."""
        shown.evaluate("element => element.scrollIntoView({block: 'start'})")
        self.page.wait_for_timeout(500)
        self.page.screenshot(path=os.environ.get("SCREENSHOTS", str(self.folder)) + f"/{name}.png")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return what `healthie-nb lab --no-browser` prints as its URL, with the settings of nobody."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "config").mkdir()
    # The tests give JupyterLab commands from inside the page; what users start does not allow that.
    (folder / "config" / "jupyter_lab_config.json").write_text(json.dumps({"LabApp": {"expose_app_in_browser": True}}))
    places = ("JUPYTER_CONFIG", "JUPYTER_DATA", "JUPYTER_RUNTIME", "JUPYTERLAB_SETTINGS", "JUPYTERLAB_WORKSPACES")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("HEALTHIE_", "JUPYTER"))},
        **{f"{place}_DIR": str(folder / place.rpartition("_")[2].lower()) for place in (*places, "HEALTHIE_CACHE")},
        "IPYTHONDIR": str(folder / "ipython"),
    }
    command = [sys.executable, "-m", "healthie_nb.cli", "lab", "--no-browser", "--port", "18888", str(folder / "mine")]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True) as lab,
    ):
        try:
            yield next(line.strip() for line in lab.stdout or () if "http://" in line)
        finally:
            lab.terminate()


@pytest.fixture(scope="module")
def lab(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Open the notebook in a browser that reaches this machine only, and run all its cells."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        lab = Lab(page, tmp_path_factory.mktemp("screenshots"))

        def guard(route: Route) -> None:
            if urlsplit(route.request.url).hostname in ("127.0.0.1", "localhost"):
                route.continue_()
            else:
                lab.refused.append(route.request.url)
                route.abort()

        page.route("**/*", guard)
        page.on("console", lambda said: lab.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: lab.complaints.append(str(error)))
        _open(page, address)
        lab.shoot("reopened", page.locator("[data-mime-type='image/png']").last)
        page.set_default_timeout(RUN_ALL_MS)
        page.evaluate(RUN_ALL)
        page.set_default_timeout(15_000)
        yield lab
        browser.close()


def _open(page: Page, address: str) -> None:
    for _ in range(60):  # The URL is printed before the server listens.
        with contextlib.suppress(Exception):
            page.goto(address)
            break
        page.wait_for_timeout(500)
    page.locator(".jp-Cell").first.wait_for(timeout=60_000)
    page.locator("#jupyterlab-splash").wait_for(state="detached", timeout=60_000)


def test_every_cell_runs(lab: Lab) -> None:
    assert lab.page.locator(".jp-OutputArea-output[data-mime-type*='error']").all_inner_texts() == []
    assert lab.page.locator(".jp-OutputArea-output[data-mime-type*='stderr']").all_inner_texts() == []
    expect(lab.page.locator(".jp-OutputArea-output svg.marks")).to_have_count(2)
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
    lab.explorer.get_by_label("Provider", exact=True).select_option(index=1)
    expect(lab.explorer.locator("table")).not_to_have_text(table, use_inner_text=True)
    lab.page.wait_for_function(REDRAWN, arg=[lab.explorer.element_handle(), drawing])
    lab.shoot("filtered", lab.explorer)
    lab.explorer.get_by_role("button", name="Reset").click()
    expect(lab.explorer.locator("table")).to_have_text(table, use_inner_text=True)


def test_cohorts_by_quarter(lab: Lab) -> None:
    lab.explorer.get_by_label("By", exact=True).select_option("quarter")
    expect(lab.explorer.locator("svg.marks")).to_contain_text("Q2 2025")
    lab.explorer.get_by_role("button", name="Reset").click()
    expect(lab.explorer.locator("svg.marks")).not_to_contain_text("Q2 2025")


def test_impossible_dates_say_so_in_words(lab: Lab) -> None:
    until = lab.explorer.get_by_label("until", exact=True)
    until.fill("2024-12-31")
    until.press("Tab")
    expect(lab.explorer.get_by_role("status").first).to_contain_text("first day is after the last")
    expect(lab.explorer.locator("svg.marks")).to_be_hidden()
    lab.shoot("impossible", lab.explorer)
    lab.explorer.get_by_role("button", name="Reset").click()
    expect(lab.explorer.locator("svg.marks")).to_be_visible()


def test_selecting_in_the_chart_lists_its_rows_alone(lab: Lab) -> None:
    rows = lab.explorer.locator("tbody tr")
    everything = rows.count()
    lab.explorer.locator("svg.marks .mark-rect path").first.click(force=True)
    expect(rows).to_have_count(1)
    lab.shoot("selected", lab.explorer)
    lab.explorer.get_by_role("button", name="Reset").click()
    lab.explorer.get_by_label("By", exact=True).select_option("quarter")
    lab.explorer.get_by_role("button", name="Reset").click()
    expect(rows).to_have_count(everything)


def test_view_is_saved_and_loaded_by_name(lab: Lab) -> None:
    press = lab.explorer.get_by_role
    lab.explorer.get_by_label("By", exact=True).select_option("quarter")
    lab.explorer.get_by_label("Save as", exact=True).fill("board")
    lab.explorer.get_by_label("Save as", exact=True).press("Tab")
    press("button", name="Save").click()
    expect(lab.explorer.get_by_text("board is saved")).to_be_visible()
    press("button", name="Reset").click()
    expect(lab.explorer.locator("svg.marks")).not_to_contain_text("Q2 2025")
    lab.explorer.get_by_label("Saved view", exact=True).select_option("board")
    press("button", name="Load").click()
    expect(lab.explorer.locator("svg.marks")).to_contain_text("Q2 2025")
    press("button", name="Remove").click()
    press("button", name="Reset").click()


def test_export_asks_for_whom_and_says_where_it_is(lab: Lab) -> None:
    lab.explorer.get_by_role("button", name="Export").click()
    expect(lab.explorer.get_by_text("Choose first for whom")).to_be_visible()
    lab.explorer.get_by_label("Export for", exact=True).select_option("inside the practice")
    lab.explorer.get_by_role("button", name="Export").click()
    expect(lab.explorer.get_by_text("Written: exports/retention-cohorts-internal")).to_be_visible()


def test_dark_theme_is_legible(lab: Lab) -> None:
    """Text is light on dark: the chart takes the page's colour. The picture is for people."""
    lab.page.evaluate(COMMAND, ["apputils:change-theme", {"theme": "JupyterLab Dark"}])
    expect(lab.page.locator("body")).to_have_attribute("data-jp-theme-light", "false")
    lab.page.wait_for_timeout(1_000)
    title = lab.explorer.locator("svg.marks text", has_text="Share of new clients").first
    colour = title.evaluate("el => getComputedStyle(el).fill")
    red, green, blue = (int(part) for part in colour.removeprefix("rgb(").rstrip(")").split(",")[:3])
    lab.shoot("dark", lab.explorer)
    assert min(red, green, blue) > 150


def test_nothing_was_asked_of_another_host_and_nothing_went_wrong(lab: Lab) -> None:
    assert lab.refused == []
    assert lab.complaints == []
