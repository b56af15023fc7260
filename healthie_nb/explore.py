"""Explorers, one call per notebook: what its controls are, and what each of their settings shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from healthie_nb import charts, controls, tables
from healthie_nb import retention as metrics
from healthie_nb.engines import reduced
from healthie_nb.live import Answer, Explorer
from healthie_nb.newcomers import EPOCH, day_number, known, occurred

if TYPE_CHECKING:
    from collections.abc import Mapping

    from healthie_nb.newcomers import Every

NAMED: Final = ("provider_id", "appointment_type_id")
MONTHS: Final = {"month": 1, "quarter": 3}
HELP: Final = "Provider and appointment type are those of the first visit. Ctrl or Cmd with a click chooses several."


@dataclass(frozen=True)
class Retention:
    """What the views of retention are made from: visits that count, and each new client's first."""

    visits: pl.DataFrame
    firsts: pl.DataFrame
    names: Mapping[str, Mapping[str, str]]  # of provider_id and appointment_type_id
    as_of: str | date
    months: int
    synthetic: bool

    def answer(
        self,
        *,
        cohorts_from: date | None,
        cohorts_until: date | None,
        every: Every,
        provider_ids: tuple[str, ...] = (),
        appointment_type_ids: tuple[str, ...] = (),
    ) -> Answer:
        """Cohorts that began on these days, of clients whose first visit was one of those; no ids mean all."""
        if cohorts_from is None or cohorts_until is None:
            return Answer("Give both dates.")
        if cohorts_from > cohorts_until:
            return Answer("The first date is after the last: exchange them.")
        chosen = {"provider_id": provider_ids, "appointment_type_id": appointment_type_ids}
        clients = self.firsts.filter(*(pl.col(name).is_in(ids) for name, ids in chosen.items() if ids))
        rows = self.rows(clients, every).filter(pl.col("cohort").is_between(cohorts_from, cohorts_until))
        if rows.is_empty():
            return Answer(self._why_none(cohorts_from, cohorts_until, chosen))
        sizes = rows.unique("cohort")["clients"]
        return Answer(
            f"{sizes.sum():,} of {self.firsts.height:,} new clients; cohorts: {sizes.len()}. {HELP}",
            rows,
            charts.cohorts_parts(rows, every=every, synthetic=self.synthetic),
            tables.cohorts(rows, every=every, synthetic=self.synthetic),
        )

    def rows(self, clients: pl.DataFrame, every: Every) -> pl.DataFrame:
        """Cohorts of these clients by the whole of their visits."""
        theirs = self.visits.join(clients, on="client_id", how="semi")
        periods = -(-self.months // MONTHS[every])
        return metrics.cohorts(theirs, as_of=self.as_of, every=every, measure="on", periods=periods)

    def _why_none(self, start: date, end: date, chosen: Mapping[str, tuple[str, ...]]) -> str:
        said = [", ".join(self.names[column][key] for key in ids) for column, ids in chosen.items() if ids]
        among = f" among {' and '.join(said)}" if said else ""
        return f"No cohort begins between {start} and {end}{among}. Widen the dates, choose more, or reset."


def retention(
    visits: Any,
    *,
    as_of: str | date,
    cohorts_from: str | date,
    cohorts_until: str | date,
    months: int,
    providers: pl.DataFrame,
    appointment_types: pl.DataFrame,
    synthetic: bool,
    history_from: str | date | None = None,
    clients: pl.DataFrame | None = None,
) -> Explorer:
    """Cohorts of new clients to look around in: by dates, by month or quarter, by the first visit's provider and type.

    The filters choose clients by their first visit; every later visit of theirs counts, with whomever it was.

    Parameters
    ----------
    as_of, history_from, clients
        As for `retention.cohorts`.
    cohorts_from, cohorts_until
        The controls start with the cohorts that begin on these days.
    months
        How many months after the first visit are shown.
    providers, appointment_types
        Rows of the queries, for their names.
    synthetic
        `practice.is_synthetic`.

    Raises
    ------
    MetricError as `retention.cohorts`.
    """
    seen = reduced(occurred(visits, as_of, *NAMED))
    firsts = seen.sort("starts_at", "appointment_id").unique("client_id", keep="first", maintain_order=True)
    new = firsts.select("client_id", *NAMED, first_day="day").pipe(known, clients, history_from)
    names = {
        "provider_id": _names(new["provider_id"], providers.with_columns(has_left=~pl.col("is_active"))),
        "appointment_type_id": _names(new["appointment_type_id"], appointment_types.with_columns(has_left=False)),
    }
    source = Retention(seen, new, names, as_of, months, synthetic)
    choices = {
        "cohorts_from": controls.day("First visit from", _day(cohorts_from)),
        "cohorts_until": controls.day("until", _day(cohorts_until)),
        "every": controls.one_of("Cohort by", "month", list(MONTHS)),
        "provider_ids": controls.some_of("Provider", names["provider_id"]),
        "appointment_type_ids": controls.some_of("Appointment type", names["appointment_type_id"]),
    }
    start = source.rows(new, "month")
    return Explorer(charts.cohorts(start, every="month", synthetic=synthetic), choices, source.answer)


def _names(ids: pl.Series, named: pl.DataFrame) -> dict[str, str]:
    """Name by id of those that occur, by name; an id that the query did not give is shown itself."""
    left = pl.when("has_left").then(pl.lit(" (left)")).otherwise(pl.lit(""))
    found = named.select(id=pl.col("id"), name=pl.col("name").str.strip_chars() + left)
    rows = ids.drop_nulls().unique().to_frame("id").join(found, on="id", how="left")
    return dict(rows.with_columns(pl.col("name").fill_null("id " + pl.col("id"))).sort("name", "id").rows())


def _day(given: str | date) -> date:
    return EPOCH + timedelta(days=day_number(given))
