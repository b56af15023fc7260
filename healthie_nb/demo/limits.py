"""How dear and how deep a request may be, counted as graphql-ruby does."""

from collections.abc import Mapping

from graphql import (
    FieldNode,
    GraphQLError,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    IntValueNode,
    OperationDefinitionNode,
    VariableNode,
    get_named_type,
)

from healthie_nb.demo.selections import Fragments, Variables, below, chosen

MAX_COMPLEXITY = 2_000
MAX_DEPTH = 25
DEFAULT_PAGE = 100


def check(
    schema: GraphQLSchema, operation: OperationDefinitionNode, fragments: Fragments, variables: Variables
) -> None:
    """Raise GraphQLError, in Healthie's words, when the operation is too complex or too deep."""
    cost = complexity(schema, operation, fragments, variables)
    if cost > MAX_COMPLEXITY:
        raise GraphQLError(f"Query has complexity of {cost}, which exceeds max complexity of {MAX_COMPLEXITY}")
    levels = depth(operation, fragments, variables)
    if levels > MAX_DEPTH:
        raise GraphQLError(f"Query has depth of {levels}, which exceeds max depth of {MAX_DEPTH}")


def complexity(
    schema: GraphQLSchema, operation: OperationDefinitionNode, fragments: Fragments, variables: Variables
) -> int:
    """Points of an operation, by graphql-ruby's rule.

    1 for a scalar, 1 and its children for an object or list; a connection counts 1, 1 for each field selected on it,
    the leaves of its page_info, and its page size times what is below nodes and edges.
    """
    walk = _Walk(fragments, variables)
    fields = chosen([operation.selection_set], fragments, variables)
    assert schema.query_type is not None
    return walk.total(fields, schema.query_type)


def depth(operation: OperationDefinitionNode, fragments: Fragments, variables: Variables) -> int:
    """Levels of fields below the operation, which itself is level 0."""

    def levels(fields: Mapping[str, list[FieldNode]]) -> int:
        return max((1 + levels(below(nodes, fragments, variables)) for nodes in fields.values()), default=0)

    return levels(chosen([operation.selection_set], fragments, variables))


class _Walk:
    """One count: it holds what every step of the recursion needs."""

    def __init__(self, fragments: Fragments, variables: Variables) -> None:
        self._fragments, self._variables = fragments, variables

    def total(self, fields: Mapping[str, list[FieldNode]], parent: GraphQLNamedType) -> int:
        return sum(self._points(nodes, parent) for nodes in fields.values())

    def _points(self, nodes: list[FieldNode], parent: GraphQLNamedType) -> int:
        kind = _type_of(nodes[0], parent)
        if not isinstance(kind, GraphQLObjectType):
            return 1
        children = below(nodes, self._fragments, self._variables)
        if not kind.name.endswith("Connection"):
            return 1 + self.total(children, kind)
        return 1 + sum(self._points_on_connection(each, kind, self._page_size(nodes[0])) for each in children.values())

    def _points_on_connection(self, nodes: list[FieldNode], connection: GraphQLObjectType, page_size: int) -> int:
        kind = _type_of(nodes[0], connection)
        inside = 0 if kind is None else self.total(below(nodes, self._fragments, self._variables), kind)
        return 1 + inside * (page_size if nodes[0].name.value in ("nodes", "edges") else 1)

    def _page_size(self, node: FieldNode) -> int:
        sizes = [self._integer(one.value) for one in node.arguments or () if one.name.value in ("first", "last")]
        given = [size for size in sizes if size is not None]
        return max(given) if given else DEFAULT_PAGE

    def _integer(self, value: object) -> int | None:
        if isinstance(value, IntValueNode):
            return int(value.value)
        if isinstance(value, VariableNode):
            return self._variables.get(value.name.value)
        return None


def _type_of(node: FieldNode, parent: GraphQLNamedType) -> GraphQLNamedType | None:
    """Return the named type of a field; None for those of introspection, which cost a point."""
    field = parent.fields.get(node.name.value) if isinstance(parent, GraphQLObjectType) else None
    return None if field is None else get_named_type(field.type)
