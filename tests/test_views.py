from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from healthie_nb import parameters, views
from healthie_nb.parameters import ParameterError

if TYPE_CHECKING:
    from pathlib import Path

BOARD = {"start": "2025-01-01", "provider_ids": ["17"], "every": "quarter"}


def test_view_is_read_as_saved(tmp_path: Path) -> None:
    views.save("retention", "board", BOARD, folder=tmp_path)
    assert views.read("retention", "board", folder=tmp_path) == BOARD
    assert views.names("retention", folder=tmp_path) == ["board"]
    assert views.names("appointment_volume", folder=tmp_path) == []


def test_view_saved_again_replaces_the_old_one(tmp_path: Path) -> None:
    views.save("retention", "board", BOARD, folder=tmp_path)
    views.save("retention", "board", {"months": 6, "view": "board"}, folder=tmp_path)
    assert views.read("retention", "board", folder=tmp_path) == {"months": 6}


def test_only_the_owner_can_read_a_view_and_nothing_else_is_left(tmp_path: Path) -> None:
    views.save("retention", "Q3 Ärzte-board", BOARD, folder=tmp_path / "views")
    [kept] = (tmp_path / "views" / "retention").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.parent.stat().st_mode & 0o777 == 0o700


def test_removed_view_is_gone(tmp_path: Path) -> None:
    views.save("retention", "board", BOARD, folder=tmp_path)
    views.save("retention", "team", BOARD, folder=tmp_path)
    views.remove("retention", "board", folder=tmp_path)
    for gone in (views.read, views.remove):
        with pytest.raises(ParameterError, match=r"retention has no view 'board'; there are: team\."):
            gone("retention", "board", folder=tmp_path)


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", " x", "x" * 61])
def test_name_that_is_no_files_is_refused(name: str, tmp_path: Path) -> None:
    for do in (lambda: views.save("retention", name, BOARD, folder=tmp_path), lambda: views.read("retention", name)):
        with pytest.raises(ParameterError, match="give a name of letters, digits"):
            do()
    assert not [*tmp_path.iterdir()]


def test_view_that_a_later_notebook_cannot_take_says_what_is_wrong(tmp_path: Path) -> None:
    views.save("retention", "board", BOARD, folder=tmp_path)
    path = tmp_path / "retention" / "board.json"
    path.write_text(path.read_text().replace("quarter", "decade"))
    with pytest.raises(ParameterError, match="every is 'decade'; give 'week', 'month', 'quarter'"):
        views.read("retention", "board", folder=tmp_path)
    path.write_text("{")
    with pytest.raises(ParameterError, match="the view 'board' of retention cannot be read: save it again"):
        views.read("retention", "board", folder=tmp_path)


def test_wrong_settings_are_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="retention has no parameter 'client_id'"):
        views.save("retention", "board", {"client_id": "1"}, folder=tmp_path)
    assert not [*tmp_path.iterdir()]


def test_a_notebook_has_its_own_variables_and_over_them_those_of_the_view_it_names(tmp_path: Path) -> None:
    views.save("retention", "board", BOARD, folder=tmp_path)
    cell = {**parameters.settings("retention"), "months": 6, "start": "2025-06-01"}
    assert views.chosen("retention", {**cell, "np": None}, folder=tmp_path) == cell
    named = views.chosen("retention", {**cell, "view": "board"}, folder=tmp_path)
    assert named == {**cell, **BOARD, "view": "board"}
    with pytest.raises(ParameterError, match="lacks months: give it in the cell tagged parameters"):
        views.chosen("retention", {name: value for name, value in cell.items() if name != "months"}, folder=tmp_path)


def test_view_of_another_notebook_is_told_as_that(tmp_path: Path) -> None:
    views.save("retention", "board", {"months": 6}, folder=tmp_path)
    with pytest.raises(ParameterError, match=r"no view 'board'; it is one of retention; none is saved yet"):
        views.read("form_completion", "board", folder=tmp_path)
