from __future__ import annotations

import io
import struct
import zlib

import altair as alt
import numpy as np
import polars as pl
import vl_convert
from PIL import Image

from healthie_nb import display, raster

ROWS = pl.DataFrame({"week": ["a", "b"], "rate": [1 / 3, None]})
CHART = alt.Chart(ROWS, title="Weeks").mark_bar().encode(x="week", y="rate")


def pixels(picture: bytes) -> bytes:
    """Uncompressed image data of a PNG."""
    at, data = 8, b""
    while at < len(picture):
        length, kind = struct.unpack_from(">I4s", picture, at)
        data += picture[at + 8 : at + 8 + length] if kind == b"IDAT" else b""
        at += length + 12
    return zlib.decompress(data)


def test_cell_keeps_specification_picture_and_text() -> None:
    data, metadata = CHART._repr_mimebundle_()
    assert set(data) == {"application/vnd.vegalite.v5+json", "image/png", "text/plain"}
    assert metadata[display.VEGALITE]["embed_options"]["actions"] is False


def test_chart_of_an_analysts_own_asks_no_network() -> None:
    """Altair's own renderer would name a CDN."""
    data, _ = CHART._repr_mimebundle_()
    shown = {key: value for key, value in data[display.VEGALITE].items() if key != "$schema"}  # an identifier
    assert "http" not in str(shown)


def test_two_runs_keep_the_same() -> None:
    assert CHART._repr_mimebundle_() == CHART.copy()._repr_mimebundle_()


def test_text_says_the_rows_of_a_chart_that_nothing_describes() -> None:
    assert display.text(CHART.to_dict()) == "Weeks\nweek  rate\na     0.3333\nb     -"
    assert (
        display.text(CHART.properties(description="A third, and nothing.").to_dict()) == "Weeks\nA third, and nothing."
    )


def test_text_of_a_chart_without_words_or_rows_is_empty() -> None:
    assert display.text({"mark": "bar"}) == ""


def test_own_configuration_of_a_chart_counts_more_than_ours() -> None:
    config = display.finished(CHART.configure_axis(labelFontSize=20).configure_bar(color="red").to_dict())["config"]
    assert config["axis"]["labelFontSize"] == 20
    assert config["axis"]["labelColor"] == "currentColor"
    assert config["bar"] == {"color": "red"}


def test_smaller_picture_has_the_same_pixels() -> None:
    picture = vl_convert.vegalite_to_png(CHART.to_dict())
    packed = raster.packed(picture)
    assert pixels(packed) == pixels(picture)
    assert len(packed) < len(picture)


def test_picture_in_few_colours_is_smaller_and_hardly_another() -> None:
    """Read by Pillow, which wrote neither: no pixel is far off, and few are off at all."""
    rows = pl.DataFrame({"x": list(range(40)) * 5, "y": [y for y in range(5) for _ in range(40)]})
    heat = (
        alt.Chart(rows).mark_rect().encode(x="x:O", y="y:O", color=alt.Color("x:Q", scale=alt.Scale(scheme="rainbow")))
    )
    picture = vl_convert.vegalite_to_png(display.on_paper(display.finished(heat.to_dict())))
    smaller = raster.in_few_colours(picture)
    assert len(smaller) < 0.7 * len(raster.packed(picture))
    before, after = (np.asarray(Image.open(io.BytesIO(one)).convert("RGB"), int) for one in (picture, smaller))
    apart = np.abs(before - after).max(axis=2)
    assert apart.max() < 32
    assert (apart > 0).mean() < 0.1


def test_picture_made_by_others_keeps_its_pixels() -> None:
    made = io.BytesIO()
    Image.new("L", (3, 2), 7).save(made, "PNG")
    assert np.asarray(Image.open(io.BytesIO(raster.in_few_colours(made.getvalue())))).tolist() == [[7] * 3] * 2
