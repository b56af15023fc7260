"""Tables of which forms get done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from healthie_nb.stats import FEW, wilson
from healthie_nb.tables.slicing import open_rows
from healthie_nb.tables.table import Table
from healthie_nb.wording import named, number, period, rated, remarks, share

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from healthie_nb.newcomers import Every

READINESS: Final = "How far the forms of the coming visits are"
BEFORE: Final = "Share of clients who had filled the forms before their first scheduled visit"
MEASURES: Final = "Share of new clients with an outcome measure, at baseline and on time afterwards"
REQUESTS: Final = "How the forms that were asked for stand now"
TIMES: Final = "Share of forms not yet completed, by days since they were asked for"
STATES: Final = ("done", "begun", "asked", "not asked")  # of forms that a coming visit needs
STANDINGS: Final = ("completed", "started", "open", "withdrawn")  # of requests
DAYS: Final = (0, 1, 2, 3, 5, 7, 10, 14, 21, 28, 42, 60, 90, 180)  # at which a table reads a curve


def readiness(table: pl.DataFrame, *, synthetic: bool) -> Table:
    """Forms of the coming visits as a table: what `charts.readiness` draws.

    Rows
    ----
    One per required role of form, of first and of later visits; none where there are no such visits.

    Columns
    -------
    form, its role; visits that are coming; of these done, begun, asked, not asked; share done.

    Source
    ------
    `forms.readiness`.

    Examples
    --------
    >>> from healthie_nb import forms
    >>> from healthie_nb.visits import example
    >>> coming = example({"ada": ["2026-01-05", "2026-02-03"], "bob": ["2026-02-04"]})
    >>> filled = pl.DataFrame({"client_id": ["ada"], "form_id": ["f"], "is_finished": [True]})
    >>> filled = filled.with_columns(filled_at=coming["starts_at"][0])
    >>> asked = pl.DataFrame({"client_id": ["bob"], "form_id": ["f"], "filled_form_id": [None]})
    >>> asked = asked.with_columns(filled_form_is_finished=pl.lit(None, pl.Boolean))
    >>> roles = pl.DataFrame({"form_id": ["f"], "role": ["intake"]})
    >>> table = forms.readiness(coming, filled, asked, roles, as_of="2026-01-31", required=["intake"])
    >>> readiness(table, synthetic=True)
    How far the forms of the coming visits are
    Demo practice: synthetic data
    1 of 2 coming visits lack nothing
    form                  visits  done  begun  asked  not asked  share done
    intake, first visits       1     0      0      1          0          0%
    intake, later visits       1     1      0      0          0        100%
    """
    standing = standings(table)
    rows = standing.select(
        pl.col("row").alias("form"),
        number("visits"),
        *(number(state) for state in STATES),
        share("rate", few=False).fill_null("").alias("share done"),
    )
    return Table("readiness", READINESS, ready_remarks(table, synthetic=synthetic), rows)


def before_first_visit(table: pl.DataFrame, *, every: Every, synthetic: bool) -> Table:
    """Forms before the first visit as a table: what `charts.before_first_visit` draws.

    Rows
    ----
    One per role of form and period.

    Columns
    -------
    first visit, the period it was scheduled in; clients; had it done of these; share with its 95 % interval.

    Source
    ------
    `forms.before_first_visit`.

    Examples
    --------
    >>> from healthie_nb import forms
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05"], "bob": ["2026-01-06 No-Show"]})
    >>> filled = pl.DataFrame({"client_id": ["ada"], "form_id": ["f"], "is_finished": [True]})
    >>> filled = filled.with_columns(filled_at=seen["starts_at"][0] - pl.duration(days=1))
    >>> roles = pl.DataFrame({"form_id": ["f"], "role": ["consent"]})
    >>> table = forms.before_first_visit(seen, filled, roles, as_of="2026-01-31", required=["consent"])
    >>> before_first_visit(table, every="month", synthetic=True)
    Share of clients who had filled the forms before their first scheduled visit
    Demo practice: synthetic data
    * under 30 clients
    of            first visit  clients  had it done        share
    consent       Jan 2026           2            1  50%* [9-91]
    all of these  Jan 2026           2            1  50%* [9-91]
    """
    ordered = table.sort(pl.col("role").cast(pl.Enum(table["role"].unique(maintain_order=True))), "period")
    rows = ordered.select(
        role_of("of"),
        period("period", every).alias("first visit"),
        number("clients"),
        number("done").alias("had it done"),
        rated().alias("share"),
    )
    notes_ = remarks(table, synthetic=synthetic, n="clients")
    return Table("before-first-visit", BEFORE, notes_, rows, open_rows(ordered, rows.columns), group="of")


def measures(table: pl.DataFrame, *, synthetic: bool, names: Mapping[str, str] | None = None) -> Table:
    """Outcome measures on time as a table: what `charts.measures` draws.

    Rows
    ----
    One per form and window.

    Columns
    -------
    window, in days since the first visit; clients who have had that long, and came in it; done of these; share with its
    95 % interval.

    Source
    ------
    `forms.measures`.

    Examples
    --------
    >>> from healthie_nb import forms
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-02-16"], "bob": ["2026-01-06"]})
    >>> filled = seen.filter(client_id="ada").select("client_id", filled_at="starts_at", form_id=pl.lit("phq"))
    >>> roles = pl.DataFrame({"form_id": ["phq"], "role": ["outcome measure"]})
    >>> table = forms.measures(seen, filled.with_columns(is_finished=pl.lit(True)), roles, as_of="2026-06-30")
    >>> measures(table, synthetic=True)
    Share of new clients with an outcome measure, at baseline and on time afterwards
    Demo practice: synthetic data
    * under 30 clients
    form  window      clients  done           share
    phq   baseline          2     1     50%* [9-91]
    phq   days 31-90        1     1  100%* [21-100]
    """
    rows = table.select(
        named("form_id", names).alias("form"),
        "window",
        number("clients"),
        number("done"),
        rated().alias("share"),
    )
    return Table("measures", MEASURES, remarks(table, synthetic=synthetic, n="clients"), rows, group="form")


def requests(
    table: pl.DataFrame,
    *,
    synthetic: bool,
    names: Mapping[str, str] | None = None,
    senders: Mapping[str, str] | None = None,
) -> Table:
    """Form requests as they stand as a table: what `charts.requests` draws; of a single form, by sender.

    Rows
    ----
    One per form; where there is one form only, one per sender.

    Columns
    -------
    form or sender; asked for; open, started, completed, withdrawn of these; completed of those not withdrawn, with the
    95 % interval.

    Source
    ------
    `forms.requests`; `names` of forms, `senders` of those who asked.

    Examples
    --------
    >>> from healthie_nb import forms
    >>> asked = pl.DataFrame({"id": ["1", "2"], "form_id": ["f", "f"], "client_id": ["ada", "bob"]}).with_columns(
    ...     sender_id=pl.lit("p"), date_to_show=None, filled_form_id=None, filled_form_is_finished=pl.lit(False)
    ... )
    >>> table = forms.requests(asked, pl.DataFrame({"id": ["ada", "bob"], "is_active": [True, False]}))
    >>> requests(table, synthetic=True)
    How the forms that were asked for stand now
    Demo practice: synthetic data
    * under 30 waiting or done
    sender  asked for  completed  started  open  withdrawn  completed now
    p               2          0        0     1          1     0%* [0-79]
    """
    of = "sender_id" if table["form_id"].n_unique() == 1 else "form_id"
    summed = asked(table, by=of)
    rows = summed.select(
        named(of, names if of == "form_id" else senders).alias(of.removesuffix("_id")),
        number("requests").alias("asked for"),
        *(number(standing) for standing in STANDINGS),
        rated().alias("completed now"),
    )
    return Table("requests", REQUESTS, remarks(summed, synthetic=synthetic, n="waiting_or_done"), rows)


def time_to_complete(
    table: pl.DataFrame,
    *,
    synthetic: bool,
    names: Mapping[str, str] | None = None,
    standing: pl.DataFrame | None = None,
) -> Table:
    """Curves of times to completion as a table, read at some days: what `charts.time_to_complete` draws.

    Rows
    ----
    One per form and day.

    Columns
    -------
    day; not yet completed, with the 95 % interval; at risk that day; requests of the form.

    Source
    ------
    `forms.time_to_complete`; `standing` from `forms.ledger_standing`, which says why there are none.

    Examples
    --------
    >>> from healthie_nb import forms
    >>> at = pl.datetime(2026, 6, pl.col("day"), 9, time_unit="us", time_zone="UTC")
    >>> pulls = pl.DataFrame({"day": [1, 6, 9, 30]}).select(seen_at=at)
    >>> seen = pl.DataFrame({"id": ["1", "1"], "is_finished": [False, True], "status": ["Open", "Completed"]})
    >>> seen = seen.with_columns(pulls["seen_at"][1:3], day=pl.Series([5, 8])).with_columns(date_to_show=at)
    >>> asked = pl.DataFrame({"id": ["1"], "form_id": ["f"], "client_id": ["ada"]})
    >>> clients = pl.DataFrame({"id": ["ada"], "is_active": [True], "archived_at": [None]})
    >>> table = forms.time_to_complete(seen, pulls, asked, clients, as_of="2026-06-30")
    >>> time_to_complete(table, synthetic=True)
    Share of forms not yet completed, by days since they were asked for
    Demo practice: synthetic data
    * under 30 requests
    form  day  not yet completed  at risk  requests
    f       0              100%*      1.0         1
    f       1              100%*      1.0         1
    f       2              100%*      1.0         1
    f       3                0%*      1.0         1
    """
    at = read_at(table, DAYS).with_columns(few=pl.col("requests") < FEW)
    rows = at.select(
        named("form_id", names).alias("form"),
        number("day"),
        rated("survival").alias("not yet completed"),
        number("at_risk", decimals=1).alias("at risk"),
        number("requests"),
    )
    notes_ = (*remarks(at, synthetic=synthetic, n="requests"), *ledger_says(standing))
    return Table("time-to-complete", TIMES, notes_, rows, group="form")


def standings(table: pl.DataFrame) -> pl.DataFrame:
    """Forms of the coming visits, counted: by required role, of first and of later visits.

    Columns: row String; visits, and one per state Int64; rate Float64 done / visits.
    """
    roles = pl.Enum(table["role"].unique(maintain_order=True))
    states = (pl.col("state").eq(state).sum().cast(pl.Int64).alias(state) for state in STATES)
    return (
        table.group_by(pl.col("role").cast(roles), "is_first")
        .agg(pl.len().cast(pl.Int64).alias("visits"), *states)
        .sort("role", "is_first", descending=[False, True])
        .select(standing_row(), "visits", *STATES, rate=pl.col("done") / pl.col("visits"))
    )


def standing_row() -> pl.Expr:
    """Role of form with the kind of visit it is for."""
    return pl.format("{}, {}s", pl.col("role").cast(pl.String), first_or_later()).alias("row")


def first_or_later() -> pl.Expr:
    """Kind of visit."""
    return pl.when("is_first").then(pl.lit("first visit")).otherwise(pl.lit("later visit"))


def ready_remarks(table: pl.DataFrame, *, synthetic: bool) -> tuple[str, ...]:
    """Remarks, and how many of the visits lack nothing."""
    visits = table.unique(["appointment_id", "client_id"])
    ready = f"{visits['is_ready'].sum():,} of {visits.height:,} coming visits lack nothing"
    return (*remarks(table, synthetic=synthetic), *([ready] if visits.height else []))


def asked(table: pl.DataFrame, *, by: str) -> pl.DataFrame:
    """Sum requests by form or by sender, with the share completed: rate, low, high, few.

    A sum of which a part is hidden, as from readers outside the practice, is hidden.
    """
    counts = ["requests", *STANDINGS, "waiting_or_done"]
    low, high = wilson("completed", "waiting_or_done")
    rate = pl.when(pl.col("waiting_or_done") > 0).then(pl.col("completed") / pl.col("waiting_or_done"))
    return (
        table.group_by(by)
        .agg(pl.when(pl.col(name).null_count() == 0).then(pl.col(name).sum()).alias(name) for name in counts)
        .sort("requests", by, descending=[True, False], nulls_last=True)
        .with_columns(rate=rate, low=low, high=high, few=pl.col("waiting_or_done") < FEW)
    )


def read_at(table: pl.DataFrame, days: Iterable[int]) -> pl.DataFrame:
    """Read the curve of each form at some days, as far as it goes, with what its next step before them says."""
    ends = table.group_by("form_id", maintain_order=True).agg(pl.col("day").max().alias("end"))
    grid = ends.join(pl.DataFrame({"day": sorted(set(days))}, schema={"day": pl.Int64}), how="cross")
    grid = grid.filter(pl.col("day") <= pl.col("end")).drop("end").sort("day", maintain_order=True)
    read = grid.join_asof(table.sort("day"), on="day", by="form_id", check_sortedness=False)
    return read.sort("form_id", "day", nulls_last=True)


def ledger_says(standing: pl.DataFrame | None) -> tuple[str, ...]:
    """Say why there are no times yet, where the ledger is not old enough."""
    if standing is None or standing["is_old_enough"].item():
        return ()
    return (f"Not yet: {standing['says'].item()}",)


def role_of(name: str) -> pl.Expr:
    """Role of a form; all of them together."""
    return pl.col("role").replace({"all": "all of these"}).alias(name)
