"""One of every chart and table, made of a few made-up clients, for the tests that all of them have to pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import polars as pl

from healthie_nb import charts, forms, retention, tables, volume
from healthie_nb.visits import example

AS_OF = "2026-06-10"
NAMES = {"p1": "Dr Ada", "p2": "Dr Bob", "f1": "Welcome form", "f2": "PHQ-9"}
STATUSES = ("Occurred", "Occurred", "No-Show", "Occurred", "Cancelled", "Late Cancellation")
FIRST = date(2026, 1, 5)
GAPS = (0, 9, 30, 60)


def _days(i: int) -> list[str]:
    """Days of a client, each a little later than the last one's, and a booking for some."""
    first = FIRST + timedelta(days=3 * i)
    gaps = GAPS[: i % 4 + 1]
    seen = [f"{first + timedelta(days=gap)} {STATUSES[(i + k) % 6]}" for k, gap in enumerate(gaps)]
    kept = [day for day in seen if day[:10] <= AS_OF]
    return kept + [f"{date(2026, 6, 12) + timedelta(days=i % 20)} None"] * (i % 3 == 0)


SEEN = example({f"client-{i:03}": _days(i) for i in range(52)}).with_columns(
    provider_id=pl.when(pl.col("client_id").str.ends_with("1")).then(pl.lit("p1")).otherwise(pl.lit("p2")),
    modality=pl.when(pl.col("hour") > 0).then(pl.lit("In Person")),
    booked_at=pl.col("starts_at") - pl.duration(days=10),
    status_changed_at=pl.col("starts_at") - pl.duration(hours=20),
    booked_day=pl.col("day") - 10,
    changed_day=pl.col("day") - 1,
    notice_hours=pl.lit(20.0),
)
CLIENTS = (
    SEEN.group_by("client_id")
    .agg(created_at=pl.col("starts_at").min() - pl.duration(days=7))
    .sort("client_id")
    .select(
        pl.col("client_id").alias("id"),
        "created_at",
        is_active=pl.lit(value=True),
        archived_at=pl.lit(None, pl.Datetime("us", "UTC")),
        group_id=pl.lit(None, pl.String),
        provider_id=pl.lit("p1"),
    )
)
UNMARKED = SEEN.with_columns(
    status=pl.when(pl.col("client_id").str.ends_with("1")).then(pl.lit("unrecorded")).otherwise("status")
)
RECONCILED = pl.DataFrame(
    {
        "name": ["Dr Ada", "Dr Bob", "Dr Bob"],
        "status": ["occurred", "no_show", "occurred"],
        "ids": [1, 1, 1],
        "ours": [12, 3, 30],
        "theirs": [12, 2, 31],
        "difference": [0, 1, -1],
        "reason": [None, "marked since", "marked since"],
    }
)
TARGETS = pl.DataFrame(
    {
        "metric": ["second visit", "lost", "rebooked", "notes signed", "forms before first visit"],
        "target": [0.5, 0.1, 0.6, 0.9, 0.8],
    }
)
COUNTED = pl.DataFrame(
    {"metric": ["visits per month", "clients under care", "clients seen per month"], "target": [40, 25, 30]}
)
TARGETS = pl.concat([TARGETS, COUNTED.cast({"target": pl.Float64})]).with_columns(since=date(2026, 1, 1))
ANNOTATIONS = pl.DataFrame({"date": [date(2026, 3, 2)], "text": ["Clinic moved"]})


@dataclass(frozen=True)
class Shown:
    """A metric's rows with what draws them, and the options of both."""

    name: str
    rows: pl.DataFrame
    options: dict[str, Any] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)  # options of the chart alone
    n: str | None = "n"  # the column that says of how many
    title: str = ""

    def chart(self, rows: pl.DataFrame | None = None, *, synthetic: bool = True) -> Any:
        made = getattr(charts, self.name)
        return made(self.rows if rows is None else rows, synthetic=synthetic, **self.options, **self.more)

    def parts(self, rows: pl.DataFrame | None = None) -> dict[str, Any]:
        made = getattr(charts, f"{self.name}_parts")
        return made(self.rows if rows is None else rows, synthetic=True, **self.options, **self.more)  # type: ignore[no-any-return]

    def table(self, rows: pl.DataFrame | None = None, *, synthetic: bool = True) -> tables.Table:
        made = getattr(tables, self.name)
        return made(self.rows if rows is None else rows, synthetic=synthetic, **self.options)  # type: ignore[no-any-return]


def retention_shown() -> list[Shown]:
    """Everything about who stays."""
    known: dict[str, Any] = {"as_of": AS_OF, "clients": CLIENTS}
    second = retention.cohorts(SEEN, brackets=((1, 45),), split="provider", **known)
    lapsed = retention.survival(SEEN, gap_days=40, split="provider", **known)
    marked = {"targets": TARGETS, "annotations": ANNOTATIONS}
    month: dict[str, Any] = {"every": "month"}
    return [
        Shown("cohorts", retention.cohorts(SEEN, measure="on", periods=3, **known), month, n="clients"),
        Shown("second_visit", second, {**month, "names": NAMES}, marked),
        Shown("chance_limits", retention.chance_limits(second), {"names": NAMES}),
        Shown("survival", lapsed, {"names": NAMES}, n="at_risk"),
        Shown("funnel", retention.funnel(SEEN, CLIENTS, as_of=AS_OF, first_days=10, second_days=20)),
        Shown("states", retention.states(SEEN, CLIENTS, as_of=AS_OF)),
        Shown("flow", retention.flow(SEEN, every="month", **known), month, marked),
        Shown("definitions", retention.definitions(SEEN, **known)),
    ]


def volume_shown() -> list[Shown]:
    """Everything about appointment volume."""
    as_of, month = {"as_of": AS_OF}, {"every": "month"}
    counted = volume.counts(SEEN, **as_of)
    rates = volume.rates(SEEN, **as_of, **month, by=["provider"]).filter(measure="lost", late="status")
    marked = {"targets": TARGETS, "annotations": ANNOTATIONS}
    named = {"names": NAMES}
    return [
        Shown("counts", counted, {"compare_to": "last year", **month}, marked, n="total"),
        Shown("panel", volume.panel(SEEN, **as_of), month, marked, n="count"),
        Shown("rates", rates, {**month, **named}, marked),
        Shown("cancellations", volume.cancellations(SEEN, **as_of)),
        Shown("unmarked", volume.unmarked(UNMARKED, **as_of), named),
        Shown("booked", volume.booked(SEEN, **as_of, weeks=2, earlier=4), n="count"),
        Shown("booking_curve", volume.booking_curve(SEEN, **as_of, weeks=2, earlier=4), n="count"),
        Shown("heat", volume.heat(SEEN, **as_of)),
        Shown("lead", volume.lead(SEEN, **as_of)),
        Shown("funnel_plot", volume.funnel_plot(SEEN, **as_of), named),
        Shown("rebooked", volume.rebooked(SEEN, **as_of), month, marked),
        Shown("reconcile", RECONCILED, n="count"),
    ]


FORM_ROLES = pl.DataFrame({"form_id": ["f1", "f2", "f3"], "role": ["intake", "outcome measure", "consent"]})


def _filled(form: str, every: int, *, after: int) -> pl.DataFrame:
    """Fill a form by some of the clients, some days after the first visit."""
    firsts = SEEN.group_by("client_id").agg(pl.col("starts_at").min()).sort("client_id")
    return firsts.gather_every(every).select(
        "client_id",
        form_id=pl.lit(form),
        filled_at=pl.col("starts_at") + pl.duration(days=after),
        is_finished=pl.lit(value=True),
    )


FILLED = pl.concat([_filled("f1", 2, after=-3), _filled("f2", 3, after=-2), _filled("f2", 4, after=40)])
FILLED = pl.concat([FILLED, _filled("f3", 5, after=1)])
REQUESTS = (
    CLIENTS.join(FORM_ROLES, how="cross")
    .with_row_index()
    .select(
        pl.col("index").cast(pl.String).alias("id"),
        "form_id",
        client_id="id",
        sender_id=pl.when(pl.col("index") % 4 > 1).then(pl.lit("p1")).otherwise(pl.lit("p2")),
        date_to_show="created_at",
        filled_form_id=pl.when(pl.col("index") % 4 > 0).then("index").cast(pl.String),
        filled_form_is_finished=pl.col("index") % 5 > 1,
    )
)
NOTES = SEEN.filter(pl.col("appointment_id").cast(pl.Int64) % 3 > 0).select(
    "appointment_id",
    filled_at=pl.col("starts_at"),
    signings=pl.concat_list(
        pl.struct(signed_at=pl.col("starts_at") + pl.duration(hours=20 * (pl.col("appointment_id").cast(pl.Int64) % 7)))
    ),
)
TIMES = pl.DataFrame({"least": [1, 2, 2, 3, 4, 9], "most": [1, 3, None, 5, 4, None]})
READY = forms.readiness(SEEN, FILLED, REQUESTS, FORM_ROLES, as_of=AS_OF)


def forms_shown() -> list[Shown]:
    """Everything about which forms get done."""
    known: dict[str, Any] = {"as_of": AS_OF, "clients": CLIENTS, "history_from": "2025-01-01"}
    noted, named, month = (SEEN, NOTES), {"names": NAMES}, {"every": "month"}
    marked = {"targets": TARGETS, "annotations": ANNOTATIONS}
    curve = forms.turnbull(TIMES).insert_column(0, pl.lit("f1").alias("form_id"))
    return [
        Shown("notes", forms.notes(*noted, as_of=AS_OF), named, {"targets": TARGETS}),
        Shown("notes_over_time", forms.notes(*noted, as_of=AS_OF, every="month", by=[]), month, marked),
        Shown("open_notes", forms.open_notes(*noted, as_of=AS_OF), named),
        Shown("readiness", READY),
        Shown("before_first_visit", forms.before_first_visit(SEEN, FILLED, FORM_ROLES, **known), month, marked),
        Shown("measures", forms.measures(SEEN, FILLED, FORM_ROLES, **known), named),
        Shown("requests", forms.requests(REQUESTS, CLIENTS), named),
        Shown("time_to_complete", curve, named, n="at_risk"),
    ]


CHARTS = [*retention_shown(), *volume_shown(), *forms_shown()]
UNREADY = forms.unready(READY, key=b"k" * 32)
OVERDUE = forms.overdue(REQUESTS, CLIENTS, as_of=AS_OF, key=b"k" * 32)
OVERDUE_NOTES = forms.overdue_notes(SEEN, NOTES, as_of=AS_OF, key=b"k" * 32)
WORKLIST = retention.worklist(SEEN, as_of=AS_OF, key=b"k" * 32)
