"""How full the calendar is: counts and panel; rates, patterns, bookings, cancellations, and Healthie's own totals."""

from collections.abc import Collection, Sequence
from datetime import date, timedelta
from typing import Any, Final, Literal, get_args

import narwhals as nw
import polars as pl

from healthie_nb.attendance import LATE, MEASURES, Late, Measure, rates
from healthie_nb.bookings import booked, booking_curve, rebooked
from healthie_nb.called_off import cancellations, unmarked
from healthie_nb.engines import by_year, reduced
from healthie_nb.newcomers import EPOCH, Every, choice, day_number, is_over, occurred, offset
from healthie_nb.patterns import funnel_plot, heat, lead
from healthie_nb.reconciliation import reconcile
from healthie_nb.slices import By, begun, between, columns_of, periods
from healthie_nb.visits import MetricError, fixed_status

__all__ = [
    "LATE",
    "MEASURES",
    "By",
    "Every",
    "Late",
    "Measure",
    "Unit",
    "booked",
    "booking_curve",
    "cancellations",
    "counts",
    "funnel_plot",
    "heat",
    "lead",
    "panel",
    "rates",
    "rebooked",
    "reconcile",
    "unmarked",
]

Unit = Literal["appointments", "client visits", "provider hours"]

COUNTED: Final = ("provider", "type", "role", "status", "modality")
_YEAR: Final = {"week": "52w", "month": "1y", "quarter": "1y"}  # 52 weeks: the same weekdays


def counts(
    visits: Any,
    *,
    as_of: str | date,
    every: Every = "month",
    by: Sequence[By] = ("status",),
    unit: Unit = "client visits",
    days_off: Collection[date] = (),
) -> pl.DataFrame:
    """How much was on the calendar up to `as_of`, beside the period before and the same period of last year.

    Every role and status counts; slice by "status", or what was cancelled is in it. The `unit` is one of
    "client visits": each client's part in each appointment;
    "appointments": a group session once, with the status that Healthie gives the session, as appointmentsSummary does;
    "provider hours": length by the calendar, a session's hours once however many clients were in it and whoever helped
    to lead it (only the first provider is loaded); appointments of one provider that start at the same minute are one.

    Rows
    ----
    One per period and slice that has something in it, in the period before or in the same period of last year; without
    `by` one per period from the first visit to `as_of`; in that order.

    Columns
    -------
    period Date, its first day; per `by` provider_id, appointment_type_id, role, status, modality String; unit String;
    count Int64, Float64 for hours; before, last_year the same, null where that lies before the first period there is;
    a week's last year is 52 weeks back; working_days Int64, Monday to Friday without `days_off`, up to `as_of`;
    per_working_day Float64, count / working_days, null when 0; is_open Boolean, the period is not over at `as_of`,
    while before and last_year are of whole periods.

    Raises
    ------
    MetricError for an option that is not allowed, `as_of` before the first visit, or a missing column.

    Source
    ------
    queries/appointments.graphql through `visits`.

    Examples
    --------
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-02-05 No-Show"], "bob": ["2026-02-09"]})
    >>> counts(seen, as_of="2026-02-28", by=[]).select("count", "before", "working_days", "per_working_day").rows()
    [(1, None, 22, 0.045454545454545456), (2, 1, 20, 0.1)]
    """
    choice(unit, get_args(Unit), name="unit")
    offset(every)
    columns = columns_of(by, COUNTED)
    made = tally(visits, as_of, every, columns, unit)
    return beside(made, as_of=as_of, every=every, columns=columns, unit=unit, days_off=days_off)


def beside(
    tally: pl.DataFrame,
    *,
    as_of: str | date,
    every: Every,
    columns: Sequence[str],
    unit: Unit,
    days_off: Collection[date] = (),
) -> pl.DataFrame:
    """Rows of `counts` from the count per period and slice, as `tally` gives it."""
    step, keys = offset(every), ["period", *columns]
    backs = {"count": "0d", "before": step, "last_year": _YEAR[every]}
    moved = [
        tally.lazy().select(*columns, pl.col("period").dt.offset_by(back), pl.col("count").alias(name))
        for name, back in backs.items()
    ]
    together = pl.concat(moved, how="diagonal").group_by(keys).agg(pl.sum(*backs))
    calendar = periods(tally["period"].min(), as_of, step)  # type: ignore[arg-type]
    began = pl.lit(tally["period"].min(), pl.Date)
    covered = [
        pl.when(pl.col("period").dt.offset_by(f"-{back}") >= began).then(pl.col(name).fill_null(0))
        for name, back in backs.items()
    ]
    is_there = pl.any_horizontal(pl.col(*backs) > 0) if columns else pl.lit(value=True)
    until = EPOCH + timedelta(days=day_number(as_of) + 1)
    end = pl.min_horizontal(pl.col("period").dt.offset_by(step), pl.lit(until))
    working = pl.business_day_count("period", end, holidays=days_off).cast(pl.Int64)
    return (
        calendar.lazy()
        .join(together, on="period", how="left")
        .with_columns(covered)
        .filter(is_there)
        .with_columns(unit=pl.lit(unit), working_days=working, is_open=~is_over("period", every, as_of))
        .with_columns(
            per_working_day=pl.when(pl.col("working_days") > 0).then(pl.col("count") / pl.col("working_days"))
        )
        .select(*keys, "unit", *backs, "working_days", "per_working_day", "is_open")
        .sort(*keys, nulls_last=True)
        .collect()
    )


def tally(visits: Any, as_of: str | date, every: Every, columns: list[str], unit: Unit) -> pl.DataFrame:
    """Count per period and slice. The big step of `counts`."""
    needs = ["appointment_id", "provider_id", "starts_at", "minutes", "healthie_status", "is_group", every, *columns]
    rows = between(begun(visits, as_of, *needs), None, as_of)
    # A session has one status, Healthie's own; its attendees have theirs.
    own = [{"status": "healthie_status"}.get(name, name) for name in columns]
    if unit == "client visits":
        own, counted = columns, [rows.group_by(every, *columns).agg(nw.len().alias("count"))]
    elif unit == "appointments":
        # Only a session has several rows: to tell all appointments apart would take memory for each.
        is_group, session = nw.col("is_group"), ["appointment_id", every, *own]
        each = [rows.filter(~is_group), rows.filter(is_group).select(*session).unique()]
        counted = [one.group_by(every, *own).agg(nw.len().alias("count")) for one in each]
    else:
        counted = [slots for part in by_year(rows) for slots in _minutes(part, every, own)]
    tallies = pl.concat(reduced(one) for one in counted).rename({every: "period"})
    made = tallies.group_by("period", *own).agg(pl.sum("count"))
    if own != columns:
        made = (
            made.with_columns(status=fixed_status("healthie_status")).group_by("period", *columns).agg(pl.sum("count"))
        )
    return made.with_columns(pl.col("count") / 60) if unit == "provider hours" else made


def _minutes(rows: nw.LazyFrame[Any], every: Every, own: Sequence[str]) -> list[nw.LazyFrame[Any]]:
    """Minutes per period and slice, whoever starts at one time once; an appointment without a provider by itself."""
    is_nobodys, minutes = nw.col("provider_id").is_null(), nw.col("minutes")
    counted = []
    for which, leader in ((~is_nobodys, "provider_id"), (is_nobodys, "appointment_id")):
        slots = rows.filter(which).group_by(*dict.fromkeys([leader, "starts_at", *own]))
        longest = slots.agg(minutes.max(), nw.col(every).max())  # the period follows from the start: no key
        counted.append(longest.group_by(every, *own).agg(minutes.sum().cast(nw.Int64).alias("count")))
    return counted


def panel(
    visits: Any, *, as_of: str | date, every: Every = "month", days: int = 90, by: Sequence[By] = ()
) -> pl.DataFrame:
    """Clients under care: distinct clients with an occurred clinical visit in the `days` up to each period's end.

    Rows
    ----
    One per period and slice with a client, in order; without `by` one per period from the first visit to `as_of`.

    Columns
    -------
    period Date, its first day; until Date, the last day counted: the period's last, or `as_of`; per `by` provider_id,
    appointment_type_id, role or modality String (a client counts once in each); clients Int64; is_short Boolean, fewer
    than `days` days lie between the first visit and `until`, so that it is still filling up.

    Raises
    ------
    MetricError for an option that is not allowed, `as_of` before the first visit, or a missing column.

    Source
    ------
    queries/appointments.graphql through `visits`.

    Examples
    --------
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05"], "bob": ["2026-01-09", "2026-04-09"]})
    >>> panel(seen, as_of="2026-04-30").select("until", "clients", "is_short").rows()[-2:]
    [(datetime.date(2026, 3, 31), 2, True), (datetime.date(2026, 4, 30), 1, False)]
    """
    if days < 1:
        raise MetricError(f"days is {days}: give how many days back a visit counts, at least 1.")
    step, columns = offset(every), columns_of(by, ("provider", "type", "role", "modality"))
    extra = [name for name in columns if name != "role"]
    rows = occurred(visits, as_of, every, *extra).group_by("client_id", every, *columns)
    seen = reduced(rows.agg(nw.col("day").max().alias("last_day"), nw.col("day").min().alias("first_day")))
    until = pl.min_horizontal(
        pl.col("period").dt.offset_by(step).dt.offset_by("-1d"), pl.lit(EPOCH + timedelta(days=day_number(as_of)))
    )
    calendar = periods(seen[every].min(), as_of, step).with_columns(until=until, place=pl.int_range(pl.len()))  # type: ignore[arg-type]
    began = seen.select(pl.col("first_day").min().cast(pl.Int32).cast(pl.Date)).item()
    # A period's last visit counts at the ends of this and later periods, until there is a later visit or it is too old.
    ends, own = calendar["until"].to_physical().cast(pl.Int64), pl.lit(calendar["period"]).search_sorted(pl.col(every))
    is_same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(-1)) for name in ["client_id", *columns])
    after = pl.when(is_same).then(pl.col("place").shift(-1))
    too_old = pl.lit(ends).search_sorted(pl.col("last_day") + days).cast(pl.Int64)
    spans = (
        seen.select("client_id", *columns, place=own.cast(pl.Int64), end=too_old)
        # Each client's periods together and in order: a window takes three times as long.
        .sort("place")
        .group_by("client_id", *columns)
        .agg("place", "end")
        .explode("place", "end")
        .select(*columns, "place", end=pl.min_horizontal("end", after))
        .filter(pl.col("place") < pl.col("end"))
    )
    # One more from where a span begins, one less from where it ends.
    steps = pl.concat(
        [spans.select(*columns, place=name, step=pl.lit(change)) for name, change in (("place", 1), ("end", -1))]
    )
    steps = steps.group_by(*columns, "place").agg(pl.col("step").sum())
    grid = calendar.join(spans.select(columns).unique(), how="cross") if columns else calendar
    clients = pl.col("step").fill_null(0).cast(pl.Int64).cum_sum()
    return (
        grid.join(steps, on=[*columns, "place"], how="left", nulls_equal=True)
        .sort("place")
        .with_columns(
            clients=clients.over(columns) if columns else clients,
            is_short=(pl.col("until") - pl.lit(began, pl.Date)).dt.total_days() + 1 < days,
        )
        .filter(pl.lit(not columns) | (pl.col("clients") > 0))
        .select("period", "until", *columns, "clients", "is_short")
        .sort("period", *columns, nulls_last=True)
    )
