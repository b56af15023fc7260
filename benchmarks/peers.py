"""What others would write: the same rows by a plain gql loop into polars, and by dlt to Parquet.

Each runs in a process of its own and prints what it took. dlt is no dependency of the project: run it with an
interpreter that has it, as `uv run --no-project --with "dlt[parquet]"` does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

HEADERS = {"Authorization": "Basic gh_demo_bench", "AuthorizationSource": "API"}


def gql_loop(url: str, query: str, variables: dict[str, Any]) -> Callable[[], int]:
    """Page with gql, gather the nodes, make a frame: what gql's and polars' documentation lead to."""
    import polars as pl  # noqa: PLC0415, the interpreter of the other peer lacks it
    from gql import Client, gql  # noqa: PLC0415
    from gql.transport.aiohttp import AIOHTTPTransport  # noqa: PLC0415

    async def gathered() -> int:
        client = Client(transport=AIOHTTPTransport(url, headers=HEADERS))
        request, nodes, cursor = gql(query), [], None
        async with client as session:
            while True:
                request.variable_values = {**variables, "first": 100, "after": cursor}
                page = (await session.execute(request))["appointments"]
                nodes += page["nodes"]
                cursor = page["page_info"]["end_cursor"]
                if not page["page_info"]["has_next_page"]:
                    return pl.DataFrame(nodes, infer_schema_length=None).height

    return lambda: asyncio.run(gathered())


def dlt_to_parquet(url: str, query: str, variables: dict[str, Any]) -> Callable[[], int]:
    """Page with dlt's REST client and run its pipeline to Parquet files."""
    import dlt  # noqa: PLC0415
    from dlt.destinations import filesystem  # noqa: PLC0415
    from dlt.sources.helpers.rest_client import RESTClient  # noqa: PLC0415
    from dlt.sources.helpers.rest_client.paginators import JSONResponseCursorPaginator  # noqa: PLC0415

    folder = Path(tempfile.mkdtemp(prefix="healthie-nb-dlt-"))

    @dlt.resource(name="appointments", primary_key="id")
    def appointments() -> Any:
        pages = JSONResponseCursorPaginator(
            cursor_path="data.appointments.page_info.end_cursor",
            cursor_body_path="variables.after",
            has_more_path="data.appointments.page_info.has_next_page",
        )
        body = {"query": query, "operationName": "appointments", "variables": {**variables, "first": 100}}
        yield from RESTClient(url, headers=HEADERS, paginator=pages).paginate(
            method="POST", json=body, data_selector="data.appointments.nodes"
        )

    def pull() -> int:
        pipeline = dlt.pipeline(
            "healthie_nb_bench", pipelines_dir=str(folder / "state"), destination=filesystem(str(folder / "out"))
        )
        pipeline.run(appointments(), loader_file_format="parquet")
        counts = pipeline.last_trace.last_normalize_info.row_counts
        return int(counts["appointments"])

    return pull


def main() -> None:
    """Run one peer and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=["gql", "dlt"])
    parser.add_argument("url")
    parser.add_argument("query", type=Path, help="a file with the operation's text")
    parser.add_argument("variables", type=json.loads)
    options = parser.parse_args()
    peer = {"gql": gql_loop, "dlt": dlt_to_parquet}[options.peer]
    pull = peer(options.url, options.query.read_text(encoding="utf-8"), options.variables)
    began = time.perf_counter()
    rows = pull()
    used = resource.getrusage(resource.RUSAGE_SELF)
    took = {"rows": rows, "wall_s": time.perf_counter() - began, "peak_mb": used.ru_maxrss / 1000}
    print(json.dumps({**took, "cpu_s": used.ru_utime + used.ru_stime}))


if __name__ == "__main__":
    main()
