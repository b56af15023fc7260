"""Charts without a network: how they look, and what a notebook keeps of them.

Altair's own renderer loads scripts from a CDN. Importing this module makes the one below Altair's renderer, for
every chart of the session: a chart that an analyst adds must not ask the network either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import altair as alt
import vl_convert

from healthie_nb import raster

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# JupyterLab 4 draws Vega-Lite 5; what we use of 6 is the same.
VEGALITE: Final = "application/vnd.vegalite.v5+json"
SCHEMA: Final = "https://vega.github.io/schema/vega-lite/v5.json"
# The menu's "Open in Vega Editor" posts the data to a website. SVG takes the page's text colour, light or dark.
EMBED: Final = {"actions": False, "renderer": "svg"}
INK: Final = "currentColor"
PAPER: Final = {"ink": "#1b1b1b", "background": "white"}
LOOK: Final[dict[str, Any]] = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "title": {"color": INK, "subtitleColor": INK, "anchor": "start", "fontSize": 15, "subtitlePadding": 6},
    "axis": {"labelColor": INK, "titleColor": INK, "domain": False, "ticks": False, "labelFontSize": 12},
    "legend": {"labelColor": INK, "titleColor": INK},
    "header": {"labelColor": INK, "titleColor": INK},
    "text": {"color": INK},
}
PNG_SCALE: Final = 2 / 3  # of the screen's; a picture is most of what a saved notebook weighs


def finished(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Vega-Lite specification as it is shown: our look under its own, no menu, and the version that Jupyter draws."""
    own = spec.get("config", {})
    look = {key: {**value, **own.get(key, {})} if isinstance(value, dict) else value for key, value in LOOK.items()}
    # A legend without a series has no size, and nothing at all would be drawn.
    drawn = _without_legends(spec) if spec.get("datasets", {}).get("rows") == [] else spec
    return {**drawn, "$schema": SCHEMA, "config": {**own, **look}, "usermeta": {"embedOptions": EMBED}}


def text(spec: Mapping[str, Any]) -> str:
    """Words of a chart, and its rows where no description says them: for those who read without pictures."""
    title = spec.get("title") or {}
    lines = [title] if isinstance(title, str) else [title.get("text", ""), *title.get("subtitle", [])]
    described = spec.get("description")
    lines += (
        [described] if described else [line for rows in spec.get("datasets", {}).values() for line in _aligned(rows)]
    )
    return "\n".join(line for line in lines if line)


def png(spec: Mapping[str, Any]) -> bytes:
    """Finished specification as a picture on white paper: legible wherever a saved notebook is read."""
    return raster.in_few_colours(vl_convert.vegalite_to_png(on_paper(spec), scale=PNG_SCALE))


def on_paper(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Finished specification with ink and paper of its own, in place of the page's."""
    config = {key: _inked(value) for key, value in spec["config"].items()}
    return {**spec, "config": {**config, "background": PAPER["background"]}}


def bundle(spec: Mapping[str, Any], **_: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """Output of a notebook cell that shows a chart: the specification, a picture and its text."""
    shown = finished(spec)
    return {VEGALITE: shown, "image/png": png(shown), "text/plain": text(shown)}, {VEGALITE: {"embed_options": EMBED}}


def _without_legends(part: Any) -> Any:
    if isinstance(part, dict):
        return {key: None if key == "legend" else _without_legends(inner) for key, inner in part.items()}
    return [_without_legends(inner) for inner in part] if isinstance(part, list) else part


def _inked(value: object) -> object:
    if isinstance(value, dict):
        return {key: _inked(inner) for key, inner in value.items()}
    return PAPER["ink"] if value == INK else value


def _aligned(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    rows = [row for row in rows if row.get("text") != ""]  # a row that stands for none, and is not to be seen
    cells = [[_said(value) for value in row.values()] for row in rows]
    names = [list(row) for row in rows][:1]
    widths = [max(map(len, column)) for column in zip(*names, *cells, strict=True)]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in (*names, *cells)]


def _said(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


alt.renderers.register("healthie-nb", bundle)
alt.renderers.enable("healthie-nb")
