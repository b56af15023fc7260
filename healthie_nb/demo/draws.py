"""Chance that is the same on every machine: a draw is a hash of the seed, what it is for and whom it is for."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import polars as pl

_UNIT = 2.0**-53
_GOLDEN = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class Draws:
    """Draws of one seed. A draw has an address, so adding one somewhere changes none elsewhere."""

    seed: int

    def uniform(self, purpose: str, *keys: pl.Expr) -> pl.Expr:
        """Float64 in [0, 1), the same for the same purpose and keys (integers, not null)."""
        # A whole number below 2**53 times a power of two is exact, so no rounding differs between machines.
        return (self._bits(purpose, keys) // 2**11).cast(pl.Float64) * _UNIT

    def integer(self, purpose: str, *keys: pl.Expr, low: int, high: int) -> pl.Expr:
        """Int64 in low..high, both included."""
        return (self._bits(purpose, keys) % (high - low + 1)).cast(pl.Int64) + low

    def chance(self, purpose: str, *keys: pl.Expr, of: float | pl.Expr) -> pl.Expr:
        """Boolean that is true with the probability given."""
        return self.uniform(purpose, *keys) < of

    def pick(self, purpose: str, *keys: pl.Expr, among: dict[str, float]) -> pl.Expr:
        """Return String: one of the names, each with its weight."""
        total = sum(among.values())
        shares = [weight / total for weight in among.values()]
        edges = [sum(shares[:count]) for count in range(1, len(shares))]
        index = sum((self.uniform(purpose, *keys) >= edge).cast(pl.UInt32) for edge in edges) if edges else pl.lit(0)
        return pl.lit(pl.Series(list(among))).gather(index)

    def _bits(self, purpose: str, keys: tuple[pl.Expr, ...]) -> pl.Expr:
        digest = blake2b(f"{self.seed}:{purpose}".encode(), digest_size=8).digest()
        start = int.from_bytes(digest, "big")
        # On whole columns rather than as one expression, which would repeat each term it uses twice, thrice over.
        return pl.struct(key.cast(pl.UInt64).alias(str(place)) for place, key in enumerate(keys)).map_batches(
            lambda rows: _hashes(start, rows.struct.unnest().get_columns()), return_dtype=pl.UInt64, is_elementwise=True
        )


def _hashes(start: int, columns: Sequence[pl.Series]) -> pl.Series:
    state = pl.Series([start], dtype=pl.UInt64)
    for column in columns:
        state = _mixed(state ^ (column * _GOLDEN))
    return state


def _mixed(bits: pl.Series) -> pl.Series:
    """Splitmix64's finalizer: UInt64 arithmetic in polars wraps around, which is what it needs."""
    bits = (bits ^ (bits // 2**30)) * 0xBF58476D1CE4E5B9
    bits = (bits ^ (bits // 2**27)) * 0x94D049BB133111EB
    return bits ^ (bits // 2**31)
