"""What charts are made of: marks that show how sure a number is, and say all of it when pointed at.

Each takes rows in a fixed shape, so that every chart of its kind looks and speaks alike. A rate's rows have: rate, low,
high Float64; hits, n Int64, of which it is; few, is_open Boolean; text, interval, state String, made by `rated`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import altair as alt
import polars as pl

from healthie_nb import wording

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

WIDTH: Final = 600
HEIGHT: Final = 240
STEP: Final = 26  # of a category's bar or dot
# Apart for every kind of colour vision, and at least 3:1 against white paper and Jupyter's dark one.
PALETTE: Final = ("#0077bb", "#d9730d", "#009988", "#ee3377", "#8c6bb1", "#8a8a8a")
MAIN: Final = PALETTE[0]
GREY: Final = PALETTE[-1]
SERIES: Final = alt.Scale(range=list(PALETTE))
# Vega-Lite has no patterns; a gradient of hard stops is one.
HATCH: Final[dict[str, Any]] = {
    "gradient": "linear",
    "x1": 0,
    "y1": 0,
    "x2": 1,
    "y2": 1,
    "stops": [{"offset": (i + side) / 8, "color": "#8888" if i % 2 else "#8880"} for i in range(8) for side in (0, 1)],
}
TIMES: Final = (  # 5 Jan, Feb, 2026: as much of a date as is new
    "date(datum.value) > 1 ? timeFormat(datum.value, '%-d %b') : "
    "month(datum.value) ? timeFormat(datum.value, '%b') : timeFormat(datum.value, '%Y')"
)
RATED: Final = {
    "n:Q": "n",
    "hits:Q": "of these",
    "text:N": "Rate",
    "interval:N": "95 % interval",
    "state:N": "State",
}
Rows = list[dict[str, Any]]


def parts(title: str, notes: Iterable[str], description: str, **datasets: pl.DataFrame) -> dict[str, Any]:
    """Tell what follows from a chart's rows: put into a kept specification, it shows another view."""
    return {
        "title": {"text": title, "subtitle": list(notes)},
        "description": description,
        "datasets": {name: rows.to_dicts() for name, rows in datasets.items()},
    }


def moment(column: str) -> pl.Expr:
    """Date as midnight on the reader's clock: a date alone is read as UTC, which is the day before in America."""
    return pl.col(column).dt.to_string("%Y-%m-%dT00:00:00")


def rated(hits: str, of: str, *, rate: str = "rate", low: str = "low", high: str = "high") -> list[pl.Expr]:
    """Columns of a rate as the marks below take them."""
    return [
        pl.col(of).alias("n"),
        pl.col(hits).alias("hits"),
        *(pl.col(given).round(4).alias(name) for name, given in (("rate", rate), ("low", low), ("high", high))),
        wording.share(rate).alias("text"),
        wording.interval(low, high),
    ]


def state(is_open: str = "is_open") -> pl.Expr:
    """Words of a period's state."""
    return pl.when(is_open).then(pl.lit("not over yet")).otherwise(pl.lit("closed")).alias("state")


def tooltip(fields: Mapping[str, str]) -> list[alt.Tooltip]:
    """List what a mark says when it is pointed at."""
    return [alt.Tooltip(field, title=title) for field, title in fields.items()]
