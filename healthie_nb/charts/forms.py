"""Charts of forms: of the coming visits, before the first one, measures on time, requests and how long they take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import altair as alt
import polars as pl

from healthie_nb import wording
from healthie_nb.charts import data, marks
from healthie_nb.tables import forms as tables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from healthie_nb.newcomers import Every

POINTS: Final = 120  # of a curve: more steps than these nobody sees
CURVE: Final = {
    "text:N": "Not yet completed",
    "interval:N": "95 % interval (log-log)",
    "at_risk:Q": "n at risk",
    "requests:Q": "Requests of the form",
}
# Where there are no curves: the frame of four weeks, and in its middle the word for it.
FRAME: Final = pl.DataFrame({"day": [0, 28, 14], "rate": [0.0, 1.0, 0.5], "text": ["", "", "no times yet"]})


def readiness_parts(table: pl.DataFrame, *, synthetic: bool) -> dict[str, Any]:
    """How far the required forms of the coming visits are, for first and for later visits.

    Parameters
    ----------
    table
        Rows of `forms.readiness`.
    synthetic
        `practice.is_synthetic`: whether the chart has to say that its data is made up.

    Examples
    --------
    >>> from healthie_nb import forms
    >>> from healthie_nb.visits import example
    >>> coming = example({"ada": ["2026-01-05", "2026-02-03"], "bob": ["2026-02-04"]})
    >>> filled = pl.DataFrame({"client_id": ["ada"], "form_id": ["f"], "is_finished": [True]})
    >>> filled = filled.with_columns(filled_at=coming["starts_at"][0])
    >>> asked = pl.DataFrame({"client_id": ["bob"], "form_id": ["f"], "filled_form_id": [None]})
    >>> asked = asked.with_columns(filled_form_is_finished=pl.lit(None, pl.Boolean))
    >>> roles = pl.DataFrame({"form_id": ["f"], "role": ["intake"]})
    >>> table = forms.readiness(coming, filled, asked, roles, as_of="2026-01-31", required=["intake"])
    >>> chart = readiness(table, synthetic=True)
    >>> print(chart.to_dict()["description"])  # doctest: +NORMALIZE_WHITESPACE
    Bars of the forms that the coming visits need. intake, first visits: 0 of 1 done; intake, later visits: 1 of 1
    done.
    """
    standing = tables.standings(table).with_columns(wording.share("rate", few=False).alias("text"))
    rows = _ranked(standing.rename({"visits": "n"}), tables.STATES, ["row", "n", "text"])
    ends = standing.select("row", total="visits", text=pl.format("{} of {} done", "done", "visits"))
    told = "; ".join(ends.select(pl.format("{}: {}", "row", "text")).to_series())
    said = f"Bars of the forms that the coming visits need. {told or 'No visits'}."
    remarks = tables.ready_remarks(table, synthetic=synthetic)
    return data.parts(tables.READINESS, remarks, said, rows=rows, ends=ends)


def before_first_visit_parts(
    table: pl.DataFrame,
    *,
    every: Every,
    synthetic: bool,
    targets: pl.DataFrame | None = None,
    annotations: pl.DataFrame | None = None,
) -> dict[str, Any]:
    """Trend of the share of clients who had filled the required forms before their first scheduled visit.

    Parameters
    ----------
    table
        Rows of `forms.before_first_visit`.
    every
        The period, as it was made.
    synthetic
        `practice.is_synthetic`.
    targets, annotations
        As `roles.read` gives them; targets of the metric "forms before first visit".

    Examples
    --------
    >>> from healthie_nb import forms
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05"], "bob": ["2026-01-06 No-Show"]})
    >>> filled = pl.DataFrame({"client_id": ["ada"], "form_id": ["f"], "is_finished": [True]})
    >>> filled = filled.with_columns(filled_at=seen["starts_at"][0] - pl.duration(days=1))
    >>> roles = pl.DataFrame({"form_id": ["f"], "role": ["consent"]})
    >>> table = forms.before_first_visit(seen, filled, roles, as_of="2026-01-31", required=["consent"])
    >>> chart = before_first_visit(table, every="month", synthetic=True)
    >>> print(chart.to_dict()["description"])  # doctest: +NORMALIZE_WHITESPACE
    Lines of the share of clients who had filled the forms over 1 period, Jan 2026 to Jan 2026: between 50% and
    50%; last closed 50%* of 2 (consent), 50%* of 2 (all of these).
    """
    rows = table.select(*data.period("period", every), tables.role_of("series"), *data.rated("done", "clients"))
    marked = data.marked(rows, "forms before first visit", targets, annotations)
    said = data.trend_said("share of clients who had filled the forms", rows)
    remarks = wording.remarks(table, synthetic=synthetic, n="clients")
    return data.parts(tables.BEFORE, remarks, said, rows=rows, **marked)


def measures_parts(table: pl.DataFrame, *, synthetic: bool, names: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Share of new clients with each outcome measure, at baseline and on time afterwards, with its interval.

    Parameters
    ----------
    table
        Rows of `forms.measures`.
    synthetic
        `practice.is_synthetic`.
    names
        Names of the forms' ids.

    Examples
    --------
    >>> from healthie_nb import forms
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-02-16"], "bob": ["2026-01-06"]})
    >>> filled = seen.filter(client_id="ada").select("client_id", filled_at="starts_at", form_id=pl.lit("phq"))
    >>> roles = pl.DataFrame({"form_id": ["phq"], "role": ["outcome measure"]})
    >>> table = forms.measures(seen, filled.with_columns(is_finished=pl.lit(True)), roles, as_of="2026-06-30")
    >>> measures(table, synthetic=True).to_dict()["description"]
    'Dots with intervals. phq, baseline: 50%* of 2; phq, days 31-90: 100%* of 1.'
    """
    rows = table.select(
        *data.rated("done", "clients"),
        row=wording.named("form_id", names),
        series="window",
        state=pl.lit("done in the window"),
    )
    told = rows.select("row", "series", pl.col("text").fill_null("none"), "n").rows()
    said = "; ".join(f"{row}, {window}: {text} of {wording.told(n)}" for row, window, text, n in told)
    remarks = wording.remarks(table, synthetic=synthetic, n="clients")
    said = f"Dots with intervals. {said or 'No measures'}."
    return data.parts(tables.MEASURES, remarks, said, rows=data.placed(rows), targets=data.NO_LINES)


def requests_parts(
    table: pl.DataFrame,
    *,
    synthetic: bool,
    names: Mapping[str, str] | None = None,
    senders: Mapping[str, str] | None = None,  # noqa: ARG001, of the table's rows alone
) -> dict[str, Any]:
    """How the requests of each form stand now: completed, started, open, or withdrawn.

    Parameters
    ----------
    table
        Rows of `forms.requests`.
    synthetic
        `practice.is_synthetic`.
    names
        Names of the forms' ids.
    senders
        Names of the senders' ids, which the table of a single form shows.

    Examples
    --------
    >>> from healthie_nb import forms
    >>> asked = pl.DataFrame({"id": ["1", "2"], "form_id": ["f", "f"], "client_id": ["ada", "bob"]}).with_columns(
    ...     sender_id=pl.lit("p"), date_to_show=None, filled_form_id=None, filled_form_is_finished=pl.lit(False)
    ... )
    >>> table = forms.requests(asked, pl.DataFrame({"id": ["ada", "bob"], "is_active": [True, False]}))
    >>> requests(table, synthetic=True).to_dict()["description"]
    'Bars of the forms asked for. f: 2, 0%* completed.'
    """
    summed = tables.asked(table, by="form_id").with_columns(
        wording.named("form_id", names).alias("row"),
        wording.share().alias("text"),
        wording.interval(),
        n=pl.col("waiting_or_done"),
    )
    rows = _ranked(summed, tables.STANDINGS, ["row", "n", "text", "interval"])
    done = pl.format("{} completed", "text")
    ends = summed.select("row", *data.reach("n"), total="requests", text=done)
    each = ends.select("row", "total", "text").rows()
    told = "; ".join(f"{row}: {wording.told(total)}, {text or 'none'}" for row, total, text in each)
    remarks = wording.remarks(summed, synthetic=synthetic, n="waiting_or_done")
    said = f"Bars of the forms asked for. {told or 'None was asked for'}."
    return data.parts(tables.REQUESTS, remarks, said, rows=rows, ends=ends)


def time_to_complete_parts(
    table: pl.DataFrame,
    *,
    synthetic: bool,
    names: Mapping[str, str] | None = None,
    standing: pl.DataFrame | None = None,
) -> dict[str, Any]:
    """Share of forms not yet completed, by days since they were asked for, with its interval.

    Parameters
    ----------
    table
        Rows of `forms.time_to_complete`.
    synthetic
        `practice.is_synthetic`.
    names
        Names of the forms' ids.
    standing
        From `forms.ledger_standing`: the chart says in words why there is no curve yet.

    Examples
    --------
    >>> from healthie_nb import forms
    >>> at = pl.datetime(2026, 6, pl.col("day"), 9, time_unit="us", time_zone="UTC")
    >>> pulls = pl.DataFrame({"day": [1, 6, 9, 30]}).select(seen_at=at)
    >>> seen = pl.DataFrame({"id": ["1", "1"], "is_finished": [False, True], "status": ["Open", "Completed"]})
    >>> seen = seen.with_columns(pulls["seen_at"][1:3], day=pl.Series([5, 8])).with_columns(date_to_show=at)
    >>> asked = pl.DataFrame({"id": ["1"], "form_id": ["f"], "client_id": ["ada"]})
    >>> clients = pl.DataFrame({"id": ["ada"], "is_active": [True], "archived_at": [None]})
    >>> table = forms.time_to_complete(seen, pulls, asked, clients, as_of="2026-06-30")
    >>> time_to_complete(table, synthetic=True).to_dict()["description"]
    'Curves. Share of forms not yet completed, by days since they were asked for: 0% of f at day 3.'
    """
    last = int(table.select(pl.col("day").max().fill_null(0)).item())
    step = -(-last // POINTS) or 1
    rows = tables.read_at(table, range(0, last + step, step)).select(
        wording.named("form_id", names).alias("series"),
        "day",
        *(pl.col(old).round(4).alias(new) for old, new in (("survival", "rate"), ("low", "low"), ("high", "high"))),
        wording.share("survival", few=False).alias("text"),
        wording.interval(),
        pl.col("at_risk").round(1),
        "requests",
    )
    ends = rows.group_by("series", maintain_order=True).last()
    told = (f"{rate:.0%} of {series} at day {day}" for series, rate, day in ends.select("series", "rate", "day").rows())
    why = tables.ledger_says(standing) or (() if rows.height else ("Nothing to show yet",))
    remarks = (*wording.remarks(table, synthetic=synthetic), *why)
    said = f"Curves. {tables.TIMES}: {', '.join(told) or 'none yet'}."
    return data.parts(tables.TIMES, remarks, said, rows=rows, empty=FRAME.tail(0 if rows.height else 3))


def _ranked(table: pl.DataFrame, states: tuple[str, ...], index: list[str]) -> pl.DataFrame:
    """One row per row and state, in the order of the states."""
    long = table.unpivot(on=states, index=index, variable_name="series", value_name="count")
    return long.with_columns(rank=pl.col("series").cast(pl.Enum(states)).to_physical())


def _readiness() -> alt.LayerChart:
    return marks.bars("coming visits", {"count:Q": "Visits", "text:N": "Done", "n:Q": "n, such visits"})


def _times() -> alt.LayerChart:
    """Curves, or a frame that says that there are none."""
    frame = alt.Chart(alt.NamedData("empty")).mark_text(fontSize=13).encode(x="day:Q", y="rate:Q", text="text:N")
    made: alt.LayerChart = marks.curves("not yet completed", "days since it was asked for", CURVE) + frame
    return made


def _requests() -> alt.LayerChart:
    told = {"count:Q": "Requests", "text:N": "Completed now", "interval:N": marks.WILSON}
    return marks.bars("requests", {**told, "n:Q": "n, without withdrawn ones"}, bounded=True)


readiness = marks.drawn(_readiness, readiness_parts)
before_first_visit = marks.drawn(lambda: marks.trend("had filled them"), before_first_visit_parts)
measures = marks.drawn(lambda: marks.dots("done", by_series=True), measures_parts)
requests = marks.drawn(_requests, requests_parts)
time_to_complete = marks.drawn(_times, time_to_complete_parts)
