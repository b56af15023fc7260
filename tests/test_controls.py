from __future__ import annotations

from datetime import date

import pytest

from healthie_nb import controls

NAMES = {"7": "Ada", "8": "Bo"}


def test_list_starts_with_all() -> None:
    assert controls.value(controls.some_of("Provider", NAMES)) == ()


@pytest.mark.parametrize(
    ("clicks", "chosen"),
    [
        ([("7",)], ("7",)),
        ([("", "7")], ("7",)),  # one more beside "All" means that one
        ([("7", "8")], ("7", "8")),
        ([("7",), ("", "7")], ()),  # "All" beside one means all
        ([("7",), ()], ()),  # none left means all
    ],
)
def test_what_was_chosen_last_counts(clicks: list[tuple[str, ...]], chosen: tuple[str, ...]) -> None:
    control = controls.some_of("Provider", NAMES)
    for click in clicks:
        control.value = click
    assert controls.value(control) == chosen


def test_every_control_has_a_label() -> None:
    made = (controls.some_of("A", NAMES), controls.one_of("A", "x", ["x"]), controls.day("A", date(2026, 1, 1)))
    assert [control.description for control in made] == ["A", "A", "A"]
