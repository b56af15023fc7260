from __future__ import annotations

import json
from datetime import date

import polars as pl
import pytest
import vl_convert

from healthie_nb import charts, retention
from healthie_nb.visits import MetricError, example

# Two of January, one of whom came back in the second month; two of May, one of whom has had a month by 2 June.
SEEN = example({"a": ["2026-01-05", "2026-02-20"], "b": ["2026-01-20"], "c": ["2026-05-20"], "d": ["2026-05-01"]})


def rows(**options: object) -> pl.DataFrame:
    return retention.cohorts(SEEN, as_of="2026-06-02", measure="on", periods=2, **options)  # type: ignore[arg-type]


def spec(*, synthetic: bool = True) -> dict[str, object]:
    return charts.cohorts(rows(), every="month", synthetic=synthetic).to_dict()


def cells() -> pl.DataFrame:
    return pl.DataFrame(spec()["datasets"]["cells"])  # type: ignore[index]


def test_chart_holds_the_rows_of_the_metric_and_no_client() -> None:
    assert cells().select("cohort", "label", "clients", "eligible", "returned").rows() == [
        ("Jan 2026", "month 1", 2, 2, 0),
        ("Jan 2026", "month 2", 2, 2, 1),
        ("May 2026", "month 1", 2, 1, 0),
        ("May 2026", "month 2", 2, 0, 0),
    ]
    assert "client_id" not in json.dumps(spec())


def test_open_and_few_cells_are_marked() -> None:
    assert cells()["is_open"].to_list() == [False, False, True, True]
    assert cells()["text"].to_list() == ["0%*", "50%*", "0%*", None]


def test_every_row_names_its_cohort_and_size() -> None:
    assert "Jan 2026  ·  n 2" in vl_convert.vegalite_to_svg(spec())


@pytest.mark.parametrize(("synthetic", "times"), [(True, 1), (False, 0)])
def test_synthetic_data_is_labelled_and_nothing_else_is(synthetic: bool, times: int) -> None:  # noqa: FBT001
    assert json.dumps(spec(synthetic=synthetic)).count("Demo practice: synthetic data") == times


def test_chart_can_be_heard() -> None:
    assert spec()["description"] == (
        "Heat map of 2 cohorts, Jan 2026 to May 2026, 4 new clients in all, by time since the first visit, month 1 to "
        "month 2. The share that returned lies between 0% and 50%."
    )


def test_chart_without_cohorts_is_drawn() -> None:
    empty = charts.cohorts(rows().clear(), every="month", synthetic=False).to_dict()
    assert vl_convert.vegalite_to_svg(empty).startswith("<svg")
    assert empty["description"] == "Heat map without cohorts."


def test_split_cohorts_are_refused() -> None:
    with pytest.raises(MetricError, match="split by provider_id"):
        charts.cohorts(
            pl.concat([rows().with_columns(pl.lit(p).alias("provider_id")) for p in "12"]).select(
                "cohort", "provider_id", pl.exclude("cohort", "provider_id")
            ),
            every="month",
            synthetic=False,
        )


def test_rows_put_into_a_kept_specification_show_another_view() -> None:
    january = rows().filter(pl.col("cohort") == date(2026, 1, 1))
    kept = spec() | charts.cohorts_parts(january, every="month", synthetic=True)
    fresh = charts.cohorts(january, every="month", synthetic=True).to_dict()
    assert kept == fresh
