"""Headline figures side by side: HTML without script, legible on any paper, and plain text where HTML is not shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Final, Literal

from healthie_nb import wording

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Tone = Literal["plain", "green", "amber", "red"]

# Said in a sign and a word each, for colours are not for everybody.
SIGNS: Final[dict[str, str]] = {"plain": "", "green": "✓ good", "amber": "! caution", "red": "✕ problem"}
# Lines and signs alone are coloured, each at least 3:1 on white paper and on Jupyter's dark one; words have the page's.
# A class named twice outweighs what JupyterLab says of lists.
STYLE: Final = """
.hn-tiles{margin:.4em 0 1em;color:inherit;font-size:13px;line-height:1.4}
.hn-tiles.hn-tiles ul{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(15em,100%),1fr));gap:8px;\
list-style:none;margin:.4em 0;padding:0}
.hn-tiles.hn-tiles li{margin:0;padding:6px 10px;border:1px solid rgba(128,128,128,.45);border-left:4px solid #8a8a8a;\
border-radius:4px;overflow-wrap:anywhere}
.hn-tiles b{display:block;font-size:24px;line-height:1.25;font-variant-numeric:tabular-nums}
.hn-tiles small{display:block;font-size:11px}
.hn-tiles.hn-tiles p{margin:.2em 0}
.hn-tiles.hn-tiles .green{border-color:#12855c}.hn-tiles.hn-tiles .amber{border-color:#c9700a}\
.hn-tiles.hn-tiles .red{border-color:#d63a3a}
""".strip()


@dataclass(frozen=True)
class Tile:
    """One figure: what it is, its value in words, and what it rests on, such as n and the interval.

    A tone other than plain is said by a sign and a word, too.
    """

    label: str
    value: str
    note: str = ""
    tone: Tone = "plain"

    def __str__(self) -> str:
        """One line: label: value · note · sign."""
        return f"{self.label}: {' · '.join(part for part in (self.value, self.note, SIGNS[self.tone]) if part)}"

    def html(self) -> str:
        """Item of a list."""
        small = [escape(part) for part in (self.note, SIGNS[self.tone]) if part]
        said = "".join(f"<small>{part}</small>" for part in small)
        return f'<li class="{self.tone}">{escape(self.label)} <b>{escape(self.value)}</b> {said}</li>'


def toned(low: float, high: float, target: float | None) -> Tone:
    """Tone of a share that should reach its target: by its whole interval, a caution where that lies on both sides."""
    if target is None:
        return "plain"
    return "green" if low >= target else "red" if high < target else "amber"


def aimed(rate: float, low: float, high: float, target: float | None) -> str:
    """End of a note that names the target, and why it is a caution where it is one.

    Examples
    --------
    >>> aimed(0.76, 0.74, 0.78, 0.75)
    ', target 75%, which the interval reaches below'
    """
    if target is None:
        return ""
    why = f", which the interval reaches {'below' if rate >= target else 'above'}"
    return f", target {target:.0%}{why if toned(low, high, target) == 'amber' else ''}"


@dataclass(frozen=True)
class Tiles:
    """Figures under one title; they wrap where the page is narrow.

    Parameters
    ----------
    tiles
        In their order.
    title
        What they are about, with the days they speak for.
    synthetic
        `practice.is_synthetic`: whether they have to say that their data is made up.

    Examples
    --------
    >>> Tiles([Tile("Seen", "120", "clients, June 2026")], title="June 2026", synthetic=True)
    June 2026
    Demo practice: synthetic data
    Seen: 120 · clients, June 2026
    """

    tiles: Sequence[Tile]
    title: str = field(kw_only=True)
    synthetic: bool = field(kw_only=True)

    def __repr__(self) -> str:
        """Title, and a line per tile."""
        return "\n".join([*headings(self.title, synthetic=self.synthetic), *map(str, self.tiles)])

    def _repr_html_(self) -> str:
        items = "".join(f"\n{tile.html()}" for tile in self.tiles)
        return section(self.title, [f"<ul>{items}\n</ul>"], synthetic=self.synthetic)


def headings(title: str, *, synthetic: bool) -> list[str]:
    """Title, and the remark that is due on data that is made up."""
    return [title, *([wording.SYNTHETIC] if synthetic else [])]


def section(title: str, body: Iterable[str], *, synthetic: bool, style: str = STYLE) -> str:
    """Title and remark over pieces of HTML, as one region of the page with that name."""
    head, *remarks = map(escape, headings(title, synthetic=synthetic))
    lines = [f"<p><strong>{head}</strong></p>", *(f"<p><small>{remark}</small></p>" for remark in remarks), *body]
    return (
        f'<section class="hn-tiles" aria-label="{head}">\n<style>{style}</style>\n' + "\n".join(lines) + "\n</section>"
    )
