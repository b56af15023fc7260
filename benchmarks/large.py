"""A made practice larger than memory: the encrypted parts that a pull would leave, and the same visits as an export.

It is several practices of a million visits (`clinic.py`, each with its own seed), put together month by month, so that
making it takes little more memory than one of them.
"""

from __future__ import annotations

import shutil
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import clinic
import polars as pl

from healthie_nb.manifest import WINDOW
from healthie_nb.shelves import Folder
from healthie_nb.store import Store
from healthie_nb.visits import visits
from healthie_nb.windows import Window

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PIECE = 1_000_000
KEY = b"kept for this measurement alone!"
BESIDE = ("clients", "chart_notes", "filled_forms", "form_requests")
IDS = ("id", "client_id", "provider_id", "appointment_id", "sender_id", "number", "filled_form_id")
ROLES = pl.DataFrame({"appointment_type_id": list(clinic.TYPES), "role": list(clinic.TYPES.values())})
FORM_ROLES = pl.DataFrame({"form_id": list(clinic.FORMS), "role": list(clinic.FORMS.values())})


def store(folder: Path) -> Store:
    """Return the store of the appointments that were made in a folder."""
    return Store(Folder(folder / "store", KEY), query="appointments", practice="made")


def scanned(folder: Path) -> pl.LazyFrame:
    """Return visits as an analyst has them: lazy, on the encrypted parts."""
    kept = store(folder)
    attendance = pl.read_parquet(folder / "attendance.parquet")
    return visits(kept.scan(kept.manifest.parts), zone=clinic.ZONE, attendance=attendance, roles=ROLES)


def beside(folder: Path, name: str) -> pl.LazyFrame:
    """Return one of the other data sets."""
    return pl.scan_parquet(folder / name / "*.parquet")


def made(rows: int, folder: Path) -> Path:
    """Make a practice with about so many visits, unless the folder has it already."""
    place = folder / f"{rows}"
    if (place / "attendance.parquet").exists():
        return place
    shutil.rmtree(place, ignore_errors=True)
    for piece in range(max(rows // PIECE, 1)):
        _piece(min(rows, PIECE), piece, place)
    _by_month(place)
    shutil.rmtree(place / "pieces")
    return place


def _piece(rows: int, seed: int, place: Path) -> None:
    """Write one practice in pieces, a file for each month; its ids are told from the other practices'."""
    given = clinic.practice(rows, seed=seed + 1)
    local = pl.col("starts_at").dt.convert_time_zone(clinic.ZONE).dt.date().dt.month_start()
    appointments = _told_apart(given.appointments, seed).with_columns(month=local)
    came = pl.col("attended_clients").list.eval(
        pl.struct(
            (pl.lit(f"{seed}-") + pl.element().struct.field("client_id")).alias("client_id"),
            *(pl.element().struct.field(name) for name in ("attended", "cancelled", "cancelled_at")),
        )
    )
    attendance = _told_apart(given.attendance, seed).with_columns(came)
    for name, frame in {
        "attendance": attendance.join(appointments.select("id", "month"), on="id"),
        "appointments": appointments,
    }.items():
        for (month,), rows_of_month in frame.partition_by("month", as_dict=True).items():
            path = place / "pieces" / name / str(month) / f"{seed}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            rows_of_month.drop("month").write_parquet(path, compression="lz4")
    for name in BESIDE:
        (place / name).mkdir(parents=True, exist_ok=True)
        _told_apart(getattr(given, name), seed).write_parquet(place / name / f"{seed}.parquet", compression="lz4")


def _told_apart(frame: pl.DataFrame, seed: int) -> pl.DataFrame:
    return frame.with_columns((pl.lit(f"{seed}-") + pl.col(name)).alias(name) for name in IDS if name in frame.columns)


def _by_month(place: Path) -> None:
    """Put the pieces together: a stored part and an exported file for each month."""
    kept, parts, listed = store(place), [], []
    for month, window in _months(place):
        appointments = pl.read_parquet(place / "pieces/appointments" / str(month) / "*.parquet").sort("starts_at", "id")
        there = list((place / "pieces/attendance" / str(month)).glob("*.parquet"))
        attendance = pl.read_parquet(there) if there else None
        parts.append(kept.put(appointments, kind=WINDOW, now=window.end, window=window))
        seen = visits(appointments, zone=clinic.ZONE, attendance=attendance, roles=ROLES)
        path = place / "lake/visits" / f"month={month}" / "visits.parquet"
        path.parent.mkdir(parents=True)
        seen.write_parquet(path)
        if attendance is not None:
            listed.append(attendance)
    kept.replace((), parts, now=parts[-1].pulled_at)
    pl.concat(listed).write_parquet(place / "attendance.parquet")


def _months(place: Path) -> Iterator[tuple[date, Window]]:
    zone = ZoneInfo(clinic.ZONE)
    for folder in sorted((place / "pieces/appointments").iterdir()):
        month = date.fromisoformat(folder.name)
        after = (month + timedelta(days=31)).replace(day=1)
        yield month, Window(*(datetime(day.year, day.month, 1, tzinfo=zone) for day in (month, after)))
