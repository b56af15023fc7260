"""The demo practice on the wire: over real HTTP, it does what Healthie is known to do, traps included."""

import base64
import http.client
import json
import re
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from graphql import execute_sync, parse
from hypothesis import given
from hypothesis import strategies as st

from healthie_nb.cost import Walk, costs
from healthie_nb.demo import Served, Settings, World, expected_ids, serving, truth
from healthie_nb.demo.discovery import control
from healthie_nb.demo.limits import complexity, depth
from healthie_nb.demo.resolvers import Context, from_row, schema
from healthie_nb.demo.throttle import Throttle

QUERIES = Path(__file__).parent.parent / "queries"
START, END = datetime(2023, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
FULL = 'is_org: true, filter: "all", with_all_statuses: true, include_blockers: false, filter_synced_appointments: true'
Served_ = Iterator[Served]


@pytest.fixture(scope="module")
def demo() -> Served_:
    with serving(World(clients=500), Settings(rate=None)) as served:
        yield served


@pytest.fixture
def lively() -> Served_:
    """A practice of its own, for tests that change it."""
    with serving(World(clients=60), Settings(rate=None)) as served:
        yield served


def post(
    served: Served, query: str, /, *, name: str | None = None, headers: dict[str, str] | None = None, **variables: Any
) -> Any:
    """The JSON of an answer. An answer that is none raises what urllib raises."""
    ours = {
        "Authorization": f"Basic {served.key}", "AuthorizationSource": "API",
        "Healthie-GraphQL-API-Version": "2026-01-01", "Content-Type": "application/json",
    }  # fmt: skip
    body = json.dumps({"query": query, "operationName": name, "variables": variables}).encode()
    request = urllib.request.Request(served.url, data=body, headers=ours | (headers or {}))
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def refused(served: Served, query: str = "{ currentUser { id } }", **headers: str) -> tuple[int, str]:
    """The status and body of an answer that is an HTTP error."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        post(served, query, headers=headers)
    with caught.value as error:
        return error.code, error.read().decode()


def ids(served: Served, field: str, arguments: str = "") -> list[str]:
    """The ids of a whole connection, paged through."""
    found: list[str] = []
    after = None
    while True:
        page = "{ total_count page_info { has_next_page end_cursor } nodes { id } }"
        query = f"query($after: String) {{ {field}({arguments} after: $after) {page} }}"
        answer = post(served, query, after=after)
        assert "errors" not in answer, answer["errors"]
        page = answer["data"][field]
        found += [row["id"] for row in page["nodes"] if row]
        if not page["page_info"]["has_next_page"]:
            return found
        after = page["page_info"]["end_cursor"]


def nodes(served: Served, field: str, arguments: str, fields: str) -> Any:
    """The rows of one page."""
    return post(served, f"{{ {field}({arguments}) {{ nodes {{ {fields} }} }} }}")["data"][field]["nodes"]


def message(answer: Any) -> str:
    return str(answer["errors"][0]["message"])


def document(name: str) -> str:
    """A file of queries/ as the library sends it: without our own directives."""
    return re.sub(
        r'@(window\(on: "\w+"\)|phi\(if: \w+\))', "", (QUERIES / f"{name}.graphql").read_text(encoding="utf-8")
    )


def variables(text: str) -> dict[str, Any]:
    given: dict[str, Any] = {"first": 100}
    if "$start" in text:
        given |= {"start": START.isoformat(), "end": END.isoformat()}
    return given | ({"type_ids": [truth.GROUP]} if "$type_ids" in text else {})


PAGED = sorted(path.stem for path in QUERIES.glob("*.graphql") if "page_info" in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", PAGED)
def test_each_file_of_queries_returns_the_rows_of_the_world(demo: Served, name: str) -> None:
    text = document(name)
    given, found = variables(text), []
    while True:
        (page,) = post(demo, text, name=name, **given)["data"].values()
        found += [row["id"] for row in page["nodes"]]
        assert page["total_count"] >= len(found)
        if not page["page_info"]["has_next_page"]:
            break
        given["after"] = page["page_info"]["end_cursor"]
    expected = expected_ids(demo.world, name, start=START, end=END, type_ids=given.get("type_ids"))
    assert sorted(found) == sorted(expected)
    assert page["total_count"] == len(expected)


@pytest.mark.parametrize("name", PAGED)
def test_short_cut_answers_what_graphql_core_answers(demo: Served, name: str) -> None:
    text = document(name)
    given = variables(text) | {"first": 40}
    node = parse(text)
    fragments = {one.name.value: one for one in node.definitions if one.kind == "fragment_definition"}  # type: ignore[attr-defined]
    context = Context(demo.application.practice, fragments, given)
    slow = execute_sync(
        schema(), node, context_value=context, variable_values=given, operation_name=name, field_resolver=from_row
    )
    assert post(demo, text, name=name, **given)["data"] == slow.formatted["data"]


def test_current_user_has_a_rails_zone_and_an_organization(demo: Served) -> None:
    answer = post(demo, "{ currentUser { id timezone organization { id name } } }")["data"]["currentUser"]
    assert answer["timezone"] == "Eastern Time (US & Canada)"
    assert answer["organization"]["name"] == "Demo practice (synthetic)"


class TestHeaders:
    def test_wrong_key_is_refused(self, demo: Served) -> None:
        assert refused(demo, Authorization="Basic gh_demo_wrong")[0] == 401
        encoded = base64.b64encode(demo.key.encode()).decode()
        assert refused(demo, Authorization=f"Basic {encoded}")[0] == 401

    def test_authorization_source_is_required(self, demo: Served) -> None:
        assert refused(demo, AuthorizationSource="Web")[0] == 401

    @pytest.mark.parametrize(("shape", "key"), [("errors", "errors"), ("null", "data")])
    def test_wrong_key_may_be_told_otherwise(self, lively: Served, shape: str, key: str) -> None:
        control(lively.url, lively.key, {"action": "settings", "rejects_key_with": shape})
        answer = post(lively, "{ currentUser { id } }", headers={"Authorization": "Basic x"})
        assert key in answer
        assert not (answer.get("data") or {}).get("currentUser")

    def test_unknown_version_is_an_error(self, demo: Served) -> None:
        answer = post(demo, "{ currentUser { id } }", headers={"Healthie-GraphQL-API-Version": "2026-01-02"})
        assert answer["errors"][0]["extensions"]["code"] == "UNSUPPORTED_API_VERSION"

    def test_old_version_is_warned_about(self, demo: Served) -> None:
        (warning,) = post(demo, "{ currentUser { id } }")["extensions"]["warnings"]
        assert (warning["code"], warning["sunset_date"]) == ("API_VERSION_SUNSET_WARNING", "2027-01-31")
        new = post(demo, "{ currentUser { id } }", headers={"Healthie-GraphQL-API-Version": "2026-07-01"})
        assert "extensions" not in new

    def test_after_the_sunset_old_versions_are_rejected(self, lively: Served) -> None:
        control(lively.url, lively.key, {"action": "settings", "is_after_sunset": True})
        answer = post(lively, "{ currentUser { id } }")
        about = answer["errors"][0]["extensions"]
        assert about["code"] == "UNSUPPORTED_API_VERSION"
        assert about["minimum_supported_version"] == "2026-07-01"

    def test_foreign_host_name_is_refused(self, demo: Served) -> None:
        assert refused(demo, Host="rebound.example.org")[0] == 421

    def test_only_post_graphql_is_served(self, demo: Served) -> None:
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(demo.url, timeout=5)
        with caught.value as error:
            assert error.code == 404


class TestLimits:
    def test_documented_examples_cost_what_is_documented(self) -> None:
        assert cost("{ users(first: 3) { nodes { id appointments { id notes } } } }") == 14
        assert cost("{ users { nodes { id appointments { id notes } } } }") == 402

    def test_variables_fragments_and_the_larger_of_first_and_last_count(self) -> None:
        assert (
            cost(
                "query($n: Int) { users(first: $n, last: 7) { total_count nodes { ...f } } } "
                "fragment f on User { id a: id }",
                n=3,
            )
            == 17
        )

    @given(st.integers(1, 99), st.booleans())
    def test_edges_cost_as_nodes_do_with_their_cursor(self, first: int, skipped: bool) -> None:  # noqa: FBT001
        text = "query($f: Int, $s: Boolean!) { users(first: $f) { edges { cursor node { id email @skip(if: $s) } } } }"
        assert cost(text, f=first, s=skipped) == 2 + first * (3 if skipped else 4)

    def test_too_complex_is_said_in_healthies_words(self, demo: Served) -> None:
        fields = " ".join(f"a{number}: id" for number in range(20))
        answer = post(demo, f"{{ users {{ nodes {{ {fields} }} }} }}")
        assert message(answer) == "Query has complexity of 2002, which exceeds max complexity of 2000"
        assert "extensions" not in answer["errors"][0]

    def test_too_deep_is_said_in_healthies_words(self, demo: Served) -> None:
        answer = post(demo, "{ currentUser {" + "dietitian {" * 24 + "id" + "}" * 24 + "} }")
        assert message(answer) == "Query has depth of 26, which exceeds max depth of 25"

    def test_depth_counts_fields_of_fragments(self) -> None:
        node = parse("{ currentUser { ...f } } fragment f on User { dietitian { id } }")
        assert depth(node.definitions[0], {"f": node.definitions[1]}, {}) == 3  # type: ignore[arg-type, dict-item]

    def test_files_of_queries_fit_a_hundred_rows(self) -> None:
        for name in PAGED:
            assert cost(document(name), name=name, **variables(document(name))) <= 2000, name


@st.composite
def selections(draw: st.DrawFn, kind: Any, levels: int = 3) -> str:
    """A random selection on a type: fields twice, aliases, fragments, connections with and without a size."""
    parts = []
    for number, name in enumerate(draw(st.lists(st.sampled_from(sorted(kind.fields)), min_size=1, max_size=4))):
        inner = unwrapped(kind.fields[name].type)
        first = draw(st.one_of(st.none(), st.integers(0, 120))) if "first" in kind.fields[name].args else None
        size = "" if first is None else f"(first: {first})"
        if hasattr(inner, "fields"):
            # A name of its own: one field with two sizes under one key is no valid request.
            below = draw(selections(inner, levels - 1)) if levels else "{ __typename }"
            parts.append(f"a{levels}{number}{name}: {name}{size} {below}")
        else:
            parts.append(name)
    text = " ".join(parts)
    return draw(st.sampled_from((f"{{ {text} }}", f"{{ ... on {kind.name} {{ {text} }} {parts[0]} }}")))


@given(selections(schema().query_type))
def test_client_and_server_count_alike(text: str) -> None:
    """Two walks that nobody copied from each other."""
    node = parse(text)
    assert sum(costs(node, schema(), 100).values()) == complexity(schema(), node.definitions[0], {}, {})  # type: ignore[arg-type]
    assert Walk(node, schema()).depth() == depth(node.definitions[0], {}, {})  # type: ignore[arg-type]


def cost(text: str, *, name: str | None = None, **values: Any) -> int:
    node = parse(text)
    operations = [one for one in node.definitions if one.kind == "operation_definition"]
    (chosen,) = [one for one in operations if name is None or one.name.value == name]  # type: ignore[attr-defined]
    fragments = {one.name.value: one for one in node.definitions if one not in operations}  # type: ignore[attr-defined]
    return complexity(schema(), chosen, fragments, values)  # type: ignore[arg-type]


class TestPaging:
    def test_pages_are_clamped_to_100_without_a_word(self, demo: Served) -> None:
        page = post(demo, "{ users(first: 500) { total_count nodes { id } } }")["data"]["users"]
        assert len(page["nodes"]) == 100
        assert page["total_count"] > 100

    def test_pages_backwards(self, demo: Served) -> None:
        everyone = ids(demo, "users", "order_by: CREATED_AT_ASC,")
        page = "{ page_info { has_previous_page start_cursor } edges { cursor node { id } } }"
        query = f"query($before: String) {{ users(order_by: CREATED_AT_ASC, last: 7, before: $before) {page} }}"
        last = post(demo, query)["data"]["users"]
        assert [edge["node"]["id"] for edge in last["edges"]] == everyone[-7:]
        before = post(demo, query, before=last["page_info"]["start_cursor"])["data"]["users"]
        assert [edge["node"]["id"] for edge in before["edges"]] == everyone[-14:-7]
        assert before["page_info"]["has_previous_page"]

    def test_ties_are_broken_by_id_as_a_number(self, demo: Served) -> None:
        order = ids(demo, "appointments", f"{FULL}, order_by: UPDATED_AT_DESC,")
        rows = demo.world.appointments.filter(pl.col("id").is_in(order))
        assert order == rows.sort("updated_at", "number", descending=True)["id"].to_list()

    def test_foreign_cursor_is_an_error(self, demo: Served) -> None:
        assert "Invalid cursor" in message(post(demo, '{ users(after: "nonsense!") { nodes { id } } }'))

    def test_null_items_come_where_a_row_may_not_be_seen(self, lively: Served) -> None:
        control(lively.url, lively.key, {"action": "settings", "null_every": 5})
        rows = post(lively, "{ users { nodes { id } } }")["data"]["users"]["nodes"]
        assert rows.count(None) == lively.world.clients.filter(pl.col("number") % 5 == 0).height > 0


class TestDefaultsThatHideRows:
    def count(self, demo: Served, arguments: str) -> int:
        return int(
            post(demo, f"{{ appointments({arguments}) {{ total_count }} }}")["data"]["appointments"]["total_count"]
        )

    def test_each_argument_of_a_full_pull_is_needed(self, demo: Served) -> None:
        everything = self.count(demo, FULL)
        assert everything == len(expected_ids(demo.world, "appointments"))
        for shown, hidden in (
            ("is_org: true", "is_org: false"),
            ('filter: "all"', 'filter: "future"'),
            ("with_all_statuses: true", "with_all_statuses: false"),
        ):
            assert self.count(demo, FULL.replace(shown, hidden)) < everything, hidden
            assert self.count(demo, FULL.replace(shown, hidden)) == self.count(
                demo, FULL.replace(f"{shown}, ", "").replace(f", {shown}", "")
            )
        for left_out in ("include_blockers: false", "filter_synced_appointments: true"):
            assert self.count(demo, FULL.replace(f", {left_out}", "")) > everything, left_out

    def test_start_and_end_go_together(self, demo: Served) -> None:
        answer = post(demo, f'{{ appointments({FULL}, startDate: "2026-01-01") {{ total_count }} }}')
        assert message(answer) == "startDate and endDate must be passed together."

    def test_bare_dates_are_read_on_the_key_owners_clock(self, demo: Served) -> None:
        bare = self.count(demo, f'{FULL}, startDate: "2026-03-02", endDate: "2026-03-09"')
        full = self.count(demo, f'{FULL}, startDate: "2026-03-02T00:00:00-05:00", endDate: "2026-03-09T00:00:00-04:00"')
        assert bare == full > 0

    def test_rows_without_a_date_are_in_no_window(self, demo: Served) -> None:
        windowed = self.count(demo, f'{FULL}, startDate: "1999-01-01", endDate: "2099-01-01"')
        undated = demo.world.appointments.filter(pl.col("starts_at").is_null() & pl.col("deleted_at").is_null())
        assert self.count(demo, FULL) - windowed == undated.height > 0

    def test_types_members_templates_and_group_notes_hide_some_too(self, demo: Served) -> None:
        assert set(ids(demo, "appointmentTypes")) < set(
            ids(demo, "appointmentTypes", "with_deleted_appt_types: true, org_level: true,")
        )
        assert set(ids(demo, "customModuleForms")) < set(
            ids(demo, "customModuleForms", "include_default_templates: true,")
        )
        assert set(ids(demo, "formAnswerGroups")) < set(ids(demo, "formAnswerGroups", "include_group_notes: true,"))

    def test_archived_clients_can_be_told_apart(self, demo: Served) -> None:
        both = [set(ids(demo, "users", f'active_status: "{status}",')) for status in ("active", "archived")]
        assert all(both)
        assert both[0] | both[1] == set(ids(demo, "users"))

    def test_argument_that_is_not_built_is_an_error_and_never_ignored(self, demo: Served) -> None:
        answer = post(demo, '{ appointments(keywords: "x") { total_count } }')
        assert message(answer) == "Argument keywords is not supported by the demo practice."
        assert answer["data"] == {"appointments": None}
        assert post(demo, '{ users(email: "x") { total_count } }')["data"] is None


class TestShapes:
    def test_datetimes_come_in_several_shapes_on_the_key_owners_clock(self, demo: Served) -> None:
        days = 'startDate: "2026-01-05", endDate: "2026-06-05"'
        rows = nodes(demo, "appointments", f"{FULL}, {days}", "date created_at updated_at")
        assert all(re.fullmatch(r"2026-\d\d-\d\d \d\d:\d\d:00 -0[45]00", row["date"]) for row in rows)
        assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d-0[45]:00", row["created_at"]) for row in rows)
        filled = post(demo, "{ formAnswerGroups { nodes { record_created_at } } }")["data"]["formAnswerGroups"]["nodes"]
        assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", row["record_created_at"]) for row in filled)
        asked = post(demo, "{ requestedFormCompletions { nodes { date_to_show } } }")["data"][
            "requestedFormCompletions"
        ]["nodes"]
        assert all(row["date_to_show"].endswith(" UTC") for row in asked)

    def test_daylight_saving_moves_the_offset_and_not_the_hour(self, demo: Served) -> None:
        rows = demo.world.appointments.filter(pl.col("type_id") == truth.GROUP).sort("starts_at")
        winter, summer = (rows.filter(pl.col("starts_at").dt.month() == month)["id"][0] for month in (1, 7))
        dates = [
            post(demo, f'{{ appointment(id: "{one}") {{ date }} }}')["data"]["appointment"]["date"]
            for one in (winter, summer)
        ]
        assert [one[-5:] for one in dates] == ["-0500", "-0400"]

    def test_some_ids_are_numbers_and_group_visits_have_no_client(self, demo: Served) -> None:
        fields = (
            "id user_id other_party_id appointment_type_id is_group user { id } providers { id } "
            "attendees { id } attended_clients { attended cancelled user { id } }"
        )
        which = f'{FULL}, filter_by_appointment_type_id: "{truth.INTAKE}", first: 2'
        single = nodes(demo, "appointments", which, fields)[0]
        assert isinstance(single["id"], str)
        assert all(isinstance(single[name], int) for name in ("user_id", "other_party_id", "appointment_type_id"))
        assert str(single["user_id"]) == single["user"]["id"]
        which = f'{FULL}, filter_by_appointment_type_id: "{truth.GROUP}", order_by: DATE_DESC, after: "NjA", first: 30'
        groups = nodes(demo, "appointments", which, fields)
        assert all(row["user"] is None and row["user_id"] is None for row in groups)
        assert {len(row["providers"]) for row in groups} == {1, 2}
        attended = {(one["attended"], one["cancelled"]) for row in groups for one in row["attended_clients"]}
        assert {(True, False), (False, False)} <= attended

    def test_object_by_id_is_there_or_null(self, demo: Served) -> None:
        gone = demo.world.appointments.drop_nulls("deleted_at")["id"][0]
        text = """query($gone: ID, $owner: ID) {
          a: appointment(id: $gone) { id }
          b: appointment(id: $gone, include_deleted: true) { id }
          c: user(id: "1") { id }
          d: user(id: $owner) { full_name is_patient }
        }"""
        answer = post(demo, text, gone=gone, owner=truth.OWNER_ID)
        assert answer["data"] == {
            "a": None, "b": {"id": gone}, "c": None, "d": {"full_name": truth.PROVIDERS[0].name, "is_patient": False},
        }  # fmt: skip

    def test_chart_notes_are_by_day_of_service_and_signed_late_or_not(self, demo: Served) -> None:
        fields = "created_at chart_note_status appointment { id } form_answer_group_signings { created_at }"
        days = 'start_date: "2026-05-04", end_date: "2026-05-15"'
        text = f"{{ chartNotes({days}) {{ total_count nodes {{ {fields} }} }} }}"
        page = post(demo, text)["data"]["chartNotes"]
        assert page["total_count"] > 5
        assert {row["created_at"][:7] for row in page["nodes"]} == {"2026-05"}
        for row in page["nodes"]:
            assert bool(row["form_answer_group_signings"]) == (row["chart_note_status"] != "CREATED")

    def test_every_field_of_every_row_answers(self, demo: Served) -> None:
        """A sweep over the schema: whatever is published can be asked."""
        for name in (
            "Appointment",
            "User",
            "FormAnswerGroup",
            "RequestedFormCompletion",
            "AppointmentType",
            "CustomModuleForm",
        ):
            fields = " ".join(
                key
                if not hasattr(kind := unwrapped(field.type), "fields")
                else f"{key} {{ {next(iter_scalars(kind))} }}"
                for key, field in schema().type_map[name].fields.items()  # type: ignore[attr-defined]
            )
            connection = {
                "Appointment": "appointments",
                "User": "users",
                "FormAnswerGroup": "formAnswerGroups",
                "RequestedFormCompletion": "requestedFormCompletions",
                "AppointmentType": "appointmentTypes",
                "CustomModuleForm": "customModuleForms",
            }[name]
            answer = post(demo, f"{{ {connection}(first: 5) {{ nodes {{ __typename {fields} }} }} }}")
            assert "errors" not in answer, answer["errors"]
            assert answer["data"][connection]["nodes"][0]["__typename"] == name


def unwrapped(kind: Any) -> Any:
    while hasattr(kind, "of_type"):
        kind = kind.of_type
    return kind


def iter_scalars(kind: Any) -> Iterator[str]:
    return (name for name, field in kind.fields.items() if not hasattr(unwrapped(field.type), "fields"))


class TestSummary:
    TEXT = """{
      appointmentsSummary(range_start: "2026-03-02", range_end: "2026-03-13") {
        cache_generation_in_progress
        total_count
        appointment_history {
          date count { occurred noshow cancelled late_cancellation checked_in rescheduled no_status }
        }
        appointment_history_per_provider { name appointments { count { occurred } } }
        appointments_per_type_count { name appointment_count }
      }
    }"""

    def test_totals_agree_with_the_rows(self, demo: Served) -> None:
        summary = post(demo, self.TEXT)["data"]["appointmentsSummary"]
        rows = expected_ids(
            demo.world,
            "appointments",
            start=datetime(2026, 3, 2, 5, tzinfo=UTC),
            end=datetime(2026, 3, 14, 4, tzinfo=UTC),
        )
        statuses = demo.world.appointments.filter(pl.col("id").is_in(rows))["status"]
        days = [day["count"] for day in summary["appointment_history"]]
        assert summary["total_count"] == len(rows) == sum(sum(day.values()) for day in days)
        assert sum(day["noshow"] for day in days) == (statuses == "No-Show").sum()
        assert sum(one["appointment_count"] for one in summary["appointments_per_type_count"]) == len(rows)
        assert {one["name"] for one in summary["appointment_history_per_provider"]} <= {
            one.name for one in truth.PROVIDERS
        }

    def test_may_not_be_ready(self, lively: Served) -> None:
        control(lively.url, lively.key, {"action": "settings", "summary_in_progress": True})
        summary = post(lively, self.TEXT)["data"]["appointmentsSummary"]
        assert summary["cache_generation_in_progress"]
        assert summary["total_count"] is None


class TestSwitches:
    def set(self, served: Served, **settings: Any) -> None:
        control(served.url, served.key, {"action": "settings", **settings})

    def test_form_requests_may_answer_for_one_client_only(self, lively: Served) -> None:
        self.set(lively, requests_per_client=True)
        assert ids(lively, "requestedFormCompletions") == []
        client = lively.world.form_requests["client_id"][0]
        assert ids(lively, "requestedFormCompletions", f'user_id: "{client}",')

    def test_introspection_is_open_or_refused(self, lively: Served) -> None:
        assert post(lively, "{ __schema { queryType { name } } }")["data"]["__schema"]["queryType"]["name"] == "Query"
        self.set(lively, allows_introspection=False)
        assert refused(lively, "{ __schema { queryType { name } } }")[0] == 500

    def test_no_mutation_exists(self, demo: Served) -> None:
        assert "mutation" in message(post(demo, "mutation { updateUser { id } }"))

    def test_what_does_not_parse_is_an_error_at_its_place(self, demo: Served) -> None:
        assert "Syntax Error" in message(post(demo, "{ users {"))
        assert "Cannot query field 'nope'" in message(post(demo, "{ users { nope } }"))
        assert message(post(demo, "")) != ""

    def test_above_the_rate_it_throttles_by_200_and_429_in_turn(self, lively: Served) -> None:
        self.set(lively, rate=3, retry_after_s=2)
        seen = [outcome(lively) for _ in range(7)]
        assert seen[:3] == ["ok", "ok", "ok"]
        assert set(seen[3:]) == {"429 after 2", "TOO_MANY_REQUESTS"}
        assert control(lively.url, lively.key, {"action": "counters"})["most_in_a_second"] == 3

    def test_partial_data_comes_with_errors(self, lively: Served) -> None:
        self.set(lively, faults={"partial": 1.0})
        answer = post(lively, "{ users(first: 3) { nodes { id } } }")
        assert answer["errors"]
        assert answer["data"]["users"]["nodes"][-1] is None

    @pytest.mark.parametrize("kind", ["429", "408", "500", "502", "503", "504"])
    def test_http_faults(self, lively: Served, kind: str) -> None:
        self.set(lively, faults={kind: 1.0})
        status, body = refused(lively)
        assert status == int(kind)
        assert ("<html>" in body) == (kind in ("502", "503"))

    def test_spoilt_bodies(self, lively: Served) -> None:
        for kind in ("truncated", "nonjson"):
            self.set(lively, faults={kind: 1.0})
            with pytest.raises(json.JSONDecodeError):
                post(lively, "{ users { nodes { id } } }")
        self.set(lively, faults={"midbody": 1.0})
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            post(lively, "{ users { nodes { id } } }")

    def test_dropped_and_hanging_connections(self, lively: Served) -> None:
        self.set(lively, faults={"reset": 1.0})
        with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
            post(lively, "{ users { nodes { id } } }")
        self.set(lively, faults={"timeout": 1.0})
        with socket.create_connection(("127.0.0.1", int(lively.url.split(":")[2].split("/")[0])), timeout=0.3) as wire:
            body = b'{"query":"{ currentUser { id } }"}'
            headers = f"Host: 127.0.0.1|Authorization: Basic {lively.key}|AuthorizationSource: API"
            lines = ["POST /graphql HTTP/1.1", *headers.split("|"), f"Content-Length: {len(body)}", "", ""]
            wire.sendall("\r\n".join(lines).encode() + body)
            with pytest.raises(TimeoutError):
                wire.recv(1)

    def test_faults_hit_the_share_asked_for(self, lively: Served) -> None:
        self.set(lively, faults={"500": 0.3})
        seen = [outcome(lively) for _ in range(200)]
        assert 40 <= seen.count("500") <= 80
        assert control(lively.url, lively.key, {"action": "counters"})["faults"] == {"500": seen.count("500")}

    def test_unknown_switch_is_named(self, lively: Served) -> None:
        with pytest.raises(OSError, match="no fault named 'bang'; there are: 429"):
            self.set(lively, faults={"bang": 1.0})
        with pytest.raises(OSError, match="no action 'jump'; there are: status"):
            control(lively.url, lively.key, {"action": "jump"})

    def test_control_needs_the_key(self, demo: Served) -> None:
        with pytest.raises(OSError, match="401"):
            control(demo.url, "gh_demo_other", {"action": "status"})


def outcome(served: Served) -> str:
    try:
        answer = post(served, "{ currentUser { id } }")
    except urllib.error.HTTPError as caught:
        with caught as error:
            after = error.headers.get("retry-after")
            return f"{error.code} after {after}" if after else str(error.code)
    return str(answer["errors"][0]["extensions"]["code"]) if "errors" in answer else "ok"


def test_window_of_the_rate_slides_and_lock_out_holds() -> None:
    now = 0.0
    throttle = Throttle(lambda: now)
    ask = lambda: throttle.passes(2, lockout_after=3, lockout_s=10)  # noqa: E731
    assert [ask(), ask(), ask()] == [True, True, False]
    now = 1.0
    assert [ask(), ask(), ask(), ask(), ask()] == [True, True, False, False, False]
    now = 10.9
    assert not ask(), "locked out for 10 s after the third refusal in a row"
    now = 11.0
    assert ask()


class TestLiveEdits:
    def edit(self, served: Served, action: str, **arguments: Any) -> Any:
        return control(served.url, served.key, {"action": action, **arguments})["id"]

    def row(self, served: Served, id_: str) -> Any:
        fields = "id date pm_status patient_reschedule_count updated_at user { id } provider { full_name }"
        return post(served, f'{{ appointment(id: "{id_}") {{ {fields} }} }}')["data"]["appointment"]

    def test_inserted_moved_recorded_and_deleted_visit(self, lively: Served) -> None:
        client, provider = lively.world.clients["id"][0], truth.OWNER_ID
        new = self.edit(
            lively,
            "insert_appointment",
            client_id=client,
            provider_id=provider,
            type_id=truth.FOLLOW_UP,
            starts_at="2026-07-20T14:00:00+00:00",
        )
        assert self.row(lively, new)["date"] == "2026-07-20 10:00:00 -0400"
        self.edit(lively, "move_appointment", id=new, starts_at="2026-07-21T14:00:00+00:00")
        moved = self.row(lively, new)
        assert (moved["date"][:10], moved["patient_reschedule_count"]) == ("2026-07-21", 1)
        self.edit(lively, "set_status", id=new, status="Cancelled")
        recorded = self.row(lively, new)
        assert recorded["pm_status"] == "Cancelled"
        assert recorded["updated_at"] > moved["updated_at"]
        newest = ids(lively, "appointments", f"{FULL}, order_by: UPDATED_AT_DESC,")[0]
        assert newest == new
        self.edit(lively, "delete_appointment", id=new)
        assert new not in ids(lively, "appointments", f"{FULL},")
        assert control(lively.url, lively.key, {"action": "ids", "query": "appointments"})["ids"] == expected_ids(
            lively.world, "appointments"
        )

    def test_rename_changes_the_name_and_no_appointment(self, lively: Served) -> None:
        before = lively.world.appointments["updated_at"]
        self.edit(lively, "rename_type", id=truth.FOLLOW_UP, name="Follow-up (new)")
        self.edit(lively, "rename_provider", id=truth.OWNER_ID, name="Avery New")
        types = post(lively, "{ appointmentTypes(order_by: UPDATED_AT_DESC, first: 1) { nodes { id name } } }")["data"]
        assert types["appointmentTypes"]["nodes"] == [{"id": truth.FOLLOW_UP, "name": "Follow-up (new)"}]
        assert lively.world.appointments["updated_at"].equals(before)

    def test_archived_client_has_no_upcoming_visit(self, lively: Served) -> None:
        upcoming = lively.world.appointments.filter(
            pl.col("starts_at") > lively.world.now, pl.col("status").is_null(), pl.col("client_id").is_not_null()
        ).row(0, named=True)
        self.edit(lively, "archive_client", id=upcoming["client_id"])
        assert self.row(lively, upcoming["id"])["pm_status"] == "Cancelled"
        text = f'{{ user(id: "{upcoming["client_id"]}") {{ active next_appt_date }} }}'
        assert post(lively, text)["data"]["user"] == {"active": False, "next_appt_date": None}

    def test_merged_client_vanishes_and_leaves_the_visits_to_the_other(self, lively: Served) -> None:
        visits = lively.world.appointments.filter(pl.col("client_id").is_not_null(), pl.col("deleted_at").is_null())
        gone = visits["client_id"][0]
        into = next(one for one in lively.world.clients["id"] if one != gone)
        self.edit(lively, "merge_clients", id=gone, into=into)
        assert gone not in ids(lively, "users")
        assert self.row(lively, visits["id"][0])["user"] == {"id": into}

    def test_completed_form_shows_when_and_not_when_it_was_asked(self, lively: Served) -> None:
        open_one = lively.world.form_requests.filter(pl.col("started_at").is_null()).row(0, named=True)
        filled = self.edit(lively, "complete_form", id=open_one["id"])
        text = "{ requestedFormCompletions { nodes { id status date_to_show form_answer_group { id finished } } } }"
        (row,) = [
            one
            for one in post(lively, text)["data"]["requestedFormCompletions"]["nodes"]
            if one["id"] == open_one["id"]
        ] or [None]
        if row is not None:
            assert (row["status"], row["form_answer_group"]) == ("Completed", {"id": filled, "finished": True})
        assert filled in ids(lively, "formAnswerGroups")

    def test_edits_while_paging(self, lively: Served) -> None:
        control(lively.url, lively.key, {"action": "settings", "edit_every": 2})
        before = lively.world.revisions["appointments"]
        ids(lively, "appointments", f"{FULL}, first: 20,")
        assert lively.world.revisions["appointments"] > before

    def test_edit_of_a_row_that_is_not_there_is_named(self, lively: Served) -> None:
        with pytest.raises(OSError, match="no row '1' in appointments"):
            self.edit(lively, "delete_appointment", id="1")
