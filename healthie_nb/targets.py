"""The practice's targets: which metrics may have one, by what name, and which one holds."""

import difflib
from datetime import date
from typing import Final

import polars as pl

from healthie_nb.visits import MetricError, require

# Targets of shares are 0..1; charts, tiles and targets.csv call a metric by the same name.
SHARES: Final = ("second visit", "no-show", "lost", "rebooked", "notes signed", "forms before first visit")
COUNTS: Final = (
    *(
        f"{unit} per {period}"
        for unit in ("visits", "appointments", "provider hours")
        for period in ("working day", "week", "month", "quarter")
    ),
    *(f"clients seen per {every}" for every in ("week", "month", "quarter")),
    "clients under care",
)
METRICS: Final = (*SHARES, *COUNTS)


def of_metric(targets: pl.DataFrame, metric: str) -> pl.DataFrame:
    """Targets of a metric, in the order in which they came to hold.

    Raises
    ------
    MetricError for a metric that has no targets, a share that is none, or a missing column.

    Examples
    --------
    >>> of_metric(pl.DataFrame({"metric": ["lost"], "target": [0.1], "since": [None]}), "lost")["target"].to_list()
    [0.1]
    """
    require(targets, ["metric", "target", "since"], query="targets")
    for name in targets["metric"].unique().sort():
        _known(name)
    is_no_share = pl.col("metric").is_in(SHARES) & ~pl.col("target").is_between(0, 1)
    for name, target in targets.filter(is_no_share).select("metric", "target").rows():
        raise MetricError(f"the target of {name!r} is {target:g}: it is a share, give 0 to 1, as in 0.08 for 8 %.")
    kept = targets.filter(pl.col("metric") == metric, pl.col("target").is_not_null())
    return kept.sort("since", nulls_last=False, maintain_order=True)


def holding(targets: pl.DataFrame | None, metric: str, day: date | None = None) -> float | None:
    """Target that a metric has on a day, or in the end; none where it has none.

    Raises
    ------
    MetricError as `of_metric`.
    """
    if targets is None:
        return None
    theirs = of_metric(targets, metric)
    if day is not None:
        theirs = theirs.filter(pl.col("since").is_null() | (pl.col("since") <= day))
    return float(theirs["target"][-1]) if theirs.height else None


def _known(name: str) -> None:
    if name in METRICS:
        return
    alike = difflib.get_close_matches(str(name), METRICS, n=1, cutoff=0.5)
    hint = f" Did you mean {alike[0]!r}?" if alike else ""
    raise MetricError(f"no target is for {name!r}; metrics with targets are {', '.join(METRICS)}.{hint}")
