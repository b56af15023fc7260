"""A notebook run for readers outside the practice: its cells show what was made safe for them, and nothing else.

In a kernel that was told so, charts and tables are drawn of what `disclosure` tells outside. Everything else that a
cell would show, also what an analyst added, is withheld before it leaves the kernel: what is not known to be safe is
not shown.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from healthie_nb import charts, disclosure, tables
from healthie_nb.disclosure import DisclosureError
from healthie_nb.handover import MAY_LEAVE, Handover
from healthie_nb.tables import Table
from healthie_nb.tiles import Tiles, Trust

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CELL: Final = "from healthie_nb import outside\n\noutside.only()"
WITHHELD: Final = (
    "<p><em>Left out for readers outside: it cannot be made safe, or some of its counts are hidden.</em></p>"
)
MISSED: Final = (Table, Tiles, Trust)  # with charts. Other things, such as a frame or an explorer, go without a word.

Shown = tuple[dict[str, Any], dict[str, Any]]


def only() -> None:
    """From now on this kernel shows only what may leave the practice."""
    from IPython import get_ipython  # noqa: PLC0415, only a kernel has it

    kept: dict[int, object] = {}  # by id; held, so that no other object gets the same
    for module in (charts, tables):
        for name in module.__all__:
            if disclosure.may_leave(name):
                setattr(module, name, _drawn(getattr(module, name), kept))
    formatter = get_ipython().display_formatter
    formatter.format = _formatted(formatter.format, kept)


def _drawn(draw: Callable[..., Any], kept: dict[int, object]) -> Callable[..., Any]:
    """Let a chart or table draw what outside may see of its rows; what cannot be made safe is drawn, and not shown."""

    @functools.wraps(draw)
    def drawn(rows: Any, *, names: Mapping[str, str] | None = None, **options: Any) -> Any:
        by_column = dict.fromkeys(disclosure.IDS, names or {})
        try:
            told = disclosure.to_draw(rows, metric=draw.__name__, audience="external", names=by_column)
        except DisclosureError:
            return draw(rows, **options, **({"names": names} if names else {}))
        made = draw(told, **options)
        kept[id(made)] = made
        return made

    return drawn


def _formatted(form: Callable[..., Shown], kept: Mapping[int, object]) -> Callable[..., Shown]:
    def formatted(shown: object, *given: Any, **options: Any) -> Shown:
        if id(shown) in kept or isinstance(shown, Handover):
            data, metadata = form(shown, *given, **options)
            return data, {**metadata, MAY_LEAVE: True}
        is_missed = isinstance(shown, MISSED) or type(shown).__module__.startswith("altair")
        return ({"text/html": WITHHELD}, {MAY_LEAVE: True}) if is_missed else ({}, {})

    return formatted
