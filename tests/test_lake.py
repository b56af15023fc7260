"""Data sets as plain Parquet: read by every engine as they are, written once, whole, and over nobody else's files."""

from __future__ import annotations

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import duckdb
import msgspec
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from truths import SPAN, clinic

from healthie_nb import retention, volume
from healthie_nb.demo import edits
from healthie_nb.places import LakeError
from healthie_nb.query import QueryError
from healthie_nb.visits import visits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyspark.sql import SparkSession

    from healthie_nb.demo import Served
    from healthie_nb.practice import Practice

ROLES = pl.DataFrame({"appointment_type_id": ["1", "2"], "role": ["intake", "follow-up"]})


def expected(practice: Practice, roles: pl.DataFrame | None = None) -> pl.DataFrame:
    """Return visits as a notebook makes them, in memory."""
    types = practice.load("appointment_types")
    groups = types.filter("is_group")["id"].to_list()
    attendance = practice.load("group_attendance", type_ids=groups, **SPAN)
    appointments = practice.load("appointments", **SPAN)
    return visits(appointments, zone=practice.zone, attendance=attendance, appointment_types=types, roles=roles)


def files(folder: pathlib.Path) -> dict[str, tuple[int, bytes]]:
    """Return every file below a folder: when it was written, and what is in it."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def lake(module_practice: Practice, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Return a folder with the visits of the small clinic."""
    folder = tmp_path_factory.mktemp("lake")
    module_practice.export("visits", to=folder, roles=ROLES, **SPAN)
    return folder


def test_every_engine_reads_an_export_as_it_is(
    module_practice: Practice, lake: pathlib.Path, spark: SparkSession
) -> None:
    made = expected(module_practice, ROLES)
    assert_frame_equal(pl.read_parquet(lake / "visits"), made, check_row_order=False)
    assert_frame_equal(pl.read_parquet(lake / "visits/**/*.parquet"), made, check_row_order=False)
    with duckdb.connect() as connection:
        engines = {
            "polars": pl.scan_parquet(lake / "visits"),
            "DuckDB": connection.read_parquet(str(lake / "visits/*/*.parquet")),
            "DuckDB, hive": connection.read_parquet(str(lake / "visits/*/*.parquet"), hive_partitioning=True),
            "Spark": spark.read.parquet(str(lake / "visits")),
        }
        for name, read in engines.items():
            counts = volume.counts(read, as_of="2026-06-30", by=["role", "status"])
            assert counts.equals(volume.counts(made, as_of="2026-06-30", by=["role", "status"])), name


def test_a_month_that_is_asked_for_is_the_only_one_that_is_read(lake: pathlib.Path) -> None:
    march = pl.scan_parquet(lake / "visits").filter(pl.col("month") == date(2026, 3, 1))
    assert march.explain().count(".parquet") == 1
    assert march.select("date").collect()["date"].dt.truncate("1mo").unique().to_list() == [date(2026, 3, 1)]


@pytest.mark.parametrize("name", ["appointments", "chart_notes", "form_requests", "clients", "current_user"])
def test_any_data_set_leaves_as_it_is_loaded(module_practice: Practice, tmp_path: pathlib.Path, name: str) -> None:
    asked = SPAN if name == "appointments" else {}
    told = module_practice.export(name, to=tmp_path, **asked)
    rows = module_practice.load(name, **asked)
    there = pl.read_parquet(tmp_path / name)
    assert there.drop("month", strict=False).sort(rows.columns[0]).equals(rows.sort(rows.columns[0]))
    assert told["rows"].sum() == rows.height == duckdb.read_parquet(f"{tmp_path}/{name}/**/*.parquet").shape[0]
    assert (told["month"].null_count() == 0) == (name in ("appointments", "chart_notes"))


def test_the_record_says_whose_rows_these_are_and_where_they_come_from(
    module_practice: Practice, lake: pathlib.Path
) -> None:
    record = msgspec.json.decode((lake / "visits.json").read_bytes())
    assert record["practice"] == "made up: demo practice"
    assert record["zone"] == "America/New_York"
    assert record["is_encrypted"] is False
    assert [text.split()[0] for text in record["queries"]] == ["appointment_types", "appointments", "group_attendance"]
    columns = pl.read_parquet_schema(lake / "visits/month=2026-03-01/visits.parquet")
    assert record["columns"] == {name: str(dtype) for name, dtype in columns.items()}
    sizes = {f"month={month['month']}": month["bytes"] for month in record["months"]}
    assert sizes == {path.parent.name: path.stat().st_size for path in lake.rglob("*.parquet")}
    assert sum(month["rows"] for month in record["months"]) == expected(module_practice).height


def test_only_months_that_changed_are_written_again(tmp_path: pathlib.Path) -> None:
    with clinic(tmp_path) as (practice, served, clock):
        booked = served.world.appointments.filter(pl.col("deleted_at").is_null(), pl.col("client_id").is_not_null())
        moved = booked.filter(pl.col("starts_at").dt.year() == 2024).row(0, named=True)
        same = {name: moved[name] for name in ("client_id", "provider_id", "type_id")}
        only = edits.insert_appointment(served.world, starts_at=datetime(2026, 11, 5, 15, tzinfo=UTC), **same)
        first = practice.export("visits", to=tmp_path / "lake", **SPAN)
        assert first["is_written"].all()
        before = files(tmp_path / "lake/visits")
        assert not practice.export("visits", to=tmp_path / "lake", **SPAN)["is_written"].any()
        assert files(tmp_path / "lake/visits") == before
        edits.move_appointment(served.world, moved["id"], starts_at=datetime(2025, 3, 10, 15, tzinfo=UTC))
        edits.delete_appointment(served.world, only)
        clock.pass_(days=2)
        again = practice.export("visits", to=tmp_path / "lake", **SPAN)
        changed = again.filter("is_written")["month"].to_list()
        assert changed == [moved["starts_at"].date().replace(day=1), date(2025, 3, 1), date(2026, 11, 1)]
        assert again.row(-1)[:2] == (date(2026, 11, 1), 0)
        after = files(tmp_path / "lake/visits")
        assert {name for name in after if after[name] != before[name]} == {
            f"month={month}/visits.parquet" for month in changed
        }
        assert_frame_equal(pl.read_parquet(tmp_path / "lake/visits"), expected(practice), check_row_order=False)


def test_dates_are_widened_to_whole_months(module_practice: Practice, tmp_path: pathlib.Path) -> None:
    told = module_practice.export("visits", to=tmp_path, start="2026-02-27", end="2026-03-02")
    made = expected(module_practice).filter(pl.col("date").is_between(date(2026, 2, 1), date(2026, 3, 31)))
    assert told["month"].to_list() == [date(2026, 2, 1), date(2026, 3, 1)]
    assert_frame_equal(pl.read_parquet(tmp_path / "visits"), made, check_row_order=False)
    more = module_practice.export("visits", to=tmp_path, start="2026-04-10", end="2026-04-10")
    assert more["month"].to_list() == [date(2026, 4, 1)]
    assert len(list((tmp_path / "visits").iterdir())) == 3


def test_a_month_whose_file_is_lost_or_cut_off_is_written_again(
    module_practice: Practice, tmp_path: pathlib.Path
) -> None:
    span = {"start": "2026-01-01", "end": "2026-03-31"}
    module_practice.export("appointments", to=tmp_path, **span)
    whole = {name: content for name, (_, content) in files(tmp_path / "appointments").items()}
    (tmp_path / "appointments/month=2026-01-01/appointments.parquet").unlink()
    cut = tmp_path / "appointments/month=2026-03-01/appointments.parquet"
    cut.write_bytes(cut.read_bytes()[:1000])
    told = module_practice.export("appointments", to=tmp_path, **span)
    assert told["is_written"].to_list() == [True, False, True]
    assert {name: content for name, (_, content) in files(tmp_path / "appointments").items()} == whole


CHILD = """
import os, pathlib, signal, sys
sys.path.insert(0, sys.argv[1])
from conftest import Clock
from healthie_nb import files
from healthie_nb.practice import Practice
from healthie_nb.settings import Settings
folder, left = pathlib.Path(sys.argv[4]), int(sys.argv[5])
settings = Settings(
    url=sys.argv[2], key=sys.argv[3], cache_dir=folder / "cache", data_dir=folder / "data", max_rps=1e5
)
flush = os.fsync
def fsync(file):
    global left
    left -= 1
    if left == 0:
        os.ftruncate(file, 500)
        os.kill(os.getpid(), signal.SIGKILL)
    flush(file)
files.os.fsync = fsync
Practice(settings, clock=Clock()).export("visits", to=folder / "lake", start="2023-01-01", end="2026-12-31")
"""


def test_a_killed_export_leaves_whole_months_and_the_next_one_goes_on(tmp_path: pathlib.Path) -> None:
    with clinic(tmp_path) as (practice, served, _):
        made = expected(practice)
        here = str(pathlib.Path(__file__).parent)
        for files_until_then in (1, 2, 9):  # in the record, in the first month, and in one later on
            command = [sys.executable, "-c", CHILD, here, served.url, served.key, str(tmp_path), str(files_until_then)]
            assert subprocess.run(command, check=False, timeout=60).returncode == -signal.SIGKILL
            for month in tmp_path.glob("lake/visits/*/*"):
                first = date.fromisoformat(month.parent.name.removeprefix("month="))
                assert pl.read_parquet(month).equals(made.filter(pl.col("month") == first)), month
        left = len(list(tmp_path.glob("lake/visits/*/*")))
        assert left >= 4
        told = practice.export("visits", to=tmp_path / "lake", **SPAN)
        assert told["is_written"].sum() in (told.height - left, told.height - left + 1)  # the record may be one behind
        assert_frame_equal(pl.read_parquet(tmp_path / "lake/visits"), made, check_row_order=False)
        assert {path.name for path in (tmp_path / "lake").iterdir()} == {"visits", "visits.json", ".visits.lock"}


def test_leaving_the_encrypted_store_is_said_and_logged(
    served: Served, practice_at: Callable[..., Practice], tmp_path: pathlib.Path
) -> None:
    practice = practice_at(served)
    practice.is_synthetic = False  # as one of Healthie's
    with pytest.raises(LakeError, match=r"clients would lie outside the encrypted store.*say unencrypted=True"):
        practice.export("clients", to=tmp_path / "lake")
    assert not (tmp_path / "lake").exists()
    practice.export("clients", to=tmp_path / "lake", unencrypted=True)
    lines = [msgspec.json.decode(line) for line in (tmp_path / "data/access.jsonl").read_bytes().splitlines()]
    assert [line["action"] for line in lines] == ["load", "export"]
    assert lines[1]["what"] == "clients"
    assert lines[1]["place"] == str(tmp_path / "lake/clients")
    assert lines[1]["is_encrypted"] is False
    assert lines[1]["queries"][0].startswith("clients (")
    modes = {path.stat().st_mode & 0o077 for path in (tmp_path / "lake").rglob("*")}
    assert modes == {0}, "readable by their owner alone"


def taken(folder: pathlib.Path) -> None:
    (folder / "clients").mkdir()
    (folder / "clients/theirs.csv").write_text("1")


def other_record(folder: pathlib.Path) -> None:
    (folder / "clients.json").write_text('{"a": 1}')


def a_file(folder: pathlib.Path) -> None:
    (folder / "clients").write_text("1")


REFUSED: dict[str, tuple[Callable[[pathlib.Path], None], dict[str, Any], str]] = {
    "a folder of somebody": (taken, {}, r"clients exists and no record of an export lies beside it: give another"),
    "a file": (a_file, {}, "clients exists and no record of an export lies beside it: give another folder"),
    "another record": (other_record, {}, r"clients\.json is not the record of an export: give another folder"),
    "roles of no visits": (
        lambda _: None,
        {"roles": ROLES},
        "roles, test_clients, cancellation_reasons are for visits, not for clients",
    ),
    "options of no store": (lambda _: None, {"storage_options": {"a": "b"}}, "storage_options are for object stores"),
    "another address": (lambda _: None, {"to": "https://x.test/a"}, "allowed are a folder, or s3://, gs:// or az://"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_ours_is_refused_and_nothing_is_written(
    module_practice: Practice, tmp_path: pathlib.Path, name: str
) -> None:
    prepare, options, says = REFUSED[name]
    prepare(tmp_path)
    before = files(tmp_path)
    with pytest.raises(LakeError, match=says):
        module_practice.export("clients", **{"to": tmp_path, **options})
    assert files(tmp_path) == before


def test_an_export_of_another_key_or_other_columns_is_not_mixed_with(
    module_practice: Practice, tmp_path: pathlib.Path
) -> None:
    module_practice.export("appointments", to=tmp_path, start="2026-01-01", end="2026-02-28")
    record = tmp_path / "appointments.json"
    written = msgspec.json.decode(record.read_bytes())
    for change, says in (
        ({"fingerprint": "another"}, "holds appointments of another practice or key"),
        ({"columns": {"id": "Int64"}}, "with other columns, and not all its months are exported now"),
    ):
        record.write_bytes(msgspec.json.encode(written | change))
        before = files(tmp_path)
        with pytest.raises(LakeError, match=says):
            module_practice.export("appointments", to=tmp_path, start="2026-02-01", end="2026-02-28")
        assert files(tmp_path) == before


def test_wrong_names_and_dates_are_refused_as_load_does(module_practice: Practice, tmp_path: pathlib.Path) -> None:
    for name, options, says in (
        ("visit", {}, "no query named 'visit'"),
        ("visits", {}, "start"),
        ("visits", {"start": "2026-13-01", "end": "2026-12-31"}, "start must be a day"),
    ):
        with pytest.raises(QueryError, match=says):
            module_practice.export(name, to=tmp_path / "lake", **options)
    assert not (tmp_path / "lake").exists()


# -- an object store ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store() -> Iterator[dict[str, str]]:
    """Run an object store on loopback that others wrote, with one bucket; return how polars reaches it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            urllib.request.urlopen(urllib.request.Request(f"{url}/bucket", method="PUT")).close()
            break
        except urllib.error.URLError:
            time.sleep(0.1)
    yield {
        "aws_endpoint_url": url,
        "aws_allow_http": "true",
        "aws_region": "us-east-1",
        "aws_access_key_id": "somebody",
        # pragma: allowlist nextline secret
        "aws_secret_access_key": "a secret of theirs",
    }
    running.terminate()
    running.wait()


def test_an_object_store_takes_the_same_months(module_practice: Practice, store: dict[str, str]) -> None:
    told = module_practice.export("visits", to="s3://bucket/lake/", storage_options=store, **SPAN)
    there = pl.scan_parquet("s3://bucket/lake/visits/", storage_options=store)
    made = expected(module_practice)
    assert_frame_equal(there.collect(), made, check_row_order=False)
    assert retention.flow(there, as_of="2026-06-30").equals(retention.flow(made, as_of="2026-06-30"))
    assert told["is_written"].all()
    march = made.filter(pl.col("month") == date(2026, 3, 1))
    march.head(7).write_parquet("s3://bucket/lake/visits/month=2026-03-01/visits.parquet", storage_options=store)
    again = module_practice.export("visits", to="s3://bucket/lake", storage_options=store, **SPAN)
    assert again.filter("is_written")["month"].to_list() == [date(2026, 3, 1)]
    assert_frame_equal(there.collect(), made, check_row_order=False)


def test_an_object_store_with_other_things_there_is_refused(module_practice: Practice, store: dict[str, str]) -> None:
    pl.DataFrame({"a": [1]}).write_parquet("s3://bucket/theirs/clients/a.parquet", storage_options=store)
    with pytest.raises(LakeError, match="s3://bucket/theirs/clients exists and no record of an export lies beside it"):
        module_practice.export("clients", to="s3://bucket/theirs", storage_options=store)
    with pytest.raises(LakeError, match="s3://none/clients cannot be reached"):
        module_practice.export("clients", to="s3://none", storage_options=store)


def test_an_object_store_without_credentials_is_refused(
    module_practice: Practice, store: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    without: dict[str, Any] = {name: value for name, value in store.items() if "key" not in name}
    # Without them polars asks the machine's cloud who it is: here nobody who would know.
    without |= {"aws_metadata_endpoint": f"{store['aws_endpoint_url']}/nobody", "max_retries": 0}
    with pytest.raises(LakeError, match="Give credentials, as storage_options or where the store's tools look") as told:
        module_practice.export("clients", to="s3://bucket/without", storage_options=without)
    assert "a secret of theirs" not in str(told.value)
    assert pl.scan_lines("s3://bucket/without/**/*", storage_options=store).collect().is_empty()
