"""Charts of who stays: how long, how far, where clients stand, and what other definitions would say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import altair as alt
import polars as pl

from healthie_nb import wording
from healthie_nb.charts import data, limits, marks
from healthie_nb.tables import retention as tables
from healthie_nb.tables.cohorts import noun_of, second_visit_title, series_of, split_of
from healthie_nb.visits import MetricError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from healthie_nb.newcomers import Every

DAYS: Final = (1, 2, 3, 5, 6, 10, 15, 30)  # days of a curve: clients lapse 90 days after a visit, on a step of each
POINTS: Final = 60  # of a curve: more steps than these nobody sees
FLOWS: Final = ["kept", "returned", "new"]
CURVE: Final = {
    "text:N": "Share without it",
    "interval:N": "95 % interval (log-log)",
    "at_risk:Q": "n at risk",
    "events:Q": "Events since the step before",
    "censored:Q": "Censored since",
}
LIMITED: Final = {"n:Q": "n, have had that long", "hits:Q": "Came again", **limits.LIMITED}
STANDING: Final = {"count:Q": "Clients", "text:N": "Share", "interval:N": marks.WILSON, "n:Q": "n"}
STEP: Final = {"text:N": "Of the step before", "interval:N": marks.WILSON, "n:Q": "n, the step before"}


def second_visit_parts(
    table: pl.DataFrame,
    *,
    every: Every,
    synthetic: bool,
    names: Mapping[str, str] | None = None,
    targets: pl.DataFrame | None = None,
    annotations: pl.DataFrame | None = None,
) -> dict[str, Any]:
    """Trend of the share of new clients who came again within some days, with its interval.

    Parameters
    ----------
    table
        Rows of `retention.cohorts` with one bracket, such as `brackets=((1, 45),)`; split or not.
    every
        The cohorts' period, as they were made.
    synthetic
        `practice.is_synthetic`: whether the chart has to say that its data is made up.
    names
        Names of the split's ids.
    targets, annotations
        As `roles.read` gives them; targets of the metric "second visit".

    Raises
    ------
    MetricError for cohorts with several brackets.

    Examples
    --------
    >>> from healthie_nb import retention
    >>> from healthie_nb.visits import example
    >>> seen = {"7": ["2026-01-05", "2026-02-20"], "8": ["2026-01-20"], "9": ["2026-05-02"]}
    >>> table = retention.cohorts(example(seen), as_of="2026-06-30")
    >>> chart = second_visit(table, every="month", synthetic=True)
    >>> print(chart.to_dict()["description"])  # doctest: +NORMALIZE_WHITESPACE
    Lines of the share of new clients who came again over 1 period, Jan 2026 to Jan 2026: between 50% and 50%; last
    closed 50%* of 2 (all).
    """
    if table["label"].n_unique() > 1:
        raise MetricError("these cohorts have several stretches of time: filter the table to one label first.")
    split = split_of(table)
    shown = table.with_columns(series=wording.named(split, names) if split else pl.lit(wording.ALL))
    shown = shown.filter(pl.col("eligible") > 0).sort("cohort", maintain_order=True)
    shown = shown.filter(data.top(shown, "series", "eligible") != data.OTHERS)
    rows = shown.select(*data.period("cohort", every), "series", *data.rated("returned", "eligible"))
    return data.parts(
        second_visit_title(table),
        wording.remarks(table, synthetic=synthetic, n="eligible"),
        data.trend_said("share of new clients who came again", rows),
        rows=rows,
        **data.marked(rows, "second visit", targets, annotations),
    )


def chance_limits_parts(
    table: pl.DataFrame, *, synthetic: bool, names: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Each value of a split by its number of new clients and how many came again, between the limits of chance.

    Parameters
    ----------
    table
        Rows of `retention.chance_limits`.
    synthetic
        `practice.is_synthetic`.
    names
        Names of the split's ids.

    Examples
    --------
    >>> from healthie_nb import retention
    >>> made = {"provider_id": ["p", "q"], "period": [1, 1], "label": ["days 1-45"] * 2, "is_open": [False] * 2}
    >>> made |= {"eligible": [400, 40], "returned": [300, 16], "rate": [0.75, 0.4]}
    >>> table = retention.chance_limits(pl.DataFrame(made))
    >>> chance_limits(table, synthetic=True).to_dict()["description"]
    'Points of 2 providers against limits. Outside the 95 % limits: q 40% of 40, below 99.8 %.'
    """
    title = second_visit_title(table)
    name, who = series_of(table, names), noun_of(table)
    return limits.parts(table, name, title, hits="returned", of="eligible", synthetic=synthetic, who=who)


def survival_parts(
    table: pl.DataFrame, *, synthetic: bool, event: str = "lapse", names: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Share of new clients not yet lapsed, or not yet back, by days since the first visit, with its interval.

    Parameters
    ----------
    table
        Rows of `retention.survival`, split or not; of a split, the curves on most clients.
    synthetic
        `practice.is_synthetic`.
    event
        As the table was made: "lapse" or "second visit".
    names
        Names of the split's ids.

    Examples
    --------
    >>> from healthie_nb import retention
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-01", "2026-02-01"], "bob": ["2026-05-01"]})
    >>> table = retention.survival(seen, as_of="2026-06-01")
    >>> survival(table, synthetic=True).to_dict()["description"]
    'Curves. Share of new clients not yet lapsed, by days since the first visit: 0% of all at day 121.'
    """
    named = table.with_columns(series=series_of(table, names))
    most = named.group_by("series").agg(pl.col("at_risk").max()).sort("at_risk", "series", descending=[True, False])
    kept = most["series"].head(len(marks.PALETTE))
    named = named.filter(pl.col("series").is_in(kept.implode()))
    last = int(named.select(pl.col("day").max().fill_null(0)).item())
    step = next((days for days in DAYS if days * POINTS >= last), DAYS[-1])
    rows = tables.stepped(named, range(0, last + step, step)).select(
        "series",
        "day",
        *(pl.col(old).round(4).alias(new) for old, new in (("survival", "rate"), ("low", "low"), ("high", "high"))),
        wording.share("survival", few=False).alias("text"),
        wording.interval(),
        *("at_risk", "events", "censored"),
    )
    ends = rows.group_by("series", maintain_order=True).last()
    said = (f"{rate:.0%} of {series} at day {day}" for series, rate, day in ends.select("series", "rate", "day").rows())
    title = tables.survival_title(event)
    remarks = wording.remarks(table, synthetic=synthetic)
    return data.parts(title, remarks, f"Curves. {title}: {', '.join(said)}.", rows=rows)


def funnel_parts(table: pl.DataFrame, *, synthetic: bool) -> dict[str, Any]:
    """How many of those who signed up reached each step, with the interval of their share of the step before.

    Parameters
    ----------
    table
        Rows of `retention.funnel`.
    synthetic
        `practice.is_synthetic`.

    Examples
    --------
    >>> from healthie_nb import retention
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-01-19"], "bob": ["2026-01-09"]})
    >>> at = pl.lit("2026-01-02").str.to_datetime(time_unit="us", time_zone="UTC")
    >>> clients = pl.DataFrame({"id": ["ada", "bob", "cy"]}).with_columns(created_at=at)
    >>> table = retention.funnel(seen, clients, as_of="2026-06-30")
    >>> funnel(table, synthetic=True).to_dict()["description"]
    'Bars of how many clients reached each step. signed up: 3, booked: 2, first visit: 2, second visit: 1.'
    """
    rows = table.select(
        pl.col("step").alias("row"),
        pl.col("clients").alias("count"),
        pl.col("before").alias("n"),
        wording.share().alias("text"),
        wording.interval(),
        # In clients, as the bars are; those who signed up are a share of nothing before.
        *data.reach(pl.when(tables.is_later()).then("before")),
        said=tables.reached(),
    )
    told = (f"{step}: {wording.told(count)}" for step, count in table.select("step", "clients").rows())
    notes = [*wording.remarks(table, synthetic=synthetic, n="before"), *tables.too_recent(table)]
    return data.parts(
        tables.FUNNEL, notes, f"Bars of how many clients reached each step. {', '.join(told)}.", rows=rows
    )


def states_parts(table: pl.DataFrame, *, synthetic: bool) -> dict[str, Any]:
    """Where every client stands, each counted once.

    Parameters
    ----------
    table
        Rows of `retention.states`.
    synthetic
        `practice.is_synthetic`.

    Examples
    --------
    >>> from healthie_nb import retention
    >>> from healthie_nb.visits import example
    >>> clients = pl.DataFrame({"id": ["ada"], "is_active": [True]}).with_columns(
    ...     group_id=pl.lit(None, pl.String), created_at=pl.lit(None, pl.Date), archived_at=pl.lit(None, pl.Date)
    ... )
    >>> table = retention.states(example({"ada": ["2026-01-01"]}), clients, as_of="2026-06-01")
    >>> chart = states(table, synthetic=True)
    >>> print(chart.to_dict()["description"])  # doctest: +NORMALIZE_WHITESPACE
    Bars of 1 client by where they stand. in care: seen lately: 0  ·  0%*; in care: booked: 0  ·  0%*; completed:
    programme: 0  ·  0%*; completed: closing visit: 0  ·  0%*; lapsed: not seen: 1  ·  100%*; unknown: archived: 0  ·
    0%*; unknown: no visit yet: 0  ·  0%*.
    """
    total = None if table["clients"].has_nulls() else int(table["clients"].sum())
    rows = table.select(
        pl.format("{}: {}", "state", "reason").alias("row"),
        pl.col("state").alias("series"),
        pl.lit(0).alias("rank"),
        pl.col("clients").alias("count"),
        pl.col("share").round(4).alias("rate"),
        wording.share("share").alias("text"),
        wording.interval(),
        pl.lit(total).alias("n"),
    )
    ends = rows.select("row", total="count", text=pl.format("{}  ·  {}", wording.number("count"), "text"))
    reached = pl.concat([ends, table.select(*data.reach(pl.lit(total)))], how="horizontal")
    told = (f"{row}: {text}" for row, _, text in ends.rows())
    said = f"Bars of {wording.several(total, 'client')} by where they stand. {'; '.join(told)}."
    remarks = wording.remarks(table, synthetic=synthetic, n="clients")
    return data.parts(tables.STATES, remarks, said, rows=data.placed(rows), ends=data.placed(reached, "total"))


def flow_parts(
    table: pl.DataFrame,
    *,
    every: Every,
    synthetic: bool,
    targets: pl.DataFrame | None = None,
    annotations: pl.DataFrame | None = None,
) -> dict[str, Any]:
    """Clients seen in each period, who is new, returned or kept, and below the line who of the period before left.

    Parameters
    ----------
    table
        Rows of `retention.flow`.
    every
        The period, as it was made.
    synthetic
        `practice.is_synthetic`.
    targets, annotations
        As `roles.read` gives them; targets of the metric "clients seen per month" and so on.

    Examples
    --------
    >>> from healthie_nb import retention
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-02-05"], "bob": ["2026-01-09", "2026-03-09"]})
    >>> table = retention.flow(seen, as_of="2026-03-31")
    >>> chart = flow(table, every="month", synthetic=True)
    >>> print(chart.to_dict()["description"])  # doctest: +NORMALIZE_WHITESPACE
    Columns of 3 periods. On average of the closed ones, 1 client was seen, 1 of them new, and 1 of the period
    before left.
    """
    index = ["at", "until", "period", "is_open", "state", "n"]
    kept = data.stacked(_each(table, every, FLOWS, index))
    gone = _each(table, every, ["left"], index).with_columns(foot=pl.lit(0, pl.Int64), top=-pl.col("count"))
    rows = pl.concat([kept, gone])
    closed = table.filter(~pl.col("is_open")).select("active", "new", "left")
    said = f"Columns of {wording.several(table.height, 'period')}."
    if not closed.null_count().sum_horizontal().item():  # of some alone it would be another average
        means = closed.mean().fill_null(0.0).row(0)
        active, new, left = map(round, means)
        seen = f"{wording.several(active, 'client')} {'was' if active == 1 else 'were'} seen"
        those = f"{new:,} of them new, and {left:,} of the period before left"
        said = f"{said} On average of the closed ones, {seen}, {those}."
    marked = data.marked(rows, f"clients seen per {every}", targets, annotations)
    return data.parts(tables.FLOW, wording.remarks(table, synthetic=synthetic), said, rows=rows, **marked)


def definitions_parts(table: pl.DataFrame, *, synthetic: bool) -> dict[str, Any]:
    """One practice under several definitions of "retained", each with its interval.

    Parameters
    ----------
    table
        Rows of `retention.definitions`.
    synthetic
        `practice.is_synthetic`.

    Examples
    --------
    >>> from healthie_nb import retention
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-01-12"], "bob": ["2026-01-05", "2026-02-20"]})
    >>> table = retention.definitions(seen, as_of="2026-06-30")
    >>> chart = definitions(table, synthetic=True)
    >>> print(chart.to_dict()["description"])  # doctest: +NORMALIZE_WHITESPACE
    Dots with intervals. ours  ·  n 2, a visit in days 31-90: 50%*; sessions  ·  n 2, 8 or more visits, 8 weeks on:
    0%*; second visit  ·  n 2, another visit within 90 days: 100%*.
    """
    rows = table.select(
        *data.rated("retained", "eligible"),
        row=pl.format("{}  ·  n {}", "definition", wording.number("eligible")),
        series="meaning",
        state=pl.format("{} of {} judged as by ours", "as_ours", "compared"),
    )
    told = rows.select("row", "series", pl.col("text").fill_null("none")).rows()
    said = "; ".join(f"{row}, {meaning}: {text}" for row, meaning, text in told)
    notes = wording.remarks(table, synthetic=synthetic, n="eligible")
    said = f"Dots with intervals. {said}."
    return data.parts(tables.DEFINITIONS, notes, said, rows=data.placed(rows), targets=data.NO_LINES)


def _funnel() -> alt.LayerChart:
    base = alt.Chart(alt.NamedData("rows"))
    bars = base.mark_bar(color=marks.MAIN).encode(x=alt.X("count:Q", title="clients", axis=marks.COUNT))
    beyond = base.transform_calculate(edge="max(datum.count, datum.most)")
    words = beyond.mark_text(align="left", dx=5).encode(x="edge:Q", text="said:N")
    told = marks.told({"row:N": "Step", "count:Q": "Clients", **STEP})
    made: alt.LayerChart = marks.beside(bars, marks.spanned(base), words).encode(y=marks.category(), tooltip=told)
    return made


def _each(table: pl.DataFrame, every: Every, kinds: list[str], index: list[str]) -> pl.DataFrame:
    """One row per period and kind of client, in the order of the kinds."""
    shaped = table.select(*data.period("period", every), *kinds, pl.col("active").alias("n"))
    return shaped.unpivot(on=kinds, index=index, variable_name="series", value_name="count")


def _flow() -> alt.LayerChart:
    told = {"period:N": "Period", "series:N": "Of these", "count:Q": "Clients", "n:Q": "n seen in all"}
    bars = marks.stack("clients", {**told, "state:N": "State"})
    hatch = marks.hatched(bars)
    return marks.over(bars, hatch, *marks.marks("target:Q"))


second_visit = marks.drawn(lambda: marks.trend("came again"), second_visit_parts)
chance_limits = marks.drawn(lambda: limits.drawing("new clients", "came again", LIMITED), chance_limits_parts)
survival = marks.drawn(
    lambda: marks.curves("share of new clients", "days since the first visit", CURVE), survival_parts
)
funnel = marks.drawn(_funnel, funnel_parts)
states = marks.drawn(lambda: marks.bars("clients", STANDING, bounded=True), states_parts)
flow = marks.drawn(_flow, flow_parts)
definitions = marks.drawn(lambda: marks.dots("retained"), definitions_parts)
