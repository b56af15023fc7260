"""One parameter of a notebook: what it may be, read from a command line, JSON or a control. No notebook's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Final, Literal

from healthie_nb.query import HealthieError

Kind = Literal["day", "number", "choice", "choices", "ids", "words", "name"]
Value = str | int | list[str]

NONE: Final = ("", "none")  # as it stands in the cell, and as it can be typed
LONGEST: Final = 60  # of a view's name, which is a file's too
_SAYS: Final[dict[Kind, str]] = {
    "day": "a day such as 2026-06-30",
    "ids": "ids of Healthie's, digits each",
    "words": "Healthie's own words, with commas between",
    "name": f"a name of letters, digits, spaces, - and _, at most {LONGEST} characters",
}


class ParameterError(HealthieError, ValueError):
    """A parameter that a notebook does not have, or a value that it cannot take. Raised before anything is run."""


@dataclass(frozen=True)
class Parameter:
    """One line of a `parameters` cell. `meaning` is its comment; `option` what it is called on the command line.

    In a cell, as JSON and in a saved view a day is text, 2026-06-30, and an empty list stands for all.
    """

    name: str
    kind: Kind
    default: Value
    meaning: str
    allowed: tuple[str, ...] = ()  # of a choice, or of choices
    least: int = 1
    most: int = 999
    option: str = field(default="")

    def __post_init__(self) -> None:
        """Name the option after the parameter, unless it has its own."""
        object.__setattr__(self, "option", f"--{self.option or self.name.replace('_', '-')}")

    @property
    def line(self) -> str:
        """The line of the cell."""
        return f"{self.name} = {_literal(self.default)}  # {self.meaning}"

    @property
    def is_list(self) -> bool:
        """Whether it takes several values."""
        return self.kind in ("choices", "ids", "words")

    @property
    def says(self) -> str:
        """What may be given, in words."""
        if self.kind == "number":
            return f"a whole number from {self.least} to {self.most}"
        return _SAYS.get(self.kind) or ", ".join(repr(word) for word in self.allowed)

    def parsed(self, text: str) -> Value:
        """Value of what was typed on a command line; several with commas between.

        Raises
        ------
        ParameterError naming what may be given.

        Examples
        --------
        >>> Parameter("provider_ids", "ids", [], "these providers").parsed("17, 18")
        ['17', '18']
        """
        if self.is_list:
            parts = [part.strip() for part in text.split(",")]
            return self.checked([part for part in parts if part and text.strip() != NONE[1]])
        if self.kind == "choice" and text == NONE[1] and NONE[0] in self.allowed:
            return NONE[0]
        if self.kind != "number":
            return self.checked(text.strip())
        try:
            return self.checked(int(text))
        except ValueError:
            raise self._refused(text) from None

    def checked(self, value: object) -> Value:
        """Value as the cell has it, from a notebook, JSON or a control: dates become text, and so do numbers among ids.

        Raises
        ------
        ParameterError naming what may be given.

        Examples
        --------
        >>> Parameter("as_of", "day", "2026-06-30", "the day").checked(date(2026, 5, 31))
        '2026-05-31'
        """
        if self.is_list:
            return self._several(value)
        if self.kind == "number":
            if isinstance(value, int) and not isinstance(value, bool) and self.least <= value <= self.most:
                return value
            raise self._refused(value)
        text = value.isoformat() if type(value) is date else value
        if isinstance(text, str) and self._fits(text):
            return text
        raise self._refused(value)

    def _several(self, value: object) -> list[str]:
        if not isinstance(value, list | tuple):
            raise self._refused(value)
        texts = [str(one) if type(one) is int else one for one in value]
        for text in texts:
            if not isinstance(text, str) or not self._fits(text):
                raise self._refused(text)
        return list(dict.fromkeys(texts))

    def _fits(self, text: str) -> bool:
        match self.kind:
            case "day":
                return is_day(text)
            case "ids":
                return text.isascii() and text.isdigit()
            case "words":
                return bool(text.strip()) and "," not in text and text.isprintable()
            case "name":
                return not text or is_name(text)
        return text in self.allowed

    def _refused(self, value: object) -> ParameterError:
        given = repr(value) if isinstance(value, str | int | float | date) else f"a {type(value).__name__}"
        return ParameterError(f"{self.name} is {given}; give {'some of ' * (self.kind == 'choices')}{self.says}.")


def is_day(text: str) -> bool:
    """Whether this is a day, written 2026-06-30."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def is_name(text: str) -> bool:
    """Whether a view may be called this: it becomes a file's name on every system."""
    is_plain = all(letter.isalnum() or letter in " -_" for letter in text)
    return is_plain and text == text.strip() and 0 < len(text) <= LONGEST


def _literal(value: Value) -> str:
    """Write a value as the formatter would."""
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)
