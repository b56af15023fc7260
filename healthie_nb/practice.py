"""`connect()` and `Practice.load()`: the stages in order, query → pages → frame → store → frame."""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

import polars as pl

from healthie_nb import query as queries
from healthie_nb import settings as configuration
from healthie_nb.access import note
from healthie_nb.cabinet import Cabinet, cache_key, kept_folder
from healthie_nb.connection import Connection
from healthie_nb.ledger import Ledger
from healthie_nb.owner import owner as known_owner
from healthie_nb.question import Question
from healthie_nb.refresh import VERIFY_AGE
from healthie_nb.shelves import StoreError
from healthie_nb.store import DamagedPartError
from healthie_nb.upkeep import Ages, Upkeep
from healthie_nb.windows import between
from healthie_nb.zones import iana

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from healthie_nb.manifest import Manifest
    from healthie_nb.query import Query
    from healthie_nb.settings import Settings

logging.getLogger("healthie_nb").addHandler(logging.NullHandler())  # silent, until somebody listens

T = TypeVar("T")
MAX_AGE = timedelta(days=1)
EARLIEST = date(2000, 1, 1)  # before Healthie was; for queries whose dates may be left out


def connect(*, demo: bool | None = None, allow_host: str | None = None) -> Practice:
    """Return the practice that the environment names: Healthie with a key, the demo practice without one.

    Parameters
    ----------
    demo
        True takes the demo practice although there is a key; False refuses to.
    allow_host
        A host other than Healthie's own that may have the key, over https.

    Raises
    ------
    SettingsError
        A HEALTHIE_ variable that cannot be used, a host that may not have the key, or no key where one is needed.
    AuthenticationError, ConnectionFailedError, VersionError
        The endpoint does not take the key, cannot be reached, or does not serve the version. Where this key was used
        on this machine before, an endpoint that cannot be reached is a warning: what is stored can be loaded offline.
    """
    return Practice(configured(demo=demo, allow_host=allow_host))


def configured(*, demo: bool | None = None, allow_host: str | None = None) -> Settings:
    """Return the settings that `connect` uses; a demo practice is started for them if it is to be one."""
    env = configuration.environment()
    settings = None if demo else configuration.from_environment(env, allow_host=allow_host)
    if settings is not None:
        return settings
    if demo is False:
        raise configuration.SettingsError(
            "HEALTHIE_API_KEY is not set; set it, or leave demo=False out for the demo practice"
        )
    from healthie_nb.demo import start  # noqa: PLC0415, the server is only for those who use it

    endpoint = start()
    return configuration.settings(env, endpoint.url, endpoint.key)


class Loaded(NamedTuple):
    """A query that was loaded: its name, the hash of its text, and when its rows were brought up to date."""

    query: str
    hash: str
    loaded_at: datetime | None


class Practice:
    """The organisation behind a key, as the key's owner sees it. Made by `connect()`.

    `ledger` is what was seen of form requests, pull by pull.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._connection, self._settings, self._clock = Connection(settings), settings, clock
        self._key = cache_key(settings)
        owner = known_owner(self._connection, self._key)
        self.name: str = owner["organization_name"] or "Unnamed organisation"
        self.zone = iana(settings.zone or owner["timezone"] or "Etc/UTC")
        self.version = settings.version
        self.is_synthetic = settings.is_synthetic
        host = "demo" if self.is_synthetic else settings.host
        identity = (host, owner["organization_id"], owner["id"], settings.version)
        self.fingerprint = hashlib.sha256(repr(identity[:3]).encode()).hexdigest()[:16]
        self._cabinet = Cabinet(settings.cache_dir, self._key, practice=self.name, identity=identity)
        self._asked: dict[str, Loaded] = {}
        self._session_key = secrets.token_bytes(32)
        self.ledger = Ledger(kept_folder(settings.data_dir / "ledger", self.name, host, *identity[1:3]), self._key)
        self._upkeep = Upkeep(self._connection, self.ledger, self._client_ids, self._cabinet.merged, clock)

    def __repr__(self) -> str:
        """Say which practice, version, zone and store; never the key, never a port."""
        source = "synthetic data" if self.is_synthetic else self._settings.host
        until = f" (served until {self._connection.sunset})" if self._connection.sunset else ""
        kept = "encrypted on this machine" if self._key else "in memory only"
        return f"{self.name}: {source}\nAPI version {self.version}{until}, zone {self.zone}, rows kept {kept}"

    @property
    def pseudonym_key(self) -> bytes:
        """What clients' pseudonyms are made with: kept with the rows, or for this session; the demo's never changes."""
        if self.is_synthetic:
            return b"nobody: clients of the demo practice"
        return hmac.digest(self._key or self._session_key, b"pseudonyms", "sha256")

    def load(
        self,
        query: str | Path,
        *,
        max_age: timedelta = MAX_AGE,
        verify_age: timedelta = VERIFY_AGE,
        offline: bool = False,
        deleted: bool = False,
        **variables: Any,
    ) -> pl.DataFrame:
        """Return every row of a query that the key may see, once; only what is missing or old is asked for.

        Parameters
        ----------
        query
            One of `healthie_nb.query.names()`, or the Path of a .graphql file.
        max_age
            What was loaded longer ago is brought up to date first: what changed is asked for, not everything.
        verify_age
            What was pulled longer ago is pulled afresh: a change below a row, such as to the name of what it points to,
            need not show among what changed.
        offline
            Ask nothing: what is stored, whatever its age. `stored()` says from when it is.
        deleted
            Return the rows that vanished from the practice instead, with `deleted_seen_at`.
        **variables
            Those that the file declares. `start` and `end` are days in the practice's zone, both included, or
            instants, of which the end is not.

        Rows: one per id, ordered by the window's column and id. Columns: the aliases of the file, nested ones
        prefixed; dtypes follow the schema. The same columns when there are no rows. Source: the file.

        Raises
        ------
        QueryError
            No such query, a variable that it does not declare or lacks, a date that is none, an end before its start.
        ApiError
            By its kind: what the API refused, and what to do.
        StoreError
            The store cannot be written, or `offline` and not stored.
        LedgerError, AccessLogError
            What a load leaves behind for good cannot be read or written.
        """
        question = self._question(query, variables)
        if question is None:
            return self._ask(queries.read(query), variables, offline=offline)

        def read(manifest: Manifest) -> pl.DataFrame:
            return question.store.collect(question.rows(manifest, deleted=deleted), manifest.parts)

        rows, source = self._whole(question, read, ages=Ages(max_age, verify_age), offline=offline)
        self._log(question, rows=rows.height, source=source)
        return rows

    def scan(
        self,
        query: str | Path,
        *,
        max_age: timedelta = MAX_AGE,
        verify_age: timedelta = VERIFY_AGE,
        offline: bool = False,
        **variables: Any,
    ) -> pl.LazyFrame:
        """Return what `load` would, as a LazyFrame on the stored parts, for an hour or so: then make it anew.

        Parts that are missing, cut off or another's are found here and asked for again. Of a byte that was changed
        within one, polars tells only when the rows are collected; `load` then asks for them again.
        """
        question = self._question(query, variables)
        if question is None:
            return self._ask(queries.read(query), variables, offline=offline).lazy()

        def read(manifest: Manifest) -> tuple[pl.LazyFrame, int]:
            rows = question.rows(manifest)
            return rows, question.store.collect(rows.select(pl.len()), manifest.parts).item()

        (rows, height), source = self._whole(question, read, ages=Ages(max_age, verify_age), offline=offline)
        self._log(question, rows=height, source=source)
        return rows

    def export(
        self,
        name: str | Path,
        *,
        to: str | Path,
        unencrypted: bool = False,
        storage_options: Mapping[str, Any] | None = None,
        roles: pl.DataFrame | None = None,
        test_clients: pl.DataFrame | None = None,
        cancellation_reasons: pl.DataFrame | None = None,
        **options: Any,
    ) -> pl.DataFrame:
        """Write visits, or a data set, as plain Parquet for polars, DuckDB or Spark: a file for each month.

        `to/NAME/month=2026-06-01/NAME.parquet`, and `to/NAME.json` beside it: columns, practice, queries, rows of each
        month. A month whose rows are there already is left as it is. What has no window is one file. Killed at any
        moment, every file that is there is whole, and the next export goes on; one that vanished leaves no rows.

        Parameters
        ----------
        name
            "visits", or what `load` takes.
        to
            A folder, or an address in an object store: s3://, gs://, az://.
        unencrypted
            True says that client data may lie there, outside the encrypted store. The demo practice needs no such word.
        storage_options
            Credentials and endpoint of the object store, as polars takes them; without, those of the environment.
        roles, test_clients, cancellation_reasons
            For visits, as `hn.visits` takes them.
        **options
            What `scan` takes beside the query: the file's variables, `max_age`, `verify_age`, `offline`. Dates are
            widened to whole months.

        Rows: one per month, in order. Columns: month Date, null where there is no window; rows, bytes Int64; is_written
        Boolean.

        Raises
        ------
        LakeError
            `unencrypted` was not said; the place holds something else, cannot be written, or has no credentials.
        QueryError, ApiError, StoreError
            As `load`.
        """
        from healthie_nb import lake  # noqa: PLC0415, a room further down: it loads from here

        return lake.export(
            self,
            name,
            to=to,
            now=self._clock(),
            unencrypted=unencrypted,
            storage_options=storage_options,
            roles=roles,
            test_clients=test_clients,
            cancellation_reasons=cancellation_reasons,
            options=options,
        )

    def stored(self) -> pl.DataFrame:
        """Return what is kept on this machine: query, rows, from, to, loaded_at, verified_at, bytes, hidden."""
        return self._cabinet.stored()

    def merged(self) -> pl.DataFrame:
        """Return the clients that were merged into others, as what is stored tells; asks nothing.

        A client who vanished from `clients`, while rows that were theirs when they were loaded are another's now.

        Rows: one per vanished client, query, and client who has the rows now. Columns: client_id, into_client_id,
        query String; rows Int64; seen_at Datetime UTC, when the first of them was seen.
        """
        return self._cabinet.merged()

    @property
    def loaded(self) -> list[Loaded]:
        """What was loaded through this connection, each query once, in the order of their names."""
        return [self._asked[name] for name in sorted(self._asked)]

    def forget(self, query: str) -> None:
        """Remove what is kept of a query. The ledger stays. Raises StoreError if nothing is."""
        self.note("forget", query=query, rows=self._cabinet.forget(query))

    def note(self, action: str, **entry: Any) -> None:
        """Write a line into the access log: what was done, with no row and no value of one."""
        note(self._settings.data_dir, at=self._clock(), action=action, **entry)

    # -- one question's way ------------------------------------------------------------------------------------------

    def _question(self, query: str | Path, variables: Mapping[str, Any]) -> Question | None:
        asked = queries.read(query)
        asked.check(variables)
        if not asked.is_paged:
            return None
        today = self._clock().astimezone(ZoneInfo(self.zone)).date()
        start, end = variables.get("start", EARLIEST), variables.get("end", today)
        window = between(start, end, zone=self.zone) if asked.window else None
        others = {name: value for name, value in variables.items() if not window or name not in queries.WINDOW}
        return Question(asked, others, window, self._cabinet.store(asked, others))

    def _whole(self, question: Question, read: Callable[[Manifest], T], *, ages: Ages, offline: bool) -> tuple[T, str]:
        """Return what is read of the parts that answer a question, and where from; damaged ones are asked for again."""
        while True:
            manifest, was_asked = self._ready(question, ages, offline=offline)
            try:
                found = read(manifest)
            except DamagedPartError as error:
                if offline:
                    raise
                question.store.drop(error.part, now=self._clock())
                continue
            name = question.query.name
            self._asked[name] = Loaded(name, question.query.hash, manifest.loaded_at)
            return found, "api" if was_asked else "store"

    def _ready(self, question: Question, ages: Ages, *, offline: bool) -> tuple[Manifest, bool]:
        """Return what is stored for a question, up to date unless nothing may be asked, and whether any was."""
        if not offline:
            return self._upkeep.ready(question, ages)
        manifest = question.store.manifest
        if not question.is_covered(manifest):
            raise StoreError(f"offline, and not all of {question.query.name} is stored for this; see practice.stored()")
        return manifest, False

    def _client_ids(self) -> list[str]:
        # Those of today: the requests of a client who came since the last load would be missing.
        return self.load("clients", max_age=timedelta(0)).get_column("id").to_list()

    def _ask(self, query: Query, variables: Mapping[str, Any], *, offline: bool) -> pl.DataFrame:
        """Ask what has no pages, and is not kept."""
        if offline:
            raise StoreError(f"offline, and {query.name} is never stored: leave offline=True out to ask for it")
        rows = self._connection.ask(query, variables)
        self._asked[query.name] = Loaded(query.name, query.hash, self._clock())
        self.note("load", query=query.name, hash=query.hash, rows=rows.height, source="api")
        return rows

    def _log(self, question: Question, *, rows: int, source: str) -> None:
        """Write into the access log what was loaded; no values of variables, for they may be about clients."""
        window, query = question.window, question.query
        span = {"from": window.start, "to": window.end} if window else {}
        self.note("load", query=query.name, hash=query.hash, **span, rows=rows, source=source)
