"""Tables that list clients one by one: by pseudonym, for what is shown in a cell is saved with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from healthie_nb.tables.forms import first_or_later
from healthie_nb.tables.table import Table
from healthie_nb.wording import day, named, number, remarks

if TYPE_CHECKING:
    from collections.abc import Mapping


def worklist(
    table: pl.DataFrame,
    *,
    synthetic: bool,
    names: Mapping[str, str] | None = None,
    most: int = 25,
) -> Table:
    """Clients to call, as a table: pseudonyms, for what is shown in a cell is saved with it.

    Rows
    ----
    The first `most`, in the metric's order.

    Columns
    -------
    client, the pseudonym; last visit; usual days between; days overdue; next booking; provider of the last visit.

    Source
    ------
    `retention.worklist`.

    Examples
    --------
    >>> from healthie_nb import retention
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-05-01", "2026-05-08", "2026-05-15"], "bob": ["2026-06-20"]})
    >>> table = retention.worklist(seen, as_of="2026-06-30", key=b"kept with the store, never shown")
    >>> worklist(table, synthetic=True)
    Whom to call
    Demo practice: synthetic data
    1 of 1 clients, the longest overdue and not booked first
    client          last visit  usual days between  days overdue  next booking  provider
    e8e257-f89e18  15 May 2026                   7            39                none
    """
    rows = table.head(most).select(
        pl.col("pseudonym").alias("client"),
        day("last_visit").alias("last visit"),
        number("cadence_days").alias("usual days between"),
        number("days_overdue").alias("days overdue"),
        day("next_booking").alias("next booking"),
        named("provider_id", names).alias("provider"),
    )
    return _listed(
        "worklist",
        "Whom to call",
        rows,
        "clients, the longest overdue and not booked first",
        of=table,
        synthetic=synthetic,
    )


def unready(table: pl.DataFrame, *, synthetic: bool, names: Mapping[str, str] | None = None, most: int = 25) -> Table:
    """Coming visits that lack a form, as a table: pseudonyms, for what is shown in a cell is saved with it.

    Rows
    ----
    The first `most`, soonest first.

    Columns
    -------
    client, the pseudonym; visit, its day; first visit or not; lacks, the role of form; which is begun, asked, or not
    asked for; provider.

    Source
    ------
    `forms.unready`.

    Examples
    --------
    >>> from datetime import date
    >>> from healthie_nb import forms
    >>> ready = {"client_id": "7", "appointment_id": "1", "provider_id": "p", "date": [date(2026, 7, 1)] * 2}
    >>> ready |= {"is_first": True, "role": ["intake", "consent"], "state": ["asked", "done"]}
    >>> table = forms.unready(pl.DataFrame(ready), key=b"kept with the store")
    >>> unready(table, synthetic=True)
    Who comes without a form
    Demo practice: synthetic data
    1 of 1 forms lacking, the soonest visits first
           client       visit  which        lacks   the form is  provider
    0a3f6c-01da32  1 Jul 2026  first visit  intake  asked        p
    """
    rows = table.head(most).select(
        pl.col("pseudonym").alias("client"),
        day("date").alias("visit"),
        first_or_later().alias("which"),
        pl.col("role").alias("lacks"),
        pl.col("state").alias("the form is"),
        named("provider_id", names).alias("provider"),
    )
    return _listed(
        "unready",
        "Who comes without a form",
        rows,
        "forms lacking, the soonest visits first",
        of=table,
        synthetic=synthetic,
    )


def overdue(table: pl.DataFrame, *, synthetic: bool, names: Mapping[str, str] | None = None, most: int = 25) -> Table:
    """Clients with forms overdue, as a table: pseudonyms, for what is shown in a cell is saved with it.

    Rows
    ----
    The first `most`, the longest waiting first.

    Columns
    -------
    client, the pseudonym; forms overdue; of these begun; oldest, when it was asked for; days since; which forms.

    Source
    ------
    `forms.overdue`; `names` of forms.

    Examples
    --------
    >>> from healthie_nb import forms
    >>> asked = pl.DataFrame({"id": ["1"], "form_id": ["f"], "client_id": ["ada"]}).with_columns(
    ...     sender_id=pl.lit("p"), filled_form_id=None, filled_form_is_finished=pl.lit(False),
    ...     date_to_show=pl.lit("2026-01-05").str.to_datetime(time_unit="us", time_zone="UTC"),
    ... )
    >>> clients = pl.DataFrame({"id": ["ada"], "is_active": [True], "provider_id": ["p"]})
    >>> key = b"kept with the store, never shown"
    >>> table = forms.overdue(asked, clients, as_of="2026-01-31", key=key)
    >>> overdue(table, synthetic=True)
    Whose forms are overdue
    Demo practice: synthetic data
    1 of 1 clients, the longest waiting first
    client         forms  begun      oldest  days  which
    e8e257-f89e18      1      0  5 Jan 2026    26  f
    """
    rows = table.head(most).select(
        pl.col("pseudonym").alias("client"),
        number("forms"),
        number("started").alias("begun"),
        day("oldest"),
        number("days"),
        pl.col("form_ids").list.eval(pl.element().replace(dict(names or {}))).list.join(", ").alias("which"),
    )
    return _listed(
        "overdue", "Whose forms are overdue", rows, "clients, the longest waiting first", of=table, synthetic=synthetic
    )


def overdue_notes(
    table: pl.DataFrame,
    *,
    synthetic: bool,
    within_hours: int = 72,
    names: Mapping[str, str] | None = None,
    most: int = 25,
) -> Table:
    """Visits whose note is overdue, as a table: pseudonyms, for what is shown in a cell is saved with it.

    Rows
    ----
    The first `most`, the longest overdue first.

    Columns
    -------
    client, the pseudonym, or a group session; visit, its day; provider; days over, since the note's time ended; the
    note is begun, and nobody signed it, or missing.

    Source
    ------
    `forms.overdue_notes`; `within_hours` as it was made.

    Examples
    --------
    >>> from healthie_nb import forms
    >>> from healthie_nb.visits import example
    >>> seen = example({"ada": ["2026-01-05", "2026-01-12"]})
    >>> signed = [{"appointment_id": "0", "signings": [{"signed_at": seen["starts_at"][0]}], "filled_at": None}]
    >>> key = b"kept with the store, never shown"
    >>> table = forms.overdue_notes(seen, pl.DataFrame(signed), as_of="2026-01-31", key=key)
    >>> overdue_notes(table, synthetic=True)
    Visits without a signed chart note after 72 hours
    Demo practice: synthetic data
    1 of 1 visits, the longest overdue first
    client               visit  provider  days over  the note is
    e8e257-f89e18  12 Jan 2026  none             16  missing
    """
    rows = table.head(most).select(
        pl.when("is_group").then(pl.lit("group session")).otherwise("pseudonym").alias("client"),
        day("date").alias("visit"),
        named("provider_id", names).alias("provider"),
        number("days_over").alias("days over"),
        pl.when("has_note").then(pl.lit("begun")).otherwise(pl.lit("missing")).alias("the note is"),
    )
    title = f"Visits without a signed chart note after {within_hours} hours"
    return _listed("overdue-notes", title, rows, "visits, the longest overdue first", of=table, synthetic=synthetic)


def _listed(name: str, title: str, rows: pl.DataFrame, order: str, *, of: pl.DataFrame, synthetic: bool) -> Table:
    """Table of the first rows of a list, which says of how many, and in which order."""
    shown = f"{rows.height:,} of {of.height:,} {order}"
    return Table(name, title, (*remarks(of, synthetic=synthetic), shown), rows)
