"""Each view of forms is what the metric says: the lines it shows are run, and give the same rows."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import healthie_nb as hn
from healthie_nb import explore, parameters
from healthie_nb.practice import Practice
from healthie_nb.settings import Settings
from healthie_nb.slices import COLUMNS

if TYPE_CHECKING:
    from healthie_nb.demo import Served
    from healthie_nb.live import Explorer

NAME = "form_completion"
SHOWS = parameters.described(NAME)["show"].allowed
LOADED = ("clients", "providers", "appointment_types", "chart_notes", "filled_forms", "form_requests", "form_templates")
MARKS = {
    "targets": pl.DataFrame({"metric": ["notes signed"], "target": [0.9], "since": [date(2020, 1, 1)]}),
    "annotations": pl.DataFrame({"date": [date(2026, 6, 10)], "text": ["New templates"]}),
}
LISTS = ("overdue notes", "who lacks forms", "overdue")


@pytest.fixture(scope="module")
def known(notebook: dict[str, Any], served: Served, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the variables of this notebook, with a practice whose ledger saw 11 pulls in 40 days."""
    folder = tmp_path_factory.mktemp("ledger")
    practice = Practice(Settings(url=served.url, key=served.key, cache_dir=folder, data_dir=folder))
    requests = notebook["form_requests"].with_columns(n=pl.int_range(pl.len()) % 30)
    for day in range(0, 41, 4):
        seen_at = datetime(2026, 5, 1, 12, tzinfo=UTC) + timedelta(days=day)
        there = requests.filter(pl.col("n") // 2 <= day + 5)
        practice.ledger.record(
            there.with_columns(
                filled_form_is_finished=pl.col("n") + 12 < day,
                date_to_show=pl.lit(seen_at).cast(pl.Datetime("us", "UTC")),
            ),
            seen_at=seen_at,
        )
    roles = hn.roles.propose_form_roles(notebook["form_templates"])
    return {**notebook, "practice": practice, "history_from": "2023-07-01", "form_roles": roles}


def made(known: dict[str, Any], **settings: object) -> Explorer:
    given = parameters.settings(NAME, settings)
    rows = {name: known[name] for name in (*LOADED, "form_roles")}
    return explore.forms(known["practice"], known["visits"], given, **rows, **MARKS)


def reproduced(known: dict[str, Any], shown: Explorer) -> pl.DataFrame:
    variables = {**known, **MARKS}
    exec(shown.answer.code, variables)
    rows: pl.DataFrame = variables["rows"]
    return rows


@pytest.mark.parametrize("is_filtered", [False, True], ids=["as it starts", "filtered"])
@pytest.mark.parametrize("show", SHOWS)
def test_lines_of_every_view_give_its_rows(known: dict[str, Any], show: str, *, is_filtered: bool) -> None:
    shown = made(known, show=show)
    if is_filtered:
        providers = list(shown.controls["provider_ids"].names)[:3]
        shown.set({"provider_ids": providers, "roles": ["intake", "follow-up"], "as_of": "2026-06-25",
                   "start": "2026-01-05", "within_hours": 24, "days_ahead": 14, "after_days": 60})  # fmt: skip
        forms = shown.rows["form_id"].unique().sort().to_list()[:1] if "form_id" in shown.rows.columns else []
        shown.set({"form_ids": forms})
    assert reproduced(known, shown).equals(shown.rows)
    assert not shown.rows.is_empty()
    assert "Demo practice: synthetic data" in repr(shown)


def test_targets_and_annotations_are_drawn(known: dict[str, Any]) -> None:
    shown = made(known, show="notes by week")
    assert shown.spec is not None
    assert [row["text"] for row in shown.spec["datasets"]["targets"]] == ["target 90%"]
    assert [row["text"] for row in shown.spec["datasets"]["annotations"]] == ["New templates"]
    assert "annotations" not in made(known, show="open notes").answer.code


@pytest.mark.parametrize("split", ["", "provider", "type", "role", "modality"])
def test_notes_are_split(known: dict[str, Any], split: str) -> None:
    shown = made(known, split=split, start="2026-04-01")
    assert reproduced(known, shown).equals(shown.rows)
    assert {name for name in COLUMNS.values() if name in shown.rows.columns} == ({COLUMNS[split]} if split else set())
    together = made(known, split="", start="2026-04-01").rows
    counts = ["appointments", "due", "signed", "late", "unsigned", "missing"]
    assert shown.rows.select(pl.col(counts).sum()).equals(together.select(counts))


@pytest.mark.parametrize("show", ["notes", "notes by week", "open notes", "overdue notes", "before the first visit"])
def test_impossible_days_are_refused_in_words(known: dict[str, Any], show: str) -> None:
    shown = made(known, show=show)
    shown.controls["end"].value = date(2026, 1, 1)
    assert repr(shown) == "The first day is after the last: exchange them."
    assert shown.rows.is_empty()
    assert "image/png" not in shown._repr_mimebundle_()


@pytest.mark.parametrize(
    ("show", "words"),
    [
        ("notes", "No visit took place on these days for appointment type "),
        ("notes by week", "No visit took place on these days for appointment type "),
        ("open notes", "No visit of these days lacks a signed note on 2026-06-30 for appointment type "),
        ("overdue notes", "No note of these days is overdue by 72 hours on 2026-06-30 for appointment type "),
        ("coming visits", "Nobody comes in the 7 days after 2026-06-30 for appointment type "),
        ("who lacks forms", "Nobody comes in the 7 days after 2026-06-30 for appointment type "),
        ("measures", "No outcome measure is due of new clients for appointment type "),
    ],
)
def test_view_of_nobody_says_so_in_words(known: dict[str, Any], show: str, words: str) -> None:
    """Nobody is seen in an intake group."""
    group = known["appointment_types"].filter("is_group")["id"].to_list()
    shown = made(known, show=show, appointment_type_ids=group, roles=["intake"])
    assert repr(shown).startswith(words)
    assert repr(shown).endswith("Widen the days, choose more, or reset.")


def test_other_views_of_nothing_say_so_in_words(known: dict[str, Any]) -> None:
    shown = made(known, show="before the first visit")
    shown.controls["start"].value = date(2022, 1, 1)
    shown.controls["end"].value = date(2022, 3, 1)
    assert repr(shown).startswith("No first visit was scheduled in these months.")
    early = made(known, show="overdue", after_days=365, as_of="2023-08-01", start="2023-07-01", end="2023-07-31")
    assert repr(early).startswith("No form is overdue by more than 365 days on 2023-08-01.")


def test_times_to_completion_wait_for_the_ledger(known: dict[str, Any]) -> None:
    shown = made(known, show="time to complete")
    assert shown.spec is not None
    shown.controls["as_of"].value = date(2026, 5, 20)
    assert repr(shown).startswith("No times yet: the ledger spans 16 days in 5 pulls; times to completion need 28")
    assert shown.spec is None


@pytest.mark.parametrize("show", LISTS)
def test_lists_lead_to_the_charts_in_healthie_on_the_page_alone(known: dict[str, Any], show: str) -> None:
    shown = made(known, show=show)
    named = shown.rows.head(100)["client_id"].drop_nulls().to_list()
    assert re.findall(r'href="https://secure\.gethealthie\.com/users/(\d+)"', shown._table.html) == named
    assert len(named) > min(shown.rows.height, 100) / 2  # the others are of group sessions
    assert "gethealthie" not in repr(shown) + str(shown._repr_mimebundle_())
    assert not {*shown.rows["client_id"]} & {*repr(shown).split()}


@pytest.mark.parametrize("hours", [24, 72])
def test_overdue_notes_are_those_that_notes_counts_as_unsigned_or_missing(known: dict[str, Any], hours: int) -> None:
    settings = {"within_hours": hours, "start": "2026-01-01", "split": "provider"}
    counted, listed = (made(known, show=show, **settings).rows for show in ("notes", "overdue notes"))
    by_provider = listed.group_by("provider_id").agg(
        unsigned=pl.col("has_note").sum(), missing=pl.col("has_note").not_().sum()
    )
    theirs = counted.filter(pl.col("unsigned") + pl.col("missing") > 0).select("provider_id", "unsigned", "missing")
    assert_frame_equal(theirs, by_provider, check_row_order=False, check_dtypes=False)
    assert listed["is_group"].any()
    assert listed["appointment_id"].is_unique().all()


def test_who_lacks_forms_is_who_is_coming_and_not_ready(known: dict[str, Any]) -> None:
    coming, lacking = (made(known, show=show, days_ahead=14).rows for show in ("coming visits", "who lacks forms"))
    assert {*lacking["appointment_id"]} == {*coming.filter(~pl.col("is_ready"))["appointment_id"]}


def test_requests_of_one_form_are_listed_by_sender(known: dict[str, Any]) -> None:
    shown = made(known, show="requests")
    assert shown.rows["form_id"].n_unique() > 1
    shown.set({"form_ids": shown.rows["form_id"].head(1).to_list()})
    senders = {*shown.rows["sender_id"]}
    assert repr(shown).count("\n") == 3 + len(senders)
    assert all(shown.names["sender_id"][sender] in repr(shown) for sender in senders)


def test_every_setting_of_a_view_is_a_parameter(known: dict[str, Any]) -> None:
    settings = made(known).settings
    assert parameters.checked(NAME, settings) == settings
    assert {*parameters.described(NAME)} - {*settings} == {"history_from", "history_until", "view"}
