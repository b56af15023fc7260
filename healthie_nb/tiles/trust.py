"""Whether the numbers can be trusted: a chip for each check, and words for those that want a look."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

import polars as pl

from healthie_nb.tiles.tile import SIGNS, STYLE, headings, section

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TITLE: Final = "Can these numbers be trusted?"
UNCHECKED: Final = "not checked"  # the value of a check for which something was not passed
ORDER: Final = {"red": SIGNS["red"], "amber": SIGNS["amber"], UNCHECKED: f"? {UNCHECKED}", "green": SIGNS["green"]}
WANT_A_LOOK: Final = ("red", "amber")
CHIPS: Final = """
.hn-tiles.hn-tiles .hn-chips{display:flex;flex-wrap:wrap;gap:5px}
.hn-tiles.hn-tiles .hn-chips li{padding:1px 8px}
.hn-tiles.hn-tiles dl{margin:.5em 0}
.hn-tiles.hn-tiles dt{float:none;width:auto;font-weight:600;margin-top:.5em}
.hn-tiles.hn-tiles dd{float:none;width:auto;margin:0 0 0 1.2em;max-width:60em}
.hn-tiles summary{cursor:pointer}
.hn-tiles .hn-aloud{position:absolute;clip-path:inset(50%);width:1px;height:1px;overflow:hidden;white-space:nowrap}
""".rstrip()


@dataclass(frozen=True)
class Trust:
    """Checks with what they found, from `trust`.

    Its text has a line per check, "SIGN CHECK: VALUE", and below those that want a look what should hold and what to
    do. What depends on when and how often was loaded is in the values of the checks "as of", "vanished" and "ledger".
    """

    rows: pl.DataFrame
    synthetic: bool

    @property
    def title(self) -> str:
        """The question, and how many checks there are of each kind."""
        counts = dict(self.rows["kind"].value_counts().iter_rows())
        return f"{TITLE} {', '.join(_counted(counts[kind], kind) for kind in ORDER if kind in counts)}"

    def __repr__(self) -> str:
        """Title, and a line or three per check."""
        lines = [line for row in self.rows.iter_rows(named=True) for line in _lines(row)]
        return "\n".join([*headings(self.title, synthetic=self.synthetic), *lines])

    def _repr_html_(self) -> str:
        rows = self.rows.rows(named=True)
        wanted, rest = ([row for row in rows if (row["kind"] in WANT_A_LOOK) is is_so] for is_so in (True, False))
        chips = "".join(f"\n{_chip(row)}" for row in rows)
        body = [f'<ul class="hn-chips">{chips}\n</ul>', *([_list(wanted)] if wanted else [])]
        if rest:
            body.append(f"<details>\n<summary>What the other checks say</summary>\n{_list(rest)}\n</details>")
        return section(self.title, body, synthetic=self.synthetic, style=STYLE + CHIPS)


def trust(checks: pl.DataFrame, *, synthetic: bool) -> Trust:
    """Strip of what `quality.checks` found: problems and cautions with what they mean and what to do, the rest folded.

    Parameters
    ----------
    checks
        Rows of `quality.checks`. What was not checked, because something was not passed, is told apart from cautions.
    synthetic
        `practice.is_synthetic`: whether it has to say that the data is made up.

    Examples
    --------
    >>> from healthie_nb import quality
    >>> from healthie_nb.visits import example
    >>> checks = quality.checks(example({"ada": ["2026-01-05", "2026-01-05"]}), as_of="2026-01-31")
    >>> trust(checks.filter(check="doubles"), synthetic=False)
    Can these numbers be trusted? 1 problem
    ✕ doubles: 2 of 2 visits (100.0%)
      Good means: A client is in one place at a time; doubles count twice.
      To do: Have one of each pair deleted in Healthie.
    """
    kind = pl.when(pl.col("value") == UNCHECKED).then("value").otherwise("level")
    place = pl.col("kind").cast(pl.Enum(list(ORDER)))
    return Trust(checks.with_columns(kind=kind).sort(place, maintain_order=True), synthetic)


def _counted(count: int, kind: str) -> str:
    return f"{count} {ORDER[kind][2:]}{'s' if count > 1 and kind in WANT_A_LOOK else ''}"


def _lines(row: Mapping[str, str]) -> list[str]:
    head = f"{ORDER[row['kind']][0]} {row['check']}: {row['value']}"
    return [head, *(f"  {line}" for line in _said(row))] if row["kind"] in WANT_A_LOOK else [head]


def _said(row: Mapping[str, str]) -> list[str]:
    """Say what should hold, and what to do where it does not."""
    if row["kind"] == "green":
        return [row["meaning"]]
    return [f"Good means: {row['meaning']}", f"To do: {row['advice']}"]


def _chip(row: Mapping[str, str]) -> str:
    sign, word = ORDER[row["kind"]][0], ORDER[row["kind"]][2:]
    colour = "plain" if row["kind"] == UNCHECKED else row["kind"]
    return f'<li class="{colour}">{sign} {escape(row["check"])}<span class="hn-aloud">: {word}</span></li>'


def _list(rows: Sequence[Mapping[str, str]]) -> str:
    return "\n".join(["<dl>", *(line for row in rows for line in _entry(row)), "</dl>"])


def _entry(row: Mapping[str, str]) -> list[str]:
    head = f"<dt>{ORDER[row['kind']][0]} {escape(row['check'])}: {escape(row['value'])}</dt>"
    return [head, *(f"<dd>{escape(line)}</dd>" for line in _said(row))]
