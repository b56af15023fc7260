"""Write a small store and ledger as this version writes them: `python tests/keep_release.py`, once for each release.

They stay in `tests/releases/VERSION`, and every later version must still open them (`test_releases.py`).
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import polars as pl
from truths import clinic

from healthie_nb.demo import edits
from healthie_nb.query import folder

RELEASES = Path(__file__).parent / "releases"
NAMES = ("appointments", "clients", "form_requests")
SPAN = {"start": "2026-05-01", "end": "2026-07-31"}


def keep(kept: Path) -> None:
    """Load, let the practice change, load again, and keep what that wrote, with what it gave."""
    kept.mkdir(parents=True)
    for name in NAMES:  # The files go with the store: a question that is asked otherwise is another one.
        shutil.copy(folder() / f"{name}.graphql", kept)
    spans = {name: SPAN if name == "appointments" else {} for name in NAMES}
    with tempfile.TemporaryDirectory() as home, clinic(Path(home), clients=10) as (practice, served, clock):
        world = served.world
        for name in NAMES:
            rows = practice.load(kept / f"{name}.graphql", **spans[name])
            if name == "appointments":
                gone, one = rows.drop_nulls("client_id").select("id", "client_id").row(0)
        edits.merge_clients(world, one, into=world.clients.filter(pl.col("id") != one).item(0, "id"))
        edits.delete_appointment(world, gone)
        edits.complete_form(world, world.form_requests.filter(pl.col("completed_at").is_null()).item(0, "id"))
        clock.pass_(days=2)
        found = {name: practice.load(kept / f"{name}.graphql", **spans[name]) for name in NAMES}
        found["vanished"] = practice.load(kept / "appointments.graphql", deleted=True, **SPAN)
        found |= {"merged": practice.merged(), "seen": practice.ledger.seen(), "counts": practice.ledger.counts()}
        for what, rows in found.items():
            (kept / f"{what}.json").write_text(rows.write_json() + "\n", encoding="utf-8")
        (kept / "owner.json").write_text(json.dumps(practice._connection.owner) + "\n", encoding="utf-8")
        shutil.copytree(Path(home) / "cache" / "store", kept / "store")
        shutil.copytree(Path(home) / "data" / "ledger", kept / "ledger")
    for manifest in kept.rglob("manifest.json"):
        named = {part["name"] for part in json.loads(manifest.read_text(encoding="utf-8").splitlines()[0])["parts"]}
        for path in manifest.parent.iterdir():
            if path != manifest and path.stem not in named:
                path.unlink()


if __name__ == "__main__":
    target = RELEASES / version("healthie_nb")
    if target.exists():
        sys.exit(f"{target} is there already; what a release wrote does not change")
    keep(target)
