"""The exact attacker on what each metric publishes: tables of seeded worlds, and all that their definitions imply."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import combinations, pairwise, product
from typing import Any

import polars as pl
import pytest
from test_engines import AS_OF, CLIENTS, FILLED, FORM_ROLES, INSTANT, KNOWN, NOTES, PEOPLE, PROGRAMMES, moment, world
from test_privacy import Attacker

from healthie_nb import forms, retention, volume
from healthie_nb.disclosure import LAYOUTS, DisclosureError, Layout, told

SEEDS = range(3)
QUARTER: dict[str, Any] = {"as_of": AS_OF, "every": "quarter"}


@dataclass(frozen=True)
class Reader:
    """What follows from a metric's definition, for one who knows it; runs are rows alike in `run`."""

    whole: dict[str, tuple[str, ...]] = field(default_factory=dict)  # the sum of these
    within: tuple[tuple[str, str], ...] = ()  # the second a part of the first
    run: tuple[str, ...] = ()
    before: tuple[tuple[str, str], ...] = ()  # the first is what the second was one row before
    same: tuple[str, ...] = ()  # throughout a run
    falls: tuple[str, ...] = ()  # from row to row, and who is gone may not be told either
    total: tuple[str, ...] = ()  # known of all rows together, as wherever a share of it is shown


FLOW = {"active": ("new", "kept", "returned"), "before": ("kept", "left")}
ASKED = {"requests": ("waiting_or_done", "withdrawn"), "waiting_or_done": ("open", "started", "completed")}
SIGNED = {"due": ("signed", "late", "unsigned", "missing")}
OF_DUE = (("due", "missed"),)
OF_COHORT = (("clients", "eligible"), ("eligible", "returned"))
READERS = {
    "cohorts": Reader(within=OF_COHORT, run=("cohort",), same=("clients",), falls=("eligible",)),
    "means": Reader(within=(("eligible", "returned"),), falls=("eligible",)),
    "chance_limits": Reader(within=(("eligible", "returned"),), total=("eligible", "returned")),
    "population": Reader(total=("clients",)),
    "definitions": Reader(within=(("eligible", "retained"), ("eligible", "lost"))),
    "funnel": Reader(within=(("before", "clients"),), before=(("before", "clients"),), same=("too_recent",)),
    "states": Reader(total=("clients",)),
    "flow": Reader(FLOW, before=(("before", "active"),)),
    "counts": Reader(),
    "panel": Reader(),
    "rates": Reader(within=OF_DUE),
    "funnel_plot": Reader(within=OF_DUE, total=("due", "missed")),
    "heat": Reader(within=(("visits", "due"), *OF_DUE)),
    "lead": Reader(within=(("visits", "due"), *OF_DUE)),
    "rebooked": Reader(within=(("visits", "rebooked"),)),
    "cancellations": Reader(within=(("cancellations", "late_by_status"),)),
    "requests": Reader(ASKED),
    "notes": Reader(SIGNED, within=(("appointments", "due"),)),
    "before_first_visit": Reader(within=(("clients", "done"),), run=("period",), same=("clients",)),
    "measures": Reader(within=(("clients", "done"),), run=("form_id",), falls=("clients",)),
}
OF_WEEKS = {"booked": "a median and a range of weeks, each of which is a count", "booking_curve": "counts alone"}


def requests(seed: int) -> pl.DataFrame:
    chance = random.Random(seed)
    rows = [
        (str(i), chance.choice(PEOPLE), chance.choice("ik"), chance.choice(["p", "q"]), chance.choice([None, "9"]))
        for i in range(200)
    ]
    columns = ["id", "client_id", "form_id", "sender_id", "filled_form_id"]
    made = pl.DataFrame(rows, schema=columns, orient="row", schema_overrides={"filled_form_id": pl.String})
    at = pl.Series([moment(chance) - timedelta(days=30) for _ in rows], dtype=INSTANT)
    done = pl.col("filled_form_id").is_not_null() & (pl.col("id").cast(pl.Int64) % 3 > 0)
    return made.with_columns(date_to_show=at, filled_form_is_finished=done)


def published(seed: int) -> dict[str, pl.DataFrame]:
    """Tables by metric, of a practice of some hundred visits, of which few or many fall into a row."""
    seen = world("rich", seed=seed)
    cohorts = retention.cohorts(seen, measure="on", periods=4, **QUARTER)
    second = retention.cohorts(seen, brackets=[(1, 45)], split="provider", **QUARTER)
    rates = volume.rates(seen, by=["provider"], **QUARTER)
    return {
        "cohorts": cohorts,
        "means": retention.means(cohorts),
        "chance_limits": retention.chance_limits(second),
        "population": retention.population(seen, CLIENTS, as_of=AS_OF, history_from="2023-12-31"),
        "definitions": retention.definitions(seen, **KNOWN),
        "funnel": retention.funnel(seen, CLIENTS, as_of=AS_OF, first_days=60, second_days=30),
        "states": retention.states(seen, CLIENTS, as_of=AS_OF, programmes=PROGRAMMES),
        "flow": retention.flow(seen, **QUARTER),
        "counts": volume.counts(seen, **QUARTER),
        "panel": volume.panel(seen, by=["modality"], **QUARTER),
        "rates": rates.filter(measure="lost", late="status"),
        "funnel_plot": volume.funnel_plot(seen, as_of=AS_OF),
        "heat": volume.heat(seen, as_of=AS_OF).filter(pl.col("weekday") < 3),
        "lead": volume.lead(seen, as_of=AS_OF, by=["role"]),
        "rebooked": volume.rebooked(seen, by=["role"], **QUARTER),
        "cancellations": volume.cancellations(seen, told=["who"], **QUARTER),
        "requests": forms.requests(requests(seed), CLIENTS),
        "notes": forms.notes(seen, NOTES, as_of=AS_OF),
        "before_first_visit": forms.before_first_visit(seen, FILLED, FORM_ROLES, every="quarter", **KNOWN),
        "measures": forms.measures(seen, FILLED, FORM_ROLES, follow_ups=[(1, 30), (31, 90)], as_of=AS_OF),
    }


def attack(truth: pl.DataFrame, shown: pl.DataFrame, reader: Reader, counts: tuple[str, ...]) -> list[int]:
    """Cells of 1-10 that the reader recovers."""
    attacker = Attacker()
    at = {name: attacker.column(truth, shown, name) for name in counts}
    runs = truth.with_row_index().group_by(reader.run or pl.lit(0), maintain_order=True).agg("index")["index"]
    for total, own in reader.whole.items():
        attacker.sums += [(at[total][row], [at[name][row] for name in own]) for row in range(truth.height)]
    for (whole, part), row in product(reader.within, range(truth.height)):
        attacker.rest(at[whole][row], [at[part][row]])
    for rows in runs.to_list():
        for first, after in pairwise(rows):
            attacker.sums += [(at[later][after], [at[earlier][first]]) for later, earlier in reader.before]
            attacker.sums += [(at[name][after], [at[name][first]]) for name in reader.same]
        for name, (first, later) in product(reader.falls, combinations(rows, 2)):
            if truth[name][first] >= truth[name][later]:
                attacker.rest(at[name][first], [at[name][later]])
    for name in reader.total:
        known = int(truth[name].sum())
        if known > 10:  # else all of its parts are small, and no share of it is shown
            attacker.sums.append((attacker.cell(known, known, in_table=False), at[name]))
    return attacker.recovered()


def test_every_table_that_may_leave_has_its_reader() -> None:
    counted = {name for name, layout in LAYOUTS.items() if isinstance(layout, Layout) and layout.counts}
    assert {*READERS, *OF_WEEKS} == counted


@pytest.fixture(scope="module")
def worlds() -> list[dict[str, pl.DataFrame]]:
    return [published(seed) for seed in SEEDS]


def own(tables: dict[str, pl.DataFrame], name: str) -> pl.DataFrame:
    """Rows of a metric that are told of outside at all."""
    layout = LAYOUTS[name]
    assert isinstance(layout, Layout)
    kept = [pl.col(column).ne_missing(value) for column, value in layout.without.items()]
    return tables[name].filter(kept) if kept else tables[name]


@pytest.mark.parametrize("name", READERS)
def test_reader_recovers_no_small_cell_of_what_is_told_outside(
    name: str, worlds: list[dict[str, pl.DataFrame]]
) -> None:
    counts = LAYOUTS[name].counts  # type: ignore[union-attr]
    hidden = shown = 0
    for truth in (own(tables, name) for tables in worlds):
        try:
            outside = told(truth, metric=name, audience="external")
        except DisclosureError as refused:
            assert "follows from a total that readers know" in str(refused)  # noqa: PT017, others are told
            continue
        assert attack(truth, outside, READERS[name], counts) == [], outside
        cells = outside.select(counts).unpivot()["value"]
        hidden, shown = hidden + cells.null_count(), shown + cells.count()
    assert hidden > 0
    assert shown > 0


def test_reader_recovers_what_is_hidden_alone(worlds: list[dict[str, pl.DataFrame]]) -> None:
    """Else the test above proves nothing: of these tables, small counts alone are hidden."""
    recovered = set()
    for name, reader in READERS.items():
        counts = LAYOUTS[name].counts  # type: ignore[union-attr]
        alone = [pl.when(~pl.col(column).is_between(1, 10)).then(column) for column in counts]
        tables = [own(tables, name) for tables in worlds]
        if any(attack(truth, truth.with_columns(alone), reader, counts) for truth in tables):
            recovered.add(name)
    assert {"chance_limits", "flow", "funnel", "lead", "means", "notes", "population", "requests"} <= recovered
