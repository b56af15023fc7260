"""What the views of forms are made from: the visits, notes, forms and requests that a view chooses, and its lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from healthie_nb.explore import choosing
from healthie_nb.explore.choosing import WHICH, Name
from healthie_nb.live import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from healthie_nb.practice import Practice

MOST: Final = 100  # rows of a list
KNOWN: Final[dict[str, Any]] = {"history_from": Name("history_from"), "clients": Name("clients")}


class Paperwork:
    """The practice and its rows by the name of their query, and how what occurs in them is called."""

    def __init__(
        self,
        practice: Practice,
        visits: pl.DataFrame,
        settings: Mapping[str, Any],
        rows: Mapping[str, pl.DataFrame],
        *,
        marks: Mapping[str, pl.DataFrame | None],
    ) -> None:
        self.practice, self.visits, self.rows, self.marks = practice, visits, rows, marks
        self.known: dict[str, Any] = {"history_from": settings["history_from"], "clients": rows["clients"]}
        named_by = {"provider_id": rows["providers"], "appointment_type_id": rows["appointment_types"]}
        forms = choosing.occurring(rows["form_requests"]["form_id"], rows["form_templates"])
        senders = choosing.occurring(rows["form_requests"]["sender_id"], rows["providers"])
        # A control's list goes by its parameter's name, an export's ids by their column's.
        self.names = {**choosing.names_of(visits, named_by), "form_id": forms, "form_ids": forms, "sender_id": senders}

    def held(self, view: Mapping[str, Any]) -> pl.DataFrame:
        """Visits of the view's days that its lists choose.

        Raises
        ------
        MetricError when the first day is after the last.
        """
        choosing.in_order(view)
        return self.visits.filter(pl.col("date").is_between(view["start"], view["end"]), *choosing.alike(view))

    def answer(
        self,
        said: str,
        drawn: str,
        rows: pl.DataFrame,
        *,
        code: Sequence[str],
        named: str = "",
        options: Mapping[str, Any] | None = None,
        picks: Mapping[str, pl.Expr] | None = None,
    ) -> Answer:
        """View of rows, drawn by the name of their chart and table; `named` is the column whose ids get names."""
        given = {**(options or {}), **({"names": self.names[named]} if named in self.names else {})}
        written = given | ({"senders": Name("hn.explore.names(providers)")} if "senders" in given else {})
        lines = [*code, *choosing.drawn_lines(drawn, written, named=named, marks=self.marks)]
        return Answer(said, rows, {**given, "synthetic": self.practice.is_synthetic}, picks or {}, "\n".join(lines))

    def nothing(self, what: str, view: Mapping[str, Any] | None = None) -> Answer:
        """View of nothing, in words; with what was chosen, if that is why."""
        return Answer(
            f"{what}{choosing.said(view, self.names) if view else ''}. Widen the days, choose more, or reset."
        )


def of_forms(rows: pl.DataFrame, settings: Mapping[str, Any]) -> pl.DataFrame:
    """Rows of the forms that the settings choose; of all where they choose none.

    Examples
    --------
    >>> of_forms(pl.DataFrame({"form_id": ["7", "8"]}), {"form_ids": ["8"]})["form_id"].to_list()
    ['8']
    """
    return rows.filter(is_one_of("form_id", settings["form_ids"])) if settings["form_ids"] else rows


def is_one_of(column: str, ids: Sequence[str]) -> pl.Expr:
    """Condition that an id is among some."""
    return pl.col(column).is_in(list(ids))


def chosen(view: Mapping[str, Any], *, by_day: bool = True) -> list[str]:
    """Conditions by which a view chooses visits, as they are written in code."""
    first, last = (f"pl.date({day.year}, {day.month}, {day.day})" for day in (view["start"], view["end"]))
    days = [f'pl.col("date").is_between({first}, {last})'] if by_day else []
    return days + [_among(column, view[name]) for name, (column, _) in WHICH.items() if view[name]]


def held_line(view: Mapping[str, Any]) -> str:
    """Write the line that keeps the visits of a view."""
    return choosing.call("visits = visits.filter", *chosen(view))


def forms_line(frame: str, view: Mapping[str, Any], column: str = "form_id", by: str = "form_ids") -> list[str]:
    """Write the line that keeps a frame's rows of the forms, or of other ids, that a view chooses."""
    return [f"{frame} = {frame}.filter({_among(column, view[by])})"] if view[by] else []


def _among(column: str, ids: Sequence[str]) -> str:
    return f'pl.col("{column}").is_in({choosing.literal(list(ids))})'
