"""What a practice of any size costs: `python benchmarks/capacity.py` writes the tables of `capacity.md` anew.

Its inputs are measured, and read from the tables of `README.md`, or they are constants of the library and of the API
that are named here. What is not measured at a size is worked out from what is, and marked with a tilde.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

HERE = Path(__file__).parent
SIZES: Final = (100_000, 1_000_000, 10_000_000, 1_000_000_000)
PAGE = 100  # rows a request
RATES = (100, 250)  # requests a second: ours unless told otherwise, and what Healthie allows
VERIFIED_EVERY = 30  # days: refresh.VERIFY_AGE
DAYS = 1_523  # that clinic.py's calendar spans
CHANGES = 3  # of an appointment in its life, an assumption: booked, its outcome set, and one more
# Rows of what else is loaded for the three notebooks, to one appointment, as clinic.py makes them.
BESIDE: Final = {
    "clients": 0.0575,
    "filled_forms": 1.0345,  # chart notes are among them
    "chart_notes": 0.6897,
    "form_requests": 0.2299,
    "group_attendance": 0.0069,
}


class Measured(NamedTuple):
    """What was measured: bytes a row, and of cohorts by millions of visits the seconds and the most memory in GB."""

    stored: float
    frame: float
    visit: float
    exported: float
    seconds: dict[int, float]
    peak_gb: dict[int, float]


def measured() -> Measured:
    """Read the inputs from README.md: the lines of cohorts on polars, and the store's."""
    text = (HERE / "README.md").read_text(encoding="utf-8")
    line = next(one for one in text.splitlines() if one.startswith("| cohorts | polars |"))
    cells = [float(cell) for cell in line.split("|")[4:10]]
    stored = re.search(r"\| bytes an appointment \| ([\d.]+) \|", text)
    frame = re.search(r"takes (\d+) bytes in a frame; a visit (\d+) in a frame and ([\d.]+) exported", text)
    assert stored, "the store's table is missing"
    assert frame, "the sizes of rows are missing"
    sizes = (1_000_000, 10_000_000, 20_000_000)
    return Measured(
        float(stored[1]),
        *(float(number) for number in frame.groups()),
        seconds=dict(zip(sizes, cells[0::2], strict=True)),
        peak_gb=dict(zip(sizes, cells[1::2], strict=True)),
    )


def pull(rows: int) -> list[str]:
    """Return the line of a size: requests and hours of a first pull."""
    requests = -(-rows // PAGE)
    all_requests = requests * (1 + sum(BESIDE.values()))
    hours = [time(count / rate) for count in (requests, all_requests) for rate in RATES]
    return [f"{rows:,}", f"{requests:,}", *hours[:2], f"{all_requests:,.0f}", *hours[2:]]


def kept(rows: int, inputs: Measured) -> list[str]:
    """Return the line of a size: disk, memory and compute."""
    frames = rows * (inputs.frame + inputs.visit) / 1e9
    sizes = sorted(inputs.seconds)
    if rows in inputs.seconds:
        stream, seconds = f"{inputs.peak_gb[rows]:.2f} GB", f"{inputs.seconds[rows]:.1f} s"
    elif rows < sizes[0]:
        stream, seconds = f"under {inputs.peak_gb[sizes[0]]:.2f} GB", f"under {inputs.seconds[sizes[0]]:.1f} s"
    else:
        stream = f"~{beyond(rows, inputs.peak_gb):,.0f} GB"
        seconds = f"~{time(beyond(rows, inputs.seconds))}"
    disk = [size(rows * one) for one in (inputs.stored, inputs.exported)]
    return [f"{rows:,}", *disk, size(frames * 1e9), stream, seconds]


def beyond(rows: int, known: dict[int, float]) -> float:
    """Go on along the line through the two largest sizes that were measured."""
    below, last = sorted(known)[-2:]
    return known[last] + (known[last] - known[below]) / (last - below) * (rows - last)


def upkeep(rows: int) -> list[str]:
    """Return the line of a size: requests a day of a daily refresh, and what webhooks would leave of them."""
    changed = CHANGES * rows / DAYS / PAGE
    verified = rows / PAGE / VERIFIED_EVERY
    share = (changed + verified) / RATES[0] / 86_400
    saved = verified / (changed + verified)
    return [f"{rows:,}", f"{changed:,.0f}", f"{verified:,.0f}", f"{share:.1%}", f"{changed:,.0f}", f"{saved:.0%}"]


def time(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    for unit, length in (("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def size(of: float) -> str:
    """Return a number of bytes in the unit that suits it."""
    return f"{of / 1e9:,.0f} GB" if of >= 1e10 else f"{of / 1e9:.1f} GB" if of >= 1e9 else f"{of / 1e6:.0f} MB"


def tables() -> dict[str, str]:
    """Return the tables of capacity.md by name."""
    inputs = measured()
    hours = [f"at {rate}/s" for rate in RATES]
    heads = {
        "pull": ["appointments", "requests", *hours, "with all else", *hours],
        "kept": ["appointments", "stored", "exported", "as frames", "cohorts, lazily: memory", "time"],
        "upkeep": ["appointments", "changed", "verified", "of the day at 100/s", "with webhooks", "saved"],
    }
    lines = {
        "pull": [pull(rows) for rows in SIZES],
        "kept": [kept(rows, inputs) for rows in SIZES],
        "upkeep": [upkeep(rows) for rows in SIZES],
    }
    return {name: markdown([heads[name], ["---:"] * len(heads[name]), *lines[name]]) for name in heads}


def markdown(rows: list[list[str]]) -> str:
    """Return rows as a table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def page(text: str) -> str:
    """Return the page with its tables worked out anew."""
    for name, table in tables().items():
        marks = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        before, _, rest = text.partition(marks[0])
        text = f"{before}{marks[0]}\n{table}\n{marks[1]}{rest.partition(marks[1])[2]}"
    return text


if __name__ == "__main__":
    written = HERE / "capacity.md"
    written.write_text(page(written.read_text(encoding="utf-8")), encoding="utf-8")
