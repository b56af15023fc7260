"""What has landed becomes parts: cut to its window, each row once, whole or not, small neighbours together.

A call of polars takes as long for a hundred rows as for thousands, so all that has landed by now is worked on at once,
however many windows it is of.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import polars as pl

from healthie_nb.frame import frame
from healthie_nb.pages import ALWAYS, Page, Part, Puller
from healthie_nb.windows import Window, wider

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from healthie_nb.flight import Run

LATEST = datetime.max.replace(tzinfo=UTC)
# Columns that say whose a row is: a query's aliases have no spaces, so none of them is called so.
NUMBER = "landing number"
BOUNDS = ("window start", "window end", "landed from", "landed to")


@dataclass(frozen=True)
class Landing:
    """Pages that a run has let go of, for the rows of `window`. Rows before `since` are an earlier landing's.

    `is_last`: the run has ended; `was_cut`: before the end of what it asked for, because the rest is another's.
    """

    run: Run
    pages: Sequence[Page]
    window: Window
    since: datetime
    null_items: int = 0
    is_steady: bool = True
    is_last: bool = False
    was_cut: bool = False

    @property
    def rows(self) -> int:
        """How many rows the pages hold."""
        return sum(answer.rows for answer in self.pages)

    @property
    def bounds(self) -> tuple[datetime, datetime, datetime, datetime]:
        """The ends of its window, and between which times its rows have landed."""
        return self.window.start, self.window.end, self.since, LATEST if self.is_last else self.window.end

    @property
    def doubt(self) -> Window | None:
        """Where rows may lie that came or went between its pages; None for one page."""
        return None if len(self.run.totals) == 1 else wider(Window(self.window.start, self.run.wire_end))

    def is_whole(self, landed: int, *, is_ordered: bool) -> bool:
        """Whether none of its rows is missing. To be asked of a run's landings in their order, once of each.

        `landed` are the ids between its times; `is_ordered`: its rows came in the order of time.
        """
        run = self.run
        run.is_ordered &= is_ordered
        run.landed += landed
        if self.was_cut or not self.is_last:  # The rest is another's, if the rows did come in order.
            return run.is_ordered and self.is_steady
        return run.totals[0] == run.landed + run.null_items and self.is_steady


def parts(landed: Sequence[Landing], puller: Puller) -> Iterator[tuple[Landing, Part]]:
    """Return the part of each landing, in their order."""
    column = pl.col(puller.query.window or "")
    start, end, since, until = (pl.col(bound) for bound in BOUNDS)
    texts = [answer.text for landing in landed for answer in landing.pages]
    rows = _numbered(landed, frame(texts, puller.query.fields))
    has_landed = (column >= since) & (column < until)
    told = rows.group_by(NUMBER).agg(
        (column >= column.shift()).all().alias("is_ordered"), pl.col("id").filter(has_landed).n_unique().alias("landed")
    )
    facts = {number: (is_ordered, count) for number, is_ordered, count in told.iter_rows()}
    inside = puller.once_each(rows.filter(column >= start, column < end).drop(BOUNDS), within=[NUMBER])
    found = inside.partition_by(NUMBER, as_dict=True, include_key=False, maintain_order=True)
    for number, landing in enumerate(landed):
        is_ordered, count = facts.get(number, (True, 0))
        is_whole = landing.is_whole(count, is_ordered=is_ordered)
        own = found[number,] if (number,) in found else inside.drop(NUMBER).clear()
        yield landing, Part(own, landing.window, landing.null_items, is_settled=is_whole, doubt=landing.doubt)


def _numbered(landed: Sequence[Landing], rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows with the number of the landing that each is of, and its bounds."""
    bounds = pl.DataFrame([landing.bounds for landing in landed], schema=list(BOUNDS), orient="row")
    numbers = [number for number, landing in enumerate(landed) for _ in range(landing.rows)]
    each = bounds.with_row_index(NUMBER).select(pl.all().gather(numbers))
    return pl.concat([rows, each], how="horizontal")


def together(found: Iterable[Part], *, most: int) -> list[Part]:
    """Return parts with neighbours made one, up to so many rows: a file costs as much as thousands of rows do."""
    groups: list[list[Part]] = []
    for part in sorted(found, key=lambda part: part.window or ALWAYS):
        if groups and _fits(groups[-1], part, most):
            groups[-1].append(part)
        else:
            groups.append([part])
    return [_joined(group) for group in groups]


def _fits(group: Sequence[Part], part: Part, most: int) -> bool:
    """Whether a part follows on others, and what may be wrong with it is what may be wrong with them."""
    last = group[-1]
    follows = last.window is not None and part.window is not None and last.window.end == part.window.start
    are_plain = all(each.is_settled and not each.null_items for each in (last, part))
    is_small = sum(each.rows.height for each in (*group, part)) <= most
    return follows and are_plain and is_small and (last.doubt is None) == (part.doubt is None)


def _joined(group: Sequence[Part]) -> Part:
    if len(group) == 1:
        return group[0]
    rows = pl.concat([part.rows for part in group], rechunk=True)
    doubts = [part.doubt for part in group if part.doubt]
    doubt = _around(doubts) if doubts else None
    return Part(rows, _around([part.window for part in group if part.window]), 0, is_settled=True, doubt=doubt)


def _around(windows: Sequence[Window]) -> Window:
    return Window(min(window.start for window in windows), max(window.end for window in windows))
