"""Each view of visits is what the metric says: the lines it shows are run, and give the same rows."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from healthie_nb import explore, parameters
from healthie_nb.slices import COLUMNS

if TYPE_CHECKING:
    from healthie_nb.live import Explorer

NAME = "appointment_volume"
SHOWS = parameters.described(NAME)["show"].allowed
SPLIT = ("visits", "per working day", "missed", "cancelled", "lead", "rebooked", "clients")
COUNTS = ("visits", "per working day")
BY_DAY = [show for show in SHOWS if show not in ("unmarked", "booked", "booking curve")]
TARGETS = pl.DataFrame({"metric": ["lost"], "target": [0.1], "since": [date(2026, 1, 1)]})
MARKS = {
    "targets": TARGETS,
    "annotations": pl.DataFrame({"date": [date(2026, 5, 25)], "text": ["Memorial Day"]}),
    "days_off": [date(2026, 5, 25)],
}


def made(notebook: dict[str, Any], **settings: object) -> Explorer:
    given = parameters.settings(NAME, settings)
    known = {key: notebook[key] for key in ("clients", "providers", "appointment_types")}
    return explore.volume(notebook["practice"], notebook["visits"], given, **known, **MARKS)


@pytest.fixture(scope="module")
def kept(notebook: dict[str, Any]) -> Explorer:
    return made(notebook)


@pytest.fixture
def shown(kept: Explorer) -> Explorer:
    """Return the explorer as it starts; to make one for each test takes longer than the tests."""
    kept.reset()
    return kept


def reproduced(notebook: dict[str, Any], shown: Explorer) -> pl.DataFrame:
    variables = {**notebook, "history_from": "2023-07-01", **MARKS}
    exec(shown.answer.code, variables)
    rows: pl.DataFrame = variables["rows"]
    return rows


@pytest.mark.parametrize("is_filtered", [False, True], ids=["as it starts", "filtered"])
@pytest.mark.parametrize("show", SHOWS)
def test_lines_of_every_view_give_its_rows(
    notebook: dict[str, Any], shown: Explorer, show: str, *, is_filtered: bool
) -> None:
    shown.set({"show": show})
    if is_filtered:
        some = list(shown.controls["provider_ids"].names)[:2]
        shown.set({"provider_ids": some, "roles": ["intake", "follow-up"], "as_of": "2026-06-20", "every": "month",
                   "start": "2026-01-01", "measure": "no-show", "late": "notice", "unit": "appointments",
                   "compare_to": "period before", "weeks_ahead": 2})  # fmt: skip
    assert reproduced(notebook, shown).equals(shown.rows)
    assert not shown.rows.is_empty()
    assert "Demo practice: synthetic data" in repr(shown)


@pytest.mark.parametrize("split", ["", "provider", "modality"])
@pytest.mark.parametrize("show", SPLIT)
def test_lines_of_a_split_view_give_its_rows(notebook: dict[str, Any], shown: Explorer, show: str, split: str) -> None:
    shown.set({"show": show, "split": split, "every": "month"})
    assert reproduced(notebook, shown).equals(shown.rows)
    by = split or ("status" if show in COUNTS else "")
    assert by == "" or shown.rows[COLUMNS[by]].n_unique() > 1
    assert {name for name in COLUMNS.values() if name in shown.rows.columns} == ({COLUMNS[by]} if by else set())


@pytest.mark.parametrize("show", SPLIT)
def test_control_says_by_what_a_view_is_split_when_nothing_was_chosen(shown: Explorer, show: str) -> None:
    shown.set({"show": show})
    control = shown.controls["split"]
    assert next(iter(control.options)) == ("status" if show in COUNTS else "nothing", "")
    assert (control.label, shown.settings["split"]) == ("status" if show in COUNTS else "nothing", "")
    assert ("status" in shown.rows.columns) is (show in COUNTS)


def test_split_that_was_chosen_stays_from_view_to_view_and_is_saved_and_told_alike(shown: Explorer) -> None:
    shown.set({"show": "visits", "split": "modality"})
    for show in ("missed", "unmarked", "per working day"):
        shown.controls["show"].value = show
        assert (shown.controls["split"].label, shown.settings["split"]) == ("modality", "modality")
    assert 'by=["modality"]' in shown.answer.code
    shown.controls["split"].value = ""
    assert 'by=["status"]' in shown.answer.code
    shown.controls["show"].value = "missed"
    assert "by=" not in shown.answer.code


@pytest.mark.parametrize("show", BY_DAY)
def test_impossible_days_are_refused_in_words(shown: Explorer, show: str) -> None:
    shown.set({"show": show, "end": "2026-01-01"})
    assert repr(shown) == "The first day is after the last: exchange them."
    shown.reset()
    shown.set({"show": show, "as_of": "2026-01-01"})
    assert repr(shown) == "The days begin after 2026-01-01, for which the numbers speak: choose earlier ones."
    assert shown.rows.is_empty()
    assert "image/png" not in shown._repr_mimebundle_()


@pytest.mark.parametrize("show", SHOWS)
def test_view_of_nobody_says_so_in_words(notebook: dict[str, Any], shown: Explorer, show: str) -> None:
    """Nobody is seen in an intake group."""
    shown.set({"show": show})
    if "roles" in shown.show.controls:
        group = notebook["appointment_types"].filter("is_group")["id"].to_list()
        shown.set({"appointment_type_ids": group, "roles": ["intake"]})
        assert repr(shown).startswith("Nothing to show of 0 of ")
        assert repr(shown).endswith("Widen the days, choose more, or reset.")
        assert shown.rows.is_empty()


@pytest.mark.parametrize(
    ("show", "counted"),
    [("missed", "due"), ("cancelled", "visits"), ("weekday and hour", "visits")],
)
def test_type_without_a_role_is_not_clinical_when_chosen_alone(
    notebook: dict[str, Any], shown: Explorer, show: str, counted: str
) -> None:
    unmapped = notebook["roles"].filter(pl.col("role").is_null())["appointment_type_id"].to_list()
    assert not notebook["visits"].filter(pl.col("appointment_type_id").is_in(unmapped)).is_empty()
    shown.set({"show": show, "appointment_type_ids": unmapped})
    assert shown.rows.is_empty() or shown.rows[counted].sum() == 0


def test_it_says_how_many_visits_and_clients_remain(notebook: dict[str, Any]) -> None:
    shown = made(notebook, start="2026-06-01", every="month", end="2026-06-30")
    visits = notebook["visits"]
    provider, name = next(iter(shown.names["provider_id"].items()))
    shown.set({"provider_ids": [provider]})
    theirs = visits.filter(pl.col("date").dt.strftime("%Y-%m") == "2026-06", pl.col("provider_id") == provider)
    assert repr(shown).startswith(
        f"{theirs.height:,} of {visits.height:,} visits, {theirs['client_id'].n_unique():,} of "
        f"{visits['client_id'].n_unique():,} clients for provider {name}, in rows: "
    )
    assert shown.rows["count"].sum() == theirs.height


def test_selection_survives_a_change_of_the_split(shown: Explorer) -> None:
    shown.set({"show": "missed", "split": "provider"})
    shown.controls["split"].value = ""
    assert '"fields": ["period"]' in str(shown.spec).replace("'", '"')
    assert '"fields": ["period", "series"]' not in str(shown.spec).replace("'", '"')


def test_targets_and_annotations_are_drawn(shown: Explorer) -> None:
    shown.set({"show": "missed"})
    assert shown.spec is not None
    assert [row["text"] for row in shown.spec["datasets"]["targets"]] == ["target 10%"]
    assert [row["text"] for row in shown.spec["datasets"]["annotations"]] == ["Memorial Day"]
    assert "    targets=targets,\n    annotations=annotations,\n" in shown.answer.code


def test_day_off_is_no_working_day(shown: Explorer) -> None:
    shown.set({"show": "per working day"})
    days = dict(shown.rows.select("period", "working_days").rows())
    assert (days[date(2026, 5, 18)], days[date(2026, 5, 25)]) == (5, 4)


def test_controls_start_from_the_parameters_and_every_setting_is_one(notebook: dict[str, Any]) -> None:
    shown = made(notebook, every="quarter", unit="provider hours", weeks_ahead=6, measure="no-show")
    settings = shown.settings
    assert parameters.checked(NAME, settings) == settings
    assert {*parameters.described(NAME)} - {*settings} == {"history_from", "history_until", "view"}
    assert (settings["every"], settings["unit"], settings["weeks_ahead"]) == ("quarter", "provider hours", 6)


def test_every_control_bears_on_some_view(shown: Explorer) -> None:
    assert {name for show in shown.shows.values() for name in show.controls} | {"show"} == {*shown.controls}
    assert [*shown.shows] == list(SHOWS)
