"""A connection: the settings, whose key it is, and sessions that share one pace."""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING, Any

from healthie_nb import query as queries
from healthie_nb.failures import AuthenticationError
from healthie_nb.pace import Pace
from healthie_nb.pages import Puller
from healthie_nb.session import RETRY_FOR_S, Session, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    import polars as pl

    from healthie_nb.query import Query
    from healthie_nb.settings import Settings

CONNECT_FOR_S = 15.0  # a person waits for it


class VersionWarning(UserWarning):
    """The API announced that it will stop serving this version."""


class Connection:
    """One endpoint and key. `sunset` is the day the version ends, None until the API has told one."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.sunset: str | None = None

    def ask(self, query: Query, variables: Mapping[str, Any], *, retry_for_s: float = RETRY_FOR_S) -> pl.DataFrame:
        """Return the rows of a query that has no pages."""

        async def main() -> pl.DataFrame:
            async with self.session() as session:
                return await Puller(session, query, variables).one(retry_for_s=retry_for_s)

        return run(main)

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Open a session whose requests keep to the key's pace."""
        with Pace(self.settings.data_dir, self.settings.key, ceiling=self.settings.max_rps) as pace:
            async with Session(self.settings, pace, warned=self._note) as session:
                yield session

    def owner(self) -> pl.DataFrame:
        """Ask whose key it is, one row of queries/current_user.graphql; it also proves the key and the version."""
        owner = self.ask(queries.read("current_user"), {}, retry_for_s=CONNECT_FOR_S)
        if owner.is_empty() or owner.item(0, "id") is None:
            raise AuthenticationError(f"{self.settings.host} does not know the key's owner; check HEALTHIE_API_KEY")
        return owner

    def _note(self, warning: Mapping[str, Any]) -> None:
        """Say once that this version will end: what, when, and what to set."""
        if self.sunset is not None:
            return
        self.sunset, latest = str(warning.get("sunset_date", "a day not told")), warning.get("latest_version")
        if not self.settings.is_synthetic:
            warnings.warn(
                f"Healthie stops serving API version {self.settings.version} on {self.sunset}; "
                f"set HEALTHIE_API_VERSION to {latest or 'a later one'} before then",
                VersionWarning,
                stacklevel=2,
            )
