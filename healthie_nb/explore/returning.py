"""Views of new clients: who comes back, how long they stay, and what other definitions would say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from healthie_nb import readings
from healthie_nb import retention as metrics
from healthie_nb import survival as spans
from healthie_nb.explore import choosing, given
from healthie_nb.explore.rows import KNOWN, LATER, SECOND, Rows
from healthie_nb.newcomers import known, split_columns, with_source
from healthie_nb.returns import Cell, cells_of, returns
from healthie_nb.wording import named, period

if TYPE_CHECKING:
    from collections.abc import Mapping

    from healthie_nb.live import Answer

MOST_CURVES: Final = 6  # as many as there are colours that one tells apart


def cohorts(source: Rows, view: Mapping[str, Any]) -> Answer:
    """Heat map of cohorts."""
    choosing.in_order(view)
    every, measure = view["every"], view["measure"]
    periods = given.periods(view)
    rows = source.cohorts(view, cells_of(measure, "rolling", every, [LATER], periods))
    if rows.is_empty():
        return source.nobody(view)
    asked = {"every": every, "measure": measure} | ({} if measure == "brackets" else {"periods": periods})
    return source.answer(
        source.told(view, _size(rows), rows),
        "cohorts",
        rows,
        code=source.code(view, "cohorts", **asked, **KNOWN, days="cohort"),
        options={"every": every},
        picks={"cohort": period("cohort", every), "label": pl.col("label")},
    )


def came_again(source: Rows, view: Mapping[str, Any], bracket: tuple[int, int]) -> Answer:
    """Trend of the share that came again within some days."""
    choosing.in_order(view)
    every, split = view["every"], view["split"] or None
    columns = split_columns(split)
    rows = source.cohorts(view, [Cell(1, f"days {bracket[0]}-{bracket[1]}", *bracket)], columns)
    if rows.is_empty():
        return source.nobody(view)
    asked = {"every": every, "brackets": choosing.Name(f"({bracket},)"), "split": split}
    return source.answer(
        source.told(view, _size(rows), rows),
        "second_visit",
        rows,
        code=source.code(view, "cohorts", **asked, **KNOWN, days="cohort"),
        options={"every": every} | source.named(_only(columns)),
        picks={"period": period("cohort", every)} | _series(source, columns),
        shown="days 31-90" if bracket == LATER else "",
    )


def chance_limits(source: Rows, view: Mapping[str, Any]) -> Answer:
    """Second visits of each provider, or other value of the split, between the limits of chance."""
    choosing.in_order(view)
    every, split = view["every"], view["split"] or "provider"
    columns, (first, last) = split_columns(split), SECOND
    made = source.cohorts(view, [Cell(1, f"days {first}-{last}", first, last)], columns)
    rows = metrics.chance_limits(made)
    if rows.is_empty():
        return source.nobody(view)
    asked = {"every": every, "brackets": choosing.Name(f"({SECOND},)"), "split": split}
    code = source.code(view, "cohorts", **asked, **KNOWN, days="cohort")
    return source.answer(
        source.told(view, int(rows["eligible"].sum()), rows, more=" Of closed cohorts."),
        "chance_limits",
        rows,
        code=[*code, "rows = hn.retention.chance_limits(rows)"],
        options=source.named(columns[0]),
        picks={"row": _series(source, columns)["series"]},
    )


def survival(source: Rows, view: Mapping[str, Any], event: spans.Event) -> Answer:
    """Curves of those who have not lapsed, or not come again; of a split those of most clients."""
    choosing.in_order(view)
    split = view["split"] or None
    columns = split_columns(split)
    spells = source.of_day(view, spans.spells, event=event, **source.known)
    chosen = source.began(view, by_day=True).pipe(with_source, source.clients, split).select("client_id", *columns)
    theirs = spells.join(chosen, on="client_id", maintain_order="left")
    kept, more = [], ""
    if columns:
        sizes = theirs[columns[0]].drop_nulls().value_counts(sort=True).sort("count", columns[0], descending=True)
        largest = sizes[columns[0]].head(MOST_CURVES).to_list()
        theirs, kept = theirs.filter(pl.col(columns[0]).is_in(largest)), [choosing.ids_line(columns[0], largest)]
        more = f" Curves of the largest {len(largest)} of {sizes.height}." if sizes.height > len(largest) else ""
    if theirs.is_empty():
        return source.nobody(view)
    rows = spans.curves(theirs, columns)
    return source.answer(
        source.told(view, theirs.height, rows, more=more),
        "survival",
        rows,
        code=[*source.code(view, "survival", event=event, split=split, **KNOWN, by_day=True), *kept],
        options={"event": event} | source.named(_only(columns)),
        picks=_series(source, columns),
    )


def definitions(source: Rows, view: Mapping[str, Any]) -> Answer:
    """One practice under several definitions."""
    choosing.in_order(view)
    new = source.of_day(view, _definable)
    theirs = known(new, source.clients, source.known["history_from"])
    theirs = theirs.join(source.began(view, by_day=True), on="client_id", how="semi")
    if theirs.is_empty():
        return source.nobody(view)
    rows = readings.compared(theirs, as_of=view["as_of"])
    return source.answer(
        source.told(view, theirs.height, rows),
        "definitions",
        rows,
        code=source.code(view, "definitions", **KNOWN, by_day=True),
        picks={"series": pl.col("meaning")},
    )


def _definable(visits: pl.DataFrame, *, as_of: str) -> pl.DataFrame:
    return returns(visits, as_of, keys=["client_id"], cells=readings.CELLS, unit="day", columns=[])


def _only(columns: list[str]) -> str | None:
    return columns[0] if columns else None


def _series(source: Rows, columns: list[str]) -> dict[str, pl.Expr]:
    """How charts call the values of a split."""
    return {"series": named(columns[0], source.names.get(columns[0]))} if columns else {}


def _size(rows: pl.DataFrame) -> int:
    """How many clients are in rows of cohorts."""
    return int(rows.filter(pl.col("period") == pl.col("period").min())["clients"].sum())
