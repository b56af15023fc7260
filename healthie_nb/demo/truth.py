"""What is true of the demo practice: the probabilities its rows are made from, for tests to recover.

Denominators, in words. A visit is *due* when it was not cancelled a day or more ahead and not rescheduled away. A due
visit is missed with `no_show_probability`; of the rest some are cancelled late. Whether anyone recorded the outcome is
a separate draw, so the share among recorded due visits is the same. A *course* is a client's row of one-to-one
clinical visits; each of its visits is the last with the drop-out probability of its type, whatever its outcome.
"""

from dataclasses import dataclass
from datetime import date

import polars as pl

ZONE = "America/New_York"
RAILS_ZONE = "Eastern Time (US & Canada)"
ORGANIZATION_ID = "1700"
ORGANIZATION = "Demo practice (synthetic)"
FIRST_DAY = date(2023, 7, 1)
LAST_DAY = date(2026, 6, 30)
LATE_STATUS_FROM = date(2025, 1, 1)
"""From this day a late cancellation has a status of its own; before, it is Cancelled like the others."""


@dataclass(frozen=True)
class Provider:
    """A member of staff, and what is true of them."""

    id: str
    name: str
    share: float
    no_show: float
    signs_within_72_h: float
    started: date = date(2023, 6, 1)
    left: date | None = None


OWNER_ID = "901"
PROVIDERS = (
    Provider("901", "Avery Lindqvist", 0.06, 0.05, 0.95),
    Provider("902", "Bilal Okonkwo", 0.11, 0.08, 0.92),
    Provider("903", "Carmen Iturbe", 0.10, 0.07, 0.90),
    Provider("904", "Dmitri Vasquez", 0.11, 0.09, 0.88),
    Provider("905", "Esther Nakagawa", 0.10, 0.06, 0.93),
    Provider("906", "Farid Holloway", 0.09, 0.10, 0.35),
    Provider("907", "Greta Mbeki", 0.09, 0.08, 0.91),
    Provider("908", "Hiro Castellanos", 0.08, 0.12, 0.86),
    Provider("998", "Ines Papadakis", 0.08, 0.07, 0.89, left=date(2024, 11, 30)),
    Provider("999", "Jonas Whitfield", 0.07, 0.11, 0.80, left=date(2025, 8, 31)),
    Provider("1000", "Keiko Abernathy", 0.06, 0.06, 0.94, started=date(2024, 9, 1)),
    Provider("1001", "Luca Fontaine", 0.05, 0.08, 0.90, started=date(2025, 3, 1)),
)
MONDAY_MORNING_PROVIDER = "904"
MONDAY_MORNING_NO_SHOW = 0.30
"""Added for that provider's visits that start before noon on a Monday."""
LATE_SIGNER = "906"
WEEKDAY_NO_SHOW = {1: 0.02, 2: 0.0, 3: 0.0, 4: 0.0, 5: 0.03}
LEAD_NO_SHOW = ((7, 0.0), (21, 0.02), (100_000, 0.05))
"""Days from booking to visit, up to and including; a visit of a recurring series has no lead and adds nothing."""

INTAKE, FOLLOW_UP, THERAPY, GROUP, DISCOVERY, ADMIN, RETIRED = "2001", "2002", "2003", "2004", "2005", "2006", "1999"


@dataclass(frozen=True)
class VisitType:
    """An appointment type, the role it plays and how likely its visit is a course's last."""

    id: str
    name: str
    role: str
    minutes: int
    drop_out: float | None = None
    deleted: date | None = None


TYPES = (
    VisitType(INTAKE, "Initial consultation", "intake", 60, 0.20),
    VisitType(FOLLOW_UP, "Follow-up visit", "follow-up", 30, 0.13),
    VisitType(THERAPY, "Weekly therapy session", "follow-up", 50, 0.07),
    VisitType(GROUP, "Skills group", "group", 90, 0.10),
    VisitType(DISCOVERY, "Free discovery call", "discovery", 15),
    VisitType(ADMIN, "Care coordination", "admin", 20),
    VisitType(RETIRED, "Phone check-in", "follow-up", 20, 0.22, deleted=date(2024, 9, 1)),
)


@dataclass(frozen=True)
class Form:
    """A form template; `completion` is the probability that a request of it is ever completed."""

    id: str
    name: str
    role: str
    completion: float | None = None
    days: int = 14
    is_chart_note: bool = False
    by_healthie: bool = False


INTAKE_FORM, CONSENT, PHQ, DIARY, SURVEY, NOTE, GROUP_NOTE = "301", "302", "303", "304", "305", "306", "307"
FORMS = (
    Form(INTAKE_FORM, "New client questionnaire", "intake", 0.84, 10),
    Form(CONSENT, "Consent to treatment", "consent", 0.94, 6),
    Form(PHQ, "Mood questionnaire (PHQ-9 style)", "outcome measure", 0.70, 9, by_healthie=True),
    Form(DIARY, "Food and mood diary", "diary", 0.18, 21),
    Form(SURVEY, "Satisfaction survey", "survey", 0.42, 28),
    Form(NOTE, "Progress note", "chart note", is_chart_note=True),
    Form(GROUP_NOTE, "Group note", "chart note", is_chart_note=True),
)
STARTED_NOT_COMPLETED = 0.4
"""Of the requests that are never completed, the share that was begun."""

CANCELLED_EARLY, MOVED, REBOOKED = 0.06, 0.04, 0.03
"""Shares of visits cancelled over 24 h ahead, moved on the same row, and replaced by a new row (Re-Scheduled)."""
CANCELLED_LATE = 0.035
"""Share of the due visits not missed that are cancelled within 24 h."""
UNRECORDED, LEFT_CHECKED_IN = 0.025, 0.006
BOOKS_INTAKE, BOOKS_DISCOVERY = 0.86, 0.45
GROUP_MISSED, GROUP_CANCELLED = 0.14, 0.06
NO_NOTE, NEVER_SIGNED = 0.03, 0.03
PROGRAMME_VISITS = 12
CARE_GROUP, PROGRAMME_GROUP, COMPLETED_GROUP = "41", "42", "43"
GROUPS = {
    CARE_GROUP: "Ongoing care",
    PROGRAMME_GROUP: "12-visit programme",
    COMPLETED_GROUP: "12-visit programme: completed",
}
SEASON = (1.55, 1.15, 1.0, 0.95, 0.9, 0.8, 0.7, 0.8, 1.3, 1.1, 0.95, 0.6)
"""Sign-ups by month of the year, January first, in relation to each other."""


def no_show_probability(
    provider_id: pl.Expr, weekday: pl.Expr, hour: pl.Expr, lead_days: pl.Expr, *, is_recurring: pl.Expr
) -> pl.Expr:
    """Probability that a due visit is missed.

    Weekday 1 is Monday; hour is local; lead_days whole days since booking.
    """
    base = provider_id.replace_strict({one.id: one.no_show for one in PROVIDERS}, return_dtype=pl.Float64)
    of_weekday = weekday.cast(pl.Int64).replace_strict(WEEKDAY_NO_SHOW, default=0.0, return_dtype=pl.Float64)
    is_monday_morning = (provider_id == MONDAY_MORNING_PROVIDER) & (weekday == 1) & (hour < 12)  # noqa: PLR2004 - noon
    (week, at_week), (month, at_month), (_, beyond) = LEAD_NO_SHOW
    of_lead = (
        pl.when(is_recurring | (lead_days <= week)).then(at_week).when(lead_days <= month).then(at_month)
    ).otherwise(beyond)
    return base + of_weekday + of_lead + pl.when(is_monday_morning).then(MONDAY_MORNING_NO_SHOW).otherwise(0.0)


def drop_out_probability(type_id: pl.Expr) -> pl.Expr:
    """Probability that a visit of the type is its course's last one."""
    return type_id.replace_strict(
        {one.id: one.drop_out for one in TYPES if one.drop_out is not None}, default=0.0, return_dtype=pl.Float64
    )
