"""What a row holds: its fields, nested as they were asked for, and which of them may identify a client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import graphql as gq

from healthie_nb.schemas import packaged_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from healthie_nb.cost import Walk


@dataclass(frozen=True)
class Field:
    """One key of a row: a scalar, or an object with fields of its own; either may stand in a list."""

    key: str
    type: str
    is_list: bool
    is_phi: bool
    fields: tuple[Field, ...] = ()


def fields(walk: Walk, nodes: Sequence[gq.FieldNode], parent: gq.GraphQLNamedType) -> Iterator[Field]:
    """Yield the fields of the rows under these nodes."""
    for key, selected in walk.merged(nodes).items():
        declared = walk.field(selected[0], parent)
        inner_type = gq.get_named_type(declared.type)
        inner = tuple(fields(walk, selected, inner_type)) if selected[0].selection_set else ()
        is_list = gq.is_list_type(gq.get_nullable_type(declared.type))
        yield Field(key, inner_type.name, is_list, _is_phi(selected[0], parent), inner)


def _is_phi(node: gq.FieldNode, parent: gq.GraphQLNamedType) -> bool:
    """Tell whether the field is marked, here or in the schema; a field that the package does not know is."""
    for directive in node.directives or ():
        if directive.name.value == "phi":
            value = argument(directive)
            return not (isinstance(value, gq.BooleanValueNode) and not value.value)
    known = packaged_schema().type_map.get(parent.name)
    if not isinstance(known, gq.GraphQLObjectType) or node.name.value not in known.fields:
        return not node.name.value.startswith("__")
    declared = known.fields[node.name.value].ast_node
    return any(directive.name.value == "phi" for directive in (declared.directives if declared else ()) or ())


def columns(of: Iterable[Field], prefix: str = "") -> Iterator[tuple[str, Field]]:
    """Yield the flat columns that fields give: name, and the field."""
    for field in of:
        if field.fields:
            yield from columns(field.fields, f"{prefix}{field.key}_")
        else:
            yield prefix + field.key, field


def argument(directive: gq.DirectiveNode) -> gq.ValueNode | None:
    """Return the value of a directive's one argument."""
    return directive.arguments[0].value if directive.arguments else None
