"""What each release wrote, this one still opens: a store and a ledger of every one (`keep_release.py` writes them)."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest
from conftest import NOW, Clock, answering
from keep_release import NAMES, RELEASES, SPAN
from polars.testing import assert_frame_equal
from truths import COLUMNS, connected, plain, truth

from healthie_nb.demo import Settings as Behaviour
from healthie_nb.demo import World, expected_ids, serving
from healthie_nb.demo.settings import DEMO_KEY
from healthie_nb.practice import Practice
from healthie_nb.settings import Settings

if TYPE_CHECKING:
    import pathlib


@pytest.mark.parametrize("kept", sorted(RELEASES.iterdir()), ids=lambda path: path.name)
def test_what_a_release_stored_is_read_as_it_was(kept: pathlib.Path, tmp_path: pathlib.Path) -> None:
    shutil.copytree(kept / "store", tmp_path / "cache" / "store")
    shutil.copytree(kept / "ledger", tmp_path / "data" / "ledger")
    owner = json.loads((kept / "owner.json").read_text(encoding="utf-8"))
    organization = {"id": owner["organization_id"], "name": owner["organization_name"]}
    asked = {"currentUser": {"id": owner["id"], "timezone": owner["timezone"], "organization": organization}}
    folders = {"cache_dir": tmp_path / "cache", "data_dir": tmp_path / "data"}
    with answering((200, {}, json.dumps({"data": asked}).encode())) as (url, _):
        practice = Practice(Settings(url=url, key=DEMO_KEY, **folders), clock=Clock(NOW))
        files = {name: kept / f"{name}.graphql" for name in NAMES}
        spans = {name: SPAN if name == "appointments" else {} for name in NAMES}
        found = {name: practice.load(files[name], offline=True, **spans[name]) for name in NAMES}
        found["vanished"] = practice.load(files["appointments"], offline=True, deleted=True, **SPAN)
    found |= {"merged": practice.merged(), "seen": practice.ledger.seen(), "counts": practice.ledger.counts()}
    for what, rows in found.items():
        assert rows.height, what
        written = pl.read_json(kept / f"{what}.json", schema=_as_text(rows)).with_columns(
            pl.col(name).str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", time_unit="us", time_zone="UTC")
            for name, dtype in rows.schema.items()
            if dtype == pl.Datetime
        )
        assert_frame_equal(rows, written)


@pytest.mark.parametrize("kept", sorted(RELEASES.iterdir()), ids=lambda path: path.name)
def test_what_a_release_stored_is_brought_up_to_date(kept: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Its clinic has changed since as a clinic does, and so much time has passed that all of it is looked at again."""
    shutil.copytree(kept / "store", tmp_path / "cache" / "store")
    owner = json.loads((kept / "owner.json").read_text(encoding="utf-8"))
    world = World(clients=10)
    world.organization_id = owner["organization_id"]
    with serving(world, Behaviour(rate=None)) as served:
        practice = connected(served, tmp_path, Clock(NOW + timedelta(days=40)))
        before = practice.stored().select("query", "rows").rows()
        assert [name for name, rows in before if rows] == sorted(NAMES)
        for name in NAMES:
            span = SPAN if name == "appointments" else {}
            rows = practice.load(kept / f"{name}.graphql", **span)
            columns = list(COLUMNS[name].values())
            expected = truth(world, name).filter(pl.col("id").is_in(rows.get_column("id").implode()))
            assert plain(rows.select(columns)).equals(expected), name
            bounds = {"start": datetime(2026, 5, 1, 4, tzinfo=UTC), "end": datetime(2026, 8, 1, 4, tzinfo=UTC)}
            assert sorted(rows.get_column("id")) == sorted(expected_ids(world, name, **(bounds if span else {}))), name
        assert practice.stored().height == len(NAMES), "it is the same store"


def _as_text(rows: pl.DataFrame) -> dict[str, pl.DataType]:
    return {name: pl.String() if dtype == pl.Datetime else dtype for name, dtype in rows.schema.items()}
