from __future__ import annotations

import json
import re
import struct
from datetime import UTC, date, datetime
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import nbformat
import openpyxl
import polars as pl
import pytest
from stored import NOTEBOOKS, WIDGET

from healthie_nb import access, charts, export, handover, retention
from healthie_nb.access import AccessLogError
from healthie_nb.disclosure import DisclosureError
from healthie_nb.export import ExportError, Provenance
from healthie_nb.practice import Loaded
from healthie_nb.visits import example

if TYPE_CHECKING:
    from healthie_nb.practice import Practice

ASKED = Loaded("appointments", "0123abcd", datetime(2026, 7, 1, 12, tzinfo=UTC))
ROWS = pl.DataFrame(
    {
        "provider_id": ["17", "9"],
        "who": ["=1+1", "Ärztin"],
        "day": [date(2026, 6, 30), None],
        "at": [datetime(2026, 6, 30, 14, tzinfo=UTC), None],
        "forms": [["a", "b"], []],
        "rate": [0.25, None],
        "n": [4, 0],
    },
    schema_overrides={"at": pl.Datetime("us", "UTC")},
)
STANDING = pl.DataFrame({"standing": ["new", "unknown", "not seen"], "clients": [70, 4, 25]})


class Log(list[dict[str, Any]]):
    def __call__(self, action: str, **entry: Any) -> None:
        self.append({"action": action, **entry})


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def source(log: Log) -> Provenance:
    filters = {"every": "month", "provider_ids": ["17"], "view": ""}
    return Provenance(
        practice="Demo practice",
        is_synthetic=True,
        api_version="2026-01-01",
        zone="America/New_York",
        as_of="2026-06-30",
        queries=(ASKED,),
        filters=filters,
        note=log,
    )


def told(said: dict[str, str]) -> None:
    assert said["data"] == "made up: demo practice"
    assert said["as of"] == "2026-06-30"
    assert said["filters"] == "every: month; provider_ids: 17"
    assert said["queries"] == "appointments (0123abcd), loaded 2026-07-01 12:00 UTC"
    assert said["made with"].startswith("healthie-nb ")
    assert said["audience"] == "inside the practice"


def cohorts() -> pl.DataFrame:
    days = {str(k): ["2026-01-05", *(["2026-02-20"] if k % 3 else [])] for k in range(40)}
    late = {f"l{k}": ["2026-02-05"] for k in range(4)}
    return retention.cohorts(example(days | late), as_of="2026-06-30", measure="on", periods=3)


def test_csv_is_read_back_and_its_provenance_stands_beside_it(tmp_path: Path, source: Provenance) -> None:
    written = export.table(ROWS, tmp_path / "rows.csv", audience="internal", provenance=source)
    assert written.read_bytes().startswith(b"\xef\xbb\xbf")
    back = pl.read_csv(written, try_parse_dates=True)
    assert back["n"].to_list() == [4, 0]
    assert back["forms"].to_list() == ["a; b", ""]
    assert back["at"].to_list() == [datetime(2026, 6, 30, 14), None]  # noqa: DTZ001, a CSV has no zone
    told(json.loads((tmp_path / "rows.provenance.json").read_text()))


def test_text_that_a_spreadsheet_would_run_is_quoted(tmp_path: Path, source: Provenance) -> None:
    written = export.table(ROWS, tmp_path / "rows.csv", audience="internal", provenance=source)
    assert pl.read_csv(written)["who"].to_list() == ["'=1+1", "Ärztin"]


def test_workbook_has_numbers_and_a_sheet_of_provenance(tmp_path: Path, source: Provenance) -> None:
    book = openpyxl.load_workbook(export.table(ROWS, tmp_path / "r.xlsx", audience="internal", provenance=source))
    rows = [[cell.value for cell in row] for row in book["table"].iter_rows()]
    assert rows[0] == ROWS.columns
    assert rows[1] == ["17", "=1+1", datetime(2026, 6, 30), datetime(2026, 6, 30, 14), "a; b", 0.25, 4]  # noqa: DTZ001
    assert book["table"]["B2"].data_type == "s"  # text, no formula
    told(dict(cells for cells in book["provenance"].iter_rows(min_row=2, values_only=True)))


def test_parquet_is_the_same_frame_with_its_provenance(tmp_path: Path, source: Provenance) -> None:
    written = export.table(ROWS, tmp_path / "rows.parquet", audience="internal", provenance=source)
    assert pl.read_parquet(written).equals(ROWS)
    told(json.loads(pl.read_parquet_metadata(written)["healthie-nb"]))


@pytest.mark.parametrize("ending", export.TABLES)
def test_small_counts_do_not_leave(tmp_path: Path, source: Provenance, ending: str) -> None:
    path = tmp_path / f"who{ending}"
    export.table(STANDING, path, metric="population", audience="external", provenance=source)
    read = {".csv": pl.read_csv, ".xlsx": lambda p: pl.read_excel(p, engine="openpyxl"), ".parquet": pl.read_parquet}
    assert read[ending](path)["clients"].to_list() == [70, None, None]


def test_outside_learns_how_many_providers_were_chosen_and_not_which(source: Provenance) -> None:
    said = source.said(audience="external")
    assert said["filters"] == "every: month; provider_ids: 1 chosen"
    assert "counts of 1 to 10" in said["audience"]


def test_files_for_inside_are_their_owners_alone(tmp_path: Path, source: Provenance) -> None:
    inside = export.table(STANDING, tmp_path / "a.csv", audience="internal", provenance=source)
    outside = export.table(STANDING, tmp_path / "b.csv", metric="population", audience="external", provenance=source)
    modes = [path.stat().st_mode & 0o777 for path in (inside, tmp_path / "a.provenance.json", outside)]
    assert modes == [0o600, 0o600, 0o644]


def test_export_is_noted_before_it_appears(tmp_path: Path, source: Provenance, log: Log) -> None:
    export.table(STANDING, tmp_path / "a.csv", metric="population", audience="external", provenance=source)
    [entry] = log
    assert entry == {
        "action": "export",
        "what": "population",
        "file": "a.csv",
        "audience": "external",
        "rows": 3,
        "queries": ["appointments 0123abcd"],
    }


def test_what_cannot_be_noted_is_not_written(tmp_path: Path, source: Provenance) -> None:
    (tmp_path / "data").write_text("in the way")
    note = partial(access.note, tmp_path / "data", at=datetime(2026, 7, 1, tzinfo=UTC))
    unlogged = Provenance(**{**vars(source), "note": lambda action, **entry: note(action=action, **entry)})
    with pytest.raises(AccessLogError, match="it does not tell of this export"):
        export.table(STANDING, tmp_path / "a.csv", audience="internal", provenance=unlogged)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize(
    ("path", "words"),
    [("a.doc", "a.doc ends in .doc; give it one of .csv, .xlsx, .parquet"), ("no/a.csv", "there is no folder ")],
)
def test_place_that_cannot_be_is_refused_in_words(tmp_path: Path, source: Provenance, path: str, words: str) -> None:
    with pytest.raises(ExportError, match=words):
        export.table(STANDING, tmp_path / path, audience="internal", provenance=source)


def test_nothing_half_written_is_left(tmp_path: Path, source: Provenance, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(ExportError, match=r"a\.csv cannot be written: No space left on device\."):
        export.table(STANDING, tmp_path / "a.csv", audience="internal", provenance=source)
    assert not [*tmp_path.iterdir()]


def test_list_of_clients_is_refused_outside(tmp_path: Path, source: Provenance) -> None:
    with pytest.raises(DisclosureError, match="worklist stays in the practice"):
        export.table(ROWS, tmp_path / "a.csv", metric="worklist", audience="external", provenance=source)
    assert not [*tmp_path.iterdir()]


def chunks(picture: bytes) -> dict[str, str]:
    found, at = {}, 8
    while at < len(picture):
        length, kind = struct.unpack_from(">I4s", picture, at)
        if kind == b"iTXt":
            name, _, text = picture[at + 8 : at + 8 + length].partition(b"\0\0\0\0\0")
            found[name.decode()] = text.decode()
        at += length + 12
    return found


def test_png_says_where_it_comes_from(tmp_path: Path, source: Provenance) -> None:
    options: dict[str, Any] = {"audience": "internal", "provenance": source, "every": "month", "synthetic": True}
    said = chunks(export.chart(charts.cohorts, cohorts(), tmp_path / "c.png", **options).read_bytes())
    assert said["Description"].startswith("Share of each cohort of new clients that came back")
    assert said["As of"] == "2026-06-30"
    assert said["Source"] == "made up: demo practice"


def test_svg_asks_no_network_and_says_where_it_comes_from(tmp_path: Path, source: Provenance) -> None:
    options: dict[str, Any] = {"audience": "internal", "provenance": source, "every": "month", "synthetic": True}
    text = export.chart(charts.cohorts, cohorts(), tmp_path / "c.svg", **options).read_text()
    root = ET.fromstring(text)
    names = {child.tag.rsplit("}")[-1]: child.text or "" for child in root}
    assert "as of: 2026-06-30" in names["metadata"]
    assert names["title"].startswith("Share of new clients")
    assert {*re.findall(r"https?://[^\s\"']+", text)} == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_chart_for_outside_is_drawn_without_small_counts(tmp_path: Path, source: Provenance) -> None:
    options: dict[str, Any] = {"provenance": source, "every": "month", "synthetic": True}
    inside = export.chart(charts.cohorts, cohorts(), tmp_path / "i.svg", audience="internal", **options).read_text()
    outside = export.chart(charts.cohorts, cohorts(), tmp_path / "o.svg", audience="external", **options).read_text()
    assert "n 4<" in inside
    assert "n 4<" not in outside


def test_practice_lends_its_provenance(practice: Practice, tmp_path: Path) -> None:
    practice.load("providers")
    source = export.provenance(practice, as_of="2026-06-30", filters={"every": "month"})
    assert [asked.query for asked in source.queries] == ["providers"]
    export.table(STANDING, tmp_path / "a.csv", audience="internal", provenance=source)
    noted = [json.loads(line) for line in (tmp_path / "data" / "access.jsonl").read_text().splitlines()]
    assert (noted[-1]["action"], noted[-1]["file"], noted[-1]["audience"]) == ("export", "a.csv", "internal")


class Links(HTMLParser):
    """Everything in a page that a browser would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("script", "iframe", "object", "embed", "link", "base"):
            self.fetched.append(tag)
        self.fetched += [f"{tag} {value}" for name in ("src", "srcset", "data") if (value := given.get(name))]
        self.fetched += [name for name in given if name.startswith("on")]


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_page_of_a_notebook_fetches_and_runs_nothing(path: Path, tmp_path: Path, source: Provenance) -> None:
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {"x": "secret-state"}}}
    notebook.cells[-1].outputs.append(
        nbformat.v4.new_output("display_data", data={WIDGET: {"model_id": "secret-view"}, "text/plain": "a widget"})
    )
    text = export.page(notebook, tmp_path / "r.html", audience="internal", provenance=source).read_text()
    links = Links()
    links.feed(text)
    assert all(link.startswith("img data:image/png;base64,") for link in links.fetched)
    assert len(links.fetched) > 0
    assert not re.findall(r"url\((?!\"?data:)|@import|secret-", text)
    assert "default-src 'none'" in text
    assert "all data on this page is made up" in text
    assert "appointments (0123abcd), loaded 2026-07-01" in text
    assert "import healthie_nb" not in text  # no code
    assert not re.findall("Run All|Click in the chart", text)  # nor what only JupyterLab can do


def test_page_shows_what_readers_need_and_nothing_for_programmers(source: Provenance) -> None:
    from healthie_nb.page import html  # noqa: PLC0415

    new, frame = nbformat.v4, pl.DataFrame({"who": ["Ärztin"], "n": [4]})
    spec = charts.cohorts(cohorts(), every="month", synthetic=True).to_dict()
    state = {"box": {"state": {"children": ["IPY_MODEL_a", "IPY_MODEL_b"]}}, "a": {"state": {}}}
    states = {"application/vnd.jupyter.widget-state+json": {"state": {**state, "b": {"state": {"spec": spec}}}}}
    explorer = {WIDGET: {"model_id": "box"}, "image/png": "", "text/plain": "7 of 40 <clients>.\nrow 1"}
    bare = {WIDGET: {"model_id": "none"}, "text/plain": "No chart.\nrow <1>"}
    outputs = [{"text/html": frame._repr_html_()}, explorer, bare]
    cells = [new.new_code_cell(outputs=[new.new_output("execute_result", data=data)]) for data in outputs]
    cells += [new.new_markdown_cell("Run All Cells", metadata={"tags": ["lab-only"]})]
    page = html(new.new_notebook(cells=cells, metadata={"widgets": states}), source.said(audience="internal"))
    assert "<tr><td>Ärztin</td><td>4</td></tr>" in page
    assert not re.findall("shape: |i64|Run All", page)
    assert "<h2>The view that was chosen</h2><p>7 of 40 &lt;clients&gt;.</p><img alt=" in page
    assert "<p>No chart.</p><pre>row &lt;1&gt;</pre>" in page


def test_notebook_that_was_not_run_for_outside_is_refused_there(tmp_path: Path, source: Provenance) -> None:
    new, marked = nbformat.v4, {handover.MAY_LEAVE: True}
    safe = new.new_output("execute_result", data={"text/html": "<b>71</b>"}, metadata=marked)
    seen = new.new_output("execute_result", data={"text/html": "<b>4</b>"})
    for outputs in ([], [seen], [safe, seen]):
        notebook = new.new_notebook(cells=[new.new_code_cell("x", outputs=[output]) for output in outputs])
        with pytest.raises(ExportError, match="was run for the practice"):
            export.page(notebook, tmp_path / "r.html", audience="external", provenance=source)
    with pytest.raises(ValueError, match="audience is 'all'"):
        export.page(notebook, tmp_path / "r.html", audience="all", provenance=source)  # type: ignore[arg-type]
    assert not [*tmp_path.iterdir()]
    notebook.cells.pop()
    path = export.page(notebook, tmp_path / "r.html", audience="external", provenance=source)
    assert "For readers outside the practice" in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o644


def test_script_of_an_analyst_is_shut_out_by_the_page(source: Provenance) -> None:
    """The page says itself that nothing in it may run or be fetched."""
    from healthie_nb.page import html  # noqa: PLC0415

    cell = nbformat.v4.new_code_cell("x", outputs=[nbformat.v4.new_output("execute_result", {"text/html": "<b>1</b>"})])
    text = html(nbformat.v4.new_notebook(cells=[cell]), source.said(audience="internal"), title="<T>")
    head = text[: text.index("</head>")]
    assert "script-src" not in head
    assert "default-src 'none'" in head
    assert "<title>&lt;T&gt;</title>" in head
    assert "<b>1</b>" in text
