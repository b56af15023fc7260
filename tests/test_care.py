from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from lifelines import KaplanMeierFitter
from lifelines.statistics import logrank_test
from scipy.stats import binom
from statsmodels.stats.proportion import proportion_confint

from healthie_nb.retention import (
    chance_limits,
    cohorts,
    definitions,
    flow,
    funnel,
    means,
    spells,
    states,
    survival,
    worklist,
)
from healthie_nb.roles import read
from healthie_nb.stats import kaplan_meier, logrank, median
from healthie_nb.visits import MetricError, example

KEY = b"kept with the store, never shown"


def clients(**columns: dict[str, Any]) -> pl.DataFrame:
    blank = {"created_at": datetime(2026, 1, 1, tzinfo=UTC), "is_active": True, "archived_at": None, "group_id": None}
    rows = [{"id": name} | blank | given for name, given in columns.items()]
    instant = pl.Datetime("us", "UTC")
    return pl.DataFrame(rows, schema_overrides={"created_at": instant, "archived_at": instant, "group_id": pl.String})


def programmes(one: str, kind: str) -> pl.DataFrame:
    return pl.DataFrame({"id": [one], "kind": [kind], "programme": ["12 visits"]})


def booked_on(rows: pl.DataFrame, day: str) -> pl.DataFrame:
    return rows.with_columns(booked_day=pl.lit(date.fromisoformat(day)).cast(pl.Int32))


def test_lapse_is_dated_when_the_gap_was_full() -> None:
    row = spells(example({"a": ["2026-01-01", "2026-02-01", "2026-06-01"]}), as_of="2026-06-30").row(0, named=True)
    assert (row["days"], row["ended"]) == (31 + 90, True)


@pytest.mark.parametrize(("as_of", "ended"), [("2026-04-01", False), ("2026-04-02", True)])
def test_gap_counts_once_it_is_longer(as_of: str, *, ended: bool) -> None:
    assert spells(example({"a": ["2026-01-01"]}), as_of=as_of)["ended"].item() is ended


@pytest.mark.parametrize(
    ("status", "booked", "ended"),
    [("Occurred", "2026-05-01", False), ("Occurred", "2026-07-02", True), ("Cancelled", "2026-05-01", True)],
)
def test_who_was_booked_at_the_time_had_not_lapsed(status: str, booked: str, *, ended: bool) -> None:
    rows = booked_on(example({"a": ["2026-01-01", f"2026-08-01 {status}"]}), booked)
    rows = rows.with_columns(changed_day=pl.lit(date(2026, 6, 1)).cast(pl.Int32))
    assert spells(rows, as_of="2026-06-30")["ended"].item() is ended


def test_booking_cancelled_later_still_stood() -> None:
    rows = booked_on(example({"a": ["2026-01-01", "2026-08-01 Cancelled"]}), "2026-05-01")
    rows = rows.with_columns(changed_day=pl.lit(date(2026, 7, 5)).cast(pl.Int32))
    assert spells(rows, as_of="2026-06-30")["ended"].item() is False


def random_practice(seed: int, *, hazard: float = 0.01, people: int = 150) -> pl.DataFrame:
    """Clients who come weekly until they stop, each day with the same small probability."""
    rng = np.random.default_rng(seed)
    days: dict[str, list[str]] = {}
    for client in range(people):
        first, stays = int(rng.integers(0, 400)), int(rng.geometric(hazard))
        days[str(client)] = [
            (date(2025, 1, 1) + timedelta(days=first + back)).isoformat() for back in range(0, stays, 7)
        ]
    return example(days)


def test_survival_is_lifelines_of_the_spells() -> None:
    rows = random_practice(1)
    times, curve = spells(rows, as_of="2026-01-31"), survival(rows, as_of="2026-01-31")
    fitted = KaplanMeierFitter().fit(times["days"].to_numpy(), times["ended"].to_numpy())
    assert curve["survival"].to_list() == pytest.approx(
        fitted.survival_function_at_times(curve["day"].to_list()).to_list()
    )
    assert median(curve)["median"].item() == fitted.median_survival_time_


def test_logrank_of_the_spells_is_lifelines() -> None:
    rows = random_practice(2).with_columns(
        modality=pl.when(pl.col("client_id").cast(pl.Int64) % 2 == 0).then(pl.lit("video")).otherwise(pl.lit("room"))
    )
    times = spells(rows, as_of="2026-01-31", split="modality")
    video, room = (times.filter(modality=name) for name in ("video", "room"))
    theirs = logrank_test(video["days"], room["days"], video["ended"], room["ended"])
    assert logrank(times, group="modality").row(0) == pytest.approx((theirs.test_statistic, theirs.p_value))
    curves = survival(rows, as_of="2026-01-31", split="modality")
    assert curves["modality"].unique().sort().to_list() == ["room", "video"]
    assert curves.filter(day=0)["at_risk"].sum() == times.height


def test_first_visit_splits_and_the_last_one_closes() -> None:
    """Newcomers are split by their first visit's provider; where they stand follows from their last visit."""
    visited = example({"a": ["2026-01-05", "2026-02-05", "2026-03-05"]}).with_columns(
        provider_id=pl.Series(["first", "between", "last"]), appointment_type_id=pl.Series(["start", "start", "close"])
    )
    until: dict[str, Any] = {"as_of": "2026-06-30"}
    assert cohorts(visited, **until, split="provider")["provider_id"].unique().to_list() == ["first"]
    assert spells(visited, **until, split="provider")["provider_id"].to_list() == ["first"]
    assert worklist(visited, **until, key=KEY)["provider_id"].to_list() == ["last"]
    closing = {kind: programmes(kind, "closing type") for kind in ("start", "close")}
    ended = {kind: states(visited, clients(a={}), **until, programmes=ids) for kind, ids in closing.items()}
    reasons = {kind: rows.filter(pl.col("clients") > 0)["reason"].to_list() for kind, rows in ended.items()}
    assert reasons == {"start": ["not seen"], "close": ["closing visit"]}


def test_survival_of_nobody_is_empty() -> None:
    nobody = example({"a": ["2026-01-01 No-Show"]})
    assert survival(nobody, as_of="2026-06-30").is_empty()
    assert survival(nobody, as_of="2026-06-30", split="provider").columns[0] == "provider_id"


def test_means_of_the_published_cohorts() -> None:
    ten = {f"a{i}": ["2026-01-05", *(["2026-02-20"] if i < 2 else [])] for i in range(10)}
    hundred = {f"b{i}": ["2026-02-05"] for i in range(100)}
    table = cohorts(example(ten | hundred), as_of="2026-12-31")
    row = means(table).row(0, named=True)
    assert (row["simple"], round(row["weighted"], 3), row["cohorts"]) == (0.1, 0.018, 2)


def test_means_leave_open_cells_out() -> None:
    table = cohorts(example({"a": ["2026-01-05", "2026-02-20"], "b": ["2026-05-05"]}), as_of="2026-06-30")
    assert means(table).select("cohorts", "weighted").row(0) == (1, 1.0)


def test_second_visits_by_provider_are_set_against_chance() -> None:
    """Those who came back in 45 days, of those who had 45 days; the client who has not is in neither number."""
    seen = {f"a{k}": ["2026-01-05", "2026-02-19"] for k in range(40)}
    few = {f"b{k}": ["2026-01-05", "2026-02-20"] for k in range(40)}
    late = {"c": ["2026-05-20", "2026-05-21"]}
    parts = [example(given).with_columns(provider_id=pl.lit(name)) for name, given in (("p", seen | late), ("q", few))]
    ids = pl.concat(parts).with_columns(appointment_id=pl.int_range(pl.len()).cast(pl.String))
    table = chance_limits(cohorts(ids, as_of="2026-06-30", brackets=[(1, 45)], split="provider"))
    assert table.select("provider_id", "eligible", "returned", "overall", "standing").rows() == [
        ("p", 40, 40, 0.5, "above 99.8 %"),
        ("q", 40, 0, 0.5, "below 99.8 %"),
    ]
    assert binom.cdf(table["high_95"][0] * 40 - 1, 40, 0.5) < 0.975 <= binom.cdf(table["high_95"][0] * 40, 40, 0.5)


@pytest.mark.parametrize(
    ("options", "says"), [({}, "are not split"), ({"split": "provider", "brackets": [(1, 45), (46, 90)]}, "several")]
)
def test_chance_is_asked_of_one_split_stretch(options: dict[str, Any], says: str) -> None:
    with pytest.raises(MetricError, match=says):
        chance_limits(cohorts(example({"a": ["2026-01-05"]}), as_of="2026-06-30", **options))


def test_sessions_give_the_published_shares() -> None:
    weekly = [(date(2026, 1, 5) + timedelta(days=7 * week)).isoformat() for week in range(10)]
    practice = {f"c{i}": weekly[: 8 if i < 80 else 5 if i < 92 else 3] for i in range(100)}
    row = definitions(example(practice), as_of="2026-12-31").row(1, named=True)
    assert (row["eligible"], row["rate"], row["lost"] / row["eligible"]) == (100, 0.8, 0.08)


def test_funnel_counts_who_had_the_time() -> None:
    rows = example({"a": ["2026-01-10", "2026-02-01"], "b": ["2026-01-20 Cancelled"], "late": ["2026-06-20"]})
    people = clients(a={}, b={}, c={}, late={"created_at": datetime(2026, 6, 15, tzinfo=UTC)})
    table = funnel(booked_on(rows, "2026-01-05"), people, as_of="2026-06-30")
    assert table.select("step", "clients", "before").rows() == [
        ("signed up", 3, 3),
        ("booked", 2, 3),
        ("first visit", 1, 2),
        ("second visit", 1, 1),
    ]
    assert table["median_days"].to_list() == [0, 4, 5, 22]
    assert table["too_recent"].to_list() == [1] * 4


@pytest.mark.parametrize(
    ("given", "state", "reason"),
    [
        ({}, "in care", "seen lately"),
        ({"is_active": False, "archived_at": datetime(2026, 6, 1, tzinfo=UTC)}, "unknown", "archived"),
        ({"is_active": False, "archived_at": datetime(2026, 7, 1, tzinfo=UTC)}, "in care", "seen lately"),
        ({"group_id": "done"}, "completed", "programme"),
    ],
)
def test_state_of_a_client_seen_lately(given: dict[str, Any], state: str, reason: str) -> None:
    table = states(
        example({"a": ["2026-05-20"]}), clients(a=given), as_of="2026-06-30", programmes=programmes("done", "group")
    )
    assert table.filter(pl.col("clients") > 0).select("state", "reason", "share").rows() == [(state, reason, 1.0)]


def test_file_of_programmes_tells_who_completed_care(tmp_path: Path) -> None:
    """One is in the group of those who finished; one had a closing visit, one a closing visit and booked again."""
    path = tmp_path / "programmes.csv"
    path.write_text("id,kind,programme\ndone,group,12 visits\nlast,closing type,12 visits\n", encoding="utf-8")
    days = {"finished": ["2026-01-05"], "closed": ["2026-02-05"], "again": ["2026-02-05", "2026-07-05"]}
    rows = booked_on(example(days), "2026-01-01")
    rows = rows.with_columns(appointment_type_id=pl.when(date=date(2026, 2, 5)).then(pl.lit("last")))
    people = clients(finished={"group_id": "done"}, closed={}, again={"group_id": "ongoing"})
    table = states(rows, people, as_of="2026-06-30", programmes=read(path, "programmes"))
    assert table.filter(pl.col("clients") > 0).select("state", "reason", "clients").rows() == [
        ("in care", "booked", 1),
        ("completed", "programme", 1),
        ("completed", "closing visit", 1),
    ]


def test_programme_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(MetricError, match="kind is 'club'; allowed are 'group', 'closing type'"):
        states(example({"a": ["2026-01-01"]}), clients(a={}), as_of="2026-06-30", programmes=programmes("1", "club"))


def test_share_of_a_state_has_wilsons_interval() -> None:
    rows = example({f"a{k}": ["2026-05-20"] for k in range(12)} | {f"b{k}": ["2026-01-05"] for k in range(28)})
    people = clients(**{name: {} for name in rows["client_id"]})
    for table, few in ((people, False), (people.head(29), True)):
        ours = states(rows, table, as_of="2026-06-30")
        theirs = [proportion_confint(count, table.height, method="wilson") for count in ours["clients"]]
        assert ours["low"].to_list() == pytest.approx([low for low, _ in theirs])
        assert ours["high"].to_list() == pytest.approx([high for _, high in theirs])
        assert ours["few"].to_list() == [few] * ours.height
    nobody = states(rows, people.clear(), as_of="2026-06-30")
    assert nobody.select(pl.col("share", "low", "high").is_null().all()).row(0) == (True, True, True)


def test_archived_after_lapsing_is_lapsed() -> None:
    archived = clients(a={"is_active": False, "archived_at": datetime(2026, 6, 1, tzinfo=UTC)}, b={})
    table = states(example({"a": ["2026-01-01"]}), archived, as_of="2026-06-30")
    assert table.filter(pl.col("clients") > 0).select("reason", "clients").rows() == [
        ("not seen", 1),
        ("no visit yet", 1),
    ]


def test_flow_shows_periods_without_anybody() -> None:
    table = flow(example({"a": ["2026-01-05", "2026-03-05"]}), as_of="2026-04-10")
    assert table["left"].to_list() == [0, 1, 0, 1]
    assert table["returned"].to_list() == [0, 0, 1, 0]
    assert table["is_open"].to_list() == [False, False, False, True]


def test_worklist_puts_the_unbooked_first() -> None:
    weekly = ["2026-05-01", "2026-05-08", "2026-05-15"]
    rows = booked_on(
        example({"booked": [*weekly, "2026-07-10"], "gone": weekly[:2], "fine": ["2026-06-25"]}), "2026-04-01"
    )
    table = worklist(rows, as_of="2026-06-30", key=KEY, usual_days=30, link="https://example.org/{client_id}/x")
    assert table.select("client_id", "cadence_days", "days_overdue", "next_booking", "link").rows() == [
        ("gone", 30.0, 23.0, None, "https://example.org/gone/x"),
        ("booked", 7.0, 39.0, date(2026, 7, 10), "https://example.org/booked/x"),
    ]
    assert table["pseudonym"].null_count() == 0


def test_link_without_a_place_for_the_client_is_refused() -> None:
    with pytest.raises(MetricError, match="where the client's id goes"):
        worklist(example({"a": ["2026-05-01"]}), as_of="2026-06-30", key=KEY, link="https://example.org")


@pytest.mark.parametrize("event", ["death"])
def test_unknown_event_lists_the_allowed_ones(event: Any) -> None:
    with pytest.raises(MetricError, match="event is 'death'; allowed are 'lapse', 'second visit'"):
        survival(example({"a": ["2026-05-01"]}), as_of="2026-06-30", event=event)


def test_roles_decide_what_is_clinical() -> None:
    rows = example({"a": ["2026-01-05", "2026-02-20"]})
    assert cohorts(rows, as_of="2026-06-30")["returned"].item() == 1
    named = rows.with_columns(role=pl.Series(["intake", "admin"]))
    assert cohorts(named, as_of="2026-06-30")["returned"].item() == 0


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (lambda table: means(table.drop("rate")), "cohorts lack rate: retention.cohorts gives them"),
        (lambda table: chance_limits(table.drop("label")), "cohorts lack label: retention.cohorts gives them"),
        (kaplan_meier, "spells lack days, ended: retention.spells gives them"),
        (lambda table: logrank(table, group="site"), "spells lack days, ended, site: retention.spells gives them"),
    ],
)
def test_missing_columns_of_a_table_name_the_metric_that_gives_it(asked: Any, says: str) -> None:
    table = cohorts(example({"a": ["2026-01-05"]}), as_of="2026-06-30", split="provider")
    with pytest.raises(MetricError, match=says):
        asked(table)
