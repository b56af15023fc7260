"""The reducing metrics against the same metric in SQL, on random worlds and on every engine at hand."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from edges import shown
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import on_the_wall
from polars import selectors

from healthie_nb import retention
from healthie_nb.visits import APPOINTMENTS, visits

AS_OF, HISTORY = "2024-07-15", "2023-12-31"
PROGRAMMES = pl.DataFrame({"id": ["close", "done"], "kind": ["closing type", "group"]})
KEY = b"kept with the store, never shown"
STATUSES = ["Occurred", "Occurred", "Occurred", "No-Show", "Cancelled", None, "Checked-In"]
# Year end, leap day, both nights on which the clocks change, and the days around as_of; else any.
EDGES = ["2023-12-31", "2024-01-01", "2024-02-29", "2024-03-01", "2024-03-10", "2024-03-11", "2024-07-15", "2024-07-16"]
instants = st.one_of(
    st.builds(
        lambda day, hour: datetime.fromisoformat(day).replace(hour=hour, tzinfo=UTC),
        st.sampled_from(["2023-11-05", *EDGES]),
        st.integers(0, 23),
    ),
    st.builds(lambda days: datetime(2023, 10, 1, 3, 30, tzinfo=UTC) + timedelta(days=days), st.integers(0, 400)),
)
rows = st.fixed_dictionaries(
    {
        "client_id": st.sampled_from(["a", "b", "c", "d", "e", None]),
        "starts_at": instants,
        "status": st.sampled_from(STATUSES),
        "provider_id": st.sampled_from(["p", "q", None]),
        "appointment_type_id": st.sampled_from(["t", "close"]),
        "modality": st.sampled_from(["video", "in person", None]),
        "lead": st.integers(0, 60),
        "changed": st.integers(-40, 5),
    }
)
worlds = st.lists(rows, max_size=25)
SIGNED_UP = {"a": "2023-10-01", "b": "2023-12-31", "c": "2024-01-20", "d": None, "f": "2024-02-01", "g": "2024-08-01"}
CLIENTS = pl.DataFrame(
    {
        "id": list(SIGNED_UP),
        "created_at": [d and datetime.fromisoformat(d).replace(tzinfo=UTC) for d in SIGNED_UP.values()],
        "is_active": [True, True, False, True, False, True],
        "archived_at": [None, None, datetime(2024, 4, 1, tzinfo=UTC), None, datetime(2024, 3, 1, tzinfo=UTC), None],
        "group_id": [None, "done", None, None, None, None],
        "source_name": ["web", None, "friend", "web", "friend", "web"],
    },
    schema_overrides={"created_at": pl.Datetime("us", "UTC"), "archived_at": pl.Datetime("us", "UTC")},
)
BASE = f"""
with v as (select * from visits),
o as (select * from v where status = 'occurred' and date <= date '{AS_OF}'),
firsts as (
    select client_id, min(date) first, max(date) last, count(*) n,
           arg_min_null(provider_id, (starts_at, appointment_id)) provider_id,
           arg_min_null(appointment_type_id, (starts_at, appointment_id)) appointment_type_id,
           arg_min_null(modality, (starts_at, appointment_id)) modality,
           (select source_name from clients c where c.id = client_id) source_name
    from o group by client_id),
known as (
    select f.* from firsts f join clients c on c.id = f.client_id
    where cast(c.created_at as date) >= date '{HISTORY}' and f.first >= date '{HISTORY}'),
gaps as (select client_id, date, lag(date) over (partition by client_id order by date, appointment_id) before from o),
booked as (
    select client_id, min(date) next from v
    where date > date '{AS_OF}' and (booked_local is null or booked_local < timestamp '{AS_OF}' + interval 1 day)
      and (status not in ('cancelled', 'late_cancelled', 'rescheduled')
           or changed_local >= timestamp '{AS_OF}' + interval 1 day)
    group by client_id)
"""


def world_of(given_rows: list[dict[str, Any]]) -> pl.DataFrame:
    made = [
        {k: v for k, v in row.items() if k not in ("lead", "changed")}
        | {"id": str(i), "created_at": row["starts_at"] - timedelta(days=row["lead"])}
        | {"status_changed_at": row["starts_at"] + timedelta(days=row["changed"])}
        for i, row in enumerate(given_rows)
    ]
    return visits(pl.DataFrame(made, schema=APPOINTMENTS), zone="America/Chicago")


class Oracle:
    """One DuckDB for the test; it reads visits from a file, as one who outgrew memory would."""

    def __init__(self, folder: Path) -> None:
        self.path, self.plain = str(folder / "visits.parquet"), str(folder / "plain.parquet")
        self.connection = duckdb.connect()
        self.table("clients", CLIENTS)

    def table(self, name: str, rows: pl.DataFrame) -> None:
        """Create a table; instants without their zone, UTC, which DuckDB's own SQL needs an extension to take apart."""
        rows.with_columns(selectors.datetime().dt.replace_time_zone(None)).write_parquet(self.plain)
        self.connection.sql(f"create or replace table {name} as from '{self.plain}'")

    def load(self, world: pl.DataFrame) -> duckdb.DuckDBPyRelation:
        self.table("visits", on_the_wall(world))
        world.write_parquet(self.path)
        return self.connection.read_parquet(self.path)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.connection.sql(BASE + query).fetchall()


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    yield (made := Oracle(tmp_path_factory.mktemp("oracle")))
    made.connection.close()


def is_computable(world: pl.DataFrame) -> bool:
    """as_of before every visit is refused, and so has no answer to compare."""
    return world.is_empty() or world["date"].min() <= date.fromisoformat(AS_OF)  # type: ignore[operator]


def everywhere(world: pl.DataFrame, oracle: Oracle, metric: Callable[[Any], pl.DataFrame]) -> pl.DataFrame:
    """Return the answer that all engines give."""
    answer = metric(world)
    for engine in (world.lazy(), oracle.load(world)):
        other = metric(engine)
        assert other.schema == answer.schema
        assert other.equals(answer), (answer, other)
    return answer


few_worlds = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
# Ten small worlds seldom hold a client whose first and last visit differ in everything; this one always does.
RICH = [
    {
        "client_id": "abcde"[i % 5],
        "starts_at": datetime(2023, 11, 1, 3, 30, tzinfo=UTC) + timedelta(days=6 * i, hours=i % 7),
        "status": STATUSES[i % 8 % 7],
        "provider_id": ["p", "q", None][i // 5 % 3],
        "appointment_type_id": ["t", "close"][i // 15 % 2],
        "modality": ["video", "in person", None][i // 5 % 4 % 3],
        "lead": i % 61,
        "changed": i % 46 - 40,
    }
    for i in range(45)
]


ROW = RICH[0] | {"starts_at": datetime(2024, 2, 29, 15, tzinfo=UTC), "status": "Occurred", "lead": 5, "changed": 0}
# The same client at the same minute, first, and again last, with two of everything.
TIES = [ROW | {"provider_id": who, "appointment_type_id": kind} for who, kind in (("q", "close"), ("p", "t"))]
TIES = [row | {"starts_at": day} for day in (ROW["starts_at"], datetime(2024, 5, 1, 15, tzinfo=UTC)) for row in TIES]
WORLDS = [{"given_rows": rows_given} for rows_given in (RICH, [], [ROW], TIES)]
on_worlds = shown(*WORLDS, drawn=settings(few_worlds, max_examples=10))
on_each_few = shown(*WORLDS, drawn=settings(few_worlds, max_examples=3))  # for a test of many variants


WIDTHS = {"week": 7, "month": 30, "quarter": 90}
LATER = {"week": "to_days(7 * ({}))", "month": "to_months({})", "quarter": "to_months(3 * ({}))"}


def window_of(every: str, counted: str, measure: str) -> tuple[str, str]:
    """First and last day, in SQL, of the k-th of three periods."""
    if counted == "rolling":
        width = WIDTHS[every]
        return f"first + {width} * (k - 1) + 1", f"first + {width} * {'k' if measure == 'on' else 3}"
    later = LATER[every].format
    end = later("k + 1" if measure == "on" else "4")
    return f"cohort + {later('k')}", f"cohort + {end} - interval 1 day"


@pytest.mark.parametrize("measure", ["on", "on or after"])
@pytest.mark.parametrize("counted", ["rolling", "calendar"])
@pytest.mark.parametrize("every", ["week", "month", "quarter"])
@on_each_few
@given(worlds)
def test_cohorts(oracle: Oracle, every: Any, counted: Any, measure: Any, given_rows: list[dict[str, Any]]) -> None:
    world = world_of(given_rows)
    if not is_computable(world):
        return
    options: dict[str, Any] = {"counted": counted, "measure": measure, "periods": 3, "as_of": AS_OF, "every": every}
    ours = everywhere(
        world, oracle, lambda rows: retention.cohorts(rows, history_from=HISTORY, clients=CLIENTS, **options)
    )
    begin, end = window_of(every, counted, measure)
    theirs = oracle.rows(f"""
    , cells as (
        select *, {begin} begins, {end} ends from
          (select *, cast(date_trunc('{every}', first) as date) cohort from known), (select unnest([1, 2, 3]) k)),
    marked as (select *, ends <= date '{AS_OF}' is_in,
                      exists (from o where o.client_id = cells.client_id and o.date between begins and ends) came
               from cells)
    select cohort, k, count(*), count(*) filter (is_in), count(*) filter (is_in and came),
           bool_or(not is_in) or cohort + {LATER[every].format(1)} > date '{AS_OF}' + 1
    from marked group by cohort, k order by cohort, k""")
    assert ours.select("cohort", "period", "clients", "eligible", "returned", "is_open").rows() == theirs


SPLITS = {
    "provider": "provider_id",
    "type": "appointment_type_id",
    "modality": "modality",
    "source": "source_name",
}


@pytest.mark.parametrize("split", SPLITS)
@on_each_few
@given(worlds)
def test_cohorts_split_by_the_first_visit_or_the_client(
    oracle: Oracle, split: Any, given_rows: list[dict[str, Any]]
) -> None:
    world, column = world_of(given_rows), SPLITS[split]
    if not is_computable(world):
        return
    options: dict[str, Any] = {"as_of": AS_OF, "every": "week", "split": split, "brackets": [(1, 30), (20, 60)]}
    ours = everywhere(world, oracle, lambda rows: retention.cohorts(rows, clients=CLIENTS, **options))
    tallied = f"""
    , cells as (select * from firsts, (values (1, 1, 30), (2, 20, 60)) t(k, a, b)),
    tallied as (select cast(date_trunc('week', first) as date) cohort, {column} own, k, count(*) clients,
           count(*) filter (first + b <= date '{AS_OF}') eligible,
           count(*) filter (first + b <= date '{AS_OF}' and exists
             (from o where o.client_id = cells.client_id and o.date between first + a and first + b)) returned
    from cells group by all)"""
    theirs = oracle.rows(f"{tallied} from tallied order by cohort, own nulls last, k")
    assert ours.select("cohort", column, "period", "clients", "eligible", "returned").rows() == theirs
    is_closed = f"eligible = clients and cohort + 7 <= date '{AS_OF}' + 1"
    means = retention.means(ours).select(column, "period", "cohorts", "eligible", "returned", "simple")
    assert means.with_columns(pl.col("simple").round(9)).rows() == oracle.rows(f"""{tallied}
    select own, k, count(*), sum(eligible)::bigint, sum(returned)::bigint, round(avg(returned / eligible), 9)
    from tallied where {is_closed} group by own, k order by own nulls last, k""")
    beside = retention.chance_limits(ours.filter(period=1)).select(column, "rate", "overall")
    assert beside.with_columns(pl.col("rate", "overall").round(9)).rows() == oracle.rows(f"""{tallied}
    select own, round(sum(returned) / sum(eligible), 9), round(sum(sum(returned)) over () /
      sum(sum(eligible)) over (), 9)
    from tallied where k = 1 and {is_closed} group by own order by own nulls last""")


@on_worlds
@given(worlds)
def test_cohorts_of_those_new_to_a_provider(oracle: Oracle, given_rows: list[dict[str, Any]]) -> None:
    world = world_of(given_rows)
    if not is_computable(world):
        return
    ours = everywhere(
        world, oracle, lambda rows: retention.cohorts(rows, as_of=AS_OF, every="quarter", new_to="provider")
    )
    theirs = oracle.rows(f"""
    , pairs as (select client_id, provider_id, min(date) first from o where provider_id is not null group by all)
    select cast(date_trunc('quarter', first) as date) cohort, count(*),
           count(*) filter (first + 90 <= date '{AS_OF}'),
           count(*) filter (first + 90 <= date '{AS_OF}' and exists (from o
             where o.client_id = pairs.client_id and o.provider_id = pairs.provider_id
               and o.date between first + 31 and first + 90))
    from pairs group by cohort order by cohort""")
    assert ours.select("cohort", "clients", "eligible", "returned").rows() == theirs


@on_worlds
@given(worlds)
def test_spells_to_lapse_and_to_the_second_visit(oracle: Oracle, given_rows: list[dict[str, Any]]) -> None:
    world = world_of(given_rows)
    if not is_computable(world):
        return
    lapse = everywhere(world, oracle, lambda rows: retention.spells(rows, as_of=AS_OF, gap_days=45, split="modality"))
    assert lapse.rows() == oracle.rows(f"""
    , ends as (select f.client_id, f.modality, first, last, next,
                 (select min(before) + 45 from gaps g where g.client_id = f.client_id and date - before > 45) gap_end
               from firsts f left join booked using (client_id)),
    dated as (select *, coalesce(gap_end,
                 case when date '{AS_OF}' - last > 45 and next is null then last + 45 end) ended from ends)
    select client_id, modality, coalesce(ended, date '{AS_OF}') - first, ended is not null
    from dated order by client_id""")
    sourced: dict[str, Any] = {"event": "second visit", "split": "source", "clients": CLIENTS}
    second = everywhere(world, oracle, lambda rows: retention.spells(rows, as_of=AS_OF, **sourced))
    assert second.rows() == oracle.rows(f"""
    , ends as (select client_id, source_name, first,
                 (select min(date) from o where o.client_id = f.client_id and date > first) again
               from firsts f)
    select client_id, source_name, coalesce(again, date '{AS_OF}') - first, again is not null
    from ends order by client_id""")
    known = oracle.rows(", kept as (select client_id from known) from kept order by client_id")
    late = retention.spells(world, as_of=AS_OF, history_from=HISTORY, **sourced)
    assert late.rows() == [row for row in second.rows() if (row[0],) in known]


@pytest.mark.parametrize("every", ["week", "month", "quarter"])
@on_worlds
@given(worlds)
def test_flow(oracle: Oracle, every: Any, given_rows: list[dict[str, Any]]) -> None:
    world = world_of(given_rows)
    if not is_computable(world):
        return
    ours = everywhere(
        world,
        oracle,
        lambda rows: retention.flow(rows, as_of=AS_OF, every=every, history_from=HISTORY, clients=CLIENTS),
    )
    theirs = oracle.rows(f"""
    , seen as (select distinct client_id, {every} p, client_id in (select client_id from known) is_known from o),
    periods as (select cast(unnest(generate_series(min({every}), date '{AS_OF}', interval 1 {every})) as date) p from o)
    select p, count(*) filter (is_known and p = (select min(p) from seen s where s.client_id = seen.client_id)),
           count(*) filter (is_known and exists
              (from seen s where s.client_id = seen.client_id and s.p + interval 1 {every} = seen.p)),
           count(*) filter (is_known), count(*) filter (not is_known)
    from periods left join seen using (p) group by p order by p""")
    assert ours.select("period", "new", "kept", "active", "unknown").rows() == theirs
    assert (ours["active"] == ours["new"] + ours["kept"] + ours["returned"]).all()
    assert (ours["before"] == ours["kept"] + ours["left"]).all()
    assert (ours["before"] == ours["active"].shift(1, fill_value=0)).all()


@on_worlds
@given(worlds)
def test_definitions(oracle: Oracle, given_rows: list[dict[str, Any]]) -> None:
    world = world_of(given_rows)
    if not is_computable(world):
        return
    ours = everywhere(world, oracle, lambda rows: retention.definitions(rows, as_of=AS_OF))
    late = retention.definitions(world, as_of=AS_OF, history_from=HISTORY, clients=CLIENTS)
    for table, whole in ((ours, "firsts"), (late, "known")):
        theirs = oracle.rows(f"""
        , judged as (select *, date '{AS_OF}' - first age,
            exists (from o where o.client_id = f.client_id and date between first + 31 and first + 90) ours,
            exists (from o where o.client_id = f.client_id and date between first + 1 and first + 90) again
            from {whole} f),
        readings as (select 1 k, *, age >= 90 is_in, ours stays, not ours leaves from judged union all
            select 2, *, age >= 56, n >= 8, n < 4 from judged union all
            select 3, *, age >= 90, again, not again from judged)
        select count(*) filter (is_in), count(*) filter (is_in and stays), count(*) filter (is_in and leaves),
            count(*) filter (is_in and age >= 90), count(*) filter (is_in and age >= 90 and stays = ours)
        from (select unnest([1, 2, 3]) k) left join readings using (k) group by k order by k""")
        assert table.select("eligible", "retained", "lost", "compared", "as_ours").rows() == theirs


@on_worlds
@given(worlds)
def test_states_and_population_count_every_client_once(oracle: Oracle, given_rows: list[dict[str, Any]]) -> None:
    world = world_of(given_rows)
    if not is_computable(world):
        return
    ours = everywhere(world, oracle, lambda rows: retention.states(rows, CLIENTS, as_of=AS_OF, programmes=PROGRAMMES))
    theirs = oracle.rows(f"""
    , standing as (
        select c.*, f.last, b.next, arg_max_null(o.appointment_type_id, (o.starts_at, o.appointment_id)) last_type
        from clients c left join firsts f on f.client_id = c.id left join booked b on b.client_id = c.id
        left join o on o.client_id = c.id where coalesce(c.created_at, timestamp '2000-01-01') <= date '{AS_OF}'
        group by all)
    select case when group_id = 'done' then 'programme'
                when last_type = 'close' and next is null then 'closing visit'
                when not is_active and next is null and cast(archived_at as date) <= date '{AS_OF}'
                     and (last is null or cast(archived_at as date) <= last + 90) then 'archived'
                when next is not null then 'booked'
                when date '{AS_OF}' - last <= 90 then 'seen lately'
                when last is not null then 'not seen' else 'no visit yet' end reason, count(*)
    from standing group by reason""")
    assert {reason: n for reason, n in ours.select("reason", "clients").rows() if n} == dict(theirs)
    counted = retention.population(world, CLIENTS, as_of=AS_OF, history_from=HISTORY)
    assert [tuple(counted["clients"])] == oracle.rows("""
    select (select count(*) from known), (select count(*) from firsts anti join known using (client_id)),
        (select count(*) from clients c anti join firsts f on f.client_id = c.id)""")
    table = retention.cohorts(world, as_of=AS_OF, history_from=HISTORY, clients=CLIENTS)
    assert table["clients"].sum() == counted["clients"][0]


@on_worlds
@given(worlds)
def test_funnel(oracle: Oracle, given_rows: list[dict[str, Any]]) -> None:
    world = world_of(given_rows)
    if not is_computable(world):
        return
    options: dict[str, Any] = {"as_of": AS_OF, "first_days": 60, "second_days": 30}
    ours = everywhere(world, oracle, lambda rows: retention.funnel(rows, CLIENTS, **options))
    late = retention.funnel(world, CLIENTS, history_from=HISTORY, **options)
    for table, since in ((ours, "2000-01-01"), (late, HISTORY)):
        (theirs,) = oracle.rows(f"""
        , people as (select id, cast(created_at as date) up,
              (select min(cast(booked_local as date)) from v where client_id = id) booked,
              (select first from firsts where client_id = id) first,
              (select min(o.date) from o join firsts f using (client_id)
               where client_id = id and o.date > f.first) again
            from clients where cast(created_at as date) between '{since}' and date '{AS_OF}'),
        days as (select *, case when first < up then 0 else first - up end to_first,
              least(case when booked < up then 0 else booked - up end, to_first) to_booked,
              up + 90 > date '{AS_OF}' is_recent
            from people),
        steps as (select *, to_booked <= 60 is_booked, to_first <= 60 is_seen, is_seen and again - first <= 30 is_back
            from days where not is_recent)
        select count(*), count(*) filter (is_booked), count(*) filter (is_seen), count(*) filter (is_back),
            case when count(*) > 0 then 0.0 end, median(to_booked) filter (is_booked),
            median(to_first - to_booked) filter (is_seen), median(again - first) filter (is_back),
            (select count(*) from days where is_recent)
        from steps""")
        assert tuple(table["clients"]) == theirs[:4]
        assert tuple(table["before"]) == (theirs[0], *theirs[:3])
        assert tuple(table["median_days"]) == theirs[4:8]
        assert set(table["too_recent"]) == {theirs[8]}


@on_worlds
@given(worlds)
def test_worklist(oracle: Oracle, given_rows: list[dict[str, Any]]) -> None:
    world = world_of(given_rows)
    if not is_computable(world):
        return
    ours = everywhere(world, oracle, lambda rows: retention.worklist(rows, as_of=AS_OF, key=KEY, usual_days=21))
    theirs = oracle.rows(f"""
    , cadences as (select client_id, count(gap) gaps, median(gap) usual from
         (select client_id, date - lag(date) over (partition by client_id order by date) gap
          from (select distinct client_id, date from o)) group by client_id),
    due as (select client_id, last, case when gaps > 1 then usual else 21.0 end cadence, next
            from firsts f join cadences using (client_id) left join booked using (client_id))
    select client_id, last, cadence, date '{AS_OF}' - last - cadence, next from due
    where date '{AS_OF}' - last - cadence > 0 and date '{AS_OF}' - last <= 180
    order by next is not null, 4 desc, client_id""")
    assert ours.select("client_id", "last_visit", "cadence_days", "days_overdue", "next_booking").rows() == theirs
