"""Appointments as visits: one row per client and appointment, with a fixed status and the practice's own calendar."""

import zoneinfo
from typing import TYPE_CHECKING, Final, TypeVar

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

UTC: Final[pl.DataType] = pl.Datetime("us", "UTC")

# What the queries give that is used here.
APPOINTMENTS: Final = pl.Schema(
    {
        "id": pl.String(),
        "updated_at": UTC,
        "created_at": UTC,
        "starts_at": UTC,
        "minutes": pl.Int64(),
        "status": pl.String(),
        "status_changed_at": UTC,
        "modality": pl.String(),
        "reschedule_count": pl.Int64(),
        "provider_id": pl.String(),
        "client_id": pl.String(),
        "appointment_type_id": pl.String(),
        "cancellation_reason_type": pl.String(),
        "recurring_id": pl.String(),
    }
)
ATTENDEE: Final = {"client_id": pl.String(), "attended": pl.Boolean(), "cancelled": pl.Boolean(), "cancelled_at": UTC}
REASONS: Final = ("id", "cancellation_reason_label")
ATTENDANCE: Final = pl.Schema({"id": pl.String(), "attended_clients": pl.List(pl.Struct(ATTENDEE))})

# Healthie's words, in lower case and without spaces and hyphens; both spellings of cancelled are read.
STATUSES: Final = {
    "": "unrecorded",
    "occurred": "occurred",
    "noshow": "no_show",
    "latecancellation": "late_cancelled",
    "cancelled": "cancelled",
    "canceled": "cancelled",
    "rescheduled": "rescheduled",
    "checkedin": "checked_in",
}
CANCELLED: Final = ("cancelled", "late_cancelled")
UNMAPPED: Final = "unmapped"  # the role of types that were given none, where others were
# What frames that are no query's come from, by the name they go by.
MADE_BY: Final = {
    **dict.fromkeys(("roles", "form_roles", "test_clients", "programmes", "targets"), "roles.read"),
    "ledger_seen": "practice.ledger.seen()",
    "ledger_counts": "practice.ledger.counts()",
    "cohorts": "retention.cohorts",
    "spells": "retention.spells",
    "readiness": "forms.readiness",
    "reconciled": "volume.reconcile",
}

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)


class MetricError(ValueError):
    """A number cannot be computed as asked: what was given, what is allowed, what to do."""


def visits(
    appointments: Frame,
    *,
    zone: str,
    attendance: pl.DataFrame | None = None,
    appointment_types: pl.DataFrame | None = None,
    roles: pl.DataFrame | None = None,
    test_clients: pl.DataFrame | None = None,
    cancellation_reasons: pl.DataFrame | None = None,
    late_notice_hours: float = 24,
) -> Frame:
    """Every client's part in every appointment, on the practice's own calendar.

    A group appointment is one row per attendee with that attendee's outcome; where attendance is marked for nobody they
    are unrecorded, not missed. What cannot be placed is left out, and counted by `unplaced`. A DataFrame comes back
    sorted; a LazyFrame comes back lazy and in no order, so that it streams.

    Rows
    ----
        One per client and appointment, by starts_at, appointment_id, client_id.

    Columns
    -------
        appointment_id, client_id, provider_id, appointment_type_id String; role String, "unmapped" where `roles` gives
        the type none, null everywhere while it gives none to any type; is_group Boolean; status String: occurred,
        no_show, late_cancelled, cancelled, rescheduled, checked_in (arrived, not yet marked as occurred), unrecorded
        (nothing set: unmarked or upcoming), other; healthie_status String, as Healthie has it; starts_at Datetime UTC;
        in `zone`: date, week (its Monday), month and quarter (their first day) Date, weekday Int8 from 1, Monday, to 7,
        hour Int8; day Int32, the date as days since 1970-01-01, for arithmetic on any engine; minutes Int64; booked_at,
        status_changed_at Datetime UTC (for an attendee who cancelled, that time); booked_day, changed_day Int32, their
        days in `zone`, as day; lead_days Float64, booking to start, null for recurring and moved rows and for those
        entered after they began; notice_hours Float64, cancellation to start, negative where the status was changed
        later (Healthie keeps the last change only), null where not cancelled; late_by_notice Boolean, notice under
        `late_notice_hours`, null where notice is; modality String; cancelled_by String: client, provider, organization;
        cancellation_reason String, the practice's label, null where none was given or `cancellation_reasons` is not;
        updated_at Datetime UTC.

    Raises
    ------
        MetricError for an unknown zone or a missing column.

    Source
    ------
        queries/appointments.graphql, group_attendance.graphql, cancellation_reasons.graphql,
        appointment_types.graphql; the rest from roles.py.

    Examples
    --------
    >>> from datetime import datetime
    >>> booked = [{"id": "1", "client_id": "7", "starts_at": datetime(2026, 3, 8, 8, 30), "status": "Occurred"}]
    >>> rows = visits(pl.DataFrame(booked, schema=APPOINTMENTS), zone="America/Chicago")
    >>> rows.select("client_id", "status", "date", "hour").row(0)
    ('7', 'occurred', datetime.date(2026, 3, 8), 3)
    """
    parts, reasons = _parts(appointments.lazy(), attendance, appointment_types, test_clients)
    rows = (
        parts.filter(~pl.any_horizontal(reasons.values()))
        .with_columns(
            healthie_status=pl.col("status"),
            status=_status(),
            local=pl.col("starts_at").dt.convert_time_zone(known_zone(zone)),
        )
        .pipe(_with_role, roles)
        .pipe(_with_reason, cancellation_reasons)
        .select(*_identity(), *_calendar(), *_timing(zone, late_notice_hours), *_manner())
    )
    if isinstance(appointments, pl.LazyFrame):
        return rows
    return rows.sort("starts_at", "appointment_id", "client_id").collect()


def unplaced(
    appointments: pl.DataFrame | pl.LazyFrame,
    *,
    attendance: pl.DataFrame | None = None,
    appointment_types: pl.DataFrame | None = None,
    test_clients: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Rows that `visits` leaves out, by reason: both together are every client's part in every appointment.

    Rows
    ----
        One per reason that occurs, by reason: group without attendees (attendance not loaded, or nobody listed), no
        client, no date, test client.

    Columns
    -------
        reason String; rows Int64.

    Raises
    ------
        MetricError for a missing column.

    Source
    ------
        As `visits`.

    Examples
    --------
    >>> blocked = pl.DataFrame([{"id": "1"}, {"id": "2", "client_id": "7"}], schema=APPOINTMENTS)
    >>> unplaced(blocked).rows()
    [('no date', 2)]
    """
    parts, reasons = _parts(appointments.lazy(), attendance, appointment_types, test_clients)
    return (
        parts.with_columns(unplaced=pl.coalesce(pl.when(why).then(pl.lit(reason)) for reason, why in reasons.items()))
        .filter(pl.col("unplaced").is_not_null())
        .group_by(reason="unplaced")
        .agg(rows=pl.len().cast(pl.Int64))
        .sort("reason")
        .collect()
    )


def example(days: "Mapping[str, Sequence[str]]") -> pl.DataFrame:
    """Visits to try a metric on: each client's days, occurred unless another of Healthie's statuses follows the day.

    Examples
    --------
    >>> example({"ada": ["2026-01-05", "2026-01-12 No-Show"]}).select("client_id", "date", "status").rows()
    [('ada', datetime.date(2026, 1, 5), 'occurred'), ('ada', datetime.date(2026, 1, 12), 'no_show')]
    """
    parts = [(client, *f"{day} Occurred".split()[:2]) for client, listed in days.items() for day in listed]
    rows = (
        pl.DataFrame(parts, schema=["client_id", "day", "status"], orient="row")
        .with_row_index("id")
        .select(
            "client_id",
            "status",
            id=pl.col("id").cast(pl.String),
            starts_at=(pl.col("day") + " 15:00").str.to_datetime("%Y-%m-%d %H:%M", time_unit="us", time_zone="UTC"),
        )
    )
    return visits(pl.concat([pl.DataFrame(schema=APPOINTMENTS), rows], how="diagonal"), zone="UTC")


def require(frame: pl.DataFrame | pl.LazyFrame, columns: "Iterable[str]", *, query: str) -> None:
    """Refuse a frame that lacks columns, naming the query, or the function, that gives them.

    Raises
    ------
        MetricError listing them.
    """
    lacking = [name for name in columns if name not in frame.collect_schema().names()]
    if not lacking:
        return
    if query in MADE_BY:
        raise MetricError(f"{query} lack {', '.join(lacking)}: {MADE_BY[query]} gives them.")
    raise MetricError(
        f"{query} lack {', '.join(lacking)}: queries/{query}.graphql gives them; load {query} with it, whole."
    )


def known_zone(zone: str) -> str:
    """Return `zone` when it is an IANA name.

    Raises
    ------
    MetricError with the names that are like it.
    """
    known = zoneinfo.available_timezones()
    if zone in known:
        return zone
    import difflib  # noqa: PLC0415, polars does not load it, and whoever names a zone right needs it not

    word = zone.strip().replace(" ", "_").lower()
    cities = sorted(name for name in known if word and word in name.lower().rpartition("/")[2])
    such = cities[:3] or difflib.get_close_matches(zone, known, cutoff=0.8) or ["America/Chicago", "Europe/Berlin"]
    raise MetricError(f"unknown time zone {zone!r}: give an IANA name, such as {' or '.join(map(repr, such))}.")


def _parts(
    appointments: pl.LazyFrame,
    attendance: pl.DataFrame | None,
    appointment_types: pl.DataFrame | None,
    test_clients: pl.DataFrame | None,
) -> tuple[pl.LazyFrame, dict[str, pl.Expr]]:
    """Every client's part, and why a row is none: the first that holds."""
    require(appointments, APPOINTMENTS, query="appointments")
    tests = pl.DataFrame(schema={"client_id": pl.String}) if test_clients is None else test_clients
    require(tests, ["client_id"], query="test_clients")
    reasons = {
        "no date": pl.col("starts_at").is_null(),
        "group without attendees": pl.col("client_id").is_null() & pl.col("is_group"),
        "no client": pl.col("client_id").is_null(),
        "test client": pl.col("client_id").is_in(tests["client_id"].implode()),
    }
    parts = (
        appointments.select(APPOINTMENTS.names())
        .join(_attendees(attendance).lazy(), on="id", how="left")
        .with_columns(
            client_id=pl.coalesce("attendee_id", "client_id"),
            is_group=pl.col("attendee_id").is_not_null()
            | pl.col("appointment_type_id").is_in(_group_types(appointment_types).implode()).fill_null(value=False),
        )
    )
    return parts, {reason: why.fill_null(value=False) for reason, why in reasons.items()}


def _group_types(appointment_types: pl.DataFrame | None) -> pl.Series:
    if appointment_types is None:
        return pl.Series(dtype=pl.String)
    require(appointment_types, ["id", "is_group"], query="appointment_types")
    return appointment_types.filter("is_group")["id"]


def _attendees(attendance: pl.DataFrame | None) -> pl.DataFrame:
    """One row per group appointment and attendee; an attendee listed twice counts once, as attended if so in either."""
    listed = pl.DataFrame(schema=ATTENDANCE) if attendance is None else attendance
    require(listed, ATTENDANCE, query="group_attendance")
    return (
        listed.select("id", "attended_clients")
        .explode("attended_clients")
        .unnest("attended_clients")
        .filter(pl.col("client_id").is_not_null())
        .sort("id", "client_id", "attended", "cancelled", descending=[False, False, True, True], nulls_last=True)
        .unique(["id", "client_id"], keep="first", maintain_order=True)
        .with_columns(is_marked=pl.col("attended").any().over("id"))
        .rename({"client_id": "attendee_id"})
    )


def fixed_status(healthie_status: str) -> pl.Expr:
    """Healthie's word for how an appointment ended, in ours; "other" where we know none."""
    # By batch, so that it streams; each word is read once, for there are few.
    return pl.col(healthie_status).map_batches(_fixed, return_dtype=pl.String(), is_elementwise=True)


def _fixed(said: pl.Series) -> pl.Series:
    words = said.unique()
    plain = words.fill_null("").str.to_lowercase().str.replace_all("[^a-z]", "")
    return said.replace_strict(words, plain.replace_strict(STATUSES, default="other"), return_dtype=pl.String)


def _status() -> pl.Expr:
    """Each row's status: the appointment's own where that ends it for all; else, in a group, the attendee's."""
    own = fixed_status("status")
    outcome = (
        pl.when(pl.col("cancelled"))
        .then(pl.lit("cancelled"))
        .when(pl.col("attended"))
        .then(pl.lit("occurred"))
        .when(pl.col("is_marked") & pl.col("attended").not_())
        .then(pl.lit("no_show"))
        .otherwise(pl.lit("unrecorded"))
    )
    # "Occurred" is said of the session, not of each person in it.
    is_each_ones = pl.col("attendee_id").is_not_null() & own.is_in(["occurred", "checked_in", "unrecorded"])
    return pl.when(is_each_ones).then(outcome).otherwise(own)


def _with_role(rows: pl.LazyFrame, roles: pl.DataFrame | None) -> pl.LazyFrame:
    """Add each visit's role. Of types without one it is said, so that any part of the rows still tells it."""
    if roles is not None:
        require(roles, ["appointment_type_id", "role"], query="roles")
    if roles is None or roles["role"].count() == 0:
        return rows.with_columns(role=pl.lit(None, pl.String))
    if roles["appointment_type_id"].is_duplicated().any():
        raise MetricError(
            "roles name an appointment type twice, which would count its visits twice: keep one role each."
        )
    named = roles.lazy().select("appointment_type_id", pl.col("role").cast(pl.String))
    return rows.join(named, on="appointment_type_id", how="left").with_columns(pl.col("role").fill_null(UNMAPPED))


def _with_reason(rows: pl.LazyFrame, cancellation_reasons: pl.DataFrame | None) -> pl.LazyFrame:
    if cancellation_reasons is None:
        return rows.with_columns(cancellation_reason=pl.lit(None, pl.String))
    require(cancellation_reasons, REASONS, query="cancellation_reasons")
    labels = cancellation_reasons.lazy().select("id", cancellation_reason=pl.col(REASONS[1]).str.strip_chars())
    return rows.join(labels.unique("id"), on="id", how="left")


def _identity() -> list[pl.Expr]:
    kept = pl.col("client_id", "provider_id", "appointment_type_id", "role", "is_group", "status", "healthie_status")
    return [pl.col("id").alias("appointment_id"), kept]


def _calendar() -> list[pl.Expr]:
    local, date = pl.col("local"), pl.col("local").dt.date()
    return [
        pl.col("starts_at"),
        date.alias("date"),
        date.dt.truncate("1w").alias("week"),
        date.dt.month_start().alias("month"),
        date.dt.truncate("1q").alias("quarter"),
        date.dt.weekday().alias("weekday"),
        local.dt.hour().alias("hour"),
        date.cast(pl.Int32).alias("day"),
    ]


def _timing(zone: str, late_notice_hours: float) -> list[pl.Expr]:
    left_group = pl.col("attendee_id").is_not_null() & pl.col("cancelled")
    left_at = pl.coalesce("cancelled_at", "status_changed_at")
    changed_at = pl.when(left_group).then(left_at).otherwise(pl.col("status_changed_at"))
    is_booked_once = (
        pl.col("recurring_id").is_null()
        & (pl.col("reschedule_count").fill_null(0) == 0)
        & (pl.col("status") != "rescheduled")
        & (pl.col("created_at") <= pl.col("starts_at"))
    )
    lead = (pl.col("starts_at") - pl.col("created_at")).dt.total_seconds() / 86_400
    notice = pl.when(pl.col("status").is_in(CANCELLED)).then(
        (pl.col("starts_at") - changed_at).dt.total_seconds() / 3_600
    )
    return [
        pl.col("minutes").cast(pl.Int64),
        pl.col("created_at").alias("booked_at"),
        changed_at.alias("status_changed_at"),
        _day(pl.col("created_at"), zone).alias("booked_day"),
        _day(changed_at, zone).alias("changed_day"),
        pl.when(is_booked_once).then(lead).alias("lead_days"),
        notice.alias("notice_hours"),
        (notice < late_notice_hours).alias("late_by_notice"),
    ]


def _day(instant: pl.Expr, zone: str) -> pl.Expr:
    """Day of an instant on the practice's calendar, as a number."""
    return instant.dt.convert_time_zone(zone).dt.date().cast(pl.Int32)


def _manner() -> list[pl.Expr]:
    cancelled_by = pl.col("cancellation_reason_type").alias("cancelled_by")
    return [pl.col("modality"), cancelled_by, pl.col("cancellation_reason"), pl.col("updated_at")]
