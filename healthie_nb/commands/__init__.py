"""The commands of `healthie-nb`, a module each, imported when the command is given and not before.

A module has `DESCRIPTION`, the text of its --help, which ends with examples; `add_options(parser)`; and `run(options)`,
which returns the exit code: 0 it went well, 1 it could not be done, 2 the command line is wrong. What only `run` needs
is imported there. A new one gets its line in `cli.COMMANDS`. Answers go to stdout, questions and errors to stderr.
"""


def say(line: str) -> None:
    """Print a line at once, also into a pipe."""
    print(line, flush=True)
