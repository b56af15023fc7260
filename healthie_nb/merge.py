"""What came becomes stored parts: pulled parts take the place of old ones, changed rows go where they belong.

Nothing here asks the server. Each step exchanges parts in one go, so that a run after a killed one finds the rows as
they were before it or after it.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl

from healthie_nb.frame import INSTANT, schema
from healthie_nb.manifest import DATELESS, DELETED, GONE, MOVED, WHOLE, WINDOW, StoredPart
from healthie_nb.pages import by
from healthie_nb.windows import Window, common, sliced, without

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from healthie_nb.pages import Part
    from healthie_nb.query import Query
    from healthie_nb.store import Store

PART_ROWS = 250_000  # up to here neighbouring parts become one
CUT = 20_000  # rows of a stored part that is about to be replaced bit by bit
PART_AGES = timedelta(days=7)  # as long as they were pulled about the same time
ONE_CLIENT = "client_id"  # the column that names the client, and a variable that asks for one client's rows


@dataclass
class Merge:
    """The parts of one data set, during one run. `has_moved` tells whether anything stored is other than before."""

    store: Store
    query: Query
    now: datetime
    has_moved: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        # A run that is cancelled leaves its last write to a thread; the next must not write beside it.
        self._writing = threading.Lock()

    # -- pulled parts ----------------------------------------------------------------------------------------------

    def cover(self, parts: Iterable[Part]) -> None:
        """Store parts in the place of what covered their spans; rows that they lack are gone, for now."""
        with self._writing:
            held = self.store.manifest.of(WINDOW, WHOLE)
            replacing = [part for part in parts if any(_is_over(part, each) for each in held)]
            new = [self._stored(part) for part in parts if part not in replacing]
            if new:
                self.store.replace((), new, now=self.now)
            for part in replacing:
                self._put_over(part)

    def _put_over(self, part: Part) -> None:
        old = [held for held in self.store.manifest.of(WINDOW, WHOLE) if _is_over(part, held)]
        before = self._within(self.store.read(old), part.window)
        self.has_moved |= not before.sort(by(self.query)).equals(part.rows)
        new = [self._stored(part), *(rest for held in old for rest in self._rests(held, part.window))]
        new += [*self._missing(before.join(part.rows, on="id", how="anti")), *self._moved(before, part.rows)]
        self.store.replace(old, new, now=self.now)

    def _stored(self, part: Part) -> StoredPart:
        facts = {"null_items": part.null_items, "is_settled": part.is_settled}
        doubt = (part.doubt.start, part.doubt.end) if part.doubt and self.query.changed else None
        kind = WINDOW if part.window else WHOLE
        return self.store.put(part.rows, kind=kind, now=self.now, window=part.window, doubt=doubt, **facts)

    def carve(self, windows: Iterable[Window]) -> list[Window]:
        """Cut up parts that are to be pulled again, so that each pull writes a little; return the windows to pull.

        Where a part's null items are is not known, so such a part is pulled again whole.
        """
        found = []
        for asked in windows:
            held = [part for part in self.store.manifest.of(WINDOW) if part.window and part.window.meets(asked)]
            whole = [asked, *(part.window for part in held if part.null_items and part.window)]
            found.append(Window(min(each.start for each in whole), max(each.end for each in whole)))
            with self._writing:
                cut = [
                    part for part in held if not part.null_items and (without(part.window, asked) or part.rows > CUT)
                ]
                self.store.replace(cut, [new for part in cut for new in self._cut(part, asked)], now=self.now)
        return found

    def _cut(self, part: StoredPart, asked: Window) -> list[StoredPart]:
        rows, inside = self.store.read([part]), common(part.window, asked) if part.window else None
        if inside is None:
            return [part]
        times = self._within(rows, inside).get_column(self.query.window or "")
        pieces = [*without(part.window, inside), *sliced(inside, times.gather_every(CUT).to_list())]
        return [self._put(self._within(rows, piece), part, piece) for piece in pieces]

    def _rests(self, held: StoredPart, window: Window | None) -> list[StoredPart]:
        """Write what a part holds outside a window as parts of their own."""
        rests = without(held.window, window)
        rows = self.store.read([held]) if rests else None
        if held.null_items:  # How many of them are in which rest is not known.
            held = msgspec.structs.replace(held, is_settled=False)
        return [self._put(self._within(rows, rest), held, rest) for rest in rests] if rows is not None else []

    def _put(self, rows: pl.DataFrame, like: StoredPart, window: Window | None) -> StoredPart:
        facts: dict[str, Any] = {name: getattr(like, name) for name in ("null_items", "doubt", "is_settled")}
        return self.store.put(rows, kind=like.kind, now=like.pulled_at, window=window, **facts)

    def _within(self, rows: pl.DataFrame, window: Window | None) -> pl.DataFrame:
        column = pl.col(self.query.window or "id")
        return rows.filter(column >= window.start, column < window.end) if window else rows

    def _missing(self, gone: pl.DataFrame) -> list[StoredPart]:
        seen = gone.with_columns(deleted_seen_at=pl.lit(self.now, dtype=INSTANT))
        return [self.store.put(seen, kind=GONE, now=self.now)] if gone.height else []

    # -- changed rows ----------------------------------------------------------------------------------------------

    def changes(self, changed: pl.DataFrame, news: pl.DataFrame | None, **marks: datetime | None) -> list[StoredPart]:
        """Put changed rows where they belong, set marks, and return the parts that cannot be trusted.

        `news` are all rows that changed while parts were pulled, if that is known: where one of them is, or was, in the
        doubt of a part, another may be missing from it.
        """
        with self._writing:
            kinds = (WINDOW, WHOLE, DATELESS) if changed.height else ()  # reading all ids takes its time
            held = self._positions(*kinds).join(changed, on="id", how="semi")
            meets, doubted = self._where(changed, held), self._where(news, held)
            old, new, suspects = [], self._moved(held, changed), []
            for part in self.store.manifest.of(WINDOW, WHOLE):
                after = self._after(part, changed) if meets(part, part.window) else None
                if part.doubt and news is not None:
                    is_suspect = doubted(part, Window(*part.doubt)) and self._is_suspect(part, news)
                    after = msgspec.structs.replace(
                        after or part, doubt=None, is_settled=part.is_settled and not is_suspect
                    )
                    suspects += [after] if is_suspect else []
                if after:
                    old.append(part)
                    new.append(after)
            dateless = self._dateless(changed, held)
            if dateless is not None:
                old += self.store.manifest.of(DATELESS)
                new.append(dateless)
            self.store.replace(old, new, now=self.now, **marks)
        return suspects

    def _moved(self, before: pl.DataFrame, after: pl.DataFrame) -> list[StoredPart]:
        """Note the rows that are another client's now: where the one they belonged to is gone, the two were merged."""
        if ONE_CLIENT not in before.columns:
            return []
        both = before.select("id", ONE_CLIENT).join(after.select("id", into_client_id=ONE_CLIENT), on="id")
        moved = both.filter(pl.col(ONE_CLIENT) != pl.col("into_client_id")).with_columns(
            seen_at=pl.lit(self.now, dtype=INSTANT)
        )
        return [self.store.put(moved, kind=MOVED, now=self.now)] if moved.height else []

    def _where(self, rows: pl.DataFrame | None, held: pl.DataFrame) -> Callable[[StoredPart, Window | None], bool]:
        """Return what tells whether any of these rows was in a part, or lies in a span: of hundreds, without polars."""
        if rows is None or rows.is_empty():
            return lambda _part, _span: False
        parts = set(held.join(rows, on="id", how="semi").get_column("part"))
        times = rows.get_column(self.query.window).drop_nulls().sort().to_list() if self.query.window else []

        def is_there(part: StoredPart, span: Window | None) -> bool:
            if part.name in parts or not (span and self.query.window):
                return True
            return bisect_left(times, span.start) < bisect_right(times, span.end)

        return is_there

    def _after(self, part: StoredPart, changed: pl.DataFrame) -> StoredPart | None:
        """Write a part as it is after the changes; None where it stays as it was."""
        rows = self.store.read([part])
        arriving = changed.filter(self._belongs(part)).select(rows.columns)
        merged = pl.concat([rows.join(changed, on="id", how="anti"), arriving]).sort(by(self.query))
        if merged.equals(rows):
            return None
        self.has_moved = True
        return self._put(merged, part, part.window)

    def _is_suspect(self, part: StoredPart, news: pl.DataFrame) -> bool:
        """Whether rows may be missing from a part in whose doubt there are news."""
        if self.query.window:
            return True
        # Who came while a list was read is further down in it, as it is.
        return self.store.read([part]).join(news, on=["id", "updated_at"], nulls_equal=True).height > 0

    def _belongs(self, part: StoredPart) -> pl.Expr:
        if part.window is None or self.query.window is None:
            return pl.lit(value=True)
        column = pl.col(self.query.window)
        return (column >= part.window.start) & (column < part.window.end)

    def _positions(self, *kinds: str) -> pl.DataFrame:
        """Return in which part each stored row is, and whose it is."""
        parts = self.store.manifest.of(*kinds)
        columns = schema(self.query.fields)
        keys = [column for column in ("id", ONE_CLIENT) if columns.get(column) == pl.String()]
        empty = pl.DataFrame(schema=dict.fromkeys([*keys, "part"], pl.String))
        found = zip(parts, self.store.each(parts, *keys), strict=True)
        return pl.concat([empty, *(rows.with_columns(part=pl.lit(part.name)) for part, rows in found)])

    def _dateless(self, changed: pl.DataFrame, held: pl.DataFrame) -> StoredPart | None:
        """Rows without the window's column are no window's: they have a part of their own."""
        if not self.query.window:
            return None
        parts = self.store.manifest.of(DATELESS)
        arriving = changed.filter(pl.col(self.query.window).is_null())
        if arriving.is_empty() and not held.get_column("part").is_in([part.name for part in parts]).any():
            return None
        kept = self.store.read(parts).join(changed, on="id", how="anti") if parts else arriving.clear()
        rows = pl.concat([kept, arriving.select(kept.columns)]).sort("id")
        return self.store.put(rows, kind=DATELESS, now=self.now)

    # -- at the end of a run ---------------------------------------------------------------------------------------

    def bury(self) -> None:
        """Make tombstones of what is nowhere else now: a row that left one window may have moved to another."""
        self._gather(MOVED)
        gone = self.store.manifest.of(DELETED, GONE)
        if not gone:
            return
        rows = self.store.read(gone)
        dead = rows.join(self._positions(WINDOW, WHOLE, DATELESS), on="id", how="anti")
        if len(gone) == 1 and gone[0].kind == DELETED and dead.height == rows.height:
            return
        dead = dead.sort("deleted_seen_at").unique("id", keep="first", maintain_order=True).sort("id")
        new = [self.store.put(dead, kind=DELETED, now=self.now)] if dead.height else []
        with self._writing:
            self.store.replace(gone, new, now=self.now)

    def _gather(self, kind: str) -> None:
        """Make one part of those of a kind that is only added to."""
        parts = self.store.manifest.of(kind)
        rows = self.store.read(parts) if parts else None  # also of one part: damage is found while there is a lock
        if rows is not None and len(parts) > 1:
            with self._writing:
                self.store.replace(parts, [self.store.put(rows, kind=kind, now=self.now)], now=self.now)

    def compact(self) -> None:
        """Join small neighbouring parts: many of them are slow to read."""
        for group in _groups(self.store.manifest.of(WINDOW)):
            window = Window(
                min(part.start for part in group if part.start), max(part.end for part in group if part.end)
            )
            rows = self.store.read(group)
            oldest = min(part.pulled_at for part in group)
            joined = self.store.put(rows, kind=WINDOW, now=oldest, window=window)
            with self._writing:
                self.store.replace(group, [joined], now=self.now)


def _groups(parts: Sequence[StoredPart]) -> list[list[StoredPart]]:
    """Return the runs of parts that may become one."""
    groups = [list(parts[:1])]
    for before, part in pairwise(parts):
        group = groups[-1]
        ages = [each.pulled_at for each in (*group, part)]
        fits = sum(each.rows for each in (*group, part)) <= PART_ROWS and max(ages) - min(ages) <= PART_AGES
        if fits and before.end == part.start and _is_plain(before) and _is_plain(part):
            group.append(part)
        else:
            groups.append([part])
    return [group for group in groups if len(group) > 1]


def _is_over(part: Part, held: StoredPart) -> bool:
    """Whether a part is to take the place of a stored one, or of some of it."""
    return part.window is None or bool(held.window and common(held.window, part.window))


def _is_plain(part: StoredPart) -> bool:
    return part.is_settled and part.doubt is None and part.null_items == 0
