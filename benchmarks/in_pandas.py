"""Some of the metrics as somebody writes them in pandas for one question; else as `in_polars.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import polars as pl
from clinic import AS_OF, HISTORY

if TYPE_CHECKING:
    from collections.abc import Callable

    from clinic import Given

UNTIL, SINCE = pd.Timestamp(AS_OF), pd.Timestamp(HISTORY)
CLINICAL = ["intake", "follow-up", "group"]


@dataclass(frozen=True)
class Tables:
    """Visits and clients as pandas has them."""

    visits: Any
    clients: Any


def tables(given: Given) -> Tables:
    """Hand the frames over, once."""
    columns = ["client_id", "provider_id", "role", "status", "late_by_notice", "date", "month"]
    return Tables(given.visits.select(columns).to_pandas(), given.clients.select("id", "created_at").to_pandas())


def _clinical(of: Tables) -> Any:
    return of.visits[of.visits["role"].isin(CLINICAL) & (of.visits["date"] <= UNTIL)]


def _occurred(of: Tables) -> Any:
    rows = _clinical(of)
    return rows[rows["status"] == "occurred"]


def _polars(rows: Any, **names: str) -> pl.DataFrame:
    """Return the rows as our side has them: labels as columns, dates as dates."""
    made = pl.from_pandas(rows.reset_index()).rename(names)
    return made.with_columns(pl.selectors.datetime().cast(pl.Date))


def cohorts(of: Tables) -> pl.DataFrame:
    """Share back in days 31-90, by month of the first visit, of those with complete history."""
    rows = _occurred(of)
    first = rows.groupby("client_id")["date"].transform("min")
    came = (rows["date"] - first).dt.days.between(31, 90)
    new = pd.DataFrame({"client_id": rows["client_id"], "first": first, "came": came})
    new = new.groupby("client_id").agg(first=("first", "first"), came=("came", "any"))
    known = of.clients.loc[of.clients["created_at"].dt.tz_localize(None).dt.normalize() >= SINCE, "id"]
    new = new[new.index.isin(known) & (new["first"] >= SINCE)]
    eligible = new["first"] <= UNTIL - pd.Timedelta(days=90)
    counted = new.assign(
        cohort=new["first"].dt.to_period("M").dt.start_time, eligible=eligible, returned=eligible & new["came"]
    )
    table = counted.groupby("cohort").agg(
        clients=("came", "size"), eligible=("eligible", "sum"), returned=("returned", "sum")
    )
    return _polars(table.assign(rate=table["returned"] / table["eligible"]))


def flow(of: Tables) -> pl.DataFrame:
    """Tell new, kept, returned and left by month."""
    seen = _occurred(of)[["client_id", "month"]].drop_duplicates().sort_values(["client_id", "month"])
    before = seen.groupby("client_id")["month"].shift(1)
    is_new, is_kept = before.isna(), before + pd.DateOffset(months=1) == seen["month"]
    kinds = seen.assign(new=is_new, kept=is_kept, returned=~is_new & ~is_kept)
    table = kinds.groupby("month").agg(
        active=("new", "size"), new=("new", "sum"), kept=("kept", "sum"), returned=("returned", "sum")
    )
    return _polars(table.assign(left=table["active"].shift(1, fill_value=0) - table["kept"]), month="period")


def rates(of: Tables) -> pl.DataFrame:
    """Missed and lost visits by month, late told in two ways, with the design effect of clients."""
    rows = _clinical(of)
    is_late = rows["status"] == "late_cancelled"
    by_notice = rows["late_by_notice"].astype("boolean").fillna(is_late)
    outcomes = pd.DataFrame({
        "client_id": rows["client_id"],
        "period": rows["month"],
        "kept": rows["status"].isin(["occurred", "checked_in"]),
        "no_show": rows["status"] == "no_show",
        "status": is_late,
        "notice": rows["status"].isin(["cancelled", "late_cancelled"]) & by_notice,
        "unmarked": rows["status"] == "unrecorded",
    })  # fmt: skip
    counted = outcomes.groupby(["client_id", "period"]).sum().reset_index().astype({"notice": "int64"})
    parts = []
    for late in ("status", "notice"):
        due = counted["kept"] + counted["no_show"] + counted[late]
        for measure, missed in (("no-show", counted["no_show"]), ("lost", counted["no_show"] + counted[late])):
            made = counted.assign(due=due, missed=missed, nn=due * due, kk=missed * missed, kn=missed * due, m=due > 0)
            table = made.groupby("period")[["due", "missed", "unmarked", "nn", "kk", "kn", "m"]].sum()
            n, m, rate = table["due"], table["m"], table["missed"] / table["due"]
            spread = (table["kk"] - 2 * rate * table["kn"] + rate**2 * table["nn"]) / n**2 * m / (m - 1)
            effect = (spread / (rate * (1 - rate) / n)).clip(lower=1)
            table = table[["due", "missed", "unmarked"]].assign(clients=m, rate=rate, design_effect=effect)
            parts.append(_polars(table.assign(measure=measure, late=late)))
    return pl.concat(parts)


def unmarked(of: Tables) -> pl.DataFrame:
    """Visits without a status by provider and age."""
    rows = of.visits[of.visits["date"] <= UNTIL]
    ages = ["0-2 days", "3-7 days", "8-30 days", "31-90 days", "over 90 days"]
    age = pd.cut((UNTIL - rows["date"]).dt.days, [-1, 2, 7, 30, 90, 10**6], labels=ages)
    is_so = rows["status"] == "unrecorded"
    table = (
        rows.assign(age=age, unmarked=is_so, oldest=rows["date"].where(is_so))
        .groupby(["provider_id", "age"], observed=True)
        .agg(unmarked=("unmarked", "sum"), oldest=("oldest", "min"), visits=("date", "size"))
    )
    return _polars(table[table["unmarked"] > 0]).with_columns(pl.col("age").cast(pl.String))


METRICS: dict[str, Callable[[Tables], pl.DataFrame]] = {
    "cohorts": cohorts,
    "flow": flow,
    "rates": rates,
    "unmarked": unmarked,
}
