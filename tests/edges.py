"""Worlds that every comparison with SQL sees, whatever is drawn: nobody, one row, and rows alike but for what ties."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import example, settings
from oracle import on_worlds

if TYPE_CHECKING:
    from collections.abc import Callable


def shown(*worlds: dict[str, Any], drawn: settings = on_worlds) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Compare on these worlds first, then on drawn ones; a world is what the test is given, by name."""

    def decorated(test: Callable[..., None]) -> Callable[..., None]:
        for world in reversed(worlds):
            test = example(**world)(test)
        made: Callable[..., None] = drawn(test)
        return made

    return decorated
