"""What leaves a notebook: tables, charts and pages, each with its provenance, in the access log, for a named audience.

"internal" is the practice itself: files that their owner alone can read. "external" is everybody else: small counts
and what they would follow from are hidden, ids left out, and what cannot be made safe is refused in words.
"""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import polars as pl

from healthie_nb import disclosure
from healthie_nb.files import PRIVATE, SHARED, appear
from healthie_nb.provenance import Provenance, of
from healthie_nb.query import HealthieError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import altair as alt

    from healthie_nb.suppression import Audience

__all__ = ["ExportError", "Provenance", "chart", "page", "provenance", "table"]

TABLES: Final = (".csv", ".xlsx", ".parquet")
CHARTS: Final = (".png", ".svg")
KEY: Final = "healthie-nb"  # of the provenance in Parquet's metadata
FORMULA: Final = r"^([=+\-@\t\r])"

provenance = of


class ExportError(HealthieError, ValueError):
    """An export that cannot be made as asked. Nothing was written."""


def table(
    rows: pl.DataFrame,
    path: str | Path,
    *,
    audience: Audience,
    provenance: Provenance,
    metric: str | None = None,
    names: Mapping[str, Mapping[str, str]] | None = None,
) -> Path:
    """Write a table as CSV, XLSX or Parquet, by the path's ending.

    Parameters
    ----------
    audience
        "internal" or "external"; there is no default, for only who exports knows.
    provenance
        `export.provenance(practice, as_of=...)`: beside a CSV in a file of its own, on a sheet of an XLSX, in the
        metadata of a Parquet file under "healthie-nb".
    metric
        Which metric the table is of; an external audience may have no other.
    names
        Names by column and id, such as `{"provider_id": {"17": "Ada"}}`, in place of the ids that do not leave.

    Raises
    ------
    DisclosureError for a table that an external audience cannot have.
    ExportError for another ending, or a place that cannot be written.
    """
    target = _target(path, TABLES)
    told = disclosure.told(rows, metric=metric, audience=audience, names=names)
    said = provenance.said(audience=audience, definition=disclosure.definition(metric) if metric else "")
    files = {target: _TABLE[target.suffix.lower()](told, said)}
    if target.suffix.lower() == ".csv":
        beside = target.with_name(f"{target.stem}.provenance.json")
        files = {beside: msgspec.json.format(msgspec.json.encode(said), indent=2), **files}
    return _write(files, provenance, audience=audience, what=metric or "table", rows=told.height)


def chart(
    draw: Callable[..., alt.TopLevelMixin],
    rows: pl.DataFrame,
    path: str | Path,
    *,
    audience: Audience,
    provenance: Provenance,
    names: Mapping[str, Mapping[str, str]] | None = None,
    **options: Any,
) -> Path:
    """Draw a metric's chart and write it as PNG or SVG, by the path's ending, with the provenance in its metadata.

    Parameters
    ----------
    draw
        The chart's function, such as `charts.cohorts`: it draws what the audience may see of the rows.
    rows
        The metric's table.
    audience, provenance, names
        As for `table`.
    **options
        What `draw` takes beside the table.

    Raises
    ------
    DisclosureError, ExportError as `table`.
    """
    from healthie_nb import display, pictures  # noqa: PLC0415, a table needs no altair

    target, metric = _target(path, CHARTS), draw.__name__
    told = disclosure.to_draw(rows, metric=metric, audience=audience, names=names)
    spec = display.finished(draw(told, **options).to_dict())
    said = provenance.said(audience=audience, definition=disclosure.definition(metric))
    content = pictures.png(spec, said) if target.suffix.lower() == ".png" else pictures.svg(spec, said).encode()
    return _write({target: content}, provenance, audience=audience, what=metric, rows=told.height)


def page(notebook: Any, path: str | Path, *, audience: Audience, provenance: Provenance, title: str = "") -> Path:
    """Write a notebook that was run as one HTML page: its text and outputs, no code, no script, no network.

    For an external audience it has to have been run for them, as `healthie-nb report --audience external` does.

    Parameters
    ----------
    notebook
        What nbformat reads, or papermill returns.

    Raises
    ------
    ExportError for an external audience and a notebook that was not run for it, as it shows small counts and lists of
    clients; for an ending other than .html; for a place that cannot be written.
    """
    from healthie_nb.page import html, may_leave  # noqa: PLC0415, a table needs no nbconvert

    target = page_target(path, audience=audience)
    if audience == "external" and not may_leave(notebook):
        raise ExportError(
            "this notebook was run for the practice: it shows small counts and lists of clients. Run it for readers "
            "outside, healthie-nb report ... --audience external, or export the tables and charts they need one by one."
        )
    said = provenance.said(audience=audience, definition="each chart's and table's own")
    content = html(notebook, said, title=title)
    return _write({target: content.encode()}, provenance, audience=audience, what=title or "notebook", rows=None)


def page_target(path: str | Path, *, audience: Audience) -> Path:
    """Where `page` would write, for who wants to know before a notebook is run.

    Raises
    ------
    ExportError as `page`.
    """
    if audience not in ("internal", "external"):
        raise ValueError(f"audience is {audience!r}; allowed are 'internal' and 'external'.")
    return _target(path, (".html",))


def _target(path: str | Path, endings: tuple[str, ...]) -> Path:
    target = Path(path).expanduser()
    if target.suffix.lower() not in endings:
        raise ExportError(f"{target.name} ends in {target.suffix or 'nothing'}; give it one of {', '.join(endings)}.")
    if not target.parent.is_dir():
        raise ExportError(f"there is no folder {target.parent}: make it, or give another.")
    if target.is_dir() or not os.access(target.parent, os.W_OK):
        raise ExportError(f"{target} cannot be written: {'it is a folder' if target.is_dir() else 'no permission'}.")
    return target


def _write(
    files: Mapping[Path, bytes], provenance: Provenance, *, audience: Audience, what: str, rows: int | None
) -> Path:
    """Write the files, the last of them the one that was asked for; noted first, so that none leaves unnoted."""
    *_, target = files
    queries = [f"{asked.query} {asked.hash}" for asked in provenance.queries]
    provenance.note("export", what=what, file=target.name, audience=audience, rows=rows, queries=queries)
    try:
        for path, content in files.items():
            appear(path, content, mode=PRIVATE if audience == "internal" else SHARED)
    except OSError as error:
        raise ExportError(f"{target} cannot be written: {error.strerror or type(error).__name__}.") from None
    return target


def _csv(rows: pl.DataFrame, _: Mapping[str, str]) -> bytes:
    """Text that a spreadsheet would run as a formula gets an apostrophe; Excel reads UTF-8 by the mark before it."""
    safe = _flat(rows).with_columns(pl.selectors.string().str.replace(FORMULA, "'${1}"))
    return safe.write_csv(include_bom=True).encode()


def _xlsx(rows: pl.DataFrame, said: Mapping[str, str]) -> bytes:
    import xlsxwriter  # noqa: PLC0415, one format of three needs it

    content = BytesIO()
    # Text stays text: neither a formula nor a link, whatever it begins with.
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "nan_inf_to_errors": True}
    with xlsxwriter.Workbook(content, options) as book:
        _flat(rows).write_excel(book, "table", autofit=True, freeze_panes=(1, 0), float_precision=4)
        labels = pl.DataFrame({"label": list(said), "value": list(said.values())})
        labels.write_excel(book, "provenance", autofit=True, autofilter=False)
        book.set_properties({"title": said["definition"], "subject": said["data"], "comments": said["queries"]})
    return content.getvalue()


def _parquet(rows: pl.DataFrame, said: Mapping[str, str]) -> bytes:
    content = BytesIO()
    rows.write_parquet(content, metadata={KEY: msgspec.json.encode(said).decode()})
    return content.getvalue()


def _flat(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows for formats without lists and zones: items with semicolons between, instants in UTC."""
    lists = [name for name, dtype in rows.schema.items() if isinstance(dtype, pl.List)]
    zoned = [name for name, dtype in rows.schema.items() if isinstance(dtype, pl.Datetime) and dtype.time_zone]
    return rows.with_columns(
        pl.col(lists).cast(pl.List(pl.String)).list.join("; "),
        pl.col(zoned).dt.convert_time_zone("UTC").dt.replace_time_zone(None),
    )


_TABLE: Final = {".csv": _csv, ".xlsx": _xlsx, ".parquet": _parquet}
