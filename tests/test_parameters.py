from __future__ import annotations

from datetime import date
from typing import get_args

import polars as pl
import pytest

from healthie_nb import attendance, chart_notes, newcomers, parameters, returns, roles, volume
from healthie_nb.parameters import ParameterError
from healthie_nb.visits import UNMAPPED, example

SIGNING = pl.List(pl.Struct({"signed_at": pl.Datetime("us", "UTC")}))
NO_NOTES = pl.DataFrame(
    schema={"appointment_id": pl.String, "signings": SIGNING, "filled_at": pl.Datetime("us", "UTC")}
)
each = pytest.mark.parametrize("notebook", parameters.NOTEBOOKS)


@each
def test_cell_is_its_own_defaults(notebook: str) -> None:
    """What the cell says is what the description says, read back as Python."""
    run: dict[str, object] = {}
    exec(parameters.cell(notebook), run)
    run.pop("__builtins__")
    assert run == parameters.settings(notebook)


@each
def test_defaults_are_allowed_and_fit_in_a_line(notebook: str) -> None:
    for parameter in parameters.described(notebook).values():
        assert parameter.checked(parameter.default) == parameter.default
        assert len(parameter.line) <= 120


@each
def test_options_are_unique(notebook: str) -> None:
    options = [parameter.option for parameter in parameters.described(notebook).values()]
    assert len({*options}) == len(options)


@pytest.mark.parametrize(
    ("notebook", "name", "words"),
    [
        ("retention", "every", get_args(newcomers.Every)),
        ("retention", "split", ("", *get_args(newcomers.Split))),
        ("retention", "measure", get_args(returns.Measure)),
        ("retention", "roles", (*roles.APPOINTMENT_ROLES, UNMAPPED)),
        ("appointment_volume", "unit", get_args(volume.Unit)),
        ("appointment_volume", "measure", attendance.MEASURES),
        ("appointment_volume", "late", attendance.LATE),
        ("appointment_volume", "split", ("", *(one for one in volume.COUNTED if one != "status"))),
    ],
)
def test_words_are_the_metrics_own(notebook: str, name: str, words: tuple[str, ...]) -> None:
    assert {*parameters.described(notebook)[name].allowed} == {*words}


def test_notes_can_be_split_by_each_word() -> None:
    seen = example({"7": ["2026-01-05"]})
    none = chart_notes.notes(seen, NO_NOTES, as_of="2026-06-30", by=())
    split = parameters.described("form_completion")["split"]
    for word in filter(None, split.allowed):
        assert chart_notes.notes(seen, NO_NOTES, as_of="2026-06-30", by=[word])["due"].sum() == none["due"].sum()


@pytest.mark.parametrize(
    ("notebook", "name", "text", "value"),
    [
        ("retention", "as_of", "2026-05-31", "2026-05-31"),
        ("retention", "months", "6", 6),
        ("retention", "every", "quarter", "quarter"),
        ("retention", "split", "none", ""),
        ("retention", "provider_ids", "17, 18,17", ["17", "18"]),
        ("retention", "provider_ids", "", []),
        ("retention", "roles", "intake,follow-up", ["intake", "follow-up"]),
        ("retention", "modalities", "In Person,Phone Call", ["In Person", "Phone Call"]),
        ("retention", "view", "board 2026", "board 2026"),
        ("form_completion", "after_days", "0", 0),
    ],
)
def test_typed_text_is_read(notebook: str, name: str, text: str, value: object) -> None:
    assert parameters.described(notebook)[name].parsed(text) == value


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("as_of", "30.6.2026", "as_of is '30.6.2026'; give a day such as 2026-06-30."),
        ("as_of", "20260630", "as_of is '20260630'; give a day such as 2026-06-30."),
        ("months", "0", "months is '0'; give a whole number from 1 to 60."),
        ("months", "six", "months is 'six'; give a whole number from 1 to 60."),
        ("every", "day", "every is 'day'; give 'week', 'month', 'quarter'."),
        ("provider_ids", "Ada", "provider_ids is 'Ada'; give ids of Healthie's, digits each."),
        (
            "roles",
            "intake,x",
            "roles is 'x'; give some of 'intake', 'follow-up', 'group', 'discovery', 'admin', 'unmapped'.",
        ),
        ("view", "../b", "view is '../b'; give a name of letters, digits, spaces, - and _, at most 60 characters."),
    ],
)  # fmt: skip
def test_wrong_text_is_refused_in_words(name: str, text: str, says: str) -> None:
    with pytest.raises(ParameterError) as refused:
        parameters.described("retention")[name].parsed(text)
    assert str(refused.value) == says


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"sart": "2025-01-01"}, "retention has no parameter 'sart' (did you mean 'start'?); it has: history_from, "),
        ({"months": True}, "months is True; give a whole number from 1 to 60."),
        ({"months": 6.0}, "months is 6.0; give a whole number from 1 to 60."),
        ({"provider_ids": "17"}, "provider_ids is '17'; give ids of Healthie's, digits each."),
        ({"provider_ids": [None]}, "provider_ids is a NoneType; give ids of Healthie's, digits each."),
        ({"start": "2026-01-01", "end": "2025-01-01"}, "start is 2026-01-01, after end, 2025-01-01: "),
        ({"as_of": "2027-06-30"}, "as_of is 2027-06-30, after history_until, 2026-12-31: "),
    ],
)
def test_wrong_settings_are_refused_in_words(given: dict[str, object], says: str) -> None:
    with pytest.raises(ParameterError) as refused:
        parameters.settings("retention", given)
    assert str(refused.value).startswith(says)


def test_unknown_notebook_names_those_there_are() -> None:
    with pytest.raises(ParameterError, match=r"no notebook 'retentoin' \(did you mean 'retention'\?\); there are: ret"):
        parameters.described("retentoin")


def test_later_settings_win_over_earlier_ones() -> None:
    board = {"provider_ids": [17], "as_of": date(2026, 5, 31)}
    values = parameters.settings("retention", board, {"provider_ids": []})
    assert (values["provider_ids"], values["as_of"], values["months"]) == ([], "2026-05-31", 12)
    assert list(values) == list(parameters.described("retention"))
