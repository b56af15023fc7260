from __future__ import annotations

import altair as alt
import polars as pl
import pytest

from healthie_nb import controls
from healthie_nb.live import Answer, Explorer
from healthie_nb.tables import Table


class Asked:
    """An answer that notes what it was asked."""

    def __init__(self) -> None:
        self.views: list[dict[str, object]] = []

    def __call__(self, **view: object) -> Answer:
        self.views.append(view)
        rows = pl.DataFrame({"size": [str(view["size"])]})
        return Answer(f"size {view['size']} & colour {view['colour']}", rows, _parts(rows), Table("t", "T", (), rows))


def _parts(rows: pl.DataFrame) -> dict[str, object]:
    return {"datasets": {"rows": rows.to_dicts()}}


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def explorer(asked: Asked) -> Explorer:
    base = alt.Chart(alt.NamedData("rows")).mark_point().encode(x="size:N")
    choices = {
        "size": controls.one_of("Size", "s", ["s", "m"]),
        "colour": controls.one_of("Colour", "red", ["red", "blue"]),
    }
    return Explorer(alt.layer(base), choices, asked)


def test_change_puts_only_rows_into_the_kept_specification(explorer: Explorer) -> None:
    before = dict(explorer._chart.spec)
    explorer.controls["size"].value = "m"
    after = dict(explorer._chart.spec)
    assert after.pop("datasets") == {"rows": [{"size": "m"}]}
    assert before.pop("datasets") == {"rows": [{"size": "s"}]}
    assert before == after


def test_table_and_sentence_change_with_the_chart(explorer: Explorer) -> None:
    explorer.controls["size"].value = "m"
    assert '<th scope="row" class="gt_left gt_stub">m</th>' in explorer._table.value
    assert explorer._status.value == '<div role="status">size m &amp; colour red</div>'


def test_reset_redraws_once(explorer: Explorer, asked: Asked) -> None:
    explorer.controls["size"].value = "m"
    explorer.controls["colour"].value = "blue"
    explorer.reset()
    assert asked.views[1:] == [
        {"size": "m", "colour": "red"},
        {"size": "m", "colour": "blue"},
        {"size": "s", "colour": "red"},
    ]


def test_output_has_a_picture_and_text_that_stay_the_same(explorer: Explorer) -> None:
    data = explorer._repr_mimebundle_()
    assert data["text/plain"] == "size s & colour red\nT\nsize\ns"
    assert data["image/png"].startswith(b"\x89PNG")
    assert "application/vnd.jupyter.widget-view+json" in data


def test_scripts_come_with_the_widget(explorer: Explorer) -> None:
    """Altair's own widget imports them from a CDN."""
    assert "https://esm.sh" not in explorer._chart._esm
    assert explorer._chart.embed_options["actions"] is False
