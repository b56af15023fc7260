"""README, CONTRIBUTING and docs/ keep their word: every block of code runs, in its order, on the demo practice.

The blocks of a document share one namespace and one empty folder. A block after "Save as `NAME`" becomes that file.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from unittest.mock import MagicMock

import pytest

import healthie_nb
from healthie_nb import cli, parameters
from healthie_nb.explore.choosing import LABELS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from healthie_nb.demo import Served

PROJECT = Path(__file__).parents[1]
DOCUMENTS = sorted(path for place in (".", "docs") for path in (PROJECT / place).glob("*.md"))
IDS = [path.name for path in DOCUMENTS]
SHELL = ("sh", "bash", "console")
# Lines of shell that are not run here, and why. What begins with healthie-nb is still held to its options.
NOT_RUN = {
    "python3 start.py": "JupyterLab stays until Ctrl-C; test_lab and test_browser start it",
    "python3 start.py test": "it is what runs this",
    "python3 start.py report retention --demo --out who-stays.html": "half a minute; test_report makes reports",
    "python3 start.py check-notebooks": "no notebooks in this folder; test_saved checks ours",
    ".venv/bin/pytest --nbval --nbval-sanitize-with tests/sanitize.cfg notebooks": "run.py does it, of ours",
    **{
        f"uv pip compile pyproject.toml --generate-hashes --no-header --universal --python-version 3.11 -q {rest}": (
            "it asks the package index, and would change the pins"
        )
        for rest in (
            "--extra notebooks -o requirements/lab.txt",
            "--extra notebooks --group test -o requirements/test.txt",
        )
    },
    "export HEALTHIE_API_KEY=gh_live_...": "no key of Healthie's here; the demo practice takes its place",
}


class Block(NamedTuple):
    """A fenced block: its language, what it holds, the line it begins on, and the file it is to be saved as."""

    language: str
    text: str
    line: int
    file: str | None


def blocks(path: Path) -> Iterator[Block]:
    text = path.read_text(encoding="utf-8")
    for found in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        before = text[: found.start()].rstrip().rpartition("\n\n")[2]
        saved = re.search(r"[Ss]ave(?: this| it)? as\s+`([^`]+)`", before)
        yield Block(found[1], found[2], text[: found.start(2)].count("\n"), saved[1] if saved else None)


def commands(block: Block) -> list[str]:
    lines = (re.sub(r"(^|\s+)#.*", "", line).strip() for line in block.text.splitlines())
    return [line.removeprefix("$ ") for line in lines if line]


def as_installed(command: str) -> str:
    """Return the command that start.py becomes once everything is set up."""
    return re.sub(r"^python3 start\.py (?!test)", "healthie-nb ", command)


@pytest.fixture
def folder(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty folder, with the environment of somebody connected to the small clinic."""
    environment = {
        "HEALTHIE_API_URL": served.url,
        "HEALTHIE_API_KEY": served.key,
        "HEALTHIE_MAX_RPS": "250",
        "HEALTHIE_CACHE_DIR": str(tmp_path / "cache"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    monkeypatch.syspath_prepend(empty)
    return empty


@pytest.mark.parametrize("path", DOCUMENTS, ids=IDS)
def test_every_block_runs(path: Path, folder: Path) -> None:
    namespace: dict[str, object] = {"__name__": path.stem}
    for block in blocks(path):
        if block.file:
            (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.file).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            exec(compile("\n" * block.line + block.text, path, "exec", dont_inherit=True), namespace)
        elif block.language in SHELL:
            script = "\n".join(as_installed(line) for line in commands(block) if line not in NOT_RUN)
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{path.name}, line {block.line}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
        else:
            assert block.language == "text", f"{path.name}, line {block.line}: nothing runs {block.language!r}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=IDS)
def test_commands_that_are_not_run_are_ones_that_there_are(path: Path) -> None:
    for line in (line for block in blocks(path) if block.language in SHELL for line in commands(block)):
        name, *given = shlex.split(as_installed(line))
        if line in NOT_RUN and name == "healthie-nb":
            assert callable(cli._parser(given[0]).parse_args(given).run)


def test_every_command_that_is_not_run_stands_in_a_document() -> None:
    written = {
        line for path in DOCUMENTS for block in blocks(path) if block.language in SHELL for line in commands(block)
    }
    assert set(NOT_RUN) <= written


@pytest.mark.parametrize("path", DOCUMENTS, ids=IDS)
def test_links_within_the_project_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text):
        place, _, heading = target.partition("#")
        if place.startswith(("http://", "https://", "mailto:")):
            continue
        at = path.parent / place if place else path
        assert at.exists(), f"{path.name}: {target}"
        if heading:
            headings = re.findall(r"^#+ (.*)$", at.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {re.sub(r"[^\w\- ]", "", name.lower()).replace(" ", "-") for name in headings}, target


def test_the_public_names_are_those_that_are_documented() -> None:
    text = (PROJECT / "docs" / "api.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == healthie_nb.__all__ == dir(healthie_nb)
    assert all(hasattr(healthie_nb, name) for name in healthie_nb.__all__)


def test_methods_and_properties_that_are_documented_are_there() -> None:
    text = (PROJECT / "docs" / "api.md").read_text(encoding="utf-8")
    (described,) = re.findall(r"^\| `Practice` \|(.*)\|$", text, re.MULTILINE)
    named = {*re.findall(r"`(\w+)`", described)} - {"connect"}
    assert named <= {*dir(healthie_nb.Practice), *healthie_nb.Practice.__init__.__code__.co_names}


QUESTIONS = re.findall(
    r"^\| (.*?) \| (retention|appointment_volume|form_completion|each of them) \| (.*?) \| (.*?) ?\| (.*?) ?\|$",
    (PROJECT / "docs" / "questions.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)
EXPLORERS = {
    name: importlib.import_module(f"healthie_nb.explore.{room}").shows
    for name, room in (("retention", "clients"), ("appointment_volume", "volume"), ("form_completion", "forms"))
}


@pytest.mark.parametrize(("question", "name", "section", "show", "controls"), QUESTIONS)
def test_where_a_question_is_answered_is_there(
    question: str, name: str, section: str, show: str, controls: str
) -> None:
    """The notebook has the section, its explorer the view, and the view the controls with the values named."""
    for notebook in EXPLORERS if name == "each of them" else [name]:
        cells = json.loads((PROJECT / "notebooks" / f"{notebook}.ipynb").read_text(encoding="utf-8"))["cells"]
        headings = {
            line.strip("#").strip()
            for cell in cells
            if cell["cell_type"] == "markdown"
            for line in "".join(cell["source"]).splitlines()
            if line.startswith("#")
        }
        assert section in headings, question
    if show:
        (shown,) = (one for one in EXPLORERS[name](MagicMock()).values() if one.title == show)
        described = parameters.described(name)
        for control in controls.split(", "):
            label, _, value = control.partition(": ")
            (parameter,) = (one for one in shown.controls if LABELS[one] == label)
            allowed = described[parameter].allowed
            assert not value or value in allowed, f"{question}: {control}"
