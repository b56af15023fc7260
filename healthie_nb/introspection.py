"""The whole schema of an endpoint, by introspection, kept for queries that ask for more than the packaged part has.

Wraps graphql-core. Introspection tells nothing of who may be identified by a field, so what only the saved schema
knows counts as identifying until a query says otherwise with `@phi(if: false)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import graphql as gq
import msgspec

from healthie_nb import query as queries
from healthie_nb import schemas
from healthie_nb.failures import ApiError, AuthenticationError, ConnectionFailedError, VersionError
from healthie_nb.keys import write_private
from healthie_nb.query import HealthieError, Operation
from healthie_nb.session import run

if TYPE_CHECKING:
    from pathlib import Path

    from healthie_nb.connection import Connection

RETRY_FOR_S = 15.0
OURS = {"window", "phi"}  # directives of query.py: a demo practice publishes them, Healthie does not


class SchemaError(HealthieError):
    """The endpoint's schema cannot be had."""


class Saved(NamedTuple):
    """Where a schema is kept, how many types it has, and the packaged queries that do not fit it."""

    path: Path
    types: int
    unfit: list[str]


def save(connection: Connection) -> Saved:
    """Keep the schema of a connection's endpoint where `schemas.saved_schema_path` says.

    Raises
    ------
    SchemaError
        The endpoint refuses, as Healthie's production does, or answers with something that is no schema.
    """
    schema = _schema(_asked(connection), connection.settings.host)
    path = schemas.saved_schema_path()
    write_private(path, gq.print_schema(schema))
    unfit = [name for name in queries.names() if not _fits(name, schema)]
    return Saved(path, sum(not name.startswith("__") for name in schema.type_map), unfit)


def _asked(connection: Connection) -> bytes:
    operation = Operation("IntrospectionQuery", gq.get_introspection_query(), {}, frozenset(), has_count=False)

    async def main() -> bytes:
        async with connection.session() as session:
            return await session.ask(operation, {}, retry_for_s=RETRY_FOR_S)

    try:
        return run(main)
    except (AuthenticationError, ConnectionFailedError, VersionError):
        raise
    except ApiError:
        pass
    raise SchemaError(
        f"{connection.settings.host} does not tell its schema, as Healthie's production does not; use a key of "
        "Healthie's test environment (gh_sbox_...)"
    )


def _schema(answer: bytes, host: str) -> gq.GraphQLSchema:
    try:
        told = msgspec.json.decode(answer)
        told["__schema"]["directives"] = [one for one in told["__schema"]["directives"] if one["name"] not in OURS]
        return gq.build_client_schema(told)
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError, gq.GraphQLError):
        pass
    raise SchemaError(f"what {host} tells is no schema; check HEALTHIE_API_URL")


def _fits(name: str, schema: gq.GraphQLSchema) -> bool:
    asked = queries.read(name)
    texts = [operation.text for operation in (asked.operation, asked.changed) if operation]
    return not any(gq.validate(schema, gq.parse(text)) for text in texts)
