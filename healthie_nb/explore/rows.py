"""What the views of retention are made from: rows per client, the big step behind each made once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from healthie_nb import retention as metrics
from healthie_nb.explore import choosing
from healthie_nb.explore.choosing import NAMES_FROM, Name
from healthie_nb.explore.given import WIDEST
from healthie_nb.live import Answer
from healthie_nb.newcomers import day_number, known, with_source
from healthie_nb.returns import DAYS, Cell, cells_of, returns
from healthie_nb.wording import several

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from healthie_nb.practice import Practice

SECOND: Final = (1, 45)
LATER: Final = (31, 90)
BRACKETS: Final = (SECOND, LATER)
FIRST: Final = "Provider, type, role and modality are those of the first visit."
KNOWN: Final[dict[str, Any]] = {"history_from": Name("history_from"), "clients": Name("clients")}


class Rows:
    """The practice, its clients and visits, and what was made of them so far."""

    def __init__(
        self,
        practice: Practice,
        visits: pl.DataFrame,
        settings: Mapping[str, Any],
        clients: pl.DataFrame,
        named_by: Mapping[str, pl.DataFrame],
        *,
        marks: Mapping[str, pl.DataFrame | None],
        programmes: pl.DataFrame | None = None,
    ) -> None:
        self.practice, self.visits, self.clients, self.programmes = practice, visits, clients, programmes
        self.marks = marks
        self.last, self.known = settings["as_of"], {"history_from": settings["history_from"], "clients": clients}
        self.firsts = choosing.first_visits(visits, self.last)
        self.new = known(self.firsts, clients, settings["history_from"])
        self.names = choosing.names_of(self.firsts, named_by)
        self._made: dict[tuple[str, ...], pl.DataFrame] = {}

    def began(self, view: Mapping[str, Any], *, by_day: bool = False) -> pl.DataFrame:
        """First visits that a view chooses, of its days or of all."""
        days = choosing.within("first_day", view["start"] if by_day else None, view["end"] if by_day else None)
        return self.firsts.filter(pl.col("first_day") <= day_number(view["as_of"]), *choosing.alike(view), *days)

    def of_day(
        self, view: Mapping[str, Any], how: Callable[..., pl.DataFrame], *given: Any, **options: Any
    ) -> pl.DataFrame:
        """Rows that a big step gives for the day the numbers speak for."""
        as_of = view["as_of"].isoformat()
        key = (how.__name__, as_of, *(value for value in options.values() if isinstance(value, str)))
        if key not in self._made:
            self._made[key] = how(self.visits, *given, as_of=as_of, **options)
        return self._made[key]

    def cohorts(self, view: Mapping[str, Any], cells: list[Cell], columns: list[str] | None = None) -> pl.DataFrame:
        """Rows of `retention.cohorts`, from whether each new client came in each week or month since the first."""
        unit = "week" if view["every"] == "week" else "month"
        came = self._grid(unit).filter(*choosing.alike(view))
        if columns == ["source_name"]:
            came = came.pipe(with_source, self.clients, "source")
        theirs = came.with_columns(_came(cell, DAYS[unit], came.columns) for cell in cells)
        rows = metrics.tallied(theirs, cells, "day", as_of=view["as_of"], every=view["every"], columns=columns or [])
        return rows.filter(pl.col("cohort").is_between(view["start"], view["end"]))

    def _grid(self, unit: str) -> pl.DataFrame:
        """One row per new client: whether they came in each week or month since the first visit, and in BRACKETS."""
        if (unit,) not in self._made:
            days = day_number(self.last) - int(self.firsts.select(pl.col("first_day").min().fill_null(0)).item())
            reach, columns = min(WIDEST, days // DAYS[unit] + 1), list(choosing.NAMED)
            cells = cells_of("on", "rolling", "week" if unit == "week" else "month", [], reach)
            cells += [Cell(-last, "", first, last) for first, last in BRACKETS]
            made = returns(self.visits, self.last, keys=["client_id"], cells=cells, unit="day", columns=columns)
            self._made[(unit,)] = made.pipe(known, self.clients, self.known["history_from"])
        return self._made[(unit,)]

    def marks_of(self, shown: str) -> dict[str, pl.DataFrame | None]:
        """Targets and annotations for what is shown; the target of second visits is not one of later visits."""
        return {name: rows for name, rows in self.marks.items() if (name, shown) != ("targets", "days 31-90")}

    def named(self, column: str | None) -> dict[str, Any]:
        """Option of chart and table that names a column's values, where they are ids."""
        return {"names": self.names[column]} if column in NAMES_FROM else {}

    def code(
        self, view: Mapping[str, Any], metric: str, *given: str, days: str = "", by_day: bool = False, **asked: Any
    ) -> list[str]:
        """Lines that give the rows of a view; `days` is the column in which start and end are days."""
        as_of = view["as_of"].isoformat()
        spans = {"start": view["start"], "end": view["end"]} if by_day else {}
        made = choosing.call(f"rows = hn.retention.{metric}", "visits", *given, as_of=as_of, **asked)
        kept = [choosing.days_line(days, view["start"], view["end"])] if days else []
        return [*choosing.began_line(view, as_of=as_of, **spans), made, *kept]

    def told(self, view: Mapping[str, Any], n: int, rows: pl.DataFrame, *, total: str = "", more: str = "") -> str:
        """Sentence that says how many of the new clients, or of which others, a view is of."""
        total = total or several(self.new.height, "new client")
        return f"{n:,} of {total}{choosing.said(view, self.names)}; rows: {rows.height:,}.{more} {FIRST}"

    def nobody(self, view: Mapping[str, Any], *, by_day: bool = True) -> Answer:
        """View of nobody, in words."""
        days = f" began between {view['start']} and {view['end']}" if by_day else " was there"
        among = choosing.said(view, self.names)
        return Answer(f"Nobody{days} as of {view['as_of']}{among}. Widen the days, choose more, or reset.")

    def answer(
        self,
        said: str,
        drawn: str,
        rows: pl.DataFrame,
        *,
        code: list[str],
        options: Mapping[str, Any] | None = None,
        picks: Mapping[str, pl.Expr] | None = None,
        shown: str = "",
    ) -> Answer:
        """View of rows, drawn by the name of their chart and table."""
        given = options or {}
        split = next((name for name in NAMES_FROM if name in rows.columns), "")
        marks = self.marks_of(shown)
        lines = [*code, *choosing.drawn_lines(drawn, given, named=split, marks=marks)]
        synthetic = {"synthetic": self.practice.is_synthetic}
        return Answer(said, rows, {**given, **synthetic}, picks or {}, "\n".join(lines))


def _came(cell: Cell, width: int, columns: list[str]) -> pl.Expr:
    """Whether a client came in a stretch of days, from the weeks or months that make it up."""
    if (cell.first, cell.last) in BRACKETS:
        return pl.col(f"came_{-cell.last}").alias(f"came_{cell.period}")
    parts = [f"came_{k}" for k in range(cell.first // width + 1, cell.last // width + 1)]
    # Nobody has come in what lies beyond the history there is.
    came = [pl.col(part) for part in parts if part in columns]
    return (pl.any_horizontal(came) if came else pl.lit(value=False)).alias(f"came_{cell.period}")
