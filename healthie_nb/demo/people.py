"""Who is there: the clients as they sign up, and the providers who see them."""

from datetime import date, timedelta
from itertools import accumulate

import polars as pl

from healthie_nb.demo.draws import Draws
from healthie_nb.demo.moments import days, instant, workday
from healthie_nb.demo.truth import BOOKS_DISCOVERY, BOOKS_INTAKE, FIRST_DAY, LAST_DAY, PROVIDERS, SEASON

MIGRATED = 0.05
"""Share of clients who came from an earlier system: signed up before the first day, no first visit on record."""
TEST_CLIENTS = 4
FIRST_CLIENT_ID = 9_700
MERGED = 0.01

_FIRST_NAMES = (
    "Ada", "Basil", "Cleo", "Desmond", "Elif", "Fern", "Gustav", "Hana", "Ivo", "Junia", "Kofi", "Lena", "Milo",
)  # fmt: skip
_LAST_NAMES = (
    "Ashgrove", "Birchall", "Coppersmith", "Dunmore", "Elderfield", "Foxglove", "Greyling", "Hartsock", "Ironwood",
)  # fmt: skip
_SOURCES = {"Google": 0.3, "Physician": 0.25, "Friend or family": 0.2, "Insurance": 0.15, "Social media": 0.1}
_TRACKS = {"follow-up": 0.46, "therapy": 0.34, "programme": 0.20}


def clients(draws: Draws, count: int) -> pl.DataFrame:
    """Everyone who ever signs up. Rows: one per client, by sign-up. Columns: client UInt32 from 0, id, and the rest."""
    who = pl.col("draw")
    return (
        pl.DataFrame({"draw": pl.int_range(count, dtype=pl.UInt32, eager=True)})
        .with_columns(is_migrated=draws.chance("migrated", who, of=MIGRATED))
        .with_columns(created_day=_signup_day(draws))
        .with_columns(
            created_at=instant(pl.col("created_day"), draws.integer("signup minute", who, low=480, high=1200))
        )
        .sort("created_at", "draw")
        .with_row_index("client")
        .with_columns(_care(draws) + _identity(draws))
        .with_columns(first_day=_first_day(draws))
        .with_columns(_merges(draws))
    )


def provider_on(draws: Draws, day: pl.Expr, chosen: pl.Expr, who: pl.Expr) -> pl.Expr:
    """Return the chosen provider if at work on that day, else the one who stands in for this client from then on."""
    staying = {one.id: one.share for one in PROVIDERS if one.left is None and one.started < FIRST_DAY}
    started = chosen.replace_strict({one.id: one.started for one in PROVIDERS}, return_dtype=pl.Date)
    left = chosen.replace_strict({one.id: one.left or date.max for one in PROVIDERS}, return_dtype=pl.Date)
    stand_in = draws.pick("stand-in", who, among=staying)
    return pl.when((day >= started) & (day <= left)).then(chosen).otherwise(stand_in)


def _signup_day(draws: Draws) -> pl.Expr:
    who = pl.col("draw")
    span = (LAST_DAY - FIRST_DAY).days + 1
    months = [(FIRST_DAY + timedelta(days=day)).month for day in range(span)]
    weights = [SEASON[month - 1] * (1 + 0.4 * day / span) for day, month in enumerate(months)]
    edges = pl.Series(list(accumulate(weights)))
    new = pl.lit(edges).search_sorted(draws.uniform("signup day", who) * edges[-1]).clip(0, span - 1)
    before = draws.integer("migrated day", who, low=-60, high=-1)
    return days(FIRST_DAY, pl.when("is_migrated").then(before).otherwise(new.cast(pl.Int64)))


def _care(draws: Draws) -> list[pl.Expr]:
    who = pl.col("draw")
    chosen = draws.pick("provider", who, among={one.id: one.share for one in PROVIDERS})
    books = draws.chance("books intake", who, of=BOOKS_INTAKE)
    return [
        provider_on(draws, pl.col("created_day"), chosen, who).alias("first_provider_id"),
        draws.pick("track", who, among=_TRACKS).alias("track"),
        draws.pick("cadence", who, among={"14": 0.6, "28": 0.4}).cast(pl.Int64).alias("cadence"),
        (pl.col("is_migrated") | books).alias("has_course"),
        (draws.chance("books discovery", who, of=BOOKS_DISCOVERY) & ~pl.col("is_migrated")).alias("has_discovery"),
        draws.pick("source", who, among=_SOURCES).alias("source"),
    ]


def _identity(draws: Draws) -> list[pl.Expr]:
    who, index = pl.col("draw"), pl.col("client")
    first = draws.pick("first name", who, among=dict.fromkeys(_FIRST_NAMES, 1))
    last = draws.pick("last name", who, among=dict.fromkeys(_LAST_NAMES, 1))
    is_test = index.is_between(10, 10 + TEST_CLIENTS - 1)
    return [
        (index + FIRST_CLIENT_ID).cast(pl.String).alias("id"),
        is_test.alias("is_test"),
        pl.when(is_test).then(pl.lit("Test")).otherwise(first).alias("first_name"),
        pl.when(is_test).then(pl.lit("Client")).otherwise(last).alias("last_name"),
        pl.format("client{}@example.org", index).alias("email"),
        pl.format("+1555{}", (index % 10_000_000).cast(pl.String).str.zfill(7)).alias("phone_number"),
        days(date(1945, 1, 1), draws.integer("birth", who, low=0, high=22_000)).alias("dob"),
        draws.pick("gender", who, among={"Female": 0.6, "Male": 0.36, "Other": 0.04}).alias("gender"),
        pl.format("Prefers mornings; lives with {}.", draws.pick("with", who, among={"a cat": 1, "family": 1})).alias(
            "quick_notes"
        ),
    ]


def _first_day(draws: Draws) -> pl.Expr:
    """Date of the first visit of a client's course, or the first here of one who came from an earlier system."""
    who = pl.col("client")
    wait = draws.integer("wait", who, low=3, high=24) + pl.when("has_discovery").then(9).otherwise(0)
    migrated = days(FIRST_DAY, draws.integer("first here", who, low=2, high=15))
    return workday(pl.when("is_migrated").then(migrated).otherwise(pl.col("created_day") + pl.duration(days=wait)))


def _merges(draws: Draws) -> list[pl.Expr]:
    """Merge the later record of clients who signed up twice into the one just before it that stays."""
    who = pl.col("draw")
    goes = draws.chance("merged", who, of=MERGED) & (pl.col("client") > 10 + TEST_CLIENTS)
    stays = pl.when(~goes).then("client").forward_fill()
    at = pl.col("created_at") + pl.duration(minutes=draws.integer("merge minute", who, low=43_200, high=300_000))
    return [pl.when(goes).then(stays).alias("merged_into"), pl.when(goes).then(at).alias("merged_at")]
