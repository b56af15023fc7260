"""How an explorer's views are chosen: by which names, through which controls, and written as which lines of code."""

from __future__ import annotations

import inspect
from dataclasses import replace
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import narwhals as nw
import polars as pl

from healthie_nb import charts, controls, parameters, tables
from healthie_nb.engines import reduced
from healthie_nb.live import Answer, Show
from healthie_nb.newcomers import day_number, occurred
from healthie_nb.visits import MetricError
from healthie_nb.wording import listed, plural

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    import ipywidgets

    from healthie_nb.parameters import Parameter

# Parameter → the column it chooses by, and its label.
WHICH: Final = {
    "provider_ids": ("provider_id", "Provider"),
    "appointment_type_ids": ("appointment_type_id", "Appointment type"),
    "roles": ("role", "Role"),
    "modalities": ("modality", "Modality"),
}
LABELS: Final = {
    "as_of": "As of",
    "start": "From",
    "end": "Until",
    "every": "By",
    "months": "Months",
    "weeks_ahead": "Weeks ahead",
    "days_ahead": "Days ahead",
    "within_hours": "Signed within hours",
    "after_days": "Overdue after days",
    "measure": "Measure",
    "unit": "Count",
    "late": "Late by",
    "compare_to": "Compare to",
    "split": "Split by",
    **{name: label for name, (_, label) in WHICH.items()},
    "form_ids": "Form",
}
WORDS: Final = {"": "nothing", "brackets": "days 31-90", "on": "in each period", "on or after": "in it or later"}
NAMES_FROM: Final = {
    "provider_id": "providers",
    "appointment_type_id": "appointment_types",
    "form_id": "form_templates",
}
LINE: Final = 100  # characters of code that need no second line
NAMED: Final = tuple(column for column, _ in WHICH.values())


class Name(str):
    """A variable's name in a line of code, where other text is quoted."""

    __slots__ = ()


def began(
    visits: pl.DataFrame,
    *,
    as_of: str | date,
    start: str | date | None = None,
    end: str | date | None = None,
    provider_ids: Collection[str] = (),
    appointment_type_ids: Collection[str] = (),
    roles: Collection[str] = (),
    modalities: Collection[str] = (),
) -> pl.DataFrame:
    """All visits of the clients whose first occurred clinical visit was like this; nothing given means all.

    Rows, Columns
    -------------
    As `visits`, in its order.

    Raises
    ------
    MetricError for a day that is none, `as_of` before the first visit, or a missing column.

    Examples
    --------
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-02-05"], "bob": ["2026-02-09"]})
    >>> began(seen, as_of="2026-06-30", start="2026-02-01")["client_id"].to_list()
    ['bob']
    """
    given = {"provider_ids": provider_ids, "appointment_type_ids": appointment_type_ids}
    chosen = first_visits(visits, as_of).filter(
        *alike(given | {"roles": roles, "modalities": modalities}), *within("first_day", start, end)
    )
    return visits.join(chosen, on="client_id", how="semi", maintain_order="left")


def first_visits(visits: Any, as_of: str | date) -> pl.DataFrame:
    """One row per client seen: first_day Int64, visits Int64, and what the first occurred clinical visit was like."""
    by_start = ["starts_at", "appointment_id"]
    rows = occurred(visits, as_of, *NAMED).group_by("client_id")
    first = [nw.col(name).first(order_by=by_start) for name in NAMED]
    return reduced(rows.agg(nw.col("day").min().alias("first_day"), nw.len().alias("visits"), *first))


def alike(chosen: Mapping[str, Any]) -> list[pl.Expr]:
    """Conditions on the columns of WHICH; a parameter that chooses nothing sets none."""
    return [pl.col(column).is_in(list(chosen[name])) for name, (column, _) in WHICH.items() if chosen.get(name)]


def within(day: str, start: str | date | None, end: str | date | None) -> list[pl.Expr]:
    """Conditions on a day, given as its number; both ends are in."""
    least = [] if start is None else [pl.col(day) >= day_number(start, name="start")]
    most = [] if end is None else [pl.col(day) <= day_number(end, name="end")]
    return least + most


def in_order(view: Mapping[str, Any]) -> None:
    """Refuse a view whose first day is after its last.

    Raises
    ------
    MetricError saying so.
    """
    if view["start"] > view["end"]:
        raise MetricError("The first day is after the last: exchange them.")


def names(rows: pl.DataFrame) -> dict[str, str]:
    """Name by id, for charts and tables: of providers, appointment types or form templates, as they are loaded.

    Examples
    --------
    >>> names(pl.DataFrame({"id": ["7", "8"], "name": [" Dr Ada", "Dr Bob"], "is_active": [True, False]}))
    {'7': 'Dr Ada', '8': 'Dr Bob (left)'}
    """
    has_left = ~pl.col("is_active") if "is_active" in rows.columns else pl.lit(value=False)
    left = pl.when(has_left).then(pl.lit(" (left)")).otherwise(pl.lit(""))
    return dict(rows.select("id", pl.col("name").str.strip_chars() + left).rows())


def names_of(rows: pl.DataFrame, named: Mapping[str, pl.DataFrame]) -> dict[str, dict[str, str]]:
    """Name by id of what occurs, per column of WHICH; where a column's frame has no name it is the id."""
    return {column: occurring(rows[column], named.get(column)) for column in NAMED}


def occurring(ids: pl.Series, named: pl.DataFrame | None) -> dict[str, str]:
    """Name by id of those that occur, by name; an id that has none is shown itself."""
    ids = ids.drop_nulls().unique().sort()
    if named is None:
        return {key: key for key in ids}
    known = names(named)
    rows = ((key, known.get(key) or f"id {key}") for key in ids)
    return dict(sorted(rows, key=lambda row: row[::-1]))


def controls_of(
    notebook: str, settings: Mapping[str, Any], names: Mapping[str, Mapping[str, str]]
) -> dict[str, ipywidgets.Widget]:
    """One control per parameter that changes a view, set to the notebook's; lists are set to what occurs of it."""
    taken = {name: one for name, one in parameters.described(notebook).items() if name in LABELS}
    last = date.fromisoformat(settings["as_of"])
    return {name: _control(one, settings[name], names, last) for name, one in taken.items()}


def _control(one: Parameter, value: Any, names: Mapping[str, Mapping[str, str]], last: date) -> ipywidgets.Widget:
    label = LABELS[one.name]
    if one.name in WHICH or one.is_list:
        known = names[WHICH[one.name][0] if one.name in WHICH else one.name]
        return controls.Several(label, known, [key for key in value if key in known])
    if one.kind == "day":
        return controls.day(label, date.fromisoformat(value), most=last if one.name == "as_of" else None)
    if one.kind == "number":
        return controls.number(label, value, least=one.least, most=one.most)
    return controls.one_of(label, value, {WORDS.get(word, word): word for word in one.allowed})


def show(
    metric: str,
    controls: tuple[str, ...],
    title: str,
    answer: Callable[[Mapping[str, Any]], Answer],
    *,
    drawn: str = "",
    has_links: bool = False,
    unsplit: str = WORDS[""],
) -> Show:
    """One thing to show, with the table of the metric's name and the chart where there is one.

    `drawn` is their name where it is not the metric's; rows with links have the client's in a column of that name;
    `unsplit` is what rows are by that are split by nothing else.
    """
    name = drawn or metric
    chart, parts = getattr(charts, name, None), getattr(charts, f"{name}_parts", None)
    return Show(
        title,
        controls,
        answer,
        getattr(tables, name),
        metric,
        chart=chart,
        parts=parts,
        has_links=has_links,
        unsplit=unsplit,
    )


def said(chosen: Mapping[str, Any], names: Mapping[str, Mapping[str, str]]) -> str:
    """Tell in words what was chosen, or nothing.

    Examples
    --------
    >>> nothing = {"appointment_type_ids": (), "modalities": ()}
    >>> names = {"provider_id": {"7": "Dr Ada", "8": "Dr Bob"}, "role": {"intake": "intake"}}
    >>> said({"provider_ids": ("7", "8"), "roles": ("intake",), **nothing}, names)
    ' for providers Dr Ada and Dr Bob, role intake'
    """
    words = [
        _these(label.lower(), [names[column][key] for key in chosen[name]])
        for name, (column, label) in WHICH.items()
        if chosen[name]
    ]
    return f" for {', '.join(words)}" if words else ""


def _these(noun: str, values: list[str]) -> str:
    return f"{noun if len(values) == 1 else plural(noun)} {listed(values)}"


def call(function: str, *given: str, **options: Any) -> str:
    """Write the line that calls a function; options that choose nothing are left out."""
    told = [
        f"{name}={literal(value)}" for name, value in options.items() if value is not None and value not in ((), [])
    ]
    line = f"{function}({', '.join([*given, *told])})"
    if len(line) <= LINE:
        return line
    return f"{function}(\n    {', '.join(given)},\n" + "".join(f"    {one},\n" for one in told) + ")"


def began_line(
    chosen: Mapping[str, Any], *, as_of: str, start: date | None = None, end: date | None = None
) -> list[str]:
    """Write the line that keeps the visits of the clients chosen, if any are."""
    kept = {name: list(chosen[name]) for name in WHICH if chosen[name]}
    if not kept and start is None and end is None:
        return []
    days = {name: day.isoformat() for name, day in (("start", start), ("end", end)) if day is not None}
    return [call("visits = hn.explore.began", "visits", as_of=as_of, **days, **kept)]


def days_line(column: str, start: date, end: date) -> str:
    """Write the line that keeps the rows of some days."""
    first, last = (f"pl.date({day.year}, {day.month}, {day.day})" for day in (start, end))
    return f'rows = rows.filter(pl.col("{column}").is_between({first}, {last}))'


def ids_line(column: str, ids: list[str]) -> str:
    """Write the line that keeps the rows of some ids."""
    return f'rows = rows.filter(pl.col("{column}").is_in({literal(ids)}))'


def marked(shown: Show, marks: Mapping[str, Any]) -> Show:
    """Draw targets and annotations into a chart that takes them; its table has none."""
    if shown.chart is None or shown.parts is None:
        return shown
    given = taken(shown.parts, marks)
    return replace(shown, chart=partial(shown.chart, **given), parts=partial(shown.parts, **given))


def taken(parts: Callable[..., object] | None, marks: Mapping[str, Any]) -> dict[str, Any]:
    """Targets and annotations, as far as there are any and a chart takes them."""
    options = inspect.signature(parts).parameters if parts else {}
    return {name: rows for name, rows in marks.items() if rows is not None and name in options}


def drawn_lines(
    drawn: str, options: Mapping[str, Any], *, named: str = "", marks: Mapping[str, Any] | None = None
) -> list[str]:
    """Write the lines that draw and list `rows`.

    `named` is the column for whose ids the options have names; `marks` are targets and annotations, for the chart.
    """
    told = {**options, "synthetic": Name("practice.is_synthetic")}
    if "names" in told:
        told["names"] = Name(f"hn.explore.names({NAMES_FROM[named]})")
    table = call(f"hn.tables.{drawn}", "rows", **told)
    told |= {name: Name(name) for name in taken(getattr(charts, f"{drawn}_parts", None), marks or {})}
    return [*([call(f"hn.charts.{drawn}", "rows", **told)] if hasattr(charts, drawn) else []), table]


def literal(value: Any) -> str:
    """Write a value as code."""
    if isinstance(value, Name):
        return str(value)
    if isinstance(value, str):
        return '"' + value.replace('"', '\\"') + '"'
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    return repr(value)
