"""Intervals and survival: every estimate with how sure it is."""

import warnings
from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl

from healthie_nb.visits import require

__all__ = ["against_chance", "clustered", "funnel_limits", "kaplan_meier", "logrank", "median", "wilson"]

Z: Final = 1.959963984540054  # two-sided 95 %
# Below it a rate is shown but flagged: NCQA reports no HEDIS rate on fewer.
FEW: Final = 30
HALF: Final = 0.5
_SPELL: Final = {"days": pl.Int64, "ended": pl.Boolean, "n": pl.Int32}


def wilson(hits: str | pl.Expr, of: str | pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """Wilson 95 % interval of hits / of, as two expressions Float64 in 0..1; null where `of` is 0 or null.

    Source
    ------
    Newcombe (1998), Statistics in Medicine 17, 857-872, method 3.

    Examples
    --------
    >>> low, high = wilson("missed", "due")
    >>> pl.DataFrame({"missed": [81], "due": [263]}).select(low=low.round(4), high=high.round(4)).row(0)
    (0.2553, 0.3662)
    """
    hit, n = (pl.col(side) if isinstance(side, str) else side for side in (hits, of))
    count = pl.when(n > 0).then(n.cast(pl.Float64))
    share = hit / count
    centre = (share + Z**2 / (2 * count)) / (1 + Z**2 / count)
    half = Z / (1 + Z**2 / count) * (share * (1 - share) / count + Z**2 / (4 * count**2)).sqrt()
    # At 0 and at n the bound is exact, which rounding would miss by a hair.
    low = pl.when(count.is_not_null() & (hit == 0)).then(0.0).otherwise(centre - half)
    high = pl.when(count.is_not_null() & (hit == n)).then(1.0).otherwise(centre + half)
    return low, high


def clustered(per_client: pl.DataFrame, *, by: Sequence[str], hits: str, of: str) -> pl.DataFrame:
    """Rates whose visits cluster by client, with an interval that knows it.

    The variance is the sandwich estimate over clients, times m / (m - 1) for m clients, as statsmodels' `cluster`. It
    becomes a design effect, taken as at least 1, and the interval is Wilson's with n divided by it, so that it stays in
    0..1 and is never narrower than without clusters.

    Rows
    ----
    One per value of `by`, from one row per value of `by` and client in `per_client`; by `by`.

    Columns
    -------
    `by`; clients Int64; `hits`, `of` Int64; rate, se Float64 (se null with one client); design_effect Float64; low,
    high Float64, cluster-robust Wilson 95 %. All null where `of` is 0.

    Source
    ------
    Dean and Pagano (2015), Journal of Survey Statistics and Methodology 3, 484-503.

    Examples
    --------
    >>> visits = pl.DataFrame({"client_id": ["a", "b", "c"], "missed": [4, 0, 0], "due": [4, 4, 4]})
    >>> clustered(visits, by=[], hits="missed", of="due").select(pl.col("design_effect", "low").round(3)).row(0)
    (6.0, 0.045)
    """
    k, n = pl.col(hits), pl.col(of)
    sums = [pl.len().cast(pl.Int64).alias("clients"), k.sum().cast(pl.Int64), n.sum().cast(pl.Int64)]
    sums += squares(hits, of)
    rates = per_client.group_by(by).agg(sums) if by else per_client.select(sums)
    rated = from_moments(rates, hits=hits, of=of)
    return rated.sort(by) if by else rated


def squares(hits: str, of: str) -> list[pl.Expr]:
    """Return the sums over clients that an interval by client is made from: hits_squared, hits_of, of_squared."""
    k, n = pl.col(hits), pl.col(of)
    made = {"hits_squared": k * k, "hits_of": k * n, "of_squared": n * n}
    return [each.sum().cast(pl.Int64).alias(name) for name, each in made.items()]


def from_moments(sums: pl.DataFrame, *, hits: str, of: str) -> pl.DataFrame:
    """Rows of `clustered` from sums over clients: clients, hits, of, hits_squared, hits_of, of_squared, all Int64.

    They are whole numbers, so that every engine gives the same and no order matters.
    """
    k, n, m = (pl.when(pl.col(of) > 0).then(pl.col(name)).cast(pl.Int128) for name in (hits, of, "clients"))
    squares = pl.col("hits_squared") * n * n - 2 * k * n * pl.col("hits_of") + k * k * pl.col("of_squared")
    total = n.cast(pl.Float64)
    spread = squares.cast(pl.Float64) / total.pow(4) * pl.when(m > 1).then(m / (m - 1))
    share = k.cast(pl.Float64) / total
    plain = share * (1 - share) / total
    effect = pl.when(plain > 0).then(pl.max_horizontal(spread / plain, 1.0)).when(share.is_not_null()).then(1.0)
    low, high = wilson(pl.col(hits) / pl.col("design_effect"), pl.col(of) / pl.col("design_effect"))
    return (
        sums.with_columns(rate=share, se=spread.sqrt(), design_effect=effect)
        .with_columns(low=low, high=high)
        .drop("hits_squared", "hits_of", "of_squared")
    )


def kaplan_meier(spells: pl.DataFrame) -> pl.DataFrame:
    """Share still without the event as time goes by, from spells of which some are not over.

    Rows
    ----
    One per day on which a spell ends or is censored, and day 0; by day. None without spells.

    Columns
    -------
    day Int64; at_risk, events, censored Int64, at_risk just before the day's events; survival Float64 in 0..1; se
    Float64, Greenwood; low, high Float64, log-log 95 %, null where survival is 0 or 1, where it is not defined.

    Raises
    ------
    MetricError for a missing column.

    Source
    ------
    `spells`: days Int64 from 0, ended Boolean (false: censored). Survival and interval are scipy.stats.ecdf's.

    Examples
    --------
    >>> spells = pl.DataFrame({"days": [1, 2, 2], "ended": [True, False, True]})
    >>> kaplan_meier(spells).select("day", "at_risk", "events", "censored", pl.col("survival").round(3)).rows()
    [(0, 3, 0, 0, 1.0), (1, 3, 1, 0, 0.667), (2, 2, 1, 1, 0.333)]
    """
    require(spells, ["days", "ended"], query="spells")
    is_event = pl.col("ended")
    hazard = pl.col("events") / (pl.col("at_risk") * (pl.col("at_risk") - pl.col("events")))
    counts = (
        pl.concat([spells.select("days", "ended", n=pl.lit(1)), pl.DataFrame([(0, False, 0)], _SPELL, orient="row")])
        .group_by(day="days")
        .agg(events=(pl.col("n") * is_event).sum().cast(pl.Int64), gone=pl.col("n").sum().cast(pl.Int64))
        .sort("day")
        .select(
            "day", "events", censored=pl.col("gone") - pl.col("events"), at_risk=pl.col("gone").cum_sum(reverse=True)
        )
    )
    return (
        counts.filter(pl.lit(spells.height > 0))
        .join(_curve(spells), on="day", how="left")
        .with_columns(pl.col("survival").fill_null(1.0), se=hazard.cum_sum().sqrt())
        .with_columns(se=pl.when(pl.col("survival") > 0).then(pl.col("survival") * pl.col("se")))
        .select("day", "at_risk", "events", "censored", "survival", "se", "low", "high")
    )


def _curve(spells: pl.DataFrame) -> pl.DataFrame:
    """Survival and its log-log interval on every day of an end, by scipy."""
    from scipy import stats  # noqa: PLC0415, a second that only survival and limits need

    if spells.is_empty():
        return pl.DataFrame(schema={"day": pl.Int64, "survival": pl.Float64, "low": pl.Float64, "high": pl.Float64})
    days, ended = spells["days"].to_numpy(), spells["ended"].to_numpy()
    curve = stats.ecdf(stats.CensoredData(uncensored=days[ended], right=days[~ended])).sf
    with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore", category=RuntimeWarning):
        # It is not defined where survival is 0 or 1, of which scipy warns; those become null below.
        interval = curve.confidence_interval(method="log-log")
    bounds = {"low": interval.low.probabilities, "high": interval.high.probabilities}
    is_inside = (pl.col("survival") > 0) & (pl.col("survival") < 1)
    return pl.DataFrame({"day": curve.quantiles, "survival": curve.probabilities} | bounds).with_columns(
        pl.col("day").cast(pl.Int64), pl.when(is_inside).then(pl.col("low", "high"))
    )


def median(curve: pl.DataFrame) -> pl.DataFrame:
    """First day on which half or fewer are left, and the days on which the bounds of the log-log interval say so.

    Rows
    ----
    One.

    Columns
    -------
    median, low, high Int64, null where not reached; interval String, always "log-log 95 %": other types differ.

    Source
    ------
    `curve` from `kaplan_meier`; Brookmeyer and Crowley (1982), Biometrics 38, 29-41.

    Examples
    --------
    >>> spells = pl.DataFrame({"days": [1, 2, 3, 4], "ended": [True, True, False, True]})
    >>> median(kaplan_meier(spells)).row(0)
    (2, 1, None, 'log-log 95 %')
    """
    day = pl.col("day")
    return curve.select(
        median=day.filter(pl.col("survival") <= HALF).min(),
        low=day.filter((pl.col("low") <= HALF) | (pl.col("survival") == 0)).min(),
        high=day.filter(pl.col("high") <= HALF).min(),
        interval=pl.lit("log-log 95 %"),
    )


def logrank(spells: pl.DataFrame, *, group: str) -> pl.DataFrame:
    """Test whether two groups share one survival curve.

    Rows
    ----
    One.

    Columns
    -------
    chi_square Float64, on one degree of freedom; p_value Float64, two-sided.

    Raises
    ------
    ValueError when `group` does not have exactly two values; MetricError for a missing column.

    Source
    ------
    scipy.stats.logrank (its z, squared).

    Examples
    --------
    >>> spells = pl.DataFrame({"days": [1, 2, 3, 4, 5, 6], "ended": [True] * 6, "site": ["a", "a", "a", "b", "b", "b"]})
    >>> logrank(spells, group="site").select(pl.all().round(3)).row(0)
    (5.052, 0.025)
    """
    from scipy import stats  # noqa: PLC0415, a second that only survival and limits need

    require(spells, ["days", "ended", group], query="spells")
    names = spells[group].unique().sort()
    if len(names) != 2:  # noqa: PLR2004
        raise ValueError(
            f"{group} has {len(names)} values; the log-rank test here compares two: filter to two of them."
        )
    sides = [spells.filter(pl.col(group).eq_missing(name)) for name in names]
    samples = [
        stats.CensoredData(
            side.filter("ended")["days"].to_numpy(), right=side.filter(~pl.col("ended"))["days"].to_numpy()
        )
        for side in sides
    ]
    answer = stats.logrank(*samples)
    return pl.DataFrame({"chi_square": [float(answer.statistic) ** 2], "p_value": [float(answer.pvalue)]})


def against_chance(table: pl.DataFrame, *, hits: str, of: str) -> pl.DataFrame:
    """Set each row's share beside the limits that chance alone sets for its number, when all share one rate.

    Rows
    ----
    As given; `of` is at least 1.

    Columns
    -------
    As given; overall Float64, hits / of over all rows; low_95, high_95, low_998, high_998 as `funnel_limits`; standing
    String: within, below 95 %, above 95 %, below 99.8 %, above 99.8 %.

    Examples
    --------
    >>> made = pl.DataFrame({"missed": [40, 15], "due": [400, 40]})
    >>> against_chance(made, hits="missed", of="due")["standing"].to_list()
    ['within', 'above 99.8 %']
    """
    overall = float(table[hits].sum()) / max(float(table[of].sum()), 1.0)
    share = pl.col(hits) / pl.col(of)
    standing = (
        pl.when(share > pl.col("high_998"))
        .then(pl.lit("above 99.8 %"))
        .when(share < pl.col("low_998"))
        .then(pl.lit("below 99.8 %"))
        .when(share > pl.col("high_95"))
        .then(pl.lit("above 95 %"))
        .when(share < pl.col("low_95"))
        .then(pl.lit("below 95 %"))
        .otherwise(pl.lit("within"))
    )
    limits = funnel_limits(table[of], rate=overall)
    beside = table.join(limits, left_on=of, right_on="n", how="left", maintain_order="left")
    return beside.with_columns(overall=pl.lit(overall), standing=standing)


def funnel_limits(n: pl.Series, *, rate: float) -> pl.DataFrame:
    """Where the shares of providers with n visits each would lie by chance alone, when all share one rate.

    Rows
    ----
    One per distinct n, by n.

    Columns
    -------
    n Int64; low_95, high_95, low_998, high_998 Float64 in 0..1, exact: by chance a share is above the high one of 95
    at most 2.5 times in 100, and as rarely below the low one.

    Source
    ------
    Spiegelhalter (2005), Statistics in Medicine 24, 1185-1202; binomial quantiles, not smoothed.

    Examples
    --------
    >>> funnel_limits(pl.Series([40]), rate=0.1).select(pl.exclude("n").round(3)).row(0)
    (0.025, 0.2, 0.0, 0.275)
    """
    from scipy import stats  # noqa: PLC0415, a second that only survival and limits need

    sizes = n.unique().sort().cast(pl.Int64)
    tails = {"low_95": 0.025, "high_95": 0.975, "low_998": 0.001, "high_998": 0.999}
    limits = {name: stats.binom.ppf(tail, sizes.to_numpy(), rate) / sizes for name, tail in tails.items()}
    return pl.DataFrame({"n": sizes} | limits)
