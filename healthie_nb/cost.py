"""What a request costs: complexity and depth by graphql-ruby's rule, which is the one that Healthie's server applies.

A scalar costs 1; an object or a plain list 1 and its fields; a connection multiplies what stands below its nodes by the
number of rows asked for, 100 when it does not say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import graphql as gq

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_COMPLEXITY = 2000
MAX_DEPTH = 25
MAX_PAGE_SIZE = 100


def costs(document: gq.DocumentNode, schema: gq.GraphQLSchema, first: int) -> dict[str, int]:
    """Return what a request of `first` rows costs, by row field, so that the dearest can be named."""
    walk = Walk(document, schema, first)
    assert schema.query_type
    total = 0
    shares: dict[str, int] = {}
    for nodes in walk.merged(walk.operations()).values():
        total += walk.cost(nodes, schema.query_type)
        shares |= walk.shares(nodes, schema.query_type)
    return {**shares, "(the request itself)": total - sum(shares.values())}


def is_connection(type_: object) -> bool:
    """Tell whether the type pages its rows."""
    return isinstance(type_, gq.GraphQLObjectType) and {"nodes", "page_info"} <= set(type_.fields)


def response_key(node: gq.FieldNode) -> str:
    """Return the name that the field has in the answer."""
    return node.alias.value if node.alias else node.name.value


class Walk:
    """A document read against a schema: fields of the same answer key are merged, fragments are followed."""

    def __init__(self, document: gq.DocumentNode, schema: gq.GraphQLSchema, first: int = MAX_PAGE_SIZE) -> None:
        self._document, self._schema, self._first = document, schema, first
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, gq.FragmentDefinitionNode)
        }

    def operations(self) -> list[gq.OperationDefinitionNode]:
        """Return the operations of the document."""
        return [node for node in self._document.definitions if isinstance(node, gq.OperationDefinitionNode)]

    def merged(self, nodes: Sequence[Any]) -> dict[str, list[gq.FieldNode]]:
        """Return the fields selected under these nodes, by answer key."""
        found: dict[str, list[gq.FieldNode]] = {}
        for node in nodes:
            for selection in node.selection_set.selections if node.selection_set else ():
                if isinstance(selection, gq.FieldNode):
                    found.setdefault(response_key(selection), []).append(selection)
                    continue
                inner = (
                    self._fragments[selection.name.value] if isinstance(selection, gq.FragmentSpreadNode) else selection
                )
                for key, more in self.merged([inner]).items():
                    found.setdefault(key, []).extend(more)
        return found

    def cost(self, nodes: Sequence[gq.FieldNode], parent: gq.GraphQLNamedType) -> int:
        """Return 1 for a scalar, 1 + children for an object or list; a connection multiplies what its rows cost."""
        inner_type = gq.get_named_type(self.field(nodes[0], parent).type)
        children = self.merged(nodes)
        costs = {key: self.cost(selected, inner_type) for key, selected in children.items()}
        if not is_connection(inner_type):
            return 1 + sum(costs.values())
        overhead = sum(
            1 if selected[0].name.value in ("nodes", "edges") else costs[key] for key, selected in children.items()
        )
        return 1 + overhead + self._rows(nodes[0]) * (sum(costs.values()) - overhead)

    def shares(self, nodes: Sequence[gq.FieldNode], parent: gq.GraphQLNamedType) -> dict[str, int]:
        """Return what each field of a row adds to the cost of the request."""
        inner_type = gq.get_named_type(self.field(nodes[0], parent).type)
        if not is_connection(inner_type):
            return {}
        rows = self.merged(nodes).get("nodes", [])
        if not rows:
            return {}
        row_type = gq.get_named_type(self.field(rows[0], inner_type).type)
        fields = self.merged(rows)
        return {key: self._rows(nodes[0]) * self.cost(selected, row_type) for key, selected in fields.items()}

    def depth(self) -> int:
        """Return the number of levels below the root."""

        def below(nodes: Sequence[Any]) -> int:
            children = self.merged(nodes)
            return 1 + max((below(selected) for selected in children.values()), default=-1)

        return below(self.operations())

    def field(self, node: gq.FieldNode, parent: gq.GraphQLNamedType) -> gq.GraphQLField:
        """Return what the schema says of a field."""
        if node.name.value == "__typename":
            return gq.GraphQLField(gq.GraphQLNonNull(gq.GraphQLString))
        assert isinstance(parent, gq.GraphQLObjectType)
        known: dict[str, gq.GraphQLField] = parent.fields
        return known[node.name.value]

    def _rows(self, node: gq.FieldNode) -> int:
        """Return the larger of `first` and `last`; without either the server reckons with 100."""
        sizes = [
            self._size(argument.value) for argument in node.arguments or () if argument.name.value in ("first", "last")
        ]
        known = [size for size in sizes if size is not None]
        return max(known) if known else MAX_PAGE_SIZE

    def _size(self, value: gq.ValueNode) -> int | None:
        if isinstance(value, gq.IntValueNode):
            return int(value.value)
        if not isinstance(value, gq.VariableNode):
            return None
        if value.name.value == "first":
            return self._first
        defaults = [
            variable.default_value
            for operation in self.operations()
            for variable in operation.variable_definitions or ()
            if variable.variable.name.value == value.name.value
        ]
        return self._size(defaults[0]) if defaults and defaults[0] else None
