"""Counts, rates and bookings against SQL on random worlds, the demo's known probabilities and Healthie's own totals."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from edges import shown
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Oracle
from oracle import on_worlds as drawn_worlds
from polars.testing import assert_frame_equal
from statsmodels.stats.proportion import proportion_confint

from healthie_nb import engines, volume
from healthie_nb.demo import Settings as Behaviour
from healthie_nb.demo import World, serving, truth
from healthie_nb.reconciliation import COUNTS
from healthie_nb.slices import COLUMNS
from healthie_nb.stats import clustered
from healthie_nb.visits import APPOINTMENTS, ATTENDANCE, MetricError, example, visits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from healthie_nb.practice import Practice

AS_OF = "2024-07-15"
STATUSES = ["Occurred", "Occurred", "No-Show", "Cancelled", "Late Cancellation", "Re-Scheduled", "Checked-In", None]
ROLES = pl.DataFrame({"appointment_type_id": ["t", "g", "d"], "role": ["follow-up", "group", "discovery"]})
# Year end, leap day, both nights on which the clocks change, and the days around as_of; else any.
EDGES = ["2023-11-05", "2023-12-31", "2024-01-01", "2024-02-29", "2024-03-10", "2024-07-15", "2024-07-16", "2024-07-29"]
instants = st.one_of(
    st.builds(
        lambda day, hour: datetime.fromisoformat(day).replace(hour=hour, tzinfo=UTC),
        st.sampled_from(EDGES),
        st.integers(0, 23),
    ),
    st.builds(lambda days: datetime(2023, 6, 1, 3, 30, tzinfo=UTC) + timedelta(days=days), st.integers(0, 450)),
)
rows = st.fixed_dictionaries(
    {
        "client_id": st.sampled_from(["a", "b", "c", "d", None]),
        "starts_at": instants,
        "status": st.sampled_from(STATUSES),
        "provider_id": st.sampled_from(["p", "q", None]),
        "appointment_type_id": st.sampled_from(["t", "t", "g", "d", "unmapped", None]),
        "modality": st.sampled_from(["video", None]),
        "minutes": st.sampled_from([30, 60, None]),
        "cancellation_reason_type": st.sampled_from(["client", None]),
        "label": st.sampled_from(["unwell", "away", None]),
        "lead": st.integers(0, 70),
        "notice": st.sampled_from([-5, 0, 3, 24, 30, 48, 100, 400, None]),
        "came": st.sampled_from([None, True, False]),
    }
)
worlds = st.lists(rows, max_size=25)
ROW: dict[str, Any] = {
    "client_id": "a", "starts_at": datetime(2024, 2, 29, 15, tzinfo=UTC), "status": "Occurred", "provider_id": "p",
    "appointment_type_id": "t", "modality": "video", "minutes": 30, "cancellation_reason_type": None, "label": None,
    "lead": 7, "notice": None, "came": True,
}  # fmt: skip
# All at one minute: two providers, two lengths, a session, and a visit that is due beside one that is not.
TIES = [ROW, ROW | {"provider_id": "q"}, ROW | {"minutes": 60}, ROW | {"appointment_type_id": "g"}]
TIES += [ROW | {"status": "No-Show"}, ROW | {"status": "Cancelled", "notice": 24}, ROW | {"client_id": "b", "lead": 21}]
WORLDS = [{"given_rows": rows_given} for rows_given in ([], [ROW], TIES)]
on_worlds = shown(*WORLDS, drawn=settings(drawn_worlds, max_examples=6))
PEOPLE = pl.DataFrame(
    [(who, datetime(2023, month, 31, tzinfo=UTC)) for who, month in (("a", 12), ("b", 10), ("c", 12), ("e", 12))],
    schema={"id": pl.String, "created_at": pl.Datetime("us", "UTC")},
    orient="row",
)
RATES = ("measure", "late", "clients", "due", "missed", "unmarked")
BASE = f"""
with v as (select *, coalesce(role, '') in ('intake', 'follow-up', 'group') or not exists
             (from visits where role is not null) clinical,
             case coalesce(healthie_status, '') when '' then 'unrecorded' when 'No-Show' then 'no_show'
               when 'Late Cancellation' then 'late_cancelled' when 'Re-Scheduled' then 'rescheduled'
               when 'Checked-In' then 'checked_in' else lower(healthie_status) end own from visits),
p as (from v where date <= date '{AS_OF}'),
c as (from v where clinical),
cp as (select *, not exists (from c e where e.client_id = c.client_id and e.status = 'occurred'
               and e.starts_at < c.starts_at) first,
             case when late_by_notice is null then status = 'late_cancelled' else late_by_notice end by_notice
       from c where date <= date '{AS_OF}')
"""


def world_of(given_rows: list[dict[str, Any]]) -> pl.DataFrame:
    made, groups = [], []
    for i, row in enumerate(given_rows):
        is_group, changed = row["appointment_type_id"] == "g", row["notice"]
        starts_at = row["starts_at"]
        made.append(
            {k: v for k, v in row.items() if k not in ("lead", "notice", "came", "label")}
            | {"id": str(i), "created_at": starts_at - timedelta(days=row["lead"])}
            | {"status_changed_at": None if changed is None else starts_at - timedelta(hours=changed)}
            | ({"client_id": None} if is_group else {})
        )
        if is_group:
            came = [{"client_id": "a", "attended": row["came"]}, {"client_id": "e", "attended": True}]
            groups.append({"id": str(i), "attended_clients": came})
    attendance = pl.DataFrame(groups, schema=ATTENDANCE)
    reasons = pl.DataFrame(
        [(str(i), row["label"]) for i, row in enumerate(given_rows)],
        schema={"id": pl.String, "cancellation_reason_label": pl.String},
        orient="row",
    )
    return visits(
        pl.DataFrame(made, schema=APPOINTMENTS),
        zone="America/Chicago",
        attendance=attendance,
        roles=ROLES,
        cancellation_reasons=reasons,
    )


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    yield (made := Oracle(tmp_path_factory.mktemp("oracle"), BASE))
    made.connection.close()


def is_computable(world: pl.DataFrame) -> bool:
    """as_of before every visit is refused, and so has no answer to compare."""
    return world.is_empty() or world["date"].min() <= date.fromisoformat(AS_OF)  # type: ignore[operator]


def nulls_last(columns: list[str]) -> str:
    return ", ".join(f"{column} nulls last" for column in columns)


UNITS = {
    "client visits": ("status", "p", "count(*)"),
    "appointments": ("own", "p", "count(distinct appointment_id)"),
    "provider hours": (
        "own",
        """(select {period}, {columns}, max(minutes) m from p
            group by {period}, {columns}, starts_at, coalesce(provider_id, appointment_id))""",
        "coalesce(sum(m), 0) / 60",
    ),
}


@pytest.mark.parametrize(
    ("unit", "every", "by"),
    [
        *zip(UNITS, ("week", "month", "quarter"), [["provider_id", "status"]] * 3, strict=True),
        *zip(UNITS, ["month"] * 3, [["appointment_type_id"], ["role", "status"], ["role", "modality"]], strict=True),
    ],
)
@on_worlds
@given(worlds)
def test_counts(oracle: Oracle, unit: Any, every: Any, by: list[str], given_rows: list[dict[str, Any]]) -> None:
    world = world_of(given_rows)
    if not is_computable(world):
        return
    words: Any = [{column: word for word, column in COLUMNS.items()}[column] for column in by]
    ours = oracle.everywhere(world, lambda v: volume.counts(v, as_of=AS_OF, every=every, by=words, unit=unit))
    status, source, count = UNITS[unit]
    columns = ", ".join(f"{status} status" if column == "status" else column for column in by)
    source = source.format(period=every, columns=", ".join(status if column == "status" else column for column in by))
    keys = ", ".join(by)
    same = " and ".join(f"t.{column} is not distinct from g.{column}" for column in by)
    back = {"week": "364 day", "month": "1 year", "quarter": "1 year"}[every]
    step = {"quarter": "3 month"}.get(every, f"1 {every}")
    theirs = oracle.rows(f"""
    , t as (select {every} period, {columns}, {count} n from {source} s group by all),
    x as (select (select min(period) from t) began),
    grid as (select * from
        (select cast(unnest(generate_series(began, date '{AS_OF}', interval {step})) as date) period from x),
        (select distinct {keys} from t), x),
    beside as (select g.period, {", ".join(f"g.{column}" for column in by)},
        coalesce((select any_value(n) from t where t.period = g.period and {same}), 0) n,
        case when g.period - interval {step} >= began then coalesce((select any_value(n) from t
           where t.period = g.period - interval {step} and {same}), 0) end before,
        case when g.period - interval {back} >= began then coalesce((select any_value(n) from t
           where t.period = g.period - interval {back} and {same}), 0) end last
      from grid g)
    select * from beside where n > 0 or before > 0 or last > 0 order by period, {nulls_last(by)}""")
    assert ours.select("period", *by, "count", "before", "last_year").rows() == theirs


MARKED = """
    , marked as (select *, status in ('occurred', 'checked_in') kept, status = 'no_show' missed,
        case late when 'status' then status = 'late_cancelled'
          else status in ('cancelled', 'late_cancelled') and by_notice end is_late
      from {source}, (values ('no-show', 0), ('lost', 1)) m(measure, rank), (values ('status'), ('notice')) l(late)
      where date >= date '2023-12-01')"""
DUE = "count(*) filter (kept or missed or is_late)"
MISSED = "count(*) filter (missed or (is_late and measure = 'lost'))"


def rates_in_sql(oracle: Oracle, keys: list[str], source: str = "cp") -> list[tuple[Any, ...]]:
    return oracle.rows(f"""{MARKED.format(source=source)}
    select {", ".join(keys)}, measure, late, count(distinct client_id) filter (kept or missed or is_late), {DUE},
        {MISSED}, count(*) filter (status = 'unrecorded')
    from marked group by {", ".join(keys)}, measure, rank, late order by {nulls_last(keys)}, rank, late desc""")


@pytest.mark.parametrize("by", [[], ["first visit"], ["provider", "modality"]])
@on_worlds
@given(worlds)
def test_rates(oracle: Oracle, by: Any, given_rows: list[dict[str, Any]]) -> None:
    world = world_of(given_rows)
    if not is_computable(world):
        return
    ours = oracle.everywhere(world, lambda v: volume.rates(v, as_of=AS_OF, every="month", by=by, since="2023-12-01"))
    keys = ["month", *({"first visit": "first"}.get(name) or COLUMNS[name] for name in by)]
    names = ["period", *(COLUMNS[name] for name in by)]
    assert ours.select(*names, *RATES).rows() == rates_in_sql(oracle, keys)
    some = ours.filter(pl.col("due") > 0)
    slices = [*names, "measure", "late"]
    counted = {"client_id": pl.String, "due": pl.Int64, "missed": pl.Int64}
    per_client = oracle.rows(f"""{MARKED.format(source="cp")}
    select {", ".join(keys)}, measure, late, client_id, {DUE}, {MISSED}
    from marked where kept or missed or is_late group by all""")
    schema = {name: ours.schema[name] for name in slices} | counted
    robust = clustered(pl.DataFrame(per_client, schema=schema, orient="row"), by=slices, hits="missed", of="due")
    assert_frame_equal(
        some.select(*slices, "design_effect", low="robust_low", high="robust_high"),
        robust.select(*slices, "design_effect", "low", "high"),
        check_row_order=False,
    )
    assert (some["robust_low"] <= some["low"] + 1e-12).all()
    assert (some["if_kept"] <= some["rate"]).all()
    assert (some["if_missed"] >= some["rate"]).all()


@on_worlds
@given(worlds)
def test_first_visits_are_told_of_those_alone_whose_history_is_whole(
    oracle: Oracle, given_rows: list[dict[str, Any]]
) -> None:
    world = world_of(given_rows)
    if not is_computable(world):
        return
    known: dict[str, Any] = {"history_from": "2023-12-31", "clients": PEOPLE}
    options: dict[str, Any] = {"as_of": AS_OF, "by": ["first visit"], "since": "2023-12-01"}
    ours = oracle.everywhere(world, lambda v: volume.rates(v, every="month", **options, **known))
    oracle.table("people", PEOPLE)
    source = """(select * replace (case when client_id in (select id from people where created_at >= '2023-12-31')
        and (select min(date) from c where c.client_id = cp.client_id) >= '2023-12-31' then first end as first)
        from cp)"""
    assert ours.select("period", "is_first", *RATES).rows() == rates_in_sql(oracle, ["month", "first"], source)


@on_worlds
@given(worlds)
def test_funnel_plot(oracle: Oracle, given_rows: list[dict[str, Any]]) -> None:
    world = world_of(given_rows)
    if not is_computable(world):
        return
    options: dict[str, Any] = {"as_of": AS_OF, "since": "2023-12-01"}
    ours = oracle.everywhere(world, lambda v: volume.funnel_plot(v, measure="lost", late="notice", **options))
    counted = ours.select("provider_id", "due", "missed", pl.col("rate", "overall").round(9))
    assert counted.rows() == oracle.rows(f"""{MARKED.format(source="cp")},
    each as (select provider_id, {DUE} due, {MISSED} missed from marked
        where measure = 'lost' and late = 'notice' group by provider_id having due > 0)
    select *, round(missed / due, 9), round(sum(missed) over () / sum(due) over (), 9) from each
    order by provider_id nulls last""")
    rates = volume.rates(world, by=["provider"], **options).filter(pl.col("due") > 0, measure="lost", late="notice")
    assert ours["design_effect"].to_list() == rates["design_effect"].to_list()


@pytest.mark.parametrize("by", [[], ["type"], ["role", "modality"]])
@on_worlds
@given(worlds)
def test_heat_and_lead(oracle: Oracle, by: Any, given_rows: list[dict[str, Any]]) -> None:
    world = world_of(given_rows)
    if not is_computable(world):
        return
    due = "status in ('occurred', 'checked_in', 'no_show', 'late_cancelled')"
    columns = [COLUMNS[name] for name in by]
    keys = "".join(f"{column}, " for column in columns)
    order = f"{nulls_last(columns)}, " if by else ""
    heat = oracle.everywhere(world, lambda v: volume.heat(v, as_of=AS_OF, by=by))
    assert heat.select(*columns, "weekday", "hour", "visits", "due", "missed").rows() == oracle.rows(f"""
    select {keys} weekday, hour, count(*), count(*) filter ({due}), count(*) filter (status = 'no_show')
    from cp where {due} or status = 'unrecorded' group by {keys} weekday, hour order by {order} weekday, hour""")
    lead = oracle.everywhere(world, lambda v: volume.lead(v, as_of=AS_OF, by=by))
    told = lead.select(*columns, "lead", "visits", "due", "missed", pl.col("share").round(9))
    partition = f"partition by {keys.removesuffix(', ')}" if by else ""
    assert told.rows() == oracle.rows(f"""
    , b as (select *, case when lead_days is null then 'not known' when lead_days <= 7 then 'up to 7 days'
             when lead_days <= 21 then 'over 7, up to 21 days' when lead_days <= 60 then 'over 21, up to 60 days'
             else 'over 60 days' end lead from cp)
    select {keys} lead, count(*), count(*) filter ({due}), count(*) filter (status = 'no_show'),
        round(count(*) / sum(count(*)) over ({partition}), 9)
    from b where {due} or status = 'unrecorded' group by {keys} lead order by {order} min(lead_days) nulls last""")


@on_worlds
@given(worlds)
def test_cancellations_and_unmarked(oracle: Oracle, given_rows: list[dict[str, Any]]) -> None:
    world = world_of(given_rows)
    if not is_computable(world):
        return
    called_off = oracle.everywhere(world, lambda v: volume.cancellations(v, as_of=AS_OF, by=["provider"]))
    columns = ("period", "provider_id", "cancelled_by", "cancellation_reason", "notice", "cancellations")
    columns = (*columns, "late_by_status", "visits")
    assert called_off.select(columns).rows() == oracle.rows("""
    , b as (select *, case when notice_hours is null then '9 not known' when notice_hours < 0 then '4 after it began'
        when notice_hours < 24 then '3 under 24 hours' when notice_hours < 48 then '2 24 to 48 hours'
        else '1 over 48 hours' end bucket, count(*) over (partition by month, provider_id) visits from cp)
    select month, provider_id, cancelled_by, cancellation_reason, bucket[3:], count(*),
        count(*) filter (status = 'late_cancelled'), visits
    from b where status in ('cancelled', 'late_cancelled')
    group by month, provider_id, cancelled_by, cancellation_reason, bucket, visits
    order by month, provider_id nulls last, cancelled_by nulls last, cancellation_reason nulls last, bucket""")
    for told, column in (("who", "cancelled_by"), ("why", "cancellation_reason"), ("how late", "notice")):
        one = volume.cancellations(world, as_of=AS_OF, by=["provider"], told=[told])  # type: ignore[list-item]
        own = ["period", "provider_id", column, "visits"]
        both = [t.group_by(own).agg(pl.sum("cancellations", "late_by_status")) for t in (called_off, one)]
        assert both[0].sort(own).equals(both[1].sort(own))
        assert one.height == both[1].height
    unmarked = oracle.everywhere(world, lambda v: volume.unmarked(v, as_of=AS_OF))
    bounds = [proportion_confint(*row, method="wilson") for row in unmarked.select("unmarked", "visits").rows()]
    assert unmarked["low"].to_list() == pytest.approx([low for low, _ in bounds])
    assert unmarked["high"].to_list() == pytest.approx([high for _, high in bounds])
    assert unmarked["few"].to_list() == (unmarked["visits"] < 30).to_list()
    assert unmarked.select("provider_id", "age", "unmarked", "oldest", "visits").rows() == oracle.rows(f"""
    , a as (select *, date '{AS_OF}' - date age, case when age <= 2 then '0-2 days' when age <= 7 then '3-7 days'
        when age <= 30 then '8-30 days' when age <= 90 then '31-90 days' else 'over 90 days' end bracket from p)
    select provider_id, bracket, count(*) filter (status = 'unrecorded') n,
        min(date) filter (status = 'unrecorded'), count(*)
    from a group by provider_id, bracket having n > 0 order by provider_id nulls last, min(age)""")


@on_worlds
@given(worlds)
def test_booking_curve(oracle: Oracle, given_rows: list[dict[str, Any]]) -> None:
    world = world_of(given_rows)
    if not is_computable(world):
        return
    curve = oracle.everywhere(world, lambda v: volume.booking_curve(v, as_of=AS_OF, weeks=2, earlier=5))
    off = "status in ('cancelled', 'late_cancelled', 'rescheduled')"
    stood = f"""
    , cells as (select ahead, back, date '{AS_OF}' - 7 * back seen_on, seen_on + 7 * ahead - 6 begins
        from (select unnest([1, 2]) ahead), (select cast(unnest(range(6)) as integer) back))
    , stood as (select ahead, back, seen_on, begins, begins + 6 ends,
      (select count(*) from c where date between begins and begins + 6 and booked_local < seen_on + interval 1 day
        and (not {off} or changed_local >= seen_on + interval 1 day)) booked,
      case when begins + 6 <= date '{AS_OF}' then
        (select count(*) from c where date between begins and begins + 6 and not {off}) end final
    from cells where back = 0 or begins >= (select min(date) from c))"""
    assert curve.rows() == oracle.rows(f"{stood} from stood order by all")
    now = oracle.everywhere(world, lambda v: volume.booked(v, as_of=AS_OF, weeks=2, earlier=5))
    assert now.rows() == oracle.rows(f"""{stood}
    select ahead, max(begins) filter (back = 0), max(ends) filter (back = 0), max(booked) filter (back = 0),
      median(booked) filter (back > 0), min(booked) filter (back > 0), max(booked) filter (back > 0),
      count(*) filter (back > 0), median(final) filter (back > 0)
    from stood group by ahead order by ahead""")


@on_worlds
@given(worlds)
def test_rebooked_and_panel(oracle: Oracle, given_rows: list[dict[str, Any]]) -> None:
    world = world_of(given_rows)
    if not is_computable(world):
        return
    again = oracle.everywhere(world, lambda v: volume.rebooked(v, as_of=AS_OF, within_days=5, by=["provider"]))
    assert again.select("period", "provider_id", "clients", "visits", "rebooked").rows() == oracle.rows(f"""
    , judged as (select *, exists (from c n where n.client_id = cp.client_id and n.date > cp.date
          and n.booked_at < cp.starts_at + interval 5 day
          and (n.status not in ('cancelled', 'late_cancelled', 'rescheduled')
               or n.status_changed_at >= cp.starts_at + interval 5 day)) again
        from cp where status = 'occurred' and date <= date '{AS_OF}' - 5)
    select month, provider_id, count(distinct client_id), count(*), count(*) filter (again) from judged
    group by all order by month, provider_id nulls last""")
    for every, by in [
        ("week", []),
        ("month", []),
        ("quarter", []),
        ("month", ["role", "modality"]),
        ("week", ["type"]),
    ]:
        options: dict[str, Any] = {"as_of": AS_OF, "every": every, "by": by}
        panel = oracle.everywhere(world, lambda v, options=options: volume.panel(v, **options))  # type: ignore[misc]
        columns = [COLUMNS[name] for name in by]
        step = {"quarter": "3 month"}.get(every, f"1 {every}")
        assert panel.select("period", "until", *columns, "clients").rows() == oracle.rows(f"""
        , o as (from cp where status = 'occurred'),
        periods as (select cast(unnest(generate_series(min({every}), date '{AS_OF}', interval {step})) as date) period
                    from o),
        ends as (select period, least(cast(period + interval {step} as date) - 1, date '{AS_OF}') until from periods)
        select period, until, {"".join(f"{column}, " for column in columns)} count(distinct client_id)
        from ends {"" if by else "left"} join o on date between until - 89 and until
        group by all order by period {"".join(f", {column} nulls last" for column in columns)}""")


def test_session_counts_once_and_its_hours_too() -> None:
    came = [{"client_id": "a", "attended": True}, {"client_id": "b", "attended": False}]
    group = pl.DataFrame([{"id": "1", "attended_clients": came}], schema=ATTENDANCE)
    booked = {"id": "1", "starts_at": datetime(2026, 1, 5, 15, tzinfo=UTC), "minutes": 90, "status": "Occurred"}
    world = visits(pl.DataFrame([booked], schema=APPOINTMENTS), zone="UTC", attendance=group)
    units = {unit: volume.counts(world, as_of="2026-01-31", by=[], unit=unit)["count"].item() for unit in UNITS}  # type: ignore[arg-type]
    assert units == {"client visits": 2, "appointments": 1, "provider hours": 1.5}


def test_many_visits_are_counted_year_by_year_to_the_same_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    days = ["2024-12-31", "2025-01-01", "2025-06-30", "2026-01-01"]
    asked: Any = {"as_of": "2026-01-31", "by": ["provider"], "unit": "provider hours"}
    world = example({"a": days, "b": days}).with_columns(minutes=pl.lit(30, pl.Int64))
    at_once = volume.counts(world, **asked)
    assert at_once["count"].sum() == 4
    monkeypatch.setattr(engines, "AT_ONCE", 1)
    assert len(engines.by_year(engines.reducible(world))) == 3
    assert_frame_equal(volume.counts(world, **asked), at_once)


def test_hours_that_two_lead_count_once_and_those_of_two_providers_each() -> None:
    """A session that Ada leads with Bob is listed as hers alone; another row of hers at that minute adds nothing."""
    at = datetime(2026, 1, 5, 15, tzinfo=UTC)
    rows = [("1", "ada", at, 90), ("2", "ada", at, 60), ("3", "bob", at, 60), ("4", "ada", at + timedelta(hours=2), 30)]
    booked = [
        {"id": key, "provider_id": who, "starts_at": start, "minutes": minutes, "client_id": key, "status": "Occurred"}
        for key, who, start, minutes in rows
    ]
    world = visits(pl.DataFrame(booked, schema=APPOINTMENTS), zone="UTC")
    table = volume.counts(world, as_of="2026-01-31", by=["provider"], unit="provider hours")
    assert table.select("provider_id", "count").rows() == [("ada", 2.0), ("bob", 1.0)]


def test_working_days_leave_out_days_off_and_days_to_come() -> None:
    table = volume.counts(
        example({"a": ["2026-06-10", "2026-07-01"]}), as_of="2026-07-06", by=[], days_off=[date(2026, 7, 3)]
    )
    assert table["working_days"].to_list() == [22, 3]
    assert table["is_open"].to_list() == [False, True]


def test_what_is_gone_shows_beside_what_was() -> None:
    table = volume.counts(example({"a": ["2026-01-05 No-Show", "2026-02-05"]}), as_of="2026-02-28")
    gone = table.filter(period=date(2026, 2, 1), status="no_show")
    assert gone.select("count", "before").row(0) == (0, 1)


def test_first_visits_of_the_unknown_are_not_told() -> None:
    people = pl.DataFrame(
        {"id": ["old", "new"], "created_at": [datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)]}
    )
    seen = example({"old": ["2026-01-05"], "new": ["2026-01-06", "2026-01-07"]})
    table = volume.rates(seen, as_of="2026-01-31", by=["first visit"], history_from="2026-01-01", clients=people)
    assert table.filter(measure="no-show", late="status").select("is_first", "due").rows() == [
        (False, 1),
        (True, 1),
        (None, 1),
    ]


def test_funnel_plot_names_who_is_beyond_chance() -> None:
    def days(status: str, of: int) -> list[str]:
        return [f"2026-0{1 + k % 6}-{1 + k // 6:02} {status}".strip() for k in range(of)]

    bad = example({"a": days("No-Show", 60)}).with_columns(provider_id=pl.lit("bad"))
    good = example({"b": days("", 120)}).with_columns(provider_id=pl.lit("good"))
    table = volume.funnel_plot(pl.concat([bad, good]), as_of="2026-06-30")
    assert dict(table.select("provider_id", "standing").rows()) == {"bad": "above 99.8 %", "good": "below 99.8 %"}
    assert table["overall"].unique().to_list() == pytest.approx([1 / 3])


BAD: dict[str, Callable[[pl.DataFrame], object]] = {
    "unit is 'hours'; allowed are 'appointments', 'client visits', 'provider hours'": lambda v: volume.counts(
        v,
        as_of=AS_OF,
        unit="hours",  # type: ignore[arg-type]
    ),
    "every is 'year'; allowed are 'week', 'month', 'quarter'": lambda v: volume.counts(v, as_of=AS_OF, every="year"),  # type: ignore[arg-type]
    "by is 'colour'; allowed are 'provider', 'type'": lambda v: volume.rates(v, as_of=AS_OF, by=["colour"]),  # type: ignore[list-item]
    "by is 'role': give a list of": lambda v: volume.rates(v, as_of=AS_OF, by="role"),
    "measure is 'x'; allowed are 'no-show', 'lost'": lambda v: volume.funnel_plot(v, as_of=AS_OF, measure="x"),  # type: ignore[arg-type]
    "the first visit is on 2024-01-05": lambda v: volume.counts(v, as_of="2024-01-04"),
    "these visits lack late_by_notice: make them with visits": lambda v: volume.rates(
        v.drop("late_by_notice"), as_of=AS_OF
    ),
    "up_to is": lambda v: volume.lead(v, as_of=AS_OF, up_to=[7, 7]),
    "within_days is 0": lambda v: volume.rebooked(v, as_of=AS_OF, within_days=0),
    "weeks is 0": lambda v: volume.booked(v, as_of=AS_OF, weeks=0),
    "told is 'whom'; allowed are 'who', 'why', 'how late'": lambda v: volume.cancellations(
        v,
        as_of=AS_OF,
        told=["whom"],  # type: ignore[list-item]
    ),
    "days is 0": lambda v: volume.panel(v, as_of=AS_OF, days=0),
    "history_from tells old clients from new": lambda v: volume.rates(
        v, as_of=AS_OF, by=["first visit"], history_from="2024-01-01"
    ),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_says_what_is_allowed(message: str) -> None:
    with pytest.raises(MetricError, match=message):
        BAD[message](example({"a": ["2024-01-05"]}))


def one_to_one(world: World) -> pl.DataFrame:
    """The world's appointments as the query gives them."""
    names = {"status_at": "status_changed_at", "contact_type": "modality", "type_id": "appointment_type_id"}
    names |= {"reason_type": "cancellation_reason_type", "series": "recurring_id"}
    kept = world.appointments.filter(pl.col("deleted_at").is_null(), ~pl.col("is_block"), ~pl.col("is_synced"))
    return kept.rename(names)


def test_known_no_show_probability_is_inside_the_interval_95_times_in_100(record_property: Any) -> None:
    roles = pl.DataFrame([{"appointment_type_id": one.id, "role": one.role} for one in truth.TYPES])
    held = robust = 0
    seeds = range(16)
    for seed in seeds:
        rows = one_to_one(World(seed=seed, clients=60))
        seen = visits(rows.select(APPOINTMENTS.names()), zone=truth.ZONE, roles=roles)
        table = volume.rates(seen, as_of="2026-06-15", since="2025-01-01").row(0, named=True)
        is_due = pl.col("status").is_in(["Occurred", "Checked-In", "No-Show", "Late Cancellation"])
        clinical = pl.col("appointment_type_id").is_in([one.id for one in truth.TYPES if one.drop_out is not None])
        days = pl.col("starts_at").dt.convert_time_zone(truth.ZONE).dt.date()
        due = rows.filter(is_due, clinical, ~pl.col("is_group"), days.is_between(date(2025, 1, 1), date(2026, 6, 15)))
        assert due.height == table["due"]
        known = due["no_show_probability"].mean()
        assert isinstance(known, float)
        held += table["low"] <= known <= table["high"]
        robust += table["robust_low"] <= known <= table["robust_high"]
    record_property("covered", held / len(seeds))
    record_property("covered_robust", robust / len(seeds))
    assert held / len(seeds) >= 0.85
    assert robust >= held


SPAN = {"start": "2025-01-06", "end": "2026-06-30"}


def totals(practice: Practice) -> dict[str, Any]:
    return {
        "summary": practice.load("appointments_summary", range_start=SPAN["start"], range_end=SPAN["end"]),
        "providers": practice.load("providers"),
        "appointment_types": practice.load("appointment_types"),
        "zone": practice.zone,
        **SPAN,
    }


@pytest.mark.parametrize("side", ["provider", "type", "day"])
def test_appointments_equal_healthies_own_totals(practice: Practice, side: Any) -> None:
    table = volume.reconcile(practice.load("appointments", **SPAN), side=side, **totals(practice))
    assert table["difference"].abs().sum() == 0
    assert table["reason"].null_count() == table.height
    assert table["ours"].sum() == totals(practice)["summary"]["total_count"].item() > 1_000


def test_differences_come_with_a_likely_reason(practice: Practice) -> None:
    rows, given_totals = practice.load("appointments", **SPAN), totals(practice)
    fewer = volume.reconcile(rows.filter(pl.col("id") != rows["id"][0]), **given_totals)
    assert fewer["difference"].sum() == -1
    assert fewer["reason"].drop_nulls().to_list() == ["added since it was loaded, or rows that this key may not see"]
    marked = rows.with_columns(
        status=pl.when(pl.col("id") == rows.filter(status="Occurred")["id"][0]).then(None).otherwise("status")
    )
    assert set(volume.reconcile(marked, **given_totals)["reason"].drop_nulls()) == {
        "same total, other status: marked since one of the two was made"
    }
    renamed = given_totals | {
        "providers": given_totals["providers"].with_columns(
            name=pl.col("name").replace({"Avery Lindqvist": "Bilal Okonkwo"})
        )
    }
    table = volume.reconcile(rows, **renamed)
    assert table.filter(name="Bilal Okonkwo")["ids"].unique().to_list() == [2]
    assert table.filter(name="Avery Lindqvist")["reason"].unique().to_list() == [
        "not among our names: renamed since, left, or a name this key may not see"
    ]


@pytest.mark.parametrize(
    ("provider", "status", "theirs", "reason"),
    [
        ("p", "Occurred", {"count_occurred": 0}, "several share this name: one of them may be left out of Healthie's"),
        ("gone", "Occurred", {"count_occurred": 0}, "no name for this id: load providers and appointment types again"),
        ("r", "Waitlisted", {"count_occurred": 0}, "a status that Healthie's totals do not know"),
        ("r", "Occurred", {"count_occurred": 0}, "deleted, or moved out of these days, since it was loaded"),
        ("r", "Occurred", {"count_occurred": 2}, "added since it was loaded, or rows that this key may not see"),
        ("r", "Occurred", {"count_noshow": 1}, "same total, other status: marked since one of the two was made"),
    ],
)
def test_each_difference_has_its_own_reason(provider: str, status: str, theirs: dict[str, int], reason: str) -> None:
    """Ada is the name of p and q, Bob of r; of the one called gone there is none."""
    noon = datetime(2026, 3, 9, 12, tzinfo=UTC)
    booked = [{"id": "1", "status": status, "provider_id": provider, "starts_at": noon}]
    names = pl.DataFrame({"id": ["p", "q", "r"], "name": ["Ada", "Ada", "Bob"]})
    counted = [{"name": "Bob" if provider == "r" else "Ada", "days": [dict.fromkeys(COUNTS, 0) | theirs]}]
    empty = {"cache_generation_in_progress": False, "total_count": 1, "by_day": [], "by_type": []}
    days: dict[str, Any] = {"start": "2026-03-09", "end": "2026-03-09", "zone": "UTC"}
    summary = pl.DataFrame([empty | {"by_provider": counted}])
    rows = pl.DataFrame(booked, schema=APPOINTMENTS)
    table = volume.reconcile(rows, summary, providers=names, appointment_types=names, **days)
    told = table.filter(pl.col("ours") > 0)["reason"].item()
    assert told.startswith(reason)


def test_totals_still_being_made_are_not_compared(small_world: World, practice_at: Callable[..., Practice]) -> None:
    with serving(small_world, Behaviour(rate=None, summary_in_progress=True)) as served:
        practice = practice_at(served)
        table = volume.reconcile(practice.load("appointments", **SPAN), **totals(practice))
    assert table["theirs"].null_count() == table.height > 0
    assert table["reason"].unique().to_list() == ["Healthie is still making its totals: ask again in some minutes"]


def test_totals_of_an_unknown_zone_are_refused(practice: Practice) -> None:
    rows, given_totals = practice.load("appointments", **SPAN), totals(practice)
    with pytest.raises(MetricError, match="unknown time zone 'Mars': give an IANA name"):
        volume.reconcile(rows, **{**given_totals, "zone": "Mars"})


def test_summary_without_its_lists_names_the_query(practice: Practice) -> None:
    given_totals = totals(practice)
    given_totals["summary"] = given_totals["summary"].drop("by_type")
    with pytest.raises(MetricError, match=r"lack by_type: queries/appointments_summary\.graphql"):
        volume.reconcile(practice.load("appointments", **SPAN), **given_totals)
