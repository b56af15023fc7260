"""One practice under several readings of "retained", side by side."""

from datetime import date
from typing import Any, Final

import polars as pl

from healthie_nb.newcomers import day_number, known
from healthie_nb.returns import Cell, returns
from healthie_nb.stats import FEW, wilson

_OURS: Final = Cell(1, "days 31-90", 31, 90)
_SECOND: Final = Cell(2, "days 1-90", 1, 90)
CELLS: Final = (_OURS, _SECOND)  # what `definitions` asks of each newcomer


def definitions(
    visits: Any,
    *,
    as_of: str | date,
    history_from: str | date | None = None,
    clients: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """One practice under three readings of "retained", side by side.

    Ours: a visit in days 31-90. Sessions, in the style of PracticeVital: 8 or more visits by `as_of`, among first
    visits at least 8 weeks before it; under 4, churned. Second visit, in the style of Valant: another visit within 90
    days; none, "initial only". Visits are occurred clinical ones, of new clients with complete history.

    Rows
    ----
    One per definition, in that order.

    Columns
    -------
    definition, meaning String; eligible, retained, lost Int64 (lost: as the definition says it, which need not be the
    rest); rate Float64 retained / eligible, null when nobody is; low, high Float64, Wilson 95 %; few Boolean, under 30
    eligible; compared Int64, clients eligible by this and by ours; as_ours Int64, those of them judged the same.

    Raises
    ------
    MetricError as `cohorts`.

    Source
    ------
    queries/appointments.graphql through `visits`; queries/clients.graphql; the vendors' public help pages.

    Examples
    --------
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-01-12"], "bob": ["2026-01-05", "2026-02-20"]})
    >>> definitions(seen, as_of="2026-06-30").select("definition", "eligible", "retained", "lost", "as_ours").rows()
    [('ours', 2, 1, 1, 2), ('sessions', 2, 0, 2, 1), ('second visit', 2, 2, 0, 1)]
    """
    new = returns(visits, as_of, keys=["client_id"], cells=CELLS, unit="day", columns=[])
    return compared(known(new, clients, history_from), as_of=as_of)


def compared(new: pl.DataFrame, *, as_of: str | date) -> pl.DataFrame:
    """Rows of `definitions` from one row per newcomer, as `returns` gives them for CELLS."""
    readings = _readings(day_number(as_of) - pl.col("first_day"))
    low, high = wilson("retained", "eligible")
    rate = pl.when(pl.col("eligible") > 0).then(pl.col("retained") / pl.col("eligible"))
    return (
        pl.concat(_reading(new, name, readings) for name in readings)
        .with_columns(rate=rate, low=low, high=high, few=pl.col("eligible") < FEW)
        .select(
            *("definition", "meaning", "eligible", "retained", "lost"),
            *("rate", "low", "high", "few", "compared", "as_ours"),
        )
    )


def _readings(age: pl.Expr) -> dict[str, tuple[str, pl.Expr, pl.Expr, pl.Expr]]:
    """Meaning of each definition, who is eligible, who is retained and who is lost by it."""
    came, second, sessions = pl.col(f"came_{_OURS.period}"), pl.col(f"came_{_SECOND.period}"), pl.col("visits")
    enough, few_sessions, mature_days = 8, 4, 56
    return {
        "ours": ("a visit in days 31-90", age >= _OURS.last, came, ~came),
        "sessions": ("8 or more visits, 8 weeks on", age >= mature_days, sessions >= enough, sessions < few_sessions),
        "second visit": ("another visit within 90 days", age >= _SECOND.last, second, ~second),
    }


def _reading(new: pl.DataFrame, name: str, readings: dict[str, tuple[str, pl.Expr, pl.Expr, pl.Expr]]) -> pl.DataFrame:
    meaning, is_in, stays, leaves = readings[name]
    _, in_ours, stays_in_ours, _ = readings["ours"]
    counts = {
        "eligible": is_in,
        "retained": is_in & stays,
        "lost": is_in & leaves,
        "compared": is_in & in_ours,
        "as_ours": is_in & in_ours & (stays == stays_in_ours),
    }
    return new.select(
        pl.lit(name).alias("definition"),
        pl.lit(meaning).alias("meaning"),
        *(who.sum().cast(pl.Int64).alias(count) for count, who in counts.items()),
    )
