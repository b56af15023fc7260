"""What is kept of the notebooks: clean, small, from the demo, and compared for real."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from stored import NOTEBOOKS, WIDGET, clean

from healthie_nb import display

KEPT = sorted(NOTEBOOKS.glob("*.ipynb"))
SANITIZE = Path(__file__).parent / "sanitize.cfg"
each = pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)


def code(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


@each
def test_nothing_of_the_run_is_kept_but_outputs_and_counts(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook == clean(nbformat.read(path, as_version=4))
    assert [cell.execution_count for cell in code(path)] == list(range(1, len(code(path)) + 1))


@each
def test_notebook_is_small(path: Path) -> None:
    assert path.stat().st_size < 400_000


@each
def test_outputs_are_the_demos(path: Path) -> None:
    shown = [output for cell in code(path) for output in cell.outputs]
    assert "synthetic data" in shown[0].data["text/plain"]
    assert all(output.output_type == "execute_result" for output in shown)


@each
def test_every_picture_has_a_text_that_can_be_compared(path: Path) -> None:
    shown = [output.data for cell in code(path) for output in cell.outputs]
    pictures = [data for data in shown if "image/png" in data]
    assert pictures
    assert all("Demo practice: synthetic data" in data["text/plain"] for data in pictures)
    assert not any(WIDGET in data for data in shown)


@each
def test_parameters_are_literals_each_with_a_comment(path: Path) -> None:
    (cell,) = (cell for cell in code(path) if "parameters" in cell.metadata.get("tags", []))
    assert all(
        isinstance(line, ast.Assign) and ast.literal_eval(line.value) is not None
        for line in ast.parse(cell.source).body
    )
    assert all("  # " in line for line in cell.source.splitlines())


@each
def test_cells_hold_no_logic(path: Path) -> None:
    """Loops, functions and branches are a metric's, which is tested."""
    logic = (ast.For, ast.While, ast.FunctionDef, ast.If, ast.Try, ast.ListComp, ast.Lambda)
    for cell in code(path):
        assert not [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, logic)]
        assert len(cell.source.splitlines()) <= 13 or "parameters" in cell.metadata.get("tags", [])


def kind(data: dict[str, Any]) -> str:
    """What a kept output is of: each kind is compared in a way of its own."""
    html = data.get("text/html", "")
    if re.match(r"\d", data.get("text/markdown", "")):
        return "sentence"
    if display.VEGALITE in data:
        return "chart"
    if "image/png" in data:
        return "explorer"
    for name, sign in {"trust": "hn-chips", "tiles": "hn-tiles", "table": 'id="hn-', "frame": "dataframe"}.items():
        if sign in html:
            return name
    return "text"


def test_one_changed_number_in_a_kept_output_of_each_kind_is_found(tmp_path: Path) -> None:
    """None is compared by its picture alone, and what was not changed passes."""
    notebook = nbformat.read(NOTEBOOKS / "retention.ipynb", as_version=4)
    last = {kind(cell.outputs[0].data): cell for cell in notebook.cells if cell.get("outputs")}
    assert {*last} == {"sentence", "chart", "explorer", "trust", "tiles", "table", "frame", "text"}
    del last["text"]  # what is left, such as the source query: no numbers
    for cell in last.values():
        data = cell.outputs[0].data
        # Of a sentence the first: the day of loading, at its end, may differ.
        told, place = ("text/markdown", 0) if "text/markdown" in data else ("text/plain", -1)
        number = [*re.finditer(r"\d", data[told])][place]
        other = str(9 - int(number[0]))
        data[told] = f"{data[told][: number.start()]}{other}{data[told][number.end() :]}"
    nbformat.write(notebook, tmp_path / "retention.ipynb")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HEALTHIE_")}
    compared = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-rf", "-p", "no:cacheprovider", "--rootdir", tmp_path, "--nbval"),
            *("--nbval-sanitize-with", SANITIZE, "--nbval-cell-timeout", "180", tmp_path / "retention.ipynb"),
        ],
        env={**environment, "HEALTHIE_CACHE_DIR": str(tmp_path / "cache")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    cells = code(NOTEBOOKS / "retention.ipynb")
    ids = [cell.id for cell in cells]
    failed = re.findall(r"^FAILED \S+::Cell (\d+)", compared.stdout, re.MULTILINE)
    assert {ids[int(number)] for number in failed} == {cell.id for cell in last.values()}
    assert f"{len(last)} failed, {len(cells) - len(last)} passed" in compared.stdout
