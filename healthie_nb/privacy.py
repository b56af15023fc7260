"""What may leave the practice: small cells hidden so that they cannot be worked out, ids as pseudonyms."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import defaultdict
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from scipy.optimize import LinearConstraint

Audience = Literal["internal", "external"]
Ints = np.typing.NDArray[np.int64]
Bools = np.typing.NDArray[np.bool_]

SMALLEST_SHOWN: Final = 11  # CMS: no cell of 1 to 10
TOTAL: Final = "All"
RARE_ZIP3: Final = (
    *("036", "059", "063", "102", "203", "556", "692", "790", "821"),
    *("823", "830", "831", "878", "879", "884", "890", "893"),
)


@dataclass(frozen=True)
class _Cells:
    """Every count in the table, row by row, then those that follow from it; and the sums that hold among them."""

    values: Ints
    in_table: Bools
    is_known: Bools  # to the reader, though not in the table
    sums: list[tuple[int, list[int]]]  # (total, its parts)

    @property
    def is_small(self) -> Bools:
        """Where the values are that nobody outside may learn."""
        return (self.values > 0) & (self.values < SMALLEST_SHOWN)


def suppress(
    table: pl.DataFrame,
    *,
    by: Sequence[str],
    counts: Sequence[str],
    parts: Mapping[str, Sequence[str]] | None = None,
    leaving: Mapping[str, Sequence[str]] | None = None,
    same: Sequence[str] = (),
    adds_up: bool = False,
    audience: Audience = "internal",
) -> pl.DataFrame:
    """Hide counts of 1 to 10, and whatever else one of them would follow from, for readers outside the practice.

    A hidden number is null, and so are, in its row, all columns but `by` and `counts`: rates, shares, intervals, flags.
    Zero is shown. What a reader could work a small count out from is what the table implies: `parts` says which column
    holds which (returned is a part of eligible; what is left of it is protected too). A row whose label is "All" is the
    total over that label; with `adds_up` the reader knows the sum of all rows, as one does wherever a share of it is
    shown. In the order of the table, and within equal labels but the last, the columns in `leaving` get smaller, by the
    columns named there if any (at_risk by events and censored), and what is lost between two shown rows is protected
    too; those in `same` stay as they are. More is hidden until every small count could as well be another whole number,
    which integer programming proves.

    It promises this for one table. Two tables of one practice that overlap, such as the same months with and without
    one provider, can be subtracted from each other; publish one of them. Survival between its shown rows stays a
    function of what is hidden: publish it for few, wide steps.

    Rows, columns
    -------------
    As `table`, with nulls; "internal" is the table itself.

    Raises
    ------
    ValueError for a column that is not there, an audience that is not allowed, a count that is null or negative,
    or when a small number follows from what the reader knows already, whatever is hidden.

    Source
    ------
    CMS cell size suppression policy (2020): 11 is the least that is shown, also after subtraction.

    Examples
    --------
    >>> table = pl.DataFrame({"state": ["in care", "lapsed", "unknown", "All"], "clients": [70, 25, 4, 99]})
    >>> suppress(table, by=["state"], counts=["clients"], audience="external")["clients"].to_list()
    [70, None, None, 99]
    """
    if audience not in ("internal", "external"):
        raise ValueError(f"audience is {audience!r}; allowed are 'internal' and 'external'.")
    cells = _cells(table, by, counts, parts or {}, leaving or {}, same=same, adds_up=adds_up)
    if audience == "internal":
        return table
    hidden = _hidden(cells)[cells.in_table].reshape(table.height, len(counts))
    in_row = pl.Series(hidden.any(axis=1))
    others = [name for name in table.columns if name not in {*by, *counts}]
    return table.with_columns(
        *(pl.when(~pl.Series(hidden[:, i])).then(pl.col(name)).alias(name) for i, name in enumerate(counts)),
        *(pl.when(~in_row).then(pl.col(name)).alias(name) for name in others),
    )


def _cells(
    table: pl.DataFrame,
    by: Sequence[str],
    counts: Sequence[str],
    parts: Mapping[str, Sequence[str]],
    leaving: Mapping[str, Sequence[str]],
    *,
    same: Sequence[str],
    adds_up: bool,
) -> _Cells:
    named = {*by, *counts, *same, *parts, *leaving, *chain.from_iterable([*parts.values(), *leaving.values()])}
    if lacking := sorted(named - {*table.columns}):
        raise ValueError(f"the table has no {', '.join(lacking)}; it has {', '.join(table.columns)}.")
    grid = table.select(pl.col(counts).cast(pl.Int64).fill_null(-1)).to_numpy()
    if (grid < 0).any():
        raise ValueError(f"counts {', '.join(counts)} hold a null or a negative number: fill or filter it first.")
    at = {name: np.arange(grid.size).reshape(grid.shape)[:, i] for i, name in enumerate(counts)}
    totals = list(_totals(table, by, at))
    values, sums = list(grid.ravel()), [*totals]
    for total, held in parts.items():
        _add_rests(values, sums, at[total], [at[name] for name in held])
    for stock, held in leaving.items():
        runs = _runs(table, by, at[stock])
        _add_steps(values, sums, runs, at[stock], [at[name] for name in held])
        _add_falls(values, sums, runs, at[stock])
    for name in same:
        following = _runs(table, by, at[name])
        sums.extend((int(cell), [after]) for cell, after in zip(at[name], following, strict=True) if after is not None)
    unknown = len(values)
    if adds_up:
        _add_known(values, sums, _plain_rows(table, by), at)
    return _checked(values, sums, grid.size, unknown)


def _plain_rows(table: pl.DataFrame, by: Sequence[str]) -> Ints:
    """Rows that are no total."""
    labels = table.select(pl.col(by).cast(pl.String))
    is_total = labels.select(pl.any_horizontal(pl.all().eq_missing(TOTAL))).to_series()
    return is_total.not_().arg_true().to_numpy().astype(np.int64)


def _totals(table: pl.DataFrame, by: Sequence[str], at: Mapping[str, Ints]) -> Iterator[tuple[int, list[int]]]:
    """Yield the sums over the rows labelled "All": each with the rows that differ from it in that label only."""
    labels = table.select(pl.col(by).cast(pl.String)).with_row_index("row")
    for label in by:
        others = [name for name in by if name != label]
        is_total = pl.col(label).eq_missing(TOTAL)
        lines = labels.group_by(others or pl.lit(0), maintain_order=True).agg(
            total=pl.col("row").filter(is_total).first(), rows=pl.col("row").filter(~is_total)
        )
        for total, rows in lines.filter(pl.col("total").is_not_null()).select("total", "rows").rows():
            yield from ((int(cells[total]), [int(cells[row]) for row in rows]) for cells in at.values())


def _add_rests(values: list[int], sums: list[tuple[int, list[int]]], total: Ints, held: list[Ints]) -> None:
    """Add what is left of a column beside its parts, unless that is nothing anywhere."""
    rests = [values[t] - sum(values[part[row]] for part in held) for row, t in enumerate(total)]
    for row, (t, rest) in enumerate(zip(total, rests, strict=True)):
        own = [int(part[row]) for part in held]
        if any(rests):
            own.append(len(values))
            values.append(rest)
        sums.append((int(t), own))


def _runs(table: pl.DataFrame, by: Sequence[str], stock: Ints) -> list[int | None]:
    """For every row, the stock's cell in the next row of the same labels but the last; None at the end of a run."""
    runs = table.select(pl.struct([pl.lit(0), *by[:-1]]).alias("run"), pl.Series("cell", stock))
    return runs.select(pl.col("cell").shift(-1).over("run")).to_series().to_list()


def _add_steps(
    values: list[int], sums: list[tuple[int, list[int]]], following: list[int | None], stock: Ints, held: list[Ints]
) -> None:
    """Add how many leave at each row: the parts together, and the difference to the next row."""
    for row, after in enumerate(following):
        gone = len(values)
        values.append(values[stock[row]] - (0 if after is None else values[after]))
        if held:
            sums.append((gone, [int(part[row]) for part in held]))
        sums.append((int(stock[row]), [gone] if after is None else [gone, after]))


def _add_falls(values: list[int], sums: list[tuple[int, list[int]]], following: list[int | None], stock: Ints) -> None:
    """Add how many leave from each row to each later one, while they are few."""
    after = dict(zip((int(cell) for cell in stock), following, strict=True))
    for first, following_one in after.items():
        later = following_one
        while later is not None and values[first] - values[later] < SMALLEST_SHOWN:
            if values[first] > values[later]:
                sums.append((first, [len(values), later]))
                values.append(values[first] - values[later])
            later = after[later]


def _add_known(values: list[int], sums: list[tuple[int, list[int]]], rows: Ints, at: Mapping[str, Ints]) -> None:
    for cells in at.values():
        own = [int(cells[row]) for row in rows]
        sums.append((len(values), own))
        values.append(sum(values[cell] for cell in own))


def _checked(values: list[int], sums: list[tuple[int, list[int]]], in_table: int, unknown: int) -> _Cells:
    """Cells whose declared sums hold; distinct clients, for one, do not add up."""
    if any(values[total] != sum(values[part] for part in own) for total, own in sums) or min(values, default=0) < 0:
        raise ValueError(
            "a total is not the sum of what was declared to be its parts: leave it out, or correct `parts`."
        )
    place = np.arange(len(values))
    return _Cells(np.array(values, dtype=np.int64), place < in_table, place >= unknown, sums)


def _hidden(cells: _Cells) -> Bools:
    """Hide small cells, then the least others that are needed, until no small one follows."""
    hidden = cells.is_small & cells.in_table
    beside = _beside(cells.sums)
    while len(follow := _following(cells, ~cells.is_known & (hidden | ~cells.in_table))):
        fresh: set[int] = set()
        for cell in follow.tolist():
            if not beside[cell] & fresh:  # what was hidden a moment ago may already protect it
                fresh.add(_companion(cells, hidden, beside, cell))
        hidden[list(fresh)] = True
    return hidden


def _beside(sums: Sequence[tuple[int, Sequence[int]]]) -> dict[int, set[int]]:
    """For every cell, those that stand in a sum with it."""
    beside: dict[int, set[int]] = defaultdict(set)
    for total, own in sums:
        for cell in (total, *own):
            beside[cell].update((total, *own))
    return beside


def _companion(cells: _Cells, hidden: Bools, beside: Mapping[int, set[int]], cell: int) -> int:
    """Find the smallest count shown, zeros apart, in a sum with the cell or with what is hidden beside it."""
    reach = {cell}
    while True:
        near = set().union(*(beside[other] for other in reach))
        shown = [other for other in near if cells.in_table[other] and not hidden[other] and cells.values[other] > 0]
        if shown:
            return min(shown, key=lambda other: (cells.values[other], other))
        if near <= reach:
            raise ValueError(
                "a small count follows from a total that readers know, whatever is hidden here: "
                "publish fewer rows, or the whole without its parts."
            )
        reach |= near


def _following(cells: _Cells, unknown: Bools) -> Ints:
    """Small cells that are not shown and yet follow: first by subtraction, then by exhausting all whole numbers."""
    left = unknown.copy()
    while alone := [own[0] for own in ([c for c in (t, *p) if left[c]] for t, p in cells.sums) if len(own) == 1]:
        left[alone] = False
    found = np.flatnonzero(unknown & ~left & cells.is_small)
    return (
        found
        if len(found)
        else fixed(cells.values, cells.sums, left, cells.in_table, np.flatnonzero(left & cells.is_small))
    )


def fixed(
    values: Ints, sums: Sequence[tuple[int, Sequence[int]]], unknown: Bools, in_table: Bools, cells: Ints
) -> Ints:
    """Those of `cells` for which the true number is the only one that fits the sums and everything known.

    Hidden cells of the table are at least 1, as the reader knows that zeros are shown.
    """
    from scipy.optimize import Bounds, milp  # noqa: PLC0415, only suppression needs it

    if not len(cells):
        return cells
    place = np.cumsum(unknown) - 1
    system = _equations(values, sums, unknown, place)
    low = np.where(in_table[unknown], 1, 0)
    bounds = Bounds(low, np.full(len(low), 2 * int(values.max()) + 20))
    truth, is_open = values[unknown], np.zeros(len(low), dtype=bool)
    is_open[place[cells]] = True
    for aim in _aims(is_open):
        other = milp(aim, constraints=system, bounds=bounds, integrality=np.ones(len(low)))
        if other.x is not None:
            is_open &= np.rint(other.x) == truth
    remaining: Ints = cells[is_open[place[cells]]]
    return remaining


def _aims(is_open: Bools) -> Iterator[np.typing.NDArray[np.float64]]:
    """Directions to look for other numbers in: at random while that settles cells, then each open one down and up."""
    draw, before = np.random.default_rng(0), -1
    while before != (before := int(is_open.sum())) and before:
        for _ in range(4):
            yield draw.uniform(-1, 1, len(is_open)) * is_open
    for cell in np.flatnonzero(is_open):
        for sign in (1.0, -1.0):
            if is_open[cell]:
                yield sign * np.eye(1, len(is_open), int(cell))[0]


def _equations(
    values: Ints, sums: Sequence[tuple[int, Sequence[int]]], unknown: Bools, place: Ints
) -> LinearConstraint:
    """Write the sums as equations in the unknown cells, what is known on the right side."""
    from scipy.optimize import LinearConstraint  # noqa: PLC0415, only suppression needs it
    from scipy.sparse import coo_array  # noqa: PLC0415, only suppression needs it

    signed = [[(total, 1), *((part, -1) for part in own)] for total, own in sums]
    entries = [(row, int(place[c]), sign) for row, cs in enumerate(signed) for c, sign in cs if unknown[c]]
    right = [-sum(sign * int(values[c]) for c, sign in cs if not unknown[c]) for cs in signed]
    rows, columns, signs = zip(*entries, strict=True) if entries else ((), (), ())
    matrix = coo_array((signs, (rows, columns)), shape=(len(sums), int(unknown.sum())), dtype=float).tocsr()
    return LinearConstraint(matrix, right, right)


def pseudonyms(ids: pl.Series, *, key: bytes) -> pl.Series:
    """Stand-ins for ids: the same id and key give the same one; without the key none can be traced or checked.

    Raises
    ------
    ValueError when the key is shorter than 16 bytes: guessable, and ids are few enough to try them all.

    Source
    ------
    HMAC-SHA-256 (RFC 2104), its first 48 bits in hexadecimal, in two groups.

    Examples
    --------
    >>> pseudonyms(pl.Series("client_id", ["7", None, "7"]), key=b"kept with the store").n_unique()
    2
    """
    if len(key) < 16:  # noqa: PLR2004
        raise ValueError(
            f"the key has {len(key)} bytes; give 16 or more, kept secret: it is what makes them untraceable."
        )
    distinct = ids.drop_nulls().unique(maintain_order=True).cast(pl.String)
    digests = [hmac.new(key, name.encode(), hashlib.sha256).hexdigest() for name in distinct]
    return ids.cast(pl.String).replace_strict(distinct, [f"{d[:6]}-{d[6:12]}" for d in digests], return_dtype=pl.String)


def deidentify(rows: pl.DataFrame, *, ids: Sequence[str], zip_codes: Sequence[str] = ()) -> pl.DataFrame:
    """Rows without ids and days: a step towards Safe Harbor (45 CFR 164.514(b)(2)), not the whole of it.

    Each column in `ids` becomes a number, drawn anew at every call, so that nobody can lead it back; dates and instants
    become their year; `zip_codes` their first three digits, 000 where fewer than 20,000 people live. Safe Harbor asks
    for more, which only who knows the columns can do: leave out names, places, contacts, other numbers and any other
    text; group ages over 89, with years that tell them; and have no knowledge that what is left identifies somebody.
    It does not hide small counts: see `suppress`.

    Rows
    ----
    As given, in the same order.

    Columns
    -------
    As given; those in `ids` Int64 from 1, dates and instants Int32, `zip_codes` String.

    Source
    ------
    HHS guidance on de-identification (2012), with the 17 areas of the 2000 census.

    Examples
    --------
    >>> deidentify(pl.DataFrame({"zip": ["60614", "03601"]}), ids=[], zip_codes=["zip"])["zip"].to_list()
    ['606', '000']
    """
    if lacking := sorted({*ids, *zip_codes} - {*rows.columns}):
        raise ValueError(f"the rows have no {', '.join(lacking)}; they have {', '.join(rows.columns)}.")
    area = pl.col(list(zip_codes)).cast(pl.String).str.head(3)
    days = [name for name, dtype in rows.schema.items() if dtype.is_temporal() and name not in ids]
    numbers = [pl.col(name).replace_strict(*_numbers(rows[name]), return_dtype=pl.Int64) for name in ids]
    return rows.with_columns(
        *numbers, pl.col(days).dt.year(), pl.when(area.is_in(RARE_ZIP3)).then(pl.lit("000")).otherwise(area).name.keep()
    )


def _numbers(ids: pl.Series) -> tuple[pl.Series, pl.Series]:
    distinct = ids.drop_nulls().unique()
    order = list(range(1, len(distinct) + 1))
    secrets.SystemRandom().shuffle(order)
    return distinct, pl.Series(order, dtype=pl.Int64)
