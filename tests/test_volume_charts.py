"""What charts and tables of volume say, counted by hand."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import polars as pl
import pytest
import vl_convert

from healthie_nb import charts, tables, volume
from healthie_nb.visits import MetricError, example

# Two weeks of January 2026, and one of them 52 weeks before.
SEEN = example(
    {
        "a": ["2025-01-06", "2026-01-05", "2026-01-12 No-Show"],
        "b": ["2026-01-06 Checked-In", "2026-01-13 None", "2026-01-14"],
        "c": ["2026-01-07 Cancelled", "2026-01-15 Late Cancellation"],
    }
).with_columns(
    pl.col("status").replace("other", "unrecorded"),
    provider_id=pl.when(pl.col("client_id") == "a").then(pl.lit("p")).otherwise(pl.lit("q")),
)
WEEK: dict[str, Any] = {"every": "week", "synthetic": False}
JANUARY = pl.col("period") >= date(2026, 1, 1)


def counted(**options: Any) -> pl.DataFrame:
    return volume.counts(SEEN, as_of="2026-01-14", every="week", **options).filter(JANUARY)


def rows(chart: Any, name: str = "rows") -> pl.DataFrame:
    return pl.DataFrame(chart.to_dict()["datasets"][name])


def test_column_is_made_up_of_its_statuses_and_compared_to_last_year() -> None:
    """Checked in has not occurred: it stands with unmarked, as many colours as can be told apart."""
    chart = charts.counts(counted(), compare_to="last year", **WEEK)
    assert rows(chart).select("period", "series", "foot", "top", "total", "is_open").rows() == [
        ("5 Jan 2026", "occurred", 0, 1, 3, False),
        ("12 Jan 2026", "occurred", 0, 1, 3, True),
        ("12 Jan 2026", "no-show", 1, 2, 3, True),
        ("5 Jan 2026", "checked in or unmarked", 1, 2, 3, False),
        ("12 Jan 2026", "checked in or unmarked", 2, 3, 3, True),
        ("5 Jan 2026", "cancelled", 2, 3, 3, False),
    ]
    assert rows(chart, "totals").select("period", "total", "compared", "said").rows() == [
        ("5 Jan 2026", 3, 1.0, "1"),
        ("12 Jan 2026", 3, 0.0, "0"),
    ]


def test_working_days_make_an_open_week_like_the_others() -> None:
    chart = charts.counts(counted(by=[]), per_working_day=True, compare_to="last year", **WEEK)
    assert rows(chart).select("count", "days").rows() == [(0.6, 5), (1.0, 3)]
    assert rows(chart, "totals").is_empty()
    assert chart.to_dict()["title"]["text"] == "Client visits per working day, week by week"


def test_table_tells_the_change_of_what_is_over() -> None:
    table = tables.counts(counted(), compare_to="last year", **WEEK)
    columns = ["period", "occurred", "checked in", "in all", "per working day", "last year", "change"]
    assert table.rows.select(columns).rows() == [
        ("5 Jan 2026", "1", "1", "3", "0.6", "1", "+200%"),
        ("12 Jan 2026", "1", "0", "3", "1.0", "0", ""),
    ]
    assert {row for row, _ in table.hatched} == {1}


def test_unknown_comparison_lists_the_known_ones() -> None:
    for draw in (charts.counts, tables.counts):
        with pytest.raises(MetricError, match="compare_to is 'never'; allowed are '', 'last year', 'period before'"):
            draw(counted(), compare_to="never", **WEEK)  # type: ignore[arg-type]


def test_share_missed_has_the_bounds_that_unmarked_visits_leave() -> None:
    """Of the second week two are due, one was missed, and one is unmarked: 1 of 3 if kept, 2 of 3 if missed."""
    rates = volume.rates(SEEN, as_of="2026-01-14", every="week").filter(JANUARY, measure="lost", late="status")
    chart = charts.rates(rates, **WEEK)
    assert rows(chart).select("period", "rate", "n", "unmarked", "if_kept", "if_missed", "bounds").rows() == [
        ("5 Jan 2026", 0.0, 2, 0, 0.0, 0.0, "0-0%"),
        ("12 Jan 2026", 0.5, 2, 1, 0.3333, 0.6667, "33-67%"),
    ]
    assert tables.rates(rates, **WEEK).rows["if these were kept or missed"].to_list() == ["0-0%", "33-67%"]


def test_both_ways_of_telling_late_are_lines_beside_each_other() -> None:
    rates = volume.rates(SEEN, as_of="2026-01-31", every="week").filter(JANUARY, measure="lost")
    assert rows(charts.rates(rates, **WEEK))["series"].unique(maintain_order=True).to_list() == [
        "late by Healthie's status", "late by hours of notice",
    ]  # fmt: skip


def test_what_is_booked_stands_beside_what_is_usual() -> None:
    booked = pl.DataFrame(
        {"ahead": [1], "week_from": [date(2026, 7, 1)], "week_to": [date(2026, 7, 7)], "booked": [90], "usual": [100.5],
         "lowest": [80], "highest": [120], "earlier": [8], "usual_final": [95.0]}
    )  # fmt: skip
    assert rows(charts.booked(booked, synthetic=False)).row(0, named=True) == {
        "row": "1 Jul to 7 Jul", "usual": 100.5, "lowest": 80, "highest": 120, "earlier": 8, "count": 90, "final": 95.0,
        "range": "80 to 120", "said": "90  ·  usual 100.5",
    }  # fmt: skip
    assert tables.booked(booked, synthetic=False).rows.row(0) == (
        "1 Jul to 7 Jul", "90", "100.5", "-10.5", "80 to 120", "8", "95.0",
    )  # fmt: skip


def test_several_slices_are_refused_where_one_is_drawn() -> None:
    by = pl.DataFrame({"provider_id": ["p", "q"], "ahead": [1, 1]})
    for draw in (charts.booked, charts.booking_curve, tables.booking_curve):
        with pytest.raises(MetricError, match="sliced by provider_id: filter it to one value first"):
            draw(by, synthetic=False)
    with pytest.raises(MetricError, match="sliced by provider_id"):
        charts.heat(volume.heat(SEEN, as_of="2026-01-31", by=["provider"]), synthetic=False)


def test_cancellations_of_all_periods_are_added_up_by_whom_and_notice() -> None:
    told = {
        "cancelled_by": ["client", "client", "provider"],
        "notice": ["under 24 hours", "over 48 hours", "not known"],
    }
    cells = pl.DataFrame(
        told | {"cancellations": [3, 4, 1], "late_by_status": [2, 0, 0], "is_open": [False] * 3, "few": [True] * 3}
    )
    drawn = rows(charts.cancellations(cells, synthetic=False)).select("row", "series", "count")
    assert drawn.rows() == [
        ("client", "over 48 hours", 4), ("client", "under 24 hours", 3), ("client", "not known", 0),
        ("provider", "not known", 1),
    ]  # fmt: skip
    assert tables.cancellations(cells, synthetic=False).rows.rows() == [
        ("client", "4", "0", "3", "0", "0", "7", "88%", "2"),
        ("provider", "0", "0", "0", "0", "1", "1", "12%", "0"),
    ]


def test_funnel_plot_names_those_outside_the_limits_alone() -> None:
    plot = pl.DataFrame(
        {"provider_id": ["p", "q"], "due": [200, 100], "missed": [20, 30], "rate": [0.1, 0.3], "overall": [0.15] * 2,
         "low_95": [0.1] * 2, "high_95": [0.2] * 2, "low_998": [0.05] * 2, "high_998": [0.25] * 2,
         "standing": ["within", "above 99.8 %"], "design_effect": [1.0, 1.5], "few": [False] * 2}
    )  # fmt: skip
    chart = charts.funnel_plot(plot, synthetic=False, names={"q": "Dr Q"})
    assert rows(chart).select("row", "label").rows() == [("p", ""), ("Dr Q", "Dr Q")]
    assert "Dr Q 30% of 100, above 99.8 %" in chart.to_dict()["description"]


def test_reconciliation_says_where_and_why_the_two_differ() -> None:
    table = pl.DataFrame(
        {"name": ["Ada", "Ada", "Bob"], "status": ["no_show", "occurred", "occurred"], "ours": [1, 9, 5],
         "theirs": [2, 8, 5], "difference": [-1, 1, 0], "reason": ["marked since", "marked since", None]}
    )  # fmt: skip
    shown = tables.reconcile(table, synthetic=False)
    assert shown.rows.rows() == [
        ("Ada", "10", "10", "0", "no-show, occurred", "marked since"),
        ("Bob", "5", "5", "0", "", ""),
    ]
    assert shown.notes == ("2 of 3 counts differ",)
    assert rows(charts.reconcile(table, synthetic=False))["said"].to_list() == ["0  ·  no-show, occurred", "agree"]
    waiting = table.with_columns(pl.lit(None, pl.Int64).alias(name) for name in ("theirs", "difference"))
    assert tables.reconcile(waiting, synthetic=False).notes == (
        "Healthie is still making its totals: ask again in some minutes",
    )


@pytest.mark.parametrize(
    ("every", "first"), [("week", ["30 Mar", "6 Apr", "13 Apr", "20 Apr"]), ("month", ["Mar", "Apr", "May", "Jun"])]
)
def test_ticks_are_where_tables_say_that_periods_begin(every: Any, first: list[str]) -> None:
    seen = example({"a": ["2026-03-30", "2026-06-22"]})
    chart = charts.counts(volume.counts(seen, as_of="2026-06-30", every=every, by=[]), every=every, synthetic=False)
    said = re.findall(r">([^<>]+)</text>", vl_convert.vegalite_to_svg(chart.to_dict()))
    assert said[:4] == first
