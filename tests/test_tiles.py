from __future__ import annotations

import re
from datetime import UTC, date, datetime
from html import unescape

import polars as pl
import pytest

from healthie_nb import quality, retention, tiles
from healthie_nb.visits import example

SHOWN = tiles.Tiles(
    [
        tiles.Tile("Notes signed within 72 h", "87%", "412 of 474, 95 % interval 84-90", "amber"),
        tiles.Tile("Ready", "61%", "of 90 coming visits", "green"),
        tiles.Tile("Seen", "1,200"),
    ],
    title="June 2026",
    synthetic=True,
)
CHECKS = quality.checks(
    example({"ada": ["2026-01-05", "2026-01-05"], "bob": ["2026-01-06"]}),
    as_of="2026-01-31",
    loaded_at=datetime(2026, 2, 2, tzinfo=UTC),
)


def words(html: str) -> list[str]:
    """Pieces of text on the page, in order."""
    text = re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
    return [unescape(piece).strip() for piece in re.findall(r">([^<]+)", text) if piece.strip()]


def test_tiles_say_everything_in_lines() -> None:
    assert repr(SHOWN).splitlines() == [
        "June 2026",
        "Demo practice: synthetic data",
        "Notes signed within 72 h: 87% · 412 of 474, 95 % interval 84-90 · ! caution",
        "Ready: 61% · of 90 coming visits · ✓ good",
        "Seen: 1,200",
    ]


def test_page_says_what_the_text_says() -> None:
    said = words(SHOWN._repr_html_())
    assert said == [part for line in repr(SHOWN).splitlines() for part in re.split(r": (?=\d)| · ", line)]


def test_real_data_is_not_called_synthetic() -> None:
    shown = tiles.Tiles([tiles.Tile("Seen", "1")], title="June", synthetic=False)
    assert "synthetic" not in repr(shown) + shown._repr_html_()
    assert "synthetic" not in repr(tiles.trust(CHECKS, synthetic=False))


@pytest.mark.parametrize("tone", ["green", "amber", "red"])
def test_tone_is_said_without_colour(tone: tiles.tile.Tone) -> None:
    tile = tiles.Tile("Seen", "1", tone=tone)
    assert words(tile.html())[-1] == tiles.tile.SIGNS[tone]
    assert str(tile).endswith(tiles.tile.SIGNS[tone])


def test_page_has_no_script_and_names_no_host() -> None:
    for html in (SHOWN._repr_html_(), tiles.trust(CHECKS, synthetic=True)._repr_html_()):
        assert not re.search(r"<script|https?:|url\(|@import| on\w+=", html)


def test_what_a_practice_wrote_is_text_in_html() -> None:
    odd = tiles.Tiles([tiles.Tile("<i>", "<u>", "<b>")], title='"><script>', synthetic=True)._repr_html_()
    assert not re.search(r"<(i|u|script)>", odd)
    checks = CHECKS.with_columns(value=pl.lit("<script>"), meaning=pl.lit("<i>"), advice=pl.lit("<u>"))
    assert not re.search(r"<(i|u|script)>", tiles.trust(checks, synthetic=True)._repr_html_())


def test_strip_has_a_chip_for_each_check() -> None:
    html = tiles.trust(CHECKS, synthetic=True)._repr_html_()
    chips = html.partition("hn-chips")[2].partition("hn-chips")[2].partition("</ul>")[0]
    assert sorted(re.findall(r"<li[^>]*>\S ([^<]+)", chips)) == sorted(check.name for check in quality.CHECKS)


def test_problems_come_first_and_say_what_to_do() -> None:
    strip = tiles.trust(CHECKS, synthetic=True)
    lines = repr(strip).splitlines()
    doubles = CHECKS.row(by_predicate=pl.col("check") == "doubles", named=True)
    at = lines.index(f"✕ doubles: {doubles['value']}")
    assert lines[at + 1 : at + 3] == [f"  Good means: {doubles['meaning']}", f"  To do: {doubles['advice']}"]
    signs = [line[0] for line in lines[2:] if not line.startswith(" ")]
    assert signs == sorted(signs, key="✕!?✓".index)
    open_part = strip._repr_html_().partition("<details>")[0]
    assert doubles["advice"] in unescape(open_part)


def test_what_was_not_checked_is_no_caution() -> None:
    strip = tiles.trust(CHECKS, synthetic=True)
    assert "? reconciled: not checked" in repr(strip).splitlines()
    asked_for = CHECKS.row(by_predicate=pl.col("check") == "reconciled", named=True)["advice"]
    opened, _, folded = map(unescape, strip._repr_html_().partition("<details>"))
    assert asked_for in folded
    assert asked_for not in opened


def test_title_counts_the_checks_of_each_kind() -> None:
    strip = tiles.trust(CHECKS, synthetic=True)
    counts = {word.removesuffix("s"): int(count) for count, word in re.findall(r"(\d+) ([a-z ]+)", strip.title)}
    assert counts == {
        "problem": CHECKS.filter(pl.col("level") == "red").height,
        "caution": CHECKS.filter(pl.col("level") == "amber", pl.col("value") != "not checked").height,
        "not checked": CHECKS.filter(pl.col("value") == "not checked").height,
        "good": CHECKS.filter(pl.col("level") == "green").height,
    }


# -- which forms get done --------------------------------------------------------------------------------------------

NOTES = pl.DataFrame({"provider_id": ["1", "2"], "due": [60, 40], "signed": [50, 31]})
READY = pl.DataFrame(
    {
        "appointment_id": ["1", "1", "2", "2", "3", "3"],
        "client_id": ["a", "a", "a", "a", "b", "b"],
        "is_first": [False] * 4 + [True] * 2,
        "is_ready": [True, True, False, False, False, False],
    }
)
BEFORE = pl.DataFrame(
    {
        "period": [date(2026, 5, 1), date(2026, 5, 1), date(2026, 6, 1)],
        "role": ["consent", "intake", "consent"],
        "clients": [20, 20, 30],
        "done": [18, 10, 28],
    }
)


def headline(**options: object) -> list[str]:
    given: dict[str, object] = {"as_of": "2026-06-30", "synthetic": True, **options}
    return [str(tile) for tile in tiles.forms(NOTES, READY, BEFORE, **given).tiles]  # type: ignore[arg-type]


def test_headline_of_forms_sums_the_rows_and_says_of_how_many() -> None:
    """Wilson's interval of 81 of 100 is 0.722 to 0.875, of 46 of 50 it is 0.812 to 0.968 (statsmodels 0.14)."""
    assert headline() == [
        "Notes signed within 72 hours: 81% · 81 of 100 visits, 95 % interval 72-87%",
        "Coming visits with all forms done: 33% · 1 of 3 visits on the books",
        "First visits with all forms done: 0% · 0 of 1 visits on the books",
        "Consent before the first visit: 92% · 46 of 50 clients since May 2026, 95 % interval 81-97%",
    ]


@pytest.mark.parametrize(
    ("target", "sign"),
    [
        (0.7, " · ✓ good"),
        (0.8, ", which the interval reaches below · ! caution"),
        (0.82, ", which the interval reaches above · ! caution"),
        (0.95, " · ✕ problem"),
    ],
)
def test_tile_is_judged_by_its_interval_against_the_latest_target(target: float, sign: str) -> None:
    targets = pl.DataFrame(
        {"metric": "notes signed", "target": [0.1, target], "since": [None, date(2026, 1, 1)]},
    )
    notes, *_, consents = headline(targets=targets)
    assert notes.endswith(f"target {target:.0%}{sign}")
    assert "target" not in consents


def test_headline_without_rows_says_so() -> None:
    shown = tiles.forms(NOTES.clear(), READY.clear(), BEFORE.clear(), as_of="2026-06-30", synthetic=True)
    assert [tile.value for tile in shown.tiles] == ["none yet", "none", "none", "none yet"]


# -- who stays -----------------------------------------------------------------------------------------------------


def test_headline_of_retention_is_what_the_visits_say() -> None:
    """Counted by hand: ada came again in time, bob did not, cyd has a visit booked, dan has not been seen for long."""
    seen = example(
        {
            "ada": ["2026-04-06", "2026-05-04"],
            "bob": ["2026-04-13", "2026-06-01"],
            "cyd": ["2026-05-04", "2026-07-06 None"],
            "dan": ["2025-11-03"],
        }
    )
    clients = pl.DataFrame({"id": ["ada", "bob", "cyd", "dan"]}).with_columns(
        is_active=True,
        created_at=pl.datetime(2025, 11, 1, time_zone="UTC"),
        archived_at=pl.lit(None, pl.Datetime("us", "UTC")),
        group_id=pl.lit(None, pl.String),
    )
    as_of = "2026-06-30"
    given = (
        retention.states(seen, clients, as_of=as_of),
        retention.flow(seen, as_of=as_of),
        retention.cohorts(seen, as_of=as_of, brackets=((1, 45),)),
    )
    shown = tiles.retention(*given, as_of=as_of, every="month", synthetic=True)
    assert repr(shown).splitlines() == [
        "Who stays, as of 30 Jun 2026",
        "Demo practice: synthetic data",
        "Active clients: 3 · 75% of 4 clients: seen in the last 90 days, or booked",
        "New clients: 0 · in Jun 2026; 1 a month in the 7 before",
        "Second visit, days 1-45: 25%* · 95 % interval 5-70%, of 4 new clients in 3 closed cohorts",
        "Lapsed: 1 · 25% of 4 clients: not seen for over 90 days, nothing booked",
        "Nothing booked: 2 · of 3 active clients",
    ]
    since = {"metric": "second visit", "target": [0.8, 0.3], "since": [None, date(2026, 7, 1)]}
    aimed = tiles.retention(*given, as_of=as_of, every="month", synthetic=True, targets=pl.DataFrame(since))
    assert repr(aimed).splitlines()[4].endswith("in 3 closed cohorts, target 80% · ✕ problem")
