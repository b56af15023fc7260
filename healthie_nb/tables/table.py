"""Texts in rows and columns, as HTML where that is shown and as plain text where it is not. Wraps great_tables."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import polars as pl
from great_tables import GT, loc, style

# Ours in place of the eight kilobytes that great_tables writes before each table, which know white paper only. Where
# text is set to the left, three classes: JupyterLab sets all cells to the right by two.
STYLE: Final = """
[id^=hn-]{overflow-x:auto;margin:.4em 0;\
--open:repeating-linear-gradient(135deg,rgba(128,128,128,.3) 0 1px,transparent 1px 6px)}
[id^=hn-] .gt_table{border-collapse:collapse;border:0;color:inherit;font-size:12px;line-height:1.35;margin:0;width:auto}
[id^=hn-] :is(td,th){text-align:right;padding:3px 8px;border:0;border-bottom:1px solid rgba(128,128,128,.3);\
background:none;color:inherit;vertical-align:top;font-variant-numeric:tabular-nums}
[id^=hn-] thead th{vertical-align:bottom;font-weight:600;max-width:11em}
[id^=hn-] .gt_table .gt_left{text-align:left;max-width:28em}
[id^=hn-] .gt_table .gt_stub{text-align:left;white-space:nowrap;font-weight:600}
[id^=hn-] .gt_table .gt_group_heading{text-align:left;font-weight:600;padding-top:9px}
[id^=hn-] .gt_table .gt_heading{text-align:left;border:0;padding-left:0}
[id^=hn-] .gt_title{font-size:14px;font-weight:600;padding-bottom:0}
[id^=hn-] small,[id^=hn-] .gt_subtitle{font-size:11px;font-weight:normal}
""".strip()
HATCH: Final = "background-image:var(--open)"
# A heading's scope says which cells it is for; of the rest, nothing is used by the style above.
TRIMMED: Final = re.compile(
    r' headers="[^"]*"| data-quarto-[a-z-]+="false"| (row|col)span="1"|(?<=scope="(?:col|row)") id="[^"]*"'
    r'| class="(gt_row gt_right|gt_col_heading gt_columns_bottom_border gt_right|gt_col_headings|gt_table_body)"'
    r"|gt_(row|col_heading|columns_bottom_border|font_normal|bottom_border) ?|(?<=>)\s+(?=<(?!tr))"
)
SMALL_PRINT: Final = re.compile(r"\n(?! *<)([^<\n]+)")
NUMERIC: Final = r"^$|^[-+<]?\d"


@dataclass(frozen=True)
class Table:
    """Texts in rows and columns; the first column says what a row is.

    A cell's second line is its small print. Cells of `hatched`, named by row and column number, are still open.
    With `group` the values of that column head the rows below them.
    """

    name: str
    title: str
    notes: tuple[str, ...]
    rows: pl.DataFrame
    hatched: frozenset[tuple[int, int]] = frozenset()
    group: str | None = None

    def __post_init__(self) -> None:
        """Leave a cell empty where there is nothing, or nothing that may be told."""
        object.__setattr__(self, "rows", self.rows.fill_null(""))

    def __repr__(self) -> str:
        """Title, notes and aligned rows, an interval in square brackets."""
        lines = [self.rows.columns, *([_plain(cell) for cell in row] for row in self.rows.rows())]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        sides = [">" if name in self._numbers else "<" for name in self.rows.columns]
        shape = "  ".join(f"{{:{side}{width}}}" for side, width in zip(sides, widths, strict=True))
        return "\n".join((self.title, *self.notes, *(shape.format(*line).rstrip() for line in lines)))

    def _repr_html_(self) -> str:
        """Write what great_tables makes under a style sheet of ours: a third of the bytes, legible on any paper."""
        made = self.gt().as_raw_html()
        body = TRIMMED.sub("", made[made.index("</style>") :])
        body = SMALL_PRINT.sub(r"<br><small>\1</small>", body)
        return f'<div id="hn-{self.name}">\n<style>{STYLE}{body}'

    def gt(self) -> GT:
        """Give the same to great_tables, to be styled further."""
        stub = next(name for name in self.rows.columns if name != self.group)
        rest = [name for name in self.rows.columns if name not in (self.group, stub)]
        made = GT(self.rows, rowname_col=stub, groupname_col=self.group, id=f"hn-{self.name}")
        made = made.tab_header(self.title, "\n".join(self.notes) or None).tab_stubhead(stub)
        made = made.cols_align("right", [name for name in rest if name in self._numbers])
        made = made.cols_align("left", [name for name in rest if name not in self._numbers])
        for column in sorted({column for _, column in self.hatched}):
            rows = sorted(row for row, other in self.hatched if other == column)
            made = made.tab_style(style.css(HATCH), loc.body(self.rows.columns[column], rows))
        return made

    @cached_property
    def _numbers(self) -> frozenset[str]:
        """Columns of numbers, which are set to the right."""
        are = self.rows.select(pl.all().str.contains(NUMERIC).all())
        return frozenset(name for name in self.rows.columns if are[name].item())


def _plain(cell: str) -> str:
    main, has_more, small = cell.partition("\n")
    return f"{main} [{small}]" if has_more else main
