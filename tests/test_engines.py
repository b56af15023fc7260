"""Every metric of visits on every engine, to the last digit: polars, DuckDB, and Spark on a cluster of its own."""

from __future__ import annotations

import inspect
import random
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from healthie_nb import forms, retention, volume
from healthie_nb.engines import reduced, reducible
from healthie_nb.visits import APPOINTMENTS, ATTENDANCE, MetricError, visits

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Iterator

    from pyspark.sql import SparkSession

    Metric = Callable[[Any], pl.DataFrame]

AS_OF, HISTORY, KEY = "2024-07-15", "2023-12-31", b"kept with the store, never shown"
INSTANT = pl.Datetime("us", "UTC")
ENGINES = ["polars DataFrame", "polars LazyFrame", "DuckDB", "Spark"]
WORLDS = {"rich": 300, "small": 12, "no roles": 60, "empty": 0}
# Year end, leap day, both nights on which the clocks change, and the days around as_of.
EDGES = ["2023-11-05", "2023-12-31", "2024-01-01", "2024-02-29", "2024-03-10", "2024-07-15", "2024-07-16", "2024-07-29"]
STATUSES = ["Occurred"] * 5 + ["No-Show", "Cancelled", "Late Cancellation", "Re-Scheduled", "Checked-In", "???", None]
ROLES = pl.DataFrame({"appointment_type_id": ["t", "g", "d"], "role": ["follow-up", "group", "discovery"]})
PROGRAMMES = pl.DataFrame({"id": ["g", "done"], "kind": ["closing type", "group"]})
FORM_ROLES = pl.DataFrame({"form_id": ["i", "k", "m"], "role": ["intake", "consent", "outcome measure"]})
PEOPLE = [f"c{i}" for i in range(80)]


def moment(chance: random.Random) -> datetime:
    if chance.random() < 0.2:
        return datetime.fromisoformat(chance.choice(EDGES)).replace(hour=chance.randrange(24), tzinfo=UTC)
    return datetime(2023, 6, 1, 3, 30, tzinfo=UTC) + timedelta(days=chance.randrange(450), hours=chance.randrange(24))


def world(name: str, *, seed: int = 0) -> pl.DataFrame:
    """Visits that hold what metrics trip over: edges of the calendar, ties, nulls, groups, bookings to come."""
    chance = random.Random(f"{name} {seed}")
    booked, groups = [], []
    for i in range(WORLDS[name]):
        starts_at, kind, notice = moment(chance), chance.choice("ttgd"), chance.choice([-5, 0, 3, 24, 48, 400, None])
        booked.append({
            "id": str(i),
            "client_id": None if kind == "g" else chance.choice([*PEOPLE, None]),
            "provider_id": chance.choice(["p", "q", "r", None]),
            "appointment_type_id": kind,
            "starts_at": starts_at,
            "status": chance.choice(STATUSES),
            "minutes": chance.choice([30, 50, None]),
            "modality": chance.choice(["video", "office", None]),
            "created_at": starts_at - timedelta(days=chance.randrange(-2, 70), hours=chance.randrange(24)),
            "status_changed_at": None if notice is None else starts_at - timedelta(hours=notice),
            "cancellation_reason_type": chance.choice(["client", "provider", None]),
            "reschedule_count": chance.choice([0, 0, 1, None]),
            "updated_at": starts_at,
        })  # fmt: skip
        if kind == "g":
            came = [
                {"client_id": who, "attended": chance.choice([True, False, None])} for who in chance.sample(PEOPLE, 3)
            ]
            groups.append({"id": str(i), "attended_clients": came})
    rows = pl.DataFrame(booked, schema=APPOINTMENTS)
    return visits(
        rows,
        zone="America/Chicago",
        attendance=pl.DataFrame(groups, schema=ATTENDANCE),
        roles=None if name == "no roles" else ROLES,
        cancellation_reasons=rows.select("id", cancellation_reason_label=pl.col("modality")),
    )


def around() -> dict[str, pl.DataFrame]:
    """What metrics take beside visits: clients, their forms and their notes."""
    chance = random.Random(1)
    signed_up = [chance.choice([None, moment(chance) - timedelta(days=60)]) for _ in PEOPLE]
    clients = pl.DataFrame(
        {
            "id": PEOPLE,
            "created_at": signed_up,
            "is_active": [chance.random() < 0.8 for _ in PEOPLE],
            "archived_at": [chance.choice([None, moment(chance)]) for _ in PEOPLE],
            "group_id": [chance.choice(["done", None, None]) for _ in PEOPLE],
            "source_name": [chance.choice(["web", "friend", None]) for _ in PEOPLE],
        },
        schema_overrides={"created_at": INSTANT, "archived_at": INSTANT},
    )
    filled = pl.DataFrame(
        [(chance.choice(PEOPLE), chance.choice("ikmz"), moment(chance), chance.random() < 0.8) for _ in range(150)],
        schema={"client_id": pl.String, "form_id": pl.String, "filled_at": INSTANT, "is_finished": pl.Boolean},
        orient="row",
    )
    asked = pl.DataFrame(
        [(chance.choice(PEOPLE), chance.choice("ikmz"), chance.choice(["7", None]), False) for _ in range(40)],
        schema=["client_id", "form_id", "filled_form_id", "filled_form_is_finished"],
        orient="row",
    )
    signings = pl.List(pl.Struct({"signed_at": INSTANT}))
    notes = pl.DataFrame(
        [
            {
                "appointment_id": str(i),
                "filled_at": moment(chance),
                "signings": [{"signed_at": moment(chance)}][: i % 3],
            }
            for i in range(0, 300, 2)
        ],
        schema={"appointment_id": pl.String, "filled_at": INSTANT, "signings": signings},
    )
    return {"clients": clients, "filled": filled, "asked": asked, "notes": notes}


BESIDE = around()
CLIENTS, FILLED, ASKED, NOTES = BESIDE.values()
KNOWN: dict[str, Any] = {"as_of": AS_OF, "history_from": HISTORY, "clients": CLIENTS}
# Name of the metric, and which of its ways; every public metric of visits at least once.
METRICS: dict[str, Metric] = {
    "cohorts": lambda v: retention.cohorts(v, brackets=[(1, 30), (31, 90)], **KNOWN),
    "cohorts on, by provider": lambda v: retention.cohorts(v, measure="on", every="week", split="provider", **KNOWN),
    "cohorts calendar, by source": lambda v: retention.cohorts(
        v, measure="on or after", counted="calendar", periods=4, split="source", **KNOWN
    ),
    "cohorts new to a provider": lambda v: retention.cohorts(
        v, as_of=AS_OF, every="quarter", new_to="provider", split="type"
    ),
    "definitions": lambda v: retention.definitions(v, **KNOWN),
    "flow": lambda v: retention.flow(v, every="week", **KNOWN),
    "funnel": lambda v: retention.funnel(v, CLIENTS, as_of=AS_OF, first_days=60, second_days=30),
    "population": lambda v: retention.population(v, CLIENTS, as_of=AS_OF, history_from=HISTORY),
    "spells": lambda v: retention.spells(v, event="second visit", split="modality", **KNOWN),
    "survival": lambda v: retention.survival(v, gap_days=45, split="type", **KNOWN),
    "states": lambda v: retention.states(v, CLIENTS, as_of=AS_OF, programmes=PROGRAMMES),
    "worklist": lambda v: retention.worklist(v, as_of=AS_OF, key=KEY, usual_days=21),
    "booked": lambda v: volume.booked(v, as_of=AS_OF, weeks=2, earlier=3, by=["provider"]),
    "booking_curve": lambda v: volume.booking_curve(v, as_of=AS_OF, weeks=2, earlier=2),
    "cancellations": lambda v: volume.cancellations(v, as_of=AS_OF, by=["modality"], since="2023-09-01"),
    "counts": lambda v: volume.counts(v, as_of=AS_OF, every="week", by=["provider", "role"]),
    "counts of appointments": lambda v: volume.counts(v, as_of=AS_OF, unit="appointments", by=["status", "type"]),
    "counts of hours": lambda v: volume.counts(v, as_of=AS_OF, every="quarter", unit="provider hours"),
    "funnel_plot": lambda v: volume.funnel_plot(v, as_of=AS_OF, measure="lost", late="notice"),
    "heat": lambda v: volume.heat(v, as_of=AS_OF, by=["role"]),
    "lead": lambda v: volume.lead(v, as_of=AS_OF, by=["provider"]),
    "panel": lambda v: volume.panel(v, as_of=AS_OF, by=["modality"]),
    "rates": lambda v: volume.rates(v, as_of=AS_OF, every="month", by=["weekday", "hour"]),
    "rates of first visits": lambda v: volume.rates(v, by=["first visit", "provider"], **KNOWN),
    "rebooked": lambda v: volume.rebooked(v, as_of=AS_OF, within_days=5, by=["provider"]),
    "unmarked": lambda v: volume.unmarked(v, as_of=AS_OF),
    "before_first_visit": lambda v: forms.before_first_visit(v, FILLED, FORM_ROLES, **KNOWN),
    "measures": lambda v: forms.measures(v, FILLED, FORM_ROLES, follow_ups=[(1, 30), (31, 90)], **KNOWN),
    "notes": lambda v: forms.notes(v, NOTES, as_of=AS_OF, every="month"),
    "open_notes": lambda v: forms.open_notes(v, NOTES, as_of=AS_OF),
    "overdue_notes": lambda v: forms.overdue_notes(v, NOTES, as_of=AS_OF, key=KEY),
    "readiness": lambda v: forms.readiness(v, FILLED, ASKED, FORM_ROLES, as_of=AS_OF, days=30),
}

# These take polars frames alone: they reduce no visits.
NOT_OF_VISITS = {
    "means": "the table that cohorts gives",
    "chance_limits": "the table that cohorts gives",
    "reconcile": "appointments and Healthie's own totals, one number a day",
    "requests": "form requests: a handful for each client, and as they stand now",
    "overdue": "form requests",
    "unready": "the table that readiness gives",
    "ledger_standing": "the ledger, which is polars' own files on this machine",
    "request_times": "the ledger",
    "time_to_complete": "the ledger",
    "turnbull": "the table that request_times gives",
}


class Engines:
    """The worlds as files, read by each engine as somebody who outgrew memory would."""

    def __init__(self, folder: pathlib.Path, spark: SparkSession) -> None:
        self._folder, self._spark, self._duckdb = folder, spark, duckdb.connect()
        self._answers: dict[tuple[str, str], pl.DataFrame] = {}
        self.worlds: dict[str, pl.DataFrame] = {}

    def put(self, name: str, rows: pl.DataFrame) -> None:
        """Write a world in two files, not in order, so that a cluster has something to divide."""
        (self._folder / name).mkdir()
        shuffled = rows.sample(fraction=1, shuffle=True, seed=3)
        for part in range(2):
            shuffled.gather_every(2, part).write_parquet(self._folder / name / f"{part}.parquet")
        self.worlds[name] = rows

    def frame(self, engine: str, name: str) -> Any:
        files = f"{self._folder / name}/*.parquet"
        match engine:
            case "polars DataFrame":
                return self.worlds[name].reverse()
            case "polars LazyFrame":
                return pl.scan_parquet(files)
            case "DuckDB":
                return self._duckdb.read_parquet(files)
        return self._spark.read.parquet(files)

    def close(self) -> None:
        self._duckdb.close()

    def answer(self, metric: str, name: str) -> pl.DataFrame:
        """Return polars' answer in memory, on rows in order: what the tests of the metrics hold against SQL."""
        if (metric, name) not in self._answers:
            self._answers[metric, name] = METRICS[metric](self.worlds[name])
        return self._answers[metric, name]


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Iterator[Engines]:
    made = Engines(tmp_path_factory.mktemp("worlds"), spark)
    for name in WORLDS:
        made.put(name, world(name))
    yield made
    made.close()


def test_no_metric_of_visits_is_left_out() -> None:
    """A metric that is added to retention, volume or forms belongs into METRICS above, or says below what it takes."""
    public = {
        name: inspect.signature(metric).parameters
        for module in (retention, volume, forms)
        for name in module.__all__
        if inspect.isfunction(metric := getattr(module, name))
    }
    assert {name for name, takes in public.items() if "visits" in takes} == {name.split()[0] for name in METRICS}
    assert {name for name, takes in public.items() if "visits" not in takes} == set(NOT_OF_VISITS)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("engine", ENGINES)
def test_metric_is_the_same_to_the_last_digit(engines: Engines, engine: str, metric: str) -> None:
    for name in ("rich",) if engine == "Spark" else WORLDS:
        answer = METRICS[metric](engines.frame(engine, name))
        assert_frame_equal(answer, engines.answer(metric, name), check_exact=True)


@pytest.mark.parametrize("engine", ENGINES[1:3])
@pytest.mark.parametrize("seed", range(1, 6))
def test_any_world_gives_the_same(engines: Engines, engine: str, seed: int) -> None:
    name = f"any {engine} {seed}"
    engines.put(name, world("small" if seed % 2 else "no roles", seed=seed))
    for metric, reduce in METRICS.items():
        assert_frame_equal(reduce(engines.frame(engine, name)), engines.answer(metric, name), check_exact=True)


@pytest.mark.parametrize("name", ["small", "no roles", "empty"])
def test_cluster_reduces_worlds_without_roles_or_rows(engines: Engines, name: str) -> None:
    for metric in ("cohorts on, by provider", "counts of hours", "rates", "booked", "measures"):
        assert_frame_equal(
            METRICS[metric](engines.frame("Spark", name)), engines.answer(metric, name), check_exact=True
        )


def test_worlds_answer_with_something(engines: Engines) -> None:
    """Frames without rows would be equal whatever the engine did."""
    assert [metric for metric in METRICS if engines.answer(metric, "rich").is_empty()] == []


def test_frame_of_another_kind_is_refused_with_the_allowed_ones() -> None:
    with pytest.raises(MetricError, match="visits are a list; allowed are a polars DataFrame or LazyFrame, a DuckDB"):
        reducible([1])


def test_missing_column_says_how_visits_are_made() -> None:
    with pytest.raises(
        MetricError, match=r"these visits lack day, status: make them .* queries/appointments\.graphql gives"
    ):
        reducible(pl.DataFrame({"client_id": ["7"]}), "client_id", "day", "status")


def test_spark_without_its_extra_names_it(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = reducible(spark.createDataFrame([(1,)], ["day"]))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MetricError, match=r"pyspark .* pyarrow, which is not installed; install healthie-nb\[spark\]"):
        reduced(rows)
