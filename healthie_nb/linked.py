"""Lists of clients for the practice's own desk: each with a pseudonym, and a link to the chart in Healthie."""

from __future__ import annotations

from typing import Final

import polars as pl

from healthie_nb.privacy import pseudonyms
from healthie_nb.visits import MetricError

CHART: Final = "https://secure.gethealthie.com/users/{client_id}"  # of a client in Healthie


def linked(rows: pl.DataFrame, *, key: bytes, link: str) -> pl.DataFrame:
    """Rows with the client's pseudonym first, and the link to their chart last; both null where no client is named.

    Raises
    ------
    MetricError for a link without {client_id}.
    ValueError as `privacy.pseudonyms`.

    Examples
    --------
    >>> rows = pl.DataFrame({"client_id": ["7", None]})
    >>> linked(rows, key=b"kept with the store", link=CHART).rows()
    [('0a3f6c-01da32', '7', 'https://secure.gethealthie.com/users/7'), (None, None, None)]
    """
    before, is_there, after = link.partition("{client_id}")
    if not is_there:
        raise MetricError(f"link is {link!r}: write {{client_id}} where the client's id goes.")
    return rows.select(
        pl.col("client_id").map_batches(lambda ids: pseudonyms(ids, key=key)).alias("pseudonym"),
        *rows.columns,
        link=pl.concat_str(pl.lit(before), pl.col("client_id"), pl.lit(after)),
    )
