"""A made practice of any size, for measuring metrics: seeded, in memory, and without a server.

Its shape is that of a real one (who stays, when they come, what is missed), so that groups are as many and as uneven.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from healthie_nb.visits import APPOINTMENTS, ATTENDANCE, visits

if TYPE_CHECKING:
    from numpy.random import Generator

AS_OF, HISTORY, ZONE = "2026-06-30", "2022-10-01", "America/Chicago"
KEY = b"kept with the store, never shown"  # of pseudonyms
FIRST, LAST = date(2022, 7, 1), date(2026, 8, 31)
INSTANT = pl.Datetime("us", "UTC")
TYPES = {"t1": "intake", "t2": "follow-up", "t3": "follow-up", "t4": "group", "t5": "discovery", "t6": "admin"}
FORMS = {"f1": "intake", "f2": "consent", "f3": "consent", "f4": "outcome measure", "f5": "outcome measure"}
STATUSES = {
    "Occurred": 0.76,
    "No-Show": 0.07,
    "Cancelled": 0.08,
    "Late Cancellation": 0.02,
    "Re-Scheduled": 0.03,
    "Checked-In": 0.01,
    None: 0.03,
}
PER_CLIENT, PER_PROVIDER, GROUP_OF = 18, 15_000, 6


@dataclass(frozen=True)
class Given:
    """What metrics take; `visits` of any engine, the rest polars."""

    visits: Any
    clients: pl.DataFrame
    chart_notes: pl.DataFrame
    filled_forms: pl.DataFrame
    form_requests: pl.DataFrame
    form_roles: pl.DataFrame
    appointments: pl.DataFrame
    attendance: pl.DataFrame
    roles: pl.DataFrame


def practice(rows: int, *, seed: int = 1) -> Given:
    """Make a practice with about so many visits."""
    rng = np.random.default_rng(seed)
    people = _people(rng, max(rows // PER_CLIENT, 1))
    single = _appointments(rng, people, int(rows * 0.96))
    groups, attendance = _groups(rng, people, int(rows * 0.04 / GROUP_OF))
    appointments = pl.concat([single, groups]).sort("starts_at")
    roles = pl.DataFrame({"appointment_type_id": list(TYPES), "role": list(TYPES.values())})
    seen = visits(appointments, zone=ZONE, attendance=attendance, roles=roles)
    return Given(
        visits=seen,
        clients=people.drop("begins"),
        chart_notes=_chart_notes(rng, single),
        filled_forms=_filled(rng, people),
        form_requests=_requests(rng, people),
        form_roles=pl.DataFrame({"form_id": list(FORMS), "role": list(FORMS.values())}),
        appointments=appointments,
        attendance=attendance,
        roles=roles,
    )


def _hours(rng: Generator, size: int, mean: float) -> pl.Series:
    return pl.Series(rng.exponential(mean * 3.6e9, size).astype(np.int64)).cast(pl.Duration("us"))


def _people(rng: Generator, size: int) -> pl.DataFrame:
    """Clients, who sign up all along; every tenth did before the practice's history begins."""
    span = (LAST - FIRST).days
    begins = rng.integers(-span // 10, span - 60, size)
    groups, sources = np.array(["done", "waiting", None, None, None]), np.array(["web", "doctor", "friend", None])
    start = pl.lit(datetime(FIRST.year, FIRST.month, FIRST.day, 14, tzinfo=UTC)).cast(INSTANT)
    return (
        pl.DataFrame({"number": rng.permutation(size) + 1_000_000, "begins": begins})
        .with_columns(
            id=pl.col("number").cast(pl.String),
            created_at=start + pl.duration(days=pl.col("begins") - pl.Series(rng.integers(0, 30, size))),
            is_active=pl.Series(rng.random(size) < 0.8),
            group_id=pl.Series(groups[rng.integers(0, 5, size)].tolist(), dtype=pl.String),
            source_name=pl.Series(sources[rng.integers(0, 4, size)].tolist(), dtype=pl.String),
            provider_id=pl.Series(rng.integers(0, 40, size)).cast(pl.String),
            stays=pl.Series(rng.integers(30, 500, size)),
        )
        .with_columns(archived_at=pl.when(~pl.col("is_active")).then(pl.col("created_at") + pl.duration(days="stays")))
        .drop("number", "stays")
    )


def _appointments(rng: Generator, people: pl.DataFrame, rows: int) -> pl.DataFrame:
    """One client's courses: every week or two from their begin, some pauses, until they stop or the calendar does."""
    counts = np.minimum(rng.geometric(1 / PER_CLIENT, people.height), 150)
    who = np.repeat(np.arange(people.height), counts)
    gaps = rng.choice([7, 7, 7, 14, 14, 28, 70, 150], len(who), p=[0.3, 0.2, 0.1, 0.2, 0.1, 0.05, 0.03, 0.02])
    starts = np.cumsum(counts) - counts
    gaps[starts] = 0
    total = np.cumsum(gaps)
    offsets = total - np.repeat(total[starts], counts) + np.repeat(people["begins"].to_numpy(), counts)
    kept = np.flatnonzero((offsets >= 0) & (offsets <= (LAST - FIRST).days))
    # As many as were asked for: thinned, or drawn again on other days.
    chosen = np.sort(rng.choice(kept, rows, replace=rows > len(kept)))
    day, client = offsets[chosen], people["id"].gather(who[chosen])
    minute = rng.integers(13 * 4, 24 * 4, rows) * 15
    providers = max(rows // PER_PROVIDER, 3)
    at = pl.lit(datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC)).cast(INSTANT)
    types = np.array(["t1", "t2", "t3", "t5", "t6"])[rng.choice(5, rows, p=[0.08, 0.6, 0.28, 0.02, 0.02])]
    words = np.array(list(STATUSES), dtype=object)[rng.choice(len(STATUSES), rows, p=list(STATUSES.values()))]
    modes = np.array(["video", "office", "phone", None], dtype=object)[rng.choice(4, rows, p=[0.5, 0.4, 0.08, 0.02])]
    why = np.array(["client", "provider", "organization", None], dtype=object)[rng.integers(0, 4, rows)]
    made = pl.DataFrame(
        {
            "id": pl.Series(rng.permutation(rows) + 10_000_000).cast(pl.String),
            "client_id": client,
            "provider_id": pl.Series(rng.zipf(1.4, rows) % providers).cast(pl.String),
            "appointment_type_id": pl.Series(types),
            "status": pl.Series(words.tolist(), dtype=pl.String),
            "modality": pl.Series(modes.tolist(), dtype=pl.String),
            "minutes": pl.Series(rng.choice([30, 45, 60, 90], rows)),
            "cancellation_reason_type": pl.Series(why.tolist(), dtype=pl.String),
            "reschedule_count": pl.Series((rng.random(rows) < 0.05).astype(np.int64)),
            "recurring_id": pl.Series(np.where(rng.random(rows) < 0.2, "r", None).tolist(), dtype=pl.String),
            "day": pl.Series(day),
            "minute": pl.Series(minute),
        }
    ).with_columns(starts_at=at + pl.duration(days="day", minutes="minute"))
    ahead, notice, edit = _hours(rng, rows, 24 * 18), _hours(rng, rows, 60), _hours(rng, rows, 20)
    return _finished(made, ahead, notice, edit)


def _finished(made: pl.DataFrame, ahead: pl.Series, notice: pl.Series, edit: pl.Series) -> pl.DataFrame:
    """Add times of booking and change; what lies ahead has no status but that it was called off."""
    lies_ahead = pl.col("starts_at").dt.convert_time_zone(ZONE).dt.date() > date.fromisoformat(AS_OF)
    is_off = pl.col("status").is_in(["Cancelled", "Late Cancellation", "Re-Scheduled"])
    rows = made.with_columns(
        status=pl.when(is_off | ~lies_ahead).then("status"),
        created_at=pl.col("starts_at") - ahead,
        status_changed_at=pl.when(is_off).then(pl.col("starts_at") - notice).otherwise(pl.col("starts_at") + edit),
        cancellation_reason_type=pl.when(is_off).then("cancellation_reason_type"),
        updated_at=pl.col("starts_at") + edit,
    )
    return rows.select(pl.col(name).cast(dtype) for name, dtype in APPOINTMENTS.items())


def _groups(rng: Generator, people: pl.DataFrame, sessions: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Group sessions and who came to them."""
    span = (LAST - FIRST).days
    at = pl.lit(datetime(FIRST.year, FIRST.month, FIRST.day, 22, tzinfo=UTC)).cast(INSTANT)
    made = pl.DataFrame(
        {
            "id": pl.Series(np.arange(sessions) + 90_000_000).cast(pl.String),
            "client_id": pl.Series([None] * sessions, dtype=pl.String),
            "provider_id": pl.Series(rng.integers(0, 3, sessions)).cast(pl.String),
            "appointment_type_id": pl.Series(["t4"] * sessions, dtype=pl.String),
            "status": pl.Series(np.where(rng.random(sessions) < 0.9, "Occurred", "Cancelled")),
            "modality": pl.Series(["office"] * sessions, dtype=pl.String),
            "minutes": pl.Series([90] * sessions, dtype=pl.Int64),
            "cancellation_reason_type": pl.Series([None] * sessions, dtype=pl.String),
            "reschedule_count": pl.Series([0] * sessions, dtype=pl.Int64),
            "recurring_id": pl.Series(["g"] * sessions, dtype=pl.String),
            "day": pl.Series(rng.integers(0, span, sessions)),
        }
    ).with_columns(starts_at=at + pl.duration(days="day"))
    ahead, edit = _hours(rng, sessions, 24 * 60), _hours(rng, sessions, 20)
    seats = sessions * GROUP_OF
    came = pl.DataFrame(
        {
            "id": made["id"].gather(np.repeat(np.arange(sessions), GROUP_OF)),
            "client_id": people["id"].gather(rng.integers(0, people.height, seats)),
            "attended": pl.Series(rng.random(seats) < 0.8),
            "cancelled": pl.Series(rng.random(seats) < 0.05),
            "cancelled_at": pl.Series([None] * seats, dtype=INSTANT),
        }
    )
    listed = came.group_by("id", maintain_order=True).agg(attended_clients=pl.struct(pl.exclude("id")))
    return _finished(made, ahead, _hours(rng, sessions, 60), edit), listed.cast(dict(ATTENDANCE))  # type: ignore[arg-type]


def _chart_notes(rng: Generator, single: pl.DataFrame) -> pl.DataFrame:
    """Make notes of most visits that took place, most of them signed within days."""
    rows = single.filter(pl.col("status") == "Occurred").sample(fraction=0.95, seed=1).select("id", "starts_at")
    written = pl.col("starts_at") + _hours(rng, rows.height, 12)
    signed = written + _hours(rng, rows.height, 24)
    is_signed = pl.Series(rng.random(rows.height) < 0.97)
    signings = pl.when(is_signed).then(pl.concat_list(pl.struct(signed_at=signed)))
    empty = pl.lit([], dtype=pl.List(pl.Struct({"signed_at": INSTANT})))
    return rows.select(appointment_id="id", filled_at=written, signings=pl.coalesce(signings, empty))


def _filled(rng: Generator, people: pl.DataFrame) -> pl.DataFrame:
    """Make filled forms: what is asked for at first, and measures again and again."""
    size = people.height * 6
    who = rng.integers(0, people.height, size)
    form = rng.choice(list(FORMS), size, p=[0.15, 0.15, 0.1, 0.3, 0.3])
    later = np.where(np.isin(form, ["f4", "f5"]), rng.integers(0, 150, size), rng.integers(-10, 10, size))
    return pl.DataFrame(
        {
            "client_id": people["id"].gather(who),
            "form_id": pl.Series(form),
            "filled_at": people["created_at"].gather(who),
            "later": pl.Series(later),
            "is_finished": pl.Series(rng.random(size) < 0.97),
        }
    ).select("client_id", "form_id", pl.col("filled_at") + pl.duration(days=pl.col("later") + 10), "is_finished")


def _requests(rng: Generator, people: pl.DataFrame) -> pl.DataFrame:
    """Form requests, most of them completed."""
    size = people.height * 4
    who = rng.integers(0, people.height, size)
    is_begun, is_done = rng.random(size) < 0.85, rng.random(size) < 0.9
    begun = pl.Series(is_begun)
    return pl.DataFrame(
        {
            "id": pl.Series(np.arange(size)).cast(pl.String),
            "form_id": pl.Series(rng.choice(list(FORMS), size)),
            "client_id": people["id"].gather(who),
            "sender_id": pl.Series(rng.integers(0, 40, size)).cast(pl.String),
            "date_to_show": people["created_at"].gather(who) + timedelta(days=3),
            "number": pl.Series(np.arange(size)).cast(pl.String),
            "done": pl.Series(is_done),
        }
    ).select(
        pl.exclude("number", "done"),
        filled_form_id=pl.when(begun).then("number"),
        filled_form_is_finished=pl.when(begun).then("done"),
    )
