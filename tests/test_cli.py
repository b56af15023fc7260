from __future__ import annotations

import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from healthie_nb import cli, lab

if TYPE_CHECKING:
    from pathlib import Path


def said_by(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit, match="0"):
        cli.main(arguments)
    return capsys.readouterr().out


def test_help_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    said = said_by(["--help"], capsys)
    assert all(re.search(rf"^    {name}\s", said, re.MULTILINE) for name in cli.COMMANDS)
    assert "Exit codes" in said


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_help_of_every_command_shows_examples_that_it_takes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = said_by([name, "--help"], capsys)
    examples = [line.split("healthie-nb ", 1)[1] for line in said.splitlines() if re.match(r" .*healthie-nb ", line)]
    assert examples
    for example in examples:
        given = shlex.split(example.split("    ")[0])
        assert given[0] == name
        assert callable(cli._parser(name).parse_args(given).run)


def test_command_that_is_none_is_refused_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["leb"])
    said = capsys.readouterr().err
    assert all(name in said for name in cli.COMMANDS)


def test_lab_starts_on_the_folder_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started: list[object] = []
    monkeypatch.setattr(lab, "start", lambda folder, **options: started.extend([folder, options["opens_browser"]]))
    assert cli.main(["lab", "--no-browser", str(tmp_path / "mine")]) == 0
    assert started == [tmp_path / "mine", False]


def test_missing_jupyter_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lab, "NEEDED", ("jupyterlab", "no_such_module"))
    assert cli.main(["lab", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        "healthie-nb: no_such_module not installed; pip install 'healthie-nb[notebooks]'\n"
    )


def test_command_line_loads_no_notebook_packages() -> None:
    """A script's environment has none."""
    text = "import sys, healthie_nb.cli as cli; cli._parser('lab'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout.split()
    assert not {"altair", "jupyterlab", "graphql", "healthie_nb.commands.cache"} & set(loaded)
