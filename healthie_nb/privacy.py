"""What may leave the practice: small cells hidden so that they cannot be worked out, ids as pseudonyms."""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING, Final

import polars as pl

from healthie_nb.suppression import Audience, suppress

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Audience", "deidentify", "pseudonyms", "suppress"]

RARE_ZIP3: Final = (
    *("036", "059", "063", "102", "203", "556", "692", "790", "821"),
    *("823", "830", "831", "878", "879", "884", "890", "893"),
)


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
    keyed = hmac.new(key, digestmod="sha256")
    digests = [_digest(keyed, name) for name in distinct]
    return ids.cast(pl.String).replace_strict(distinct, [f"{d[:6]}-{d[6:12]}" for d in digests], return_dtype=pl.String)


def _digest(keyed: hmac.HMAC, name: str) -> str:
    own = keyed.copy()  # so that the key is taken in once, not for every name
    own.update(name.encode())
    return own.hexdigest()


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
    numbers = [pl.col(name).replace_strict(*_numbers(rows[name]), default=None) for name in ids]  # null stays null
    return rows.with_columns(
        *numbers, pl.col(days).dt.year(), pl.when(area.is_in(RARE_ZIP3)).then(pl.lit("000")).otherwise(area).name.keep()
    )


def _numbers(ids: pl.Series) -> tuple[pl.Series, pl.Series]:
    distinct = ids.drop_nulls().unique()
    order = list(range(1, len(distinct) + 1))
    secrets.SystemRandom().shuffle(order)
    return distinct, pl.Series(order, dtype=pl.Int64)
