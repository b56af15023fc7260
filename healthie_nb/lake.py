"""Rows for a cluster: a data set as plain Parquet, a folder for each month, on a disk or in an object store.

Charts and tables leave by `export.py`; here whole data sets do, without the store's encryption. A month is one file
that appears whole or not at all, and is written only when its rows are not those that are there. The record beside the
folder says whose rows these are, their columns and where they come from; without it nothing is ever replaced.
"""

from __future__ import annotations

import calendar
import hashlib
from datetime import date, datetime, timedelta
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import polars as pl

from healthie_nb import query as queries
from healthie_nb.places import LakeError, Place, place
from healthie_nb.provenance import SYNTHETIC, said, version
from healthie_nb.shelves import UNREADABLE
from healthie_nb.visits import Frame, visits
from healthie_nb.windows import Window, between

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from healthie_nb.practice import Practice

VISITS: Final = "visits"
WRITTEN: Final = pl.Schema({"month": pl.Date(), "rows": pl.Int64(), "bytes": pl.Int64(), "is_written": pl.Boolean()})
MADE_OF: Final = ("appointments", "appointment_types", "group_attendance")
EARLIEST: Final = date(2000, 1, 1)  # before Healthie was


class Month(msgspec.Struct, frozen=True):
    """One file: its month, None for a data set without a window, and what is in it."""

    month: date | None
    rows: int
    bytes: int
    sha256: str


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What lies beside a data set, as JSON: whose rows, which columns, from where. `fingerprint`: of which key."""

    data_set: str
    practice: str
    fingerprint: str
    columns: dict[str, str]
    zone: str
    queries: tuple[str, ...]
    made_with: str
    exported_at: datetime
    is_encrypted: bool = False
    months: tuple[Month, ...] = ()

    def having(self, month: Month) -> Record:
        """Return the record with a month added, or in the place of the same one before."""
        others = [other for other in self.months if other.month != month.month]
        return msgspec.structs.replace(self, months=tuple(sorted([*others, month], key=lambda one: str(one.month))))

    def text(self) -> bytes:
        """Return it as it is written."""
        return msgspec.json.format(msgspec.json.encode(self)) + b"\n"


class Source(NamedTuple):
    """Rows to export: all of them, the column whose months divide them, and what is written of a span."""

    rows: pl.LazyFrame
    column: str | None
    of: Callable[[Window | None], pl.DataFrame]


class Asked(NamedTuple):
    """What to export and when: its name, its query, and what is passed to `scan`, with dates in whole months."""

    name: str
    query: str | Path
    options: dict[str, Any]
    window: Window | None
    at: datetime

    @property
    def queries(self) -> tuple[str, ...]:
        """Names of the queries whose rows are in it."""
        return MADE_OF if self.name == VISITS else (self.name,)


def export(
    practice: Practice,
    name: str | Path,
    *,
    to: str | Path,
    now: datetime,
    unencrypted: bool,
    storage_options: Mapping[str, Any] | None,
    roles: pl.DataFrame | None,
    test_clients: pl.DataFrame | None,
    cancellation_reasons: pl.DataFrame | None,
    options: Mapping[str, Any],
) -> pl.DataFrame:
    """Write a data set, month by month, as `Practice.export` says; `options` are those of `Practice.scan`."""
    asked = _asked(name, options, zone=practice.zone, now=now)
    is_visits = asked.name == VISITS
    if not (unencrypted or practice.is_synthetic):
        raise LakeError(
            f"{asked.name} would lie outside the encrypted store, for all who can read {to}. If client data may lie "
            "there, say unencrypted=True."
        )
    beside = {"roles": roles, "test_clients": test_clients, "cancellation_reasons": cancellation_reasons}
    if not is_visits and any(frame is not None for frame in beside.values()):
        raise LakeError(f"{', '.join(beside)} are for visits, not for {asked.name}: leave them out.")
    target = place(to, asked.name, storage_options)
    _found(target, practice, asked.name)  # before anything is asked for, or made
    source = _visits(practice, asked, beside) if is_visits else _rows(practice, asked)
    with target.lock():
        return _written(practice, target, source, asked, _found(target, practice, asked.name))


def _written(practice: Practice, target: Place, source: Source, asked: Asked, found: Record | None) -> pl.DataFrame:
    """Write the months that changed, each followed by the record that names it."""
    months = _months(source, asked, found, practice.zone)
    record, done = None, []
    for month in months:
        frame = _month(source, month, practice.zone, asked.name)
        if record is None:
            record = _begun(practice, asked, frame.schema, found, set(months))
            span = {"from": months[0], "to": months[-1]}
            practice.note(
                "export", what=asked.name, place=str(target), is_encrypted=False, **span, queries=record.queries
            )
            target.put_text(record.text())
        content = BytesIO()
        frame.write_parquet(content)
        digest = hashlib.sha256(content.getbuffer()).hexdigest()
        made = Month(month, frame.height, content.getbuffer().nbytes, digest)
        file = f"{asked.name}.parquet" if month is None else f"month={month}/{asked.name}.parquet"
        is_new = made not in record.months or target.rows(file) != frame.height
        if is_new:
            target.put(file, frame, content.getvalue())
            record = record.having(made)
            target.put_text(record.text())
        done.append((month, made.rows, made.bytes, is_new))
    return pl.DataFrame(done, schema=WRITTEN, orient="row")


def _found(target: Place, practice: Practice, name: str) -> Record | None:
    """Return the record of the last export to this place, if there was one.

    Raises
    ------
    LakeError
        Something else is there: nothing of it is touched.
    """
    text = target.text()
    if text is None and target.is_taken():
        raise LakeError(f"{target} exists and no record of an export lies beside it: give another folder.")
    if text is None:
        return None
    try:
        record = msgspec.json.decode(text, type=Record)
    except msgspec.MsgspecError:
        record = None
    if record is None or (record.data_set, record.fingerprint) != (name, practice.fingerprint):
        what = f"holds {record.data_set} of another practice or key" if record else "is not the record of an export"
        raise LakeError(f"{target}.json {what}: give another folder.")
    return record


def _begun(
    practice: Practice, asked: Asked, columns: pl.Schema, found: Record | None, months: set[date | None]
) -> Record:
    """Return the record of this export, with the months that the last one left."""
    named = {column: str(dtype) for column, dtype in columns.items()}
    if found and found.columns != named and any(month.month not in months for month in found.months):
        raise LakeError(
            f"{asked.name} was exported there with other columns, and not all its months are exported now: give dates "
            "that hold them all, or another folder."
        )
    return Record(
        data_set=asked.name,
        practice=SYNTHETIC if practice.is_synthetic else practice.name,
        fingerprint=practice.fingerprint,
        columns=named,
        zone=practice.zone,
        queries=tuple(map(said, (loaded for loaded in practice.loaded if loaded.query in asked.queries))),
        made_with=f"healthie-nb {version()}, polars {pl.__version__}, Healthie's API version {practice.version}",
        exported_at=asked.at,
        months=found.months if found else (),
    )


# -- which months, and what is in them ---------------------------------------------------------------------------------


def _asked(name: str | Path, options: Mapping[str, Any], *, zone: str, now: datetime) -> Asked:
    """Widen the dates to whole months: half a month would look like a whole one.

    Raises
    ------
    QueryError
        No such query, or dates that are none.
    """
    query = "appointments" if name == VISITS else name
    read = queries.read(query)
    called = VISITS if name == VISITS else read.name
    if read.window is None or ("start" in read.operation.required and "start" not in options):
        return Asked(called, query, dict(options), None, now)
    today = now.astimezone(ZoneInfo(zone)).date()
    span = between(options.get("start", EARLIEST), options.get("end", today), zone=zone)
    first, last = _local(span.start, zone), _local(span.end - timedelta(microseconds=1), zone)
    days = {"start": first.replace(day=1), "end": _month_end(last)}
    return Asked(called, query, {**options, **days}, between(days["start"], days["end"], zone=zone), now)


def _months(source: Source, asked: Asked, found: Record | None, zone: str) -> list[date | None]:
    """Return the months to look at: those with rows, and those of these dates that had some before."""
    if source.column is None or asked.window is None:
        return [None]
    column, window = pl.col(source.column), asked.window
    extent = source.rows.select(first=column.min(), last=column.max())
    first, last = _unless_damaged(lambda: extent.collect(engine="streaming"), asked.name).row(0)
    begins, ends = _local(window.start, zone), _local(window.end - timedelta(microseconds=1), zone)
    months: set[date | None] = {month.month for month in found.months} if found else set()
    months = {month for month in months if month and begins <= month <= ends}
    if first is not None:
        months |= set(pl.date_range(_local(first, zone).replace(day=1), _local(last, zone), "1mo", eager=True))
    return sorted(months or {ends.replace(day=1)}, key=str)


def _month(source: Source, month: date | None, zone: str, name: str) -> pl.DataFrame:
    """Return what is written of a month: its rows in order, and the month as a column too, for readers of one file."""
    window = month and between(month, _month_end(month), zone=zone)
    rows = _unless_damaged(lambda: source.of(window or None), name)
    return rows if month is None else rows.with_columns(pl.lit(month, pl.Date()).alias("month"))


def _visits(practice: Practice, asked: Asked, beside: Mapping[str, Any]) -> Source:
    """Return visits, made month by month, so that memory holds one month only."""
    appointments = practice.scan("appointments", **asked.options)
    kept = {name: asked.options[name] for name in ("max_age", "offline") if name in asked.options}
    types = practice.load("appointment_types", **kept)
    groups = types.filter("is_group")["id"].to_list()
    attendance = practice.load("group_attendance", type_ids=groups, **asked.options) if groups else None

    def of(window: Window | None) -> pl.DataFrame:
        came = None if attendance is None else _within(attendance, "starts_at", window)
        rows = visits(
            _within(appointments, "starts_at", window),
            zone=practice.zone,
            attendance=came,
            appointment_types=types,
            **beside,
        )
        return rows.sort("starts_at", "appointment_id", "client_id").collect(engine="streaming")

    return Source(appointments, "starts_at", of)


def _rows(practice: Practice, asked: Asked) -> Source:
    """Return the rows of a query."""
    rows, column = practice.scan(asked.query, **asked.options), queries.read(asked.query).window
    if column and "month" in rows.collect_schema():
        raise LakeError(f"{asked.name} has a column month already: give it another alias in its file.")

    def of(window: Window | None) -> pl.DataFrame:
        return (_within(rows, column, window).sort(column, "id") if column else rows).collect(engine="streaming")

    return Source(rows, column, of)


def _within(rows: Frame, column: str, window: Window | None) -> Frame:
    return rows if window is None else rows.filter(pl.col(column) >= window.start, pl.col(column) < window.end)


def _unless_damaged(read: Callable[[], pl.DataFrame], name: str) -> pl.DataFrame:
    try:
        return read()
    except UNREADABLE:
        pass
    raise LakeError(f"what is stored for {name} cannot be read: load it once, which asks again for what is damaged.")


def _local(at: datetime, zone: str) -> date:
    return at.astimezone(ZoneInfo(zone)).date()


def _month_end(day: date) -> date:
    return day.replace(day=calendar.monthrange(day.year, day.month)[1])
