from __future__ import annotations

import struct
import zlib

import altair as alt
import polars as pl
import vl_convert

from healthie_nb import display

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


def test_text_says_the_rows() -> None:
    assert display.text(CHART.to_dict()) == "Weeks\nweek  rate\na     0.3333\nb     -"


def test_text_of_a_chart_without_words_or_rows_is_empty() -> None:
    assert display.text({"mark": "bar"}) == ""


def test_own_configuration_of_a_chart_counts_more_than_ours() -> None:
    config = display.finished(CHART.configure_axis(labelFontSize=20).configure_bar(color="red").to_dict())["config"]
    assert config["axis"]["labelFontSize"] == 20
    assert config["axis"]["labelColor"] == "currentColor"
    assert config["bar"] == {"color": "red"}


def test_smaller_picture_has_the_same_pixels() -> None:
    picture = vl_convert.vegalite_to_png(CHART.to_dict())
    packed = display.packed(picture)
    assert pixels(packed) == pixels(picture)
    assert len(packed) < len(picture)
