"""The same notebook on another endpoint: a demo practice in the foreground, reached as Healthie would be."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import nbformat
import pytest
from nbclient import NotebookClient
from stored import NOTEBOOKS

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterator

CLIENTS = 800


@pytest.fixture
def endpoint() -> Iterator[dict[str, str]]:
    """Return the variables that `healthie-nb demo` prints to be copied."""
    command = [sys.executable, "-m", "healthie_nb.cli", "demo", "--clients", str(CLIENTS), "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as demo:
        assert demo.stdout
        found: dict[str, str] = {}
        for line in demo.stdout:
            found |= dict(re.findall(r"(HEALTHIE_API_(?:URL|KEY))=['\"]?([^\s'\"]+)", line))
            if len(found) == 2:
                break
        yield found
        demo.terminate()


def test_the_notebook_shows_the_practice_that_the_environment_names(
    tmp_path: pathlib.Path, endpoint: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**endpoint, "HEALTHIE_CACHE_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    kept = nbformat.read(NOTEBOOKS / "retention.ipynb", as_version=4)
    run = nbformat.read(NOTEBOOKS / "retention.ipynb", as_version=4)
    NotebookClient(run, timeout=180, resources={"metadata": {"path": str(NOTEBOOKS)}}).execute()

    def new_clients(notebook: nbformat.NotebookNode) -> int:
        (cell,) = (cell for cell in notebook.cells if cell.id == "explore")
        (text,) = (output.data["text/plain"] for output in cell.outputs if "data" in output)
        return int(re.search(r"of ([\d,]+) new clients", text)[1].replace(",", ""))  # type: ignore[index]

    assert 0 < new_clients(run) < CLIENTS < new_clients(kept)
    shown = "".join(str(cell.get("outputs", "")) for cell in run.cells)
    assert "synthetic data" in shown
    assert endpoint["HEALTHIE_API_KEY"] not in shown
