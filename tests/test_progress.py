"""Progress is told to those who watch, and to nobody else."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook
from tqdm.std import tqdm

from healthie_nb import progress

if TYPE_CHECKING:
    import pathlib

    from healthie_nb.demo import Served
    from healthie_nb.practice import Practice


def watched(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    screen = io.StringIO()
    monkeypatch.setattr(progress, "_is_watched", lambda: True)
    monkeypatch.setattr(progress, "DELAY_S", 0)
    monkeypatch.setattr(
        progress, "tqdm", lambda **given: tqdm(**given, file=screen, mininterval=0, miniters=1, ncols=100)
    )
    return screen


def test_rows_of_all_rows_and_a_pace_are_shown_and_then_gone(
    monkeypatch: pytest.MonkeyPatch, practice: Practice
) -> None:
    screen = watched(monkeypatch)
    rows = practice.load("appointments", start="2024-01-01", end="2026-12-31").height
    lines = screen.getvalue().split("\r")
    assert any(f"{rows}/{rows}" in line for line in lines)
    assert any("rows/s" in line for line in lines)
    assert not lines[-1].strip(), "the bar stays"


def test_rows_asked_for_again_do_not_count_beyond_all(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = watched(monkeypatch)
    with progress.shown("appointments") as told:
        told.expect(100)
        for _ in range(3):
            told.take(60)
    assert "100/100" in screen.getvalue()
    assert "120" not in screen.getvalue()


@pytest.mark.parametrize("where", ["neither terminal nor notebook", "a test"])
def test_it_is_silent_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], where: str
) -> None:
    monkeypatch.setattr(progress, "DELAY_S", 0)
    if where == "a test":
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    else:
        monkeypatch.delenv("PYTEST_VERSION")
        monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    with progress.shown("appointments") as told:
        told.expect(10)
        told.take(10)
    assert capsys.readouterr() == ("", "")


CELL = """
import os, pathlib
from healthie_nb import progress
from healthie_nb.practice import Practice
from healthie_nb.settings import Settings
progress.DELAY_S = 0
folder = pathlib.Path({folder!r})
practice = Practice(Settings(url={url!r}, key={key!r}, cache_dir=folder, data_dir=folder))
practice.load("form_requests").height
"""


def test_a_kernel_of_nbval_shows_none_and_that_of_a_person_does(tmp_path: pathlib.Path, served: Served) -> None:
    first = CELL.format(folder=str(tmp_path), url=served.url, key=served.key)
    cells = [first, "del os.environ['PYTEST_VERSION']\npractice.forget('form_requests')\n" + first.splitlines()[-1]]
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    silent, shown = ([output.output_type for output in cell.outputs] for cell in notebook.cells)
    assert silent == ["execute_result"]
    assert len(shown) > 1
