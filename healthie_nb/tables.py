"""Small frame → the table that stands beside its chart, with the same name: in HTML and in plain text."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from healthie_nb.visits import MetricError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from healthie_nb.newcomers import Every

SYNTHETIC: Final = "Demo practice: synthetic data"
RETURNED: Final = "Share of new clients who came back, by time since their first visit"
SETTLING: Final = "Hatched: part of the cohort has not had that long yet"
FEW: Final = "* under 30 clients"

_TABLE: Final = (
    "border-collapse:collapse;border-color:rgba(128,128,128,.3);text-align:right;white-space:nowrap;"
    "font-variant-numeric:tabular-nums;font-size:12px;line-height:1.3;color:inherit"
)
_CAPTION: Final = "caption-side:top;text-align:left;color:inherit;padding-bottom:6px"
_HATCH: Final = "background:repeating-linear-gradient(135deg,rgba(128,128,128,.25) 0 1px,transparent 1px 6px)"


@dataclass(frozen=True)
class Table:
    """Texts in rows and columns, in HTML where that is shown and as plain text where it is not.

    A cell's second line is its small print. Cells of `hatched`, named by row and column number, are still open.
    """

    title: str
    notes: tuple[str, ...]
    rows: pl.DataFrame
    hatched: frozenset[tuple[int, int]] = frozenset()

    def __repr__(self) -> str:
        """Title, notes and aligned rows, an interval in square brackets."""
        lines = [self.rows.columns, *([_plain(cell) for cell in row] for row in self.rows.rows())]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        aligned = ("  ".join(map(str.rjust, line, widths)).rstrip() for line in lines)
        return "\n".join((self.title, *self.notes, *aligned))

    def _repr_html_(self) -> str:
        """Style stands on the table, not in its cells: a notebook keeps every byte."""
        head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in self.rows.columns)
        body = "".join(f"<tr>{self._html_cells(i, row)}</tr>" for i, row in enumerate(self.rows.rows()))
        notes = "".join(f"<br>{html.escape(note)}" for note in self.notes)
        return (
            f'<div style="overflow-x:auto"><table rules="rows" cellpadding="4" style="{_TABLE}">'
            f'<caption style="{_CAPTION}"><b>{html.escape(self.title)}</b>{notes}</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )

    def _html_cells(self, i: int, row: Sequence[str]) -> str:
        rest = ((f' style="{_HATCH}"' if (i, j) in self.hatched else "", cell) for j, cell in enumerate(row))
        cells = [f"<td{style}>{_marked_up(cell)}</td>" for style, cell in rest]
        return "".join([f'<th scope="row" style="white-space:nowrap">{html.escape(row[0])}</th>', *cells[1:]])


def cohorts(table: pl.DataFrame, *, every: Every, synthetic: bool) -> Table:
    r"""Cohorts as a table: what `charts.cohorts` draws, with the intervals.

    Rows
    ----
    One per cohort, by date.

    Columns
    -------
    first visit, the cohort; new clients, its size; then for each stretch of time since the first visit the share that
    returned and its 95 % interval in per cent; of how many, where that is not the whole cohort.

    Raises
    ------
    MetricError for a table split by provider, type, modality or source.

    Source
    ------
    `retention.cohorts`.

    Examples
    --------
    >>> from healthie_nb import retention
    >>> from healthie_nb.visits import example
    >>> seen = example({"7": ["2026-01-05", "2026-02-20"], "8": ["2026-01-20"]})
    >>> cohorts(retention.cohorts(seen, as_of="2026-06-30"), every="month", synthetic=False).rows.row(0)
    ('Jan 2026', '2', '50%*\n9-91')
    """
    index = ["first visit", "new clients"]
    of = pl.when(pl.col("eligible") < pl.col("clients")).then(pl.format("of {}: ", "eligible")).otherwise(pl.lit(""))
    named = unsplit(table).select(
        "label",
        "is_open",
        cohort_name(every).alias(index[0]),
        pl.col("clients").cast(pl.String).alias(index[1]),
        text=pl.concat_str(share(), pl.lit("\n"), of, interval(), ignore_nulls=False).fill_null(""),
    )
    rows = named.pivot(on="label", index=index, values="text", maintain_order=True)
    is_open = named.pivot(on="label", index=index, values="is_open", maintain_order=True).rows()
    hatched = frozenset((i, j) for i, row in enumerate(is_open) for j, is_it in enumerate(row) if is_it is True)
    return Table(RETURNED, notes(table, synthetic=synthetic), rows, hatched)


def notes(table: pl.DataFrame, *, synthetic: bool) -> tuple[str, ...]:
    """Remarks due under the title of this frame's chart and table."""
    said = {SYNTHETIC: synthetic, SETTLING: table["is_open"].any(), FEW: (table["few"] & (table["eligible"] > 0)).any()}
    return tuple(note for note, is_due in said.items() if is_due)


def unsplit(table: pl.DataFrame) -> pl.DataFrame:
    """Refuse cohorts of several groups at once: one chart or table shows one row per cohort.

    Raises
    ------
    MetricError naming the column to filter by.
    """
    if table.select("cohort", "period").is_duplicated().any():
        raise MetricError(f"these cohorts are split by {table.columns[1]}: filter the table to one value of it first.")
    return table


def cohort_name(every: Every) -> pl.Expr:
    """Cohort as people say it: Jan 2026, Q1 2026, or a week by its Monday, 5 Jan 2026."""
    first_day = pl.col("cohort")
    if every == "quarter":
        return pl.format("Q{} {}", first_day.dt.quarter(), first_day.dt.year())
    return first_day.dt.to_string({"week": "%-d %b %Y", "month": "%b %Y"}[every])


def share() -> pl.Expr:
    """Rate in whole per cent, starred where it stands on few; null while nobody is eligible."""
    star = pl.when("few").then(pl.lit("*")).otherwise(pl.lit(""))
    return pl.format("{}%{}", (pl.col("rate") * 100).round().cast(pl.Int64), star)


def interval() -> pl.Expr:
    """Interval of 95 % in whole per cent."""
    return pl.format("{}-{}", *((pl.col(end) * 100).round().cast(pl.Int64) for end in ("low", "high")))


def _plain(cell: str) -> str:
    main, has_more, small = cell.partition("\n")
    return f"{main} [{small}]" if has_more else main


def _marked_up(cell: str) -> str:
    main, has_more, small = map(html.escape, cell.partition("\n"))
    return f"{main}<br><small>{small}</small>" if has_more else main
