"""Everything that ever happens in the practice, each thing with its id: what `known` then looks at from one day."""

from dataclasses import dataclass

import polars as pl

from healthie_nb.demo import forms, groups, oddities
from healthie_nb.demo.courses import planned
from healthie_nb.demo.draws import Draws
from healthie_nb.demo.moments import instant
from healthie_nb.demo.outcomes import outcomes
from healthie_nb.demo.people import clients
from healthie_nb.demo.truth import PROGRAMME_VISITS

FIRST_APPOINTMENT_ID, FIRST_REQUEST_ID, FIRST_FILLED_ID = 98_000, 51_000, 980_000
ARCHIVED, NEVER_CAME_ARCHIVED = 0.45, 0.3

_CALENDAR_COLUMNS = (
    "key", "client", "provider_id", "co_provider_id", "type_id", "minutes", "is_group", "is_block", "is_synced",
    "created_at", "booked_for", "moved_at", "starts_at", "status", "status_at", "reason_type", "series",
    "reschedule_count", "deleted_at", "position", "is_last", "ended_at", "is_due", "took_place", "no_show_probability",
)  # fmt: skip


@dataclass(frozen=True)
class History:
    """The whole story, past and future of any day. Instants are when things happen; nothing is hidden yet."""

    clients: pl.DataFrame
    appointments: pl.DataFrame
    attendances: pl.DataFrame
    requests: pl.DataFrame
    filled: pl.DataFrame


def history(seed: int, count: int) -> History:
    """Return the story that a seed tells about so many clients.

    Ids grow with time: a later day adds, and changes none.
    """
    draws = Draws(seed)
    people = clients(draws, count)
    bookings = outcomes(draws, planned(draws, people))
    sessions = groups.sessions(draws)
    extra = oddities.oddities(draws, people, bookings)
    people = people.join(_ends(draws, people, bookings), on="client", how="left").sort("client")
    appointments = _numbered(
        _calendar(bookings, sessions, extra).with_columns(_place(draws)), FIRST_APPOINTMENT_ID, "created_at"
    )
    requests = _numbered(forms.requests(draws, people, bookings), FIRST_REQUEST_ID, "requested_at")
    return History(
        clients=people,
        appointments=appointments,
        attendances=_attendances(draws, people, sessions, appointments),
        requests=requests,
        filled=_filled(draws, people, appointments, requests),
    )


def _calendar(*parts: pl.DataFrame) -> pl.DataFrame:
    return pl.concat(
        [part.select(name for name in _CALENDAR_COLUMNS if name in part.columns) for part in parts], how="diagonal"
    )


def _numbered(rows: pl.DataFrame, first: int, at: str) -> pl.DataFrame:
    return rows.sort(at, "key").with_row_index("number", offset=first).with_columns(id=pl.col("number").cast(pl.String))


def _place(draws: Draws) -> list[pl.Expr]:
    among = {"Secure Videochat": 0.55, "In Person": 0.33, "Phone Call": 0.12}
    modality = draws.pick("modality", pl.col("key"), among=among)
    return [
        pl.when(pl.col("type_id").is_not_null()).then(modality).alias("contact_type"),
        pl.col("is_block").fill_null(value=False),
        pl.col("is_synced").fill_null(value=False),
        pl.col("is_group").fill_null(value=False),
        pl.col("took_place").fill_null(value=False),
    ]


def _ends(draws: Draws, people: pl.DataFrame, bookings: pl.DataFrame) -> pl.DataFrame:
    """How each client's care ends. Columns: client, completed_at (of the programme), archived_at."""
    who = pl.col("client")
    courses = bookings.filter(pl.col("position").is_not_null(), pl.col("ended_at").is_null()).group_by("client").agg(
        last_day=pl.col("day").max(), dropped=pl.col("is_last").any(), reached=pl.col("position").max()
    )  # fmt: skip
    waits = pl.duration(days=draws.integer("archived after", who, low=60, high=240))
    came, never = draws.chance("archived", who, of=ARCHIVED), draws.chance("archived", who, of=NEVER_CAME_ARCHIVED)
    completes = (pl.col("track") == "programme") & (pl.col("reached") == PROGRAMME_VISITS) & ~pl.col("dropped")
    evening = pl.lit(1_100)
    return (
        people.join(courses, on="client", how="left")
        .with_columns(completes=completes.fill_null(value=False))
        .select(
            "client",
            pl.when("completes").then(instant(pl.col("last_day") + pl.duration(days=1), evening)).alias("completed_at"),
            pl.when((pl.col("dropped") | pl.col("completes")) & came)
            .then(instant(pl.col("last_day") + waits, evening))
            .when(pl.col("last_day").is_null() & never)
            .then(instant(pl.col("created_day") + waits, evening))
            .alias("archived_at"),
        )
    )


def _attendances(
    draws: Draws, people: pl.DataFrame, sessions: pl.DataFrame, appointments: pl.DataFrame
) -> pl.DataFrame:
    ids = appointments.select("key", appointment_id="id")
    return (
        groups.attendances(draws, people, sessions)
        .join(people.select("client", "archived_at"), on="client")
        .filter(pl.col("archived_at").is_null() | (pl.col("joined_at") < pl.col("archived_at")))
        .join(ids, on="key")
        .drop("archived_at", "key")
        .sort("appointment_id", "client")
        .with_row_index("number", offset=1)
        .with_columns(id=pl.col("number").cast(pl.String))
    )


def _filled(draws: Draws, people: pl.DataFrame, appointments: pl.DataFrame, requests: pl.DataFrame) -> pl.DataFrame:
    """Every filled form and note, drafts too.

    Columns: form_id, client (null for a group's note), provider_id (null when
    the client filled it), appointment_id, request_id, service_at, began_at, completed_at, signed_at, locked_at.
    """
    started = requests.filter(pl.col("started_at").is_not_null()).select(
        "key", "client", "form_id", "completed_at", request_id="id", began_at="started_at"
    )
    unasked = forms.unasked(draws, people).with_columns(began_at=pl.col("completed_at"))
    bookings = appointments.select("key", appointment_id="id", service_at="starts_at")
    notes = (
        forms.notes(draws, appointments)
        .join(bookings, on="key")
        .with_columns(key=pl.col("key") + 2**54, began_at=pl.col("written_at"), completed_at=pl.col("written_at"))
        .drop("written_at")
    )
    return _numbered(pl.concat([started, unasked, notes], how="diagonal"), FIRST_FILLED_ID, "began_at")
