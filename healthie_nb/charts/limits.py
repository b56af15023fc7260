"""Shares by the number they stand on, between the limits that chance alone sets: in place of a league table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import altair as alt
import polars as pl

from healthie_nb import wording
from healthie_nb.charts import data, marks
from healthie_nb.stats import funnel_limits

if TYPE_CHECKING:
    from collections.abc import Mapping

SAID: Final = "Grey: where 95 and 99.8 of 100 {} lie by chance, around the practice's own share"
SIZES: Final = 40  # of a limit's line: more steps than these nobody sees
EDGES: Final = ("low_95", "high_95", "low_998", "high_998")
LIMITED: Final = {
    "text:N": "Share",
    "limits:N": "95 % limits",
    "outer:N": "99.8 % limits",
    "standing:N": "Standing",
}
CHANCE: Final = {
    "low_95:Q": "95 % from",
    "high_95:Q": "to",
    "low_998:Q": "99.8 % from",
    "high_998:Q": "to ",
}


def parts(
    table: pl.DataFrame, name: pl.Expr, title: str, *, hits: str, of: str, synthetic: bool, who: str, **more: pl.Expr
) -> dict[str, Any]:
    """Tell what follows from rows as `stats.against_chance` gives them: points by name, `who` they are, and `more`."""
    is_within = pl.col("standing") == "within"
    rows = table.select(
        *data.rated(hits, of, low="low_95", high="high_95"),
        row=name,
        limits=pl.format("{}%", wording.interval("low_95", "high_95")),
        outer=pl.format("{}%", wording.interval("low_998", "high_998")),
        standing="standing",
        **more,
        is_within=is_within,
        label=pl.when(is_within).then(pl.lit("")).otherwise(name),
        # Neighbours of the same share would be written over each other.
        is_below=pl.col(of).rank("ordinal") % 2 == 0,
    )
    outside = rows.filter(~pl.col("is_within").fill_null(value=True)).select("row", "text", "n", "standing").rows()
    told = "; ".join(f"{row} {text} of {n:,}, {standing}" for row, text, n, standing in outside)
    said = f"Points of {wording.several(rows.height, who)} against limits. Outside the 95 % limits: {told or 'nobody'}."
    notes = (*wording.remarks(table, synthetic=synthetic, n=of), SAID.format(wording.plural(who)))
    return data.parts(title, notes, said, rows=rows, limits=_limits(table, of))


def _limits(table: pl.DataFrame, of: str) -> pl.DataFrame:
    """Limits for numbers from half the least to a little more than the most that anybody has."""
    overall, least, most = table.select(
        pl.col("overall").first(), least=pl.col(of).min() * 0.5, most=pl.col(of).max() * 1.05
    ).row(0)
    if overall is None or most is None:
        return pl.DataFrame({"n": [0], **{edge: [0.0] for edge in EDGES}, "overall": [0.0]})
    sizes = pl.Series([max(1, round(least + (most - least) * k / SIZES)) for k in range(SIZES + 1)])
    limits = funnel_limits(sizes, rate=float(overall)).with_columns(overall=pl.lit(float(overall)))
    return limits.with_columns(pl.exclude("n").round(4))


def drawing(n: str, share: str, fields: Mapping[str, str]) -> alt.LayerChart:
    """Draw points between limits; those outside are named.

    Rows and limits: as `parts` makes them.
    """
    x = alt.X("n:Q", title=n, axis=alt.Axis(format=",d", grid=False, tickCount=8), scale=alt.Scale(zero=True))
    limits = alt.Chart(alt.NamedData("limits")).encode(x=x)
    y = alt.Y("low_998:Q", title=share, axis=marks.PERCENT)
    wide = limits.mark_area(color=marks.GREY, opacity=0.15).encode(y=y, y2="high_998:Q")
    narrow = limits.mark_area(color=marks.GREY, opacity=0.2).encode(
        y="low_95:Q", y2="high_95:Q", tooltip=marks.told({"n:Q": "n", **CHANCE})
    )
    middle = limits.mark_line(color=marks.GREY, strokeDash=[5, 3], strokeWidth=1.5).encode(y="overall:Q")
    base = alt.Chart(alt.NamedData("rows")).encode(x=x, y="rate:Q", tooltip=marks.told({"row:N": "Of", **fields}))
    points = base.mark_point(filled=True, size=80).encode(
        color=alt.condition("datum.is_within", alt.value(marks.MAIN), alt.value(marks.PALETTE[1])),
        shape=alt.condition("datum.is_within", alt.value("circle"), alt.value("diamond")),
        opacity=alt.condition("datum.few", alt.value(0.5), alt.value(1)),
    )
    above, below = (
        base.transform_filter(f"datum.is_below == {is_below}").mark_text(dy=dy).encode(text="label:N")
        for is_below, dy in (("false", -12), ("true", 13))
    )
    return marks.over(wide, narrow, middle, points, above, below)
