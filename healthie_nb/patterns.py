"""Where missed visits gather: weekday and hour, days booked ahead, and providers beyond chance."""

from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from typing import Any, Final

import narwhals as nw
import polars as pl

from healthie_nb.attendance import LATE, MEASURES, RATED, Late, Measure, sliced
from healthie_nb.newcomers import choice
from healthie_nb.slices import By, columns_of
from healthie_nb.stats import against_chance
from healthie_nb.visits import MetricError

UP_TO: Final = (7, 21, 60)


def heat(visits: Any, *, as_of: str | date, by: Sequence[By] = (), since: str | date | None = None) -> pl.DataFrame:
    """When clinical visits take place in the week, and when they are missed.

    Rows
    ----
    One per slice, weekday and hour with a visit that was due or left unmarked, in that order.

    Columns
    -------
    per `by` as `rates`; weekday Int64 from 1, Monday, to 7; hour Int64, local; visits Int64, due and unmarked; due,
    missed (no-shows) Int64; rate, low, high Float64, cluster-robust 95 %; few Boolean, under 30 due.

    Raises
    ------
    MetricError as `rates`.

    Source
    ------
    As `rates`, with Healthie's status telling what is late.

    Examples
    --------
    >>> from healthie_nb.visits import example
    >>> heat(example({"ada": ["2026-01-05", "2026-01-12 No-Show"]}), as_of="2026-01-31").row(0)[:6]
    (1, 15, 2, 2, 1, 0.5)
    """
    columns = [*columns_of(by, [name for name in RATED if name not in ("weekday", "hour")]), "weekday", "hour"]
    table = sliced(visits, as_of, columns, since=since, measures=["no-show"], lates=["status"])
    return (
        table.with_columns(visits=pl.col("due") + pl.col("unmarked"), low="robust_low", high="robust_high")
        .filter(pl.col("visits") > 0)
        .select(*columns, "visits", "due", "missed", "rate", "low", "high", "few")
    )


def lead(
    visits: Any,
    *,
    as_of: str | date,
    by: Sequence[By] = (),
    since: str | date | None = None,
    up_to: Sequence[int] = UP_TO,
) -> pl.DataFrame:
    """How far ahead clinical visits were booked, and how often they were missed then.

    Rows
    ----
    One per slice and bracket of days from booking to start, in that order; last those not known: recurring and moved
    visits, and those entered after they began.

    Columns
    -------
    per `by` as `rates`; lead String: "up to 7 days", "over 7, up to 21 days", ..., "over 60 days", "not known"; visits
    Int64, due and unmarked; share Float64 of the slice's visits; due, missed (no-shows) Int64; rate, low, high Float64,
    cluster-robust 95 %; few Boolean, under 30 due.

    Raises
    ------
    MetricError as `rates`, or for `up_to` that is empty or does not rise.

    Source
    ------
    As `rates`, with Healthie's status telling what is late.

    Examples
    --------
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-01-12 No-Show"]}).with_columns(lead_days=pl.Series([3.0, 30.0]))
    >>> lead(seen, as_of="2026-01-31").select("lead", "visits", "share", "rate").rows()
    [('up to 7 days', 1, 0.5, 0.0), ('over 21, up to 60 days', 1, 0.5, 1.0)]
    """
    columns = columns_of(by, RATED)
    if not up_to or list(up_to) != sorted({*up_to}):
        raise MetricError(f"up_to is {list(up_to)}: give days that rise, such as {list(UP_TO)}.")
    days = nw.col("lead_days")
    rank = nw.when(days.is_null()).then(nw.lit(len(up_to) + 1)).otherwise(nw.lit(0))
    for edge in up_to:
        rank = rank + nw.when(days > edge).then(nw.lit(1)).otherwise(nw.lit(0))
    labels = [f"up to {up_to[0]} days", *(f"over {a}, up to {b} days" for a, b in pairwise(up_to))]
    labels = [*labels, f"over {up_to[-1]} days", "not known"]
    table = sliced(
        visits, as_of, [*columns, "rank"], since=since, made={"rank": rank}, measures=["no-show"], lates=["status"]
    )
    return (
        table.with_columns(visits=pl.col("due") + pl.col("unmarked"), low="robust_low", high="robust_high")
        .filter(pl.col("visits") > 0)
        .with_columns(share=pl.col("visits") / pl.col("visits").sum().over(columns or pl.lit(0)))
        .with_columns(lead=pl.col("rank").replace_strict(range(len(labels)), labels, return_dtype=pl.String))
        .select(*columns, "lead", "visits", "share", "due", "missed", "rate", "low", "high", "few")
    )


def funnel_plot(
    visits: Any,
    *,
    as_of: str | date,
    since: str | date | None = None,
    measure: Measure = "no-show",
    late: Late = "status",
) -> pl.DataFrame:
    """Set providers against the limits that chance alone sets for their number of visits, in place of a league table.

    The limits are binomial around the practice's rate. Where visits cluster by client (design_effect well above 1), and
    where providers see different clients, more of them fall outside by nothing they do.

    Rows
    ----
    One per provider with a due visit, by provider_id.

    Columns
    -------
    provider_id String; due, missed Int64; rate Float64 missed / due; overall Float64, the practice's; low_95, high_95,
    low_998, high_998 Float64 in 0..1, limits at that provider's due; standing String: within, below 95 %, above 95 %,
    below 99.8 %, above 99.8 %; design_effect Float64; few Boolean, under 30 due.

    Raises
    ------
    MetricError as `rates`.

    Source
    ------
    As `rates`; stats.funnel_limits.

    Examples
    --------
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-01-12 No-Show"]}).with_columns(provider_id=pl.lit("p"))
    >>> funnel_plot(seen, as_of="2026-01-31").select("provider_id", "due", "rate", "standing").rows()
    [('p', 2, 0.5, 'within')]
    """
    measures, lates = [choice(measure, MEASURES, name="measure")], [choice(late, LATE, name="late")]
    rated = sliced(visits, as_of, ["provider_id"], since=since, measures=measures, lates=lates)
    table = rated.filter(pl.col("due") > 0)
    return against_chance(table, hits="missed", of="due").select(
        *("provider_id", "due", "missed", "rate", "overall", "low_95", "high_95", "low_998", "high_998"),
        *("standing", "design_effect", "few"),
    )
