"""What is stored is read as it was written, or asked for again: never wrong rows, never a traceback from polars."""

from __future__ import annotations

import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from healthie_nb.cabinet import purge
from healthie_nb.manifest import WHOLE, WINDOW, StoredPart
from healthie_nb.shelves import Folder, Memory, StoreError, StoreWarning, place
from healthie_nb.store import GRACE, DamagedPartError, Store
from healthie_nb.windows import Window

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
KEY = bytes(range(32))
ROWS = pl.DataFrame({"id": [str(number) for number in range(200)], "status": ["Occurred", None] * 100})


def day(number: int) -> Window:
    start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)
    return Window(start, start + timedelta(days=1))


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "store" / "appointments"


@pytest.fixture
def store(folder: pathlib.Path) -> Store:
    return Store(Folder(folder, KEY), query="appointments", practice="Praxis")


def kept(store: Store, *, rows: pl.DataFrame = ROWS, number: int = 0) -> StoredPart:
    part = store.put(rows, kind=WINDOW, now=NOW, window=day(number))
    store.replace((), [part], now=NOW)
    return part


def file_of(folder: pathlib.Path, part: StoredPart) -> pathlib.Path:
    return folder / f"{part.name}.parquet"


def clean(error: BaseException) -> bool:
    """Whether a traceback would show nothing of polars or of the system."""
    shown = "".join(traceback.format_exception(error))
    return error.__cause__ is None and error.__context__ is None and "polars" not in shown.split("Error: ")[-1]


def test_a_part_is_read_as_it_was_written_by_another_store_with_the_same_key(
    folder: pathlib.Path, store: Store
) -> None:
    kept(store)
    again = Store(Folder(folder, KEY), query="appointments", practice="Praxis")
    assert again.read(again.manifest.of(WINDOW)).equals(ROWS)
    assert again.manifest == store.manifest
    assert again.manifest.rows == 200


def test_one_flipped_bit_anywhere_is_found_or_changes_nothing(folder: pathlib.Path, store: Store) -> None:
    part = kept(store)
    whole, chance = file_of(folder, part).read_bytes(), random.Random(1)
    found = 0
    places = [*range(12), *range(len(whole) - 12, len(whole)), *(chance.randrange(len(whole)) for _ in range(400))]
    for at in places:
        flipped = bytearray(whole)
        flipped[at] ^= 1 << chance.randrange(8)
        file_of(folder, part).write_bytes(flipped)
        try:
            rows = store.read([part])
        except DamagedPartError as error:
            found += error.part == part and clean(error)
        else:
            assert rows.equals(ROWS)
    assert found > 0.8 * len(places)  # the rest is in lengths and hints that reading does without


@pytest.mark.parametrize("length", [0, 1, 4, 11, 200, -1, -8, -100])
def test_a_part_that_is_cut_off_is_found(folder: pathlib.Path, store: Store, length: int) -> None:
    part = kept(store)
    whole = file_of(folder, part).read_bytes()
    file_of(folder, part).write_bytes(whole[:length])
    with pytest.raises(DamagedPartError, match="it will be asked for again") as caught:
        store.read([part])
    assert clean(caught.value)


def test_two_parts_that_were_swapped_are_both_found(folder: pathlib.Path, store: Store) -> None:
    one, two = kept(store), kept(store, rows=ROWS.head(10), number=1)
    first, second = file_of(folder, one), file_of(folder, two)
    first.rename(folder / "aside")
    second.rename(first)
    (folder / "aside").rename(second)
    assert store.damaged() == [one, two]


def test_a_part_written_with_another_key_is_found(folder: pathlib.Path, store: Store) -> None:
    part = kept(store)
    other = Store(Folder(folder, bytes(32)), query="appointments", practice="Praxis")
    with pytest.raises(DamagedPartError) as caught:
        other.read(other.manifest.of(WINDOW))
    assert caught.value.part == part


def test_a_missing_part_is_found_and_dropped_with_every_other_damaged_one(folder: pathlib.Path, store: Store) -> None:
    one, two, three = kept(store), kept(store, number=1), kept(store, number=2)
    file_of(folder, one).unlink()
    file_of(folder, two).write_bytes(b"PAR1")
    with pytest.raises(DamagedPartError):
        store.read(store.manifest.of(WINDOW))
    store.drop(one, now=NOW)
    assert store.manifest.of(WINDOW) == [three]
    assert store.manifest.missing(Window(day(0).start, day(2).end)) == [Window(day(0).start, day(1).end)]


def test_a_manifest_that_was_changed_counts_as_nothing_stored(folder: pathlib.Path, store: Store) -> None:
    kept(store)
    path, chance = folder / "manifest.json", random.Random(2)
    whole = path.read_bytes()
    texts = [b"", b"{", b"null", b"[]", whole[:-1], whole[:60], whole.replace(b"2026-01-02", b"2026-01-03")]
    for _ in range(200):
        flipped = bytearray(whole)
        flipped[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        texts.append(bytes(flipped))
    for text in texts:
        path.write_bytes(text)
        assert store.manifest.parts == ()
    path.write_bytes(whole)
    assert store.manifest.rows == 200


def test_a_store_of_another_format_is_asked_for_again_and_its_files_go(folder: pathlib.Path, store: Store) -> None:
    part = kept(store)
    old = (folder / "manifest.json").read_bytes().rpartition(b"\n")[0]
    (folder / "manifest.json").write_bytes(old)  # the first release wrote no checksum
    assert store.manifest.parts == ()
    store.sweep()
    assert not file_of(folder, part).exists()


def test_what_is_replaced_stays_an_hour_for_its_readers(folder: pathlib.Path, store: Store) -> None:
    old = kept(store)
    unread = store.scan(store.manifest.of(WINDOW))
    new = store.put(ROWS.head(1), kind=WINDOW, now=NOW, window=day(0))
    store.replace([old], [new], now=NOW)
    store.replace((), (), now=NOW + GRACE)
    store.sweep()
    assert unread.collect().equals(ROWS)
    store.replace((), (), now=NOW + GRACE + timedelta(seconds=1))
    assert not file_of(folder, old).exists()
    assert store.manifest.retired == ()
    assert store.read([new]).height == 1


def test_a_clock_that_is_set_back_removes_nothing_early_and_keeps_nothing_for_ever(
    folder: pathlib.Path, store: Store
) -> None:
    old = kept(store)
    store.replace([old], (), now=NOW)
    back = NOW - timedelta(days=400)
    store.replace((), (), now=back)
    assert file_of(folder, old).exists()
    store.replace((), (), now=back + GRACE + timedelta(minutes=1))
    assert not file_of(folder, old).exists()


def test_readers_see_nothing_of_a_draft_until_all_of_it_is_published(folder: pathlib.Path, store: Store) -> None:
    old, before = kept(store), store.manifest
    unread = store.scan([old])
    for _ in range(2):  # what a killed refresh left is gone on with
        draft = store.draft()
        draft.sweep()
        held = draft.manifest.of(WINDOW)
        draft.replace(held, [draft.put(ROWS.head(5 + len(held)), kind=WINDOW, now=NOW, window=day(0))], now=NOW)
        assert store.manifest == before
    assert draft.read(draft.manifest.of(WINDOW)).height == 6
    late = NOW + 3 * GRACE
    draft.replace((), (), now=late)
    draft.sweep()
    assert unread.collect().equals(ROWS), "whatever was replaced in the draft, readers have it still"
    draft.publish(now=late, loaded_at=late)
    assert store.read(store.manifest.of(WINDOW)).height == 6
    assert store.manifest.loaded_at == late
    assert store.draft().manifest == store.manifest
    store.draft().sweep()
    store.draft().replace((), (), now=late + GRACE / 2)
    assert unread.collect().equals(ROWS), "and for an hour after it was published"
    store.draft().replace((), (), now=late + 2 * GRACE)
    assert not file_of(folder, old).exists()


def test_a_damaged_part_is_dropped_from_the_draft_too(folder: pathlib.Path, store: Store) -> None:
    one = kept(store)
    two = store.put(ROWS, kind=WINDOW, now=NOW, window=day(1))
    store.draft().replace((), [two], now=NOW)
    file_of(folder, one).write_bytes(b"PAR1")
    store.drop(one, now=NOW)
    assert store.manifest.of(WINDOW) == []
    assert store.draft().manifest.of(WINDOW) == [two]
    assert store.found == store.draft().manifest
    store.forget()
    assert not [path for path in folder.iterdir() if path.name != "lock"]


def test_what_cannot_be_removed_is_said(folder: pathlib.Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    kept(store)

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patch:
        patch.setattr(pathlib.Path, "unlink", refused)
        with pytest.raises(StoreError, match=r"Operation not permitted\. Rows are still there") as caught:
            store.forget()
        assert clean(caught.value)
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(StoreError, match="Rows are still there"):
            purge(folder.parent.parent)
    purge(folder.parent.parent)
    assert not folder.parent.exists()
    purge(folder.parent.parent)  # nothing is there, and that is well


def test_parts_and_drafts_that_a_killed_run_left_are_swept(folder: pathlib.Path, store: Store) -> None:
    part = kept(store)
    store.put(ROWS, kind=WINDOW, now=NOW, window=day(1))
    (folder / ".window-20260101-20260102-0123abcd.parquet.89ab0123").write_bytes(b"half")
    (folder / ".manifest.json.89ab0123").write_bytes(b"half")
    with store.lock():
        store.sweep()
    assert {path.name for path in folder.iterdir()} == {"lock", "manifest.json", f"{part.name}.parquet"}


def test_all_is_the_owners_alone_whatever_the_umask(folder: pathlib.Path) -> None:
    umask = os.umask(0)
    try:
        store = Store(Folder(folder, KEY), query="appointments", practice="Praxis")
        with store.lock():
            kept(store)
    finally:
        os.umask(umask)
    assert all(path.stat().st_mode & 0o077 == 0 for path in [folder, folder.parent, *folder.iterdir()])


FULL = """
import pathlib, resource, signal, sys
from datetime import UTC, datetime
import polars as pl
from healthie_nb.manifest import WHOLE
from healthie_nb.shelves import Folder, StoreError
from healthie_nb.store import Store
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
store = Store(Folder(pathlib.Path(sys.argv[1]), bytes(range(32))), query="clients", practice="Praxis")
few = pl.DataFrame({"id": [str(number) for number in range(10)]})
many = pl.DataFrame({"id": [str(hash(str(number))) for number in range(200_000)]})
store.replace((), [store.put(few, kind=WHOLE, now=NOW)], now=NOW)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for limit in (0, 100, 100_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        part = store.put(many, kind=WHOLE, now=NOW)
        store.replace(store.manifest.parts, [part], now=NOW)
    except StoreError as error:
        assert error.__cause__ is None and error.__context__ is None
        print(error)
    else:
        raise SystemExit("it was written")
assert store.read(store.manifest.of(WHOLE)).equals(few)
"""


def test_a_full_disk_is_an_error_with_advice_and_what_was_stored_is_whole(folder: pathlib.Path) -> None:
    assert resource.RLIMIT_FSIZE, signal.SIGXFSZ
    ran = subprocess.run([sys.executable, "-c", FULL, folder], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("What was stored before is whole. Make room there (healthie-nb cache purge)") == 3
    assert "Traceback" not in ran.stderr
    assert "panicked" not in ran.stderr
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


READ_ONLY = """
import os, pathlib, sys, warnings
from datetime import UTC, datetime
import polars as pl
from healthie_nb.manifest import WHOLE
from healthie_nb.shelves import Folder, Memory, StoreError, StoreWarning, place
from healthie_nb.store import Store
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
stored, empty = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
store = Store(place(stored, bytes(range(32))), query="clients", practice="Praxis")
kept = store.read(store.manifest.of(WHOLE))  # as root, so that all is imported that root alone may import
with store.lock():
    pass
for path in (stored, empty, *stored.iterdir()):
    path.chmod(0o555 if path.is_dir() else 0o444)
if os.getuid() == 0:  # whom no permission stops
    os.setgid(65534); os.setuid(65534)
assert store.read(store.manifest.of(WHOLE)).equals(kept)
for action in (lambda: store.put(store.read(store.manifest.of(WHOLE)), kind=WHOLE, now=NOW), store.lock):
    try:
        action()
    except StoreError as error:
        assert "Permission denied" in str(error) and "HEALTHIE_CACHE_DIR" in str(error), error
        assert error.__context__ is None
    else:
        raise SystemExit("it was written")
for path in (empty, empty / "below"):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert isinstance(place(path, bytes(32)), Memory)
    assert [one.category for one in said] == [StoreWarning], said
"""


def test_a_folder_that_cannot_be_written_is_read_and_an_empty_one_left_for_memory(folder: pathlib.Path) -> None:
    # Not in a folder of pytest's, which nobody else may enter.
    base = pathlib.Path(tempfile.mkdtemp())
    try:
        stored, empty = base / "stored", base / "empty"
        store = Store(Folder(stored, KEY), query="clients", practice="Praxis")
        store.replace((), [store.put(ROWS, kind=WHOLE, now=NOW)], now=NOW)
        empty.mkdir()
        base.chmod(0o755)
        ran = subprocess.run(
            [sys.executable, "-c", READ_ONLY, stored, empty], capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr
    finally:
        for path in base.iterdir():
            path.chmod(0o700)
        shutil.rmtree(base)
    assert not folder.exists()


def test_a_folder_that_cannot_be_made_leaves_memory_and_one_warning(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").touch()
    with pytest.warns(StoreWarning, match="rows are kept in memory only") as said:
        assert isinstance(place(tmp_path / "file" / "store", KEY), Memory)
    assert len(said) == 1
    assert isinstance(place(tmp_path / "store", KEY), Folder)


def test_memory_keeps_rows_as_a_folder_does() -> None:
    store = Store(Memory(), query="appointments", practice="Praxis")
    part = kept(store)
    assert store.read([part]).equals(ROWS)
    store.replace([part], (), now=NOW)
    store.replace((), (), now=NOW + 2 * GRACE)
    with pytest.raises(DamagedPartError):
        store.read([part])
    store.forget()
    assert store.manifest.parts == ()


def test_parts_that_do_not_fit_together_are_an_error_that_says_what_to_do(store: Store) -> None:
    parts = [kept(store), kept(store, rows=ROWS.with_columns(status=pl.lit(1)), number=1)]
    with pytest.raises(StoreError, match=r"do not fit together; run practice.forget\('appointments'\)") as caught:
        store.read(parts)
    assert not isinstance(caught.value, DamagedPartError)
    assert clean(caught.value)
