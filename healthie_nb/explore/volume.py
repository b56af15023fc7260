"""The explorer of the volume notebook: what was on the calendar, what was missed, what is booked."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from healthie_nb.explore import attending, choosing, counting
from healthie_nb.explore.calendar import Calendar
from healthie_nb.explore.choosing import WHICH, show
from healthie_nb.live import Explorer, Show

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from datetime import date

    import polars as pl

    from healthie_nb.live import Answer
    from healthie_nb.practice import Practice

DAYS: Final = ("as_of", "start", "end")


def volume(
    practice: Practice,
    visits: pl.DataFrame,
    settings: Mapping[str, Any],
    *,
    clients: pl.DataFrame,
    providers: pl.DataFrame,
    appointment_types: pl.DataFrame,
    targets: pl.DataFrame | None = None,
    annotations: pl.DataFrame | None = None,
    days_off: Collection[date] = (),
) -> Explorer:
    """Visits to look around in: how many, missed, cancelled, unmarked and booked, when and with whom.

    The lists choose visits by what each of them is like.

    Parameters
    ----------
    practice
        From `connect`: it knows whether the data is made up, and where exports come from.
    visits
        The whole history and what is booked, from `visits`.
    settings
        Every parameter of the notebook, from `parameters.settings`; the controls start from them.
    clients, providers, appointment_types
        Rows of the queries.
    targets, annotations
        As `roles.read` gives them, to be drawn.
    days_off
        Days from Monday to Friday that were no working days, as in `volume.counts`.

    Raises
    ------
    MetricError as the metrics in `volume`.
    """
    named_by = {"provider_id": providers, "appointment_type_id": appointment_types}
    marks = {"targets": targets, "annotations": annotations}
    source = Calendar(practice, visits, settings, clients, named_by, marks=marks, days_off=days_off)
    choices = choosing.controls_of("appointment_volume", settings, source.names)
    return Explorer(
        "appointment_volume", shows(source), choices, practice=practice, first=settings["show"], names=source.names
    )


def shows(source: Calendar) -> dict[str, Show]:
    """Everything there is to show, by the word for it in the parameter `show`."""
    which = tuple(WHICH)
    by_period = (*DAYS, "every")

    def of(view: Callable[..., Answer], **options: Any) -> Callable[[Mapping[str, Any]], Answer]:
        return partial(view, source, **options)

    def off(told: str) -> Callable[[Mapping[str, Any]], Answer]:
        return of(attending.cancellations, told=told)

    counted, rated = (*by_period, "unit", "split", *which), (*by_period, "measure", "late")
    by_status = partial(show, "counts", unsplit=counting.UNSPLIT)
    per_day, rebooked = of(counting.counts, per_working_day=True), of(attending.rebooked)
    made = {
        "visits": by_status(("compare_to", *counted), "On the calendar", of(counting.counts)),
        "per working day": by_status(counted, "Per working day", per_day),
        "missed": show("rates", (*rated, "split", *which), "Missed visits", of(attending.rates)),
        "first visits": show("rates", rated, "Missed: first visits", of(attending.first_visits)),
        "cancelled": show("cancellations", (*by_period, "split", *which), "Cancelled, by whom", off("who")),
        "why cancelled": show("cancellations", (*by_period, *which), "Cancelled, why", off("why")),
        "unmarked": show("unmarked", ("as_of", *which), "Unmarked", of(attending.unmarked)),
        "booked": show("booked", ("as_of", "weeks_ahead", *which), "Booked ahead", of(counting.booked)),
        "booking curve": show(
            "booking_curve", ("as_of", "weeks_ahead", *which), "Booking curve", of(counting.booking_curve)
        ),
        "weekday and hour": show("heat", (*DAYS, *which), "Weekday and hour", of(attending.heat)),
        "lead": show("lead", (*DAYS, "split", *which), "Days booked ahead", of(attending.lead)),
        "providers": show(
            "funnel_plot", (*DAYS, "measure", "late", *which), "Providers", of(attending.funnel_plot)
        ),
        "rebooked": show("rebooked", (*by_period, "split"), "Rebooked", rebooked),
        "clients": show("panel", (*by_period, "split", *which), "Clients under care", of(counting.panel)),
    }  # fmt: skip
    return {name: choosing.marked(shown, source.marks) for name, shown in made.items()}
