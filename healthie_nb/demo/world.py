"""The demo practice's world: its rows as frames, the moment it stands at, and what was changed since."""

from datetime import UTC, date, datetime, timedelta
from zlib import crc32

import polars as pl

from healthie_nb.demo import known
from healthie_nb.demo.canary import Canary, planted
from healthie_nb.demo.discovery import fingerprint
from healthie_nb.demo.history import history
from healthie_nb.demo.moments import end_of
from healthie_nb.demo.truth import FIRST_DAY, LAST_DAY

TABLES = (
    "appointments", "attendances", "clients", "providers", "appointment_types", "form_requests", "filled_forms",
    "form_templates",
)  # fmt: skip


class World:
    """A practice that does not exist, as it was known at the end of a day.

    The frames are public and plain: one row per thing, instants in UTC, ids as String. Those with a deleted_at or a
    `finished` also hold what the API never lists. `appointments` carries the truth beside the row: position in the
    client's course, is_last, is_due, took_place, no_show_probability.
    """

    def __init__(
        self, *, seed: int = 1, clients: int = 4_050, as_of: date = LAST_DAY, canary: Canary | None = None
    ) -> None:
        """Raise ValueError for a day outside the practice's three years."""
        if not FIRST_DAY <= as_of <= LAST_DAY:
            raise ValueError(f"as_of is {as_of}; the demo practice is known from {FIRST_DAY} to {LAST_DAY}.")
        if clients < 1:
            raise ValueError(f"clients is {clients}; at least 1 is needed.")
        self.seed, self.client_count, self.as_of = seed, clients, as_of
        # Another world is another organisation, so that what was loaded of one is never taken for the other's.
        self.organization_id = str(1_700_000_000 + crc32(f"{seed} {clients} {as_of} {fingerprint()}".encode()) % 10**8)
        self.now = end_of(as_of)
        self.revisions = dict.fromkeys(TABLES, 0)
        story = history(seed, clients)
        self.appointments: pl.DataFrame = known.appointments(story, self.now)
        self.attendances: pl.DataFrame = known.attendances(story, self.now)
        self.clients: pl.DataFrame = known.clients(story, self.now, seed)
        self.providers: pl.DataFrame = known.providers(self.now)
        self.appointment_types: pl.DataFrame = known.appointment_types(self.now)
        self.form_requests: pl.DataFrame = known.requests(story, self.now)
        self.filled_forms: pl.DataFrame = known.filled_forms(story, self.now)
        self.form_templates: pl.DataFrame = known.form_templates()
        if canary is not None:
            planted(self, canary)

    def table(self, name: str) -> pl.DataFrame:
        """Return the frame of that name."""
        if name not in TABLES:
            raise KeyError(f"no table named {name!r}; there are: {', '.join(TABLES)}.")
        frame: pl.DataFrame = getattr(self, name)
        return frame

    def replace(self, name: str, frame: pl.DataFrame) -> None:
        """Put a changed frame in place of the one of that name; answers made from the old one are stale from now on."""
        self.table(name)
        setattr(self, name, frame)
        self.revisions[name] += 1

    def tick(self) -> datetime:
        """Return the moment of the next change: a second after the last one."""
        self.now = self.now.astimezone(UTC) + timedelta(seconds=1)
        return self.now
