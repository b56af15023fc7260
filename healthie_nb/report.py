"""A notebook run with other parameters, as one HTML page. Wraps papermill.

Everything that can be refused is refused before a kernel starts.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from healthie_nb import access, export, parameters, views
from healthie_nb import settings as configuration
from healthie_nb.handover import CELL, Handover
from healthie_nb.query import HealthieError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from healthie_nb.parameters import Value
    from healthie_nb.suppression import Audience

NEEDED: Final = ("papermill", "nbconvert", "altair", "vl_convert", "ipykernel")
CELL_TIMEOUT_S: Final = 3_600  # a first pull of a large practice is one cell
KERNEL_TIMEOUT_S: Final = 180
# What a cell shows goes from the kernel to here through the machine's own network, where others could listen.
ENCRYPTED: Final = {"transport_encryption": "auto"}
PACKAGE: Final = Path(__file__).parent


class ReportError(HealthieError, RuntimeError):
    """A report that cannot be made as asked."""


@dataclass(frozen=True)
class Report:
    """A page that was written, and the trust checks that came out red or amber."""

    path: Path
    checks: int
    red: list[str]
    amber: list[str]


def settings(notebook: str, given: Mapping[str, object]) -> dict[str, Value]:
    """Every parameter's value: what was given, over the view that it names, over the notebook's own.

    Raises
    ------
    ParameterError for a name or value that the notebook does not take, or a view that there is not.
    """
    named = parameters.checked(notebook, given)
    view = str(named.pop("view", ""))
    return parameters.settings(notebook, views.read(notebook, view) if view else {}, named)


def make(
    notebook: str,
    out: Path,
    *,
    given: Mapping[str, object],
    demo: bool,
    audience: Audience,
    source: Path | None = None,
) -> Report:
    """Run a notebook with these parameters and write it as one HTML page.

    For an external audience its cells show what may leave the practice, and nothing else; see `outside`.

    Parameters
    ----------
    notebook
        retention, appointment_volume or form_completion.
    given
        Parameters by name; `view` is a saved view's name. The others are the view's, or the notebook's own.
    demo
        Take the demo practice, also where there is a key. Without a key and without this nothing is run.
    source
        A notebook of one's own with the same parameters, in place of the packaged one.

    Raises
    ------
    ParameterError, SettingsError, ExportError, ReportError before anything is run; ReportError when a cell fails.
    """
    values = settings(notebook, given)
    export.page_target(out, audience=audience)
    _require_packages()
    path = source or packaged(notebook)
    if not path.is_file():
        raise ReportError(f"there is no notebook {path}.")
    if not demo and configuration.from_environment(configuration.environment()) is None:
        raise ReportError("HEALTHIE_API_KEY is not set; set it, or give --demo for made-up data.")
    ran = _run(path, values, demo=demo, audience=audience)
    handed = Handover.taken(ran)
    provenance = export.Provenance(
        practice=handed.practice,
        is_synthetic=handed.is_synthetic,
        api_version=handed.api_version,
        zone=handed.zone,
        as_of=str(values["as_of"]),
        queries=handed.queries,
        filters={name: value for name, value in values.items() if name != "as_of"},
        note=_note,
    )
    written = export.page(ran, out, audience=audience, provenance=provenance, title=f"{notebook} report")
    return Report(written, len(handed.checks), handed.of_level("red"), handed.of_level("amber"))


def _note(action: str, **entry: Any) -> None:
    access.note(configuration.DATA_DIR, at=datetime.now(UTC), action=action, **entry)


def packaged(notebook: str) -> Path:
    """Where our notebook of this name is: inside the package when installed, beside it in a checkout."""
    inside = PACKAGE / "notebooks"
    return (inside if inside.is_dir() else PACKAGE.parent / "notebooks") / f"{notebook}.ipynb"


def _require_packages() -> None:
    lacking = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if lacking:
        raise ReportError(f"{', '.join(lacking)} not installed; pip install 'healthie-nb[notebooks]'")


def _run(path: Path, values: Mapping[str, Value], *, demo: bool, audience: Audience) -> Any:
    """Notebook as it was run, kept in memory: nothing of it is on disk until the page is."""
    import nbformat  # noqa: PLC0415, what can be refused is refused without them
    from papermill import PapermillExecutionError, execute_notebook  # noqa: PLC0415
    from traitlets.config import Config  # noqa: PLC0415

    from healthie_nb import outside  # noqa: PLC0415

    notebook = nbformat.read(path, as_version=4)
    first = [nbformat.v4.new_code_cell(outside.CELL)] if audience == "external" else []
    notebook.cells = [*first, *notebook.cells, nbformat.v4.new_code_cell(CELL)]
    try:
        with _quiet(), _practice(demo=demo):
            return execute_notebook(
                notebook,
                None,
                parameters=dict(values),
                progress_bar=False,
                start_timeout=KERNEL_TIMEOUT_S,
                execution_timeout=CELL_TIMEOUT_S,
                cwd=".",
                config=Config({"KernelManager": ENCRYPTED}),
            )
    except PapermillExecutionError as error:
        failure = _failure(path, notebook, error)
    # Raised here, where no other error is in flight: papermill's holds the cell's traceback, which may quote rows.
    raise ReportError(failure)


def _failure(path: Path, notebook: Any, error: Any) -> str:
    """Say where it stopped, and why where that is said in our own words: others may quote rows."""
    ours = {kind.__name__ for kind in _errors(HealthieError)}
    why = f"{error.ename}: {error.evalue}" if error.ename in ours else error.ename
    texts = (cell.source for cell in notebook.cells[: error.cell_index] if cell.cell_type == "markdown")
    headings = [line.lstrip("# ") for text in texts for line in text.splitlines() if line.startswith("#")]
    heading = headings[-1] if headings else path.stem
    return f"{path.name} stopped below {heading!r}: {why}"


def _errors(kind: type[HealthieError]) -> Iterator[type[HealthieError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _errors(below)


@contextlib.contextmanager
def _practice(*, demo: bool) -> Iterator[None]:
    """Environment of the kernel: with `demo` it takes the demo practice, whatever key there is."""
    before = os.environ.get("HEALTHIE_DEMO")
    if demo:
        os.environ["HEALTHIE_DEMO"] = "1"
    try:
        yield
    finally:
        os.environ.pop("HEALTHIE_DEMO", None)
        if before is not None:
            os.environ["HEALTHIE_DEMO"] = before


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """At DEBUG these write cells and what they show into the log."""
    loggers = [logging.getLogger(name) for name in ("papermill", "nbclient", "traitlets", "asyncio", "nbconvert")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
