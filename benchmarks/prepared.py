"""A practice of prepared pages: what a pull is measured against, cheap enough not to be what is measured.

Rows are JSON before the first request; a page is a slice of them, joined. It knows `current_user` and both operations
of `queries/appointments.graphql`, and speaks HTTP by hand. Its limit is an exact sliding window of a second, so one
request too early is refused. `python benchmarks/prepared.py --rows 1000000` prints its address once the rows are ready.
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import json
import random
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import polars as pl

KEY = "gh_demo_bench"
FIRST_DAY, LAST_DAY = datetime(2022, 1, 1, tzinfo=UTC), datetime(2026, 12, 31, tzinfo=UTC)
AS_OF = datetime(2026, 7, 1, 12, tzinfo=UTC)  # the practice's present: what starts later is still to come
FIRST_ID = 100_000_000
SHIFT = 1 << 24  # a sort key is an instant in seconds and a row's number, in one integer
ORGANIZATION = b'{"id":"1","name":"Prepared pages"}'
OWNER = b'{"data":{"currentUser":{"id":"1","timezone":"America/New_York","organization":%b}}}' % ORGANIZATION
REFUSED = b'{"errors":[{"message":"Too many requests","extensions":{"code":"TOO_MANY_REQUESTS"}}]}'


def appointments(rows: int, *, seed: int = 1) -> pl.DataFrame:
    """Return a practice's calendar: working hours of weekdays, twice as busy at the end. Rows: one per appointment."""
    rng = random.Random(seed)
    days = [FIRST_DAY + timedelta(days=day) for day in range((LAST_DAY - FIRST_DAY).days)]
    days = [day for day in days if day.weekday() < 5]
    busy = [1 + number / len(days) for number in range(len(days))]
    slots = rng.choices(days, busy, k=rows)

    def drawn(values: list[Any], weights: list[float] | None = None) -> pl.Series:
        return pl.Series(rng.choices(values, weights, k=rows))

    def numbers(below: int) -> pl.Series:
        return pl.Series(rng.choices(range(below), k=rows))

    calendar = pl.DataFrame(
        {
            "number": pl.Series(range(rows), dtype=pl.Int64),
            "day": pl.Series(slots, dtype=pl.Datetime("us", "UTC")),
            "quarter": 13 * 4 + numbers(9 * 4),  # of an hour: 8 to 17 in New York, in summer 9 to 18
            "lead_minutes": numbers(60 * 24 * 90),
            "late_minutes": numbers(60 * 72),
            "minutes": drawn([30, 50, 60, 90]),
            "outcome": drawn(["Occurred", "No-Show", "Cancelled", None], [80, 6, 10, 4]),
            "modality": drawn(["In Person", "Secure Videochat", "Phone Call"]),
            "reschedule_count": drawn([0, 1, 2], [85, 12, 3]),
            "provider": numbers(400),
            "client": numbers(60_000),
            "appointment_type": numbers(40),
            "recurring": drawn([None, *range(1_000)], [1_000, *[1] * 1_000]),
        },
        strict=False,
    ).with_columns(starts_at=pl.col("day") + pl.duration(minutes=pl.col("quarter") * 15))
    is_past = pl.col("starts_at") < AS_OF
    created = pl.min_horizontal("starts_at", pl.lit(AS_OF)) - pl.duration(minutes="lead_minutes", days=1)
    recorded = pl.min_horizontal(
        pl.col("starts_at") + pl.duration(minutes="late_minutes"), pl.lit(AS_OF) - pl.duration(minutes="late_minutes")
    )
    return calendar.with_columns(
        created_at=created,
        status=pl.when(is_past).then(pl.col("outcome")),
        status_changed_at=pl.when(is_past & pl.col("outcome").is_not_null()).then(recorded),
        updated_at=pl.when(is_past).then(recorded).otherwise(created),
    ).drop("day", "quarter", "lead_minutes", "late_minutes", "outcome")


def wire(rows: pl.DataFrame) -> list[bytes]:
    """Return rows as the JSON that Healthie would send: 19 fields each, times in its two shapes."""

    def local(column: str, shape: str) -> pl.Expr:
        return pl.col(column).dt.convert_time_zone("America/New_York").dt.to_string(shape).alias(column)

    def stamp(column: str) -> pl.Expr:
        return local(column, "%Y-%m-%dT%H:%M:%S%:z")

    def linked(column: str, key: str = "id") -> pl.Expr:
        inner = pl.struct(pl.col(column).cast(pl.String).alias(key))
        return pl.when(pl.col(column).is_not_null()).then(inner).alias(column)

    row = pl.struct(
        (pl.col("number") + FIRST_ID).cast(pl.String).alias("id"),
        stamp("updated_at"),
        stamp("created_at"),
        local("starts_at", "%Y-%m-%d %H:%M:%S %z"),
        "minutes",
        "status",
        stamp("status_changed_at"),
        "modality",
        "reschedule_count",
        linked("provider"),
        linked("client"),
        linked("appointment_type"),
        pl.when(pl.col("status") == "Cancelled").then(pl.struct(type=pl.lit("client"))).alias("cancellation_reason"),
        linked("recurring"),
    )
    return [text.encode() for text in rows.select(row.struct.json_encode()).to_series()]


class Calendar:
    """The rows, in the two orders that are asked for, and what changes them."""

    def __init__(self, rows: int) -> None:
        self.frame = appointments(rows)
        self.texts: list[bytes] = wire(self.frame)
        self.by_start = sorted(_keys(self.frame, "starts_at"))
        self.by_update = sorted(_keys(self.frame, "updated_at"))

    def window(self, start: str, end: str) -> tuple[int, int]:
        """Return where the rows of a window lie in the order of time; both its ends are included."""
        low, high = (int(datetime.fromisoformat(text).timestamp() // 1) for text in (start, end))
        return bisect.bisect_left(self.by_start, low * SHIFT), bisect.bisect_left(self.by_start, (high + 1) * SHIFT)

    def page(self, start: int, end: int) -> bytes:
        """Return these rows in the order of time."""
        texts = self.texts
        return b",".join([texts[key % SHIFT] for key in self.by_start[start:end]])

    def newest(self, start: int, end: int) -> bytes:
        """Return these rows, newest change first."""
        count, texts = len(self.by_update), self.texts
        return b",".join([texts[key % SHIFT] for key in reversed(self.by_update[count - end : count - start])])

    def change(self, *, edits: int, moves: int, inserts: int, deletes: int, at: str, seed: int = 2) -> None:
        """Change rows in the hour before `at`: new statuses, new times within a month, new rows, rows gone."""
        rng = random.Random(seed)
        live = [key % SHIFT for key in self.by_start]
        numbers = rng.sample(live, edits + moves + deletes)
        kept, gone = numbers[: edits + moves], numbers[edits + moves :]
        moved = set(kept[edits:])
        last = datetime.fromisoformat(at)
        changed = self.frame[kept].with_columns(
            pl.Series(
                "updated_at", [last - timedelta(seconds=rng.randrange(3600)) for _ in kept], pl.Datetime("us", "UTC")
            ),
            status=pl.lit("Occurred"),
            # Towards the present, so that none leaves the calendar.
            starts_at=pl.col("starts_at")
            + pl.duration(days=pl.Series([rng.randint(1, 28) if number in moved else 0 for number in kept]))
            * pl.when(pl.col("starts_at") < AS_OF).then(1).otherwise(-1),
        )
        new = appointments(inserts, seed=seed).with_columns(
            pl.col("number") + self.frame.height,
            created_at=pl.lit(last - timedelta(minutes=10)),
            updated_at=pl.lit(last - timedelta(minutes=10)),
        )
        for number in (*kept, *gone):
            self._take_out(number)
        replaced = changed.select(self.frame.columns)
        self.frame = pl.concat([self.frame.update(replaced, on="number", how="left", include_nulls=True), new])
        self.texts += [b""] * inserts
        for rows in (replaced, new):
            for number, text, start, update in zip(
                rows.get_column("number"), wire(rows), _keys(rows, "starts_at"), _keys(rows, "updated_at"), strict=True
            ):
                self.texts[number] = text
                bisect.insort(self.by_start, start)
                bisect.insort(self.by_update, update)

    def _take_out(self, number: int) -> None:
        row = self.frame[number]
        for keys, column in ((self.by_start, "starts_at"), (self.by_update, "updated_at")):
            del keys[bisect.bisect_left(keys, _keys(row, column)[0])]


def _keys(rows: pl.DataFrame, column: str) -> list[int]:
    return rows.select(pl.col(column).dt.epoch("s") * SHIFT + pl.col("number")).to_series().to_list()


@dataclass
class Manner:
    """How the server behaves: seconds it takes, requests a second that it admits, seconds on the way to the limit."""

    latency_s: tuple[float, float] = (0.0, 0.0)
    rate: int | None = None
    jitter_s: float = 0.0


@dataclass
class Seen:
    """What was asked: operation, first, start, end; how much of it was refused; the most admitted in a second."""

    asked: list[tuple[str, int, str, str]] = field(default_factory=list)
    refused: int = 0
    most_in_a_second: int = 0


class Asked(msgspec.Struct):
    """The body of a request."""

    query: str
    operationName: str = ""  # noqa: N815, as it is on the wire
    variables: dict[str, Any] = {}


class Server:
    """The prepared practice: its calendar, its manner and what it saw."""

    def __init__(self, rows: int) -> None:
        self.calendar, self.manner, self.seen = Calendar(rows), Manner(), Seen()
        self.rng = random.Random(3)
        self._admitted: deque[float] = deque()
        self._decoder = msgspec.json.Decoder(Asked)

    def admits(self) -> bool:
        """Whether the exact sliding window has room for one more."""
        if self.manner.rate is None:
            return True
        now = time.monotonic()
        while self._admitted and self._admitted[0] <= now - 1.0:
            self._admitted.popleft()
        if len(self._admitted) >= self.manner.rate:
            return False
        self._admitted.append(now)
        self.seen.most_in_a_second = max(self.seen.most_in_a_second, len(self._admitted))
        return True

    def answer(self, body: bytes) -> bytes:
        """Answer a request, or refuse it."""
        asked = self._decoder.decode(body)
        given = asked.variables
        first, start, end = given.get("first") or 100, given.get("start", ""), given.get("end", "")
        self.seen.asked.append((asked.operationName, first, start, end))
        if not self.admits():
            self.seen.refused += 1
            return REFUSED
        if asked.operationName == "current_user":
            return OWNER
        after = int(given.get("after") or 0)
        if asked.operationName == "appointments_changed":
            low, high, rows = 0, len(self.calendar.by_update), self.calendar.newest
        else:
            low, high = self.calendar.window(start, end)
            rows = self.calendar.page
        reached = min(low + after + first, high)
        more = "true" if reached < high else "false"
        info = f'"page_info":{{"has_next_page":{more},"end_cursor":"{reached - low}"}}'
        head = f'{{"data":{{"appointments":{{"total_count":{high - low},{info},"nodes":['
        return b"%b%b]}}}" % (head.encode(), rows(low + after, reached))

    def control(self, body: bytes) -> bytes:
        """Change manner or rows, start counting afresh, and tell what was seen until then."""
        told = json.loads(body)
        if "manner" in told:
            self.manner = Manner(**told["manner"])
        if "change" in told:
            self.calendar.change(**told["change"])
        seen = self.seen
        if told.get("reset"):
            self.seen, self._admitted = Seen(), deque()
        return json.dumps({**vars(seen), "rows": len(self.calendar.by_start)}).encode()


class Connection(asyncio.Protocol):
    """HTTP/1.1 as far as it is needed: POST, a length, kept alive."""

    def __init__(self, server: Server) -> None:
        self._server, self._held, self._loop = server, b"", asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        """Answer once the request is whole."""
        self._held += data
        head, found, body = self._held.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if len(body) < length:
            return
        self._held = b""
        if head.startswith(b"POST /control"):
            self._send(self._server.control(body))
            return
        manner, rng = self._server.manner, self._server.rng
        if manner.jitter_s:
            self._loop.call_later(rng.uniform(0, manner.jitter_s), self._answer, body)
        else:
            self._answer(body)

    def _answer(self, body: bytes) -> None:
        manner, text = self._server.manner, self._server.answer(body)
        if manner.latency_s[1]:
            self._loop.call_later(self._server.rng.uniform(*manner.latency_s), self._send, text)
        else:
            self._send(text)

    def _send(self, text: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(text)
        self._transport.write(head + text)


async def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    server = Server(parser.parse_args().rows)
    listening = await asyncio.get_running_loop().create_server(lambda: Connection(server), "127.0.0.1", 0, backlog=2048)
    print(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/graphql", flush=True)
    await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
