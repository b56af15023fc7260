"""`healthie-nb report`: a notebook run with other parameters, as one HTML page."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from healthie_nb import parameters
from healthie_nb.commands import say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from healthie_nb.parameters import Parameter, Value

DESCRIPTION = """\
Run a notebook with parameters of your own and write it as one HTML page that opens anywhere, without a network.

Each notebook has its own options: healthie-nb report retention --help. What is not given is the view's, if one is
named, or the notebook's own. A wrong name or value is refused before anything is run, an id that the practice does not
have once it is loaded; nothing is written then. Without HEALTHIE_API_KEY it takes --demo, and every page of the demo
practice says that its data is made up.

The page is for the practice itself, readable by you alone: it may show small counts and lists of clients. With
--audience external it is for everybody else: counts of 1 to 10, and what would follow from them, are hidden, and so are
ids and all that cannot be made safe, such as lists of clients. Each table is made safe on its own: whoever has several
may still work out a hidden count from what they share, so look through the page before it leaves.

exit codes:
  0 written    1 it could not be made    2 the command line is wrong    3 written, and a trust check is red

examples:
  healthie-nb report retention --demo --out retention.html
  healthie-nb report retention --start 2025-01-01 --provider 17 --view board --out report.html
  healthie-nb report appointment_volume --demo --every month --start 2026-01-01 --out volume.html
  healthie-nb report retention --demo --audience external --out board.html
  healthie-nb report form_completion --demo --type 2001,2002 --within-hours 48 --out forms.html
"""
RED = 3


class _Parser(argparse.ArgumentParser):
    """Refuses what it does not know with what there is, in its own words rather than the outer command's."""

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            known = ", ".join(name for action in self._actions for name in action.option_strings if name != "-h")
            self.error(f"{' '.join(unknown)} is not known; there are: {known}")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add a command for each notebook, with an option for each of its parameters."""
    notebooks = parser.add_subparsers(
        title="notebooks", metavar="NOTEBOOK", dest="notebook", required=True, parser_class=_Parser
    )
    for name in parameters.NOTEBOOKS:
        one = notebooks.add_parser(
            name, help=f"its options: report {name} --help", description=DESCRIPTION, allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        one.add_argument("--out", type=Path, required=True, metavar="FILE", help="the page to write, ending in .html")
        one.add_argument("--demo", action="store_true", help="on the demo practice: made-up data, no key needed")
        one.add_argument(
            "--audience", choices=("internal", "external"), default="internal",
            help="who will read it: external hides small counts and leaves out ids and lists (%(default)s)",
        )  # fmt: skip
        one.add_argument("--json", action="store_true", help="say it as one JSON object: path, checks, red, amber")
        one.add_argument("--notebook-file", type=Path, metavar="FILE", help="a copy of your own to run instead")
        group = one.add_argument_group("parameters of the notebook")
        for parameter in parameters.described(name).values():
            _add(group, parameter)


def _add(group: argparse._ArgumentGroup, parameter: Parameter) -> None:
    several = "; several with commas, or given again" if parameter.is_list else ""
    default = "all" if parameter.is_list else parameter.default or "none"
    group.add_argument(
        parameter.option,
        dest=f"parameter {parameter.name}",
        type=_typed(parameter),
        action="extend" if parameter.is_list else "store",
        metavar=parameter.kind.upper().removesuffix("S"),
        help=f"{parameter.meaning}{several} ({default})",
    )


def _typed(parameter: Parameter) -> Callable[[str], Value]:
    def typed(text: str) -> Value:
        try:
            return parameter.parsed(text)
        except parameters.ParameterError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return typed


def run(options: argparse.Namespace) -> int:
    """Make the report, and say what its trust checks say."""
    from healthie_nb import report  # noqa: PLC0415

    prefix = "parameter "
    given = {name.removeprefix(prefix): value for name, value in vars(options).items() if name.startswith(prefix)}
    try:
        made = report.make(
            options.notebook,
            options.out,
            given={name: value for name, value in given.items() if value is not None},
            demo=options.demo,
            audience=options.audience,
            source=options.notebook_file,
        )
    except parameters.ParameterError as error:
        sys.stderr.write(f"healthie-nb report: {error}\n")
        return 2
    if options.json:
        told = {"path": str(made.path), "checks": made.checks, "red": made.red, "amber": made.amber}
        sys.stdout.write(json.dumps(told) + "\n")
        return RED if made.red else 0
    say(f"{made.path}: {made.path.stat().st_size / 1000:.0f} kB")
    for level, names in (("red", made.red), ("amber", made.amber)):
        if names:
            say(f"{level}: {', '.join(names)}")
    return RED if made.red else 0
