"""Reports: refused before a kernel starts, or made of a notebook that was run, with its checks in the exit code."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import polars as pl
import pytest
from papermill import PapermillExecutionError

from healthie_nb import cli, parameters, quality, report, tiles, views
from healthie_nb.handover import Handover, HandoverError
from healthie_nb.parameters import ParameterError
from healthie_nb.visits import example

if TYPE_CHECKING:
    from healthie_nb.demo import Served
    from healthie_nb.practice import Practice

CONNECT = "import polars as pl\n\nimport healthie_nb as hn\n\npractice = hn.connect()"
CHECKS = """\
trust = pl.DataFrame(
    {"check": ["doubles", "weeks"], "level": ["red", "amber"], "value": "1", "meaning": "m", "advice": "a"}
)
"""


@pytest.fixture
def never_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object, **__: object) -> None:
        raise AssertionError("a kernel was started")

    monkeypatch.setattr(report, "_run", run)


@pytest.mark.usefixtures("never_run")
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["retention", "--sart", "2025-01-01"], 2, "--sart 2025-01-01 is not known; there are: --help, --out, "),
        (["retention", "--every", "day"], 2, "every is 'day'; give 'week', 'month', 'quarter'."),
        (["retention", "--provider", "Ada"], 2, "provider_ids is 'Ada'; give ids of Healthie's, digits each."),
        (["retention", "--start", "2026-05-01"], 2, "start is 2026-05-01, after end, 2026-03-31"),
        (["retention", "--view", "bord"], 2, "retention has no view 'bord'; "),
        (["retention", "--form", "1"], 2, "--form 1 is not known"),
        (["retentoin"], 2, "invalid choice: 'retentoin'"),
        (["retention"], 1, "HEALTHIE_API_KEY is not set; set it, or give --demo"),
        (["retention", "--audience", "all", "--demo"], 2, "invalid choice: 'all'"),
        (["retention", "--notebook-file", "no.ipynb", "--demo"], 1, "there is no notebook no.ipynb"),
    ],
)
def test_wrong_command_is_refused_before_a_kernel_starts(
    arguments: list[str], code: int, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["report", *arguments, "--out", str(tmp_path / "r.html")]
    try:
        left = cli.main(given)
    except SystemExit as leaving:
        left = leaving.code  # type: ignore[assignment]
    assert left == code
    assert words in " ".join(capsys.readouterr().err.split())
    assert not [*tmp_path.iterdir()]


@pytest.mark.usefixtures("never_run")
@pytest.mark.parametrize(
    ("out", "words"), [("r.txt", "r.txt ends in .txt; give it one of .html."), ("no/r.html", "there is no folder ")]
)
def test_page_that_cannot_be_written_is_refused_before_a_kernel_starts(
    out: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["report", "retention", "--demo", "--out", str(tmp_path / out)]) == 1
    assert words in capsys.readouterr().err


def test_help_teaches_every_parameter(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["report", "form_completion", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    for parameter in parameters.described("form_completion").values():
        assert f"{parameter.option} " in said
        assert parameter.meaning in said


def test_what_is_given_wins_over_the_view_and_that_over_the_notebook() -> None:
    views.save("retention", "board", {"months": 6, "provider_ids": ["17"]})
    values = report.settings("retention", {"view": "board", "months": 9})
    assert (values["months"], values["provider_ids"], values["every"], values["view"]) == (9, ["17"], "month", "")
    with pytest.raises(ParameterError, match="no parameter 'moon'"):
        report.settings("retention", {"moon": 1})


def notebook(path: Path, *sources: str) -> Path:
    cells = [nbformat.v4.new_code_cell(parameters.cell("retention"), metadata={"tags": ["parameters"]})]
    cells += [nbformat.v4.new_markdown_cell("## Below this")]
    cells += [nbformat.v4.new_code_cell(source) for source in sources]
    metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    nbformat.write(
        nbformat.v4.new_notebook(cells=cells, metadata={**metadata, "language_info": {"name": "python"}}), path
    )
    return path


def made(served: Served, folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {"HEALTHIE_API_KEY": served.key, "HEALTHIE_API_URL": served.url, "HEALTHIE_CACHE_DIR": str(folder / "c")}
    given["XDG_DATA_HOME"] = str(folder / "data")
    return subprocess.run(
        [sys.executable, "-m", "healthie_nb.cli", "report", *arguments],
        env={**os.environ, **given, **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_report_is_a_page_that_tells_its_parameters_and_its_red_checks(tmp_path: Path, served: Served) -> None:
    mine = notebook(
        tmp_path / "mine.ipynb", CONNECT, "practice.load('providers').height", CHECKS, "months, provider_ids"
    )
    given = ["retention", "--notebook-file", mine.name, "--months", "7", "--provider", "8,9"]
    done = made(served, tmp_path, *given, "--out", "r.html")
    assert done.stderr == ""
    assert done.stdout.splitlines()[1:] == ["red: doubles", "amber: weeks"]
    assert done.returncode == 3
    page = html.unescape((tmp_path / "r.html").read_text())
    assert "(7, ['8', '9'])" in page
    assert "all data on this page is made up" in page
    assert "providers (" in page
    filters = re.findall("<th>filters</th><td>(.*?)</td>", page)[0].split("; ")
    assert {"months: 7", "provider_ids: 8, 9", "every: month", "start: 2025-04-01"} <= {*filters}  # all that held
    assert (tmp_path / "r.html").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "data", "mine.ipynb", "r.html"]


def test_ids_that_the_practice_lacks_are_refused_once_it_is_loaded(tmp_path: Path, served: Served) -> None:
    given = ["--provider", "9999999", "--type", "8888888", "--form", "7777777"]
    done = made(served, tmp_path, "form_completion", *given, "--out", "r.html")
    assert done.returncode == 1
    assert "form_completion.ipynb stopped below 'The data': ParameterError: " in done.stderr
    for told in (
        "provider_ids: this practice has no 9999999; it has ",
        "appointment_type_ids: ",
        "no 7777777; it has ",
    ):
        assert told in done.stderr
    assert not (tmp_path / "r.html").exists()


@pytest.mark.parametrize("name", parameters.NOTEBOOKS)
def test_every_notebook_refuses_them(name: str) -> None:
    sources = [cell.source for cell in nbformat.read(report.packaged(name), as_version=4).cells]
    refusing, showing = (
        next(at for at, source in enumerate(sources) if f"hn.{what}" in source)
        for what in ("explore.refuse_unknown(settings, appointments, ", "tiles.")
    )
    assert refusing < showing
    assert ("form_templates=form_templates" in sources[refusing]) == ("form_ids" in parameters.described(name))


@pytest.mark.parametrize(("level", "code"), [("red", 3), ("amber", 0), ("green", 0)])
def test_red_check_alone_is_in_the_exit_code(
    level: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*_: object, **__: object) -> nbformat.NotebookNode:
        handed = Handover("Demo practice", True, "2026-01-01", "UTC", (), (("doubles", level),))  # noqa: FBT003
        output = nbformat.v4.new_output("execute_result", data=handed._repr_mimebundle_())
        cells = [nbformat.v4.new_markdown_cell("# Who stays?"), nbformat.v4.new_code_cell("", outputs=[output])]
        return nbformat.v4.new_notebook(cells=cells)

    monkeypatch.setattr(report, "_run", run)
    asked = ["report", "retention", "--demo", "--out", str(tmp_path / "r.html")]
    assert cli.main(asked) == code
    capsys.readouterr()
    assert cli.main([*asked, "--json"]) == code
    named = {one: ["doubles"] if one == level else [] for one in ("red", "amber")}
    assert json.loads(capsys.readouterr().out) == {"path": str(tmp_path / "r.html"), "checks": 1, **named}


@pytest.mark.parametrize("kept", ["frame", "shown", "both"])
def test_checks_are_found_kept_or_shown(kept: str, practice: Practice) -> None:
    checks = quality.checks(example({"ada": ["2026-01-05", "2026-01-05"]}), as_of="2026-01-31")
    variables = {"frame": {"trust": checks}, "shown": {"_12": tiles.trust(checks, synthetic=True)}}
    given = {**variables["frame"], **variables["shown"]} if kept == "both" else variables[kept]
    handed = Handover.found({"practice": practice, **given})
    assert len(handed.checks) == len(quality.CHECKS)
    assert "doubles" in handed.of_level("red")


def failed(kind: str, says: str) -> PapermillExecutionError:
    return PapermillExecutionError(1, 1, "", kind, says, [])


def test_our_own_errors_are_told_whole() -> None:
    cells = [nbformat.v4.new_markdown_cell("# One\n\n## Two"), nbformat.v4.new_code_cell("")]
    error = failed("QueryError", "no query named 'apointments'")
    told = report._failure(Path("a.ipynb"), nbformat.v4.new_notebook(cells=cells), error)
    assert told == "a.ipynb stopped below 'Two': QueryError: no query named 'apointments'"


def test_notebook_without_a_practice_or_checks_is_an_error_and_not_green(practice: Practice) -> None:
    with pytest.raises(HandoverError, match="keep what connect"):
        Handover.found({"a": 1})
    with pytest.raises(HandoverError, match="makes no trust checks"):
        Handover.found({"practice": practice, "a": pl.DataFrame({"check": ["doubles"]})})
    told = report._failure(Path("a.ipynb"), nbformat.v4.new_notebook(), failed("HandoverError", "it makes no checks"))
    assert told == "a.ipynb stopped below 'a': HandoverError: it makes no checks"
    with pytest.raises(HandoverError, match="handed nothing on"):
        Handover.taken(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]))


def test_demo_is_taken_although_there_is_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    from healthie_nb import settings  # noqa: PLC0415

    environment: dict[str, Any] = {"HEALTHIE_API_KEY": "gh_live_x", "HEALTHIE_DEMO": "1"}
    assert settings.from_environment(environment) is None
    monkeypatch.delenv("HEALTHIE_DEMO", raising=False)
    with report._practice(demo=True):
        assert settings.from_environment(settings.environment()) is None
        assert os.environ["HEALTHIE_DEMO"] == "1"
    assert "HEALTHIE_DEMO" not in os.environ
