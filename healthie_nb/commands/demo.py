"""`healthie-nb demo`: a demo practice in the foreground."""

from healthie_nb.demo.command import DESCRIPTION, add_options, run

__all__ = ["DESCRIPTION", "add_options", "run"]
