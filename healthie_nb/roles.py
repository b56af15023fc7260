"""The practice's own words, in small CSV files: proposed here, decided by the people who know.

Each file is read, checked and returned as a frame; what a file does not name is listed by `unmapped`, never guessed.
"""

from pathlib import Path
from typing import Final, Literal

import polars as pl

from healthie_nb.targets import METRICS, SHARES
from healthie_nb.visits import MetricError, require

__all__ = ["Kind", "propose_form_roles", "propose_roles", "read", "unmapped", "unmapped_forms", "without_tests"]

Kind = Literal["appointment_types", "forms", "test_clients", "programmes", "targets", "annotations"]

APPOINTMENT_ROLES: Final = ("intake", "follow-up", "group", "discovery", "admin")
FORM_ROLES: Final = ("intake", "consent", "outcome measure", "other")
PROGRAMME_KINDS: Final = ("group", "closing type")

# Columns of each file; the first is its key, and a row without it is an error.
COLUMNS: Final[dict[str, dict[str, pl.DataType]]] = {
    "appointment_types": {"appointment_type_id": pl.String(), "role": pl.String(), "name": pl.String()},
    "forms": {"form_id": pl.String(), "role": pl.String(), "name": pl.String()},
    "test_clients": {"client_id": pl.String(), "why": pl.String()},
    "programmes": {"id": pl.String(), "kind": pl.String(), "programme": pl.String()},
    "targets": {"metric": pl.String(), "target": pl.Float64(), "since": pl.Date()},
    "annotations": {"date": pl.Date(), "text": pl.String()},
}
_ALLOWED: Final = {
    "appointment_types": ("role", APPOINTMENT_ROLES),
    "forms": ("role", FORM_ROLES),
    "programmes": ("kind", PROGRAMME_KINDS),
    "targets": ("metric", METRICS),
}
# One row a key; a metric may have several targets, one after another, and a day several notes.
_UNIQUE: Final = {
    "appointment_types": ["appointment_type_id"],
    "forms": ["form_id"],
    "test_clients": ["client_id"],
    "programmes": ["id", "kind"],
    "targets": ["metric", "since"],
}

# Tried in this order on the name in lower case; the first that fits is proposed.
_APPOINTMENT_RULES: Final = (
    (r"\b(admin\w*|meeting|supervision|internal|staff|block\w*|training|hold|test)\b", "admin"),
    (r"\b(discovery|intro\w*|meet (and|&) greet|free|enquir\w+|inquir\w+|screening call)\b", "discovery"),
    (r"\b(intake|initial|first|new (client|patient)|evaluation|assessment)\b", "intake"),
    (r"\b(group|class|workshop|webinar|circle)\b", "group"),
    (r"\b(follow[- ]?up|return\w*|session|check[- ]?in|ongoing|subsequent|review|visit|therapy)\b", "follow-up"),
)
# A questionnaire of no kind named otherwise is a measure: one for new clients is their intake.
_FORM_RULES: Final = (
    (r"\b(phq|gad|pcl|audit|eat|ede-?q|k10|dass|wsas|measure|scale|inventory)\b|-\d+\b", "outcome measure"),
    (r"\b(consent\w*|agreement|polic(y|ies)|hipaa|privacy|release|authori[sz]ation)\b", "consent"),
    (r"\b(intake|history|demographic\w*|registration|new (client|patient)|welcome)\b", "intake"),
    (r"\bquestionnaire\b", "outcome measure"),
)


def propose_roles(appointment_types: pl.DataFrame) -> pl.DataFrame:
    """Propose a role for every appointment type by its name, to be written to appointment_types.csv and corrected.

    A type marked as a group is one, whatever its name. Else the first that the name speaks of: admin (meeting,
    supervision, ...), discovery (free, intro, ...), intake (initial, first, assessment, ...), group (class, ...),
    follow-up (session, therapy, ...). A name that speaks of none has no role until somebody gives it one.

    Rows
    ----
    One per type, those without a role first, then by role and name.

    Columns
    -------
    appointment_type_id, role (null when nothing fits), name String.

    Source
    ------
    queries/appointment_types.graphql.

    Examples
    --------
    >>> types = pl.DataFrame({"id": ["1", "2"], "name": ["Initial consultation", "Zebra"], "is_group": [False, False]})
    >>> propose_roles(types)["role"].to_list()
    [None, 'intake']
    """
    require(appointment_types, ["id", "name", "is_group"], query="appointment_types")
    by_name = _first_fit(_APPOINTMENT_RULES)
    role = pl.when(pl.col("is_group")).then(pl.lit("group")).otherwise(by_name)
    proposed = appointment_types.select(appointment_type_id="id", role=role, name="name")
    return proposed.sort("role", "name", "appointment_type_id", nulls_last=False)


def propose_form_roles(form_templates: pl.DataFrame) -> pl.DataFrame:
    """Propose a role for every form by its name, to be written to forms.csv and corrected; chart notes are left out.

    Rows
    ----
    One per template that is no chart note, those without a role first, then by role and name.

    Columns
    -------
    form_id, role (intake, consent, outcome measure; null when nothing fits), name String.

    Source
    ------
    queries/form_templates.graphql.

    Examples
    --------
    >>> forms = pl.DataFrame({"id": ["1"], "name": ["PHQ-9"], "is_chart_note": [False]})
    >>> propose_form_roles(forms)["role"].to_list()
    ['outcome measure']
    """
    require(form_templates, ["id", "name", "is_chart_note"], query="form_templates")
    return (
        form_templates.filter(~pl.col("is_chart_note").fill_null(value=False))
        .select(form_id="id", role=_first_fit(_FORM_RULES), name="name")
        .sort("role", "name", "form_id", nulls_last=False)
    )


def _first_fit(rules: tuple[tuple[str, str], ...]) -> pl.Expr:
    name = pl.col("name").fill_null("").str.to_lowercase()
    return pl.coalesce(pl.when(name.str.contains(rule)).then(pl.lit(role)) for rule, role in rules)


def read(path: Path, kind: Kind) -> pl.DataFrame:
    """Read one of the practice's CSV files; `visits`, charts and metrics take what this gives.

    appointment_types: appointment_type_id, role (intake, follow-up, group, discovery, admin), name. forms: form_id,
    role (intake, consent, outcome measure, other), name. test_clients: client_id, why. programmes: id, kind (group:
    being in that client group, or closing type: a visit of that type, completes it), programme. targets: metric, of
    targets.METRICS, target (0..1 of a share, any number of a count), since. annotations: date, text. Days are written
    2026-06-30; the last columns may be empty.

    Rows
    ----
    One per line, in the file's order; types and forms whose role was left empty are left out, as not mapped.

    Columns
    -------
    As above: String, target Float64, since and date Date.

    Raises
    ------
    MetricError when the file is missing, or has a column too few, an empty or repeated key, a role, kind or metric that
    is not allowed, or a number or day that is not one; it names the file and the first lines concerned.

    Source
    ------
    The practice's own file; `propose_roles` and `propose_form_roles` make the first draft of two of them.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> types = pl.DataFrame({"appointment_type_id": ["7", "8"], "role": ["intake", None], "name": ["First", "Zebra"]})
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "appointment_types.csv"
    ...     types.write_csv(path)
    ...     read(path, "appointment_types").rows()
    [('7', 'intake', 'First')]
    """
    columns = COLUMNS[_known_kind(kind)]
    if not path.is_file():
        raise MetricError(f"no file {path.name} in {path.parent}: make it with the columns {', '.join(columns)}.")
    text = pl.read_csv(path, infer_schema=False, encoding="utf8-lossy")
    if lacking := [name for name in columns if name not in text.columns]:
        raise MetricError(f"{path.name} lacks {', '.join(lacking)}; its columns are {', '.join(columns)}.")
    trimmed = text.select(pl.col(list(columns)).str.strip_chars().replace("", None)).with_row_index("line", offset=2)
    _check(trimmed, kind, path.name)
    rows = trimmed.drop("line").cast({name: dtype for name, dtype in columns.items() if dtype != pl.Date})
    rows = rows.with_columns(pl.col([n for n, dtype in columns.items() if dtype == pl.Date]).str.to_date("%Y-%m-%d"))
    return rows.filter(pl.col("role").is_not_null()) if "role" in columns else rows


def _known_kind(kind: str) -> str:
    if kind not in COLUMNS:
        raise MetricError(f"kind is {kind!r}; allowed are {', '.join(map(repr, COLUMNS))}.")
    return kind


def _check(rows: pl.DataFrame, kind: str, file: str) -> None:
    """Refuse lines that would be misread, all kinds of mistake named by line."""
    columns = COLUMNS[kind]
    key = next(iter(columns))
    wrong = {f"{key} is empty": pl.col(key).is_null()}
    if kind in _UNIQUE:
        wrong[f"{' and '.join(_UNIQUE[kind])} repeated"] = pl.struct(_UNIQUE[kind]).is_duplicated()
    if kind in _ALLOWED:
        column, allowed = _ALLOWED[kind]
        wrong[f"{column} is none of {', '.join(allowed)}"] = pl.col(column).is_in(allowed).not_()
    for name, dtype in columns.items():
        if dtype == pl.Float64:
            wrong[f"{name} is no number"] = (
                pl.col(name).is_not_null() & pl.col(name).cast(dtype, strict=False).is_null()
            )
        if dtype == pl.Date:
            day = pl.col(name).str.to_date("%Y-%m-%d", strict=False)
            wrong[f"{name} is no day such as 2026-06-30"] = pl.col(name).is_not_null() & day.is_null()
    if kind == "targets":
        target = pl.col("target").cast(pl.Float64, strict=False)
        wrong["target of a share is none, such as 0.08"] = pl.col("metric").is_in(SHARES) & ~target.is_between(0, 1)
    for what, is_wrong in wrong.items():
        lines = rows.filter(is_wrong)["line"].head(5).to_list()
        if lines:
            raise MetricError(f"{file}, line {', '.join(map(str, lines))}: {what}.")


def without_tests(rows: pl.DataFrame, test_clients: pl.DataFrame) -> pl.DataFrame:
    """Clients, or rows of clients such as requests and forms, without those of test clients.

    `visits` leaves their visits out itself. Sign-ups, states and requests are counted from clients and requests, so
    take test clients out of these too.

    Rows
    ----
    As given, in the same order; rows of no client are kept.

    Columns
    -------
    As given.

    Raises
    ------
    MetricError for rows that name no client, in client_id or, of clients, in id, or `test_clients` without client_id.

    Source
    ------
    `rows` from queries/; `test_clients` from `read`.

    Examples
    --------
    >>> clients = pl.DataFrame({"id": ["7", "8"], "is_active": [True, True]})
    >>> without_tests(clients, pl.DataFrame({"client_id": ["8"]}))["id"].to_list()
    ['7']
    """
    require(test_clients, ["client_id"], query="test_clients")
    own = "client_id" if "client_id" in rows.columns else "id"
    require(rows, [own], query="clients")
    return rows.filter(~pl.col(own).is_in(test_clients["client_id"].drop_nulls().implode()).fill_null(value=False))


def unmapped(appointment_types: pl.DataFrame, roles: pl.DataFrame) -> pl.DataFrame:
    """Appointment types that have no role yet; their visits are "unmapped" and count in no clinical metric.

    Rows
    ----
    One per type, by name.

    Columns
    -------
    appointment_type_id, name String.

    Raises
    ------
    MetricError for a missing column.

    Source
    ------
    queries/appointment_types.graphql; `roles` from `read`.

    Examples
    --------
    >>> types = pl.DataFrame({"id": ["1", "2"], "name": ["Initial", "Zebra"]})
    >>> unmapped(types, pl.DataFrame({"appointment_type_id": ["1"], "role": ["intake"]}))["name"].to_list()
    ['Zebra']
    """
    require(appointment_types, ["id", "name"], query="appointment_types")
    require(roles, ["appointment_type_id", "role"], query="roles")
    types = appointment_types.select(appointment_type_id="id", name="name")
    given = roles.filter(pl.col("role").is_not_null())
    return types.join(given, on="appointment_type_id", how="anti").sort("name", "appointment_type_id")


def unmapped_forms(form_templates: pl.DataFrame, form_roles: pl.DataFrame) -> pl.DataFrame:
    """Forms that have no role yet, chart notes aside; they are required nowhere and no measure.

    Rows
    ----
    One per form, by name.

    Columns
    -------
    form_id, name String.

    Raises
    ------
    MetricError for a missing column.

    Source
    ------
    queries/form_templates.graphql; `form_roles` from `read`.

    Examples
    --------
    >>> forms = pl.DataFrame({"id": ["1", "2"], "name": ["Consent", "Zebra"], "is_chart_note": [False, None]})
    >>> unmapped_forms(forms, pl.DataFrame({"form_id": ["1"], "role": ["consent"]}))["name"].to_list()
    ['Zebra']
    """
    require(form_templates, ["id", "name", "is_chart_note"], query="form_templates")
    require(form_roles, ["form_id", "role"], query="form_roles")
    forms = form_templates.filter(~pl.col("is_chart_note").fill_null(value=False)).select(form_id="id", name="name")
    given = form_roles.filter(pl.col("role").is_not_null())
    return forms.join(given, on="form_id", how="anti").sort("name", "form_id")
