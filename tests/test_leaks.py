"""Nothing leaks: a practice with planted names, e-mails, birth dates, notes, ids and key, and everything run on it.

First the canaries are seen in the frames of who asked for them by name. Then they are looked for in what is left of it
all: logs at DEBUG, tracebacks and their causes, notebooks as they are saved, with their charts and the state of their
widgets, pages and exports, cache and temporary files.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import re
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import nbformat
import polars as pl
import pytest
import stamina
from conftest import Clock, answering
from test_session import everything

from healthie_nb import cli, parameters, report
from healthie_nb.demo import Canary, World, serving
from healthie_nb.demo import Settings as Behaviour
from healthie_nb.practice import Practice, configured
from healthie_nb.query import HealthieError
from healthie_nb.settings import DATA_DIR, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from healthie_nb.demo import Served

CANARY = Canary()
KEY = "gh_demo_canary7d1e55"
CACHE_KEY = "5ca1ab1e" * 8
PLANTED = {
    "name": [CANARY.name],
    "e-mail": [CANARY.email],
    "birth date": [CANARY.dob.isoformat(), f"{CANARY.dob:%m/%d/%Y}", f"{CANARY.dob:%Y%m%d}"],
    "note": [CANARY.note],
    "id": [CANARY.client_id],
    "key": [KEY],
    "cache key": [CACHE_KEY],
    "link": [f"/users/{digit}" for digit in range(10)],
}
# What an analyst may ask for by name, and then has.
PEOPLE = """\
query people($first: Int, $after: String) {
  users(active_status: null, show_all_by_default: true, order_by: CREATED_AT_ASC, first: $first, after: $after) {
    total_count
    page_info { has_next_page end_cursor }
    nodes { id first_name last_name email dob quick_notes }
  }
}
"""
NOTED = """\
query noted($start: ISO8601DateTime!, $end: ISO8601DateTime!, $first: Int, $after: String) @window(on: "starts_at") {
  appointments(is_org: true, filter: "all", with_all_statuses: true, include_blockers: false,
               filter_synced_appointments: true, startDate: $start, endDate: $end,
               order_by: CREATED_AT_ASC, first: $first, after: $after) {
    total_count
    page_info { has_next_page end_cursor }
    nodes { id starts_at: date notes client: user { id first_name } }
  }
}
"""
# Other parameters than the notebooks' own, one of each kind.
OTHERS: dict[str, dict[str, Any]] = {
    "retention": {"as_of": "2026-05-31", "every": "quarter", "start": "2024-07-01", "split": "provider"},
    "appointment_volume": {"as_of": "2026-05-31", "end": "2026-05-31", "every": "month", "weeks_ahead": 2},
    "form_completion": {"as_of": "2026-05-31", "start": "2026-04-01", "end": "2026-05-31", "split": ""},
}
EXISTING = [name for name in parameters.NOTEBOOKS if report.packaged(name).is_file()]
FIRST = """\
import logging
import re

logging.basicConfig(filename="kernel.log", level=logging.DEBUG, force=True)
"""
LAST = """\
from pathlib import Path

people = practice.load(Path("people.graphql"))


def exported(show, ending):
    explorer.set({"show": show})
    explorer.desk.audience.value, explorer.desk.format.value = "external", ending
    explorer.desk.press(explorer.desk._export)
    return f"{show}.{ending}: {explorer.desk.said}"


[exported(show, "csv") for show in explorer.shows] + [
    exported(next(iter(explorer.shows)), ending) for ending in ("xlsx", "parquet", "png", "svg")
]
"""
ECHO = f"{CANARY.name} {CANARY.email}, born {CANARY.dob}, {CANARY.note}, client {CANARY.client_id}, key {KEY}"
OWNER = {"currentUser": {"id": "1", "timezone": "Europe/Berlin", "organization": {"id": "2", "name": "Praxis"}}}
PAGE = {"total_count": 1, "page_info": {"has_next_page": False, "end_cursor": None}}
JANE = {
    "id": CANARY.client_id,
    "first_name": CANARY.name,
    "last_name": None,
    "email": CANARY.email,
    "quick_notes": ECHO,
}
ANSWERS: dict[str, tuple[int, dict[str, str], Any]] = {
    "errors that quote": (200, {}, {"errors": [{"message": ECHO, "extensions": {"value": ECHO}, "path": [ECHO]}]}),
    "validation": (200, {}, {"errors": [{"message": f'Variable "$after" got invalid value "{ECHO}"'}]}),
    "too complex": (200, {}, {"errors": [{"message": f"{ECHO} has complexity of 2001, which exceeds max 2000"}]}),
    "partly": (200, {}, {"data": {"users": {**PAGE, "nodes": [None]}}, "errors": [{"message": ECHO}]}),
    "wrong date": (200, {}, {"data": {"users": {**PAGE, "nodes": [JANE | {"dob": ECHO}]}}}),
    "wrong shape": (200, {}, {"data": {"users": {**PAGE, "nodes": [JANE | {"dob": {"is": ECHO}}]}}}),
    "more rows than counted": (200, {}, {"data": {"users": {**PAGE, "total_count": 7, "nodes": [JANE]}}}),
    "key refused": (401, {}, {"error": ECHO}),
    "not found": (404, {}, {"error": ECHO}),
    "redirect": (302, {"Location": f"https://evil.example/{KEY}"}, {"error": ECHO}),
    "server failed": (500, {}, {"error": ECHO}),
    "no JSON": (200, {}, f"<html>{ECHO}</html>"),
    "cut off": (200, {}, json.dumps({"data": {"users": {**PAGE, "nodes": [JANE]}}})[:-5]),
}


@dataclass
class Left:
    """What was left of it all: files below a folder, and what was caught."""

    folder: Path
    people: pl.DataFrame = field(default_factory=pl.DataFrame)
    noted: pl.DataFrame = field(default_factory=pl.DataFrame)
    errors: dict[str, str] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    saved: dict[str, str] = field(default_factory=dict)  # the notebooks as they were run

    def caught(self, name: str, does: Callable[[], object]) -> None:
        try:
            does()
        except (HealthieError, UserWarning) as error:
            self.errors[name] = everything(error)


@pytest.fixture(scope="module")
def clinic() -> Iterator[Served]:
    world = World(clients=400, canary=CANARY)
    # The client with the most visits has not come for a while, so that lists of whom to call have them among the first.
    is_theirs = (pl.col("client_id") == CANARY.client_id).fill_null(value=False)
    came = ~is_theirs | (pl.col("starts_at") < datetime(2026, 3, 1, tzinfo=UTC))
    world.replace("appointments", world.appointments.filter(came))
    with serving(world, Behaviour(key=KEY, rate=None)) as served:
        yield served


@pytest.fixture(scope="module")
def left(clinic: Served, tmp_path_factory: pytest.TempPathFactory) -> Left:
    """Everything run once, with logging at DEBUG, here and in the notebooks' kernels."""
    left = Left(tmp_path_factory.mktemp("leaks"))
    places = {"TMPDIR": "tmp", "IPYTHONDIR": "ipython", "JUPYTER_RUNTIME_DIR": "runtime", "HEALTHIE_CACHE_DIR": "cache"}
    # A ledger of the same clinic under another key may be in the folder that all tests share.
    places["XDG_DATA_HOME"] = "data"
    given = {"HEALTHIE_API_URL": clinic.url, "HEALTHIE_API_KEY": KEY, "HEALTHIE_CACHE_KEY": CACHE_KEY}
    with pytest.MonkeyPatch.context() as patched, logged(left.folder / "process.log"):
        patched.chdir(left.folder)
        for variable, name in places.items():
            (left.folder / name).mkdir()
            patched.setenv(variable, str(left.folder / name))
        for variable, value in given.items():
            patched.setenv(variable, value)
        ask(left)
        provoke(left)
        for name in EXISTING:
            run(left, name, patched)
        run_into_an_error(left)
        outside = left.folder / "outside.html"
        report.make("retention", outside, given={"split": "provider"}, demo=False, audience="external")
        for command in (["doctor"], ["cache", "ls"], ["check-notebooks", "."]):
            said = io.StringIO()
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                cli.main(command)
            left.said[" ".join(command)] = said.getvalue()
    return left


@contextlib.contextmanager
def logged(path: Path) -> Iterator[None]:
    root, handler = logging.getLogger(), logging.FileHandler(path)
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.setLevel(before)
        root.removeHandler(handler)
        handler.close()


def ask(left: Left) -> None:
    """Load what identifies, by name."""
    (left.folder / "people.graphql").write_text(PEOPLE)
    (left.folder / "noted.graphql").write_text(NOTED)
    practice = Practice(configured(), clock=Clock())
    left.people = practice.load(left.folder / "people.graphql")
    left.noted = practice.load(left.folder / "noted.graphql", start="2026-01-01", end="2026-06-30")


def provoke(left: Left) -> None:
    """Go wrong in every way that may quote something."""
    people = left.folder / "people.graphql"
    for name, (status, headers, body) in ANSWERS.items():
        text = body if isinstance(body, str) else json.dumps(body)
        owner = (200, {}, json.dumps({"data": OWNER}).encode())
        with stamina.set_testing(True, attempts=2), answering(owner, (status, headers, text.encode())) as (url, _):
            practice = Practice(Settings(url=url, key=KEY, cache_dir=left.folder / "cache", cache_key=CACHE_KEY))
            left.caught(name, lambda practice=practice: practice.load(people))
    practice = Practice(configured(), clock=Clock())
    left.caught("no such query", lambda: practice.load("peeple"))
    left.caught("no such variable", lambda: practice.load("clients", client_ids=[CANARY.client_id]))
    left.caught("wrong variable", lambda: practice.load("group_attendance", start={"id": CANARY.client_id}))
    bad = left.folder / "bad.graphql"
    bad.write_text(PEOPLE.replace("quick_notes", "quick_note"))
    left.caught("no such field", lambda: practice.load(bad))


def run(left: Left, name: str, patched: pytest.MonkeyPatch) -> None:
    """Make a report with other parameters, of the notebook with a first cell that logs and a last one that exports."""
    notebook = nbformat.read(report.packaged(name), as_version=4)
    first, last = (nbformat.v4.new_code_cell(source) for source in (FIRST, LAST))
    notebook.cells = [first, *notebook.cells, last]
    nbformat.write(notebook, left.folder / f"{name}.ipynb")
    runs = report._run

    def kept(*given: Any, **options: Any) -> Any:
        ran = runs(*given, **options)
        left.saved[name] = nbformat.writes(ran)
        return ran

    patched.setattr(report, "_run", kept)
    made(left, name, OTHERS[name])
    patched.setattr(report, "_run", runs)


def made(left: Left, name: str, given: dict[str, Any], notebook: str = "") -> report.Report:
    source, out = left.folder / f"{notebook or name}.ipynb", left.folder / f"{notebook or name}.html"
    return report.make(name, out, given=given, demo=False, audience="internal", source=source)


def run_into_an_error(left: Left) -> None:
    """Run a cell of an analyst's that fails over a client's row, in a library that quotes it."""
    notebook = nbformat.read(report.packaged("retention"), as_version=4)
    parameters_cell = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    connect = "import healthie_nb as hn\n\npractice = hn.connect()\n"
    fails = f"{LAST.partition(chr(10) * 3)[0]}\nint(people.filter(id='{CANARY.client_id}')['email'].item())"
    heading = nbformat.v4.new_markdown_cell("## What fails")
    notebook.cells = [
        parameters_cell,
        heading,
        *(nbformat.v4.new_code_cell(FIRST + source) for source in (connect, fails)),
    ]
    nbformat.write(notebook, left.folder / "tmp" / "failing.ipynb")
    source = left.folder / "tmp" / "failing.ipynb"
    out = left.folder / "failing.html"
    given: dict[str, Any] = {"given": {}, "demo": False, "audience": "internal", "source": source}
    left.caught("failing cell", lambda: report.make("retention", out, **given))
    source.unlink()  # it names the canary


def found(text: str) -> list[str]:
    return [kind for kind, forms in PLANTED.items() if any(form in text for form in forms)]


def read(path: Path) -> str:
    """Everything in a file, also in what is packed into it."""
    content = path.read_bytes()
    text = content.decode("latin-1")
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as packed:
            text += "".join(packed.read(name).decode("latin-1") for name in packed.namelist())
    if path.parent.name == "exports" and path.suffix == ".parquet":
        text += pl.read_parquet(path).write_csv()
    return text


def test_canaries_are_in_what_was_asked_for(left: Left) -> None:
    """Without that, nothing below would prove anything."""
    assert {*found(left.people.write_csv())} == {"name", "e-mail", "birth date", "note", "id"}
    assert {*found(left.noted.write_csv())} >= {"name", "note", "id"}


def test_canaries_would_be_found(tmp_path: Path, left: Left) -> None:
    one = left.people.filter(id=CANARY.client_id)
    (tmp_path / "exports").mkdir()
    one.write_parquet(tmp_path / "exports" / "a.parquet", compression="zstd")
    one.write_excel(tmp_path / "exports" / "a.xlsx")
    (tmp_path / "exports" / "a.json").write_text(one.write_json())
    for path in (tmp_path / "exports").iterdir():
        assert {*found(read(path))} >= {"name", "e-mail", "note", "id"}, path.name


def test_every_provoked_error_quotes_nothing(left: Left) -> None:
    expected = {*ANSWERS, "no such query", "no such variable", "wrong variable", "no such field", "failing cell"}
    assert {*left.errors} == expected
    assert {name: what for name, said in left.errors.items() if (what := found(said))} == {}


def test_failing_cell_is_named_by_its_heading_and_its_kind(left: Left) -> None:
    assert "failing.ipynb stopped below 'What fails': ValueError" in left.errors["failing cell"]
    assert not (left.folder / "failing.html").exists()


def test_commands_say_nothing(left: Left) -> None:
    assert all(left.said.values())
    assert {command: what for command, said in left.said.items() if (what := found(said))} == {}


@pytest.mark.parametrize("name", EXISTING)
def test_notebook_runs_with_other_parameters_and_shows_nobody(name: str, left: Left) -> None:
    page = (left.folder / f"{name}.html").read_text()
    assert "<th>as of</th><td>2026-05-31</td>" in page
    assert page.count("<img ") >= 1
    noted = map(json.loads, (DATA_DIR / "access.jsonl").read_text().splitlines())
    assert ("export", f"{name}.html", "internal") in [(n["action"], n.get("file"), n.get("audience")) for n in noted]
    ran = left.saved[name]
    assert "application/vnd.jupyter.widget-state+json" in ran  # as a notebook that was run is saved
    assert "application/vnd.vegalite.v5+json" in ran
    assert found(ran) == []


def test_report_for_outside_shows_nobody_and_no_id(left: Left) -> None:
    page = (left.folder / "outside.html").read_text()
    assert "For readers outside the practice" in page
    assert page.count("<img ") >= 1
    assert page.count("<table") >= 2
    assert not re.findall(r"[0-9a-f]{6}-[0-9a-f]{6}", re.sub('base64,[^"]*', "", page))  # pseudonyms


@pytest.mark.parametrize("name", EXISTING)
def test_exports_for_outside_are_written_or_refused_in_words(name: str, left: Left) -> None:
    *_, exported, _ = nbformat.reads(left.saved[name], as_version=4).cells
    said = exported.outputs[0].data["text/plain"]
    assert said.count("Written: ") >= 5
    written = {path.suffix for path in (left.folder / "exports").glob(f"{name}-*")}
    are_drawn = "its sums would be wrong" not in said  # the first view may add up counts of which some are hidden
    assert written >= {".csv", ".xlsx", ".parquet", *((".png", ".svg") if are_drawn else ())}
    assert are_drawn or name != "retention"


def test_no_file_of_all_that_were_written_holds_a_canary(left: Left) -> None:
    paths = [path for folder in (left.folder, DATA_DIR) for path in folder.rglob("*") if path.is_file()]
    names = {path.name for path in paths}
    assert {"process.log", "kernel.log", "access.jsonl", *(f"{name}.html" for name in EXISTING)} <= names
    assert any("people" in path.parent.name for path in paths if "cache" in path.parts)
    assert "Zzyzx" not in " ".join(map(str, paths))
    assert {path.name: what for path in paths if (what := found(read(path)))} == {}


def test_logs_were_written_at_debug(left: Left) -> None:
    assert len((left.folder / "process.log").read_text().splitlines()) > 10
    assert len((left.folder / "kernel.log").read_text().splitlines()) > 10
