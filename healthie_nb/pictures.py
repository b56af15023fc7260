"""Charts as files: PNG and SVG on white paper, drawn without a network, with their provenance inside."""

from __future__ import annotations

import html
import struct
import zlib
from typing import TYPE_CHECKING, Any, Final

import vl_convert

from healthie_nb import display, raster

if TYPE_CHECKING:
    from collections.abc import Mapping

SCALE: Final = 2.0  # of the screen's, for slides and print
PADDING: Final = 20
_BEFORE_PIXELS: Final = 33  # signature and header of a PNG; what is said goes between them and the pixels


def png(spec: Mapping[str, Any], said: Mapping[str, str]) -> bytes:
    """Finished specification as PNG; what is said travels as international text, a chunk each."""
    picture = raster.packed(vl_convert.vegalite_to_png(display.on_paper(spec), scale=SCALE, allowed_base_urls=[]))
    texts = b"".join(_chunk(_keyword(name), text) for name, text in said.items())
    return picture[:_BEFORE_PIXELS] + texts + picture[_BEFORE_PIXELS:]


def width(picture: bytes) -> float:
    """Width at which a PNG of ours is to be shown, in pixels of the screen."""
    (dots,) = struct.unpack_from(">I", picture, 16)
    return float(dots / SCALE)


def svg(spec: Mapping[str, Any], said: Mapping[str, str]) -> str:
    """Finished specification as SVG, with its title and description for those who hear it."""
    # Whoever shows it may have wider letters than those it is laid out with here.
    roomy = {"padding": PADDING, **display.on_paper(spec)}
    drawn: str = vl_convert.vegalite_to_svg(roomy, allowed_base_urls=[])
    title = spec.get("title") or ""
    words = title if isinstance(title, str) else title.get("text", "")
    told = "".join(f"<{tag}>{html.escape(text)}</{tag}>" for tag, text in _named(words, spec) if text)
    rest = html.escape("\n".join(f"{name}: {text}" for name, text in said.items()))
    head, _, body = drawn.partition(">")
    return f'{head} role="img">{told}<metadata>{rest}</metadata>{body}'


def _named(title: str, spec: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return ("title", title), ("desc", spec.get("description", ""))


def _keyword(name: str) -> str:
    """Keyword as PNG has them: the known ones by their names, with a capital letter."""
    return {"definition": "Description", "data": "Source"}.get(name, name.capitalize())


def _chunk(keyword: str, text: str) -> bytes:
    body = keyword.encode("latin-1") + b"\0\0\0\0\0" + text.encode()
    return struct.pack(">I", len(body)) + b"iTXt" + body + struct.pack(">I", zlib.crc32(b"iTXt" + body))
