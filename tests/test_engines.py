from pathlib import Path

import duckdb
import polars as pl
import pytest

from healthie_nb.engines import reduced, reducible
from healthie_nb.visits import MetricError


def test_frame_of_another_kind_is_refused_with_the_allowed_ones() -> None:
    with pytest.raises(MetricError, match="visits are a list; allowed are a polars DataFrame or LazyFrame, a DuckDB"):
        reducible([1])


def test_missing_column_says_how_visits_are_made() -> None:
    with pytest.raises(MetricError, match="these visits lack day, status: make them with visits"):
        reducible(pl.DataFrame({"client_id": ["7"]}), "client_id", "day", "status")


def test_engines_reduce_to_the_same_frame(tmp_path: Path) -> None:
    rows = pl.DataFrame({"day": pl.Series([1, 2, 2], dtype=pl.Int32)})
    rows.write_parquet(tmp_path / "visits.parquet")
    engines = [rows, rows.lazy(), duckdb.read_parquet(str(tmp_path / "visits.parquet"))]
    answers = [reduced(reducible(frame, "day").unique("day")).sort("day") for frame in engines]
    assert all(answer.equals(answers[0]) for answer in answers)
    assert answers[0].schema == {"day": pl.Int64}
