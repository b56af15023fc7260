"""Views of who came and who did not: rates, cancellations, unmarked visits, when, how far ahead and with whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from healthie_nb import volume as metrics
from healthie_nb.explore import choosing
from healthie_nb.explore.calendar import Calendar, last_day, named_by, split_of
from healthie_nb.explore.choosing import Name
from healthie_nb.explore.counting import series
from healthie_nb.tables.attendance import who
from healthie_nb.tables.slicing import hour, series_of, weekday
from healthie_nb.wording import named, period

if TYPE_CHECKING:
    from collections.abc import Mapping

    from healthie_nb.live import Answer

KNOWN: Final = {"history_from": Name("history_from"), "clients": Name("clients")}


def rates(source: Calendar, view: Mapping[str, Any]) -> Answer:
    """Trend of the share missed."""
    return _rates(source, view, source.chosen(view, is_recent=True), split_of(view))


def first_visits(source: Calendar, view: Mapping[str, Any]) -> Answer:
    """Trend of the share missed, first visits apart; which is first follows from all visits of a client."""
    return _rates(source, view, source.visits.lazy(), ["first visit"], **source.known)


def _rates(source: Calendar, view: Mapping[str, Any], visits: pl.LazyFrame, by: list[str], **known: Any) -> Answer:
    last, every = last_day(view), view["every"]
    asked = {"every": every, "by": by, "since": view["start"].isoformat()}
    key = ("rates", view["as_of"], every, asked["since"])

    def made() -> pl.DataFrame:
        return metrics.rates(visits, as_of=view["as_of"], **asked, **known)

    rows = source.once(key, made) if known else made()
    kinds = {name: view[name] for name in ("measure", "late")}
    rows = rows.filter(pl.col("period").is_between(view["start"], last)).filter(**kinds)
    code = source.lines(view, "rates", is_chosen=not known, as_of=view["as_of"], **asked, **(KNOWN if known else {}))
    kept = choosing.call("rows = rows.filter", **kinds)
    return source.answer(
        source.remaining(view, view["start"], last, is_chosen=not known),
        "rates",
        rows,
        code=[*code, choosing.days_line("period", view["start"], last), kept],
        options={"every": every},
        picks={"period": period("period", every)} | series(source, rows, by),
    )


def rebooked(source: Calendar, view: Mapping[str, Any]) -> Answer:
    """Trend of the share soon after which a next visit was booked, with whomever."""
    last, by, every = last_day(view), split_of(view), view["every"]
    asked = {"every": every, "by": by}
    key = ("rebooked", view["as_of"], every, *by)
    rows = source.once(key, lambda: metrics.rebooked(source.visits, as_of=view["as_of"], **asked))
    rows = rows.filter(pl.col("period").is_between(view["start"], last))
    return source.answer(
        source.remaining(view, view["start"], last, is_chosen=False),
        "rebooked",
        rows,
        code=[
            *source.lines(view, "rebooked", is_chosen=False, as_of=view["as_of"], **asked),
            choosing.days_line("period", view["start"], last),
        ],
        options={"every": every},
        picks={"period": period("period", every)} | series(source, rows, by),
    )


def cancellations(source: Calendar, view: Mapping[str, Any], told: str) -> Answer:
    """Bars of what was cancelled, by whom or why."""
    last, by = last_day(view), split_of(view) if told == "who" else []
    asked = {"every": view["every"], "by": by, "since": view["start"].isoformat(), "told": [told, "how late"]}
    rows = metrics.cancellations(source.chosen(view, is_recent=True), as_of=view["as_of"], **asked)
    rows = rows.filter(pl.col("period").is_between(view["start"], last))
    return source.answer(
        source.remaining(view, view["start"], last),
        "cancellations",
        rows,
        code=[
            *source.lines(view, "cancellations", as_of=view["as_of"], **asked),
            choosing.days_line("period", view["start"], last),
        ],
        picks={"row": who(rows, source.names.get(named_by(rows))), "series": pl.col("notice")},
    )


def unmarked(source: Calendar, view: Mapping[str, Any]) -> Answer:
    """Bars of visits that nobody has marked."""
    return source.answer(
        source.remaining(view, None, view["as_of"]),
        "unmarked",
        metrics.unmarked(source.chosen(view), as_of=view["as_of"]),
        code=source.lines(view, "unmarked", as_of=view["as_of"]),
        picks={"row": named("provider_id", source.names["provider_id"]), "series": pl.col("age")},
    )


def heat(source: Calendar, view: Mapping[str, Any]) -> Answer:
    """Map of the week."""
    return _of_days(source, view, "heat", {}, {"column": weekday(), "row": hour()})


def lead(source: Calendar, view: Mapping[str, Any]) -> Answer:
    """Dots of the share missed by days booked ahead."""
    by = split_of(view)
    picks = {"row": pl.col("lead")}
    return _of_days(source, view, "lead", {"by": by}, picks, is_split=bool(by))


def funnel_plot(source: Calendar, view: Mapping[str, Any]) -> Answer:
    """Points of providers against limits."""
    asked = {name: view[name] for name in ("measure", "late")}
    return _of_days(source, view, "funnel_plot", asked, {"row": named("provider_id", source.names["provider_id"])})


def _of_days(
    source: Calendar,
    view: Mapping[str, Any],
    metric: str,
    asked: Mapping[str, Any],
    picks: Mapping[str, pl.Expr],
    *,
    is_split: bool = False,
) -> Answer:
    """View of a metric of some days, whatever the period."""
    last, since = last_day(view), view["start"].isoformat()
    rows = getattr(metrics, metric)(source.chosen(view, is_recent=True), as_of=last, since=since, **asked)
    split = {"series": series_of(rows, source.names.get(named_by(rows)))} if is_split else {}
    return source.answer(
        source.remaining(view, view["start"], last),
        metric,
        rows,
        code=source.lines(view, metric, as_of=last, since=since, **asked),
        picks={**picks, **split},
    )
