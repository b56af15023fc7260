"""The wheel in an empty folder: everything is inside, and it brings nothing that a script does not need."""

from __future__ import annotations

import json
import re
import zipfile
from typing import TYPE_CHECKING

import pytest
from installed import OLDEST, PINS, PROJECT, Installed, pythons, uv

from healthie_nb import cli, query

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PYTHONS = pythons()
# What a wheel without extras must not bring, and a script not load.
NOTEBOOK_PACKAGES = ("altair", "IPython", "ipywidgets", "jupyterlab", "papermill", "great_tables", "vl_convert")
LOADED = "import sys, {}; print(*sys.modules)"
USED = """
import healthie_nb as hn
practice = hn.connect()
appointments = practice.load("appointments", start="2026-05-01", end="2026-06-30")
print(hn.visits(appointments, zone=practice.zone).height)
"""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    uv("build", "-q", "--wheel", "-o", folder, PROJECT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session", params=sorted({OLDEST, next(iter(PYTHONS))}), ids=lambda minor: f"3.{minor}")
def script(
    request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installed]:
    """Give an environment for scripts: the wheel without extras."""
    environment = Installed(tmp_path_factory.mktemp(f"script{request.param}"), PYTHONS[request.param])
    environment.install("-c", PINS, wheel)
    yield environment
    environment.close()


def test_wheel_holds_what_is_read_at_run_time_and_no_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        inside = set(opened.namelist())
    assert {f"healthie_nb/queries/{name}.graphql" for name in query.names()} <= inside
    assert {f"healthie_nb/notebooks/{path.name}" for path in (PROJECT / "notebooks").glob("*.ipynb")} <= inside
    assert {"healthie_nb/schema.graphql", "healthie_nb/py.typed"} <= inside
    assert all(name.startswith(("healthie_nb/", "healthie_nb-")) for name in inside)


def test_it_works_in_an_empty_folder_without_jupyter(script: Installed) -> None:
    found = f"import importlib.util as u; print([n for n in {NOTEBOOK_PACKAGES!r} if u.find_spec(n)])"
    assert script.run("python", "-c", found) == "[]\n"
    assert int(script.run("python", "-c", USED)) > 0
    assert [json.loads(line)["query"] for line in script.run("healthie-nb", "check", "--json").splitlines()] == (
        query.names()
    )
    assert not list(script.folder.iterdir())


def test_import_loads_nothing_but_polars_and_what_polars_loads(script: Installed) -> None:
    """So it costs what polars costs; benchmarks/imports.py measures it."""
    ours = set(script.run("python", "-c", LOADED.format("healthie_nb")).split())
    polars = set(script.run("python", "-c", LOADED.format("polars")).split())
    assert {name for name in ours - polars if name.split(".")[0] != "healthie_nb"} == set()


def test_every_command_has_its_help_and_the_demo_runs(script: Installed) -> None:
    said = script.run("healthie-nb", "--help")
    assert all(name in said for name in cli.COMMANDS)
    with script.running("healthie-nb", "demo", "--clients", "20") as demo:
        assert demo.stdout is not None
        lines = [demo.stdout.readline() for _ in range(8)]
        assert re.fullmatch(r"URL  http://127\.0\.0\.1:\d+/graphql\n", lines[1])


def test_lab_without_jupyter_says_what_to_install(script: Installed) -> None:
    with pytest.raises(AssertionError, match=r"pip install 'healthie-nb\[notebooks\]'"):
        script.run("healthie-nb", "lab", "--no-browser")
