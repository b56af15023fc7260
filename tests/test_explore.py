"""Each view of an explorer is what the metric says: the lines it shows are run, and give the same rows."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from healthie_nb import explore, newcomers, parameters
from healthie_nb.demo import truth

if TYPE_CHECKING:
    from collections.abc import Mapping

    from healthie_nb.live import Explorer

MARKS = {
    "targets": pl.DataFrame({"metric": ["second visit"], "target": [0.75], "since": [date(2020, 1, 1)]}),
    "annotations": pl.DataFrame({"date": [date(2025, 8, 31)], "text": ["A provider left"]}),
}
SHOWS = parameters.described("retention")["show"].allowed


def made(notebook: Mapping[str, Any], name: str, **settings: object) -> Explorer:
    given = parameters.settings(name, settings)
    notebook["history_from"] = given["history_from"]  # type: ignore[index]
    common = (notebook["practice"], notebook["visits"], given)
    if name == "retention":
        loaded = {key: notebook[key] for key in ("clients", "providers", "appointment_types", "programmes")}
        return explore.retention(*common, **loaded, **MARKS)
    raise KeyError(name)


def chosen(shown: Explorer, settings: Mapping[str, Any]) -> None:
    """Set controls, and choose the two providers that are first in the list."""
    for name, value in settings.items():
        shown.controls[name].value = value
    shown.controls["provider_ids"].value = tuple(shown.controls["provider_ids"].names)[:2]


def reproduced(notebook: Mapping[str, Any], shown: Explorer) -> dict[str, Any]:
    """Variables after the lines of the view were run."""
    variables = {**notebook, **MARKS}
    exec(shown.answer.code, variables)
    return variables


@pytest.mark.parametrize(("show", "target"), [("second visit", "target 75%"), ("days 31-90", ""), ("flow", "")])
def test_targets_and_annotations_are_drawn(notebook: dict[str, Any], show: str, target: str) -> None:
    """Of second visits is the target, and not of later ones, though the same chart draws both."""
    shown = made(notebook, "retention", show=show)
    assert shown.spec is not None
    assert [row["text"] for row in shown.spec["datasets"]["targets"]] == [target]
    assert [row["text"] for row in shown.spec["datasets"]["annotations"]] == ["A provider left"]
    exec(shown.answer.code, {**notebook, **MARKS})
    assert ("targets=targets" in shown.answer.code) is (show != "days 31-90")


@pytest.mark.parametrize("measure", ["on", "on or after", "brackets"])
@pytest.mark.parametrize("every", ["week", "month", "quarter"])
@pytest.mark.parametrize("is_filtered", [False, True], ids=["all", "filtered"])
def test_lines_of_a_view_give_its_rows(
    notebook: dict[str, Any], every: str, measure: str, *, is_filtered: bool
) -> None:
    shown = made(notebook, "retention", every=every, measure=measure)
    if is_filtered:
        chosen(shown, {"as_of": date(2026, 3, 31), "start": date(2025, 1, 1), "months": 40})
    rows = reproduced(notebook, shown)["rows"]
    assert rows.equals(shown.rows)
    assert not rows.is_empty()
    assert "Demo practice: synthetic data" in repr(shown)


@pytest.mark.parametrize("is_filtered", [False, True], ids=["as it starts", "filtered"])
@pytest.mark.parametrize("show", SHOWS)
def test_lines_of_every_view_give_its_rows(notebook: dict[str, Any], show: str, *, is_filtered: bool) -> None:
    shown = made(notebook, "retention", show=show, split="provider" if is_filtered else "")
    if is_filtered:
        chosen(shown, {"as_of": date(2026, 3, 31), "start": date(2025, 1, 1), "every": "quarter"})
    rows = reproduced(notebook, shown)["rows"]
    assert rows.equals(shown.rows)
    assert not rows.is_empty()
    assert "Demo practice: synthetic data" in repr(shown)


@pytest.mark.parametrize("split", ["type", "modality", "source"])
@pytest.mark.parametrize("show", ["second visit", "survival", "time to second visit"])
def test_lines_of_a_split_view_give_its_rows(notebook: dict[str, Any], show: str, split: str) -> None:
    shown = made(notebook, "retention", show=show, split=split, every="quarter")
    assert reproduced(notebook, shown)["rows"].equals(shown.rows)
    assert shown.rows[newcomers.SPLITS[split]].n_unique() > 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"start": date(2026, 1, 1)}, "The first day is after the last"),
        ({"end": None}, "Give a day in Until"),
        ({"as_of": date(2020, 1, 1)}, "Nobody began between 2025-04-01 and 2025-06-30 as of 2020-01-01"),
        ({"start": date(2023, 7, 2), "end": date(2023, 7, 3)}, "Nobody began between 2023-07-02 and 2023-07-03"),
    ],
)
def test_impossible_view_says_so_in_words(notebook: dict[str, Any], settings: dict[str, Any], words: str) -> None:
    shown = made(notebook, "retention", end="2025-06-30")
    for name, value in settings.items():
        shown.controls[name].value = value
    assert words in repr(shown)
    assert shown.rows.is_empty()
    assert "image/png" not in shown._repr_mimebundle_()


def test_states_tell_who_finished_a_programme(notebook: dict[str, Any]) -> None:
    shown = made(notebook, "retention", show="states")
    finished = notebook["clients"].filter(group_id=truth.COMPLETED_GROUP).height
    assert shown.rows.filter(reason="programme")["clients"].item() == finished > 0


@pytest.mark.parametrize("show", [show for show in SHOWS if show not in ("flow", "funnel", "states", "worklist")])
def test_every_view_of_days_says_when_nobody_began_then(notebook: dict[str, Any], show: str) -> None:
    shown = made(notebook, "retention", show=show, start="2023-07-02", end="2023-07-03", split="provider")
    assert repr(shown).startswith("Nobody began between 2023-07-02 and 2023-07-03 as of 2026-06-30.")
    shown.controls["start"].value = date(2023, 7, 4)
    assert repr(shown) == "The first day is after the last: exchange them."


def test_it_says_how_many_clients_remain(notebook: dict[str, Any]) -> None:
    shown = made(notebook, "retention")
    everybody = int(shown.rows.unique("cohort")["clients"].sum())
    assert repr(shown).startswith(f"{everybody} of ")
    chosen(shown, {})
    some = int(shown.rows.unique("cohort")["clients"].sum())
    assert 0 < some < everybody
    assert repr(shown).startswith(f"{some} of ")


def test_controls_start_from_the_parameters_and_offer_what_occurs(notebook: dict[str, Any]) -> None:
    known = notebook["providers"]["id"].to_list()
    shown = made(notebook, "retention", every="quarter", months=6, provider_ids=[known[0], "999999"])
    assert {name: shown.settings[name] for name in ("every", "months", "provider_ids")} == {
        "every": "quarter", "months": 6, "provider_ids": [known[0]],
    }  # fmt: skip
    assert {*shown.controls["provider_ids"].names} <= {*known}
    assert {*shown.controls["roles"].names} <= {"intake", "follow-up", "group"}


def test_numbers_speak_for_no_later_day_than_the_notebooks(notebook: dict[str, Any]) -> None:
    shown = made(notebook, "retention")
    shown.controls["as_of"].value = date(2026, 7, 31)
    assert shown.settings["as_of"] == "2026-06-30"


def test_every_setting_of_a_view_is_a_parameter(notebook: dict[str, Any]) -> None:
    settings = made(notebook, "retention").settings
    assert parameters.checked("retention", settings) == settings
    assert {*parameters.described("retention")} - {*settings} == {"history_from", "history_until", "view"}


def test_clients_are_chosen_by_their_first_visit_and_keep_all_of_them(notebook: dict[str, Any]) -> None:
    visits = notebook["visits"]
    [provider, *_] = notebook["providers"]["id"]
    kept = explore.began(visits, as_of="2026-06-30", provider_ids=[provider])
    first = (
        visits.filter(pl.col("status") == "occurred", pl.col("role").is_in(["intake", "follow-up", "group"]))
        .filter(pl.col("date") <= date(2026, 6, 30))
        .group_by("client_id")
        .agg(pl.col("provider_id").first())
    )
    theirs = first.filter(pl.col("provider_id") == provider)["client_id"]
    assert {*kept["client_id"]} == {*theirs}
    assert kept.equals(visits.filter(pl.col("client_id").is_in(theirs.implode())))
