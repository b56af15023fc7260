"""What is found in a saved notebook that must not be kept, and that ours hold none of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import altair as alt
import nbformat
import polars as pl
import pytest
from stored import NOTEBOOKS

from healthie_nb import cli, display, query, saved
from healthie_nb.tables import Table
from healthie_nb.tiles import Tile, Tiles

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from healthie_nb.practice import Practice

DEMO = "Demo practice (synthetic): synthetic data\nAPI version 2026-01-01, zone UTC, rows kept in memory only"
LIVE = DEMO.replace("synthetic data", "api.gethealthie.com")


def text(words: str) -> dict[str, Any]:
    return {"text/plain": words}


def shown(value: Any) -> dict[str, Any]:
    return {"text/html": value._repr_html_(), "text/plain": repr(value)}


def saved_with(path: Path, *outputs: dict[str, Any], source: str = "rows") -> Path:
    """Write a notebook that was run in order and shows the demo practice first, then these."""
    new, kept = nbformat.v4, [text(DEMO), *outputs]
    cells = [
        new.new_code_cell(
            source if i > 1 else "practice",
            execution_count=i,
            outputs=[new.new_output("execute_result", data=data, execution_count=i)],
        )
        for i, data in enumerate(kept, start=1)
    ]
    nbformat.write(new.new_notebook(cells=cells), path)
    return path


def changed(path: Path, change: Any) -> Path:
    notebook = nbformat.read(path, as_version=4)
    change(notebook)
    nbformat.write(notebook, path)
    return path


def told(path: Path) -> list[tuple[int | None, str]]:
    return [(finding.cell, finding.what) for finding in saved.findings(path)]


def test_our_notebooks_can_be_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check-notebooks", str(NOTEBOOKS)]) == 0
    assert capsys.readouterr().out.endswith("nothing to mend\n")


def test_a_practice_says_who_it_is_as_the_check_reads_it(practice: Practice, tmp_path: Path) -> None:
    assert saved.PRACTICE.findall(repr(practice)) == ["synthetic data"]
    assert told(saved_with(tmp_path / "a.ipynb", text(repr(practice)))) == []


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ("write to ada.birchall@clinic.test today", "an e-mail address"),
        ("call (312) 555-0143", "a phone number"),
        ("call 312-555-0143.", "a phone number"),
        ("078-05-1120", "a social security number"),
        ("https://secure.gethealthie.com/users/9712", "a link into Healthie, with an id"),
        ("https://secure.gethealthie.com/appointments?client=9712", "a link into Healthie, with an id"),
        ("gh_live_3b6f0a2d9c", "an API key"),
        ("Authorization: Basic Z2hfbGl2ZV8zYjZmMGEy", "an API key"),
        ("born 1971-03-07", "what may be a birth date"),
        ("born 3/7/1971", "what may be a birth date"),
    ],
)
def test_what_has_a_form_of_its_own_is_found_and_not_quoted(
    words: str, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved_with(tmp_path / "a.ipynb", text(words))
    assert told(path) == [(2, f"{what} in its output")]
    assert cli.main(["check-notebooks", str(path)]) == 1
    assert max(re.findall(r"\S+", words), key=len) not in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        "Mar 2025  72  67% [55-76]  2025-03-07  1,086 of 3,064",
        "0.1234-0.5678  312 456 7890  2026-06-30 14:00",
        "https://secure.gethealthie.com/users/{client_id}",
        "see docs.gethealthie.com",
        "3f9a01-77ce02",
    ],
)
def test_numbers_and_pseudonyms_are_not_taken_for_it(words: str, tmp_path: Path) -> None:
    assert told(saved_with(tmp_path / "a.ipynb", text(words))) == []


def test_what_is_written_is_read_too(tmp_path: Path) -> None:
    path = saved_with(tmp_path / "a.ipynb", text("1"), source='key = "gh_sbox_a1b2c3d4e5"')
    assert told(path) == [(2, "an API key in what is written")]


@pytest.mark.parametrize("form", ["html", "printed", "chart"])
def test_columns_that_identify_are_found_in_every_form_of_a_table(form: str, tmp_path: Path) -> None:
    rows = pl.DataFrame({"provider_id": ["17"], "client_id": ["9712"], "dob": ["1-1"], "note": ["email"]})
    chart = alt.Chart(rows).mark_bar().encode(x="dob", y="note").to_dict()
    data = {
        "html": {"text/html": rows._repr_html_()},
        "printed": text(str(rows)),
        "chart": {display.VEGALITE: chart},
    }
    assert told(saved_with(tmp_path / "a.ipynb", data[form])) == [
        (2, "ids in the column client_id of its output"),
        (2, "a column dob in its output"),
    ]


@pytest.mark.parametrize(("notes", "is_found"), [([12, 1_300], False), (["tired", "12"], True)])
def test_notes_may_be_counted_but_not_told(notes: list[Any], is_found: bool, tmp_path: Path) -> None:  # noqa: FBT001
    rows = pl.DataFrame({"notes": notes})
    for data in (text(str(rows)), {"text/html": rows._repr_html_()}, {"application/json": rows.to_dicts()}):
        found = told(saved_with(tmp_path / "a.ipynb", data))
        assert found == ([(2, "a column notes in its output")] if is_found else [])


def test_pseudonyms_are_no_ids(tmp_path: Path) -> None:
    rows = pl.DataFrame({"client_id": ["3f9a01-77ce02", "112233-445566"], "visits": [1, 2]})
    assert told(saved_with(tmp_path / "a.ipynb", {"text/html": rows._repr_html_(), "text/plain": str(rows)})) == []


def test_every_field_marked_as_identifying_is_a_column_looked_for_or_a_plain_word() -> None:
    schema = (Path(query.__file__).parent / "schema.graphql").read_text()
    marked = set(re.findall(r"^ +(\w+)(?:\(.*\))?: \S+ @phi$", schema, re.MULTILINE))
    plain = {"location", "reason", "title", "answer", "label", "name", "metadata", "city", "country", "state", "age"}
    plain |= {"readable_source", "ref_source_other", "form_answers"}
    assert marked
    assert marked - plain <= saved.IDENTIFYING


@pytest.mark.parametrize("synthetic", [True, False])
def test_tables_tiles_and_charts_of_ours_must_say_that_they_are_made_up(synthetic: bool, tmp_path: Path) -> None:  # noqa: FBT001
    label = "Demo practice: synthetic data"
    table = Table("flow", "Flow", (label,) if synthetic else (), pl.DataFrame({"month": ["May"], "new": ["1"]}))
    tiles = Tiles([Tile("Seen", "120")], title="June", synthetic=synthetic)
    title = alt.Title("Flow", subtitle=[label] if synthetic else ["clients"])
    chart = alt.Chart(alt.NamedData("rows"), title=title).mark_bar().properties(datasets={"rows": [{"n": 1}]})
    drawn = {display.VEGALITE: chart.to_dict()}
    found = told(saved_with(tmp_path / "a.ipynb", shown(table), shown(tiles), drawn))
    assert found == ([] if synthetic else [(i, saved.NOT_DEMO[0]) for i in (2, 3, 4)])


def test_live_practice_is_found(tmp_path: Path) -> None:
    assert told(saved_with(tmp_path / "a.ipynb", text(LIVE))) == [(2, saved.NOT_DEMO[0])]


def tagged(notebook: NotebookNode) -> None:
    notebook.cells[1].metadata["tags"] = ["injected-parameters"]


def failing(notebook: NotebookNode) -> None:
    notebook.cells[1].outputs = [nbformat.v4.new_output("error", ename="E", evalue="e", traceback=["t"])]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda notebook: notebook.metadata.update(widgets={"x": {}}), (None, saved.WIDGETS)),
        (lambda notebook: notebook.metadata.update(papermill={}), (None, saved.INJECTED)),
        (tagged, (2, saved.INJECTED)),
        (failing, (2, saved.FAILED)),
        (lambda notebook: notebook.cells.pop(0), (None, saved.NOBODYS)),
        (lambda notebook: notebook.cells[1].update(execution_count=7), (None, saved.OUT_OF_ORDER)),
        (lambda notebook: notebook.cells.reverse(), (None, saved.OUT_OF_ORDER)),
    ],
)
def test_traces_of_a_run_are_found(change: Any, expected: tuple[int | None, tuple[str, str]], tmp_path: Path) -> None:
    path = changed(saved_with(tmp_path / "a.ipynb", text("1")), change)
    cell, (what, _) = expected
    assert (cell, what) in told(path)


def test_pictures_are_not_read_as_text(tmp_path: Path) -> None:
    picture = '<img src="data:image/png;base64,gh_live_abcdefgh1+/a@b.cd=">'
    data = {"text/html": picture.replace("_", "+"), "image/png": "1971-03-07"}
    assert told(saved_with(tmp_path / "a.ipynb", data)) == []


def test_notebook_without_outputs_holds_nothing(tmp_path: Path) -> None:
    cells = [nbformat.v4.new_code_cell("practice"), nbformat.v4.new_markdown_cell("# Text")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "a.ipynb")
    assert told(tmp_path / "a.ipynb") == []


def test_folders_are_searched_and_machines_get_a_line_a_finding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in" / ".ipynb_checkpoints").mkdir(parents=True)
    saved_with(tmp_path / "in" / ".ipynb_checkpoints" / "b.ipynb", text(LIVE))
    saved_with(tmp_path / "in" / "b.ipynb", text("call 312-555-0143"))
    (tmp_path / "torn.ipynb").write_text('{"cells": [')
    monkeypatch.chdir(tmp_path)
    assert cli.main(["check-notebooks", "--json"]) == 1
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["file"], first["cell"]) == (str(Path("in/b.ipynb")), 2)
    assert (second["file"], second["what"]) == ("torn.ipynb", saved.UNREADABLE[0])
    assert {*first} == {"file", "cell", "what", "todo"}


def test_no_notebook_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check-notebooks", str(tmp_path)]) == 1
    assert "no notebook there" in capsys.readouterr().err
