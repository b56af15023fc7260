"""Tables of an explorer: written in a moment, and sent to the page alone, so that no notebook keeps them.

What a widget's state holds, an executed notebook may keep: rows, and links with clients' ids. A message is not kept.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

import anywidget
import polars as pl

from healthie_nb.tables.table import HATCH, NUMERIC, STYLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from healthie_nb.tables import Table

WIDE: Final = 20  # columns; a wider table takes its time when one comes to it, not before the chart above it is seen
LATER: Final = ' style="content-visibility:auto;contain-intrinsic-size:auto 30em"'
_SCRIPT: Final = """
function render({ model, el }) {
    const show = (said) => { el.innerHTML = said.html; };
    model.on("msg:custom", show);
    model.send({ ready: true });
    // JupyterLab takes keys for its own: in a list, an arrow would go to the next cell, and "d" twice delete this one.
    const own = () => {
        if (!el.isConnected) return requestAnimationFrame(own);
        el.closest(".jp-OutputArea-output")?.addEventListener("focusin", ({ target }) => {
            target.setAttribute("data-lm-suppress-shortcuts", "true");
        });
    };
    own();
    return () => model.off("msg:custom", show);
}
export default { render };
"""
LINKED: Final = "text-decoration:underline"  # JupyterLab shows a link of ours as it shows any text


class Panel(anywidget.AnyWidget):
    """A piece of HTML that lives in the page only."""

    _esm = _SCRIPT

    def __init__(self) -> None:
        self.html = ""
        super().__init__()
        self.on_msg(self._answer)

    def show(self, html: str) -> None:
        """Show this from now on."""
        self.html = html
        self.send({"html": html})

    def _answer(self, *_: Any) -> None:
        self.send({"html": self.html})


def page(table: Table, links: Sequence[str | None] = ()) -> str:
    """Table under the same style sheet as its stored one, which takes great_tables ten times as long.

    With links, one per row or none, the first column leads to them.
    """
    columns = [name for name in table.rows.columns if name != table.group]
    across = f'colspan="{len(columns)}"'
    notes = "<br>".join(map(escape, table.notes))
    are_numbers = table.rows.select(pl.all().str.contains(NUMERIC).all()).row(0, named=True)
    sides = {name: "" if are_numbers[name] else ' class="gt_left"' for name in columns}
    head = "".join(f'<th scope="col"{sides[name]}>{escape(name)}</th>' for name in columns)
    lines, group = [], None
    for i, row in enumerate(table.rows.iter_rows(named=True)):
        if table.group and row[table.group] != group:
            group = row[table.group]
            lines.append(f'<tr><th {across} scope="rowgroup" class="gt_group_heading">{escape(str(group))}</th></tr>')
        lines.append(f"<tr>{_line(table, i, row, sides, links)}</tr>")
    later = LATER if len(columns) > WIDE else ""
    return (
        f'<div id="hn-{table.name}-live"{later}><style>{STYLE}</style><table class="gt_table"><thead>'
        f'<tr><td {across} class="gt_heading gt_title gt_left">{escape(table.title)}</td></tr>'
        f'<tr><td {across} class="gt_heading gt_subtitle gt_left">{notes}</td></tr>'
        f"<tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _line(table: Table, i: int, row: dict[str, str], sides: dict[str, str], links: Sequence[str | None]) -> str:
    (stub, *_), columns = sides, table.rows.columns
    name = escape(str(row[stub]))
    if links and (link := links[i]):
        name = f'<a href="{escape(link)}" target="_blank" rel="noreferrer" style="{LINKED}">{name}</a>'
    cells = [f'<th scope="row" class="gt_stub">{name}</th>']
    for column in list(sides)[1:]:
        hatch = f' style="{HATCH}"' if (i, columns.index(column)) in table.hatched else ""
        main, has_more, small = map(escape, str(row[column]).partition("\n"))
        cells.append(f"<td{sides[column]}{hatch}>{main}{f'<br><small>{small}</small>' if has_more else ''}</td>")
    return "".join(cells)
