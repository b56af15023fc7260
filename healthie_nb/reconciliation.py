"""Our counts against Healthie's own totals, name by name, with the likely reason where they differ."""

from datetime import date, timedelta
from typing import Final, Literal, get_args

import polars as pl

from healthie_nb.newcomers import EPOCH, choice, day_number
from healthie_nb.visits import fixed_status, known_zone, require

Side = Literal["provider", "type", "day"]

# Healthie's names of the counts, in ours.
COUNTS: Final = {
    "count_occurred": "occurred",
    "count_noshow": "no_show",
    "count_cancelled": "cancelled",
    "count_late_cancellation": "late_cancelled",
    "count_checked_in": "checked_in",
    "count_rescheduled": "rescheduled",
    "count_no_status": "unrecorded",
}
_NEEDS: Final = ("cache_generation_in_progress", "total_count", "by_day", "by_provider", "by_type")
_NAMELESS: Final = "(no name)"


def reconcile(
    appointments: pl.DataFrame,
    summary: pl.DataFrame,
    *,
    start: str | date,
    end: str | date,
    zone: str,
    providers: pl.DataFrame,
    appointment_types: pl.DataFrame,
    side: Side = "provider",
) -> pl.DataFrame:
    """Our count of appointments beside Healthie's own, for each provider, type or day, and status.

    Both count a group session once. Healthie tells providers and types by name only: ids that share a name are added up
    before they are compared. Days are the key owner's, so pass the zone that the key's owner has.

    Rows
    ----
    One per name and status that either side has, by name and status; while Healthie is still making its totals, one
    per name and status of ours.

    Columns
    -------
    name String, of the provider or type, or the day; status String as in `visits`; ids Int64, how many of ours share
    the name; ours Int64; theirs Int64, null while they are being made; difference Int64, ours - theirs; reason String,
    the likely one, null where they agree.

    Raises
    ------
    MetricError for an option that is not allowed, an unknown zone, or a missing column.

    Source
    ------
    queries/appointments.graphql; queries/appointments_summary.graphql with range_start and range_end as here;
    queries/providers.graphql, appointment_types.graphql for the names.

    Examples
    --------
    >>> from healthie_nb.visits import APPOINTMENTS
    >>> at = pl.datetime(2026, 3, 9, 15, time_unit="us", time_zone="UTC")
    >>> booked = [{"id": "1", "status": "Occurred", "provider_id": "p"}, {"id": "2", "provider_id": "p"}]
    >>> appointments = pl.DataFrame(booked, schema=APPOINTMENTS).with_columns(starts_at=at)
    >>> theirs = dict.fromkeys(COUNTS, 0) | {"count_occurred": 1}
    >>> summary = pl.DataFrame([{"cache_generation_in_progress": False, "total_count": 1, "by_day": [], "by_type": [],
    ...     "by_provider": [{"name": "Ada", "days": [theirs]}]}])
    >>> names = pl.DataFrame({"id": ["p"], "name": ["Ada"]})
    >>> table = reconcile(appointments, summary, start="2026-03-09", end="2026-03-09", zone="UTC", providers=names,
    ...     appointment_types=names)
    >>> table.select("name", "status", "ours", "theirs", "reason").rows()  # doctest: +NORMALIZE_WHITESPACE
    [('Ada', 'occurred', 1, 1, None),
     ('Ada', 'unrecorded', 1, 0, 'deleted, or moved out of these days, since it was loaded')]
    """
    choice(side, get_args(Side), name="side")
    require(summary, _NEEDS, query="appointments_summary")
    first, last = (EPOCH + timedelta(days=day_number(day, name=name)) for day, name in ((start, "start"), (end, "end")))
    day = pl.col("starts_at").dt.convert_time_zone(known_zone(zone)).dt.date()
    require(appointments, ["id", "starts_at", "status", "provider_id", "appointment_type_id"], query="appointments")
    names = _names(providers, appointment_types, side)
    ours = _ours(appointments.with_columns(date=day).filter(pl.col("date").is_between(first, last)), names, side)
    is_made = summary.height > 0 and summary["cache_generation_in_progress"].item() is not True
    theirs = _theirs(summary if is_made else summary.clear(), zone, side)
    ids = names.group_by("name").agg(pl.len().cast(pl.Int64).alias("ids"))
    return (
        ours.join(theirs, on=["name", "status"], how="full", coalesce=True)
        .join(ids, on="name", how="left")
        .with_columns(
            pl.col("ours").fill_null(0),
            pl.col("ids").fill_null(1 if side == "day" else 0),
            pl.col("theirs").fill_null(0) if is_made else pl.col("theirs"),
        )
        .with_columns(difference=pl.col("ours") - pl.col("theirs"))
        .with_columns(reason=_reason(is_made=is_made))
        .filter((pl.col("ours") > 0) | (pl.col("theirs") > 0))
        .select("name", "status", "ids", "ours", "theirs", "difference", "reason")
        .sort("name", "status")
    )


def _names(providers: pl.DataFrame, appointment_types: pl.DataFrame, side: str) -> pl.DataFrame:
    """Ids of one side and the names that Healthie's totals have for them."""
    require(providers, ["id", "name"], query="providers")
    require(appointment_types, ["id", "name"], query="appointment_types")
    if side == "day":
        return pl.DataFrame(schema={"id": pl.String, "name": pl.String})
    rows = providers if side == "provider" else appointment_types
    return rows.select("id", name=pl.col("name").str.strip_chars().fill_null(_NAMELESS))


def _ours(within: pl.DataFrame, names: pl.DataFrame, side: str) -> pl.DataFrame:
    key = {"provider": "provider_id", "type": "appointment_type_id"}.get(side)
    named = (
        within.with_columns(name=pl.col("date").cast(pl.String))
        if key is None
        else within.join(names, left_on=key, right_on="id", how="left").with_columns(
            pl.col("name").fill_null(pl.format("id {}", pl.col(key).fill_null("none")))
        )
    )
    return named.group_by("name", status=fixed_status("status")).agg(pl.len().cast(pl.Int64).alias("ours"))


def _theirs(summary: pl.DataFrame, zone: str, side: str) -> pl.DataFrame:
    column = f"by_{side}"
    rows = summary.select(pl.col(column).explode(empty_as_null=False)).unnest(column)
    if side == "day":
        rows = rows.with_columns(name=pl.col("at").dt.convert_time_zone(zone).dt.date().cast(pl.String))
    else:
        rows = rows.with_columns(pl.col("name").str.strip_chars().fill_null(_NAMELESS))
        rows = rows.explode("days", empty_as_null=False).unnest("days")
    return (
        rows.unpivot(on=list(COUNTS), index="name", variable_name="status", value_name="theirs")
        .group_by("name", pl.col("status").replace_strict(COUNTS, return_dtype=pl.String))
        .agg(pl.col("theirs").sum())
    )


def _reason(*, is_made: bool) -> pl.Expr:
    """Why two counts may differ; the first that fits."""
    if not is_made:
        return pl.lit("Healthie is still making its totals: ask again in some minutes")
    ours, theirs, is_ours = pl.col("ours"), pl.col("theirs"), pl.col("ids") > 0
    same_total = pl.col("difference").sum().over("name") == 0
    reasons = {
        "a status that Healthie's totals do not know": pl.col("status") == "other",
        "not among our names: renamed since, left, or a name this key may not see": ~is_ours & (ours == 0),
        "no name for this id: load providers and appointment types again": ~is_ours,
        "several share this name: one of them may be left out of Healthie's totals": pl.col("ids") > 1,
        "same total, other status: marked since one of the two was made": same_total,
        "deleted, or moved out of these days, since it was loaded": ours > theirs,
        "added since it was loaded, or rows that this key may not see": ours < theirs,
    }
    why = pl.coalesce(pl.when(holds).then(pl.lit(reason)) for reason, holds in reasons.items())
    return pl.when(pl.col("difference") != 0).then(why)
