"""Small cells hidden, and with them whatever they would follow from."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl

from healthie_nb.attacker import fixed
from healthie_nb.implied import all_cells

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from healthie_nb.implied import Bools, Cells, Ints

Audience = Literal["internal", "external"]


def suppress(
    table: pl.DataFrame,
    *,
    by: Sequence[str],
    counts: Sequence[str],
    parts: Mapping[str, Sequence[str]] | None = None,
    leaving: Mapping[str, Sequence[str]] | None = None,
    same: Sequence[str] = (),
    follows: Mapping[str, str] | None = None,
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
    too; those in `same` stay as they are, and those that `follows` names are what the column named there was one row
    before. More is hidden until every small count could as well be another whole number,
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
    cells = all_cells(table, by, counts, parts or {}, leaving or {}, same=same, follows=follows or {}, adds_up=adds_up)
    if audience == "internal":
        return table
    hidden = _hidden(cells)[cells.in_table].reshape(table.height, len(counts))
    in_row = pl.Series(hidden.any(axis=1))
    others = [name for name in table.columns if name not in {*by, *counts}]
    return table.with_columns(
        *(pl.when(~pl.Series(hidden[:, i])).then(pl.col(name)).alias(name) for i, name in enumerate(counts)),
        *(pl.when(~in_row).then(pl.col(name)).alias(name) for name in others),
    )


def _hidden(cells: Cells) -> Bools:
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


def _companion(cells: Cells, hidden: Bools, beside: Mapping[int, set[int]], cell: int) -> int:
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


def _following(cells: Cells, unknown: Bools) -> Ints:
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
