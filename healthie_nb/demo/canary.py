"""Strings that must never leave the practice's own answers, planted where clients can be identified."""

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from healthie_nb.demo.world import World


@dataclass(frozen=True)
class Canary:
    """What to plant in the client with the most appointments, and in the notes of theirs."""

    name: str = "Zzyzx-Canary"
    email: str = "canary.zzyzx@example.org"
    dob: date = date(1913, 3, 7)
    note: str = "canary-note-5b1f"
    client_id: str = "31415926"


def planted(world: "World", canary: Canary) -> str:
    """Put the canary into the world's frames; the id that the client had before."""
    counts = world.appointments.drop_nulls("client_id").group_by("client_id").len().sort("len", "client_id")
    chosen = str(counts["client_id"][-1])
    is_chosen = pl.col("id") == chosen
    texts = {"first_name": canary.name, "last_name": canary.name, "email": canary.email, "quick_notes": canary.note}
    new = {name: pl.when(is_chosen).then(pl.lit(text)).otherwise(name) for name, text in texts.items()}
    world.clients = world.clients.with_columns(
        dob=pl.when(is_chosen).then(pl.lit(canary.dob)).otherwise("dob"), **new
    ).with_columns(
        id=_swapped("id", chosen, canary.client_id),
        number=pl.when(is_chosen).then(int(canary.client_id)).otherwise("number").cast(pl.UInt32),
    )
    theirs = pl.col("client_id") == chosen
    world.appointments = world.appointments.with_columns(
        notes=pl.when(theirs).then(pl.lit(canary.note)).otherwise("notes")
    )
    for name in ("appointments", "attendances", "form_requests", "filled_forms"):
        frame = world.table(name)
        columns = [column for column in ("client_id", "filler_id") if column in frame.columns]
        world.replace(name, frame.with_columns(_swapped(column, chosen, canary.client_id) for column in columns))
    return chosen


def _swapped(column: str, old: str, new: str) -> pl.Expr:
    return pl.when(pl.col(column) == old).then(pl.lit(new)).otherwise(column).alias(column)
