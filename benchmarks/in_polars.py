"""The metrics as somebody writes them in polars for one question: no options, no other engine, no checks of input.

Each gives columns of the library's answer under the library's names; what is left out (intervals and marks) is made
from these few rows. Where the answer needs counts per client first, for an interval that knows of clusters, so here.
"""

from __future__ import annotations

import hmac
from datetime import date, timedelta
from typing import TYPE_CHECKING

import polars as pl
from clinic import AS_OF, HISTORY, KEY, ZONE

if TYPE_CHECKING:
    from clinic import Given

UNTIL, SINCE = date.fromisoformat(AS_OF), date.fromisoformat(HISTORY)
LAST_DAY = (UNTIL - date(1970, 1, 1)).days
NIGHT = pl.lit(UNTIL + timedelta(days=1)).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
CLINICAL, OFF = ["intake", "follow-up", "group"], ["cancelled", "late_cancelled", "rescheduled"]
WORDS = {
    "Occurred": "occurred",
    "No-Show": "no_show",
    "Cancelled": "cancelled",
    "Late Cancellation": "late_cancelled",
    "Re-Scheduled": "rescheduled",
    "Checked-In": "checked_in",
}
client, day, status = pl.col("client_id"), pl.col("date"), pl.col("status")


def _clinical(given: Given) -> pl.LazyFrame:
    rows: pl.LazyFrame = given.visits.lazy()
    return rows.filter(pl.col("role").is_in(CLINICAL))


def _occurred(given: Given) -> pl.LazyFrame:
    return _clinical(given).filter(status == "occurred", day <= UNTIL)


def _now(rows: pl.LazyFrame) -> pl.DataFrame:
    return rows.collect(engine="streaming")


def _since(given: Given) -> pl.LazyFrame:
    """Visits that took place with the days since the client's first: faster as a window than within the groups."""
    first = day.min().over("client_id")
    return _occurred(given).with_columns(first=first, since=(day - first).dt.total_days())


def _known(given: Given) -> pl.LazyFrame:
    return given.clients.lazy().filter(pl.col("created_at").dt.date() >= SINCE).select(client_id="id")


def _pseudonym(ids: pl.Series) -> pl.Series:
    digests = (hmac.digest(KEY, name.encode(), "sha256").hex() for name in ids)
    return pl.Series([f"{digest[:6]}-{digest[6:12]}" for digest in digests], dtype=pl.String)


def _booked(given: Given) -> pl.LazyFrame:
    stood = ~status.is_in(OFF) | (pl.col("changed_day") > LAST_DAY)
    ahead = _clinical(given).filter(day > UNTIL, pl.col("booked_day") <= LAST_DAY, stood)
    return ahead.group_by("client_id").agg(next=day.min())


def visits(given: Given) -> pl.DataFrame:
    """Appointments with attendees, statuses and the local calendar."""
    listed = given.attendance.lazy().explode("attended_clients").unnest("attended_clients")
    marked = listed.with_columns(is_marked=pl.col("attended").any().over("id")).unique(["id", "client_id"])
    local = pl.col("starts_at").dt.convert_time_zone(ZONE)
    is_own = pl.col("attendee").is_null() | status.is_in(["Cancelled", "Late Cancellation", "Re-Scheduled", "No-Show"])
    outcome = (
        pl.when("cancelled")
        .then(pl.lit("cancelled"))
        .when("attended")
        .then(pl.lit("occurred"))
        .when("is_marked")
        .then(pl.lit("no_show"))
        .otherwise(pl.lit("unrecorded"))
    )
    word = status.replace_strict(WORDS, default=pl.lit("unrecorded"), return_dtype=pl.String)
    rows = (
        given.appointments.lazy()
        .join(marked.rename({"client_id": "attendee"}), on="id", how="left")
        .join(given.roles.lazy(), on="appointment_type_id", how="left")
        .with_columns(client_id=pl.coalesce("attendee", "client_id"), local=local)
        .filter(client.is_not_null(), pl.col("starts_at").is_not_null())
        .with_columns(status=pl.when(is_own).then(word).otherwise(outcome))
        .select(
            *("client_id", "provider_id", "appointment_type_id", "role", "status", "starts_at", "minutes", "modality"),
            appointment_id="id",
            date=pl.col("local").dt.date(),
            week=pl.col("local").dt.date().dt.truncate("1w"),
            month=pl.col("local").dt.date().dt.truncate("1mo"),
            quarter=pl.col("local").dt.date().dt.truncate("1q"),
            weekday=pl.col("local").dt.weekday(),
            hour=pl.col("local").dt.hour(),
            booked_day=pl.col("created_at").dt.convert_time_zone(ZONE).dt.date().cast(pl.Int32),
            changed_day=pl.coalesce("cancelled_at", "status_changed_at")
            .dt.convert_time_zone(ZONE)
            .dt.date()
            .cast(pl.Int32),
            lead_days=pl.when(
                pl.col("recurring_id").is_null(),
                pl.col("reschedule_count") == 0,
                status != "rescheduled",
                pl.col("created_at") <= pl.col("starts_at"),
            ).then((pl.col("starts_at") - pl.col("created_at")).dt.total_seconds() / 86400),
            notice_hours=pl.when(status.is_in(["cancelled", "late_cancelled"])).then(
                (pl.col("starts_at") - pl.coalesce("cancelled_at", "status_changed_at")).dt.total_seconds() / 3600
            ),
        )
    )
    return rows.sort("starts_at", "appointment_id", "client_id").collect()


def cohorts(given: Given) -> pl.DataFrame:
    """Share back in days 31-90, by month of the first visit, of those with complete history."""
    came = pl.col("since").is_between(31, 90).any()
    per_client = _since(given).group_by("client_id").agg(pl.col("first").first(), came=came)
    new = per_client.join(_known(given), on="client_id", how="semi").filter(pl.col("first") >= SINCE)
    had_time = pl.col("first") <= UNTIL - timedelta(days=90)
    table = new.group_by(cohort=pl.col("first").dt.truncate("1mo")).agg(
        clients=pl.len(), eligible=had_time.sum(), returned=(had_time & pl.col("came")).sum()
    )
    return _now(table.with_columns(rate=pl.col("returned") / pl.col("eligible")))


def heat_map(given: Given) -> pl.DataFrame:
    """Share back in each of twelve times 30 days, by month of the first visit."""
    came = {f"came_{k}": pl.col("since").is_between(30 * k - 29, 30 * k).any() for k in range(1, 13)}
    per_client = _since(given).group_by("client_id").agg(pl.col("first").first(), **came)
    age = (UNTIL - pl.col("first")).dt.total_days()
    wide = per_client.group_by(cohort=pl.col("first").dt.truncate("1mo")).agg(
        *((age >= 30 * k).sum().alias(f"eligible_{k}") for k in range(1, 13)),
        *(((age >= 30 * k) & pl.col(f"came_{k}")).sum().alias(f"returned_{k}") for k in range(1, 13)),
    )
    cells = [
        wide.select("cohort", period=pl.lit(k), eligible=f"eligible_{k}", returned=f"returned_{k}")
        for k in range(1, 13)
    ]
    return _now(pl.concat(cells))


def _histories(given: Given, gap: int) -> pl.LazyFrame:
    days = _occurred(given).group_by("client_id").agg(day=day.unique().sort())
    days = days.with_columns(gaps=pl.col("day").list.diff())
    rows = days.explode("day", "gaps").with_columns(gaps=pl.col("gaps").dt.total_days())
    before = pl.col("day") - pl.duration(days="gaps")
    return rows.group_by("client_id").agg(
        first=pl.col("day").min(),
        last=pl.col("day").max(),
        second=pl.col("day").filter(pl.col("gaps") > 0).min(),
        lapse=(before + timedelta(days=gap)).filter(pl.col("gaps") > gap).min(),
    )


def _kaplan_meier(spells: pl.LazyFrame) -> pl.DataFrame:
    curve = (
        spells.group_by(day="days")
        .agg(events=pl.col("ended").sum(), gone=pl.len())
        .sort("day")
        .with_columns(at_risk=pl.col("gone").cum_sum(reverse=True))
        .with_columns(survival=(1 - pl.col("events") / pl.col("at_risk")).cum_prod())
    )
    return _now(curve.select("day", "at_risk", "events", "survival")).filter(pl.col("day") > 0)


def survival(given: Given) -> pl.DataFrame:
    """Time to the first gap over 90 days."""
    rows = _histories(given, 90).join(_booked(given), on="client_id", how="left")
    gone = ((UNTIL - pl.col("last")).dt.total_days() > 90) & pl.col("next").is_null()
    end = pl.coalesce("lapse", pl.when(gone).then(pl.col("last") + timedelta(days=90)))
    spells = rows.select(days=(pl.coalesce(end, UNTIL) - pl.col("first")).dt.total_days(), ended=end.is_not_null())
    return _kaplan_meier(spells)


def second_visit(given: Given) -> pl.DataFrame:
    """Time to the second visit."""
    second = day.filter(day > day.min()).min()
    rows = _occurred(given).group_by("client_id").agg(first=day.min(), second=second)
    end = pl.col("second")
    return _kaplan_meier(
        rows.select(days=(pl.coalesce(end, UNTIL) - pl.col("first")).dt.total_days(), ended=end.is_not_null())
    )


def funnel(given: Given) -> pl.DataFrame:
    """Signed up, booked and seen within 90 days, seen again within 45."""
    second = day.filter(day > day.min()).min()
    seen = _occurred(given).group_by("client_id").agg(first=day.min(), second=second)
    booked = _clinical(given).group_by("client_id").agg(booked=pl.col("booked_day").min().cast(pl.Date))
    people = given.clients.lazy().select(client_id="id", up=pl.col("created_at").dt.date())
    had_time = people.filter(pl.col("up") <= UNTIL - timedelta(days=135))
    rows = had_time.join(booked, on="client_id", how="left").join(seen, on="client_id", how="left")
    to_first = (pl.col("first") - pl.col("up")).dt.total_days().clip(0)
    to_booked = pl.min_horizontal((pl.col("booked") - pl.col("up")).dt.total_days().clip(0), to_first)
    to_second = (pl.col("second") - pl.col("first")).dt.total_days()
    is_first = (to_booked <= 90) & (to_first <= 90)
    days = _now(
        rows.select(
            pl.lit(0).alias("signed up"),
            pl.when(to_booked <= 90).then(to_booked).alias("booked"),
            pl.when(is_first).then(to_first - to_booked).alias("first visit"),
            pl.when(is_first & (to_second <= 45)).then(to_second).alias("second visit"),
        )
    )
    return pl.DataFrame(
        {
            "step": days.columns,
            "clients": [days[name].count() for name in days.columns],
            "median_days": [days[name].median() for name in days.columns],
        }
    )


def states(given: Given) -> pl.DataFrame:
    """Where each client stands."""
    last = _occurred(given).group_by("client_id").agg(last=day.max())
    rows = (
        given.clients.lazy()
        .filter(pl.col("created_at").dt.date() <= UNTIL)
        .join(last, left_on="id", right_on="client_id", how="left")
        .join(_booked(given), left_on="id", right_on="client_id", how="left")
    )
    lapses, archived = pl.col("last") + timedelta(days=90), pl.col("archived_at").dt.date()
    is_gone = ~pl.col("is_active") & (archived <= UNTIL) & (archived <= lapses.fill_null(UNTIL))
    state = (
        pl.when(pl.col("next").is_not_null())
        .then(pl.lit("booked"))
        .when(is_gone)
        .then(pl.lit("archived"))
        .when(lapses >= UNTIL)
        .then(pl.lit("seen lately"))
        .when(pl.col("last").is_not_null())
        .then(pl.lit("not seen"))
        .otherwise(pl.lit("no visit yet"))
    )
    return _now(rows.group_by(reason=state).agg(clients=pl.len()))


def population(given: Given) -> pl.DataFrame:
    """Who is in a cohort, and who is not."""
    firsts = _occurred(given).group_by("client_id").agg(first=day.min())
    rows = given.clients.lazy().join(firsts, left_on="id", right_on="client_id", how="full")
    is_new = (pl.col("created_at").dt.date() >= SINCE) & (pl.col("first") >= SINCE)
    standing = (
        pl.when(pl.col("first").is_null())
        .then(pl.lit("not seen"))
        .when(is_new)
        .then(pl.lit("new"))
        .otherwise(pl.lit("unknown"))
    )
    return _now(rows.group_by(standing=standing).agg(clients=pl.len()))


def definitions(given: Given) -> pl.DataFrame:
    """Retained by three readings."""
    since, n = pl.col("since"), pl.col("visits")
    rows = _now(
        _since(given)
        .group_by("client_id")
        .agg(
            age=(UNTIL - day.min()).dt.total_days(),
            visits=pl.len(),
            ours=since.is_between(31, 90).any(),
            second=since.is_between(1, 90).any(),
        )
    )
    old, older = rows.filter(pl.col("age") >= 56), rows.filter(pl.col("age") >= 90)
    counts = {
        "ours": (older.height, older["ours"].sum(), (~older["ours"]).sum()),
        "sessions": (old.height, old.filter(n >= 8).height, old.filter(n < 4).height),
        "second visit": (older.height, older["second"].sum(), (~older["second"]).sum()),
    }
    names = ["definition", "eligible", "retained", "lost"]
    return pl.DataFrame([(name, *row) for name, row in counts.items()], schema=names, orient="row")


def flow(given: Given) -> pl.DataFrame:
    """Tell new, kept, returned and left by month."""
    seen = _occurred(given).select("client_id", "month").unique().sort("client_id", "month")
    before = pl.col("month").shift(1).over("client_id")
    kind = (
        pl.when(before.is_null())
        .then(pl.lit("new"))
        .when(before.dt.offset_by("1mo") == pl.col("month"))
        .then(pl.lit("kept"))
        .otherwise(pl.lit("returned"))
    )
    kinds = {name: (pl.col("kind") == name).sum() for name in ("new", "kept", "returned")}
    table = _now(seen.with_columns(kind=kind).group_by(period="month").agg(active=pl.len(), **kinds)).sort("period")
    return table.with_columns(left=pl.col("active").shift(1, fill_value=0).cast(pl.Int64) - pl.col("kept"))


def worklist(given: Given) -> pl.DataFrame:
    """Clients who are overdue by their own cadence."""
    by_client = (
        _occurred(given)
        .sort("starts_at", "appointment_id")
        .group_by("client_id")
        .agg(
            last_visit=day.max(),
            provider_id=pl.col("provider_id").last(),
            days=day.unique().sort().diff().dt.total_days(),
        )
    )
    gaps = pl.col("days").list.drop_nulls()
    cadence = pl.when(gaps.list.len() > 1).then(gaps.list.median()).otherwise(30.0)
    rows = by_client.with_columns(cadence_days=cadence).join(_booked(given), on="client_id", how="left")
    since = (UNTIL - pl.col("last_visit")).dt.total_days()
    overdue = rows.with_columns(days_overdue=since - pl.col("cadence_days"))
    columns = ("client_id", "last_visit", "cadence_days", "days_overdue", "provider_id")
    late = overdue.filter(pl.col("days_overdue") > 0, since <= 180)
    table = _now(late.select(*columns, next_booking="next"))
    return table.with_columns(pseudonym=_pseudonym(table["client_id"]))


def _beside(tally: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    """With the month before and the same one last year, where the calendar has them, and per working day."""
    months = pl.date_range(tally["period"].min(), UNTIL, "1mo", eager=True).alias("period").to_frame()  # type: ignore[arg-type]
    table = months.join(tally.select(columns).unique(), how="cross") if columns else months
    for name, back in (("count", "0mo"), ("before", "1mo"), ("last_year", "1y")):
        moved = tally.select(*columns, pl.col("period").dt.offset_by(back), pl.col("count").alias(name))
        is_there = pl.col("period") >= months["period"].dt.offset_by(back).min()
        filled = pl.when(is_there).then(pl.col(name).fill_null(0))
        table = table.join(moved, on=["period", *columns], how="left").with_columns(filled)
    end = pl.min_horizontal(pl.col("period").dt.offset_by("1mo"), pl.lit(UNTIL + timedelta(days=1)))
    working = pl.business_day_count("period", end)
    return table.filter(pl.any_horizontal(pl.col("count", "before", "last_year") > 0)).with_columns(
        working_days=working.cast(pl.Int64), per_working_day=pl.when(working > 0).then(pl.col("count") / working)
    )


def counts(given: Given) -> pl.DataFrame:
    """Client visits by month and status."""
    rows = given.visits.lazy().filter(day <= UNTIL)
    return _beside(_now(rows.group_by("status", period="month").agg(count=pl.len())), ["status"])


def appointments(given: Given) -> pl.DataFrame:
    """Appointments by month and status, a session once."""
    rows = given.visits.lazy().filter(day <= UNTIL).unique("appointment_id")
    word = pl.col("healthie_status").replace_strict(WORDS, default="unrecorded")
    return _beside(_now(rows.group_by(period="month", status=word).agg(count=pl.len())), ["status"])


def hours(given: Given) -> pl.DataFrame:
    """Add up hours by month and provider, a session's once."""
    rows = given.visits.lazy().filter(day <= UNTIL).group_by("provider_id", "starts_at", period="month")
    slots = rows.agg(pl.col("minutes").max())
    return _beside(
        _now(slots.group_by("period", "provider_id").agg(count=pl.col("minutes").sum() / 60)), ["provider_id"]
    )


def _outcomes(given: Given, *keys: str, rows: pl.LazyFrame | None = None) -> pl.LazyFrame:
    """Count outcomes by client and slice."""
    rows = _clinical(given).filter(day <= UNTIL) if rows is None else rows
    is_late = status == "late_cancelled"
    by_notice = pl.coalesce("late_by_notice", is_late)
    return rows.group_by("client_id", *keys).agg(
        kept=status.is_in(["occurred", "checked_in"]).sum(),
        no_show=(status == "no_show").sum(),
        late_status=is_late.sum(),
        late_notice=(status.is_in(["cancelled", "late_cancelled"]) & by_notice).sum(),
        unmarked=(status == "unrecorded").sum(),
    )


def _rates(
    per_client: pl.LazyFrame, *keys: str, measures: tuple[str, ...] = ("no-show", "lost"), lates: tuple[str, ...]
) -> pl.DataFrame:
    """Rates with the design effect of visits clustered by client."""
    counted, parts = _now(per_client), []
    for measure in measures:
        for late in lates:
            missed = pl.col("no_show") + (pl.col(f"late_{late}") if measure == "lost" else 0)
            due = pl.col("kept") + pl.col("no_show") + pl.col(f"late_{late}")
            rows = counted.select("client_id", *keys, "unmarked", k=missed.cast(pl.Float64), n=due.cast(pl.Float64))
            k, n, m = pl.col("k"), pl.col("n"), (pl.col("n") > 0).sum()
            rate = k.sum() / n.sum()
            spread = (k - rate * n).pow(2).sum() / n.sum().pow(2) * m / (m - 1)
            made = {
                "clients": m,
                "due": n.sum().cast(pl.Int64),
                "missed": k.sum().cast(pl.Int64),
                "rate": rate,
                "design_effect": (spread / (rate * (1 - rate) / n.sum())).clip(1),
                "unmarked": pl.col("unmarked").sum(),
            }
            table = rows.group_by(keys).agg(**made) if keys else rows.select(**made)
            parts.append(table.with_columns(measure=pl.lit(measure), late=pl.lit(late)))
    return pl.concat(parts)


def rates(given: Given) -> pl.DataFrame:
    """Missed and lost visits by month, late told in two ways."""
    table = _rates(_outcomes(given, "month"), "month", lates=("status", "notice"))
    return table.rename({"month": "period"})


def first_visits(given: Given) -> pl.DataFrame:
    """Missed and lost visits, first ones apart."""
    kept_at = pl.when(status == "occurred").then("starts_at").min().over("client_id")
    is_first = (pl.col("starts_at") <= kept_at) | kept_at.is_null()
    rows = _clinical(given).with_columns(is_first=is_first).filter(day <= UNTIL)
    return _rates(_outcomes(given, "is_first", rows=rows), "is_first", lates=("status", "notice"))


def heat(given: Given) -> pl.DataFrame:
    """No-shows by weekday and hour."""
    table = _rates(_outcomes(given, "weekday", "hour"), "weekday", "hour", measures=("no-show",), lates=("status",))
    table = table.with_columns(visits=pl.col("due") + pl.col("unmarked")).filter(pl.col("visits") > 0)
    return table.select("weekday", "hour", "visits", "due", "missed", "rate")


def lead(given: Given) -> pl.DataFrame:
    """No-shows by days booked ahead."""
    days = pl.col("lead_days")
    label = (
        pl.when(days.is_null())
        .then(pl.lit("not known"))
        .when(days <= 7)
        .then(pl.lit("up to 7 days"))
        .when(days <= 21)
        .then(pl.lit("over 7, up to 21 days"))
        .when(days <= 60)
        .then(pl.lit("over 21, up to 60 days"))
        .otherwise(pl.lit("over 60 days"))
    )
    rows = _clinical(given).filter(day <= UNTIL).with_columns(lead=label)
    table = _rates(_outcomes(given, "lead", rows=rows), "lead", measures=("no-show",), lates=("status",))
    visits = pl.col("due") + pl.col("unmarked")
    return table.select("lead", "due", "missed", "rate", visits=visits, share=visits / visits.sum())


def funnel_plot(given: Given) -> pl.DataFrame:
    """No-shows by provider, against the practice's rate."""
    table = _rates(_outcomes(given, "provider_id"), "provider_id", measures=("no-show",), lates=("status",))
    overall = pl.col("missed").sum() / pl.col("due").sum()
    return table.select("provider_id", "due", "missed", "rate", "design_effect", overall=overall)


def cancellations(given: Given) -> pl.DataFrame:
    """Count cancelled visits by month, who, why and notice."""
    hours_before = pl.col("notice_hours")
    notice = (
        pl.when(hours_before.is_null())
        .then(pl.lit("not known"))
        .when(hours_before < 0)
        .then(pl.lit("after it began"))
        .when(hours_before < 24)
        .then(pl.lit("under 24 hours"))
        .when(hours_before < 48)
        .then(pl.lit("24 to 48 hours"))
        .otherwise(pl.lit("over 48 hours"))
    )
    rows = _clinical(given).filter(day <= UNTIL)
    off = rows.filter(status.is_in(["cancelled", "late_cancelled"])).group_by(
        "cancelled_by", "cancellation_reason", period="month", notice=notice
    )
    late = (status == "late_cancelled").sum()
    every = rows.group_by(period="month").agg(visits=pl.len())
    return _now(off.agg(cancellations=pl.len(), late_by_status=late).join(every, on="period"))


def unmarked(given: Given) -> pl.DataFrame:
    """Visits without a status by provider and age."""
    age = (UNTIL - day).dt.total_days()
    label = pl.lit("0-2 days")
    for edge, name in ((2, "3-7 days"), (7, "8-30 days"), (30, "31-90 days"), (90, "over 90 days")):
        label = pl.when(age > edge).then(pl.lit(name)).otherwise(label)
    is_so = status == "unrecorded"
    rows = given.visits.lazy().filter(day <= UNTIL).group_by("provider_id", age=label)
    return _now(
        rows.agg(unmarked=is_so.sum(), oldest=day.filter(is_so).min(), visits=pl.len())
        .filter(pl.col("unmarked") > 0)
        .with_columns(share=pl.col("unmarked") / pl.col("visits"))
    )


def booked(given: Given) -> pl.DataFrame:
    """Visits on the books for four weeks, and eight times before."""
    near = _now(
        _clinical(given)
        .filter(day > UNTIL - timedelta(days=56), day <= UNTIL + timedelta(days=28))
        .select("date", "booked_day", "changed_day", is_off=status.is_in(OFF))
    )
    rows = []
    for ahead in range(1, 5):
        for back in range(9):
            seen_on = UNTIL - timedelta(days=7 * back)
            begins = seen_on + timedelta(days=7 * ahead - 6)
            at = LAST_DAY - 7 * back
            week = near.filter(day.is_between(begins, begins + timedelta(days=6)))
            stood = (pl.col("booked_day") <= at) & (~pl.col("is_off") | (pl.col("changed_day") > at))
            rows.append((ahead, back, week.filter(stood).height))
    then = pl.col("booked").filter(pl.col("back") > 0)
    return (
        pl.DataFrame(rows, schema=["ahead", "back", "booked"], orient="row")
        .group_by("ahead")
        .agg(
            pl.col("booked").filter(pl.col("back") == 0).first(),
            usual=then.median(),
            lowest=then.min(),
            highest=then.max(),
        )
    )


def rebooked(given: Given) -> pl.DataFrame:
    """Visits after which a next one stood on the books within a week."""
    last = UNTIL - timedelta(days=7)
    seen = _clinical(given).filter(status == "occurred", day <= last)
    due = seen.select("client_id", "appointment_id", "date", cutoff=pl.col("starts_at") + timedelta(days=7))
    books = _clinical(given).select(
        "client_id", "booked_at", "status_changed_at", next="date", is_off=status.is_in(OFF)
    )
    stood = (pl.col("booked_at") < pl.col("cutoff")) & (
        ~pl.col("is_off") | (pl.col("status_changed_at") >= pl.col("cutoff"))
    )
    then = due.join(books, on="client_id").filter(pl.col("next") > day, stood)
    found = then.select("client_id", "appointment_id").unique().with_columns(has_next=pl.lit(value=True))
    judged = seen.join(found, on=["client_id", "appointment_id"], how="left")
    per_client = judged.group_by("client_id", period="month").agg(n=pl.len(), k=pl.col("has_next").sum())
    k, n, m = pl.col("k").cast(pl.Float64), pl.col("n").cast(pl.Float64), pl.len()
    return _now(
        per_client.group_by("period").agg(
            clients=m, visits=pl.col("n").sum(), rebooked=pl.col("k").sum(), rate=k.sum() / n.sum()
        )
    )


def panel(given: Given) -> pl.DataFrame:
    """Distinct clients in the 90 days up to each month's end."""
    seen = _now(_occurred(given).select("client_id", "date").unique())
    months = pl.date_range(seen["date"].min().replace(day=1), UNTIL, "1mo", eager=True)  # type: ignore[union-attr]
    rows = []
    for month, end in zip(months, months.dt.month_end(), strict=True):
        until = min(end, UNTIL)
        near = seen.filter(day > until - timedelta(days=90), day <= until)
        rows.append((month, until, near["client_id"].n_unique()))
    return pl.DataFrame(rows, schema=["period", "until", "clients"], orient="row")


def _charted(given: Given) -> pl.LazyFrame:
    signed_at = pl.col("signings").list.eval(pl.element().struct.field("signed_at")).list.min()
    notes_known = given.chart_notes.lazy().filter(pl.col("filled_at") < NIGHT)
    signed = notes_known.select("appointment_id", signed_at=pl.when(signed_at < NIGHT).then(signed_at))
    first = signed.group_by("appointment_id").agg(pl.col("signed_at").min(), has_note=pl.lit(value=True))
    kept = _occurred(given).select("appointment_id", "provider_id", "date", "starts_at", "minutes").unique()
    return kept.join(first, on="appointment_id", how="left").with_columns(pl.col("has_note").fill_null(value=False))


def notes(given: Given) -> pl.DataFrame:
    """Count notes signed within 72 hours by provider."""
    deadline = pl.col("starts_at") + pl.duration(minutes=pl.col("minutes").fill_null(0), hours=72)
    is_due, signed_at = deadline <= NIGHT, pl.col("signed_at")
    open_ = is_due & signed_at.is_null()
    return _now(
        _charted(given)
        .group_by("provider_id")
        .agg(
            appointments=pl.len(),
            due=is_due.sum(),
            signed=(is_due & (signed_at <= deadline)).sum(),
            late=(is_due & (signed_at > deadline)).sum(),
            unsigned=(open_ & pl.col("has_note")).sum(),
            missing=(open_ & ~pl.col("has_note")).sum(),
        )
    )


def open_notes(given: Given) -> pl.DataFrame:
    """Count notes still open by provider and age."""
    age = (UNTIL - day).dt.total_days()
    label = pl.lit("0-3 days")
    for edge, name in ((3, "4-7 days"), (7, "8-30 days"), (30, "31-90 days"), (90, "over 90 days")):
        label = pl.when(age > edge).then(pl.lit(name)).otherwise(label)
    rows = _charted(given).filter(pl.col("signed_at").is_null()).group_by("provider_id", age=label)
    return _now(rows.agg(open=pl.len(), missing=(~pl.col("has_note")).sum(), oldest=day.min()))


def overdue_notes(given: Given) -> pl.DataFrame:
    """List visits without a signed note after 72 hours."""
    over = NIGHT - pl.col("starts_at") - pl.duration(minutes=pl.col("minutes").fill_null(0), hours=72)
    late = _charted(given).filter(pl.col("signed_at").is_null(), over >= pl.duration())
    group = pl.col("is_group")
    whose = _occurred(given).select("appointment_id", "is_group", client_id=pl.when(~group).then(client)).unique()
    rows = _now(late.with_columns(days_over=over.dt.total_days()).join(whose, on="appointment_id"))
    names = rows["client_id"].drop_nulls().unique()
    named = pl.DataFrame({"client_id": names, "pseudonym": _pseudonym(names)})
    return rows.drop("minutes", "signed_at").join(named, on="client_id", how="left")


def _done(given: Given, *roles: str) -> pl.LazyFrame:
    filled = given.filled_forms.lazy().filter("is_finished")
    return filled.join(given.form_roles.lazy().filter(pl.col("role").is_in(roles)), on="form_id")


def readiness(given: Given) -> pl.DataFrame:
    """Visits of the coming week and how each form stands."""
    coming = _clinical(given).filter(day > UNTIL, day <= UNTIL + timedelta(days=7), ~status.is_in(OFF)).drop("role")
    seen = _occurred(given).select("client_id").unique().with_columns(was_seen=pl.lit(value=True))
    done = (
        _done(given, "intake", "consent")
        .filter(pl.col("filled_at") < NIGHT)
        .select("client_id", "role")
        .unique()
        .with_columns(is_done=pl.lit(value=True))
    )
    asked = (
        given.form_requests.lazy()
        .filter(~pl.col("filled_form_is_finished").fill_null(value=False))
        .join(given.form_roles.lazy(), on="form_id")
        .group_by("client_id", "role")
        .agg(
            state=pl.when(pl.col("filled_form_id").is_not_null().any()).then(pl.lit("begun")).otherwise(pl.lit("asked"))
        )
    )
    wanted = pl.LazyFrame({"role": ["intake", "consent"]})
    rows = (
        coming.join(wanted, how="cross")
        .join(done, on=["client_id", "role"], how="left")
        .join(asked, on=["client_id", "role"], how="left")
        .join(seen, on="client_id", how="left")
    )
    state = pl.when("is_done").then(pl.lit("done")).otherwise(pl.col("state").fill_null("not asked"))
    return _now(
        rows.select(
            *("starts_at", "date", "appointment_id", "client_id", "provider_id", "role"),
            is_first=pl.col("was_seen").is_null(),
            state=state,
            is_ready=pl.col("is_done").fill_null(value=False).all().over("appointment_id", "client_id"),
        )
    )


def before_first_visit(given: Given) -> pl.DataFrame:
    """Clients with each form before their first scheduled visit."""
    scheduled = _clinical(given).filter(day <= UNTIL, ~status.is_in(["cancelled", "rescheduled"]))
    firsts = scheduled.group_by("client_id").agg(pl.col("starts_at").min(), period=pl.col("month").min())
    done = _done(given, "intake", "consent").group_by("client_id", "role").agg(pl.col("filled_at").min())
    wide = firsts
    for role in ("intake", "consent"):
        own = done.filter(pl.col("role") == role).select("client_id", pl.col("filled_at").alias(role))
        is_in_time = (pl.col(role) < pl.col("starts_at")).fill_null(value=False).alias(role)
        wide = wide.join(own, on="client_id", how="left").with_columns(is_in_time)
    every = pl.col("intake") & pl.col("consent")
    table = _now(
        wide.group_by("period").agg(pl.col("intake", "consent").sum(), every.sum().alias("all"), clients=pl.len())
    )
    long = table.unpivot(
        on=["intake", "consent", "all"], index=["period", "clients"], variable_name="role", value_name="done"
    )
    return long.with_columns(rate=pl.col("done") / pl.col("clients"))


def measures(given: Given) -> pl.DataFrame:
    """Clients with each measure at baseline and in days 31-90."""
    came = pl.col("since").is_between(31, 90).any()
    firsts = _since(given).group_by("client_id").agg(pl.col("first").first(), came=came)
    people, filled = _now(firsts), _done(given, "outcome measure").select("client_id", "form_id", "filled_at")
    age, parts = (UNTIL - pl.col("first")).dt.total_days(), []
    for window, first, last in (("baseline", -14, 7), ("days 31-90", 31, 90)):
        eligible = people.filter(age >= last, pl.lit(window == "baseline") | pl.col("came"))
        after = (pl.col("filled_at").dt.date() - pl.col("first")).dt.total_days()
        hit = _now(
            filled.join(eligible.lazy(), on="client_id")
            .filter(after.is_between(first, last))
            .select("form_id", "client_id")
            .unique()
        )
        counted = hit.group_by("form_id").agg(done=pl.len())
        parts.append(counted.with_columns(window=pl.lit(window), clients=pl.lit(eligible.height)))
    return pl.concat(parts)


def _standing(given: Given) -> pl.LazyFrame:
    active = given.clients.lazy().filter("is_active").select(client_id="id", is_active="is_active")
    state = (
        pl.when("filled_form_is_finished")
        .then(pl.lit("completed"))
        .when(pl.col("is_active").is_null())
        .then(pl.lit("withdrawn"))
        .when(pl.col("filled_form_id").is_not_null())
        .then(pl.lit("started"))
        .otherwise(pl.lit("open"))
    )
    return given.form_requests.lazy().join(active, on="client_id", how="left").with_columns(state=state)


def requests(given: Given) -> pl.DataFrame:
    """Count requests of each form and sender by state."""
    keys, states_ = ["form_id", "sender_id"], ["open", "started", "completed", "withdrawn"]
    rows = _standing(given).with_columns((pl.col("state") == name).alias(name) for name in states_)
    per_client = rows.group_by("client_id", *keys).agg(pl.col(states_).sum(), requests=pl.len())
    table = per_client.group_by(keys).agg(pl.col(*states_, "requests").sum())
    waiting = pl.col("requests") - pl.col("withdrawn")
    return _now(table.with_columns(waiting_or_done=waiting, completed_now=pl.col("completed") / waiting))


def overdue(given: Given) -> pl.DataFrame:
    """Clients whose forms wait for over 14 days."""
    since = pl.col("date_to_show").dt.date()
    late = _standing(given).filter(pl.col("state").is_in(["open", "started"]), since < UNTIL - timedelta(days=14))
    per_client = late.group_by("client_id").agg(
        forms=pl.len(),
        started=(pl.col("state") == "started").sum(),
        oldest=since.min(),
        form_ids=pl.col("form_id").unique().sort(),
    )
    providers = given.clients.lazy().select("provider_id", client_id="id")
    table = _now(per_client.join(providers, on="client_id", how="left"))
    return table.with_columns(pseudonym=_pseudonym(table["client_id"]))
