"""What readers outside the practice are shown: every chart and table, drawn of rows in which counts are hidden."""

from __future__ import annotations

import polars as pl
import pytest
from gallery import CHARTS, Shown

from healthie_nb import charts, disclosure, display, tables

drawn = pytest.mark.parametrize(
    "shown", [one for one in CHARTS if disclosure.may_leave(one.name)], ids=lambda s: s.name
)


def told(shown: Shown) -> pl.DataFrame:
    return disclosure.told(shown.rows, metric=shown.name, audience="external")


def nothing_told(shown: Shown) -> pl.DataFrame:
    """Return the rows with every count, and what follows from it, hidden."""
    layout = disclosure.layout_of(shown.name)
    hidden = [name for name in (*layout.counts, *layout.rest, *layout.blank) if name in shown.rows.columns]
    kept = {"is_open", "few", "standing"}  # booleans stay as they are: a chart may filter by them
    rows = told(shown)
    return rows.with_columns(pl.lit(None, rows.schema[name]).alias(name) for name in hidden if name not in kept)


@drawn
@pytest.mark.parametrize("hide", [told, nothing_told])
def test_chart_and_table_are_drawn_of_what_outside_may_see(shown: Shown, hide: object) -> None:
    rows = hide(shown)  # type: ignore[operator]
    assert display.text(display.finished(shown.chart(rows).to_dict()))
    if shown.name in tables.__all__:
        table = shown.table(rows)
        assert "None" not in repr(table)
        assert "<table" in table._repr_html_()


def test_every_chart_and_table_is_of_a_metric_that_outside_may_have_or_not() -> None:
    names = {name for name in (*charts.__all__, *tables.__all__) if name.islower() and not name.endswith("_parts")}
    assert {name for name in names if disclosure.METRIC_OF.get(name, name) not in disclosure.LAYOUTS} == set()
