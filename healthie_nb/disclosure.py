"""What each metric's table may tell outside the practice: its labels and counts, how they add up, or why it stays in.

One line per metric: a new one is told nothing of outside until it has its own.
"""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import polars as pl

from healthie_nb.privacy import suppress
from healthie_nb.visits import MetricError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from healthie_nb.suppression import Audience

Names = "Mapping[str, Mapping[str, str]]"
MODULES: Final = ("retention", "volume", "forms", "quality")
IDS: Final = {
    "provider_id": "provider",
    "appointment_type_id": "appointment type",
    "form_id": "form",
    "sender_id": "sender",
}


class DisclosureError(MetricError):
    """A table that cannot be made safe for readers outside the practice."""


@dataclass(frozen=True)
class Layout:
    """How a metric's table is made. Columns that stand in none of these are not its own, and do not leave.

    `by` in the order of its labels, those of slices only where the table has them; `told` by the labels, and `rest` by
    the counts, so hidden with them; `counts` to `follows` as `privacy.suppress` takes them; `blank` is not told, for
    numbers of other rows or tables follow from it; of each in `one_of` the table has one value only, for the
    difference of two is a count; rows with a value in `without` are left out.
    """

    by: tuple[str, ...]
    counts: tuple[str, ...]
    told: tuple[str, ...] = ()
    rest: tuple[str, ...] = ()
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    leaving: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    same: tuple[str, ...] = ()
    follows: Mapping[str, str] = field(default_factory=dict)
    adds_up: bool = False
    blank: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    without: Mapping[str, str] = field(default_factory=dict)


_SLICES: Final = (
    *("provider_id", "appointment_type_id", "role", "modality", "source_name", "status", "weekday", "hour", "is_first"),
)
_RATE: Final = ("rate", "low", "high", "few")
_ROBUST: Final = ("robust_low", "robust_high")
_CLIENTS: Final = "it lists clients or their visits one by one"
_BY_DAY: Final = "it has a step for each day on which somebody left: publish cohorts, or a share at a few days, instead"
_DESK: Final = "it is a list for the practice's own desk"

LAYOUTS: Final[Mapping[str, Layout | str]] = {
    # retention
    "cohorts": Layout(("cohort", *_SLICES, "period"), ("clients", "eligible", "returned"), ("label",),
                      (*_RATE, "is_open"), {"clients": ("eligible",), "eligible": ("returned",)},
                      leaving={"eligible": ()}, same=("clients",)),
    "means": Layout((*_SLICES, "period"), ("eligible", "returned"), ("label",),
                    ("cohorts", "weighted", "simple", "low", "high", "few"), {"eligible": ("returned",)},
                    leaving={"eligible": ()}),
    "chance_limits": Layout(_SLICES, ("eligible", "returned"), ("label",),
                            ("cohorts", "rate", "overall", "low_95", "high_95", "low_998", "high_998", "standing",
                             "few"),
                            {"eligible": ("returned",)}, adds_up=True),
    "population": Layout(("standing",), ("clients",), adds_up=True),
    "definitions": Layout(("definition",), ("eligible", "retained", "lost"), ("meaning",), _RATE,
                          {"eligible": ("retained", "lost")}, blank=("compared", "as_ours")),
    "funnel": Layout(("step",), ("clients", "before", "too_recent"), (), (*_RATE, "median_days"),
                     {"before": ("clients",)}, leaving={"clients": ()}, same=("too_recent",),
                     follows={"before": "clients"}),
    "states": Layout(("state", "reason"), ("clients",), (), ("share", "low", "high", "few"), adds_up=True),
    "flow": Layout(("period",), ("before", "new", "kept", "returned", "left", "active", "unknown"), (), ("is_open",),
                   {"active": ("new", "kept", "returned"), "before": ("kept", "left")}, follows={"before": "active"}),
    "survival": _BY_DAY,
    "spells": _CLIENTS,
    "worklist": _CLIENTS,
    # volume
    "counts": Layout(("period", *_SLICES), ("count",), ("unit", "working_days", "is_open"), ("per_working_day",),
                     blank=("before", "last_year")),
    "panel": Layout(("period", *_SLICES), ("clients",), ("until", "is_short")),
    "rates": Layout(("period", *_SLICES, "measure", "late"), ("clients", "due", "missed", "unmarked"), (),
                    (*_RATE, *_ROBUST, "design_effect", "if_kept", "if_missed", "is_open"), {"due": ("missed",)},
                    one_of=("measure", "late")),
    "funnel_plot": Layout(("provider_id",), ("due", "missed"), (),
                          ("rate", "overall", "low_95", "high_95", "low_998", "high_998", "standing", "design_effect",
                           "few"), {"due": ("missed",)}, adds_up=True),
    "heat": Layout((*_SLICES,), ("visits", "due", "missed"), (), _RATE, {"visits": ("due",), "due": ("missed",)}),
    "lead": Layout((*_SLICES, "lead"), ("visits", "due", "missed"), (), _RATE,
                   {"visits": ("due",), "due": ("missed",)}, blank=("share",)),
    # A median of weeks is the count of one of them, or lies between two.
    "booked": Layout((*_SLICES, "ahead"), ("booked", "usual", "lowest", "highest", "usual_final"),
                     ("week_from", "week_to", "earlier")),
    "booking_curve": Layout((*_SLICES, "ahead", "back"), ("booked", "final"), ("seen_on", "week_from", "week_to")),
    "rebooked": Layout(("period", *_SLICES), ("clients", "visits", "rebooked"), (), (*_RATE, *_ROBUST, "is_open"),
                       {"visits": ("rebooked",)}),
    "cancellations": Layout(("period", *_SLICES, "cancelled_by", "cancellation_reason", "notice"),
                            ("cancellations", "late_by_status"),
                            ("is_open",), ("few",), {"cancellations": ("late_by_status",)},
                            blank=("visits", "rate", "low", "high")),
    "unmarked": _DESK,
    "reconcile": _DESK,
    # forms
    "requests": Layout(("form_id", "sender_id"),
                       ("requests", "open", "started", "completed", "withdrawn", "waiting_or_done"), (),
                       ("completed_now", "low", "high", *_ROBUST, "few"),
                       {"requests": ("waiting_or_done", "withdrawn"), "waiting_or_done": ("open", "started",
                                                                                          "completed")}),
    "notes": Layout(("period", *_SLICES), ("appointments", "due", "signed", "late", "unsigned", "missing"), (),
                    (*_RATE, "is_open"), {"appointments": ("due",), "due": ("signed", "late", "unsigned", "missing")}),
    "before_first_visit": Layout(("period", "role"), ("clients", "done"), ("is_open",), _RATE, {"clients": ("done",)},
                                 same=("clients",), without={"role": "all"}),
    "measures": Layout(("form_id", "window"), ("clients", "done"), (), _RATE, {"clients": ("done",)},
                       leaving={"clients": ()}),
    "ledger_standing": Layout(("says",), (), ("pulls", "first", "last", "days", "is_old_enough")),
    "open_notes": _DESK,
    "overdue": _CLIENTS,
    "overdue_notes": _CLIENTS,
    "readiness": _CLIENTS,
    "unready": _CLIENTS,
    "request_times": _CLIENTS,
    "time_to_complete": _BY_DAY,
    "turnbull": _BY_DAY,
    # quality
    "checks": _DESK,
}  # fmt: skip

# Charts, and tables beside them, that add up rows: sums of what is left would be wrong.
ADDING: Final = ("counts", "cancellations", "requests")
# Charts and tables with a name of their own, and the metric whose rows they show.
METRIC_OF: Final = {"second_visit": "cohorts", "notes_over_time": "notes"}


def told(
    table: pl.DataFrame, *, metric: str | None, audience: Audience, names: Mapping[str, Mapping[str, str]] | None = None
) -> pl.DataFrame:
    """Table as this audience may have it: for "internal" as it is; for "external" without small counts and ids.

    Ids of providers, types, forms and senders become the `names` given by column and id, or numbers in their order.

    Raises
    ------
    DisclosureError for a table that stays in the practice, is no metric's, or has columns that are not the metric's.
    ValueError for an audience that is not allowed.

    Examples
    --------
    >>> table = pl.DataFrame({"standing": ["new", "unknown", "not seen"], "clients": [70, 4, 25]})
    >>> told(table, metric="population", audience="external")["clients"].to_list()
    [70, None, None]
    """
    if audience not in ("internal", "external"):
        raise ValueError(f"audience is {audience!r}; allowed are 'internal' and 'external'.")
    if audience == "internal":
        return table
    layout = layout_of(metric)
    assert metric
    rows = _own(table, metric, layout)
    for column, value in layout.without.items():
        rows = rows.filter(pl.col(column).ne_missing(value))
    rows = rows.with_columns(
        pl.lit(None, rows.schema[name]).alias(name) for name in layout.blank if name in rows.columns
    )
    return _named(_suppressed(rows, metric, layout), names or {})


def layout_of(metric: str | None) -> Layout:
    """How this metric's table is made.

    Raises
    ------
    DisclosureError for one that stays in the practice, or that is not known.
    """
    known = ", ".join(sorted(name for name, layout in LAYOUTS.items() if isinstance(layout, Layout)))
    if metric is None:
        raise DisclosureError(f"only a metric's table can be made safe for readers outside; say which: {known}.")
    layout = LAYOUTS.get(METRIC_OF.get(metric, metric))
    if layout is None:
        raise DisclosureError(f"no metric is called {metric!r}; for readers outside there are: {known}.")
    if isinstance(layout, str):
        raise DisclosureError(f"{metric} stays in the practice: {layout}. For readers outside there are: {known}.")
    return layout


def may_leave(metric: str) -> bool:
    """Whether this metric's table, or this chart, may be shown outside, once its small counts are hidden."""
    return isinstance(LAYOUTS.get(METRIC_OF.get(metric, metric)), Layout)


def to_draw(
    table: pl.DataFrame, *, metric: str, audience: Audience, names: Mapping[str, Mapping[str, str]] | None = None
) -> pl.DataFrame:
    """As `told`, for a chart or a table beside it.

    Raises
    ------
    DisclosureError as `told`, and for counts that are added up where some of them are hidden.
    """
    shown = told(table, metric=metric, audience=audience, names=names)
    counts = layout_of(metric).counts if audience == "external" else ()
    if metric in ADDING and sum(shown[name].null_count() - table[name].null_count() for name in counts) > 0:
        raise DisclosureError(
            f"some counts of {metric} are hidden, and without them its sums would be wrong: choose longer periods or a "
            "coarser split, or export its table."
        )
    return shown


def definition(metric: str) -> str:
    """First paragraph of what the metric's own documentation says, in one line.

    Examples
    --------
    >>> definition("population")
    'Who is in the cohorts and who is not, every client once.'
    """
    metric = METRIC_OF.get(metric, metric)
    found = (getattr(importlib.import_module(f"healthie_nb.{name}"), metric, None) for name in MODULES)
    documented = inspect.getdoc(next((function for function in found if callable(function)), None)) or ""
    return " ".join(documented.split("\n\n", 1)[0].split())


def _own(table: pl.DataFrame, metric: str, layout: Layout) -> pl.DataFrame:
    """Refuse columns that are not the metric's, and several values where one is due."""
    own = {*layout.by, *layout.counts, *layout.told, *layout.rest, *layout.blank}
    if lacking := [name for name in layout.counts if name not in table.columns]:
        raise DisclosureError(f"this is no table of {metric}: it lacks {', '.join(lacking)}.")
    if foreign := [name for name in table.columns if name not in own]:
        raise DisclosureError(f"{metric} has no {', '.join(foreign)}: leave out what its table did not have.")
    for name in layout.one_of:
        if name in table.columns and table[name].n_unique() > 1:
            raise DisclosureError(f"a small count follows from the difference of two {name}s: filter to one of them.")
    return table


def _suppressed(rows: pl.DataFrame, metric: str, layout: Layout) -> pl.DataFrame:
    counts, by = list(layout.counts), [name for name in layout.by if name in rows.columns]
    if not counts or rows.is_empty():
        return rows
    kept = [name for name in layout.told if name in rows.columns]
    # Hours are counted up to the next whole one, and what nobody knows tells nothing.
    whole = rows.drop(kept).with_columns(pl.col(counts).fill_null(0).ceil().cast(pl.Int64))
    try:
        shown = suppress(
            whole,
            by=by,
            counts=counts,
            parts=layout.parts,
            leaving=layout.leaving,
            same=layout.same,
            follows=layout.follows,
            adds_up=layout.adds_up,
            audience="external",
        )
    except ValueError as error:
        raise DisclosureError(f"{metric} cannot be made safe as it is: {error}") from None
    is_shown = {name: shown[name].is_not_null() for name in counts}
    return shown.with_columns(
        *(pl.when(is_there).then(rows[name]).alias(name) for name, is_there in is_shown.items()), *rows.select(kept)
    ).select(rows.columns)


def _named(rows: pl.DataFrame, names: Mapping[str, Mapping[str, str]]) -> pl.DataFrame:
    """Put names or numbers in place of ids."""
    columns = [name for name in IDS if name in rows.columns]
    return rows.with_columns(
        pl.col(name).replace_strict(
            ids := rows[name].drop_nulls().unique().sort(),
            _labels(ids, IDS[name], names.get(name, {})),
            return_dtype=pl.String,
        )
        for name in columns
    )


def _labels(ids: pl.Series, kind: str, names: Mapping[str, str]) -> list[str]:
    return [names.get(key) or f"{kind} {number}" for number, key in enumerate(ids, start=1)]
