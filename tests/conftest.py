"""A demo practice over real HTTP, and practices that keep their rows in a folder of the test."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import sys
import tempfile
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
import stamina

# Before the library is imported, here and in every child: no test reads or writes what the user keeps.
_HOME = tempfile.mkdtemp(prefix="healthie-nb-tests-")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
for _folder in ("XDG_CACHE_HOME", "XDG_DATA_HOME"):
    os.environ[_folder] = _HOME
for _name in [name for name in os.environ if name.startswith("HEALTHIE_")]:
    del os.environ[_name]

import healthie_nb as hn
from healthie_nb.demo import Served, World, serving, truth
from healthie_nb.demo import Settings as Behaviour
from healthie_nb.practice import Practice
from healthie_nb.settings import Settings

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Iterator

    from browsing import Lab
    from pyspark.sql import SparkSession

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


class Clock:
    """A clock that a test sets."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **time: float) -> None:
        """Let time pass."""
        self.now += timedelta(**time)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Report how often the 95 % intervals held the truth, as the tests that count it found."""
    passed = terminalreporter.stats.get("passed", [])
    shares = [(report, name, share) for report in passed for name, share in report.user_properties]
    covered = [(report, name, share) for report, name, share in shares if name.startswith("covered")]
    if covered:
        terminalreporter.section("95 % intervals that hold the known probability")
    for report, name, share in covered:
        terminalreporter.write_line(f"{share:6.1%}  {name}, {report.nodeid.rpartition('::')[2]}")


@pytest.fixture(scope="session")
def small_world() -> World:
    """Return a clinic of 400 clients; nobody may edit it."""
    return World(clients=400)


@pytest.fixture(scope="session")
def served(small_world: World) -> Iterator[Served]:
    """Serve the small clinic without a limit, for tests that only read."""
    with serving(small_world, Behaviour(rate=None)) as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    """Return a clock at noon of the day after the demo's last."""
    return Clock()


@pytest.fixture
def practice_at(tmp_path: pathlib.Path, clock: Clock) -> Callable[..., Practice]:
    """Return what connects to a served clinic with a store below the test's folder."""

    def connected(served: Served, **settings: Any) -> Practice:
        known = {"cache_dir": tmp_path / "cache", "data_dir": tmp_path / "data", "max_rps": 250.0}
        return Practice(Settings(**{"url": served.url, "key": served.key, **known, **settings}), clock=clock)

    return connected


@pytest.fixture
def practice(served: Served, practice_at: Callable[..., Practice]) -> Practice:
    """Return the small clinic, connected."""
    return practice_at(served)


@pytest.fixture(scope="module")
def module_practice(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Practice:
    """Return the small clinic, connected once for a module whose tests only read."""
    folder = tmp_path_factory.mktemp("module")
    settings = Settings(
        url=served.url, key=served.key, cache_dir=folder / "cache", data_dir=folder / "data", max_rps=250.0
    )
    return Practice(settings, clock=Clock())


@pytest.fixture
def without_waiting() -> Iterator[None]:
    """Retry at once, and often."""
    with stamina.set_testing(True, attempts=200):
        yield


@pytest.fixture(scope="session")
def lab_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of a JupyterLab that serves the notebooks."""
    from browsing import serving_lab  # noqa: PLC0415, playwright is for the browser tests alone

    with serving_lab(tmp_path_factory.mktemp("lab")) as address:
        yield address


@pytest.fixture(scope="module")
def lab(lab_address: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Return the notebook that the module names, in a browser, after Run All; a picture shows it before."""
    from browsing import opened, run_all  # noqa: PLC0415

    with opened(lab_address, request.module.NOTEBOOK, tmp_path_factory.mktemp("screenshots")) as lab:
        lab.shoot(f"{request.module.NOTEBOOK}-reopened", lab.page.locator("[data-mime-type='image/png']").last)
        lab.shown_before = lab.page.locator(".jp-OutputArea-output :is(svg.marks, img)").count()
        run_all(lab)
        yield lab


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """Start a real cluster, a master and two workers in processes of their own, in another time zone than ours."""
    import pyspark  # noqa: PLC0415, takes its time
    from pyspark.sql import SparkSession  # noqa: PLC0415

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_HOME", os.path.dirname(pyspark.__file__))  # noqa: PTH120, as Spark wants it
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        patch.chdir(tmp_path_factory.mktemp("spark"))  # where it leaves its workers' folders
        builder = SparkSession.builder.master("local-cluster[2,1,1024]")
        for name, value in {
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.log.level": "ERROR",
            "spark.sql.session.timeZone": "Asia/Tokyo",
            "spark.sql.shuffle.partitions": "2",
            # Small frames: to compile every step of every metric takes longer than the metric.
            "spark.sql.codegen.wholeStage": "false",
            "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        }.items():
            builder = builder.config(name, value)
        session = builder.getOrCreate()
        yield session
        session.stop()


@pytest.fixture(scope="session")
def notebook(served: Served, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the variables that a notebook has when it comes to its explorer."""
    span = {"start": "2023-07-01", "end": "2026-12-31"}
    folder = tmp_path_factory.mktemp("explore")
    practice = Practice(Settings(url=served.url, key=served.key, cache_dir=folder, data_dir=folder, max_rps=250.0))
    loaded = {
        name: practice.load(name)
        for name in ("appointment_types", "providers", "clients", "form_templates", "form_requests", "filled_forms",
                     "chart_notes")
    }  # fmt: skip
    types = loaded["appointment_types"]
    roles = hn.roles.propose_roles(types)
    group_types = types.filter("is_group")["id"].to_list()
    visits = hn.visits(
        practice.load("appointments", **span),
        zone=practice.zone,
        attendance=practice.load("group_attendance", **span, type_ids=group_types),
        appointment_types=types,
        roles=roles,
    )
    programmes = pl.DataFrame({"id": [truth.COMPLETED_GROUP], "kind": ["group"]})
    made = {"visits": visits, "roles": roles, "programmes": programmes}
    return {"hn": hn, "pl": pl, "practice": practice, **made, **loaded}


@contextlib.contextmanager
def answering(*answers: tuple[int, dict[str, str], bytes]) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Serve these answers (status, headers, body) one after the other, the last one for ever; note what was asked."""
    asked: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            asked.append(dict(self.headers))
            status, headers, body = answers[min(len(asked), len(answers)) - 1]
            self.send_response(status)
            for name, value in {
                "Content-Type": "application/json",
                "Content-Length": str(len(body)),
                **headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/graphql", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
