"""What a table of counts implies: its cells, what follows from them, and the sums that hold among them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Ints = np.typing.NDArray[np.int64]
Bools = np.typing.NDArray[np.bool_]

SMALLEST_SHOWN: Final = 11  # CMS: no cell of 1 to 10
TOTAL: Final = "All"


@dataclass(frozen=True)
class Cells:
    """Every count in the table, row by row, then those that follow from it; and the sums that hold among them."""

    values: Ints
    in_table: Bools
    is_known: Bools  # to the reader, though not in the table
    sums: list[tuple[int, list[int]]]  # (total, its parts)

    @property
    def is_small(self) -> Bools:
        """Where the values are that nobody outside may learn."""
        return (self.values > 0) & (self.values < SMALLEST_SHOWN)


def all_cells(
    table: pl.DataFrame,
    by: Sequence[str],
    counts: Sequence[str],
    parts: Mapping[str, Sequence[str]],
    leaving: Mapping[str, Sequence[str]],
    *,
    same: Sequence[str],
    follows: Mapping[str, str],
    adds_up: bool,
) -> Cells:
    """Every count of the table and what follows from it, as `suppression.suppress` describes.

    Raises
    ------
    ValueError for a column that is not there, a count that is null or negative, or a sum that does not hold.
    """
    pairs = chain(follows, follows.values())
    named = {*by, *counts, *same, *parts, *leaving, *pairs, *chain.from_iterable([*parts.values(), *leaving.values()])}
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
    for later, earlier in [*zip(same, same, strict=True), *follows.items()]:
        following = _runs(table, by, at[later])
        sums.extend(
            (int(cell), [after]) for cell, after in zip(at[earlier], following, strict=True) if after is not None
        )
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
        if not held and after is not None and values[after] > values[stock[row]]:
            continue  # others came in: nobody is known to have left
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


def _checked(values: list[int], sums: list[tuple[int, list[int]]], in_table: int, unknown: int) -> Cells:
    """Cells whose declared sums hold; distinct clients, for one, do not add up."""
    if any(values[total] != sum(values[part] for part in own) for total, own in sums) or min(values, default=0) < 0:
        raise ValueError(
            "a total is not the sum of what was declared to be its parts: leave it out, or correct `parts`."
        )
    place = np.arange(len(values))
    return Cells(np.array(values, dtype=np.int64), place < in_table, place >= unknown, sums)
