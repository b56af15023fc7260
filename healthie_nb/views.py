"""Named views: settings of a notebook's explorer, saved by name and used again by notebook and report.

JSON in the user's data folder, readable by its owner alone. Parameters name no client, so neither does a view.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from healthie_nb import parameters
from healthie_nb.files import appear, make_private
from healthie_nb.parameter import ParameterError, is_name
from healthie_nb.settings import DATA_DIR

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from healthie_nb.parameter import Value

FOLDER: Final = DATA_DIR / "views"


def save(notebook: str, name: str, settings: Mapping[str, object], *, folder: Path = FOLDER) -> None:
    """Keep settings under a name, over those that were kept under it; `view` itself is not among them.

    Raises
    ------
    ParameterError for a notebook, a name, a parameter or a value that cannot be.
    """
    values = parameters.checked(notebook, {key: value for key, value in settings.items() if key != "view"})
    path = _path(folder, notebook, name)
    make_private(path.parent)
    appear(path, msgspec.json.format(msgspec.json.encode(values), indent=2))


def read(notebook: str, name: str, *, folder: Path = FOLDER) -> dict[str, Value]:
    """Return the settings kept under a name.

    Raises
    ------
    ParameterError when there is no such view, naming those there are, or when what is kept fits the notebook no more.
    """
    try:
        kept = msgspec.json.decode(_path(folder, notebook, name).read_bytes(), type=dict[str, object])
    except FileNotFoundError:
        raise _unknown(notebook, name, folder) from None
    except msgspec.DecodeError:
        raise ParameterError(f"the view {name!r} of {notebook} cannot be read: save it again, or remove it.") from None
    return parameters.checked(notebook, kept)


def chosen(notebook: str, variables: Mapping[str, object], *, folder: Path = FOLDER) -> dict[str, Value]:
    """Every parameter's value as a notebook has it: its variables, and over them those of the view that they name.

    Raises
    ------
    ParameterError for a value that cannot be, a variable that is not there, or a view that there is not.
    """
    known = parameters.described(notebook)
    if lacking := [name for name in known if name not in variables]:
        raise ParameterError(f"{notebook} lacks {', '.join(lacking)}: give it in the cell tagged parameters.")
    given = {name: variables[name] for name in known}
    view = known["view"].checked(given["view"])
    return parameters.settings(notebook, given, read(notebook, str(view), folder=folder) if view else {})


def names(notebook: str, *, folder: Path = FOLDER) -> list[str]:
    """Names of a notebook's views, in order.

    Raises
    ------
    ParameterError for a notebook that there is not.
    """
    parameters.described(notebook)
    return sorted(path.stem for path in (folder / notebook).glob("*.json") if is_name(path.stem))


def remove(notebook: str, name: str, *, folder: Path = FOLDER) -> None:
    """Forget a view.

    Raises
    ------
    ParameterError when there is no such view, naming those there are.
    """
    try:
        _path(folder, notebook, name).unlink()
    except FileNotFoundError:
        raise _unknown(notebook, name, folder) from None


def _path(folder: Path, notebook: str, name: str) -> Path:
    parameter = parameters.described(notebook)["view"]
    if not parameter.checked(name):
        raise ParameterError(f"a view needs a name; give {parameter.says}.")
    return folder / notebook / f"{name}.json"


def _unknown(notebook: str, name: str, folder: Path) -> ParameterError:
    known = names(notebook, folder=folder)
    there = f"there are: {', '.join(known)}" if known else "none is saved yet: save one in the explorer"
    others = [other for other in parameters.NOTEBOOKS if other != notebook and name in names(other, folder=folder)]
    elsewhere = f"; it is one of {' and '.join(others)}" if others else ""
    return ParameterError(f"{notebook} has no view {name!r}{elsewhere}; {there}.")
