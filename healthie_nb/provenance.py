"""Where a number comes from: what travels inside whatever is exported."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from healthie_nb.newcomers import EPOCH, day_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from healthie_nb.practice import Loaded, Practice
    from healthie_nb.suppression import Audience

SYNTHETIC = "made up: demo practice"
HIDDEN = "outside the practice: counts of 1 to 10, and what they would follow from, are hidden; ids are left out"
INSIDE = "inside the practice"


@dataclass(frozen=True)
class Provenance:
    """What an export's numbers rest on. `note` writes the access log of the practice they come from."""

    practice: str
    is_synthetic: bool
    api_version: str
    zone: str
    as_of: str
    queries: tuple[Loaded, ...]
    filters: Mapping[str, object] = field(default_factory=dict)
    note: Callable[..., None] = field(default=lambda *_, **__: None, repr=False, compare=False)

    def said(self, *, audience: Audience, definition: str = "", at: datetime | None = None) -> dict[str, str]:
        """Return it in words, label by label, for one export.

        Examples
        --------
        >>> Provenance("Demo practice", True, "2026-01-01", "UTC", "2026-06-30", ()).said(audience="internal")["data"]
        'made up: demo practice'
        """
        chosen = {name: value for name, value in self.filters.items() if value not in ("", [], ())}
        if audience == "external":  # how many, not which
            chosen |= {name: f"{len(ids)} chosen" for name, ids in chosen.items() if name.endswith("_ids")}  # type: ignore[arg-type]
        filters = "; ".join(f"{name}: {_said(value)}" for name, value in chosen.items())
        return {
            "definition": definition or "the table's own",
            "data": SYNTHETIC if self.is_synthetic else self.practice,
            "as of": self.as_of,
            "filters": filters or "none",
            "queries": "; ".join(map(said, self.queries)) or "none",
            "days in": self.zone,
            "made with": f"healthie-nb {version()}, Healthie's API version {self.api_version}",
            "audience": INSIDE if audience == "internal" else HIDDEN,
            "exported at": f"{at or datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        }


def of(practice: Practice, *, as_of: str | date, filters: Mapping[str, object] | None = None) -> Provenance:
    """Provenance of what was loaded through a practice so far.

    Parameters
    ----------
    as_of
        The day the numbers speak for.
    filters
        What was chosen, by name, such as a notebook's parameters; empty ones are left out.
    """
    return Provenance(
        practice=practice.name,
        is_synthetic=practice.is_synthetic,
        api_version=practice.version,
        zone=practice.zone,
        as_of=(date.fromordinal(EPOCH.toordinal() + day_number(as_of))).isoformat(),
        queries=tuple(practice.loaded),
        filters=dict(filters or {}),
        note=practice.note,
    )


def version() -> str:
    """Version of this library, as installed."""
    try:
        return importlib.metadata.version("healthie-nb")
    except importlib.metadata.PackageNotFoundError:  # run from a folder, not installed
        return "from source"


def said(loaded: Loaded) -> str:
    """Say which query was loaded, and when."""
    when = f"{loaded.loaded_at:%Y-%m-%d %H:%M} UTC" if loaded.loaded_at else "not kept"
    return f"{loaded.query} ({loaded.hash}), loaded {when}"


def _said(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple | set) else str(value)
