"""One GraphQL request to one GraphQL answer: parsed, validated, weighed, executed."""

from functools import lru_cache
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    OperationDefinitionNode,
    execute_sync,
    get_operation_ast,
    parse,
    validate,
)
from graphql.execution import get_variable_values

from healthie_nb.demo.limits import check
from healthie_nb.demo.practice import RunningPractice
from healthie_nb.demo.resolvers import SPECIAL, Context, from_row, schema
from healthie_nb.demo.shaping import Shaper

Answer = dict[str, Any]


class Document(NamedTuple):
    """A document that was parsed and validated once."""

    node: DocumentNode
    fragments: dict[str, FragmentDefinitionNode]
    errors: tuple[GraphQLError, ...]


def answer(practice: RunningPractice, body: Any) -> Answer:
    """Return the answer to the JSON of a request, errors of any stage included."""
    if not isinstance(body, dict) or not isinstance(body.get("query"), str):
        return failed("No query string was present")
    try:
        document = _document(body["query"])
    except GraphQLError as error:
        return {"errors": [error.formatted]}
    if document.errors:
        return {"errors": [error.formatted for error in document.errors]}
    return _executed(practice, document, body.get("variables") or {}, body.get("operationName"))


def failed(message: str, **extensions: Any) -> Answer:
    """Return an answer that is one error."""
    return {"errors": [{"message": message} | ({"extensions": extensions} if extensions else {})]}


def operation_name(body: Any) -> str:
    """Return the name of the operation that a request runs, for the counters."""
    if not isinstance(body, dict) or not isinstance(body.get("query"), str):
        return ""
    try:
        operation = get_operation_ast(_document(body["query"]).node, body.get("operationName"))
    except GraphQLError:
        return ""
    return operation.name.value if operation and operation.name else ""


def asks_for_schema(body: Any) -> bool:
    """Whether a request is introspection."""
    return isinstance(body, dict) and ("__schema" in str(body.get("query")) or "__type(" in str(body.get("query")))


@lru_cache(maxsize=512)
def _document(text: str) -> Document:
    node = parse(text)
    fragments = {one.name.value: one for one in node.definitions if isinstance(one, FragmentDefinitionNode)}
    return Document(node, fragments, tuple(validate(schema(), node)))


def _executed(practice: RunningPractice, document: Document, variables: dict[str, Any], name: str | None) -> Answer:
    operation = get_operation_ast(document.node, name)
    if not isinstance(operation, OperationDefinitionNode):
        return failed("An operation name is required" if name is None else f"No operation named {name!r}")
    coerced = get_variable_values(schema(), operation.variable_definitions or (), variables)
    if isinstance(coerced, list):
        return {"errors": [error.formatted for error in coerced]}
    values = coerced.coerced
    try:
        check(schema(), operation, document.fragments, values)
    except GraphQLError as error:
        return {"errors": [error.formatted]}
    shaper = Shaper(schema(), SPECIAL, document.fragments, coerced)
    short = shaper.answer(practice, operation)
    if short is not None:
        return short
    result = execute_sync(
        schema(),
        document.node,
        context_value=Context(practice, document.fragments, values),
        variable_values=variables,
        operation_name=name,
        field_resolver=from_row,
    )
    return dict(result.formatted)
