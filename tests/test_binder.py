"""Binder's steps without docker, in an environment of their own; what it installs, used from an empty folder."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import nbformat
import pytest
from installed import PROJECT, Installed, answered, pythons

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Installed, Path]]:
    """Give what Binder would build: the environment, and the repository in it."""
    folder = tmp_path_factory.mktemp("binder")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    for name in filter(None, listed):
        (folder / "repository" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, folder / "repository" / name)
    wanted = int((PROJECT / "binder" / "runtime.txt").read_text().removeprefix("python-3."))
    found = pythons()
    installed = Installed(folder, found.get(wanted, next(iter(found.values()))), seed=True)
    repository = folder / "repository"
    installed.install("-r", repository / "binder" / "requirements.txt")
    installed.run(repository / "binder" / "postBuild", cwd=repository)
    yield installed, repository
    installed.close()


def test_it_opens_on_the_retention_notebook_and_runs_it(image: tuple[Installed, Path], tmp_path: Path) -> None:
    installed, repository = image
    # pragma: allowlist nextline secret
    installed.variables |= {"HEALTHIE_API_KEY": "gh_live_not_used", "HEALTHIE_API_URL": "http://127.0.0.1:9/graphql"}
    lab = (
        "jupyter",
        "lab",
        "--allow-root",
        "--no-browser",
        "--ServerApp.answer_yes=True",
        "--IdentityProvider.token=t",
    )
    with installed.running(repository / "binder" / "start", *lab, cwd=repository) as started:
        at = address(started)
        assert "/lab/tree/notebooks/retention.ipynb" in at
        assert "retention.ipynb" in answered(at)
        assert "retention.ipynb" in answered(re.sub(r"(:\d+/).*", r"\1?token=t", at))  # where Binder leads to
    for name in ("HEALTHIE_API_KEY", "HEALTHIE_API_URL"):
        del installed.variables[name]
    out = tmp_path / "run.ipynb"
    installed.run("papermill", "--cwd", repository / "notebooks", repository / "notebooks" / "retention.ipynb", out)
    shown = str([cell.get("outputs") for cell in nbformat.read(out, as_version=4).cells])
    assert "synthetic data" in shown
    assert "Apr 2025" in shown


def test_lab_opens_copies_of_the_notebooks_in_an_empty_folder(image: tuple[Installed, Path]) -> None:
    installed, _ = image
    with installed.running("healthie-nb", "lab", "--no-browser") as lab:
        assert "retention.ipynb" in answered(address(lab))
    copies = {path.name for path in (installed.folder / "healthie-notebooks").iterdir()}
    assert copies >= {path.name for path in (PROJECT / "notebooks").glob("*.ipynb")}


def address(started: subprocess.Popen[str]) -> str:
    """Return the URL that a server prints: on the port that it got, whatever it asked for."""
    assert started.stdout is not None
    return next(found[0] for line in started.stdout if (found := re.search(r"http://127\.0\.0\.1:\S+", line)))
