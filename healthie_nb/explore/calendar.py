"""What the views of appointment volume are made from: the visits that a view chooses, and how it is told of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from healthie_nb.explore import choosing
from healthie_nb.explore.choosing import NAMES_FROM, WHICH
from healthie_nb.live import Answer
from healthie_nb.visits import Frame, MetricError
from healthie_nb.volume import tally
from healthie_nb.wording import several

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from datetime import date

    from healthie_nb.practice import Practice

SLICES: Final = (*choosing.NAMED, "status")


class Calendar:
    """The practice and its visits, as far as a view chooses them; lines of code that do the same."""

    def __init__(
        self,
        practice: Practice,
        visits: pl.DataFrame,
        settings: Mapping[str, Any],
        clients: pl.DataFrame,
        named_by: Mapping[str, pl.DataFrame],
        *,
        marks: Mapping[str, pl.DataFrame | None],
        days_off: Collection[date] = (),
    ) -> None:
        self.practice, self.visits, self.marks, self.days_off = practice, visits, marks, days_off
        self.known = {"history_from": settings["history_from"], "clients": clients}
        self.names = choosing.names_of(visits, named_by)
        self.clients = visits["client_id"].n_unique()
        self._tallies: dict[tuple[Any, ...], pl.DataFrame] = {}
        self._some: dict[tuple[date, date], pl.DataFrame] = {}

    def chosen(self, view: Mapping[str, Any], *, is_recent: bool = False) -> pl.LazyFrame:
        """Visits that a view's lists choose, of all days or from its first day on.

        Lazy, so that a metric reads no column that it does not need.
        """
        return matching((self._recent(view) if is_recent else self.visits).lazy(), view)

    def _recent(self, view: Mapping[str, Any]) -> pl.DataFrame:
        """Visits from a view's first day to the day the numbers speak for, kept until these change."""
        days = view["start"], view["as_of"]
        if days not in self._some:
            self._some = {days: self.visits.filter(*choosing.within("day", *days))}
        return self._some[days]

    def once(self, key: tuple[Any, ...], make: Callable[[], pl.DataFrame]) -> pl.DataFrame:
        """Rows that are made once: of all visits, whatever the lists choose."""
        if key not in self._tallies:
            self._tallies[key] = make()
        return self._tallies[key]

    def tally(self, view: Mapping[str, Any], columns: list[str]) -> pl.DataFrame:
        """Count per period and slice of the visits chosen, from counts by all that can be chosen, made once."""
        as_of, every, unit = view["as_of"], view["every"], view["unit"]
        if unit == "provider hours":  # A provider's hours of two kinds at once are fewer than those of each.
            return tally(self.chosen(view), as_of, every, columns, unit)
        made = self.once((as_of, every, unit), lambda: tally(self.visits, as_of, every, list(SLICES), unit))
        return matching(made, view).group_by("period", *columns).agg(pl.col("count").sum())

    def remaining(self, view: Mapping[str, Any], *days: date | None, is_chosen: bool = True) -> str:
        """Tell how many visits and clients there are from a first to a last day, and among which."""
        is_recent = days[0] == view["start"]
        visits = self.chosen(view, is_recent=is_recent) if is_chosen else self.visits.lazy()
        visits = visits.filter(*choosing.within("day", *days))
        found, clients = visits.select(pl.len(), pl.col("client_id").n_unique()).collect().row(0)
        among = choosing.said(view, self.names) if is_chosen else ""
        total, people = several(self.visits.height, "visit"), several(self.clients, "client")
        return f"{found:,} of {total}, {clients:,} of {people}{among}"

    def lines(self, view: Mapping[str, Any], metric: str, *, is_chosen: bool = True, **asked: Any) -> list[str]:
        """Lines that give the rows of a metric, from the visits that the view's lists choose or from all."""
        kept = [
            choosing.Name(f'pl.col("{column}").is_in({choosing.literal(list(view[name]))})')
            for name, (column, _) in WHICH.items()
            if is_chosen and view[name]
        ]
        made = choosing.call(f"rows = hn.volume.{metric}", "visits", as_of=asked.pop("as_of").isoformat(), **asked)
        return [*([choosing.call("visits = visits.filter", *kept)] if kept else []), made]

    def answer(
        self,
        remaining: str,
        drawn: str,
        rows: pl.DataFrame,
        *,
        code: list[str],
        options: Mapping[str, Any] | None = None,
        picks: Mapping[str, pl.Expr] | None = None,
        more: str = "",
    ) -> Answer:
        """View of rows, drawn by the name of their chart and table; words alone where there are none."""
        if rows.is_empty():
            return Answer(f"Nothing to show of {remaining}. Widen the days, choose more, or reset.")
        given, named = dict(options or {}), named_by(rows)
        if named:
            given["names"] = self.names[named]
        drawing = choosing.drawn_lines(drawn, given, named=named, marks=self.marks)
        said = f"{remaining}, in rows: {rows.height:,}.{more}"
        options = {**given, "synthetic": self.practice.is_synthetic}
        return Answer(said, rows, options, picks or {}, "\n".join([*code, *drawing]))


def matching(visits: Frame, settings: Mapping[str, Any]) -> Frame:
    """Visits that are as the settings choose: by provider, appointment type, role and modality of each.

    Rows, Columns
    -------------
    As `visits`, in its order.

    Examples
    --------
    >>> import polars as pl
    >>> seen = pl.DataFrame({"client_id": ["ada", "bob"], "provider_id": ["7", "8"]})
    >>> matching(seen, {"provider_ids": ["8"]})["client_id"].to_list()
    ['bob']
    """
    return visits.filter(*choosing.alike(settings))


def named_by(rows: pl.DataFrame) -> str:
    """Column whose ids have names, where rows have one."""
    return next((column for column in NAMES_FROM if column in rows.columns), "")


def split_of(view: Mapping[str, Any]) -> list[str]:
    """Slice of a view's split, as a metric takes it."""
    return [view["split"]] if view["split"] else []


def last_day(view: Mapping[str, Any]) -> date:
    """Last day of a view, no later than the numbers speak for.

    Raises
    ------
    MetricError when its first day is later.
    """
    choosing.in_order(view)
    last: date = min(view["end"], view["as_of"])
    if view["start"] > last:
        raise MetricError(f"The days begin after {view['as_of']}, for which the numbers speak: choose earlier ones.")
    return last
