"""What a saved notebook must not hold, so that it can be kept in a repository and shown to anyone.

Names cannot be told from other words. What can be found is: whose data it says it shows, columns that hold what
identifies, and what has a form of its own, such as an e-mail address. No finding quotes what it found.
"""

from __future__ import annotations

import json
import re
from html import unescape
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from healthie_nb import wording
from healthie_nb.display import VEGALITE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

PRACTICE: Final = re.compile(r"^.*: (.+)\nAPI version \d{4}-\d\d-\d\d", re.MULTILINE)  # as a practice says who it is
PICTURE: Final = re.compile(r"data:[\w/+.-]+;base64,[\w+/=\s]+")
ANYWHERE: Final = {
    "an e-mail address": r"[\w.+-]+@[\w-]+\.[\w.-]*\w",
    "a phone number": r"(?<![\w.-])(\+?1[ .-]?)?(\(\d{3}\) ?|\d{3}[.-])\d{3}[.-]\d{4}(?![\w.-]*\w)",
    "a social security number": r"(?<![\w-])\d{3}-\d\d-\d{4}(?![\w-])",
    "a link into Healthie, with an id": r"gethealthie\.com/[\w/?=&#.-]*\d",
    "an API key": r"gh_(live|sbox|demo)_\w{6,}|Basic [\w+/=-]{16,}",
}
# The history of no practice reaches back so far; clients' births do.
SHOWN: Final = {"what may be a birth date": r"(?<!\d)((19\d\d|200\d)-\d\d-\d\d|\d{1,2}/\d{1,2}/(19\d\d|200\d))(?!\d)"}
IDENTIFYING: Final = frozenset(
    (
        *("first_name", "last_name", "full_name", "legal_name", "preferred_name", "client_name", "patient_name"),
        *("email", "phone", "phone_number", "address", "line1", "line2", "zip", "ssn", "mrn", "record_identifier"),
        *("dob", "date_of_birth", "birth_date", "birthday", "notes", "quick_notes", "other_cancellation_reason"),
    )
)
CLIENT_IDS: Final = frozenset(("client_id", "user_id", "patient_id", "filler_id", "appointment_id", "client"))
COUNTED: Final = ("notes",)  # also a word for how many there are
COUNT: Final = re.compile(r"^[\d,.%]*$|^[iu]\d+$|^[-—]+$")  # or what polars says below a column's name
AGAIN: Final = "Leave it out, run all cells on the demo practice (HEALTHIE_DEMO=1), and save."
STRIP: Final = "nbstripout --keep-output --keep-count --keep-id"
WIDGETS: Final = (
    "the state of widgets, which may hold rows",
    f"Take it out: {STRIP} FILE. In JupyterLab, switch Settings → Save Widget State Automatically off.",
)
INJECTED: Final = (
    "what papermill wrote into it: parameters of one run, and paths",
    "Keep the notebook that papermill was given; what it made belongs in no repository.",
)
FAILED: Final = ("an error, whose traceback may quote rows", "Mend or remove the cell; run all cells, and save.")
NOT_DEMO: Final = (
    "what it shows is no demo practice's",
    "Run all cells again on the demo practice (HEALTHIE_DEMO=1), and save.",
)
NOBODYS: Final = (
    "nothing in it says whose data it shows",
    "Show what connect() returns in a cell of its own, run all cells on the demo practice, and save.",
)
OUT_OF_ORDER: Final = (
    "its cells were not run once each, from first to last: what they show may be of two practices",
    "Restart the kernel, run all cells on the demo practice, and save.",
)
UNREADABLE: Final = ("it is no notebook that can be read", "Restore it, or leave it out.")

Columns = list[str]
Rows = list[list[str]]


class Finding(NamedTuple):
    """Something that must not be there: the file, the cell's number from 1 or None for the whole, and what to do."""

    file: str
    cell: int | None
    what: str
    todo: str


def findings(path: Path) -> list[Finding]:
    """Everything that keeps this notebook from being shown to anyone, from the whole to its last cell."""
    import nbformat  # noqa: PLC0415, --help needs none

    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except (OSError, UnicodeDecodeError, nbformat.reader.NotJSONError, nbformat.ValidationError, AttributeError):
        return [Finding(str(path), None, *UNREADABLE)]
    found: list[tuple[int | None, tuple[str, str]]] = [(None, said) for said in _of_whole(notebook)]
    found += [(i, said) for i, cell in enumerate(notebook.cells, start=1) for said in _of_cell(cell)]
    return [Finding(str(path), cell, *said) for cell, said in dict.fromkeys(found)]


def _of_whole(notebook: Any) -> Iterator[tuple[str, str]]:
    if "widgets" in notebook.metadata:
        yield WIDGETS
    if "papermill" in notebook.metadata:
        yield INJECTED
    ran = [cell for cell in notebook.cells if cell.cell_type == "code" and (cell.source.strip() or cell.outputs)]
    if not any(cell.outputs for cell in ran):
        return
    texts = [text for cell in ran for output in cell.outputs for text in _texts(output)]
    if not any(PRACTICE.search(text) for text in texts):
        yield NOBODYS
    if [cell.execution_count for cell in ran] != list(range(1, len(ran) + 1)):
        yield OUT_OF_ORDER


def _of_cell(cell: Any) -> Iterator[tuple[str, str]]:
    yield from ((f"{what} in what is written", "Take it out.") for what in _formed(cell.source, ANYWHERE))
    if "injected-parameters" in cell.metadata.get("tags", []):
        yield INJECTED
    for output in cell.get("outputs", []):
        yield from _of_output(output)


def _of_output(output: Any) -> Iterator[tuple[str, str]]:
    if output.output_type == "error":
        yield FAILED
    texts = list(_texts(output))
    if any(source != "synthetic data" for text in texts for source in PRACTICE.findall(text)) or _is_unlabelled(output):
        yield NOT_DEMO
    for text in texts:
        yield from ((f"{what} in its output", AGAIN) for what in _formed(text, ANYWHERE | SHOWN))
    for columns, rows in _tables(output):
        yield from _of_table(columns, rows)


def _of_table(columns: Columns, rows: Rows) -> Iterator[tuple[str, str]]:
    for i, column in enumerate(columns):
        name = re.sub(r"\W+", "_", column.strip().lower())
        values = [row[i].strip(' "') for row in rows if i < len(row)]
        if name in IDENTIFYING and not (name in COUNTED and all(COUNT.match(value) for value in values)):
            yield f"a column {name} in its output", AGAIN
        if name in CLIENT_IDS and any(value.isdigit() for value in values):
            yield f"ids in the column {name} of its output", f"Show pseudonyms in their place. {AGAIN}"


def _formed(text: str, forms: Mapping[str, str]) -> Iterator[str]:
    return (what for what, form in forms.items() if re.search(form, text))


def _is_unlabelled(output: Any) -> bool:
    """Whether this is a table, tile or chart of ours that does not say that its data is made up."""
    data = output.get("data", {})
    table, spec = data.get("text/html", ""), data.get(VEGALITE, {})
    is_ours = 'id="hn-' in table or 'class="hn-' in table or "rows" in spec.get("datasets", {})
    return is_ours and not any(wording.SYNTHETIC in text for text in (table, json.dumps(spec)))


def _texts(output: Any) -> Iterator[str]:
    """Everything in an output that one can read, as text."""
    if "data" not in output:
        yield output.get("text", "") + "\n".join(output.get("traceback", []))
    for form, value in output.get("data", {}).items():
        if not form.startswith("image/") or form.startswith("image/svg"):
            yield PICTURE.sub("", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _tables(output: Any) -> Iterator[tuple[Columns, Rows]]:
    """Tables of an output: those of polars, pandas and great_tables, printed ones, and the rows within a chart."""
    data = output.get("data", {})
    if html := data.get("text/html", ""):
        lines = (re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line, re.DOTALL) for line in re.split(r"</tr>", html))
        yield from _headed([[unescape(re.sub(r"<[^>]+>", "", cell)) for cell in line] for line in lines])
    text = output.get("text", "") or data.get("text/plain", "")
    boxed = (line for line in text.splitlines() if line.startswith("│"))
    yield from _headed([line.strip("│").split("┆") for line in boxed])
    for rows in (found for form, value in data.items() if form.endswith("json") for found in _records(value)):
        columns = list(rows[0])
        yield columns, [[str(row.get(name, "")) for name in columns] for row in rows]


def _headed(lines: Rows) -> list[tuple[Columns, Rows]]:
    """Take the first line of several cells for the columns' names, for a title has one; without any, the first."""
    lines = [line for line in lines if line]
    at = next((i for i, line in enumerate(lines) if len(line) > 1), 0)
    return [(lines[at], lines[at + 1 :])] if lines else []


def _records(value: Any) -> Iterator[list[dict[str, Any]]]:
    if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        yield from _records(one)
