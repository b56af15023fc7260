"""A short cut for pages of rows: what graphql-core would make of them field by field, made in one go.

graphql-core spends 10 ms and more on a page of 100 rows. The rows here hold what the schema promises already, so it is
enough to rename and nest them. Whatever is not a connection goes the long way; a test compares the two.
"""

from collections.abc import Callable, Mapping
from typing import Any

from graphql import (
    FieldNode,
    GraphQLError,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    get_named_type,
)
from graphql.execution import get_argument_values
from graphql.execution.values import VariableValues

from healthie_nb.demo.listings import LISTINGS
from healthie_nb.demo.practice import RunningPractice
from healthie_nb.demo.selections import Fragments, below, chosen, wanted

Shape = Callable[[Any], Any]
Special = Mapping[tuple[str, str], Callable[..., Any]]


class Shaper:
    """Answers one operation whose every field is a connection. `special` are the fields that take arguments."""

    def __init__(
        self, schema: GraphQLSchema, special: Special, fragments: Fragments, variables: VariableValues
    ) -> None:
        self._schema, self._special = schema, special
        self._fragments, self._variables = fragments, variables

    def answer(self, practice: RunningPractice, operation: OperationDefinitionNode) -> dict[str, Any] | None:
        """Return the answer, or None when the operation asks for something else than connections."""
        fields = chosen([operation.selection_set], self._fragments, self._variables.coerced)
        if any(nodes[0].name.value not in LISTINGS for nodes in fields.values()):
            return None
        data: dict[str, Any] | None = {}
        errors = []
        for key, nodes in fields.items():
            value, error = self._connection(practice, nodes, key)
            if error is not None:
                errors.append(error)
            if data is not None:
                data = None if value is None and self._may_not_be_null(nodes[0]) else data | {key: value}
        return {"data": data} | ({"errors": errors} if errors else {})

    def _connection(
        self, practice: RunningPractice, nodes: list[FieldNode], key: str
    ) -> tuple[dict[str, Any] | None, Any]:
        assert self._schema.query_type is not None
        field = self._schema.query_type.fields[nodes[0].name.value]
        kind = get_named_type(field.type)
        assert isinstance(kind, GraphQLObjectType)
        try:
            given = get_argument_values(field, nodes[0], self._variables)
            asked = wanted(nodes, self._fragments, self._variables.coerced)
            answer = practice.connection(nodes[0].name.value, given, asked)
        except GraphQLError as error:
            return None, GraphQLError(error.message, nodes, path=[key]).formatted
        return self._shape(kind, nodes)(answer), None

    def _may_not_be_null(self, node: FieldNode) -> bool:
        assert self._schema.query_type is not None
        return isinstance(self._schema.query_type.fields[node.name.value].type, GraphQLNonNull)

    def _shape(self, kind: GraphQLObjectType, nodes: list[FieldNode]) -> Shape:
        """Return what makes the part of an answer for such an object out of its row."""
        fields = below(nodes, self._fragments, self._variables.coerced)
        plain = [(key, same[0].name.value) for key, same in fields.items() if self._is_plain(kind, same[0])]
        if len(plain) == len(fields):
            return lambda row: {key: row[name] for key, name in plain}
        steps = [(key, self._step(kind, same)) for key, same in fields.items()]
        return lambda row: {key: step(row) for key, step in steps}

    def _is_plain(self, kind: GraphQLObjectType, node: FieldNode) -> bool:
        name = node.name.value
        return name != "__typename" and not node.selection_set and (kind.name, name) not in self._special

    def _step(self, kind: GraphQLObjectType, nodes: list[FieldNode]) -> Shape:
        name = nodes[0].name.value
        if name == "__typename":
            return lambda _: kind.name
        special = self._special.get((kind.name, name))
        given = get_argument_values(kind.fields[name], nodes[0], self._variables) if special else {}
        read: Shape = (lambda row: special(row, **given)) if special else (lambda row: row[name])
        below_kind = get_named_type(kind.fields[name].type)
        if not isinstance(below_kind, GraphQLObjectType):
            return read
        inner = self._shape(below_kind, nodes)
        return lambda row: _each(inner, read(row))


def _each(shape: Shape, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, list):
        return [None if one is None else shape(one) for one in value]
    return shape(value)
