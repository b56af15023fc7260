"""What a reader could work out: the cells for which everything published leaves one number only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scipy.optimize import LinearConstraint

    from healthie_nb.implied import Bools, Ints


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
