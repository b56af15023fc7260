from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from healthie_nb import cli, lab

if TYPE_CHECKING:
    from pathlib import Path


def test_help_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--help"])
    said = capsys.readouterr().out
    assert "lab " in said
    assert "demo " in said


def test_demo_has_its_own_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["demo", "--help"])
    assert "--clients" in capsys.readouterr().out


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
    loaded = "import sys, healthie_nb.cli; sys.exit(any(name in sys.modules for name in ('altair', 'jupyterlab')))"
    assert subprocess.run([sys.executable, "-c", loaded], check=False).returncode == 0
