"""How numbers, periods and remarks are put into words: the same in charts, tables and tiles."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import polars as pl

from healthie_nb.newcomers import offset
from healthie_nb.stats import FEW as LEAST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from healthie_nb.newcomers import Every

SYNTHETIC: Final = "Demo practice: synthetic data"
FEW: Final = f"* under {LEAST}"
ALL: Final = "all"  # the series of what is not split
OPEN: Final = "Hatched or hollow: not over yet, and still changing"
DAY: Final = "%-d %b %Y"
NOBODY: Final = "none"  # where an id is null
# What the values of a column are, where it is not called so itself.
NOUNS: Final = {
    "provider_id": "provider",
    "appointment_type_id": "appointment type",
    "form_id": "form",
    "source_name": "source",
    "is_first": "first visit",
}


def share(rate: str = "rate", *, few: bool = True) -> pl.Expr:
    """Rate in whole per cent, starred where it stands on few; null where there is none.

    Examples
    --------
    >>> pl.DataFrame({"rate": [0.5, None], "few": [True, True]}).select(share())["rate"].to_list()
    ['50%*', None]
    """
    star = pl.when("few").then(pl.lit("*")).otherwise(pl.lit("")) if few else pl.lit("")
    return pl.format("{}%{}", (pl.col(rate) * 100).round().cast(pl.Int64), star).alias(rate)


def interval(low: str = "low", high: str = "high") -> pl.Expr:
    """Bounds of an interval in whole per cent: 9-91."""
    return pl.format("{}-{}", *((pl.col(end) * 100).round().cast(pl.Int64) for end in (low, high))).alias("interval")


def rated(rate: str = "rate", low: str = "low", high: str = "high") -> pl.Expr:
    """Rate with its interval on a second line, which tables print small; empty where there is none."""
    both = pl.concat_str(share(rate), pl.lit("\n"), interval(low, high), ignore_nulls=False)
    return pl.coalesce(both, share(rate), pl.lit("")).alias(rate)


def number(count: str | pl.Expr, *, decimals: int = 0) -> pl.Expr:
    """Write a number with commas between thousands, rounded to a fixed number of decimals; empty where there is none.

    Examples
    --------
    >>> pl.DataFrame({"n": [1234567, -1234, 0]}).select(number("n"))["n"].to_list()
    ['1,234,567', '-1,234', '0']
    >>> pl.DataFrame({"n": [1234.56, None]}).select(number("n", decimals=1))["n"].to_list()
    ['1,234.6', '']
    """
    value = (pl.col(count) if isinstance(count, str) else count).cast(pl.Float64)
    size = value.abs().round(decimals)
    whole = size.floor().cast(pl.Int64).cast(pl.String).str.reverse().str.replace_all(r"(\d{3})", "${1},")
    sign = pl.when((value < 0) & (size > 0)).then(pl.lit("-")).otherwise(pl.lit(""))
    parts = [sign, whole.str.strip_chars_end(",").str.reverse()]
    if decimals:
        tenths = ((size - size.floor()) * 10**decimals).round().cast(pl.Int64).cast(pl.String)
        parts += [pl.lit("."), tenths.str.zfill(decimals)]
    made = pl.concat_str(parts).fill_null("")
    return made.alias(count) if isinstance(count, str) else made


def told(count: float | None) -> str:
    """Say a number within a sentence; in words where it is hidden, as from readers outside the practice.

    Examples
    --------
    >>> told(1234), told(None)
    ('1,234', 'too few to tell')
    """
    return "too few to tell" if count is None else f"{count:,}"


def plural(one: str) -> str:
    """Noun of several.

    Examples
    --------
    >>> plural("appointment type"), plural("modality"), plural("day")
    ('appointment types', 'modalities', 'days')
    """
    return re.sub("(?<![aeiou])y$", "ie", one) + "s"


def several(count: float | None, one: str) -> str:
    """Say how many there are of what.

    Examples
    --------
    >>> several(1, "week"), several(1234, "week"), several(0, "week")
    ('1 week', '1,234 weeks', '0 weeks')
    """
    return f"{told(count)} {one if count == 1 else plural(one)}"


def listed(words: Sequence[str]) -> str:
    """List words as people do.

    Examples
    --------
    >>> listed(["Ada"]), listed(["Ada", "Bob", "Cy"])
    ('Ada', 'Ada, Bob and Cy')
    """
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def period(column: str, every: Every) -> pl.Expr:
    """Calendar period as people say it: Jan 2026, Q1 2026, or a week by its first day, 5 Jan 2026.

    Raises
    ------
    MetricError for a period that is not allowed.

    Examples
    --------
    >>> from datetime import date
    >>> row = pl.DataFrame({"cohort": [date(2026, 1, 5)]})
    >>> [row.select(period("cohort", every)).item() for every in ("week", "month", "quarter")]
    ['5 Jan 2026', 'Jan 2026', 'Q1 2026']
    """
    offset(every)
    first_day = pl.col(column)
    if every == "quarter":
        return pl.format("Q{} {}", first_day.dt.quarter(), first_day.dt.year()).alias(column)
    return first_day.dt.to_string("%b %Y" if every == "month" else DAY)


def day(column: str) -> pl.Expr:
    """Date as people write it, 5 Jan 2026; empty where there is none."""
    return pl.col(column).dt.to_string(DAY).fill_null("")


def named(column: str, names: Mapping[str, str] | None) -> pl.Expr:
    """Name instead of an id: the id itself where none is given for it, "none" where there is no id.

    Examples
    --------
    >>> rows = pl.DataFrame({"provider_id": ["7", "8", None]})
    >>> rows.select(named("provider_id", {"7": "Dr Ada"}))["provider_id"].to_list()
    ['Dr Ada', '8', 'none']
    """
    return pl.col(column).replace(dict(names or {})).fill_null(NOBODY)


def remarks(
    table: pl.DataFrame, *, synthetic: bool, n: str | None = None, open_: str = OPEN, few: str = FEW
) -> tuple[str, ...]:
    """Remarks due under a title: synthetic data, what is open, and what stands on few; `n` is what "few" counts."""
    is_few = n is not None and (table["few"] & (table[n] > 0)).any()
    is_open = "is_open" in table.columns and bool(table["is_open"].any())
    said = {SYNTHETIC: synthetic, open_: is_open, f"{few} {(n or '').replace('_', ' ')}": is_few}
    return tuple(remark for remark, is_due in said.items() if is_due)
