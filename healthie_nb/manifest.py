"""What is stored of one data set: its parts, what they cover, and when they were pulled."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import msgspec

from healthie_nb.windows import Window

FORMAT = 2
# GONE rows were missing from a pull and may have moved elsewhere; at its end they are DELETED, or not gone.
WINDOW, WHOLE, DATELESS, GONE, DELETED = "window", "whole", "dateless", "gone", "deleted"
MOVED = "moved"  # not rows: which of them became another client's


class StoredPart(msgspec.Struct, frozen=True):
    """One file of rows. A window's part holds the rows whose window column lies in [start, end).

    `null_items`: rows that the server counts and the key may not see. `doubt`: the span of time in which rows that came
    or went while these were pulled may have hidden others; None once what changed meanwhile is known. `is_settled`:
    false when the rows would not hold still; they are asked for again next time.
    """

    name: str
    kind: str
    rows: int
    size: int
    pulled_at: datetime
    start: datetime | None = None
    end: datetime | None = None
    null_items: int = 0
    doubt: tuple[datetime, datetime] | None = None
    is_settled: bool = True

    @property
    def window(self) -> Window | None:
        """The span that the part covers; None where it is not a window's."""
        return Window(self.start, self.end) if self.start and self.end else None


class Manifest(msgspec.Struct, frozen=True):
    """What is stored of one data set.

    `watermark`: changes up to here are in. `loaded_at`: last brought up to date. `verified_at`: last pulled afresh.
    """

    query: str
    practice: str
    format: int = FORMAT
    parts: tuple[StoredPart, ...] = ()
    retired: tuple[tuple[str, datetime], ...] = ()
    watermark: datetime | None = None
    loaded_at: datetime | None = None
    verified_at: datetime | None = None

    def of(self, *kinds: str) -> list[StoredPart]:
        """Return the parts of these kinds, in order of time."""
        start = datetime.min.replace(tzinfo=UTC)
        return sorted(
            (part for part in self.parts if part.kind in kinds), key=lambda part: (part.start or start, part.name)
        )

    @property
    def rows(self) -> int:
        """Rows that `load` may give."""
        return sum(part.rows for part in self.of(WINDOW, WHOLE))

    def missing(self, window: Window) -> list[Window]:
        """Return the spans of the window that no part covers."""
        gaps, reached = [], window.start
        for part in self.of(WINDOW):
            assert part.window
            if part.window.start >= window.end:
                break
            if part.window.start > reached:
                gaps.append(Window(reached, part.window.start))
            reached = max(reached, part.window.end)
        return [*gaps, Window(reached, window.end)] if reached < window.end else gaps


def written(manifest: Manifest) -> bytes:
    """Return the text of a manifest, with its checksum below."""
    text = msgspec.json.encode(manifest)
    return text + b"\n" + _checksum(text)


def read(text: bytes) -> Manifest | None:
    """Return the manifest of a text; None where it is not whole, or of a format that is not known."""
    body, _, checksum = text.rpartition(b"\n")
    try:
        manifest = msgspec.json.decode(body if _checksum(body) == checksum else b"", type=Manifest)
    except msgspec.MsgspecError:
        return None
    return manifest if manifest.format == FORMAT else None


def _checksum(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest().encode()
