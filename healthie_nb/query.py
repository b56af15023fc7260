"""A .graphql file becomes a Query: its operations, its columns, its cost and the page size that fits.

Wraps graphql-core, which parses, validates and prints. Ours are the conventions of `queries/` (`$first`/`$after`,
`@window`, `NAME_changed`, `@phi`) and the price of a request, by the rule that Healthie's server applies.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import graphql as gq

from healthie_nb import schemas
from healthie_nb.cost import MAX_COMPLEXITY, MAX_DEPTH, MAX_PAGE_SIZE, Walk, costs, is_connection, response_key
from healthie_nb.fields import Field, argument, columns, fields

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PAGING = {"first", "after"}
WINDOW = {"start", "end"}


class HealthieError(Exception):
    """Base of every error that this library raises on purpose."""


class QueryError(HealthieError, ValueError):
    """A query, or a variable for it, that cannot be used as given. Raised before anything is sent."""


@dataclass(frozen=True)
class Operation:
    """One operation that can be sent: its name, its text without our directives, and the variables it declares."""

    name: str
    text: str
    variables: Mapping[str, gq.GraphQLInputType]
    required: frozenset[str]
    has_count: bool

    def cost(self, *, first: int = MAX_PAGE_SIZE) -> int:
        """Complexity of one request for `first` rows, by graphql-ruby's rule."""
        document = gq.parse(self.text)
        return sum(costs(document, schemas.schema_for(document), first).values())


@dataclass(frozen=True)
class Query:
    """A data set as its file describes it.

    `key` is the field of the answer that holds the rows; `fields` are the rows'; `window` is the column that
    `$start` and `$end` bound; `changed` lists the same rows, newest change first; `page_size` is the most rows
    that fit a request.
    """

    name: str
    operation: Operation
    changed: Operation | None
    key: str
    is_paged: bool
    window: str | None
    fields: tuple[Field, ...]
    page_size: int
    text: str

    @property
    def hash(self) -> str:
        """Eight hex digits of the text: two files with the same hash ask the same."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:8]

    @property
    def identifying(self) -> tuple[str, ...]:
        """The columns that may identify a client."""
        return tuple(name for name, field in columns(self.fields) if field.is_phi)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The variables that a caller may pass."""
        return tuple(name for name in self.operation.variables if name not in PAGING)

    def check(self, variables: Mapping[str, Any]) -> None:
        """Refuse variables that the file does not declare, or lacks, or types otherwise."""
        declared = ", ".join(f"{name}: {self.operation.variables[name]}" for name in self.parameters) or "none"
        for name in variables:
            if name not in self.parameters:
                raise QueryError(f"{self.name} has no variable {name!r}; it declares {declared}")
        missing = [name for name in self.parameters if name in self.operation.required and name not in variables]
        if missing:
            raise QueryError(f"{self.name} needs {', '.join(missing)}; it declares {declared}")
        for name, value in variables.items():
            expected = self.operation.variables[name]
            is_instant = name in WINDOW and self.window
            if not is_instant and gq.coerce_input_value(value, expected) is gq.Undefined:
                # The value stays out of the message: it may be about a client.
                raise QueryError(f"{self.name}: variable {name} must be {expected}, not {type(value).__name__}")


def names() -> list[str]:
    """Names of the packaged queries."""
    return sorted(path.stem for path in folder().glob("*.graphql"))


def folder() -> Path:
    """Where the packaged queries are: inside the package when installed, beside it in a checkout."""
    inside = Path(__file__).parent / "queries"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "queries"


def read(source: str | Path) -> Query:
    """Return the query of that name, or of that .graphql file.

    Raises
    ------
    QueryError
        No such query or file; it does not parse or validate; it changes data; it cannot fit into a request.
    """
    if isinstance(source, str) and source not in names():
        raise QueryError(
            f"no query named {source!r}; there are: {', '.join(names())}. Or pass a Path to a .graphql file"
        )
    path = folder() / f"{source}.graphql" if isinstance(source, str) else source
    if not path.is_file():
        raise QueryError(f"no file {path}; pass the Path of a .graphql file, or one of the names {', '.join(names())}")
    return parse(path.read_text(encoding="utf-8"), name=path.stem)


def parse(text: str, *, name: str) -> Query:
    """Return the query that the text of a .graphql file describes; `name` is for messages and for the store."""
    saved = schemas.saved_schema_path()
    return _parsed(text, name, saved.stat().st_mtime_ns if saved.is_file() else 0)


@functools.lru_cache(maxsize=64)  # validating takes as long as reading 200,000 stored rows
def _parsed(text: str, name: str, _saved_schema_ns: int) -> Query:
    try:
        document = gq.parse(text)
    except gq.GraphQLSyntaxError as error:
        line = error.locations[0].line if error.locations else 0
        raise QueryError(f"{name}.graphql, line {line}: {error.message}") from None
    schema = schemas.schema_for(document)
    _validate(document, schema, name)
    main, changed = _operations(document, name)
    window = _window(main)
    root = _root(main, name)
    rows, is_paged = _rows(root, document, schema, name)
    sendable = gq.separate_operations(gq.visit(document, _WithoutConventions()))
    operation = _operation(sendable, main, schema)
    _check_paging(operation, name, is_paged=is_paged, window=window)
    _check_columns(rows, name, is_paged=is_paged, window=window)
    return Query(
        name=name,
        operation=operation,
        changed=_operation(sendable, changed, schema) if changed else None,
        key=response_key(root),
        is_paged=is_paged,
        window=window,
        fields=rows,
        page_size=_page_size(gq.parse(operation.text), schema, name),
        text=gq.print_ast(document),
    )


def _validate(document: gq.DocumentNode, schema: gq.GraphQLSchema, name: str) -> None:
    for definition in document.definitions:
        if isinstance(definition, gq.OperationDefinitionNode) and definition.operation is not gq.OperationType.QUERY:
            raise QueryError(f"{name}.graphql holds a {definition.operation.value}; only queries can be loaded")
    errors = gq.validate(schema, document)
    if not errors:
        return
    line = errors[0].locations[0].line if errors[0].locations else 0
    unknown = "Cannot query field" in errors[0].message or "Unknown argument" in errors[0].message
    advice = (
        " The packaged schema is a part of Healthie's; `healthie-nb schema save` adds the whole of it"
        if unknown
        else ""
    )
    said = errors[0].message if advice else errors[0].message.rstrip(".")
    raise QueryError(f"{name}.graphql, line {line}: {said}{advice}")


def _operations(
    document: gq.DocumentNode, name: str
) -> tuple[gq.OperationDefinitionNode, gq.OperationDefinitionNode | None]:
    found = [node for node in document.definitions if isinstance(node, gq.OperationDefinitionNode)]
    mains = [node for node in found if not _operation_name(node).endswith("_changed")]
    if len(mains) != 1 or not mains[0].name:
        raise QueryError(
            f"{name}.graphql needs one named query (and may have NAME_changed beside it), not {len(mains)}"
        )
    rest = [node for node in found if node is not mains[0]]
    expected = f"{_operation_name(mains[0])}_changed"
    if [_operation_name(node) for node in rest] not in ([], [expected]):
        raise QueryError(f"{name}.graphql: the second operation must be named {expected}")
    return mains[0], rest[0] if rest else None


def _operation_name(node: gq.OperationDefinitionNode) -> str:
    return node.name.value if node.name else ""


def _window(operation: gq.OperationDefinitionNode) -> str | None:
    for directive in operation.directives or ():
        if directive.name.value == "window":
            value = argument(directive)
            return value.value if isinstance(value, gq.StringValueNode) else None
    return None


def _root(operation: gq.OperationDefinitionNode, name: str) -> gq.FieldNode:
    roots = operation.selection_set.selections
    if len(roots) != 1 or not isinstance(roots[0], gq.FieldNode):
        raise QueryError(f"{name}.graphql must ask for one thing at the top, not {len(roots)}")
    return roots[0]


def _rows(
    root: gq.FieldNode, document: gq.DocumentNode, schema: gq.GraphQLSchema, name: str
) -> tuple[tuple[Field, ...], bool]:
    """Return the fields of a row, and whether the rows come in pages."""
    walk = Walk(document, schema)
    assert schema.query_type
    row_type = gq.get_named_type(schema.query_type.fields[root.name.value].type)
    if not is_connection(row_type):
        return tuple(fields(walk, [root], row_type)), False
    asked = walk.merged([root])
    nodes = asked.get("nodes")
    page_info = walk.merged(asked.get("page_info", []))
    if nodes is None or not {"has_next_page", "end_cursor"} <= set(page_info):
        raise QueryError(
            f"{name}.graphql: {root.name.value} needs nodes {{ … }} and page_info {{ has_next_page end_cursor }}"
        )
    node_type = gq.get_named_type(row_type.fields["nodes"].type)
    return tuple(fields(walk, nodes, node_type)), True


def _check_paging(operation: Operation, name: str, *, is_paged: bool, window: str | None) -> None:
    if is_paged and not set(operation.variables) >= PAGING:
        raise QueryError(f"{name}.graphql must declare and pass $first: Int and $after: String to be paged")
    if window and not (set(operation.variables) >= WINDOW and is_paged and operation.has_count):
        raise QueryError(f"{name}.graphql: @window needs $start, $end, paging and total_count")


def _check_columns(rows: Sequence[Field], name: str, *, is_paged: bool, window: str | None) -> None:
    found = [column for column, _ in columns(rows)]
    twice = sorted({column for column in found if found.count(column) > 1})
    if twice:
        raise QueryError(f"{name}.graphql gives column {twice[0]} twice; give one of them another alias")
    needed = {"id", *filter(None, [window])} if is_paged else set()
    if missing := sorted(needed - set(found)):
        raise QueryError(f"{name}.graphql needs {', '.join(missing)} in each row; it has {', '.join(found)}")


def _operation(
    sendable: dict[str, gq.DocumentNode], node: gq.OperationDefinitionNode, schema: gq.GraphQLSchema
) -> Operation:
    name = _operation_name(node)
    variables: dict[str, gq.GraphQLInputType] = {}
    required = set()
    for variable in node.variable_definitions or ():
        declared = gq.type_from_ast(schema, variable.type)
        assert gq.is_input_type(declared)
        variables[variable.variable.name.value] = declared
        if gq.is_non_null_type(declared) and variable.default_value is None:
            required.add(variable.variable.name.value)
    text = gq.print_ast(sendable[name])
    return Operation(name, text, variables, frozenset(required), "total_count" in text)


def _page_size(document: gq.DocumentNode, schema: gq.GraphQLSchema, name: str) -> int:
    """Return the most rows whose request costs at most 2000 points; refuse a query that fits none."""
    deepest = Walk(document, schema).depth()
    if deepest > MAX_DEPTH:
        raise QueryError(f"{name}.graphql is {deepest} levels deep; {MAX_DEPTH} are allowed")
    least = costs(document, schema, 1)
    if sum(least.values()) > MAX_COMPLEXITY:
        dearest = sorted(least.items(), key=lambda item: -item[1])[:3]
        raise QueryError(
            f"{name}.graphql costs {sum(least.values()):,} points for one row; {MAX_COMPLEXITY:,} are allowed. "
            f"Its dearest fields: {', '.join(f'{path} {cost:,}' for path, cost in dearest)}. "
            "Ask for fewer of them, or pass first: to inner lists"
        )
    fits = (
        size for size in range(MAX_PAGE_SIZE, 0, -1) if sum(costs(document, schema, size).values()) <= MAX_COMPLEXITY
    )
    return next(fits)


class _WithoutConventions(gq.Visitor):
    """Take `@window` and `@phi` out: Healthie does not know them."""

    def enter_directive(self, node: gq.DirectiveNode, *_: object) -> Any:
        return gq.REMOVE if node.name.value in ("window", "phi") else None
