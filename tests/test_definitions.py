"""Public metrics are defined in docs/definitions.md, and they, charts and tables documented with examples that run."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
from pathlib import Path

import pytest

ROOMS = ("forms", "privacy", "quality", "retention", "roles", "stats", "volume")
DEFINITIONS = (Path(__file__).parent.parent / "docs" / "definitions.md").read_text("utf-8")


def public() -> list[tuple[str, str]]:
    """Room and name of every public function, and of `visits` and its companion."""
    modules = {room: importlib.import_module(f"healthie_nb.{room}") for room in ROOMS}
    found = [(room, name) for room, module in modules.items() for name in module.__all__]
    functions = [(room, name) for room, name in found if inspect.isfunction(getattr(modules[room], name))]
    return [*functions, ("visits", "visits"), ("visits", "unplaced")]


def drawing() -> list[tuple[str, str]]:
    """Room and name of every function that draws a chart or sets a table."""
    rooms = {room: importlib.import_module(f"healthie_nb.{room}") for room in ("charts", "tables")}
    found = [(room, name) for room, module in rooms.items() for name in module.__all__]
    return [(room, name) for room, name in found if inspect.isfunction(getattr(rooms[room], name))]


@pytest.mark.parametrize(("room", "name"), [*public(), *drawing()])
def test_public_function_has_a_worked_example(room: str, name: str) -> None:
    """An example with an answer, that is; `--doctest-modules` runs them."""
    function = getattr(importlib.import_module(f"healthie_nb.{room}"), name)
    examples = doctest.DocTestParser().get_examples(inspect.getdoc(function) or "")
    assert any(example.want for example in examples)


@pytest.mark.parametrize(("room", "name"), public())
def test_public_function_is_defined_in_words(room: str, name: str) -> None:
    """An entry of its own, or its name in the entry of its room."""
    heads = re.findall(r"^### (.+)$", DEFINITIONS, re.MULTILINE)
    if room in ("roles", "stats"):
        [entry] = re.findall(rf"^### `{room}`\n(.+?)(?=^##|\Z)", DEFINITIONS, re.MULTILINE | re.DOTALL)
        assert f"`{name}`" in entry
    else:
        title = name if room == name else f"{room}.{name}"
        assert any(f"`{title}`" in head for head in heads)


def test_nothing_is_defined_that_is_not_there() -> None:
    titles = [title for head in re.findall(r"^### (.+)$", DEFINITIONS, re.MULTILINE) for title in head.split("`")[1::2]]
    known = {f"{room}.{name}" for room, name in public()} | {"visits", "roles", "stats"}
    assert {*titles} - known == set()
