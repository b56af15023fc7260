"""Where clients are in their care: who is in, who left, who to call."""

from collections.abc import Collection, Sequence
from datetime import date
from typing import Any, Final

import narwhals as nw
import polars as pl

from healthie_nb.engines import reducing
from healthie_nb.linked import CHART, linked
from healthie_nb.newcomers import choice, clinical, day_number, is_ahead, is_end, took_place
from healthie_nb.roles import PROGRAMME_KINDS
from healthie_nb.stats import FEW, wilson
from healthie_nb.visits import require

STATES: Final = (
    ("in care", "seen lately"),
    ("in care", "booked"),
    ("completed", "programme"),
    ("completed", "closing visit"),
    ("lapsed", "not seen"),
    ("unknown", "archived"),
    ("unknown", "no visit yet"),
)
REASONS: Final = pl.Enum([reason for _, reason in STATES])


def states(
    visits: Any,
    clients: pl.DataFrame,
    *,
    as_of: str | date,
    gap_days: int = 90,
    programmes: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Where every client stands at the end of `as_of`, each counted once, the ends side by side.

    The first that holds: completed, by being in one of the groups that `programmes` name (as loaded, not as of then)
    or because the last occurred clinical visit is of a closing type of theirs, with nothing booked after it; unknown,
    archived before lapsing (archiving alone does not say why); in care, with a booking or seen in the last `gap_days`;
    lapsed, not seen for longer; unknown, never seen.

    Rows
    ----
    One per state and reason, in fixed order, also where nobody is.

    Columns
    -------
    state String: in care, completed, lapsed, unknown; reason String; clients Int64, which add up to all who signed
    up by `as_of` (or whose sign-up is not dated); share Float64 of them, null when there are none; low, high Float64,
    Wilson 95 %; few Boolean, under 30 of them.

    Raises
    ------
    MetricError for `as_of` before the first visit, a missing column, or a kind of programme that is not allowed.

    Source
    ------
    queries/clients.graphql, whose days are those of the zone its instants are in, see `days.local`;
    queries/appointments.graphql through `visits`; `programmes` from roles.read, without which nobody is completed.

    Examples
    --------
    >>> from healthie_nb.visits import example
    >>> clients = pl.DataFrame({"id": ["ada"], "is_active": [True]}).with_columns(
    ...     group_id=pl.lit(None, pl.String), created_at=pl.lit(None, pl.Date), archived_at=pl.lit(None, pl.Date)
    ... )
    >>> states(example({"ada": ["2026-01-01"]}), clients, as_of="2026-06-01").filter(pl.col("clients") > 0).row(0)[:4]
    ('lapsed', 'not seen', 1, 1.0)
    """
    return stood(standings(visits, clients, as_of=as_of, gap_days=gap_days, programmes=programmes))


def standings(
    visits: Any,
    clients: pl.DataFrame,
    *,
    as_of: str | date,
    gap_days: int = 90,
    programmes: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """One row per client of `states`: id, and `standing`, the reason of the state."""
    require(clients, ["id", "created_at", "is_active", "archived_at", "group_id"], query="clients")
    until, (closing, completed) = day_number(as_of), _completing(programmes)
    columns = ["appointment_type_id"] if closing else []
    ends = _ends(clinical(visits, as_of, "booked_day", "changed_day", *columns), as_of, columns)
    return (
        clients.lazy()
        .filter((_day("created_at") <= until) | pl.col("created_at").is_null())
        .join(ends, left_on="id", right_on="client_id", how="left")
        .select("id", _standing(until, gap_days, closing, completed))
        .collect(engine="streaming")
    )


def _completing(programmes: pl.DataFrame | None) -> tuple[list[str], list[str]]:
    """Ids that complete care: the types of closing visits, and the groups of those who finished a programme."""
    if programmes is None:
        return [], []
    require(programmes, ["id", "kind"], query="programmes")
    for kind in programmes["kind"].unique():
        choice(kind, PROGRAMME_KINDS, name="kind")
    group, closing = (programmes.filter(kind=kind)["id"].to_list() for kind in PROGRAMME_KINDS)
    return closing, group


def stood(standing: pl.DataFrame) -> pl.DataFrame:
    """Rows of `states` from one row per client, as `standings` gives them."""
    total, (low, high) = standing.height, wilson("clients", pl.lit(standing.height))
    clients = standing.group_by("standing").len("clients").cast({"standing": pl.String})
    return (
        pl.DataFrame(STATES, schema=["state", "reason"], orient="row")
        .join(clients, left_on="reason", right_on="standing", how="left")
        .with_columns(pl.col("clients").fill_null(0).cast(pl.Int64))
        .with_columns(share=pl.when(pl.lit(total > 0)).then(pl.col("clients") / total), low=low, high=high)
        .with_columns(few=pl.lit(total < FEW))
    )


def _day(instant: str) -> pl.Expr:
    return pl.col(instant).dt.date().to_physical().cast(pl.Int64)


def _ends(rows: nw.LazyFrame[Any], as_of: str | date, columns: Sequence[str]) -> pl.LazyFrame:
    """One row per client seen or booked: last_day seen, columns of that visit, and next_day booked. The big step."""
    rows = rows.with_columns(is_seen=took_place(as_of), is_ahead=is_ahead(as_of))
    rows, is_seen = rows.filter(nw.col("is_seen") | nw.col("is_ahead")), nw.col("is_seen")
    if columns:
        # Only visits that begin last are put in order: sorting all of them takes longer than the rest.
        last_at = nw.when(is_seen).then(nw.col("starts_at")).max().over("client_id")
        rows = rows.filter((nw.col("starts_at") == last_at) | nw.col("is_ahead"))
        rows = rows.with_columns(is_last=is_seen & is_end(["client_id", "is_seen"], last=True))
    last = [nw.when(nw.col("is_last")).then(nw.col(name)).max().alias(name) for name in columns]
    last_day, next_day = (nw.when(nw.col(name)).then(nw.col("day")) for name in ("is_seen", "is_ahead"))
    return reducing(
        rows.group_by("client_id").agg(last_day.max().alias("last_day"), next_day.min().alias("next_day"), *last)
    )


def _standing(until: int, gap_days: int, closing: Collection[str], completed: Collection[str]) -> pl.Expr:
    """Reason of the state; the first that holds."""
    lapses_on = pl.col("last_day") + gap_days
    is_booked = pl.col("next_day").is_not_null()
    archived_day = pl.when(pl.col("is_active").not_()).then(_day("archived_at").fill_null(until))
    is_archived = ((archived_day <= until) & (archived_day <= lapses_on.fill_null(until))).fill_null(value=False)
    reasons = {
        "programme": pl.col("group_id").is_in(list(completed)),
        "closing visit": pl.col("appointment_type_id").is_in(list(closing)) & ~is_booked
        if closing
        else pl.lit(value=False),
        "archived": is_archived & ~is_booked,
        "booked": is_booked,
        "seen lately": lapses_on >= until,
        "not seen": pl.col("last_day").is_not_null(),
    }
    chosen = pl.coalesce(pl.when(holds).then(pl.lit(reason, REASONS)) for reason, holds in reasons.items())
    return chosen.fill_null("no visit yet").alias("standing")


def worklist(
    visits: Any,
    *,
    as_of: str | date,
    key: bytes,
    usual_days: int = 30,
    within_days: int = 180,
    link: str = CHART,
) -> pl.DataFrame:
    """Clients who should have been seen again by now, the longest overdue first, the unbooked before the booked.

    Rows
    ----
    One per client whose last occurred clinical visit lies more days back than their own cadence, and at most
    `within_days`; unbooked first, then by days_overdue, longest first.

    Columns
    -------
    pseudonym, client_id String; last_visit Date; cadence_days Float64, median days between days seen, `usual_days` with
    fewer than three such days; days_overdue Float64, since last visit + cadence; next_booking Date, null when none;
    provider_id String, of the last visit; link String, `link` with the client's id.

    Raises
    ------
    MetricError for `as_of` before the first visit, a link without {client_id}, or a missing column.

    Source
    ------
    queries/appointments.graphql through `visits`. It names clients by id: it is for the practice, not for publication.

    Examples
    --------
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-05-01", "2026-05-08", "2026-05-15"], "bob": ["2026-06-20"]})
    >>> calls = worklist(seen, as_of="2026-06-30", key=b"kept with the store, never shown")
    >>> calls.select("client_id", "cadence_days", "days_overdue").rows()
    [('ada', 7.0, 39.0)]
    """
    until, next_day = day_number(as_of), pl.col("next_day").cast(pl.Int32).cast(pl.Date)
    rows = clinical(visits, as_of, "booked_day", "changed_day", "provider_id")
    lately = rows.filter(nw.col("day") >= until - within_days)
    return (
        _ends(lately, as_of, ["provider_id"])
        .join(_cadences(rows.filter(took_place(as_of)), lately), on="client_id", how="left")
        .with_columns(
            cadence_days=pl.when(pl.col("gaps") > 1).then(pl.col("cadence_days")).otherwise(float(usual_days))
        )
        .with_columns(days_overdue=until - pl.col("last_day") - pl.col("cadence_days"))
        .filter(pl.col("days_overdue") > 0)
        .collect(engine="streaming")
        .with_columns(next_booking=next_day)
        .sort(pl.col("next_booking").is_not_null(), -pl.col("days_overdue"), "client_id")
        .select(
            "client_id",
            pl.col("last_day").cast(pl.Int32).cast(pl.Date).alias("last_visit"),
            "cadence_days",
            "days_overdue",
            "next_booking",
            "provider_id",
        )
        .pipe(linked, key=key, link=link)
    )


def _cadences(seen: nw.LazyFrame[Any], lately: nw.LazyFrame[Any]) -> pl.LazyFrame:
    """One row per client of the lately: how many gaps between days seen, and the median of them. Another big step."""
    theirs = seen.join(lately.select("client_id").unique(), on="client_id", how="semi")
    days = theirs.select("client_id", "day").unique(["client_id", "day"])
    gaps = days.with_columns(gap=nw.col("day") - nw.col("day").shift(1).over("client_id", order_by="day"))
    summary = [nw.col("gap").count().alias("gaps"), nw.col("gap").median().alias("cadence_days")]
    return reducing(gaps.group_by("client_id").agg(*summary)).with_columns(pl.col("cadence_days").cast(pl.Float64))
