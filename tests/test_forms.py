"""Notes and forms against SQL on random worlds, lifelines, and the demo's known probabilities."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from edges import shown
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines import KaplanMeierFitter
from oracle import Oracle

from healthie_nb import forms
from healthie_nb.demo import truth
from healthie_nb.stats import kaplan_meier
from healthie_nb.visits import APPOINTMENTS, MetricError, example, visits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from healthie_nb.demo import World
    from healthie_nb.practice import Practice

AS_OF = "2024-07-15"
INSTANT = pl.Datetime("us", "UTC")
KEY = b"kept with the store, never shown"
START = datetime(2024, 3, 1, 15, tzinfo=UTC)
FORM_ROLES = pl.DataFrame(
    {"form_id": ["i", "k", "k2", "m"], "role": ["intake", "consent", "consent", "outcome measure"]}
)
# Year end, leap day, the days around as_of and a night on which the clocks change; else any.
EDGES = ["2023-12-31", "2024-01-01", "2024-02-29", "2024-03-01", "2024-03-10", "2024-07-12", "2024-07-15", "2024-07-16"]
edges = st.builds(
    lambda day, hour: datetime.fromisoformat(day).replace(hour=hour, tzinfo=UTC),
    st.sampled_from(EDGES),
    st.integers(0, 23),
)
rows = st.fixed_dictionaries(
    {
        "client_id": st.sampled_from(["a", "b", "c", None]),
        "starts_at": st.one_of(edges, st.builds(lambda days: START + timedelta(days=days), st.integers(0, 150))),
        "appointment_type_id": st.sampled_from(["t", "u"]),
        "status": st.sampled_from(["Occurred", "Occurred", "No-Show", "Cancelled", None, "Checked-In"]),
        "provider_id": st.sampled_from(["p", None]),
        "minutes": st.sampled_from([50, None]),
    }
)
writings = st.fixed_dictionaries(
    {
        "appointment": st.integers(0, 12),
        "hours": st.integers(0, 200),
        "signed": st.lists(st.integers(-5, 200), max_size=2),
    }
)
fillings = st.fixed_dictionaries(
    {
        "client_id": st.sampled_from(["a", "b", "c", None]),
        "form_id": st.sampled_from(["i", "k", "k2", "m", "z", None]),
        "filled_at": st.one_of(
            edges, st.builds(lambda days: START + timedelta(days=days, hours=-1), st.integers(-20, 150))
        ),
        "is_finished": st.sampled_from([True, True, False]),
    }
)
BASE = f"""
with o as (from visits where status = 'occurred' and date <= date '{AS_OF}'),
done as (select f.*, r.role from filled f join form_roles r using (form_id) where is_finished)
"""
FILLED = {"client_id": pl.String, "form_id": pl.String, "filled_at": INSTANT, "is_finished": pl.Boolean}


def world_of(given_rows: list[dict[str, Any]]) -> pl.DataFrame:
    made = [row | {"id": str(i), "created_at": START - timedelta(days=30)} for i, row in enumerate(given_rows)]
    roles = pl.DataFrame({"appointment_type_id": ["t", "u"], "role": ["follow-up", "intake"]})
    return visits(pl.DataFrame(made, schema=APPOINTMENTS), zone="UTC", roles=roles)


ROW: dict[str, Any] = {
    "client_id": "a", "starts_at": START, "appointment_type_id": "u", "status": "Occurred", "provider_id": "p",
    "minutes": 50,
}  # fmt: skip
TIES = [ROW, ROW | {"appointment_type_id": "t", "provider_id": None}, ROW | {"client_id": "b"}]
TIES += [row | {"starts_at": START + timedelta(days=40)} for row in TIES]
NOTE = {"appointment": 0, "hours": 1, "signed": [72, 72]}
FORM = {"client_id": "a", "form_id": "i", "filled_at": START, "is_finished": True}
# Written twice for one visit; filled in at the very minute of the visit, and twice at one minute.
NOTED = [NOTE, NOTE | {"signed": []}, NOTE | {"appointment": 1, "signed": [73]}]
DONE_AT_ONCE = [FORM, FORM | {"form_id": "m"}, FORM | {"form_id": "m"}, FORM | {"client_id": "b", "form_id": "k"}]
on_noted = shown(
    *({"given_rows": r, "given_notes": n} for r, n in (([], []), ([ROW], []), ([ROW], [NOTE]), (TIES, NOTED)))
)
on_filled = shown(*({"given_rows": r, "given_forms": f} for r, f in (([], []), ([ROW], []), (TIES, DONE_AT_ONCE))))
SIGNED_UP = pl.DataFrame(
    {"id": ["a", "b"], "created_at": [START - timedelta(days=1), START - timedelta(days=90)]},
    schema_overrides={"created_at": INSTANT},
)
LATE: dict[str, Any] = {"history_from": "2024-02-29", "clients": SIGNED_UP}
WHOLE = "first >= date '2024-02-29' and client_id = 'a'"  # of these two, a alone signed up since


def is_computable(world: pl.DataFrame) -> bool:
    """as_of before every visit is refused, and so has no answer to compare."""
    return world.is_empty() or world["date"].min() <= date.fromisoformat(AS_OF)  # type: ignore[operator]


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    yield (made := Oracle(tmp_path_factory.mktemp("oracle"), BASE))
    made.connection.close()


def chart_notes(given_notes: list[dict[str, Any]], world: pl.DataFrame) -> pl.DataFrame:
    starts = dict(world.select("appointment_id", "starts_at").rows())
    made = []
    for note in given_notes:
        start = starts.get(str(note["appointment"]), START)
        signings = [{"signed_at": start + timedelta(hours=h)} for h in note["signed"]]
        filled = start + timedelta(hours=note["hours"])
        made.append({"appointment_id": str(note["appointment"]), "filled_at": filled, "signings": signings})
    signing = pl.List(pl.Struct({"signed_at": INSTANT}))
    return pl.DataFrame(made, schema={"appointment_id": pl.String, "filled_at": INSTANT, "signings": signing})


def with_sessions(world: pl.DataFrame) -> pl.DataFrame:
    """Visits of one type are group sessions, to which somebody else came as well."""
    is_group = pl.col("appointment_type_id") == "t"
    others = world.filter(is_group).with_columns(client_id=pl.lit("d"))
    both = pl.concat([world, others]).with_columns(is_group=is_group)
    return both.sort("starts_at", "appointment_id", "client_id")


@on_noted
@given(given_rows=st.lists(rows, max_size=12), given_notes=st.lists(writings, max_size=12))
def test_notes(oracle: Oracle, given_rows: list[dict[str, Any]], given_notes: list[dict[str, Any]]) -> None:
    world = with_sessions(world_of(given_rows))
    if not is_computable(world):
        return
    written = chart_notes(given_notes, world)
    flat = written.explode("signings", empty_as_null=True).unnest("signings")
    oracle.table("written", flat)
    ours = oracle.everywhere(world, lambda v: forms.notes(v, written, as_of=AS_OF, every="month"))
    night = f"timestamp '{AS_OF}' + interval 1 day"
    judged = f"""
    , first_signed as (select appointment_id, min(signed_at) filter (signed_at < {night}) first_at from written
        where filled_at < {night} group by appointment_id),
    judged as (select o.*, n.first_at, n.appointment_id is not null has_note,
          starts_at + to_minutes(coalesce(minutes, 0)) + interval 72 hour deadline
        from (select distinct appointment_id, appointment_type_id, role, month, provider_id, date, starts_at, minutes
                from o) o
          left join first_signed n using (appointment_id))"""
    theirs = oracle.rows(f"""{judged}
    select month, provider_id, count(*), count(*) filter (deadline <= {night}),
        count(*) filter (deadline <= {night} and first_at <= deadline),
        count(*) filter (deadline <= {night} and first_at > deadline),
        count(*) filter (deadline <= {night} and first_at is null and has_note),
        count(*) filter (deadline <= {night} and first_at is null and not has_note)
    from judged group by month, provider_id order by month, provider_id nulls last""")
    columns = ("period", "provider_id", "appointments", "due", "signed", "late", "unsigned", "missing")
    assert ours.select(columns).rows() == theirs
    for by, column in (("type", "appointment_type_id"), ("role", "role")):
        sliced = forms.notes(world, written, as_of=AS_OF, by=[by])  # type: ignore[list-item]
        assert sliced.select(column, "appointments", "due", "signed").rows() == oracle.rows(f"""{judged}
        select {column}, count(*), count(*) filter (deadline <= {night}),
            count(*) filter (deadline <= {night} and first_at <= deadline)
        from judged group by {column} order by {column}""")
    still = oracle.everywhere(world, lambda v: forms.open_notes(v, written, as_of=AS_OF))
    assert still.select("provider_id", "age", "open", "missing").rows() == oracle.rows(f"""{judged}
    select provider_id, case when date '{AS_OF}' - date <= 3 then '0-3 days' when date '{AS_OF}' - date <= 7
        then '4-7 days' when date '{AS_OF}' - date <= 30 then '8-30 days' when date '{AS_OF}' - date <= 90
        then '31-90 days' else 'over 90 days' end age, count(*), count(*) filter (not has_note)
    from judged where first_at is null group by all order by provider_id nulls last, max(date) desc""")
    told = {"as_of": AS_OF, "key": KEY, "link": "{client_id}!"}
    overdue = oracle.everywhere(world, lambda v: forms.overdue_notes(v, written, **told))
    one_by_one = overdue.with_columns(pl.col("starts_at").dt.replace_time_zone(None)).drop("pseudonym")
    assert one_by_one.rows() == oracle.rows(f"""{judged}
    , named as (select distinct appointment_id, is_group, if(is_group, null, client_id) client_id from o)
    select client_id, is_group, appointment_id, provider_id, starts_at, date, date_sub('day', deadline, {night}),
        has_note, client_id || '!'
    from judged join named using (appointment_id) where deadline <= {night} and first_at is null
    order by starts_at, appointment_id""")
    # Nobody is counted in one and not listed in the other.
    assert ours["unsigned"].sum() == overdue["has_note"].sum()
    assert ours["missing"].sum() == overdue["has_note"].not_().sum()


@on_filled
@given(given_rows=st.lists(rows, max_size=12), given_forms=st.lists(fillings, max_size=12))
def test_forms_before_visits(
    oracle: Oracle, given_rows: list[dict[str, Any]], given_forms: list[dict[str, Any]]
) -> None:
    world, filled = world_of(given_rows), pl.DataFrame(given_forms, schema=FILLED)
    if not is_computable(world):
        return
    oracle.table("filled", filled)
    oracle.table("form_roles", FORM_ROLES)
    before = oracle.everywhere(world, lambda v: forms.before_first_visit(v, filled, FORM_ROLES, as_of=AS_OF))
    late = forms.before_first_visit(world, filled, FORM_ROLES, as_of=AS_OF, **LATE)
    in_sql = f"""
    , firsts as (select client_id, min(starts_at) starts_at, min(month) period, min(date) first from visits
        where date <= date '{AS_OF}' and status not in ('cancelled', 'rescheduled') group by client_id
        having {{whole}}),
    judged as (select *, exists (from done d where d.client_id = f.client_id and d.role = r.role
          and d.filled_at < f.starts_at) is_done
        from firsts f, (values ('intake', 1), ('consent', 2)) r(role, rank)),
    every_role as (select client_id, period, role, rank, is_done from judged union all
        select client_id, period, 'all', 3, bool_and(is_done) from judged group by client_id, period)
    select period, role, count(*), count(*) filter (is_done) from every_role
    group by period, role, rank order by period, rank"""
    for table, whole in ((before, "true"), (late, WHOLE)):
        assert table.select("period", "role", "clients", "done").rows() == oracle.rows(in_sql.format(whole=whole))
    asked = pl.DataFrame(
        {"client_id": ["a", "a"], "form_id": ["k", "i"], "filled_form_id": [None, "9"]},
        schema_overrides={"filled_form_id": pl.String},
    ).with_columns(filled_form_is_finished=pl.lit(value=False))
    ready = oracle.everywhere(world, lambda v: forms.readiness(v, filled, asked, FORM_ROLES, as_of=AS_OF))
    states = ("appointment_id", "role", "is_first", "state", "is_ready")
    assert ready.select(states).rows() == oracle.rows(f"""
    , due as (select *, exists (from done d where d.client_id = v.client_id and d.role = needed
          and d.filled_at < timestamp '{AS_OF}' + interval 1 day) is_done
        from visits v, (values ('intake', 1), ('consent', 2)) r(needed, rank)
        where date between date '{AS_OF}' + 1 and date '{AS_OF}' + 7
          and status not in ('cancelled', 'late_cancelled', 'rescheduled'))
    select appointment_id, needed, not exists (from o where o.client_id = due.client_id),
        case when is_done then 'done' when client_id <> 'a' then 'not asked' when needed = 'intake' then 'begun'
          else 'asked' end, bool_and(is_done) over (partition by appointment_id)
    from due order by starts_at, client_id, appointment_id, rank""")


@on_filled
@given(given_rows=st.lists(rows, max_size=12), given_forms=st.lists(fillings, max_size=12))
def test_measures(oracle: Oracle, given_rows: list[dict[str, Any]], given_forms: list[dict[str, Any]]) -> None:
    world, filled = world_of(given_rows), pl.DataFrame(given_forms, schema=FILLED)
    if not is_computable(world):
        return
    oracle.table("filled", filled)
    oracle.table("form_roles", FORM_ROLES)
    ours = oracle.everywhere(world, lambda v: forms.measures(v, filled, FORM_ROLES, as_of=AS_OF))
    late = forms.measures(world, filled, FORM_ROLES, as_of=AS_OF, **LATE)
    in_sql = f"""
    , firsts as (select client_id, min(date) first from o group by client_id having {{whole}}),
    cells as (select *, exists (from done d where d.client_id = f.client_id and d.role = 'outcome measure'
          and cast(d.filled_at as date) between f.first + a and f.first + b) is_done
        from firsts f, (values (1, -14, 7), (2, 31, 90)) w(k, a, b)
        where f.first + b <= date '{AS_OF}' and (k = 1 or exists (from o where o.client_id = f.client_id
          and o.date between f.first + a and f.first + b)))
    select k, (select count(*) from cells where cells.k = w.k),
        (select count(*) from cells where cells.k = w.k and is_done) from (select unnest([1, 2]) k) w order by k"""
    for table, whole in ((ours, "true"), (late, WHOLE)):
        counted = [(k, *row) for k, row in enumerate(table.select("clients", "done").rows(), start=1)]
        assert counted == oracle.rows(in_sql.format(whole=whole))


def asked(*rows_given: dict[str, Any]) -> pl.DataFrame:
    blank = {
        "id": "1", "form_id": "f", "client_id": "a", "sender_id": "p", "date_to_show": START,
        "filled_form_id": None, "filled_form_is_finished": None,
    }  # fmt: skip
    types = {"date_to_show": INSTANT, "filled_form_id": pl.String, "filled_form_is_finished": pl.Boolean}
    return pl.DataFrame([blank | row for row in rows_given], schema_overrides=types)


CLIENTS = pl.DataFrame(
    {
        "id": ["a", "b", "gone"],
        "is_active": [True, True, False],
        "archived_at": [None, None, START + timedelta(days=20)],
        "provider_id": ["p", "q", "p"],
    }
)
BEGUN = {"filled_form_id": "9", "filled_form_is_finished": False}
DONE = {"filled_form_id": "9", "filled_form_is_finished": True}


ASKED = {"form_id": "f", "client_id": "a", "sender_id": "p", "date_to_show": START - timedelta(days=20)}
ASKED |= {"filled_form_id": None, "filled_form_is_finished": None}
asking = st.fixed_dictionaries(
    {
        "form_id": st.sampled_from(["f", "g", None]),
        "client_id": st.sampled_from(["a", "b", "gone", "nobody", None]),
        "sender_id": st.sampled_from(["p", None]),
        "date_to_show": st.one_of(st.none(), st.builds(lambda days: START + timedelta(days=days), st.integers(-40, 5))),
        "filled_form_id": st.sampled_from([None, "9"]),
        "filled_form_is_finished": st.sampled_from([None, True, False]),
    }
)


@shown({"given_rows": []}, {"given_rows": [ASKED]}, {"given_rows": [ASKED, ASKED]})
@given(given_rows=st.lists(asking, max_size=25))
def test_requests_and_overdue(oracle: Oracle, given_rows: list[dict[str, Any]]) -> None:
    made = [row | {"id": str(i)} for i, row in enumerate(given_rows)]
    whole = pl.concat([asked({}).clear(), pl.DataFrame(made, schema=asked({}).schema)])
    oracle.table("visits", example({}))
    oracle.table("filled", pl.DataFrame(schema=FILLED))
    oracle.table("form_roles", FORM_ROLES)
    oracle.table("asked", whole)
    oracle.table("people", CLIENTS)
    standing = """
    , standing as (select *, case when filled_form_is_finished then 'completed'
          when client_id is null or client_id not in (select id from people where is_active) then 'withdrawn'
          when filled_form_id is not null then 'started' else 'open' end state from asked)"""
    columns = ("form_id", "sender_id", "requests", "open", "started", "completed", "withdrawn", "waiting_or_done")
    assert forms.requests(whole, CLIENTS).select(columns).rows() == oracle.rows(f"""{standing}
    select form_id, sender_id, count(*), count(*) filter (state = 'open'), count(*) filter (state = 'started'),
      count(*) filter (state = 'completed'), count(*) filter (state = 'withdrawn'),
      count(*) filter (state <> 'withdrawn')
    from standing group by form_id, sender_id order by form_id nulls last, sender_id nulls last""")
    listed = forms.overdue(whole, CLIENTS, as_of="2024-03-10", key=KEY)
    assert listed.select("client_id", "provider_id", "forms", "started", "oldest").rows() == oracle.rows(f"""{standing}
    select client_id, any_value(provider_id), count(*), count(*) filter (state = 'started'),
      min(cast(date_to_show as date)) oldest
    from standing join people on people.id = client_id
    where state in ('open', 'started') and date '2024-03-10' - cast(date_to_show as date) > 14
    group by client_id order by oldest, client_id""")


def test_requests_of_archived_clients_are_withdrawn_not_missed() -> None:
    table = forms.requests(asked({}, BEGUN, DONE, {"client_id": "gone"}, {"client_id": "gone"} | DONE), CLIENTS)
    row = table.row(0, named=True)
    assert [row[name] for name in ("requests", "open", "started", "completed", "withdrawn")] == [5, 1, 1, 2, 1]
    assert (row["waiting_or_done"], row["completed_now"]) == (4, 0.5)


def test_all_withdrawn_has_no_rate() -> None:
    row = forms.requests(asked({"client_id": "gone"}), CLIENTS).row(0, named=True)
    assert (row["waiting_or_done"], row["completed_now"], row["low"]) == (0, None, None)


def test_overdue_lists_active_clients_longest_first() -> None:
    late = {"date_to_show": START - timedelta(days=9)}
    table = forms.overdue(
        asked({}, BEGUN | late, {"client_id": "b"}, {"client_id": "gone"}, {"client_id": "b"} | DONE),
        CLIENTS,
        as_of="2024-03-20",
        key=KEY,
        link="https://example.org/{client_id}",
    )
    assert table.select("client_id", "provider_id", "forms", "started", "days", "link").rows() == [
        ("a", "p", 2, 1, 28, "https://example.org/a"),
        ("b", "q", 1, 0, 19, "https://example.org/b"),
    ]
    assert forms.overdue(asked({}), CLIENTS, as_of="2024-03-15", key=KEY).is_empty()
    with pytest.raises(MetricError, match="where the client's id goes"):
        forms.overdue(asked({}), CLIENTS, as_of="2024-03-20", key=KEY, link="x")


def ledger(*states: tuple[str, int, str, int]) -> pl.DataFrame:
    """States by (id, pulled on day, status, shown day)."""
    made = [
        {"id": id_, "status": status, "is_finished": status == "Completed"}
        | {"seen_at": START + timedelta(days=pulled), "date_to_show": START + timedelta(days=shown)}
        for id_, pulled, status, shown in states
    ]
    return pl.DataFrame(made, schema_overrides={"seen_at": INSTANT, "date_to_show": INSTANT})


PULLS = pl.DataFrame({"seen_at": [START + timedelta(days=day) for day in range(0, 41, 5)]})


@pytest.mark.parametrize(
    ("states", "client", "least", "most"),
    [
        ([("1", 5, "Open", 3), ("1", 10, "Completed", 8)], "a", 5, 5),  # asked on day 3, done on day 8
        ([("1", 5, "Open", 3), ("1", 10, "Incomplete", 7)], "a", 37, None),  # begun is not done: last pull on day 40
        ([("1", 5, "Open", 3)], "gone", 17, None),  # withdrawn on day 20
        ([("1", 10, "Completed", 8)], "a", 0, 3),  # asked for after the pull on day 5
        ([("1", 10, "Incomplete", 8), ("1", 15, "Completed", 12)], "a", 4, 7),
        ([("1", 10, "Incomplete", 8)], "a", 32, None),
        ([("1", 5, "Open", 3), ("1", 10, "Completed", 8), ("1", 15, "Completed", 14)], "a", 5, 5),
    ],
)
def test_bounds_of_a_request(states: list[Any], client: str, least: int, most: int | None) -> None:
    times = forms.request_times(ledger(*states), PULLS, asked({"client_id": client}), CLIENTS, as_of="2024-06-30")
    assert times.select("least", "most").rows() == [(least, most)]


def test_requests_from_before_the_ledger_are_left_out() -> None:
    seen = ledger(("1", 0, "Open", -9), ("1", 5, "Completed", 4))
    assert forms.request_times(seen, PULLS, asked({}), CLIENTS, as_of="2024-06-30").is_empty()


def test_times_are_shown_only_when_the_ledger_is_old_enough() -> None:
    given_frames = (ledger(("1", 5, "Open", 3), ("1", 10, "Completed", 8)), PULLS, asked({}), CLIENTS)
    curve = forms.time_to_complete(*given_frames, as_of="2024-06-30")
    assert curve.select("form_id", "day", "survival", "few").rows() == [("f", 0, 1.0, True), ("f", 5, 0.0, True)]
    young = forms.time_to_complete(*given_frames, as_of="2024-03-20")
    assert young.is_empty()
    assert young.schema == curve.schema
    assert forms.ledger_standing(PULLS, as_of="2024-03-20")["is_old_enough"].item() is False
    assert forms.ledger_standing(PULLS, as_of="2024-06-30")["says"].item() == "the ledger spans 40 days in 9 pulls"


def test_ledger_that_begins_later_says_so() -> None:
    later = forms.ledger_standing(PULLS, as_of="2023-12-31")["says"].item()
    assert later.startswith("the ledger begins after 2023-12-31; times to completion need 28")
    empty = forms.ledger_standing(PULLS.clear(), as_of="2023-12-31")["says"].item()
    assert empty.startswith("the ledger spans 0 days in 0 pulls")


exact = st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=1, max_size=30)


@settings(max_examples=30, deadline=None)
@given(exact)
def test_without_bounds_it_is_kaplan_meier(given_times: list[tuple[int, bool]]) -> None:
    times = pl.DataFrame(
        {"least": [d for d, _ in given_times], "most": [d if ended else None for d, ended in given_times]},
        schema={"least": pl.Int64, "most": pl.Int64},
    )
    theirs = kaplan_meier(times.select(days="least", ended=pl.col("most").is_not_null()))
    ours = forms.turnbull(times).join(theirs, on="day", suffix="_theirs")
    assert ours.height == theirs.height
    for name in ("at_risk", "events", "survival", "low", "high"):
        assert ours[name].to_list() == pytest.approx(ours[f"{name}_theirs"].cast(pl.Float64).to_list(), abs=1e-5)
    assert ours["few"].to_list() == (ours["at_risk_theirs"] < 30).to_list()


def test_with_bounds_it_is_lifelines_estimate() -> None:
    rng = np.random.default_rng(1)
    took = rng.integers(1, 30, 200)
    least = took - rng.integers(0, 5, 200).clip(max=took)
    most = took + rng.integers(0, 5, 200)
    is_open = rng.random(200) < 0.2
    times = pl.DataFrame({"least": least, "most": most}).with_columns(
        most=pl.when(~pl.Series(is_open)).then(pl.col("most"))
    )
    ours = forms.turnbull(times)
    # Theirs is of real time, and its intervals include both ends: whole days become days with a margin.
    upper, lower = np.where(is_open, np.inf, most + 0.25), np.where(is_open, least + 0.75, least - 0.25)
    theirs = KaplanMeierFitter().fit_interval_censoring(lower, upper, tol=1e-7).survival_function_
    for day in range(1, 29):
        mine = ours.filter(pl.col("day") <= day)["survival"].last()
        bounds = theirs.iloc[theirs.index.searchsorted(day + 0.5, side="right") - 1]
        assert bounds.min() - 0.002 <= mine <= bounds.max() + 0.002, day


def signed(*hours: int | None) -> pl.DataFrame:
    """Note of the visits "0", "1" and so on of `example`, of the first day of May: signed so long after its end."""
    at = [None if one is None else datetime(2026, 5, 1, 15, tzinfo=UTC) + timedelta(hours=one) for one in hours]
    made = [{"appointment_id": str(i), "signings": [{"signed_at": one}] if one else []} for i, one in enumerate(at)]
    signings = pl.List(pl.Struct({"signed_at": INSTANT}))
    notes = pl.DataFrame(made, schema={"appointment_id": pl.String, "signings": signings})
    return notes.with_columns(filled_at=pl.lit(None, INSTANT))


def test_overdue_notes_are_unsigned_at_the_hour_and_since() -> None:
    """Signed in time, too late, never; and a visit without a note. At 15:00 the 72 hours of the first day end."""
    seen = example({client: ["2026-05-01"] for client in ("in time", "late", "begun", "missing")})
    known = signed(1, 100, None)
    assert forms.overdue_notes(seen, known, as_of="2026-05-03", key=KEY).is_empty()
    listed = forms.overdue_notes(seen, known, as_of="2026-05-04", key=KEY)
    columns = ("client_id", "days_over", "has_note")
    assert listed.select(columns).rows() == [("late", 0, True), ("begun", 0, True), ("missing", 0, False)]
    later = forms.overdue_notes(seen, known, as_of="2026-05-06", key=KEY)
    assert later.select(columns).rows() == [("begun", 2, True), ("missing", 2, False)]
    hours = forms.overdue_notes(seen, known, as_of="2026-05-03", within_hours=48, key=KEY)
    assert hours["client_id"].to_list() == ["late", "begun", "missing"]


def test_overdue_note_of_a_session_is_listed_once_and_names_nobody() -> None:
    seen = example({"ada": ["2026-05-01"], "bob": ["2026-05-01"], "eve": ["2026-05-02"]})
    is_group = pl.col("client_id") != "eve"
    seen = seen.with_columns(
        is_group=is_group, appointment_id=pl.when(is_group).then(pl.lit("0")).otherwise("appointment_id")
    )
    listed = forms.overdue_notes(seen, signed(), as_of="2026-05-31", key=KEY)
    assert listed.select("appointment_id", "client_id", "is_group").rows() == [("0", None, True), ("2", "eve", False)]
    assert listed.select("pseudonym", "link").null_count().row(0) == (1, 1)
    assert listed["link"][1] == "https://secure.gethealthie.com/users/eve"


BAD: dict[str, Callable[[pl.DataFrame, pl.DataFrame], object]] = {
    "role is 'smile'; allowed are 'intake', 'consent'": lambda v, f: forms.before_first_visit(
        v, f, FORM_ROLES, as_of=AS_OF, required=["smile"]
    ),
    r"required is \[\]: name at least one": lambda v, f: forms.before_first_visit(
        v, f, FORM_ROLES, as_of=AS_OF, required=[]
    ),
    "each once": lambda v, f: forms.readiness(
        v, f, asked({}), FORM_ROLES, as_of=AS_OF, required=["consent", "consent"]
    ),
    "filled_forms lack filled_at: queries/filled_forms": lambda v, f: forms.measures(
        v, f.drop("filled_at"), FORM_ROLES, as_of=AS_OF
    ),
    "no form has the role 'outcome measure'": lambda v, f: forms.measures(v, f, FORM_ROLES.head(1), as_of=AS_OF),
    "give days from the first visit": lambda v, f: forms.measures(v, f, FORM_ROLES, as_of=AS_OF, baseline=(7, -14)),
    "days is 0": lambda v, f: forms.readiness(v, f, asked({}), FORM_ROLES, as_of=AS_OF, days=0),
    "chart_notes lack signings": lambda v, _: forms.notes(v, chart_notes([], v).drop("signings"), as_of=AS_OF),
    "within_hours is 0": lambda v, _: forms.notes(v, chart_notes([], v), as_of=AS_OF, within_hours=0),
    "within_hours is -1": lambda v, _: forms.overdue_notes(
        v, chart_notes([], v), as_of=AS_OF, key=KEY, within_hours=-1
    ),
    "write {client_id} where the client's id goes": lambda v, _: forms.overdue_notes(
        v, chart_notes([], v), as_of=AS_OF, key=KEY, link="x"
    ),
    "as_of is 2024-02-29, and the first request is of 2024-03-01": lambda *_: forms.overdue(
        asked({}), CLIENTS, as_of="2024-02-29", key=KEY
    ),
    "the first visit is on 2024-01-05": lambda v, _: forms.notes(v, chart_notes([], v), as_of="2024-01-04"),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_says_what_is_allowed(message: str) -> None:
    with pytest.raises(MetricError, match=message):
        BAD[message](example({"a": ["2024-01-05"]}), pl.DataFrame(schema=FILLED))


def test_known_probability_of_a_signature_in_time_is_inside(practice: Practice, small_world: World) -> None:
    roles = pl.DataFrame([{"appointment_type_id": one.id, "role": one.role} for one in truth.TYPES])
    seen = visits(practice.load("appointments", start="2023-07-01", end="2026-06-30"), zone=practice.zone, roles=roles)
    table = forms.notes(seen, practice.load("chart_notes"), as_of="2026-06-15")
    known = {one.id: one.signs_within_72_h * (1 - truth.NO_NOTE) * (1 - truth.NEVER_SIGNED) for one in truth.PROVIDERS}
    assert table["due"].sum() > 1_500
    inside = [row["low"] <= known[row["provider_id"]] <= row["high"] for row in table.iter_rows(named=True)]
    assert sum(inside) >= len(inside) - 2
    assert table.sort("rate")["provider_id"][0] == truth.LATE_SIGNER
    assert small_world.filled_forms.height > table["due"].sum()


def test_known_probability_of_completion_is_inside(practice: Practice, small_world: World) -> None:
    old = small_world.form_requests.filter(pl.col("requested_at") < datetime(2026, 5, 1, tzinfo=UTC))["id"]
    rows_given = practice.load("form_requests").filter(pl.col("id").is_in(old.implode()))
    everybody = practice.load("clients").with_columns(is_active=True)
    table = forms.requests(rows_given.with_columns(sender_id=pl.lit("all")), everybody)
    known = {one.id: one.completion for one in truth.FORMS}
    inside = [row["robust_low"] <= known[row["form_id"]] <= row["robust_high"] for row in table.iter_rows(named=True)]
    assert table["requests"].sum() == rows_given.height > 800
    assert sum(inside) >= len(inside) - 1
