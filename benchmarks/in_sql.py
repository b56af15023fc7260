"""The same metrics as DuckDB's own SQL, as one pass or two over its native tables; columns as in_polars.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import duckdb
import polars as pl
from clinic import AS_OF, HISTORY
from polars import selectors

if TYPE_CHECKING:
    from clinic import Given

OFF: Final = "('cancelled', 'late_cancelled', 'rescheduled')"
LAST_DAY: Final = f"(date '{AS_OF}' - date '1970-01-01')"
NIGHT: Final = f"(timestamp '{AS_OF}' + interval 1 day)"
BASE: Final = f"""
with c as (from visits where role in ('intake', 'follow-up', 'group')),
cp as (from c where date <= date '{AS_OF}'),
o as (from cp where status = 'occurred'),
known as (select id from clients where cast(created_at as date) >= date '{HISTORY}'),
booked as (select client_id, min(date) as next from c where date > date '{AS_OF}' and booked_day <= {LAST_DAY}
           and (status not in {OFF} or changed_day > {LAST_DAY}) group by client_id)"""
SINCE: Final = ", s as (select *, date - min(date) over (partition by client_id) as since from o)"
GAPS: Final = ", g as (select *, lag(date) over (partition by client_id order by date) as earlier from o)"
CURVE: Final = """
, days as (select days, count(*) filter (ended) as events, count(*) as gone from spells group by days),
risk as (select days as day, events, sum(gone) over (order by days desc) as at_risk from days)
select day, at_risk, events, coalesce(exp(sum(ln(nullif(1 - events / at_risk, 0))) over (order by day)), 0) *
       case when min(at_risk - events) over (order by day) = 0 then 0 else 1 end as survival from risk where day > 0
order by day"""
OUTCOMES: Final = """count(*) filter (status in ('occurred', 'checked_in')) as kept,
       count(*) filter (status = 'no_show') as no_show, count(*) filter (status = 'late_cancelled') as late_status,
       count(*) filter (status in ('cancelled', 'late_cancelled')
                        and coalesce(late_by_notice, status = 'late_cancelled')) as late_notice,
       count(*) filter (status = 'unrecorded') as unmarked"""
BESIDE: Final = f"""
, months as (select cast(unnest(generate_series((select min(period) from t), date '{AS_OF}', interval 1 month))
                         as date) as period),
grid as (select * from months, (select distinct {{key}} from t)),
beside as (select g.period, g.{{key}}, coalesce(t.count, 0) as count,
    case when g.period - interval 1 month >= (select min(period) from t) then coalesce(b.count, 0) end as before,
    case when g.period - interval 1 year >= (select min(period) from t) then coalesce(l.count, 0) end as last_year
  from grid g left join t using (period, {{key}})
  left join t b on b.period = g.period - interval 1 month and b.{{key}} = g.{{key}}
  left join t l on l.period = g.period - interval 1 year and l.{{key}} = g.{{key}})
select * from beside where count > 0 or before > 0 or last_year > 0"""


def _rates(source: str, keys: str, *, every_measure: bool) -> str:
    """Rates with the design effect of visits clustered by client."""
    measures = "('no-show', 0), ('lost', 1)" if every_measure else "('no-show', 0)"
    lates = "('status', 0), ('notice', 1)" if every_measure else "('status', 0)"
    return f"""{BASE}
, per_client as (select client_id, {keys}, {OUTCOMES} from {source} group by client_id, {keys}),
counted as (select {keys}, measure, late, unmarked,
    cast(no_show + is_lost * if(by_notice = 1, late_notice, late_status) as double) as k,
    cast(kept + no_show + if(by_notice = 1, late_notice, late_status) as double) as n
  from per_client, (values {measures}) m(measure, is_lost), (values {lates}) l(late, by_notice)),
sums as (select {keys}, measure, late, count(*) filter (n > 0) as clients, sum(n) as due, sum(k) as missed,
    sum(unmarked) as unmarked, sum(k * k) as kk, sum(k * n) as kn, sum(n * n) as nn from counted
  group by {keys}, measure, late)
select * exclude (kk, kn, nn), missed / due as rate, greatest(1, (kk - 2 * rate * kn + rate * rate * nn) / (due * due)
    * clients / (clients - 1) / (rate * (1 - rate) / due)) as design_effect from sums"""


HISTORIES: Final = f"""{BASE}{GAPS},
h as (select client_id, min(date) as first, max(date) as last, min(date) filter (date > earlier) as second,
        min(earlier + 90) filter (date - earlier > 90) as lapse from g group by client_id)"""
CELLS: Final = "\n".join(
    f", bool_or(since between {30 * k - 29} and {30 * k}) as came_{k}" for k in range(1, 13)
)  # one column a cell: a third of the time of one row a cell
WIDE: Final = ", ".join(
    f"count(*) filter (age >= {30 * k}) as eligible_{k}, count(*) filter (age >= {30 * k} and came_{k}) as returned_{k}"
    for k in range(1, 13)
)
LONG: Final = " union all ".join(
    f"select cohort, {k} as period, eligible_{k} as eligible, returned_{k} as returned from wide" for k in range(1, 13)
)
CHARTED: Final = f"""{BASE}
, signed as (select appointment_id, min(case when first_at < {NIGHT} then first_at end) as signed_at from
    (select appointment_id, list_min([s.signed_at for s in signings]) as first_at from chart_notes
     where filled_at < {NIGHT})
  group by appointment_id),
kept as (select distinct appointment_id, provider_id, date, starts_at, minutes from o),
charted as (select k.*, s.signed_at, s.appointment_id is not null as has_note,
    starts_at + to_minutes(coalesce(minutes, 0)) + interval 72 hour as deadline
  from kept k left join signed s using (appointment_id))"""
DONE: Final = "(select f.*, r.role from filled_forms f join form_roles r using (form_id) where is_finished)"
STANDING: Final = """, standing as (select q.*, case when filled_form_is_finished then 'completed'
    when a.id is null then 'withdrawn' when filled_form_id is not null then 'started' else 'open' end as state
  from form_requests q left join (select id from clients where is_active) a on a.id = q.client_id)"""

QUERIES: Final = {
    "cohorts": f"""{BASE}{SINCE},
new as (select client_id, min(date) as first, bool_or(since between 31 and 90) as came from s group by client_id)
select cast(date_trunc('month', first) as date) as cohort, count(*) as clients,
    count(*) filter (first <= date '{AS_OF}' - 90) as eligible,
    count(*) filter (first <= date '{AS_OF}' - 90 and came) as returned, returned / nullif(eligible, 0) as rate
from new where first >= date '{HISTORY}' and client_id in (select id from known) group by cohort""",
    "heat_map": f"""{BASE}{SINCE},
new as (select client_id, cast(date_trunc('month', min(date)) as date) as cohort, date '{AS_OF}' - min(date) as age
        {CELLS} from s group by client_id),
wide as (select cohort, {WIDE} from new group by cohort) {LONG}""",
    "survival": f"""{HISTORIES}
, ends as (select first, coalesce(lapse,
      case when date '{AS_OF}' - last > 90 and next is null then last + 90 end) as ended
    from h left join booked using (client_id)),
spells as (select coalesce(ended, date '{AS_OF}') - first as days, ended is not null as ended from ends){CURVE}""",
    "second_visit": f"""{HISTORIES}
, spells as (select coalesce(second, date '{AS_OF}') - first as days, second is not null as ended from h){CURVE}""",
    "funnel": f"""{HISTORIES}
, made as (select client_id, date '1970-01-01' + min(booked_day) as made from c group by client_id),
days as (select case when first < up then 0 else first - up end as to_first,
      least(case when made < up then 0 else made - up end, to_first) as to_booked,
      second - first as to_second
    from (select id, cast(created_at as date) as up from clients where up <= date '{AS_OF}' - 135) p
      left join h on h.client_id = id left join made m on m.client_id = id),
steps as (select case when to_booked <= 90 then to_booked end as booked,
      case when to_booked <= 90 and to_first <= 90 then to_first - to_booked end as first,
      case when to_booked <= 90 and to_first <= 90 and to_second <= 45 then to_second end as second from days)
select 'signed up' as step, count(*) as clients, 0.0::double as median_days from steps
union all select 'booked', count(booked), median(booked) from steps
union all select 'first visit', count(first), median(first) from steps
union all select 'second visit', count(second), median(second) from steps""",
    "states": f"""{BASE}
, lasts as (select client_id, max(date) as last from o group by client_id)
select case when next is not null then 'booked'
    when not is_active and cast(archived_at as date) <= date '{AS_OF}'
      and cast(archived_at as date) <= coalesce(last + 90, date '{AS_OF}') then 'archived'
    when last + 90 >= date '{AS_OF}' then 'seen lately' when last is not null then 'not seen'
    else 'no visit yet' end as reason, count(*) as clients
from clients left join lasts l on l.client_id = id left join booked b on b.client_id = id
where cast(created_at as date) <= date '{AS_OF}' group by reason""",
    "population": f"""{BASE}
, firsts as (select client_id, min(date) as first from o group by client_id)
select case when first is null then 'not seen' when cast(created_at as date) >= date '{HISTORY}'
    and first >= date '{HISTORY}' then 'new' else 'unknown' end as standing, count(*) as clients
from clients full join firsts on client_id = id group by standing""",
    "definitions": f"""{BASE}{SINCE},
p as (select date '{AS_OF}' - min(date) as age, count(*) as n, bool_or(since between 31 and 90) as ours,
        bool_or(since between 1 and 90) as second from s group by client_id)
select 'ours' as definition, count(*) filter (age >= 90) as eligible, count(*) filter (age >= 90 and ours) as retained,
    count(*) filter (age >= 90 and not ours) as lost from p
union all select 'sessions', count(*) filter (age >= 56), count(*) filter (age >= 56 and n >= 8),
    count(*) filter (age >= 56 and n < 4) from p
union all select 'second visit', count(*) filter (age >= 90), count(*) filter (age >= 90 and second),
    count(*) filter (age >= 90 and not second) from p""",
    "flow": f"""{BASE}
, seen as (select distinct client_id, month from o),
kinds as (select month, lag(month) over (partition by client_id order by month) as earlier from seen),
table_ as (select month as period, count(*) as active, count(*) filter (earlier is null) as new,
    count(*) filter (earlier + interval 1 month = month) as kept,
    count(*) filter (earlier + interval 1 month < month) as returned from kinds group by month)
select *, coalesce(lag(active) over (order by period), 0) - kept as left from table_""",
    "worklist": f"""{BASE}
, days as (select distinct client_id, date from o),
gaps as (select client_id, date - lag(date) over (partition by client_id order by date) as gap from days),
cadences as (select client_id, count(gap) as n, median(gap) as usual from gaps group by client_id),
lasts as (select client_id, max(date) as last_visit,
            arg_max_null(provider_id, (starts_at, appointment_id)) as provider_id from o group by client_id),
due as (select client_id, last_visit, case when n > 1 then usual else 30.0 end as cadence_days, provider_id,
          next as next_booking from lasts join cadences using (client_id) left join booked using (client_id))
select *, date '{AS_OF}' - last_visit - cadence_days as days_overdue from due
where days_overdue > 0 and date '{AS_OF}' - last_visit <= 180""",
    "counts": f"""with t as (select month as period, status, count(*) as count from visits where date <= date '{AS_OF}'
    group by month, status) {BESIDE.format(key="status")}""",
    "appointments": f"""with one as (select distinct appointment_id, month, healthie_status from visits
    where date <= date '{AS_OF}'),
t as (select month as period, case healthie_status when 'No-Show' then 'no_show'
        when 'Late Cancellation' then 'late_cancelled' when 'Re-Scheduled' then 'rescheduled'
        when 'Checked-In' then 'checked_in' when 'Occurred' then 'occurred' when 'Cancelled' then 'cancelled'
        else 'unrecorded' end as status, count(*) as count from one group by all) {BESIDE.format(key="status")}""",
    "hours": f"""with slots as (select provider_id, starts_at, month, max(minutes) as minutes from visits
    where date <= date '{AS_OF}' group by provider_id, starts_at, month),
t as (select month as period, provider_id, sum(minutes) / 60 as count from slots group by month, provider_id)
{BESIDE.format(key="provider_id")}""",
    "rates": _rates("(select *, month as period from cp)", "period", every_measure=True),
    "first_visits": _rates(
        f"""(select *, first_kept is null or starts_at <= first_kept as is_first from
          (select *, min(case when status = 'occurred' then starts_at end) over (partition by client_id) as first_kept
           from c) where date <= date '{AS_OF}')""",
        "is_first",
        every_measure=True,
    ),
    "heat": f"""select weekday, hour, due + unmarked as visits, due, missed, rate from (
{_rates("cp", "weekday, hour", every_measure=False)}) where due + unmarked > 0""",
    "lead": f"""select lead, due, missed, rate, due + unmarked as visits,
    (due + unmarked) / sum(due + unmarked) over () as share from (
{
        _rates(
            '''(select *, case when lead_days is null then 'not known' when lead_days <= 7 then 'up to 7 days'
          when lead_days <= 21 then 'over 7, up to 21 days' when lead_days <= 60 then 'over 21, up to 60 days'
          else 'over 60 days' end as lead from cp)''',
            "lead",
            every_measure=False,
        )
    })""",
    "funnel_plot": f"""select provider_id, due, missed, rate, design_effect, sum(missed) over () / sum(due) over ()
    as overall from ({_rates("cp", "provider_id", every_measure=False)})""",
    "cancellations": f"""{BASE}
, marked as (select month as period, cancelled_by, cancellation_reason, status,
    case when notice_hours is null then 'not known' when notice_hours < 0 then 'after it began'
      when notice_hours < 24 then 'under 24 hours' when notice_hours < 48 then '24 to 48 hours'
      else 'over 48 hours' end as notice
    from cp where status in ('cancelled', 'late_cancelled')),
every_one as (select month as period, count(*) as visits from cp group by month)
select period, cancelled_by, cancellation_reason, notice, count(*) as cancellations,
    count(*) filter (status = 'late_cancelled') as late_by_status, any_value(visits) as visits
from marked join every_one using (period)
group by period, cancelled_by, cancellation_reason, notice""",
    "unmarked": f"""with a as (select provider_id, date, status, date '{AS_OF}' - date as days, case when days <= 2
      then '0-2 days' when days <= 7 then '3-7 days' when days <= 30 then '8-30 days' when days <= 90 then '31-90 days'
      else 'over 90 days' end as age from visits where date <= date '{AS_OF}')
select provider_id, age, count(*) filter (status = 'unrecorded') as unmarked,
    min(date) filter (status = 'unrecorded') as oldest, count(*) as visits
from a group by provider_id, age having count(*) filter (status = 'unrecorded') > 0""",
    "booked": f"""{BASE}
, near as (select date, booked_day, changed_day, status in {OFF} as is_off from c
    where date > date '{AS_OF}' - 56 and date <= date '{AS_OF}' + 28),
cells as (select ahead, back, date '{AS_OF}' - 7 * back as seen_on from (select unnest([1, 2, 3, 4]) as ahead),
    (select unnest([0, 1, 2, 3, 4, 5, 6, 7, 8]) as back)),
curve as (select ahead, back, count(date) as booked from cells left join near
    on date > seen_on + 7 * (ahead - 1) and date <= seen_on + 7 * ahead and booked_day <= seen_on - date '1970-01-01'
      and (not is_off or changed_day > seen_on - date '1970-01-01') group by ahead, back)
select ahead, any_value(booked) filter (back = 0) as booked, median(booked) filter (back > 0) as usual,
    min(booked) filter (back > 0) as lowest, max(booked) filter (back > 0) as highest from curve group by ahead""",
    "rebooked": f"""{BASE}
, due as (select client_id, appointment_id, date, starts_at + interval 7 day as cutoff from o
    where date <= date '{AS_OF}' - 7),
has_next as (select distinct d.client_id, d.appointment_id from due d join c on c.client_id = d.client_id
    and c.date > d.date and c.booked_at < cutoff and (c.status not in {OFF} or c.status_changed_at >= cutoff)),
per_client as (select month as period, client_id, count(*) as n, count(h.appointment_id) as k
    from o left join has_next h using (client_id, appointment_id) where date <= date '{AS_OF}' - 7 group by all)
select period, count(*) as clients, sum(n) as visits, sum(k) as rebooked, sum(k) / sum(n) as rate
from per_client group by period""",
    "panel": f"""{BASE}
, months as (select cast(unnest(generate_series((select min(month) from o), date '{AS_OF}', interval 1 month)) as date)
      as period),
ends as (select period, least(cast(period + interval 1 month as date) - 1, date '{AS_OF}') as until from months),
days as (select distinct client_id, date from o)
select period, until, count(distinct client_id) as clients from ends join days
    on date <= until and date > until - 90 group by period, until""",
    "notes": f"""{CHARTED}
select provider_id, count(*) as appointments, count(*) filter (deadline <= {NIGHT}) as due,
    count(*) filter (deadline <= {NIGHT} and signed_at <= deadline) as signed,
    count(*) filter (deadline <= {NIGHT} and signed_at > deadline) as late,
    count(*) filter (deadline <= {NIGHT} and signed_at is null and has_note) as unsigned,
    count(*) filter (deadline <= {NIGHT} and signed_at is null and not has_note) as missing
from charted group by provider_id""",
    "open_notes": f"""{CHARTED}
select provider_id, case when date '{AS_OF}' - date <= 3 then '0-3 days' when date '{AS_OF}' - date <= 7 then '4-7 days'
    when date '{AS_OF}' - date <= 30 then '8-30 days' when date '{AS_OF}' - date <= 90 then '31-90 days'
    else 'over 90 days' end as age, count(*) as open, count(*) filter (not has_note) as missing, min(date) as oldest
from charted where signed_at is null group by provider_id, age""",
    "overdue_notes": f"""{CHARTED},
clients_of as (select appointment_id, is_group, if(is_group, null, any_value(client_id)) as client_id
    from o group by appointment_id, is_group)
select client_id, is_group, appointment_id, provider_id, starts_at, date, has_note,
    date_sub('day', deadline, {NIGHT}) as days_over
from charted join clients_of using (appointment_id) where deadline <= {NIGHT} and signed_at is null""",
    "readiness": f"""{BASE}
, done as (select distinct client_id, role from {DONE} where filled_at < {NIGHT}),
asked as (select client_id, role, if(bool_or(filled_form_id is not null), 'begun', 'asked') as state
    from form_requests join form_roles using (form_id) where not coalesce(filled_form_is_finished, false)
    group by client_id, role),
seen as (select distinct client_id from o)
select starts_at, date, appointment_id, c.client_id, provider_id, needed as role, s.client_id is null as is_first,
    if(d.role is not null, 'done', coalesce(state, 'not asked')) as state,
    bool_and(d.role is not null) over (partition by appointment_id, c.client_id) as is_ready
from c cross join (values ('intake'), ('consent')) r(needed)
    left join done d on d.client_id = c.client_id and d.role = needed
    left join asked a on a.client_id = c.client_id and a.role = needed left join seen s on s.client_id = c.client_id
where date > date '{AS_OF}' and date <= date '{AS_OF}' + 7 and status not in {OFF}""",
    "before_first_visit": f"""{BASE}
, firsts as (select client_id, min(starts_at) as starts_at, min(month) as period from cp
    where status not in ('cancelled', 'rescheduled') group by client_id),
done as (select client_id, min(filled_at) filter (role = 'intake') as intake,
    min(filled_at) filter (role = 'consent') as consent from {DONE} group by client_id),
judged as (select period, coalesce(intake < starts_at, false) as intake, coalesce(consent < starts_at, false) as consent
    from firsts left join done using (client_id)),
table_ as (select period, count(*) as clients, count(*) filter (intake) as intake,
    count(*) filter (consent) as consent, count(*) filter (intake and consent) as both_ from judged group by period)
select period, clients, 'intake' as role, intake as done, intake / clients as rate from table_
union all select period, clients, 'consent', consent, consent / clients from table_
union all select period, clients, 'all', both_, both_ / clients from table_""",
    "measures": f"""{BASE}{SINCE},
people as (select client_id, min(date) as first, bool_or(since between 31 and 90) as came from s group by client_id),
windows as (from (values ('baseline', -14, 7), ('days 31-90', 31, 90)) w("window", a, b)),
eligible as (select client_id, first, "window", a, b from people, windows
    where first + b <= date '{AS_OF}' and ("window" = 'baseline' or came)),
sizes as (select "window", count(*) as clients from eligible group by "window")
select form_id, "window", count(distinct e.client_id) as done, any_value(clients) as clients
from eligible e join sizes using ("window") join {DONE} f on f.client_id = e.client_id and f.role = 'outcome measure'
    and cast(filled_at as date) between first + a and first + b
group by form_id, "window" """,
    "requests": f"""with {STANDING[2:]},
per_client as (select client_id, form_id, sender_id, count(*) as requests, count(*) filter (state = 'open') as open,
    count(*) filter (state = 'started') as started, count(*) filter (state = 'completed') as completed,
    count(*) filter (state = 'withdrawn') as withdrawn from standing group by client_id, form_id, sender_id)
select form_id, sender_id, sum(requests) as requests, sum(open) as open, sum(started) as started,
    sum(completed) as completed, sum(withdrawn) as withdrawn, sum(requests) - sum(withdrawn) as waiting_or_done,
    sum(completed) / nullif(sum(requests) - sum(withdrawn), 0) as completed_now
from per_client group by form_id, sender_id""",
    "overdue": f"""with {STANDING[2:]}
select s.client_id, any_value(provider_id) as provider_id, count(*) as forms,
    count(*) filter (state = 'started') as started, min(cast(date_to_show as date)) as oldest
from standing s join clients c on c.id = s.client_id where state in ('open', 'started')
    and cast(date_to_show as date) < date '{AS_OF}' - 14 group by s.client_id""",
}


def tables(given: Given) -> duckdb.DuckDBPyConnection:
    """Copy everything into DuckDB's own tables; instants as UTC without their zone, which plain SQL takes apart."""
    connection = duckdb.connect()
    for name in ("visits", "clients", "chart_notes", "filled_forms", "form_requests", "form_roles"):
        rows: pl.DataFrame = getattr(given, name)
        plain = rows.with_columns(selectors.datetime().dt.replace_time_zone(None))
        if name == "chart_notes":
            instants = pl.List(pl.Struct({"signed_at": pl.Datetime("us")}))
            plain = plain.with_columns(pl.col("signings").cast(instants))
        connection.register("incoming", plain.to_arrow())
        connection.sql(f"create table {name} as from incoming")
        connection.unregister("incoming")
    return connection


def answer(connection: duckdb.DuckDBPyConnection, metric: str) -> pl.DataFrame:
    """Run one query and fetch its answer."""
    return pl.DataFrame(connection.sql(QUERIES[metric]))
