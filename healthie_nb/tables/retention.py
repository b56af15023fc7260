"""Tables of who stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from healthie_nb.stats import FEW as LEAST
from healthie_nb.tables.cohorts import open_rows, series_of, split_of
from healthie_nb.tables.table import Table
from healthie_nb.visits import MetricError
from healthie_nb.wording import number, period, rated, remarks, share

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from healthie_nb.newcomers import Every

FUNNEL: Final = "How far those who signed up get"
STATES: Final = "Where every client stands"
FLOW: Final = "Clients seen in each period, and who of the period before left"
DEFINITIONS: Final = "Share retained, by three definitions of it"
DAYS: Final = (0, 30, 45, 60, 90, 120, 180, 270, 365, 545, 730, 1095)  # at which a table reads a curve


def survival(
    table: pl.DataFrame, *, synthetic: bool, event: str = "lapse", names: Mapping[str, str] | None = None
) -> Table:
    """Survival as a table, read at some days: what `charts.survival` draws.

    Rows
    ----
    One per value of the split and day; the last is the last day that somebody was at risk.

    Columns
    -------
    day; share not yet lapsed, or not yet back, and its 95 % interval; at risk; events and censored since the row above.

    Source
    ------
    `retention.survival`.

    Examples
    --------
    >>> from healthie_nb import retention
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-01", "2026-02-01"], "bob": ["2026-05-01"]})
    >>> table = retention.survival(seen, as_of="2026-06-01")
    >>> survival(table, synthetic=True)
    Share of new clients not yet lapsed, by days since the first visit
    Demo practice: synthetic data
    * under 30 at risk
    day  not yet lapsed  at risk  events since  censored since
      0           100%*        2             0               0
     30           100%*        2             0               0
     45           100%*        1             0               1
     60           100%*        1             0               0
     90           100%*        1             0               0
    120           100%*        1             0               0
    121             0%*        1             1               0
    """
    split = split_of(table)
    at = stepped(table.with_columns(series=series_of(table, names)), DAYS).with_columns(few=pl.col("at_risk") < LEAST)
    rows = at.select(
        *([pl.col("series").alias("of")] if split else []),
        number("day"),
        rated("survival").alias(_not_yet(event)),
        number("at_risk").alias("at risk"),
        number("events").alias("events since"),
        number("censored").alias("censored since"),
    )
    notes = remarks(at, synthetic=synthetic, n="at_risk")
    return Table("survival", survival_title(event), notes, rows, group="of" if split else None)


def funnel(table: pl.DataFrame, *, synthetic: bool) -> Table:
    """Funnel as a table: what `charts.funnel` draws.

    Rows
    ----
    One per step.

    Columns
    -------
    step; clients who reached it; of the step before, with the 95 % interval; median days from the step before.

    Source
    ------
    `retention.funnel`.

    Examples
    --------
    >>> from healthie_nb import retention
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-01-19"], "bob": ["2026-01-09"]})
    >>> at = pl.lit("2026-01-02").str.to_datetime(time_unit="us", time_zone="UTC")
    >>> clients = pl.DataFrame({"id": ["ada", "bob", "cy"]}).with_columns(created_at=at)
    >>> table = retention.funnel(seen, clients, as_of="2026-06-30")
    >>> funnel(table, synthetic=True)
    How far those who signed up get
    Demo practice: synthetic data
    * under 30 before
    step          clients  of the step before  median days
    signed up           3                              0.0
    booked              2        67%* [21-94]          5.0
    first visit         2      100%* [34-100]          0.0
    second visit        1         50%* [9-91]         14.0
    """
    rows = table.select(
        "step",
        number("clients"),
        pl.when(is_later()).then(rated()).otherwise(pl.lit("")).alias("of the step before"),
        number("median_days", decimals=1).alias("median days"),
    )
    notes = (*remarks(table, synthetic=synthetic, n="before"), *too_recent(table))
    return Table("funnel", FUNNEL, notes, rows)


def states(table: pl.DataFrame, *, synthetic: bool) -> Table:
    """States as a table: what `charts.states` draws.

    Rows
    ----
    One per state and reason.

    Columns
    -------
    reason; clients; share of all, with its interval.

    Source
    ------
    `retention.states`.

    Examples
    --------
    >>> from healthie_nb import retention
    >>> from healthie_nb.visits import example
    >>> clients = pl.DataFrame({"id": ["ada"], "is_active": [True]}).with_columns(
    ...     group_id=pl.lit(None, pl.String), created_at=pl.lit(None, pl.Date), archived_at=pl.lit(None, pl.Date)
    ... )
    >>> table = retention.states(example({"ada": ["2026-01-01"]}), clients, as_of="2026-06-01")
    >>> states(table, synthetic=True)
    Where every client stands
    Demo practice: synthetic data
    * under 30 clients
    state      reason         clients           share
    in care    seen lately          0      0%* [0-79]
    in care    booked               0      0%* [0-79]
    completed  programme            0      0%* [0-79]
    completed  closing visit        0      0%* [0-79]
    lapsed     not seen             1  100%* [21-100]
    unknown    archived             0      0%* [0-79]
    unknown    no visit yet         0      0%* [0-79]
    """
    rows = table.select("state", "reason", number("clients"), rated("share"))
    return Table("states", STATES, remarks(table, synthetic=synthetic, n="clients"), rows, group="state")


def flow(table: pl.DataFrame, *, every: Every, synthetic: bool) -> Table:
    """Flow as a table: what `charts.flow` draws.

    Rows
    ----
    One per period.

    Columns
    -------
    period; before; left; kept; returned; new; active, which is before - left + returned + new; unknown, in none.

    Source
    ------
    `retention.flow`.

    Examples
    --------
    >>> from healthie_nb import retention
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-02-05"], "bob": ["2026-01-09", "2026-03-09"]})
    >>> table = retention.flow(seen, as_of="2026-03-31")
    >>> flow(table, every="month", synthetic=True)
    Clients seen in each period, and who of the period before left
    Demo practice: synthetic data
    period    before  left  kept  returned  new  active  unknown
    Jan 2026       0     0     0         0    2       2        0
    Feb 2026       2     1     1         0    0       1        0
    Mar 2026       1     1     0         1    0       1        0
    """
    counts = ["before", "left", "kept", "returned", "new", "active", "unknown"]
    rows = table.select(period("period", every), *(number(count) for count in counts))
    return Table("flow", FLOW, remarks(table, synthetic=synthetic), rows, open_rows(table, rows.columns))


def definitions(table: pl.DataFrame, *, synthetic: bool) -> Table:
    """Definitions side by side as a table: what `charts.definitions` draws.

    Rows
    ----
    One per definition.

    Columns
    -------
    definition; retained means; eligible, retained, lost; share with its 95 % interval; judged the same as by ours, of
    those that both can judge.

    Source
    ------
    `retention.definitions`.

    Examples
    --------
    >>> from healthie_nb import retention
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-01-12"], "bob": ["2026-01-05", "2026-02-20"]})
    >>> table = retention.definitions(seen, as_of="2026-06-30")
    >>> definitions(table, synthetic=True)
    Share retained, by three definitions of it
    Demo practice: synthetic data
    * under 30 eligible
    definition    retained means                eligible  retained  lost           share  judged as by ours
    ours          a visit in days 31-90                2         1     1     50%* [9-91]             2 of 2
    sessions      8 or more visits, 8 weeks on         2         0     2      0%* [0-66]             1 of 2
    second visit  another visit within 90 days         2         2     0  100%* [34-100]             1 of 2
    """
    rows = table.select(
        "definition",
        pl.col("meaning").alias("retained means"),
        *(number(count) for count in ("eligible", "retained", "lost")),
        rated().alias("share"),
        pl.when(pl.col("compared").is_not_null())
        .then(pl.format("{} of {}", number("as_ours"), number("compared")))
        .alias("judged as by ours"),
    )
    return Table("definitions", DEFINITIONS, remarks(table, synthetic=synthetic, n="eligible"), rows)


def stepped(curve: pl.DataFrame, days: Iterable[int]) -> pl.DataFrame:
    """Read curves at some days, to the last day of each: events and censored are those since the row above.

    Rows
    ----
    One per series and day.

    Columns
    -------
    series, day, at_risk, events, censored, survival, low, high.

    Examples
    --------
    >>> made = {"series": ["all"] * 2, "day": [0, 31], "at_risk": [2, 2], "events": [0, 1], "censored": [0, 0]}
    >>> made |= {"survival": [1.0, 0.5], "low": [None, 0.1], "high": [None, 0.9]}
    >>> stepped(pl.DataFrame(made), [0, 30, 60]).select("day", "at_risk", "events", "survival").rows()
    [(0, 2, 0, 1.0), (30, 2, 0, 1.0), (31, 2, 1, 0.5)]
    """
    gone = pl.col("events") + pl.col("censored")
    read = ["series", "day", "seen", "at_risk", "survival", "low", "high", "gone", "all_events", "all_censored"]
    known = curve.with_columns(
        seen=pl.col("day"), gone=gone, all_events=pl.col("events").cum_sum().over("series"),
        all_censored=pl.col("censored").cum_sum().over("series"),
    ).select(read)  # fmt: skip
    ends = curve.group_by("series", maintain_order=True).agg(pl.col("day").max().alias("end"))
    grid = ends.join(pl.DataFrame({"day": sorted(set(days))}, schema={"day": pl.Int64}), how="cross")
    # The last is the curve's own last day, which shows what became of those who were at risk then.
    grid = grid.filter(pl.col("day").shift(1, fill_value=-1).over("series") < pl.col("end"))
    grid = grid.select("series", day=pl.min_horizontal("day", "end"))
    at = grid.sort("day", maintain_order=True).join_asof(
        known.sort("day"), on="day", by="series", strategy="backward", check_sortedness=False
    )
    order = ends.select("series").with_row_index("place")
    before = {name: pl.col(f"all_{name}").shift(1, fill_value=0).over("series") for name in ("events", "censored")}
    return (
        at.join(order, on="series")
        .sort("place", "day")
        .with_columns(
            at_risk=pl.when(pl.col("day") > pl.col("seen"))
            .then(pl.col("at_risk") - pl.col("gone"))
            .otherwise("at_risk"),
            **{name: pl.col(f"all_{name}") - earlier for name, earlier in before.items()},
        )
        .select("series", "day", "at_risk", "events", "censored", "survival", "low", "high")
    )


def reached() -> pl.Expr:
    """Step of the funnel in words: 1,234 · 83% of the step before."""
    of = pl.when(is_later()).then(pl.format("  ·  {} of the step before", share()))
    return pl.concat_str(number("clients"), of.fill_null(""))


def is_later() -> pl.Expr:
    """Whether there is a step before."""
    return pl.int_range(pl.len()) > 0


def too_recent(table: pl.DataFrame) -> tuple[str, ...]:
    """Remark on those who signed up too lately for the funnel."""
    left_out = int(table.select(pl.col("too_recent").max().fill_null(0)).item())
    return (f"{left_out:,} who signed up since are left out: they have not had the time yet",) if left_out else ()


def survival_title(event: str) -> str:
    """Name the event.

    Raises
    ------
    MetricError for one that there is not.
    """
    return f"Share of new clients {_not_yet(event)}, by days since the first visit"


def _not_yet(event: str) -> str:
    said = {"lapse": "not yet lapsed", "second visit": "not yet back"}
    if event not in said:
        raise MetricError(f"event is {event!r}; allowed are {', '.join(map(repr, said))}.")
    return said[event]
