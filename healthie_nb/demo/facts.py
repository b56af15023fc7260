"""What Healthie works out about a client from other rows: next appointment, last activity, forms done or open."""

from collections.abc import Iterable

import polars as pl

from healthie_nb.demo.truth import CONSENT, INTAKE_FORM
from healthie_nb.demo.world import World

_FACTS = {
    "any_incomplete_requested_form_completions": "has_open_requests",
    "has_completed_intake_forms": "has_completed_intake_forms",
    "last_activity": "last_activity_at",
    "next_appt_date": "next_appointment_at",
}


def with_facts(world: World, clients: pl.DataFrame, wanted: Iterable[str]) -> pl.DataFrame:
    """Return the clients with those of the facts that are wanted. No fact touches the client's updated_at."""
    if not set(wanted) & set(_FACTS):
        return clients
    ids = clients["id"].implode()
    parts = (_next(world, ids), _last(world, ids), _forms(world, ids))
    for part in parts:
        clients = clients.join(part, left_on="id", right_on="client_id", how="left", maintain_order="left")
    return clients.with_columns(pl.col("has_open_requests", "has_completed_intake_forms").fill_null(value=False))


def _next(world: World, ids: pl.Series) -> pl.DataFrame:
    upcoming = (pl.col("starts_at") > world.now) & pl.col("status").is_null() & pl.col("deleted_at").is_null()
    return (
        world.appointments.filter(upcoming, pl.col("client_id").is_in(ids))
        .group_by("client_id")
        .agg(next_appointment_at=pl.col("starts_at").min())
    )


def _last(world: World, ids: pl.Series) -> pl.DataFrame:
    return (
        world.filled_forms.filter(pl.col("filler_id").is_in(ids))
        .group_by(client_id="filler_id")
        .agg(last_activity_at=pl.col("filled_at").max())
    )


def _forms(world: World, ids: pl.Series) -> pl.DataFrame:
    is_intake = pl.col("form_id").is_in([INTAKE_FORM, CONSENT])
    done = pl.col("completed_at").is_not_null()
    return (
        world.form_requests.filter(pl.col("client_id").is_in(ids))
        .group_by("client_id")
        .agg(has_open_requests=(~done).any(), has_completed_intake_forms=done.filter(is_intake).all())
    )
