"""The schemas that queries are checked against: the packaged part of Healthie's, and the whole one where it was saved.

Wraps graphql-core. Ours are the two directives of a .graphql file: `@window` and `@phi`.
"""

from __future__ import annotations

import functools
from pathlib import Path

import graphql as gq
from platformdirs import user_data_path

CONVENTIONS = """
directive @window(on: String!) on QUERY
directive @phi(if: Boolean!) on FIELD
"""


@functools.cache
def packaged_schema() -> gq.GraphQLSchema:
    """Return the part of Healthie's schema that comes with the package, with our two conventions added."""
    text = (Path(__file__).parent / "schema.graphql").read_text(encoding="utf-8")
    # In the schema @phi marks a field; in a query @phi(if: false) says that here it is not about a client.
    text = text.replace("directive @phi on FIELD_DEFINITION", "directive @phi(if: Boolean) on FIELD_DEFINITION | FIELD")
    return gq.build_schema(text + CONVENTIONS.partition("directive @phi")[0])


def saved_schema_path() -> Path:
    """Where `healthie-nb schema save` keeps the whole schema."""
    return user_data_path("healthie-nb", appauthor=False) / "schema.graphql"


@functools.cache
def _saved_schema(modified_ns: int) -> gq.GraphQLSchema:  # noqa: ARG001, the argument makes the cache notice a new file
    return gq.build_schema(saved_schema_path().read_text(encoding="utf-8") + CONVENTIONS)


def schema_for(document: gq.DocumentNode) -> gq.GraphQLSchema:
    """Return the packaged schema, or the saved one for a document that needs more and has it."""
    if not gq.validate(packaged_schema(), document) or not saved_schema_path().is_file():
        return packaged_schema()
    return _saved_schema(saved_schema_path().stat().st_mtime_ns)
