"""The explorer of the retention notebook: who comes back, how long they stay, who has to be called."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from healthie_nb.explore import choosing, returning, standing
from healthie_nb.explore.choosing import WHICH, show
from healthie_nb.explore.rows import LATER, SECOND, Rows
from healthie_nb.live import Explorer, Show

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import polars as pl

    from healthie_nb.live import Answer
    from healthie_nb.practice import Practice


def retention(
    practice: Practice,
    visits: pl.DataFrame,
    settings: Mapping[str, Any],
    *,
    clients: pl.DataFrame,
    providers: pl.DataFrame,
    appointment_types: pl.DataFrame,
    programmes: pl.DataFrame | None = None,
    targets: pl.DataFrame | None = None,
    annotations: pl.DataFrame | None = None,
) -> Explorer:
    """Clients to look around in: cohorts, second visits, survival, states, flow, definitions, and whom to call.

    The lists choose clients by their first visit; every later visit of theirs counts, with whomever it was.

    Parameters
    ----------
    practice
        From `connect`: it knows whether the data is made up, and where exports come from.
    visits
        The whole history, from `visits`.
    settings
        Every parameter of the notebook, from `parameters.settings`; the controls start from them.
    clients, providers, appointment_types
        Rows of the queries.
    programmes
        What completes care, as `roles.read` gives it.
    targets, annotations
        As `roles.read` gives them, to be drawn.

    Raises
    ------
    MetricError as `retention.cohorts`.
    """
    named_by = {"provider_id": providers, "appointment_type_id": appointment_types}
    marks = {"targets": targets, "annotations": annotations}
    source = Rows(practice, visits, settings, clients, named_by, programmes=programmes, marks=marks)
    choices = choosing.controls_of("retention", settings, source.names)
    return Explorer("retention", shows(source), choices, practice=practice, first=settings["show"], names=source.names)


def shows(source: Rows) -> dict[str, Show]:
    """Everything there is to show, by the word for it in the parameter `show`."""
    which, days = tuple(WHICH), ("as_of", "start", "end")
    by_period = (*days, "every")

    def of(view: Callable[..., Answer], **options: Any) -> Callable[[Mapping[str, Any]], Answer]:
        return partial(view, source, **options)

    def again(title: str, bracket: tuple[int, int]) -> Show:
        answer = of(returning.came_again, bracket=bracket)
        return show("cohorts", (*by_period, "split", *which), title, answer, drawn="second_visit")

    def stay(title: str, event: str) -> Show:
        return show("survival", (*days, "split", *which), title, of(returning.survival, event=event))

    against = partial(show, "chance_limits", unsplit="each provider")
    cohorts, chance, worklist = of(returning.cohorts), of(returning.chance_limits), of(standing.worklist)
    made = {
        "cohorts": show("cohorts", (*by_period, "months", "measure", *which), "Cohorts", cohorts),
        "second visit": again("Second visit within 45 days", SECOND),
        "against chance": against((*by_period, "split", *which), "Second visit, against chance", chance),
        "days 31-90": again("Back in days 31-90", LATER),
        "survival": stay("How long they stay", "lapse"),
        "time to second visit": stay("Time to the second visit", "second visit"),
        "states": show("states", ("as_of", *which), "Where clients stand", of(standing.states)),
        "flow": show("flow", ("as_of", "start", "every", *which), "Who comes and goes", of(standing.flow)),
        "funnel": show("funnel", ("as_of",), "From sign-up to second visit", of(standing.funnel)),
        "definitions": show("definitions", (*days, *which), "Definitions", of(returning.definitions)),
        "worklist": show("worklist", ("as_of", "provider_ids"), "Whom to call", worklist, has_links=True),
    }
    return {name: choosing.marked(shown, source.marks_of(name)) for name, shown in made.items()}
