"""PNG in fewer bytes than vl-convert writes it: for speed it compresses little, and it spends four bytes on a pixel."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
MOST: Final = 256
SUB: Final = 1  # the filter of a line in which a pixel is told by its difference to the one on its left
RGBA: Final = (8, 6, 0, 0, 0)  # depth, kind, and what else a header says of a plain picture in colour
IN_COLOURS: Final = (8, 3, 0, 0, 0)


def in_few_colours(picture: bytes) -> bytes:
    """Picture on white paper in at most 256 colours: of a chart half the bytes again, and hardly to be seen.

    Only packed where it is not made as vl-convert makes them.
    """
    parts = list(chunks(picture))
    width, height, *made = struct.unpack(">IIBBBBB", parts[0][1])
    lines = np.frombuffer(zlib.decompress(b"".join(body for kind, body in parts if kind == b"IDAT")), np.uint8)
    lines = lines.reshape(height, -1)
    if tuple(made) != RGBA or (lines[:, 0] != SUB).any():
        return packed(picture)
    pixels = np.cumsum(lines[:, 1:].reshape(height, width, 4), axis=1, dtype=np.uint8).astype(np.uint32)
    opacity = pixels[..., 3]
    red, green, blue = ((pixels[..., i] * opacity + 255 * (255 - opacity)) // 255 for i in range(3))
    colours, which = _fewer(red << 16 | green << 8 | blue)
    rows = np.hstack([np.zeros((height, 1), np.uint8), which])
    table = b"".join(int(colour).to_bytes(3) for colour in colours)
    header = struct.pack(">IIBBBBB", width, height, *IN_COLOURS)
    return written([(b"IHDR", header), (b"PLTE", table), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b"")])


def packed(picture: bytes) -> bytes:
    """Pack the same pixels into about a third of the bytes."""
    parts = list(chunks(picture))
    pixels = zlib.compress(zlib.decompress(b"".join(body for kind, body in parts if kind == b"IDAT")), 9)
    return written([parts[0], (b"IDAT", pixels), (b"IEND", b"")])


def _fewer(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colours, and which of them each pixel has: as fine as they can be told apart in so few."""
    for bits in range(8, 0, -1):
        coarse = pixels & (0x010101 * (0xFF << (8 - bits) & 0xFF))
        kept, which = np.unique(coarse, return_inverse=True)
        if len(kept) <= MOST:
            break
    which = which.reshape(pixels.shape)
    # Of the colours that have become one, the one that most pixels have.
    pairs, counts = np.unique(which.astype(np.uint64) << 32 | pixels, return_counts=True)
    order = np.argsort(counts, kind="stable")
    colours = np.zeros(len(kept), np.uint32)
    colours[(pairs[order] >> 32).astype(int)] = pairs[order] & 0xFFFFFF
    return colours, which.astype(np.uint8)


def chunks(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and body of each part of a PNG."""
    at = len(SIGNATURE)
    while at < len(picture):
        length, kind = struct.unpack_from(">I4s", picture, at)
        yield kind, picture[at + 8 : at + 8 + length]
        at += length + 12


def written(parts: Iterable[tuple[bytes, bytes]]) -> bytes:
    """PNG of these parts."""
    return SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )
