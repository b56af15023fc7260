"""Metrics as one would write them in pandas, on exported visits: what is read is what the metric needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import polars as pl
from clinic import AS_OF

if TYPE_CHECKING:
    from pathlib import Path

UNTIL = pd.Timestamp(AS_OF)
CLINICAL = ("intake", "follow-up", "group")


def read(lake: Path, *columns: str) -> pd.DataFrame:
    """Return visits up to the day."""
    rows = pd.read_parquet(lake / "visits", columns=["date", *columns], partitioning=None)
    dates = [name for name in ("date", "month") if name in rows.columns]
    rows[dates] = rows[dates].apply(pd.to_datetime)
    return rows[rows["date"] <= UNTIL]


def counts(lake: Path) -> pl.DataFrame:
    """Count visits by month and status."""
    rows = read(lake, "month", "status")
    made = rows.groupby(["month", "status"], as_index=False).size()
    return answer(made.rename(columns={"month": "period", "size": "count"}))


def panel(lake: Path) -> pl.DataFrame:
    """Count clients seen in the 90 days up to the end of each month."""
    rows = read(lake, "client_id", "role", "status")
    seen = rows[(rows["status"] == "occurred") & rows["role"].isin(CLINICAL)]
    made = []
    for period in pd.date_range(seen["date"].min().replace(day=1), UNTIL, freq="MS"):
        until = min(period + pd.offsets.MonthEnd(), UNTIL)
        within = (seen["date"] <= until) & (seen["date"] > until - pd.Timedelta(days=90))
        made.append((period, seen.loc[within, "client_id"].nunique()))
    return answer(pd.DataFrame(made, columns=["period", "clients"]))


def cohorts(lake: Path) -> pl.DataFrame:
    """Count new clients who came in each of twelve times 30 days, by month of the first visit."""
    rows = read(lake, "client_id", "month", "role", "status")
    seen = rows[(rows["status"] == "occurred") & rows["role"].isin(CLINICAL)]
    first = seen.groupby("client_id")[["date", "month"]].min()
    since = (seen["date"] - seen["client_id"].map(first["date"])).dt.days
    came = pd.DataFrame({"client_id": seen["client_id"], "period": (since + 29) // 30})
    came = came[(since > 0) & (came["period"] <= 12)].drop_duplicates()
    age = (UNTIL - first["date"]).dt.days
    came["cohort"], came["age"] = came["client_id"].map(first["month"]), came["client_id"].map(age)
    returned = came[came["age"] >= 30 * came["period"]].groupby(["cohort", "period"]).size()
    eligible = pd.concat({k: (age >= 30 * k).groupby(first["month"]).sum() for k in range(1, 13)}, names=["period"])
    made = eligible.swaplevel().rename("eligible").rename_axis(["cohort", "period"]).to_frame()
    return answer(made.join(returned.rename("returned")).fillna({"returned": 0}).reset_index())


def answer(made: pd.DataFrame) -> pl.DataFrame:
    """Return a result as polars, its dates as dates."""
    return pl.from_pandas(made).with_columns(pl.selectors.datetime().cast(pl.Date))
