"""Run the notebooks on the demo practice and keep what they show: `python tests/stored.py [NAME...]`, after a change.

A kept notebook has outputs and counts and nothing else of its run: no widget state, no times, no widget views, which
nobody can show without their state. So who opens it sees the explorer's picture until it is run.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
WIDGET = "application/vnd.jupyter.widget-view+json"
KEPT = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}
KEPT["language_info"] = {"name": "python"}


def main() -> None:
    for name in [name for name in os.environ if name.startswith("HEALTHIE_")]:
        del os.environ[name]
    named = [NOTEBOOKS / f"{name}.ipynb" for name in sys.argv[1:]]
    for path in named or sorted(NOTEBOOKS.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        with tempfile.TemporaryDirectory() as cache:  # What was stored before may be of an older demo.
            os.environ["HEALTHIE_CACHE_DIR"] = cache
            NotebookClient(notebook, timeout=180, resources={"metadata": {"path": str(path.parent)}}).execute()
        nbformat.write(clean(notebook), path)
        sys.stdout.write(f"{path.name}: {path.stat().st_size / 1000:.0f} kB\n")


def clean(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    notebook.metadata = nbformat.from_dict(KEPT)
    for cell in notebook.cells:
        kept = {key: value for key, value in cell.metadata.items() if key in ("tags", "jupyter")}
        cell.metadata = nbformat.from_dict(kept)
        if "nbval-ignore-output" in cell.metadata.get("tags", []):
            cell.outputs = []  # progress, which shows only where it takes long
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET, None)
    return notebook


if __name__ == "__main__":
    main()
