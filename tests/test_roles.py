from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from healthie_nb import forms, retention
from healthie_nb.roles import propose_form_roles, propose_roles, read, unmapped, unmapped_forms, without_tests
from healthie_nb.visits import MetricError, example


def types(**names: str) -> pl.DataFrame:
    rows = [
        {"id": key, "name": name.removesuffix(" (g)"), "is_group": name.endswith("(g)")} for key, name in names.items()
    ]
    return pl.DataFrame(rows)


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("Initial Consultation", "intake"),
        ("New patient visit", "intake"),
        ("Follow-up session (30 min)", "follow-up"),
        ("Followup", "follow-up"),
        ("Nutrition class", "group"),
        ("Anything (g)", "group"),
        ("Free discovery call", "discovery"),
        ("Team meeting", "admin"),
        ("Zebra", None),
    ],
)
def test_role_is_proposed_by_name(name: str, role: str | None) -> None:
    assert propose_roles(types(a=name))["role"].item() == role


def test_types_without_a_role_are_listed_first() -> None:
    assert propose_roles(types(a="Intake", b="Zebra"))["appointment_type_id"].to_list() == ["b", "a"]


def test_chart_notes_are_no_forms_to_map() -> None:
    forms = pl.DataFrame(
        {"id": ["1", "2", "3"], "name": ["SOAP", "Consent to treat", "GAD-7"], "is_chart_note": [True, False, None]}
    )
    assert propose_form_roles(forms).select("form_id", "role").rows() == [("2", "consent"), ("3", "outcome measure")]


def test_forms_without_a_role_are_listed_by_name_and_chart_notes_are_not() -> None:
    names = ["SOAP", "Zebra", "Consent", "Ant", "Not said"]
    kinds = [True, False, None, None, False]
    templates = pl.DataFrame({"id": ["1", "2", "3", "4", "5"], "name": names, "is_chart_note": kinds})
    given = pl.DataFrame({"form_id": ["3", "5", "9"], "role": ["consent", None, "intake"]})
    assert unmapped_forms(templates, given).rows() == [("4", "Ant"), ("5", "Not said"), ("2", "Zebra")]


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("New client questionnaire", "intake"),
        ("Mood questionnaire", "outcome measure"),
        ("New patient PHQ-9", "outcome measure"),
        ("Satisfaction survey", None),
    ],
)
def test_role_of_a_form_is_proposed_by_its_name(name: str, role: str | None) -> None:
    forms = pl.DataFrame({"id": ["1"], "name": [name], "is_chart_note": [False]})
    assert propose_form_roles(forms)["role"].item() == role


def written(folder: Path, text: str) -> Path:
    path = folder / "words.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_proposal_written_corrected_and_read_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "appointment_types.csv"
    propose_roles(types(a="Intake", b="Zebra")).write_csv(path)
    assert read(path, "appointment_types").rows() == [("a", "intake", "Intake")]


def test_ids_stay_text_and_spaces_go(tmp_path: Path) -> None:
    path = written(tmp_path, "client_id,why\n 007 , our own\n12345678901234567890123,\n")
    assert read(path, "test_clients").rows() == [("007", "our own"), ("12345678901234567890123", None)]


def test_targets_and_annotations_have_numbers_and_days(tmp_path: Path) -> None:
    targets = read(written(tmp_path, "metric,target,since\nno-show,0.08,2026-01-01\nvisits per week,40,\n"), "targets")
    assert targets.schema == {"metric": pl.String, "target": pl.Float64, "since": pl.Date}
    notes = read(written(tmp_path, "date,text\n2026-03-01,New reminders\n"), "annotations")
    assert notes.schema == {"date": pl.Date, "text": pl.String}


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("appointment_types", "appointment_type_id,name\n1,x\n", "words.csv lacks role; its columns are"),
        (
            "appointment_types",
            "appointment_type_id,role,name\n1,first,x\n",
            "line 2: role is none of intake, follow-up",
        ),
        (
            "appointment_types",
            "appointment_type_id,role,name\n1,intake,\n1,admin,\n",
            "line 2, 3: appointment_type_id rep",
        ),
        ("test_clients", "client_id,why\n1,a\n,b\n", "line 3: client_id is empty"),
        ("programmes", "id,kind,programme\n1,club,x\n", "kind is none of group, closing type"),
        ("targets", "metric,target,since\nno-show,8 %,\n", "target is no number"),
        (
            "targets",
            "metric,target,since\nlost,0.1,\nno_show,0.08,\n",
            "line 3: metric is none of second visit, no-show",
        ),
        ("targets", "metric,target,since\nlost,8,\n", "line 2: target of a share is none, such as 0.08"),
        ("annotations", "date,text\n3/1/2026,x\n", "date is no day such as 2026-06-30"),
        ("towns", "id\n1\n", "kind is 'towns'; allowed are 'appointment_types', 'forms'"),
    ],
)
def test_wrong_file_says_where_and_what_is_allowed(tmp_path: Path, kind: str, text: str, message: str) -> None:
    with pytest.raises(MetricError, match=message):
        read(written(tmp_path, text), kind)  # type: ignore[arg-type]


def test_missing_file_says_what_to_make(tmp_path: Path) -> None:
    with pytest.raises(
        MetricError, match=r"no file targets\.csv in .*: make it with the columns metric, target, since"
    ):
        read(tmp_path / "targets.csv", "targets")


def test_unmapped_types_are_listed() -> None:
    roles = pl.DataFrame({"appointment_type_id": ["a", "c"], "role": ["intake", None]})
    assert unmapped(types(a="Intake", b="Zebra", c="Owl"), roles).rows() == [("c", "Owl"), ("b", "Zebra")]
    assert example({"ada": ["2026-01-05"]})["role"].item() is None


def test_test_clients_are_in_no_number_once_they_are_named() -> None:
    """A practice with a test client has the numbers of one without."""
    kept, tests = b"kept with the store, never shown", pl.DataFrame({"client_id": ["test"]})
    instant = pl.lit(datetime(2026, 1, 2, tzinfo=UTC), pl.Datetime("us", "UTC"))
    clients = pl.DataFrame({"id": ["ada", "test"], "is_active": True, "provider_id": "p"}).with_columns(
        created_at=instant, archived_at=pl.lit(None, pl.Datetime), group_id=pl.lit(None, pl.String)
    )
    asked = pl.DataFrame({"id": ["1", "2"], "form_id": "f", "client_id": ["ada", "test"], "sender_id": "p"})
    asked = asked.with_columns(date_to_show=instant, filled_form_id=None, filled_form_is_finished=False)
    seen = example({"ada": ["2026-01-05"]})

    def numbers(clients: pl.DataFrame, asked: pl.DataFrame) -> list[pl.DataFrame]:
        return [
            retention.funnel(seen, clients, as_of="2026-06-30"),
            retention.states(seen, clients, as_of="2026-06-30"),
            retention.population(seen, clients, as_of="2026-06-30"),
            forms.requests(asked, clients),
            forms.overdue(asked, clients, as_of="2026-06-30", key=kept),
        ]

    without = numbers(without_tests(clients, tests), without_tests(asked, tests))
    for ours, alone in zip(without, numbers(clients.head(1), asked.head(1)), strict=True):
        assert ours.equals(alone)
    assert not any(map(pl.DataFrame.equals, without, numbers(clients, asked)))


def test_rows_of_no_client_are_kept_and_rows_that_name_none_refused() -> None:
    tests = pl.DataFrame({"client_id": ["7", None]})
    assert without_tests(pl.DataFrame({"client_id": ["7", None, "8"]}), tests)["client_id"].to_list() == [None, "8"]
    with pytest.raises(MetricError, match="clients lack id"):
        without_tests(pl.DataFrame({"name": ["x"]}), tests)


def test_roles_that_lack_a_column_name_what_gives_them() -> None:
    given = pl.DataFrame({"id": ["1"], "name": ["x"], "is_chart_note": [False]})
    with pytest.raises(MetricError, match=r"roles lack appointment_type_id: roles\.read gives them"):
        unmapped(types(a="x"), pl.DataFrame({"role": ["intake"]}))
    with pytest.raises(MetricError, match=r"form_roles lack role: roles\.read gives them"):
        unmapped_forms(given, pl.DataFrame({"form_id": ["1"]}))
