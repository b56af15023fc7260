"""Headline of which forms get done."""

from __future__ import annotations

from datetime import date

import polars as pl

from healthie_nb.stats import FEW, wilson
from healthie_nb.targets import holding
from healthie_nb.tiles.tile import Tile, Tiles, aimed, toned
from healthie_nb.wording import interval, period, share


def forms(
    notes: pl.DataFrame,
    readiness: pl.DataFrame,
    before_first_visit: pl.DataFrame,
    *,
    as_of: str | date,
    synthetic: bool,
    within_hours: int = 72,
    targets: pl.DataFrame | None = None,
) -> Tiles:
    """Tiles of which forms get done: notes signed in time, coming visits that lack nothing, consents before the first.

    Parameters
    ----------
    notes
        Rows of `forms.notes`, of whatever slices or periods: all of them together.
    readiness
        Rows of `forms.readiness`.
    before_first_visit
        Rows of `forms.before_first_visit`: of those of the role consent, all periods together.
    as_of
        The day they speak for.
    synthetic
        `practice.is_synthetic`: whether they have to say that their data is made up.
    within_hours
        As the notes were made.
    targets
        As `roles.read` gives them; a tile is good, or a problem, when the whole interval is on that side of the target
        of the metric "notes signed" or "forms before first visit" that holds on the day, and a caution between.

    Raises
    ------
    MetricError for targets of a metric that has none.

    Examples
    --------
    >>> from healthie_nb import forms as metrics
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-01-12"]})
    >>> signed = [{"appointment_id": "0", "signings": [{"signed_at": seen["starts_at"][0]}], "filled_at": None}]
    >>> notes = metrics.notes(seen, pl.DataFrame(signed), as_of="2026-01-31")
    >>> ready = {"appointment_id": [], "client_id": [], "is_first": [], "is_ready": []}
    >>> ready = pl.DataFrame(ready, schema_overrides={"is_first": pl.Boolean, "is_ready": pl.Boolean})
    >>> none = pl.DataFrame({"role": [], "clients": [], "done": []}, schema_overrides={"role": pl.String})
    >>> print(forms(notes, ready, none, as_of="2026-01-31", synthetic=False).tiles[0])
    Notes signed within 72 hours: 50%* · 1 of 2 visits, 95 % interval 9-91%
    """
    day = date.fromisoformat(str(as_of))
    signed = notes.select(hits="signed", of="due")
    consents = before_first_visit.filter(pl.col("role") == "consent").select(hits="done", of="clients")
    since = _since(before_first_visit)
    notes_target, forms_target = (holding(targets, name, day) for name in ("notes signed", "forms before first visit"))
    tiles = [
        _rated(f"Notes signed within {within_hours} hours", signed, "visits", notes_target),
        _ready("Coming visits with all forms done", readiness),
        _ready("First visits with all forms done", readiness.filter("is_first")),
        _rated("Consent before the first visit", consents, f"clients{since}", forms_target),
    ]
    return Tiles(tiles, title=f"Which forms get done, as of {day.day} {day:%b %Y}", synthetic=synthetic)


def _rated(label: str, counts: pl.DataFrame, what: str, target: float | None) -> Tile:
    """Tile of the share of all rows together, with its interval."""
    if not counts["of"].sum():
        return Tile(label, "none yet", f"no {what}")
    lower, upper = wilson("hits", "of")
    summed = counts.sum().with_columns(
        rate=pl.col("hits") / pl.col("of"), low=lower, high=upper, few=pl.col("of") < FEW
    )
    hits, n, said, bounds, low, high = summed.select("hits", "of", share(), interval(), "low", "high").row(0)
    note = f"{hits:,} of {n:,} {what}, 95 % interval {bounds}%{aimed(hits / n, low, high, target)}"
    return Tile(label, said, note, toned(low, high, target))


def _ready(label: str, readiness: pl.DataFrame) -> Tile:
    """Tile of the visits that are ready; all of them are counted, so there is nothing to be unsure of."""
    visits = readiness.unique(["appointment_id", "client_id"])
    ready = int(visits["is_ready"].sum())
    if visits.is_empty():
        return Tile(label, "none", "no visit is coming")
    return Tile(label, f"{ready / visits.height:.0%}", f"{ready:,} of {visits.height:,} visits on the books")


def _since(before_first_visit: pl.DataFrame) -> str:
    """Say from which month on, where rows have one."""
    if "period" not in before_first_visit.columns or before_first_visit.is_empty():
        return ""
    first = before_first_visit.select(pl.col("period").min()).select(period("period", "month")).item()
    return f" since {first}"
