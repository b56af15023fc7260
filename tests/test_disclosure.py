from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from metric_tables import tables

from healthie_nb import disclosure, forms, quality, retention, volume
from healthie_nb.disclosure import IDS, LAYOUTS, DisclosureError, Layout, told
from healthie_nb.visits import example

if TYPE_CHECKING:
    from healthie_nb.practice import Practice

NAMES = [name for name, layout in LAYOUTS.items() if isinstance(layout, Layout) and layout.counts]


@pytest.fixture(scope="module")
def made(module_practice: Practice) -> dict[str, list[pl.DataFrame]]:
    return tables(module_practice)


def small(table: pl.DataFrame, layout: Layout) -> int:
    counted = table.select(pl.col(layout.counts).cast(pl.Float64))
    return int(counted.select(pl.sum_horizontal(pl.all().is_between(0, 10, closed="right").sum())).item())


def test_every_metric_says_what_may_be_told_of_it() -> None:
    """A metric that is added is refused outside until it is declared; this says so before an analyst meets it."""
    metrics = {
        name
        for module in (retention, volume, forms, quality)
        for name in module.__all__
        if inspect.isfunction(function := getattr(module, name)) and "DataFrame" in str(inspect.signature(function))
    }
    assert metrics == {*LAYOUTS}


def test_columns_are_those_of_the_tables(made: dict[str, list[pl.DataFrame]]) -> None:
    for name, found in made.items():
        layout = LAYOUTS[name]
        if isinstance(layout, Layout):
            own = {*layout.by, *layout.counts, *layout.told, *layout.rest, *layout.blank}
            assert not {*found[0].columns} - own, name


OF = dict.fromkeys(("cohorts", "means", "chance_limits", "definitions"), "eligible")
OF |= dict.fromkeys(("rates", "funnel_plot", "heat", "lead", "notes"), "due") | {"funnel": "before"}
OF |= dict.fromkeys(("rebooked", "cancellations"), "visits") | {"survival": "at_risk", "requests": "waiting_or_done"}
OF |= dict.fromkeys(("before_first_visit", "measures"), "clients")


def test_few_is_told_of_fewer_than_thirty(made: dict[str, list[pl.DataFrame]]) -> None:
    told_of = {name: found for name, found in made.items() if "few" in found[0].columns}
    assert {*OF} <= {*told_of}
    for name in OF:
        for table in told_of[name]:
            assert table.select(((pl.col(OF[name]) < 30) == pl.col("few")).all()).item(), name
    few = {(name, value) for name in OF for table in told_of[name] for value in table["few"]}
    assert len(few) >= 1.5 * len(OF)  # of half the metrics there are both


@pytest.mark.parametrize("name", NAMES)
def test_no_small_count_and_no_id_is_told_outside(name: str, made: dict[str, list[pl.DataFrame]]) -> None:
    layout = LAYOUTS[name]
    assert isinstance(layout, Layout)
    for table in made[name]:
        outside = told(table, metric=name, audience="external")
        assert outside.columns == table.columns
        assert outside.height > 0
        assert small(outside, layout) == 0
        for column in IDS:
            if column in table.columns:
                assert not {*outside[column]} & {*table[column].drop_nulls()}
        is_hidden = pl.any_horizontal(pl.col(layout.counts).is_null())
        nullable = made[name][0].select(pl.col(layout.counts).is_null().any()).row(0)
        if not any(nullable):
            hidden = outside.filter(is_hidden)
            assert all(hidden[column].is_null().all() for column in layout.rest if column in table.columns)


def test_there_was_something_to_hide(made: dict[str, list[pl.DataFrame]]) -> None:
    """Else the test above proves nothing."""
    hiding = {name for name in NAMES if any(small(table, LAYOUTS[name]) for table in made[name])}  # type: ignore[arg-type]
    assert len(hiding) > len(NAMES) / 2, hiding


@pytest.mark.parametrize("name", [name for name, layout in LAYOUTS.items() if isinstance(layout, str)])
def test_lists_of_clients_and_desks_stay_in_the_practice(name: str) -> None:
    with pytest.raises(DisclosureError, match=f"{name} stays in the practice: it "):
        told(pl.DataFrame({"a": [1]}), metric=name, audience="external")


def test_inside_a_table_is_as_it_is() -> None:
    table = pl.DataFrame({"client_id": ["7"]})
    assert told(table, metric=None, audience="internal").equals(table)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"metric": None}, "only a metric's table can be made safe"),
        ({"metric": "moon"}, "no metric is called 'moon'"),
        ({"metric": "flow"}, "this is no table of flow: it lacks before, new"),
    ],
)
def test_what_is_no_metrics_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(DisclosureError, match=words):
        told(pl.DataFrame({"standing": ["new"], "clients": [70]}), audience="external", **options)


def test_column_that_an_analyst_added_is_refused() -> None:
    table = pl.DataFrame({"standing": ["new"], "clients": [70], "client_id": ["7"]})
    with pytest.raises(DisclosureError, match="population has no client_id: leave out"):
        told(table, metric="population", audience="external")


def test_two_measures_at_once_are_refused() -> None:
    rates = volume.rates(example({"7": ["2026-01-05"]}), as_of="2026-06-30")
    with pytest.raises(DisclosureError, match="difference of two measures: filter to one"):
        told(rates, metric="rates", audience="external")


def test_unknown_audience_is_refused() -> None:
    with pytest.raises(ValueError, match="audience is 'public'; allowed are 'internal' and 'external'"):
        told(pl.DataFrame(), metric=None, audience="public")  # type: ignore[arg-type]


def test_names_stand_in_for_ids() -> None:
    table = pl.DataFrame({"provider_id": ["17", "9", None], "visits": [70, 60, 50], "due": [70, 60, 50]})
    table = table.with_columns(weekday=pl.lit(1), hour=pl.lit(9), missed=pl.lit(20))
    outside = told(table, metric="heat", audience="external", names={"provider_id": {"9": "Ada"}})
    assert outside["provider_id"].to_list() == ["provider 1", "Ada", None]


def test_median_of_weeks_is_a_small_count_too() -> None:
    """It is the count of one of the weeks, which may be small while all others of the row are not."""
    booked = pl.DataFrame({"ahead": [1, 2], "booked": [30, 30], "usual": [20.5, 8.0], "lowest": [12, 0]})
    booked = booked.with_columns(highest=pl.Series([25, 40]), earlier=8, usual_final=pl.Series([8.0, None]))
    outside = told(booked, metric="booked", audience="external")
    assert outside["usual_final"].to_list() == [None, None]
    assert outside["usual"].to_list() == [20.5, None]
    assert outside.select("booked", "lowest", "highest").rows() == [(30, 12, 25), (30, 0, 40)]


def test_what_was_active_is_not_told_by_the_row_after_it() -> None:
    """The active of a period are the next one's before, and what was kept and what left add up to it."""
    flow = pl.DataFrame(
        {
            "period": ["a", "b", "c"],
            "before": [0, 60, 64],
            "new": [60, 20, 30],
            "kept": [0, 40, 50],
            "returned": [0, 4, 0],
            "left": [0, 20, 14],
            "active": [60, 64, 80],
            "unknown": [0, 0, 0],
        }
    )
    outside = told(flow, metric="flow", audience="external")
    assert outside["returned"].to_list() == [0, None, 0]
    shown = outside.row(1, named=True)
    assert shown["active"] is None or shown["new"] is None or shown["kept"] is None
    if shown["active"] is None:
        later = outside.row(2, named=True)
        assert later["before"] is None
        assert later["kept"] is None or later["left"] is None


def test_definition_is_the_metrics_own_first_paragraph() -> None:
    assert disclosure.definition("flow").startswith("Clients seen in each period: who is new, kept, returned")
    assert disclosure.definition("rates").startswith("Share of due clinical visits that were missed")
