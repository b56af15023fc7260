from __future__ import annotations

from datetime import date

import pytest
import traitlets

from healthie_nb import controls

NAMES = {"7": "Ada", "8": "Bo"}
MANY = {str(i): f"Provider {i:02}" for i in range(20)}


def test_list_starts_with_all() -> None:
    assert controls.Several("Provider", NAMES).value == ()
    assert controls.Several("Provider", NAMES).list.value == (controls.ALL,)


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
    control = controls.Several("Provider", NAMES)
    for click in clicks:
        control.list.value = click
    assert control.value == chosen
    assert control.list.value == (chosen or (controls.ALL,))


def test_value_set_is_seen_in_the_list() -> None:
    control = controls.Several("Provider", NAMES, ["8"])
    assert control.list.value == ("8",)
    control.value = ()
    assert control.list.value == (controls.ALL,)
    with pytest.raises(traitlets.TraitError, match="no 9 in Provider"):
        control.value = ("9",)


def test_long_list_is_searched_and_what_is_chosen_stays() -> None:
    control = controls.Several("Provider", MANY)
    told: list[tuple[str, ...]] = []
    control.observe(lambda change: told.append(change["new"]), "value")
    control.list.value = ("3",)
    control.search.value = "provider 1"
    assert [key for _, key in control.list.options] == ["", "3", *(str(i) for i in range(10, 20))]
    control.list.value = ("3", "12")
    control.search.value = ""
    assert len(control.list.options) == 21
    assert control.value == control.list.value == ("3", "12")
    assert told == [("3",), ("3", "12")]  # searching changes nothing


def test_short_list_has_no_search() -> None:
    assert controls.Several("Provider", NAMES).search.layout.display == "none"
    assert controls.Several("Provider", MANY).search.layout.display == ""


def test_setting_goes_into_a_control_and_comes_out_the_same() -> None:
    day, several = controls.day("From", date(2026, 1, 1)), controls.Several("Provider", NAMES)
    for control, setting in ((day, "2026-02-03"), (several, ["7"]), (controls.one_of("By", "x", ["x", "y"]), "y")):
        control.value = controls.fitting(control, setting)
        assert controls.setting(control) == setting
    assert controls.fitting(several, ["7", "9"]) == ("7",)


def test_every_control_has_a_label() -> None:
    made = (
        controls.Several("A", NAMES).list,
        controls.one_of("A", "x", ["x"]),
        controls.day("A", date(2026, 1, 1)),
        controls.number("A", 3, least=1, most=9),
    )
    assert [control.description for control in made] == [*["A"] * 3, "A (1-9)"]
