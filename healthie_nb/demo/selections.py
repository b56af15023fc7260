"""What a request's selection sets come to once fragments are put in place and skipped fields left out."""

from collections.abc import Iterable, Mapping
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    SelectionNode,
    SelectionSetNode,
    VariableNode,
)

Fragments = Mapping[str, FragmentDefinitionNode]
Variables = Mapping[str, Any]
Wanted = dict[str, "Wanted"]


def chosen(sets: Iterable[SelectionSetNode], fragments: Fragments, variables: Variables) -> dict[str, list[FieldNode]]:
    """Return the fields of these selection sets by the key they answer under.

    Fields that share a key are merged later on. The schema has no interface or union, so a fragment's type never
    matters.
    """
    fields: dict[str, list[FieldNode]] = {}
    for node in _flat((one for set_ in sets for one in set_.selections), fragments, variables):
        fields.setdefault(node.alias.value if node.alias else node.name.value, []).append(node)
    return fields


def below(nodes: Iterable[FieldNode], fragments: Fragments, variables: Variables) -> dict[str, list[FieldNode]]:
    """Return the fields below those that share a key."""
    return chosen((node.selection_set for node in nodes if node.selection_set), fragments, variables)


def wanted(nodes: Iterable[FieldNode], fragments: Fragments, variables: Variables) -> Wanted:
    """Return the names of all fields below, as a tree; two aliases of one field want what both want."""
    tree: Wanted = {}
    for same in below(nodes, fragments, variables).values():
        _merge(tree.setdefault(same[0].name.value, {}), wanted(same, fragments, variables))
    return tree


def _merge(tree: Wanted, other: Wanted) -> None:
    for name, more in other.items():
        _merge(tree.setdefault(name, {}), more)


def _flat(nodes: Iterable[SelectionNode], fragments: Fragments, variables: Variables) -> Iterable[FieldNode]:
    for node in nodes:
        if not _is_included(node, variables):
            continue
        if isinstance(node, FieldNode):
            yield node
        elif isinstance(node, InlineFragmentNode):
            yield from _flat(node.selection_set.selections, fragments, variables)
        elif isinstance(node, FragmentSpreadNode):
            yield from _flat(fragments[node.name.value].selection_set.selections, fragments, variables)


def _is_included(node: SelectionNode, variables: Variables) -> bool:
    """Whether neither @skip nor @include leaves the node out."""
    for directive in node.directives or ():
        if directive.name.value not in ("skip", "include"):
            continue
        value = (directive.arguments or ())[0].value
        is_true = variables.get(value.name.value) if isinstance(value, VariableNode) else getattr(value, "value", None)
        if bool(is_true) == (directive.name.value == "skip"):
            return False
    return True
