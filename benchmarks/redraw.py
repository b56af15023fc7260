"""How long an explorer takes to show another view, and a notebook to run: `python benchmarks/redraw.py`.

From a change in Chromium to the other chart, in JupyterLab on the default demo practice; what of it is Python's
with a million visits; Run All with nothing kept and with all kept; the size of the saved notebook.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import clinic
import polars as pl

from healthie_nb import explore, parameters

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "tests"))  # where the browser is driven from
from browsing import Lab, opened, run_all, serving_lab  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    from healthie_nb.live import Explorer

BEGIN, END = "<!-- redraw: begin -->", "<!-- redraw: end -->"
NOTEBOOK = "retention"
# A change of the control with this label, and the time until the explorer's chart is another, and painted.
CHANGE = """([explorer, label, index]) => new Promise((done, fail) => {
    const list = [...explorer.querySelectorAll('label')].find(one => one.textContent === label).control;
    const drawing = () => explorer.querySelector('svg.marks')?.innerHTML;
    const before = drawing();
    list.selectedIndex = index;
    const began = performance.now();
    list.dispatchEvent(new Event('change', {bubbles: true}));
    const look = () => {
        const now = drawing();
        if (now && now !== before) requestAnimationFrame(() => done(performance.now() - began));
        else if (performance.now() - began > 10000) fail(new Error(`no other chart after ${label}`));
        else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
})"""
RESTART = "async () => { await jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart(); }"
SAVE = "async () => { await jupyterapp.shell.currentWidget.context.save(); }"


@dataclass(frozen=True)
class Made:
    """A practice that was never connected to."""

    is_synthetic: bool = True
    pseudonym_key: bytes = b"k" * 32


def pythons_share(rows: int, runs: int) -> dict[str, list[float]]:
    """Milliseconds from a changed list to the new state of all widgets, by view, after the view was shown once."""
    given = clinic.practice(rows)
    ids = [given.visits[column].drop_nulls().unique().sort() for column in ("provider_id", "appointment_type_id")]
    providers, types = (pl.DataFrame({"id": one, "name": "Dr " + one}) for one in ids)
    clients = given.clients
    began = time.perf_counter()
    shown = explore.retention(
        Made(),  # type: ignore[arg-type]
        given.visits,
        parameters.settings(NOTEBOOK, {"history_from": clinic.HISTORY}),
        clients=clients,
        providers=providers,
        appointment_types=types,
    )
    print(f"made in {time.perf_counter() - began:.1f} s of {given.visits.height:,} visits", flush=True)
    return {view: list(changes(shown, view, runs)) for view in shown.shows}


def changes(shown: Explorer, view: str, runs: int) -> Iterator[float]:
    """Choose another provider, again and again."""
    shown.controls["show"].value = view
    name = next(one for one in ("provider_ids", "as_of") if one in shown.show.controls)
    control = shown.controls[name]
    values = [(key,) for key in control.names] if name == "provider_ids" else [date(2026, 5, 31), date(2026, 6, 30)]
    control.value = values[1]
    for i in range(runs):
        began = time.perf_counter()
        control.value = values[i % 2 if name == "as_of" else i % len(values)]
        yield 1000 * (time.perf_counter() - began)
    shown.reset()


def in_browser(runs: int) -> dict[str, Any]:
    """Measure what the notebook's reader waits for."""
    with tempfile.TemporaryDirectory() as name, serving_lab(Path(name)) as address:
        folder = Path(name)
        with opened(address, NOTEBOOK, folder) as lab:
            found: dict[str, Any] = {"cold_s": timed(lab)}
            lab.page.evaluate(RESTART)
            found["warm_s"] = timed(lab)
            assert lab.errors() == []
            found["redraws"] = [one for i in range(runs) for one in redraws(lab, i)]
            lab.page.evaluate(SAVE)
            found["bytes"] = (folder / "mine" / f"{NOTEBOOK}.ipynb").stat().st_size
            found["complaints"] = lab.complaints
    return found


def timed(lab: Lab) -> float:
    """Seconds of Run All."""
    began = time.perf_counter()
    run_all(lab)
    return time.perf_counter() - began


def redraws(lab: Lab, i: int) -> Iterator[float]:
    """Milliseconds from a change to the other chart: another provider, another type, another period."""
    explorer = lab.explorer.element_handle()
    for label, index in (("Provider", 1 + i % 8), ("Appointment type", 1 + i % 2), ("By", 2 * (i % 2))):
        yield lab.page.evaluate(CHANGE, [explorer, label, index])
        lab.page.wait_for_timeout(300)
        lab.press("Reset")
        lab.page.wait_for_timeout(700)


def spread(times: list[float]) -> str:
    """Median and 90th percentile."""
    return f"{statistics.median(times):.0f} | {statistics.quantiles(times, n=10)[-1]:.0f} | {len(times)}"


def table(share: dict[str, list[float]], seen: dict[str, Any], rows: int) -> str:
    """Return the figures as tables."""
    all_views = [one for times in share.values() for one in times]
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, polars {pl.__version__}, two shared cores.",
        "",
        "| | median ms | 90th percentile | changes |",
        "|---|---|---|---|",
        f"| change to redrawn chart, default demo, in JupyterLab | {spread(seen['redraws'])} |",
        f"| Python's share, {rows:,} visits, every view | {spread(all_views)} |",
        *(f"| of these, {view} | {spread(times)} |" for view, times in share.items()),
        "",
        f"Run All with nothing kept: {seen['cold_s']:.0f} s. With all kept, in a new kernel: {seen['warm_s']:.0f} s.",
        f"Saved notebook: {seen['bytes'] / 1000:.0f} kB.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=12)
    parser.add_argument("--only", choices=("python", "browser"), help="print this half, and leave README.md as it is")
    options = parser.parse_args()
    share = {} if options.only == "browser" else pythons_share(options.rows, options.runs)
    if options.only == "python":
        print({view: spread(times) for view, times in share.items()})
        return
    seen = in_browser(options.runs)
    print(seen)
    if options.only:
        return
    text = table(share, seen, options.rows)
    print(text)
    path = HERE / "README.md"
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
