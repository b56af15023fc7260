"""A .graphql file becomes a Query, or an error that says what to do."""

from __future__ import annotations

import os
import pathlib

import graphql as gq
import pytest

from healthie_nb import query
from healthie_nb.cost import costs
from healthie_nb.query import QueryError
from healthie_nb.schemas import packaged_schema

SHARED = pathlib.Path(__file__).parents[2] / "shared" / "healthie-2026-01-01.graphql"
PAGED = "query q($first: Int, $after: String) {{ users(first: $first, after: $after) {{ {} }} }}"
PAGE_INFO = "page_info { has_next_page end_cursor }"


def cost(text: str, first: int = 100) -> int:
    return sum(costs(gq.parse(text), packaged_schema(), first).values())


def test_documented_examples_cost_14_and_402() -> None:
    assert cost("{ users(first: 3) { nodes { id appointments { id notes } } } }") == 14
    assert cost("{ users { nodes { id appointments { id notes } } } }") == 402


def test_nested_connections_multiply_and_fragments_are_followed() -> None:
    """One connection in another: 1 + 1 + 2 x (1 + (1 + 1 + 5 x 1))."""
    schema = gq.build_schema(
        "type Query { a(first: Int): AConnection } type PageInfo { end_cursor: String }"
        "type AConnection { nodes: [A] page_info: PageInfo! } type A { id: ID b(first: Int): AConnection }"
    )
    document = gq.parse("{ a(first: 2) { nodes { ...f } } } fragment f on A { id b(first: 5) { nodes { id } } }")
    assert sum(costs(document, schema, 100).values()) == 1 + 1 + 2 * (1 + (1 + 1 + 5 * 1))


def test_a_field_asked_for_twice_costs_once() -> None:
    assert cost("{ users(first: 3) { nodes { id id ...f } } } fragment f on User { id }") == 5


@pytest.mark.parametrize("name", query.names())
def test_packaged_query_fits_100_rows_and_identifies_nobody(name: str) -> None:
    asked = query.read(name)
    assert asked.identifying == ()
    if asked.is_paged:
        assert asked.page_size == 100
        assert asked.operation.cost(first=100) <= 2000


@pytest.mark.parametrize("name", query.names())
def test_packaged_query_is_valid_on_the_whole_schema(name: str, whole_schema: gq.GraphQLSchema) -> None:
    asked = query.read(name)
    for operation in filter(None, (asked.operation, asked.changed)):
        assert gq.validate(whole_schema, gq.parse(operation.text)) == []


def test_packaged_schema_is_a_part_of_the_whole(whole_schema: gq.GraphQLSchema) -> None:
    """Types, fields, arguments, nullability and enum values stand in Healthie's schema as they stand in ours."""
    for name, ours in packaged_schema().type_map.items():
        if name.startswith("__"):
            continue
        theirs = whole_schema.type_map[name]
        assert type(ours) is type(theirs), name
        if isinstance(ours, gq.GraphQLEnumType):
            assert list(ours.values) == list(theirs.values), name  # type: ignore[attr-defined]
        if isinstance(ours, gq.GraphQLObjectType):
            for key, field in ours.fields.items():
                other = theirs.fields[key]  # type: ignore[attr-defined]
                assert str(field.type) == str(other.type), f"{name}.{key}"
                assert {a: (str(v.type), v.default_value) for a, v in field.args.items()} == {
                    a: (str(v.type), v.default_value) for a, v in other.args.items()
                }, f"{name}.{key}"


@pytest.fixture(scope="module")
def whole_schema() -> gq.GraphQLSchema:
    """Return Healthie's schema, which lies beside the project where it is developed and is not ours to pass on."""
    if not SHARED.exists() and os.environ.get("CI") != "true":
        pytest.skip(f"Healthie's own schema is not in {SHARED}; only the part that is packaged is checked")
    return gq.build_schema(SHARED.read_text(encoding="utf-8"))


def test_columns_are_aliases_and_nested_ones_are_prefixed() -> None:
    fields = {field.key: [inner.key for inner in field.fields] for field in query.read("appointments").fields}
    assert fields["starts_at"] == []
    assert fields["provider"] == ["id"]


def test_conventions_are_not_sent() -> None:
    for name in query.names():
        asked = query.read(name)
        for operation in filter(None, (asked.operation, asked.changed)):
            assert "@" not in operation.text


def test_directives_of_graphql_itself_are_sent() -> None:
    asked = query.parse(
        PAGED.format(PAGE_INFO + " nodes { id city: dietitian_id @skip(if: false) @phi(if: false) }"), name="q"
    )
    assert "@skip(if: false)" in asked.operation.text
    assert "@phi" not in asked.operation.text


def test_a_window_needs_a_count() -> None:
    text = query.folder().joinpath("appointments.graphql").read_text(encoding="utf-8")
    with pytest.raises(
        QueryError, match=r"^appointments\.graphql: @window needs \$start, \$end, paging and total_count$"
    ):
        query.parse(text.replace("total_count", ""), name="appointments")


def test_a_window_and_changes_are_recognised() -> None:
    asked = query.read("appointments")
    assert asked.window == "starts_at"
    assert asked.parameters == ("start", "end")
    assert asked.changed is not None
    assert asked.changed.name == "appointments_changed"


def test_identifying_columns_are_named() -> None:
    asked = query.parse(PAGED.format(PAGE_INFO + " nodes { id client: full_name dob @phi(if: false) }"), name="q")
    assert asked.identifying == ("client",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("query q { users { nodes { id }", "mine.graphql, line 1: Syntax Error"),
        ("mutation m { signIn { token } }", "holds a mutation"),
        ("query q {\n  users { nodes { idd } }\n}", r"line 2: Cannot query field 'idd'.*healthie-nb schema save"),
        ("query q { users { nodes { id } } }", "needs nodes.*and page_info"),
        ("query q { users { nodes { id } " + PAGE_INFO + " } }", r"must declare and pass \$first"),
        ("{ users { nodes { id } } }", "needs one named query"),
        ("query a { currentUser { id } } query b { currentUser { id } }", "one named query"),
        ("query a { currentUser { id } } query b_changed { currentUser { id } }", "must be named a_changed"),
        ("query a { currentUser { id } user { id } }", "one thing at the top"),
        (PAGED.format(PAGE_INFO + " nodes { id group_id: user_group_id group: user_group { id } }"), "twice"),
        (PAGED.format(PAGE_INFO + " nodes { full_name }"), "needs id"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(text: str, says: str) -> None:
    with pytest.raises(QueryError, match=says):
        query.parse(text, name="mine")


def test_a_query_that_fits_no_row_is_refused_with_its_cost_and_dearest_fields() -> None:
    inner = " ".join(f"a{i}: appointments {{ {' '.join(f'x{j}: id' for j in range(50))} }}" for i in range(41))
    with pytest.raises(QueryError, match=r"costs 2,0\d\d points for one row.*Its dearest fields: a\d+ 51"):
        query.parse(PAGED.format(f"{PAGE_INFO} nodes {{ id {inner} }}"), name="mine")


def test_a_query_that_is_too_deep_is_refused() -> None:
    deepest, deeper = (f"{'dietitian { ' * levels} id {'}' * levels}" for levels in (22, 23))
    assert query.parse(PAGED.format(f"{PAGE_INFO} nodes {{ id {deepest} }}"), name="mine").page_size > 1
    with pytest.raises(QueryError, match="is 26 levels deep; 25 are allowed"):
        query.parse(PAGED.format(f"{PAGE_INFO} nodes {{ id {deeper} }}"), name="mine")


def test_an_unknown_name_lists_the_names() -> None:
    with pytest.raises(
        QueryError, match="no query named 'appointment'; there are: appointment_types, appointments, appointments_s"
    ):
        query.read("appointment")


def test_a_missing_file_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(QueryError, match=r"no file .*mine\.graphql"):
        query.read(tmp_path / "mine.graphql")


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"start": "2026-01-01", "end": "2026-02-01", "provider": "7"}, "no variable 'provider'; it declares start"),
        ({"start": "2026-01-01"}, "needs end; it declares start: ISO8601DateTime!, end"),
    ],
)
def test_wrong_variables_list_the_declared_ones(variables: dict[str, str], says: str) -> None:
    with pytest.raises(QueryError, match=says):
        query.read("appointments").check(variables)


def test_a_variable_of_the_wrong_type_is_refused_without_its_value() -> None:
    with pytest.raises(QueryError, match=r"type_ids must be \[ID!\]!, not dict") as caught:
        query.read("group_attendance").check({"start": "2026-01-01", "end": "2026-02-01", "type_ids": {"secret": 1}})
    assert "secret" not in str(caught.value)
