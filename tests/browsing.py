"""A notebook as the analyst sees it: `healthie-nb lab` in Chromium, with every host but loopback blocked.

A test module says which notebook it opens, `NOTEBOOK = "retention"`, and uses the fixture `lab`: the open notebook
after Run All. What is saved and loaded is shared by all modules, as it is by an analyst's notebooks.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from playwright.sync_api import Locator, Page, Route, expect, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHROMIUM: Final = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
PLACES: Final = ("JUPYTER_CONFIG", "JUPYTER_DATA", "JUPYTER_RUNTIME", "JUPYTERLAB_SETTINGS", "JUPYTERLAB_WORKSPACES")
RUN_ALL: Final = """async () => {
    const notebook = jupyterapp.shell.currentWidget;
    await notebook.context.ready;
    await notebook.sessionContext.ready;
    await jupyterapp.commands.execute('notebook:run-all-cells');
}"""
REDRAWN: Final = """([explorer, before]) => {
    const drawing = explorer.querySelector('svg.marks');
    return drawing && drawing.innerHTML.length && drawing.innerHTML !== before;
}"""
# What controls in sight are called, by their labels, their own words, or what stands in them until something else does.
NAMES: Final = """all => all.filter(one => one.offsetParent && !one.disabled).map(
    one => one.labels?.[0]?.textContent || one.textContent.trim() || one.placeholder || '')"""
# Frames in which the explorer has room for a chart and nothing in it.
WATCH: Final = """explorer => {
    window.blank = 0;
    const look = () => {
        const room = explorer.querySelector('.vega-embed');
        if (room && room.offsetParent && !explorer.querySelector('svg.marks g path')) window.blank += 1;
        requestAnimationFrame(look);
    };
    look();
}"""
COMMAND: Final = "([command, options]) => jupyterapp.commands.execute(command, options)"
RUN_ALL_MS: Final = 120_000
expect.set_options(timeout=20_000)  # of a machine that does other things as well


@dataclass
class Lab:
    """An open notebook, and what the browser asked for and complained about."""

    page: Page
    folder: Path
    shown_before: int = 0  # charts, when nothing was run yet
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

    def control(self, label: str) -> Locator:
        return self.explorer.get_by_label(label, exact=True)

    def press(self, button: str) -> None:
        self.explorer.get_by_role("button", name=button, exact=True).click()

    def redrawn(self, before: str) -> None:
        """Wait until the explorer's chart is another than it was."""
        self.page.wait_for_function(REDRAWN, arg=[self.explorer.element_handle(), before])

    def watch(self) -> None:
        """From now on, count the frames in which the explorer's chart is blank: `blank`."""
        self.page.evaluate(WATCH, self.explorer.element_handle())

    @property
    def blank(self) -> int:
        return int(self.page.evaluate("window.blank"))

    def errors(self) -> list[str]:
        """Return what cells said on their way out, or on stderr."""
        output = ".jp-OutputArea-output[data-mime-type*='{}']"
        return [
            text for kind in ("error", "stderr") for text in self.page.locator(output.format(kind)).all_inner_texts()
        ]

    def theme(self, name: str) -> None:
        """Change JupyterLab's colours: "Light" or "Dark"."""
        self.page.evaluate(COMMAND, ["apputils:change-theme", {"theme": f"JupyterLab {name}"}])
        is_light = str(name == "Light").lower()
        expect(self.page.locator("body")).to_have_attribute("data-jp-theme-light", is_light)
        self.page.wait_for_timeout(500)

    def shoot(self, name: str, shown: Locator) -> None:
        """Leave a picture in the folder of this run, or in $SCREENSHOTS, for people to look at."""
        shown.evaluate("element => element.scrollIntoView({block: 'start'})")
        self.page.wait_for_timeout(300)
        self.page.screenshot(path=os.environ.get("SCREENSHOTS", str(self.folder)) + f"/{name}.png")


@contextlib.contextmanager
def serving_lab(folder: Path) -> Iterator[str]:
    """Run `healthie-nb lab --no-browser` with the settings of nobody; give what it prints as its URL."""
    (folder / "config").mkdir()
    # The tests give JupyterLab commands from inside the page; what users start does not allow that.
    (folder / "config" / "jupyter_lab_config.json").write_text(json.dumps({"LabApp": {"expose_app_in_browser": True}}))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("HEALTHIE_", "JUPYTER"))},
        **{f"{place}_DIR": str(folder / place.rpartition("_")[2].lower()) for place in (*PLACES, "HEALTHIE_CACHE")},
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


@contextlib.contextmanager
def opened(address: str, notebook: str, folder: Path) -> Iterator[Lab]:
    """Open a notebook in a browser that reaches this machine only; nothing of it is run yet."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        lab = Lab(page, folder)

        def guard(route: Route) -> None:
            if urlsplit(route.request.url).hostname in ("127.0.0.1", "localhost"):
                route.continue_()
            else:
                lab.refused.append(route.request.url)
                route.abort()

        page.route("**/*", guard)
        page.on("console", lambda said: lab.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: lab.complaints.append(str(error)))
        # In a workspace of its own: another would open the notebooks of other modules again beside it.
        own = f"/lab/workspaces/{notebook}/tree/{notebook}.ipynb"
        _go(page, address.replace("/lab/tree/retention.ipynb", own))
        yield lab
        browser.close()


def run_all(lab: Lab) -> None:
    """Run all cells and wait until they have ended."""
    lab.page.set_default_timeout(RUN_ALL_MS)
    lab.page.evaluate(RUN_ALL)
    lab.page.set_default_timeout(15_000)


def _go(page: Page, address: str) -> None:
    for _ in range(60):  # The URL is printed before the server listens.
        with contextlib.suppress(Exception):
            page.goto(address)
            break
        page.wait_for_timeout(500)
    page.locator(".jp-Cell").first.wait_for(timeout=60_000)
    page.locator("#jupyterlab-splash").wait_for(state="detached", timeout=60_000)
