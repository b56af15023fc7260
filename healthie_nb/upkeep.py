"""What is stored for a question is brought up to date, unless it is: by one at a time, while others read on.

What a pull owes besides, such as the ledger, is done before it counts as done.
"""

from __future__ import annotations

import asyncio
import warnings
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from healthie_nb.failures import LockedOutError
from healthie_nb.ledger import QUERY as LEDGERED
from healthie_nb.manifest import WHOLE, Manifest
from healthie_nb.merge import ONE_CLIENT
from healthie_nb.pages import Puller
from healthie_nb.progress import shown
from healthie_nb.refresh import Refresh, is_verified, up_to_date
from healthie_nb.session import run

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

    from healthie_nb.connection import Connection
    from healthie_nb.ledger import Ledger
    from healthie_nb.progress import Progress
    from healthie_nb.question import Question
    from healthie_nb.store import Store


class IncompleteWarning(UserWarning):
    """Some rows changed all the while they were pulled; they are asked for again next time."""


class MergedWarning(UserWarning):
    """Clients were merged into others: the ids that vanished stand for people who are still there."""


class Ages(NamedTuple):
    """How old what is stored may be: since it was brought up to date, and since all of it was pulled."""

    most: timedelta
    unverified: timedelta


@dataclass(frozen=True)
class Upkeep:
    """How a practice keeps its stores up to date.

    `client_ids` loads the ids of all its clients, `merged` tells which of those that are stored were merged.
    """

    connection: Connection
    ledger: Ledger
    client_ids: Callable[[], list[str]]
    merged: Callable[[], pl.DataFrame]
    clock: Callable[[], datetime]

    def ready(self, question: Question, ages: Ages) -> tuple[Manifest, bool]:
        """Return what is stored, up to date, and whether the API was asked for it."""
        manifest = question.store.manifest
        if self._is_ready(question, manifest, ages):
            return manifest, False
        with question.store.lock():  # Another notebook may pull it while this one waits here.
            manifest = question.store.manifest
            if self._is_ready(question, manifest, ages):
                return manifest, False
            self._refresh(question, ages, is_stale=self._is_older(manifest.loaded_at, ages.most))
            return question.store.manifest, True

    def _is_ready(self, question: Question, manifest: Manifest, ages: Ages) -> bool:
        if self._is_older(manifest.loaded_at, ages.most) or manifest.verified_at is None:
            return False
        is_due = not is_verified(manifest.verified_at, now=self.clock(), age=ages.unverified)
        return question.is_covered(manifest) and not is_due

    def _is_older(self, at: datetime | None, age: timedelta) -> bool:
        # A time that lies ahead was written by another clock and proves nothing.
        return at is None or not timedelta(0) <= self.clock() - at <= age

    def _refresh(self, question: Question, ages: Ages, *, is_stale: bool) -> None:
        query, is_ledgered = question.query, question.query.name == LEDGERED and self.ledger.is_kept
        if is_ledgered:
            self.ledger.verify()  # before anything is asked for that could not be recorded

        def record(store: Store) -> None:
            requests = store.read(store.manifest.of(WHOLE))
            self.ledger.record(requests, seen_at=self.clock(), are_all=not question.variables)

        async def client_ids() -> list[str]:
            return await asyncio.to_thread(self.client_ids)

        async def main() -> Refresh:
            async with self.connection.session() as session:
                puller = Puller(session, query, question.variables, progress=progress)
                asks = None if ONE_CLIENT in question.variables else client_ids
                witness = record if is_ledgered else None
                options: Any = {"clients": asks, "witness": witness, "verify_age": ages.unverified}
                refresh = Refresh(puller, question.store.draft(), query, self.clock(), **options)
                await up_to_date(refresh, question.window, is_stale=is_stale)
                return refresh

        known = self.merged()
        with shown(query.name) as progress:
            try:
                unsettled = run(main).unsettled
            except LockedOutError as error:
                raise LockedOutError(f"{error}. {_how_far(question, progress)}") from None
        pairs = ["client_id", "into_client_id"]
        if clients := self.merged().join(known, on=pairs, how="anti").n_unique("client_id"):
            message = f"clients that turn out to be merged into others: {clients}; practice.merged() lists them"
            warnings.warn(message, MergedWarning, stacklevel=6)
        if unsettled:
            message = f"{query.name}: {', '.join(unsettled)} did not hold still while pulled"
            warnings.warn(message, IncompleteWarning, stacklevel=6)


def _how_far(question: Question, progress: Progress) -> str:
    """Say what of a pull that was ended is stored, and so is not asked for again."""
    name, window = question.query.name, question.window
    if window is None:
        return f"{name} is asked for in one go, so what came of it is not kept; what was stored before is as it was"
    missing = sum((gap.end - gap.start for gap in question.store.draft().manifest.missing(window)), timedelta(0))
    days, of_days = (window.end - window.start - missing) / timedelta(days=1), (window.end - window.start).days
    return (
        f"{progress.came:,} of about {progress.expected:,} rows of {name} had come and are kept, and {days:.0f} of "
        f"{of_days:,} days are whole: it goes on from there"
    )
