"""What each check of quality finds: a level and the value it was judged by. Their words are in quality.py."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal

import polars as pl

from healthie_nb.chart_notes import notes
from healthie_nb.completion import ledger_standing
from healthie_nb.newcomers import EPOCH, day_number
from healthie_nb.roles import unmapped, unmapped_forms
from healthie_nb.visits import require

Level = Literal["green", "amber", "red"]
Judgement = tuple[Level, str]

SETTLING_DAYS: Final = 7
LONGEST_MINUTES: Final = 480
NAMED_WEEKS: Final = 6
_CALLED_OFF: Final = ("cancelled", "late_cancelled", "rescheduled")
_HAPPENED: Final = ("occurred", "no_show", "checked_in")


@dataclass(frozen=True)
class Given:
    """What there is to judge. Visits are those up to `as_of`; those after it are in `all_visits`."""

    as_of: str | date
    all_visits: pl.DataFrame
    history_from: str | date | None = None
    loaded_at: datetime | None = None
    clients: pl.DataFrame | None = None
    providers: pl.DataFrame | None = None
    appointment_types: pl.DataFrame | None = None
    roles: pl.DataFrame | None = None
    form_templates: pl.DataFrame | None = None
    form_roles: pl.DataFrame | None = None
    chart_notes: pl.DataFrame | None = None
    reconciled: pl.DataFrame | None = None
    unplaced: pl.DataFrame | None = None
    vanished: pl.DataFrame | None = None
    ledger_counts: pl.DataFrame | None = None
    filled_forms: pl.DataFrame | None = None
    form_requests: pl.DataFrame | None = None
    stored: pl.DataFrame | None = None

    @property
    def day(self) -> date:
        """The day the numbers speak for."""
        return EPOCH + timedelta(days=day_number(self.as_of))

    @property
    def visits(self) -> pl.DataFrame:
        """Visits up to that day."""
        return self.all_visits.filter(pl.col("date") <= self.day)


def _level(value: float, *, amber: float, red: float) -> Level:
    """Green below amber, red from red on."""
    return "red" if value >= red else "amber" if value >= amber else "green"


def _share(rows: pl.DataFrame, is_so: pl.Expr, *, amber: float, red: float, what: str) -> Judgement:
    """Judge by the share of rows for which something is so."""
    found = int(rows.select(is_so.fill_null(value=False).sum()).item())
    share = found / max(rows.height, 1)
    return _level(share, amber=amber, red=red), f"{found:,} of {rows.height:,} {what} ({share:.1%})"


def as_of(given: Given) -> Judgement:
    """Whether the day was over when the rows were loaded, in the zone of that instant."""
    assert given.loaded_at
    loaded = given.loaded_at.date()
    level: Level = "red" if given.day > loaded else "amber" if given.day == loaded else "green"
    return level, f"numbers of {given.day}, loaded on {loaded}"


def reconciled(given: Given) -> Judgement:
    """Judge how much our counts differ from Healthie's totals."""
    assert given.reconciled is not None
    require(given.reconciled, ["ours", "difference"], query="reconciled")
    if given.reconciled["difference"].null_count() == given.reconciled.height > 0:
        return "amber", "Healthie's totals are not ready"
    apart = int(given.reconciled["difference"].abs().sum())
    share = apart / max(int(given.reconciled["ours"].sum()), 1)
    return ("green" if apart == 0 else _level(share, amber=0, red=0.01)), f"{apart:,} apart ({share:.2%})"


def history(given: Given) -> Judgement:
    """Judge how many days the history spans."""
    first = given.all_visits["date"].min()
    if given.history_from is not None:
        first = EPOCH + timedelta(days=day_number(given.history_from, name="history_from"))
    if not isinstance(first, date):
        return "red", "no visits"
    days = (given.day - first).days
    return ("green" if days >= 455 else "amber" if days >= 180 else "red"), f"complete from {first}: {days:,} days"  # noqa: PLR2004 - a year and a quarter, half a year


def unmarked(given: Given) -> Judgement:
    """Judge the past visits without a status, the newest aside."""
    old = given.visits.filter(pl.col("date") < given.day - timedelta(days=SETTLING_DAYS))
    return _share(old, pl.col("status") == "unrecorded", amber=0.02, red=0.05, what="visits older than 7 days")


def settling(given: Given) -> Judgement:
    """Judge the newest visits that have no status yet."""
    late = given.visits.filter(pl.col("date") >= given.day - timedelta(days=SETTLING_DAYS))
    return _share(late, pl.col("status") == "unrecorded", amber=0.05, red=0.5, what="visits at most 7 days old")


def types(given: Given) -> Judgement:
    """Judge the visits of types without a role."""
    assert given.appointment_types is not None
    assert given.roles is not None
    missing = unmapped(given.appointment_types, given.roles)["appointment_type_id"]
    is_missing = pl.col("appointment_type_id").is_in(missing.implode()) | pl.col("appointment_type_id").is_null()
    level, value = _share(given.visits, is_missing, amber=1e-9, red=0.05, what="visits")
    return level, f"{len(missing)} {'type' if len(missing) == 1 else 'types'} without a role; {value}"


def forms(given: Given) -> Judgement:
    """Judge the forms without a role."""
    assert given.form_templates is not None
    assert given.form_roles is not None
    missing = unmapped_forms(given.form_templates, given.form_roles).height
    of = given.form_templates.filter(~pl.col("is_chart_note").fill_null(value=False)).height
    return _level(missing, amber=1, red=max(of, 2)), f"{missing} of {of} forms"


def statuses(given: Given) -> Judgement:
    """Judge the visits whose status is none that we know."""
    return _share(given.visits, pl.col("status") == "other", amber=1e-9, red=0.01, what="visits")


def late_status(given: Given) -> Judgement:
    """Find the day from which late cancellations have a status of their own."""
    first = given.visits.filter(pl.col("status") == "late_cancelled")["date"].min()
    before = given.visits.filter(pl.col("status") == "cancelled")["date"].min()
    if not isinstance(first, date):
        return "amber", "never used"
    is_midway = isinstance(before, date) and (first - before).days > 90  # noqa: PLR2004 - a quarter
    return ("amber" if is_midway else "green"), f"first used for a visit on {first}"


def future(given: Given) -> Judgement:
    """Find visits with an outcome that begin after they were loaded."""
    assert given.loaded_at
    ahead = given.all_visits.filter(pl.col("starts_at") > given.loaded_at.astimezone(UTC))
    found = ahead.filter(pl.col("status").is_in(_HAPPENED)).height
    return _level(found, amber=1, red=10), f"{found:,} visits"


def doubles(given: Given) -> Judgement:
    """Find visits of one client that begin at the same minute."""
    kept = given.visits.filter(~pl.col("status").is_in(_CALLED_OFF))
    is_double = pl.struct("client_id", "starts_at").is_duplicated()
    return _share(kept, is_double, amber=1e-9, red=0.005, what="visits")


def lengths(given: Given) -> Judgement:
    """Find visits without a length, or with one that cannot be."""
    minutes = pl.col("minutes")
    is_odd = minutes.is_null() | (minutes <= 0) | (minutes > LONGEST_MINUTES)
    return _share(given.visits, is_odd, amber=1e-9, red=0.02, what="visits")


def charted(given: Given) -> Judgement:
    """Judge the appointments that took place and have no chart note after three days."""
    assert given.chart_notes is not None
    table = notes(given.all_visits, given.chart_notes, as_of=given.as_of, by=[])
    missing, due = int(table["missing"].sum()), int(table["due"].sum())
    share = missing / max(due, 1)
    return _level(share, amber=0.05, red=0.15), f"{missing:,} of {due:,} appointments ({share:.1%})"


def attendance(given: Given) -> Judgement:
    """Judge the group visits whose attendance nobody marked, and sessions without anybody listed."""
    group = given.visits.filter("is_group")
    level, value = _share(group, pl.col("status") == "unrecorded", amber=0.02, red=0.1, what="group visits")
    if given.unplaced is None:
        return level, value
    lost = int(given.unplaced.filter(pl.col("reason") == "group without attendees")["rows"].sum())
    return ("red" if lost and group.is_empty() else level), f"{value}; {lost:,} sessions without attendees"


def vanished(given: Given) -> Judgement:
    """Judge how many rows were deleted after they had been loaded."""
    assert given.vanished is not None
    share = given.vanished.height / max(given.all_visits.height, 1)
    return _level(share, amber=0.01, red=0.05), f"{given.vanished.height:,} appointments"


def merges(given: Given) -> Judgement:
    """Find visits of clients who are not on the list."""
    assert given.clients is not None
    require(given.clients, ["id"], query="clients")
    is_gone = ~pl.col("client_id").is_in(given.clients["id"].implode())
    return _share(given.visits, is_gone, amber=1e-9, red=0.01, what="visits")


def mass_edits(given: Given) -> Judgement:
    """Find the second in which most visits were changed."""
    seconds = given.all_visits.group_by(pl.col("updated_at").dt.truncate("1s")).len().sort("len", "updated_at")
    if seconds.is_empty():
        return "green", "no visits"
    when, most = seconds.row(-1)
    share = most / given.all_visits.height
    if most < 10 or share < 0.02:  # noqa: PLR2004 - a few bookings made together are no mass edit
        return "green", f"at most {most} visits in one second"
    return "amber", f"{most:,} visits ({share:.0%}) last changed at {when:%Y-%m-%d %H:%M:%S} UTC"


def weeks(given: Given) -> Judgement:
    """Find whole weeks with under half the usual visits that took place."""
    monday = given.day + timedelta(days=1)
    whole = given.visits.filter(pl.col("week") + timedelta(days=7) <= monday)
    if whole.is_empty():
        return "amber", "no whole week"
    tally = whole.group_by("week").agg(kept=(pl.col("status") == "occurred").sum()).sort("week")
    per_week = tally.upsample("week", every="1w")
    low = per_week.filter(pl.col("kept").fill_null(0) < pl.col("kept").median() / 2)["week"].to_list()
    is_last = bool(low) and low[-1] == per_week["week"].max()
    earlier = f" and {len(low) - NAMED_WEEKS} earlier" if len(low) > NAMED_WEEKS else ""
    named = f": {', '.join(map(str, low[-NAMED_WEEKS:]))}{earlier}" if low else ""
    return ("red" if is_last else "amber" if low else "green"), f"{len(low)} of {per_week.height} weeks{named}"


def providers(given: Given) -> Judgement:
    """Compare the providers of visits with the members of staff."""
    assert given.providers is not None
    require(given.providers, ["id", "is_active"], query="providers")
    seen = set(given.visits["provider_id"].drop_nulls())
    recent = set(given.visits.filter(pl.col("date") > given.day - timedelta(days=90))["provider_id"].drop_nulls())
    strangers = len(seen - set(given.providers["id"]))
    idle = len(set(given.providers.filter("is_active")["id"]) - recent)
    level: Level = "red" if strangers else "amber" if idle else "green"
    return level, f"{strangers} with visits are no members; {idle} active members without a visit in 90 days"


def ledger(given: Given) -> Judgement:
    """Judge how far back the ledger of form requests reaches."""
    assert given.ledger_counts is not None
    row = ledger_standing(given.ledger_counts, as_of=given.as_of).row(0, named=True)
    return ("green" if row["is_old_enough"] else "amber"), row["says"]


def unseen(given: Given) -> Judgement:
    """Find what came as nothing: providers and types of visits, clients and forms; and rows that never came."""
    is_null = pl.col("provider_id").is_null() | pl.col("appointment_type_id").is_null()
    level, value = _share(given.visits, is_null, amber=1e-9, red=0.01, what="visits without provider or type")
    found = {
        "appointments without a client": _clientless(given.unplaced),
        "forms without a client or form": _nameless_forms(given.filled_forms),
        "form requests without a client": _sum(given.form_requests, pl.col("client_id").is_null()),
        "rows that Healthie counts and does not show": _sum(given.stored, pl.col("hidden")),
    }
    told = [f"{rows:,} {what}" for what, rows in found.items() if rows]
    return ("amber" if told and level == "green" else level), "; ".join([value, *told])


def _clientless(unplaced: pl.DataFrame | None) -> int:
    return _sum(None if unplaced is None else unplaced.filter(reason="no client"), pl.col("rows"))


def _nameless_forms(filled_forms: pl.DataFrame | None) -> int:
    """Count filled forms without a form, or without a client; a note of a group has none."""
    if filled_forms is not None:
        require(filled_forms, ["client_id", "form_id", "form_is_chart_note"], query="filled_forms")
    is_note = pl.col("form_is_chart_note").fill_null(value=False)
    return _sum(filled_forms, pl.col("form_id").is_null() | (pl.col("client_id").is_null() & ~is_note))


def _sum(rows: pl.DataFrame | None, count: pl.Expr) -> int:
    return 0 if rows is None else int(rows.select(count.sum()).item())
