from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from healthie_nb.privacy import deidentify, pseudonyms, suppress
from healthie_nb.stats import kaplan_meier

KEY = b"kept with the store, never shown"
COHORT: dict[str, Any] = {
    "by": ["cohort", "period"],
    "counts": ["clients", "eligible", "returned"],
    "same": ["clients"],
} | {
    "parts": {"clients": ["eligible"], "eligible": ["returned"]},
    "leaving": {"eligible": []},
}
CURVE: dict[str, Any] = {
    "by": ["day"],
    "counts": ["at_risk", "events", "censored"],
    "leaving": {"at_risk": ["events", "censored"]},
}


class Attacker:
    """Knows everything published, how its numbers add up, that zeros are shown and that people are whole numbers."""

    def __init__(self) -> None:
        self.low: list[float] = []
        self.high: list[float] = []
        self.truth: list[int] = []
        self.sums: list[tuple[int, list[int]]] = []

    def cell(self, truth: int, shown: int | None = None, *, in_table: bool = True) -> int:
        hidden = (1 if in_table else 0, 5000)
        self.truth.append(truth)
        low, high = hidden if shown is None else (shown, shown)
        self.low.append(low)
        self.high.append(high)
        return len(self.truth) - 1

    def column(self, truth: pl.DataFrame, published: pl.DataFrame, name: str) -> list[int]:
        return [self.cell(a, b) for a, b in zip(truth[name], published[name], strict=True)]

    def rest(self, total: int, parts: Iterable[int]) -> int:
        own = list(parts)
        left = self.cell(self.truth[total] - sum(self.truth[p] for p in own), in_table=False)
        self.sums.append((total, [*own, left]))
        return left

    def recovered(self) -> list[int]:
        """Cells of 1-10 whose number is the only one possible: the least and the most agree."""
        width = len(self.truth)
        matrix = np.zeros((len(self.sums), width))
        for row, (total, parts) in enumerate(self.sums):
            matrix[row, total] = 1
            np.add.at(matrix[row], parts, -1)
        rules = LinearConstraint(matrix, 0, 0)
        assert not (matrix @ self.truth).any()
        is_open = np.array([0 < value <= 10 for value in self.truth])
        # An answer other than the truth clears every cell in which it differs; what is left has been tried both ways.
        for cell in range(width):
            for sign in (1.0, -1.0):
                if is_open[cell]:
                    best = milp(
                        sign * np.eye(1, width, cell)[0],
                        constraints=rules,
                        bounds=Bounds(np.array(self.low), np.array(self.high)),
                        integrality=np.ones(width),
                    )
                    is_open &= np.rint(best.x) == self.truth
        return np.flatnonzero(is_open).tolist()


def margins_attack(truth: pl.DataFrame, published: pl.DataFrame) -> list[int]:
    attacker = Attacker()
    cells = dict(zip(truth.select("a", "b").rows(), attacker.column(truth, published, "n"), strict=True))
    for a in truth["a"].unique():
        attacker.sums.append((cells[a, "All"], [cells[a, b] for b in truth["b"].unique() if b != "All"]))
    for b in truth["b"].unique():
        attacker.sums.append((cells["All", b], [cells[a, b] for a in truth["a"].unique() if a != "All"]))
    return attacker.recovered()


def cohort_attack(truth: pl.DataFrame, published: pl.DataFrame) -> list[int]:
    attacker = Attacker()
    clients, eligible, returned = (attacker.column(truth, published, name) for name in COHORT["counts"])
    for row, period in enumerate(truth["period"]):
        attacker.rest(clients[row], [eligible[row]])
        attacker.rest(eligible[row], [returned[row]])
        if period > 1:
            attacker.sums.append((clients[row - 1], [clients[row]]))
    for cohort in truth["cohort"].unique(maintain_order=True):
        rows = [row for row, own in enumerate(truth["cohort"]) if own == cohort]
        for first in rows:
            for later in rows:
                if later > first:
                    attacker.rest(eligible[first], [eligible[later]])
    return attacker.recovered()


def curve_attack(truth: pl.DataFrame, published: pl.DataFrame) -> list[int]:
    attacker = Attacker()
    at_risk, events, censored = (attacker.column(truth, published, name) for name in CURVE["counts"])
    for first in range(len(at_risk)):
        for later in range(first + 1, len(at_risk)):
            gone = attacker.rest(at_risk[first], [at_risk[later]])
            if later == first + 1:
                attacker.sums.append((gone, [events[first], censored[first]]))
    attacker.sums.append((at_risk[-1], [events[-1], censored[-1]]))
    return attacker.recovered()


def margins_table(rng: np.random.Generator) -> pl.DataFrame:
    n = rng.choice([0, 0, 1, 6, 9, 11, 25, 60], rng.integers(2, 5, 2)) + 0
    n = np.vstack([n, n.sum(0)])
    n = np.hstack([n, n.sum(1, keepdims=True)])
    rows = [
        (f"{i}" if i < n.shape[0] - 1 else "All", f"{j}" if j < n.shape[1] - 1 else "All", int(n[i, j]))
        for i in range(n.shape[0])
        for j in range(n.shape[1])
    ]
    return pl.DataFrame(rows, schema=["a", "b", "n"], orient="row")


def cohort_table(rng: np.random.Generator) -> pl.DataFrame:
    rows = []
    for cohort in range(3):
        clients = eligible = int(rng.integers(1, 60))
        for period in (1, 2, 3):
            eligible = max(0, eligible - int(rng.choice([0, 0, 3, 15])))
            rows.append((f"c{cohort}", period, clients, eligible, int(rng.integers(0, eligible + 1))))
    return pl.DataFrame(rows, schema=["cohort", "period", "clients", "eligible", "returned"], orient="row")


def curve_table(rng: np.random.Generator) -> pl.DataFrame:
    n = int(rng.integers(3, 80))
    return kaplan_meier(pl.DataFrame({"days": rng.integers(0, 5, n), "ended": rng.random(n) < 0.6}))


@pytest.mark.parametrize(
    ("seeds", "make", "attack", "layout"),
    [
        (range(400), margins_table, margins_attack, {"by": ["a", "b"], "counts": ["n"]}),
        (range(400, 700), cohort_table, cohort_attack, COHORT),
        (range(700, 1000), curve_table, curve_attack, CURVE),
    ],
)
def test_exact_attacker_recovers_no_small_cell_from_1000_random_tables(
    seeds: range,
    make: Callable[[np.random.Generator], pl.DataFrame],
    attack: Callable[[pl.DataFrame, pl.DataFrame], list[int]],
    layout: dict[str, Any],
) -> None:
    cells = shown = 0
    for seed in seeds:
        truth = make(np.random.default_rng(seed))
        published = suppress(truth, **layout, audience="external")
        counts = published.select(pl.concat_list(layout["counts"]).explode().alias("n"))["n"]
        assert not counts.is_between(1, 10).any()
        assert attack(truth, published) == [], (seed, truth, published)
        cells, shown = cells + len(counts), shown + counts.count()
    assert shown > 0.2 * cells  # safe, and still worth reading


def test_attacker_succeeds_where_only_small_cells_are_hidden() -> None:
    table = pl.DataFrame({"state": ["a", "b", "All"], "n": [70, 4, 74]})
    attacker = Attacker()
    cells = attacker.column(table, table.with_columns(n=pl.when(pl.col("n") > 10).then("n")), "n")
    attacker.sums.append((cells[2], cells[:2]))
    assert attacker.recovered() == [1]


def rates() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "provider": ["a", "b", "c"],
            "due": [50, 40, 12],
            "missed": [20, 33, 0],
            "rate": [0.4, 0.825, 0.0],
            "few": [False] * 3,
        }
    )


def test_complement_of_a_shown_share_is_hidden_with_its_rate() -> None:
    table = suppress(rates(), by=["provider"], counts=["due", "missed"], parts={"due": ["missed"]}, audience="external")
    assert table["missed"].to_list() == [20, None, 0]
    assert table["rate"].to_list() == [0.4, None, 0.0]
    assert table["few"].to_list() == [False, None, False]


def test_known_sum_hides_a_second_row() -> None:
    table = pl.DataFrame({"state": ["a", "b", "c"], "clients": [70, 25, 4], "share": [0.7, 0.25, 0.04]})
    published = suppress(table, by=["state"], counts=["clients"], adds_up=True, audience="external")
    assert published["clients"].to_list() == [70, None, None]
    assert published["share"].to_list() == [0.7, None, None]


def test_two_ones_that_are_known_to_sum_to_two_are_not_left_alone() -> None:
    table = pl.DataFrame({"state": ["a", "b", "c", "All"], "clients": [98, 1, 1, 100]})
    assert suppress(table, by=["state"], counts=["clients"], audience="external")["clients"].to_list()[0] is None


def test_internal_hides_nothing() -> None:
    assert suppress(rates(), by=["provider"], counts=["due", "missed"]).equals(rates())


def test_zero_and_large_counts_are_shown_when_nothing_is_small() -> None:
    table = pl.DataFrame({"state": ["a", "b"], "clients": [0, 11]})
    assert suppress(table, by=["state"], counts=["clients"], adds_up=True, audience="external").equals(table)


def test_total_that_cannot_be_hidden_is_refused() -> None:
    table = pl.DataFrame({"state": ["a"], "clients": [4]})
    with pytest.raises(ValueError, match="follows from a total that readers know"):
        suppress(table, by=["state"], counts=["clients"], adds_up=True, audience="external")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"counts": ["n"]}, "the table has no n; it has provider, due"),
        ({"audience": "public"}, "audience is 'public'; allowed are 'internal' and 'external'"),
        ({"parts": {"missed": ["due"]}}, "a total is not the sum"),
    ],
)
def test_what_cannot_be_protected_is_refused(options: dict[str, object], message: str) -> None:
    given = {"by": ["provider"], "counts": ["due", "missed"], "audience": "external"} | options
    with pytest.raises(ValueError, match=message):
        suppress(rates(), **given)  # type: ignore[arg-type]


def test_null_count_is_refused() -> None:
    table = pl.DataFrame({"state": ["a"], "clients": [None]}, schema_overrides={"clients": pl.Int64})
    with pytest.raises(ValueError, match="hold a null or a negative number"):
        suppress(table, by=["state"], counts=["clients"], audience="external")


def test_pseudonym_is_stable_by_key_and_tells_nothing_of_the_id() -> None:
    ids = pl.Series("client_id", ["7", "8", None, "7"])
    ours, theirs = pseudonyms(ids, key=KEY), pseudonyms(ids, key=KEY + b"2")
    assert ours[0] == ours[3] != ours[1]
    assert ours[2] is None
    assert set(ours.drop_nulls()).isdisjoint(theirs)
    assert ours.equals(pseudonyms(ids, key=KEY))


def test_pseudonym_begins_as_the_published_test_vector_of_hmac_does() -> None:
    """RFC 4231, test case 1: b0344c61d8db38535ca8afceaf0bf12b..."""
    assert pseudonyms(pl.Series(["Hi There"]), key=b"\x0b" * 20).to_list() == ["b0344c-61d8db"]


def test_pseudonyms_of_nobody_are_none() -> None:
    none = pl.Series("client_id", [None, None], pl.String)
    assert pseudonyms(none, key=b"sixteen bytes it").to_list() == [None, None]
    assert pseudonyms(none, key=KEY).dtype == pl.String


def test_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="the key has 3 bytes; give 16 or more"):
        pseudonyms(pl.Series(["7"]), key=b"key")


@pytest.mark.parametrize(
    "area",
    [
        "036",
        "059",
        "063",
        "102",
        "203",
        "556",
        "692",
        "790",
        "821",
        "823",
        "830",
        "831",
        "878",
        "879",
        "884",
        "890",
        "893",
    ],
)
def test_rare_zip_areas_are_000(area: str) -> None:
    rows = pl.DataFrame({"zip": [f"{area}12", "10001-1234", None]})
    assert deidentify(rows, ids=[], zip_codes=["zip"])["zip"].to_list() == ["000", "100", None]


def test_columns_that_the_rows_lack_are_named_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"^the rows have no client_id, zip; they have a, b\.$"):
        deidentify(pl.DataFrame({"a": [1], "b": [2]}), ids=["client_id"], zip_codes=["zip"])


def test_deidentified_ids_are_numbers_also_when_there_are_none() -> None:
    out = deidentify(pl.DataFrame({"client_id": [None]}, schema={"client_id": pl.String}), ids=["client_id"])
    assert out.schema == {"client_id": pl.Int64}


def test_deidentified_rows_keep_years_and_who_is_the_same() -> None:
    rows = pl.DataFrame({"client_id": ["b", "a", "b"], "date": ["2026-03-01", "2025-12-31", None], "n": [1, 2, 3]})
    rows = rows.with_columns(pl.col("date").str.to_date())
    out = deidentify(rows, ids=["client_id"])
    assert out["client_id"][0] == out["client_id"][2] != out["client_id"][1]
    assert out["client_id"].dtype == pl.Int64
    assert out["date"].to_list() == [2026, 2025, None]
    assert out["n"].to_list() == [1, 2, 3]
