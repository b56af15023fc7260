"""The explorer of the retention notebook: cohorts of new clients, and who comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from healthie_nb import retention as metrics
from healthie_nb.explore import choosing
from healthie_nb.explore.choosing import WHICH, Name
from healthie_nb.live import Answer, Explorer
from healthie_nb.newcomers import day_number, known
from healthie_nb.returns import DAYS, Cell, cells_of, returns
from healthie_nb.visits import MetricError
from healthie_nb.wording import period

if TYPE_CHECKING:
    from collections.abc import Mapping

    from healthie_nb.practice import Practice

LATER: Final = (31, 90)
WIDEST: Final = 60  # columns of a heat map
FIRST: Final = "Provider, type, role and modality are those of the first visit."
KNOWN: Final = {"history_from": Name("history_from"), "clients": Name("clients")}
COHORTS: Final = ("as_of", "start", "end", "every", "months", "measure", *WHICH)


class Retention:
    """What the views of retention are made from: one row per new client, made once."""

    def __init__(
        self,
        practice: Practice,
        visits: pl.DataFrame,
        settings: Mapping[str, Any],
        clients: pl.DataFrame,
        named_by: Mapping[str, pl.DataFrame],
    ) -> None:
        self.practice, self.visits = practice, visits
        self.clients, self.last, self.history_from = clients, settings["as_of"], settings["history_from"]
        self.firsts = choosing.first_visits(visits, self.last)
        self.new = known(self.firsts, clients, settings["history_from"])
        self.names = choosing.names_of(self.firsts, named_by)
        self._made: dict[str, pl.DataFrame] = {}

    def cohorts(self, view: Mapping[str, Any]) -> Answer:
        """Heat map of the cohorts that begin on these days."""
        if view["start"] > view["end"]:
            raise MetricError("The first day is after the last: exchange them.")
        every, measure, start, end = view["every"], view["measure"], view["start"], view["end"]
        periods = min(WIDEST, -(-view["months"] * DAYS["month"] // DAYS[every]))
        rows = self._cohorts(view, cells_of(measure, "rolling", every, [LATER], periods))
        rows = rows.filter(pl.col("cohort").is_between(start, end))
        among, sizes = choosing.said(view, self.names), rows.unique("cohort")["clients"]
        if rows.is_empty():
            return Answer(f"No cohort begins between {start} and {end}{among}. Widen the days, choose more, or reset.")
        said = f"{sizes.sum():,} of {self.new.height:,} new clients{among}; cohorts: {sizes.len()}. {FIRST}"
        options = {"every": every, "synthetic": self.practice.is_synthetic}
        picks = {"cohort": period("cohort", every), "label": pl.col("label")}
        return Answer(said, rows, options, picks, self._code(view, periods))

    def _cohorts(self, view: Mapping[str, Any], cells: list[Cell]) -> pl.DataFrame:
        """Rows of `retention.cohorts`, from whether each new client came in each week or month since the first."""
        unit = "week" if view["every"] == "week" else "month"
        came = self._grid(unit).filter(*choosing.alike(view))
        theirs = came.with_columns(_came(cell, DAYS[unit], came.columns) for cell in cells)
        return metrics.tallied(theirs, cells, "day", as_of=view["as_of"], every=view["every"])

    def _grid(self, unit: str) -> pl.DataFrame:
        """One row per new client: `came_1`, `came_2`, ... for each week or month since the first visit."""
        if unit not in self._made:
            days = day_number(self.last) - int(self.firsts.select(pl.col("first_day").min().fill_null(0)).item())
            reach = min(WIDEST, days // DAYS[unit] + 1)
            cells = [Cell(k, f"{unit} {k}", (k - 1) * DAYS[unit] + 1, k * DAYS[unit]) for k in range(1, reach + 1)] + [
                Cell(0, "", *LATER)
            ]
            columns = list(choosing.NAMED)
            made = returns(self.visits, self.last, keys=["client_id"], cells=cells, unit="day", columns=columns)
            self._made[unit] = made.pipe(known, self.clients, self.history_from)
        return self._made[unit]

    def _code(self, view: Mapping[str, Any], periods: int) -> str:
        """Lines that give the same rows, chart and table."""
        as_of, every, measure = view["as_of"].isoformat(), view["every"], view["measure"]
        asked = {"every": every, "measure": measure} | ({} if measure == "brackets" else {"periods": periods})
        lines = [
            *choosing.began_line(view, as_of=as_of),
            choosing.call("rows = hn.retention.cohorts", "visits", as_of=as_of, **asked, **KNOWN),
            choosing.days_line("cohort", view["start"], view["end"]),
        ]
        return "\n".join([*lines, *choosing.drawn_lines("cohorts", {"every": every})])


def retention(
    practice: Practice,
    visits: pl.DataFrame,
    settings: Mapping[str, Any],
    *,
    clients: pl.DataFrame,
    providers: pl.DataFrame,
    appointment_types: pl.DataFrame,
) -> Explorer:
    """Cohorts of new clients to look around in: by dates, period, measure, and what the first visit was like.

    The lists choose clients by their first visit; every later visit of theirs counts, with whomever it was.

    Parameters
    ----------
    practice
        From `connect`: it knows whether the data is made up, and where exports come from.
    visits
        The whole history, from `visits`.
    settings
        Every parameter of the notebook, from `parameters.settings`; the controls start from them.
    clients, providers, appointment_types
        Rows of the queries.

    Raises
    ------
    MetricError as `retention.cohorts`.
    """
    named_by = {"provider_id": providers, "appointment_type_id": appointment_types}
    source = Retention(practice, visits, settings, clients, named_by)
    choices = choosing.controls_of("retention", settings, source.names)
    shows = {"cohorts": choosing.show("cohorts", COHORTS, "Cohorts", source.cohorts)}
    return Explorer("retention", shows, choices, practice=practice, first=settings["show"], names=source.names)


def _came(cell: Cell, width: int, columns: list[str]) -> pl.Expr:
    """Whether a client came in a stretch of days, from the weeks or months that make it up."""
    if (cell.first, cell.last) == LATER:
        return pl.col("came_0").alias(f"came_{cell.period}")
    parts = [f"came_{k}" for k in range(cell.first // width + 1, cell.last // width + 1)]
    # Nobody has come in what lies beyond the history there is.
    came = [pl.col(part) for part in parts if part in columns]
    return (pl.any_horizontal(came) if came else pl.lit(value=False)).alias(f"came_{cell.period}")
