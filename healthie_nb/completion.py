"""How long a form takes to be completed: survival from the ledger, for Healthie overwrites when it was asked for."""

from datetime import date
from typing import Final

import numpy as np
import polars as pl

from healthie_nb.days import instant, night
from healthie_nb.stats import FEW, Z
from healthie_nb.visits import require

MIN_LEDGER_DAYS: Final = 28
LEDGER: Final = ("id", "is_finished", "status", "date_to_show", "seen_at")
OPEN_END: Final = 2**31
Ints = np.typing.NDArray[np.int64]
Floats = np.typing.NDArray[np.float64]
_ROUNDS, _CLOSE, _NONE = 10_000, 1e-10, 1e-6
_DAY_S: Final = 86_400


def ledger_standing(ledger_counts: pl.DataFrame, *, as_of: str | date, min_days: int = MIN_LEDGER_DAYS) -> pl.DataFrame:
    """Say whether the ledger reaches back far enough for `time_to_complete`.

    Rows
    ----
    One.

    Columns
    -------
    pulls Int64 up to `as_of`; first, last Datetime UTC of these, null without; days Int64 between them; is_old_enough
    Boolean; says String, also that the ledger begins after `as_of`, for it may be younger than all else that is loaded.

    Raises
    ------
    MetricError for a missing column, or a day that is none.

    Source
    ------
    practice.ledger.counts(), in whose zone `as_of` ends, see `days.local`; every load of form_requests adds to it.

    Examples
    --------
    >>> pulls = pl.DataFrame({"seen_at": ["2026-06-01", "2026-06-11"]}).with_columns(
    ...     pl.col("seen_at").str.to_datetime(time_unit="us", time_zone="UTC")
    ... )
    >>> ledger_standing(pulls, as_of="2026-06-30")["says"].item()
    'the ledger spans 10 days in 2 pulls; times to completion need 28: load form_requests every day until then'
    """
    require(ledger_counts, ["seen_at"], query="ledger_counts")
    end = night(as_of, ledger_counts["seen_at"])
    pulls = ledger_counts.select(instant("seen_at").unique()).filter(pl.col("seen_at") < end)
    span = (pl.col("seen_at").max() - pl.col("seen_at").min()).dt.total_days().fill_null(0)
    needs = f"; times to completion need {min_days}: load form_requests every day until then"
    spans = pl.format("the ledger spans {} days in {} pulls", "days", "pulls")
    if ledger_counts.height and pulls.is_empty():
        spans = pl.lit(f"the ledger begins after {as_of}")
    return (
        pulls.select(
            pulls=pl.len().cast(pl.Int64), first=pl.col("seen_at").min(), last=pl.col("seen_at").max(), days=span
        )
        .with_columns(is_old_enough=pl.col("days") >= min_days)
        .with_columns(says=pl.when("is_old_enough").then(spans).otherwise(pl.concat_str(spans, pl.lit(needs))))
    )


def time_to_complete(
    ledger_seen: pl.DataFrame,
    ledger_counts: pl.DataFrame,
    form_requests: pl.DataFrame,
    clients: pl.DataFrame,
    *,
    as_of: str | date,
    min_days: int = MIN_LEDGER_DAYS,
) -> pl.DataFrame:
    """Share of form requests still not completed, by days since they were asked for: Turnbull's estimate, per form.

    Only requests that appeared after the ledger began: of those there before, the quick ones are gone. First seen open:
    asked for when Healthie says so then; completed when it says so later; else censored at the last pull, or when the
    client was archived, for then it is withdrawn. First seen begun or done: asked for at some time since the pull
    before, so the time it took is known between two bounds only.

    Rows
    ----
    One per form and day on which some complete or are censored, and day 0, in order. None while the ledger is younger
    than `min_days`, or begins after `as_of`: `ledger_standing` says so.

    Columns
    -------
    form_id String; day Int64; requests Int64 of the form; at_risk, events Float64, expected where bounds leave it open;
    survival Float64; low, high Float64, log-log 95 % from Greenwood's variance of these, a little too narrow where
    bounds are wide, null where survival is 0 or 1; few Boolean, under 30 at risk.

    Raises
    ------
    MetricError for a missing column, or a day that is none.

    Source
    ------
    practice.ledger.seen() and .counts(); queries/form_requests.graphql, clients.graphql. Turnbull (1976), Journal of
    the Royal Statistical Society B 38, 290-295.

    Examples
    --------
    Asked for on the 5th, open when loaded on the 6th; loaded again on the 9th and done on the 8th.

    >>> at = pl.datetime(2026, 6, pl.col("day"), 9, time_unit="us", time_zone="UTC")
    >>> pulls = pl.DataFrame({"day": [1, 6, 9, 30]}).select(seen_at=at)
    >>> seen = pl.DataFrame({"id": ["1", "1"], "is_finished": [False, True], "status": ["Open", "Completed"]})
    >>> seen = seen.with_columns(pulls["seen_at"][1:3], day=pl.Series([5, 8])).with_columns(date_to_show=at)
    >>> asked = pl.DataFrame({"id": ["1"], "form_id": ["f"], "client_id": ["ada"]})
    >>> clients = pl.DataFrame({"id": ["ada"], "is_active": [True], "archived_at": [None]})
    >>> curve = time_to_complete(seen, pulls, asked, clients, as_of="2026-06-30")
    >>> curve.select("form_id", "day", "requests", "survival").rows()
    [('f', 0, 1, 1.0), ('f', 3, 1, 0.0)]
    """
    times = request_times(ledger_seen, ledger_counts, form_requests, clients, as_of=as_of)
    is_old = ledger_standing(ledger_counts, as_of=as_of, min_days=min_days)["is_old_enough"].item()
    curves = [
        turnbull(theirs).select(pl.lit(form, pl.String).alias("form_id"), pl.all())
        for (form,), theirs in (times if is_old else times.clear()).group_by("form_id")
    ]
    nobody = turnbull(times.clear()).select(pl.lit(None, pl.String).alias("form_id"), pl.all()).clear()
    return pl.concat([nobody, *curves]).sort("form_id", "day", nulls_last=True)


def request_times(
    ledger_seen: pl.DataFrame,
    ledger_counts: pl.DataFrame,
    form_requests: pl.DataFrame,
    clients: pl.DataFrame,
    *,
    as_of: str | date,
) -> pl.DataFrame:
    """Bounds of the days that each request took, for `turnbull`.

    Rows
    ----
    One per request that appeared after the ledger's first pull, by id; vanished ones are left out.

    Columns
    -------
    id, form_id String; least, most Int64, whole days; most null when not completed: censored at least.

    Raises
    ------
    MetricError for a missing column, or a day that is none.

    Source
    ------
    As `time_to_complete`.

    Examples
    --------
    First seen, and already done, on the 6th: asked for at some time since the load on the 1st.

    >>> at = pl.datetime(2026, 6, pl.col("day"), 9, time_unit="us", time_zone="UTC")
    >>> pulls = pl.DataFrame({"day": [1, 6]}).select(seen_at=at)
    >>> seen = pl.DataFrame({"id": ["1"], "is_finished": [True], "status": ["Completed"], "day": [5]})
    >>> seen = seen.with_columns(pulls["seen_at"][1:], date_to_show=at)
    >>> asked = pl.DataFrame({"id": ["1"], "form_id": ["f"], "client_id": ["ada"]})
    >>> clients = pl.DataFrame({"id": ["ada"], "is_active": [True], "archived_at": [None]})
    >>> request_times(seen, pulls, asked, clients, as_of="2026-06-30").rows()
    [('1', 'f', 0, 4)]
    """
    require(ledger_seen, LEDGER, query="ledger_seen")
    require(ledger_counts, ["seen_at"], query="ledger_counts")
    require(form_requests, ["id", "form_id", "client_id"], query="form_requests")
    require(clients, ["id", "is_active", "archived_at"], query="clients")
    end_of_day = night(as_of, ledger_counts["seen_at"])
    pulls = ledger_counts.select(instant("seen_at").unique().sort()).filter(pl.col("seen_at") < end_of_day)
    before = pulls.with_columns(pull_before=pl.col("seen_at").shift(1))
    last_pull = pulls["seen_at"].max()
    seen = (
        ledger_seen.with_columns(instant("seen_at"), instant("date_to_show"))
        .filter(pl.col("seen_at") < end_of_day)
        .sort("seen_at", maintain_order=True)
    )
    done = pl.col("is_finished").fill_null(value=False)
    # Before it is begun, the day shown is the day it was asked for; once done, the day it was done.
    was_open = ~done.first() & (pl.col("status").first().fill_null("").str.to_lowercase() != "incomplete")
    shown = pl.col("date_to_show")
    spells = (
        seen.group_by("id")
        .agg(
            seen_at=pl.col("seen_at").first(),
            asked=pl.when(was_open).then(shown.first()),
            latest=shown.first(),
            done_at=pl.when(done).then(shown).drop_nulls().first(),
        )
        .join(before, on="seen_at")
        .filter(pl.col("pull_before").is_not_null())
        .join(form_requests.select("id", "form_id", "client_id"), on="id")
        .join(clients.select("id", "is_active", instant("archived_at")), left_on="client_id", right_on="id", how="left")
    )
    archived = pl.when(pl.col("is_active").not_()).then("archived_at")
    end = pl.coalesce("done_at", pl.min_horizontal(archived, pl.lit(last_pull)))
    earliest, latest = pl.coalesce("asked", "pull_before"), pl.coalesce("asked", "latest")
    days = {"least": end - latest, "most": end - earliest}
    return (
        spells.with_columns((span.dt.total_seconds() // _DAY_S).clip(0).alias(name) for name, span in days.items())
        .with_columns(most=pl.when(pl.col("done_at").is_not_null()).then(pl.max_horizontal("least", "most")))
        .select("id", "form_id", "least", "most")
        .sort("id")
    )


def turnbull(times: pl.DataFrame) -> pl.DataFrame:
    """Survival from times of which some are known between two bounds, and some only from below.

    Rows
    ----
    One per day that is a bound, and day 0, in order; none without times.

    Columns
    -------
    day, requests Int64; at_risk, events, survival, low, high Float64, few Boolean, as `time_to_complete`.

    Source
    ------
    `times`: least Int64 from 0; most Int64, null when censored after `least`. Without bounds it is Kaplan-Meier.

    Examples
    --------
    >>> times = pl.DataFrame({"least": [1, 2, 2], "most": [1, None, 2]}, schema={"least": pl.Int64, "most": pl.Int64})
    >>> turnbull(times).select("day", pl.col("survival").round(3)).rows()
    [(0, 1.0), (1, 0.667), (2, 0.333)]
    """
    if times.is_empty():
        counts = dict.fromkeys(("day", "requests"), pl.Int64())
        shares = dict.fromkeys(("at_risk", "events", "survival", "low", "high"), pl.Float64())
        return pl.DataFrame(schema={**counts, **shares, "few": pl.Boolean()})
    kinds = times.group_by("least", "most").len("n").sort("least", "most", nulls_last=True)
    is_done = kinds["most"].is_not_null().to_numpy()
    least = kinds["least"].to_numpy().astype(np.int64)
    most = kinds["most"].fill_null(OPEN_END).to_numpy().astype(np.int64)
    days = np.unique(np.concatenate([[0], least, most[is_done]]))
    # A censored time ends after its last day; the place after the last stands for never.
    could = (days[None, :] <= most[:, None]) & np.where(is_done[:, None], days >= least[:, None], days > least[:, None])
    could = np.column_stack([could, ~is_done])
    n = kinds["n"].to_numpy().astype(np.float64)
    mass = _settled(could.astype(np.float64), n)
    ends = could[is_done, :-1] * mass[:-1]
    ends = n[is_done, None] * ends / ends.sum(axis=1, keepdims=True)
    events = ends.sum(axis=0)
    # The censored are at risk up to their last day; beyond it they would follow the others, which changes no hazard.
    at_risk = ends.sum() - events.cumsum() + events + (least[~is_done, None] >= days).T @ n[~is_done]
    return _curve(days, at_risk, events, mass[::-1].cumsum()[::-1][1:], int(n.sum()))


def _settled(could: Floats, n: Floats) -> Floats:
    """Share of every day, by expectation and maximization until it holds still."""
    share = np.full(could.shape[1], 1 / could.shape[1])
    for _ in range(_ROUNDS):
        before, share = share, share * ((n / (could @ share)) @ could) / n.sum()
        if np.abs(share - before).max() < _CLOSE:
            break
    return share


def _curve(days: Ints, at_risk: Floats, events: Floats, survival: Floats, requests: int) -> pl.DataFrame:
    """Days with their survival, and the log-log interval of Greenwood's variance."""
    survival = np.where(survival > _NONE, survival, 0.0)
    is_inside = (survival > _NONE) & (survival < 1 - _NONE)
    left = at_risk - events
    hazard = np.divide(events, at_risk * left, out=np.zeros_like(events), where=left > _NONE)
    log = np.log(survival, out=np.full_like(survival, -1.0), where=is_inside)
    wide = np.exp(Z * np.sqrt(hazard.cumsum()) / -log)
    bounds = {"low": survival**wide, "high": survival ** (1 / wide)}
    counts = {"day": days, "requests": np.full(len(days), requests), "at_risk": at_risk, "events": events}
    return pl.DataFrame(counts | {"survival": survival} | bounds).with_columns(
        pl.when(pl.Series(is_inside)).then(pl.col("low", "high")), few=pl.col("at_risk") < FEW
    )
