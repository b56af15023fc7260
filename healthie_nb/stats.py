"""Intervals and survival: every estimate with how sure it is."""

from typing import Final

import polars as pl

Z: Final = 1.959963984540054  # two-sided 95 %
# Below it a rate is shown but flagged: NCQA reports no HEDIS rate on fewer.
FEW: Final = 30


def wilson(hits: str | pl.Expr, of: str | pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """Wilson 95 % interval of hits / of, as two expressions Float64 in 0..1; null where `of` is 0 or null.

    Source
    ------
    Newcombe (1998), Statistics in Medicine 17, 857-872, method 3.

    Examples
    --------
    >>> low, high = wilson("missed", "due")
    >>> pl.DataFrame({"missed": [81], "due": [263]}).select(low=low.round(4), high=high.round(4)).row(0)
    (0.2553, 0.3662)
    """
    hit, n = (pl.col(side) if isinstance(side, str) else side for side in (hits, of))
    count = pl.when(n > 0).then(n.cast(pl.Float64))
    share = hit / count
    centre = (share + Z**2 / (2 * count)) / (1 + Z**2 / count)
    half = Z / (1 + Z**2 / count) * (share * (1 - share) / count + Z**2 / (4 * count**2)).sqrt()
    # At 0 and at n the bound is exact, which rounding would miss by a hair.
    low = pl.when(count.is_not_null() & (hit == 0)).then(0.0).otherwise(centre - half)
    high = pl.when(count.is_not_null() & (hit == n)).then(1.0).otherwise(centre + half)
    return low, high
