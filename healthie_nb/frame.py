"""Rows as they came over the wire become a typed, flat polars frame.

polars reads the JSON of many pages at once, with a schema, so no row is ever a Python object. It reads numbers and
times as text, because it would round 50.5 to 50 and lose what is too large; the casts that follow are strict.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from typing import TYPE_CHECKING

import polars as pl

from healthie_nb.query import HealthieError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from healthie_nb.fields import Field

INSTANT = pl.Datetime("us", "UTC")
DTYPES: dict[str, pl.DataType] = {
    "ISO8601DateTime": INSTANT,
    "ISO8601Date": pl.Date(),
    "Boolean": pl.Boolean(),
    "Int": pl.Int64(),
    "Float": pl.Float64(),
}
AT_ONCE = 32  # pages that are read together: fewer cost more calls, more no longer fit the processor's cache
# Healthie writes an instant in one of four shapes; the last two are made into the first.
ISO = "%Y-%m-%dT%H:%M:%S%.f%z"
SPACED = "%Y-%m-%d %H:%M:%S%.f %z"


class FrameError(HealthieError, ValueError):
    """Rows that do not fit the types that the schema promises. No value is quoted."""


def schema(fields: Sequence[Field]) -> dict[str, pl.DataType]:
    """Return the columns and dtypes of the frame that these fields give: nested objects flat, lists as lists."""
    columns: dict[str, pl.DataType] = {}
    for field in fields:
        if field.is_list:
            inner = pl.Struct(schema(field.fields)) if field.fields else _dtype(field)
            columns[field.key] = pl.List(inner)
        elif field.fields:
            columns |= {f"{field.key}_{name}": dtype for name, dtype in schema(field.fields).items()}
        else:
            columns[field.key] = _dtype(field)
    return columns


def frame(pages: Sequence[bytes], fields: Sequence[Field]) -> pl.DataFrame:
    """Return rows as one flat frame with the columns of `schema(fields)`, also when there are none.

    `pages` are JSON objects with commas between them: the items of a list, without its brackets.

    Raises
    ------
    FrameError
        A value that is not of its type; polars would round it, or make it null. Or rows of another shape.
    """
    rows = _read([page for page in pages if page], _wire(tuple(fields)))
    if rows is None:  # Raised out here, without what polars quotes.
        raise FrameError(
            "the rows do not have the shape that the schema promises; was the query checked against this API?"
        )
    leaves = list(_leaves(fields, pl.col))
    instants = [column.drop_nulls().first().alias(name) for name, column, field in leaves if _is_instant(field)]
    some = rows.select(instants).row(0, named=True) if instants and rows.height else {}
    # Mostly all instants of a column have one shape, and reading them is most of what a frame costs.
    shapes = {name: SPACED if text and " " in text else ISO for name, text in some.items()}
    with contextlib.suppress(pl.exceptions.PolarsError):
        return rows.select(_typed(column, field, shapes.get(name)).alias(name) for name, column, field in leaves)
    flat = rows.select(column.alias(name) for name, column, _ in leaves)
    typed: dict[str, pl.Series] = {}
    for name, _, field in leaves:
        try:
            typed[name] = flat.select(_typed(pl.col(name), field)).to_series()
        except pl.exceptions.PolarsError:
            typed.clear()
            break
    if len(typed) < len(leaves):  # Raised out here, without the values that polars quotes.
        raise FrameError(f"column {name}: a value is not of type {field.type}; nothing was rounded or dropped")
    return pl.DataFrame(typed)


def _read(pages: Sequence[bytes], wire: dict[str, pl.DataType]) -> pl.DataFrame | None:
    """Return pages as they are, nested and as text; None where they have another shape."""
    joined = (b"[" + b",".join(pages[at : at + AT_ONCE]) + b"]" for at in range(0, len(pages), AT_ONCE))
    with contextlib.suppress(pl.exceptions.PolarsError):
        return pl.concat([pl.DataFrame(schema=wire), *(pl.read_json(text, schema=wire) for text in joined)])
    return None


def _dtype(field: Field) -> pl.DataType:
    return DTYPES.get(field.type, pl.String())


@functools.lru_cache(maxsize=64)
def _wire(fields: tuple[Field, ...]) -> dict[str, pl.DataType]:
    """Return the dtypes to read with: text for whatever polars would change silently."""

    def wire(field: Field) -> pl.DataType:
        plain = _dtype(field) if field.type in ("Boolean", "Float") else pl.String()
        inner = pl.Struct(_wire(field.fields)) if field.fields else plain
        return pl.List(inner) if field.is_list else inner

    return {field.key: wire(field) for field in fields}


def _leaves(
    fields: Sequence[Field], column: Callable[[str], pl.Expr], prefix: str = ""
) -> Iterator[tuple[str, pl.Expr, Field]]:
    """Yield the flat columns: name, where it is in the nested rows, and what it is."""
    for field in fields:
        if field.fields and not field.is_list:
            yield from _leaves(field.fields, column(field.key).struct.field, f"{prefix}{field.key}_")
        else:
            yield prefix + field.key, column(field.key), field


def _typed(text: pl.Expr, field: Field, shape: str | None = None) -> pl.Expr:
    if field.is_list and field.fields:
        inner = [
            _typed(item, part).alias(name) for name, item, part in _leaves(field.fields, pl.element().struct.field)
        ]
        return text.list.drop_nulls().list.eval(pl.struct(inner))
    if field.is_list:
        return text.list.eval(_typed(pl.element(), dataclasses.replace(field, is_list=False)))
    if field.type == "ISO8601DateTime":
        return _instant(text, shape)
    if field.type == "ISO8601Date":
        return text.str.to_date("%Y-%m-%d")
    return text.cast(_dtype(field))


def _is_instant(field: Field) -> bool:
    return field.type == "ISO8601DateTime" and not field.is_list


def _instant(text: pl.Expr, shape: str | None) -> pl.Expr:
    if shape is None:
        text = (
            text.str.replace(r" ?(UTC|Z)$", "+00:00")
            .str.replace(" ", "T", literal=True)
            .str.replace(" ", "", literal=True)
        )
    return text.str.to_datetime(shape or ISO, time_unit="us", time_zone="UTC")
