"""The public API as a typed user meets it: read by mypy and never run.

Every line with an ignore must be an error of that kind: an ignore that is not needed is an error itself.
"""

from pathlib import Path
from typing import Any, assert_type

import altair as alt
import polars as pl

import healthie_nb as hn

# Loading
practice = hn.connect()
assert_type(practice, hn.Practice)
assert_type(hn.connect(demo=True, allow_host="proxy.example.org"), hn.Practice)
appointments = practice.load("appointments", start="2026-01-01", end="2026-06-30")
assert_type(appointments, pl.DataFrame)
assert_type(practice.scan(Path("mine.graphql")), pl.LazyFrame)
assert_type(practice.stored(), pl.DataFrame)
assert_type(practice.zone, str)
assert_type(practice.is_synthetic, bool)
assert_type(practice.pseudonym_key, bytes)
hn.connect("demo")  # type: ignore[arg-type, call-arg]
practice.load(17)  # type: ignore[arg-type]
practice.load("appointments", offline="no")  # type: ignore[arg-type]
practice.zone.colour  # type: ignore[attr-defined]
practice.laod("appointments")  # type: ignore[attr-defined]

# Visits and roles
visits = hn.visits(appointments, zone=practice.zone)
assert_type(visits, pl.DataFrame)
assert_type(hn.visits(appointments.lazy(), zone="UTC"), pl.LazyFrame)
assert_type(hn.roles.read(Path("targets.csv"), "targets"), pl.DataFrame)
assert_type(hn.days.local(practice.load("clients"), zone=practice.zone), pl.DataFrame)
hn.visits(appointments)  # type: ignore[call-arg]
hn.visits(appointments, "UTC")  # type: ignore[call-arg]
hn.roles.read(Path("targets.csv"), "target")  # type: ignore[arg-type]

# Metrics, charts, tables
cohorts = hn.retention.cohorts(visits, every="month", as_of="2026-06-30")
assert_type(cohorts, pl.DataFrame)
assert_type(hn.retention.cohorts(visits.lazy(), as_of="2026-06-30"), pl.DataFrame)
assert_type(hn.volume.rates(visits, as_of="2026-06-30", every="week", by=["provider"]), pl.DataFrame)
notes = practice.load("chart_notes")
overdue_notes = hn.forms.overdue_notes(visits, notes, as_of="2026-06-30", key=practice.pseudonym_key)
assert_type(overdue_notes, pl.DataFrame)
assert_type(hn.tables.overdue_notes(overdue_notes, synthetic=True, within_hours=48), hn.tables.Table)
hn.forms.overdue_notes(visits, notes, as_of="2026-06-30")  # type: ignore[call-arg]
hn.retention.cohorts(visits)  # type: ignore[call-arg]
hn.retention.cohorts(visits, as_of="2026-06-30", every="fortnight")  # type: ignore[arg-type]
hn.volume.rates(visits, as_of="2026-06-30", by=["colour"])  # type: ignore[list-item]
hn.charts.cohorts(cohorts, every="month", synthetic=practice.is_synthetic)
hn.charts.cohorts(cohorts, every="month")  # type: ignore[call-arg]
hn.charts.cohort(cohorts)  # type: ignore[attr-defined]
assert_type(hn.tables.cohorts(cohorts, every="month", synthetic=True), hn.tables.Table)
assert_type(hn.stats.wilson("missed", "due"), tuple[pl.Expr, pl.Expr])

# What leaves
provenance = hn.export.provenance(practice, as_of="2026-06-30")
assert_type(hn.export.table(cohorts, "cohorts.csv", audience="internal", provenance=provenance), Path)
hn.export.table(cohorts, "cohorts.csv", provenance=provenance)  # type: ignore[call-arg]
hn.export.table(cohorts, "cohorts.csv", audience="everybody", provenance=provenance)  # type: ignore[arg-type]
hn.privacy.pseudonyms(visits["client_id"], key="a text")  # type: ignore[arg-type]
assert_type(hn.privacy.deidentify(visits, ids=["client_id"]), pl.DataFrame)

# Parameters, views, errors
assert_type(hn.parameters.cell("retention"), str)
assert_type(hn.views.names("retention"), list[str])
assert_type(hn.query.names(), list[str])
assert_type(hn.query.read("appointments").identifying, tuple[str, ...])
try:
    practice.load("appointment")
except hn.HealthieError as error:
    assert_type(str(error), str)
hn.nothing_of_this_name  # type: ignore[attr-defined]


def drawn(table: pl.DataFrame, *, options: dict[str, Any]) -> alt.TopLevelMixin:
    """A chart of ours goes where any chart of Altair's goes."""
    return hn.charts.cohorts(table, **options)
