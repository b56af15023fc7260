"""What goes into charts: rows in the shapes that `marks` take, and what is told of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from healthie_nb import wording
from healthie_nb.charts.marks import PALETTE
from healthie_nb.newcomers import offset
from healthie_nb.targets import SHARES, of_metric

if TYPE_CHECKING:
    from collections.abc import Iterable

    from healthie_nb.newcomers import Every

OTHERS: Final = "all others"
# A row that is not to be seen where there is none, for Vega warns of data without an extent.
NO_LINES: Final = pl.DataFrame({"target": [0.0], "text": [""]})


def parts(title: str, notes: Iterable[str], description: str, **datasets: pl.DataFrame) -> dict[str, Any]:
    """Tell what follows from a chart's rows: put into a kept specification, it shows another view."""
    return {
        "title": {"text": title, "subtitle": list(notes)},
        "description": description,
        "datasets": {name: rows.to_dicts() for name, rows in datasets.items()},
    }


def rated(hits: str, of: str, *, rate: str = "rate", low: str = "low", high: str = "high") -> list[pl.Expr]:
    """Columns of a rate as the marks below take them: rate, low, high, hits, n, text, interval, state, few, is_open."""
    return [
        *(pl.col(given).round(4).alias(name) for name, given in (("rate", rate), ("low", low), ("high", high))),
        pl.col(hits).alias("hits"),
        pl.col(of).alias("n"),
        wording.share(rate).alias("text"),
        wording.interval(low, high),
        pl.col("few"),
    ]


def period(column: str, every: Every, *, is_open: str | pl.Expr = "is_open") -> list[pl.Expr]:
    """Columns of a calendar period: at, until, period, is_open, state.

    Days are midnight on the reader's clock: a date alone is read as UTC, which is the day before in America.

    Raises
    ------
    MetricError for a period that is not allowed.
    """
    open_ = pl.col(is_open) if isinstance(is_open, str) else is_open
    first, after = pl.col(column), pl.col(column).dt.offset_by(offset(every))
    return [
        moment(first).alias("at"),
        moment(after).alias("until"),
        wording.period(column, every).alias("period"),
        open_.alias("is_open"),
        pl.when(open_).then(pl.lit("not over yet")).otherwise(pl.lit("closed")).alias("state"),
    ]


def moment(day: pl.Expr) -> pl.Expr:
    """Midnight of a date on the reader's clock."""
    return day.dt.to_string("%Y-%m-%dT00:00:00")


def stacked(rows: pl.DataFrame, count: str = "count", *, over: str = "at") -> pl.DataFrame:
    """Put the rows of each period on top of each other, in their order: columns foot and top."""
    top = pl.col(count).cum_sum().over(over)
    return rows.with_columns(foot=top - pl.col(count), top=top)


def placed(rows: pl.DataFrame, at: str = "rate") -> pl.DataFrame:
    """Return rows for `dots` and `bars`: none where none has a place, as Vega draws what has no extent without end."""
    return rows if rows[at].is_not_null().any() else rows.clear()


def reach(of: str | pl.Expr, *, low: str = "low", high: str = "high") -> list[pl.Expr]:
    """Columns of a share's interval along a bar of counts: least and most."""
    n = pl.col(of) if isinstance(of, str) else of
    return [(pl.col(bound) * n).round(2).alias(name) for name, bound in (("least", low), ("most", high))]


def marked(
    rows: pl.DataFrame, metric: str, targets: pl.DataFrame | None, annotations: pl.DataFrame | None
) -> dict[str, pl.DataFrame]:
    """Targets of a metric and annotations as far as they fall within the rows, which have at and until.

    Targets and annotations are as roles.read gives them; a target holds from its day until the next one.

    Raises
    ------
    MetricError for targets of a metric that has none.
    """
    first, last = rows.select(first=pl.col("at").min(), last=pl.col("until").max()).row(0)
    held = pl.DataFrame({"at": [first], "until": [first], "target": [0.0], "text": [""]})
    noted = held.select("at", "text")
    if targets is not None and first is not None:
        said = wording.share("target", few=False) if metric in SHARES else wording.number("target")
        found = (
            of_metric(targets, metric)
            .with_columns(at=moment(pl.col("since")).fill_null(first))
            .with_columns(until=pl.col("at").shift(-1).fill_null(last))
            .with_columns(pl.max_horizontal("at", pl.lit(first)), pl.min_horizontal("until", pl.lit(last)))
            .filter(pl.col("at") < pl.col("until"))
            .select("at", "until", "target", text=pl.format("target {}", said))
        )
        held = found if found.height else held
    if annotations is not None and first is not None:
        days = annotations.select(at=moment(pl.col("date")), text="text")
        found = days.filter(pl.col("at").is_between(pl.lit(first), pl.lit(last)))
        noted = found if found.height else noted
    return {"targets": held, "annotations": noted}


def top(table: pl.DataFrame, column: str | pl.Expr, by: str, *, most: int = len(PALETTE) - 1) -> pl.Expr:
    """Keep the values of a column that weigh most, and call the rest all others: more colours nobody tells apart."""
    value = pl.col(column) if isinstance(column, str) else column
    heavy = table.group_by(value.alias("value")).agg(pl.col(by).sum().alias("weight"))
    if heavy.height <= len(PALETTE):
        return value
    kept = heavy.sort("weight", "value", descending=[True, False])["value"].head(most)
    return pl.when(value.is_in(kept.implode())).then(value).otherwise(pl.lit(OTHERS))


def trend_said(what: str, rows: pl.DataFrame) -> str:
    """Trend in a sentence or two, for those who hear it."""
    if rows.is_empty():
        return f"No {what} yet."
    closed = rows.filter(~pl.col("is_open"))
    ends = (closed if closed.height else rows).group_by("series", maintain_order=True).last()
    latest = (
        f"{text or 'none'} of {wording.told(n)} ({series})"
        for text, n, series in ends.select("text", "n", "series").rows()
    )
    low, high = rows.select(low=pl.col("rate").min(), high=pl.col("rate").max()).row(0)
    between = "no share can be told" if low is None else f"between {low:.0%} and {high:.0%}"
    over = wording.several(rows["period"].n_unique(), "period")
    return (
        f"Lines of the {what} over {over}, {rows['period'][0]} to {rows['period'][-1]}: "
        f"{between}; last closed {', '.join(latest)}."
    )
