"""The page on capacity follows from what was measured."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from healthie_nb.cost import MAX_PAGE_SIZE
from healthie_nb.refresh import VERIFY_AGE

if TYPE_CHECKING:
    import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def test_every_table_follows_from_its_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, "capacity", raising=False)
    import capacity  # noqa: PLC0415, it is not installed

    text = (BENCHMARKS / "capacity.md").read_text(encoding="utf-8")
    assert capacity.page(text) == text
    assert (MAX_PAGE_SIZE, VERIFY_AGE.days) == (capacity.PAGE, capacity.VERIFIED_EVERY)
    assert capacity.pull(1_000_000_000)[:4] == ["1,000,000,000", "10,000,000", "27.8 h", "11.1 h"]
    assert capacity.beyond(30, {10: 5.0, 20: 7.0}) == 9.0
