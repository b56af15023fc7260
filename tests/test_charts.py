"""What every chart has to keep to, and what some of them say."""

from __future__ import annotations

import inspect
import json
import math
import re
from datetime import date
from functools import cache
from itertools import combinations
from typing import TYPE_CHECKING, Any, get_args

import altair as alt
import polars as pl
import pytest
import vl_convert
from gallery import CHARTS, Shown

from healthie_nb import attendance, charts, display, forms, retention, tables, volume
from healthie_nb.chart_notes import YOUNG
from healthie_nb.charts import data, marks
from healthie_nb.newcomers import Every
from healthie_nb.roles import COLUMNS
from healthie_nb.targets import METRICS, SHARES
from healthie_nb.visits import UTC, MetricError, example

if TYPE_CHECKING:
    from collections.abc import Iterator

JUPYTERS = max(version for version in vl_convert.get_vegalite_versions() if version.startswith("5"))
each = pytest.mark.parametrize("shown", CHARTS, ids=lambda shown: shown.name)


@cache
def _written(name: str) -> str:
    (shown,) = (shown for shown in CHARTS if shown.name == name)
    return json.dumps(shown.chart().to_dict())


def spec_of(shown: Shown) -> dict[str, Any]:
    """Specification of the chart, made once for all tests that only read it."""
    return json.loads(_written(shown.name))  # type: ignore[no-any-return]


def rows_of(spec: dict[str, object]) -> list[dict[str, object]]:
    return [row for rows in spec["datasets"].values() for row in rows]  # type: ignore[attr-defined]


@each
@pytest.mark.parametrize("version", [JUPYTERS, None])
def test_chart_is_drawn_without_a_warning(shown: Shown, version: str | None, capfd: pytest.CaptureFixture[str]) -> None:
    spec = display.finished(spec_of(shown))
    del spec["$schema"]
    svg = vl_convert.vegalite_to_svg(spec, vl_version=version, show_warnings=True, allowed_base_urls=[])
    assert svg.startswith("<svg")
    assert capfd.readouterr().err == ""


@each
def test_chart_says_that_its_data_is_synthetic_and_can_be_heard(shown: Shown) -> None:
    spec = spec_of(shown)
    assert spec["title"]["subtitle"][0] == "Demo practice: synthetic data"
    assert "synthetic" not in json.dumps(shown.chart(synthetic=False).to_dict())
    assert re.fullmatch(r"[A-Z].{30,}\.", spec["description"])


@each
def test_no_client_is_in_a_chart_or_its_table(shown: Shown) -> None:
    assert "client-0" not in json.dumps(spec_of(shown))
    assert "client-0" not in repr(shown.table()) + shown.table()._repr_html_()


@each
def test_every_mark_that_says_something_says_of_how_many(shown: Shown) -> None:
    spec = json.dumps(spec_of(shown))
    tooltips = re.findall(r'"tooltip": \[.*?\]', spec)
    told = [tooltip for tooltip in tooltips if '"title": "Line"' not in tooltip and '"title": "Note"' not in tooltip]
    assert told
    assert all(f'"field": "{shown.n}"' in tooltip for tooltip in told)


def layers_of(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Marks of a chart with the data set each is of, those of charts in it too."""
    inner = [part for key in ("layer", "hconcat") for part in spec.get(key, [])]
    of = {name: spec[name] for name in ("data",) if name in spec}
    shared = spec.get("encoding", {})
    given = (of | part | {"encoding": shared | part.get("encoding", {})} for part in inner)
    return [mark for part in given for mark in layers_of(part)] if inner else [spec]


SPANS = [("low", "high"), ("least", "most"), ("lowest", "highest"), ("if_kept", "if_missed")]
SPANS += [("low_95", "high_95"), ("low_998", "high_998")]
MAPS = ("cohorts", "heat")  # a cell has no room for its interval, which it tells
LIMITED = ("chance_limits", "funnel_plot")  # points between limits, which stand in place of intervals


@each
def test_interval_is_drawn_from_its_low_to_its_high_end_or_told_by_a_cell(shown: Shown) -> None:
    spec = spec_of(shown)
    drawn = {
        (layer["data"]["name"], layer["encoding"][axis].get("field"), layer["encoding"][f"{axis}2"].get("field"))
        for layer in layers_of(spec)
        for axis in "xy"
        if f"{axis}2" in layer["encoding"]
    }
    told = json.dumps([layer["encoding"].get("tooltip") for layer in layers_of(spec)])
    for name, rows in spec["datasets"].items():
        spans = [span for span in SPANS if {*span} <= {*(rows or [{}])[0]}]
        if name == "limits" or shown.name not in (*MAPS, *LIMITED):
            assert {(name, *span) for span in spans} <= drawn
    if {"low", "high"} <= {*shown.rows.columns} and shown.name != "cancellations":  # which shows no share
        assert '"interval"' in told


@each
def test_what_is_open_is_hatched_or_hollow(shown: Shown) -> None:
    spec = spec_of(shown)
    open_in = {name for name, rows in spec["datasets"].items() if any(row.get("is_open") for row in rows)}
    assert bool({"is_open", "is_short"} & {*shown.rows.columns}) <= bool(open_in) or shown.name == "cancellations"
    for name in open_in - {"totals"}:
        marked = [layer for layer in layers_of(spec) if layer["data"]["name"] == name]
        hollow = [layer["encoding"].get("fillOpacity", {}) for layer in marked]
        hatched = [layer["encoding"].get("opacity", {}) for layer in marked if "gradient" in str(layer["mark"])]
        is_told = [told.get("condition", {}).get("test") == "datum.is_open" for told in hollow + hatched]
        assert any(is_told) or any({"filter": "datum.is_open"} in layer.get("transform", []) for layer in marked)


MARKED = {
    "second_visit": "target 50%", "flow": "target 30", "counts": "target 40", "panel": "target 25",
    "rates": "target 10%", "rebooked": "target 60%", "notes": "target 90%", "notes_over_time": "target 90%",
    "before_first_visit": "target 80%",
}  # fmt: skip


@each
def test_targets_and_annotations_are_drawn_where_a_chart_takes_them(shown: Shown) -> None:
    takes = inspect.signature(getattr(charts, shown.name)).parameters
    assert ("targets" in takes, "targets" in shown.more) == (shown.name in MARKED, shown.name in MARKED)
    assert ("annotations" in takes) == ("annotations" in shown.more)
    if shown.more:
        spec = display.finished(spec_of(shown))
        words = re.findall(r"<text[^>]*>([^<]*)</text>", vl_convert.vegalite_to_svg(spec, allowed_base_urls=[]))
        assert MARKED[shown.name] in words
        assert ("Clinic moved" in words) == ("annotations" in takes)
        rules = {layer["data"]["name"] for layer in layers_of(spec) if "rule" in str(layer["mark"])}
        assert {*shown.more} <= rules


@each
def test_rows_put_into_a_kept_specification_show_another_view(shown: Shown) -> None:
    fewer = shown.rows.head(2)
    assert shown.chart().to_dict() | shown.parts(fewer) == shown.chart(fewer).to_dict()


@each
def test_chart_and_table_without_rows_are_drawn(shown: Shown) -> None:
    spec = display.finished(shown.chart(shown.rows.clear()).to_dict())
    assert display.png(spec).startswith(b"\x89PNG")
    assert shown.table(shown.rows.clear()).rows.is_empty()


@each
def test_table_says_what_its_chart_says(shown: Shown) -> None:
    """Every share that the chart shows is in its twin, and the title and the mark of the demo too."""
    table, spec = shown.table(), spec_of(shown)
    assert table.title == spec["title"]["text"]
    assert table.notes[0] == "Demo practice: synthetic data"
    said = {str(row["text"]) for row in rows_of(spec) if re.fullmatch(r"\d+%\*?", str(row.get("text")))}
    written = set(re.findall(r"\d+%\*?", repr(table)))
    assert said <= written or shown.name in ("survival", "time_to_complete")  # a curve has more days than its table


def test_every_chart_has_parts_and_a_table() -> None:
    names = [name for name in charts.__all__ if not name.endswith("_parts")]
    assert sorted([*names, *(f"{name}_parts" for name in names)]) == sorted(charts.__all__)
    assert sorted(names) == sorted(shown.name for shown in CHARTS)


@each
def test_chart_has_the_keywords_of_its_parts(shown: Shown) -> None:
    made, of = getattr(charts, shown.name), getattr(charts, f"{shown.name}_parts")
    assert list(inspect.signature(made).parameters) == list(inspect.signature(of).parameters)
    assert "synthetic" in made.__doc__


def luminance(colour: str) -> float:
    """WCAG 2's."""
    red, green, blue = linear(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("colour", marks.PALETTE)
def test_colours_stand_out_on_white_and_on_dark_paper(colour: str) -> None:
    """WCAG 2.1, 1.4.11: graphics have 3:1."""
    on_white = (luminance("#ffffff") + 0.05) / (luminance(colour) + 0.05)
    on_dark = (luminance(colour) + 0.05) / (luminance("#111111") + 0.05)
    assert min(on_white, on_dark) >= 3


# Machado, Oliveira and Fernandes (2009), severity 1.0.
VISION = {
    "usual": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
XYZ = [[0.4338, 0.3763, 0.1899], [0.2126, 0.7152, 0.0722], [0.0177, 0.1095, 0.8728]]  # of sRGB, over D65's white


def linear(colour: str) -> list[float]:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]


def times(matrix: list[list[float]], vector: list[float]) -> list[float]:
    return [sum(m * v for m, v in zip(row, vector, strict=True)) for row in matrix]


def lab(light: list[float]) -> tuple[float, float, float]:
    """CIE L*a*b* of linear light."""
    x, y, z = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in times(XYZ, [max(c, 0) for c in light]))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@pytest.mark.parametrize("vision", VISION)
def test_colours_are_apart_for_every_kind_of_vision(vision: str) -> None:
    """Two colours 2 apart are told apart side by side; 20 is ten times that."""
    seen = [lab(times(VISION[vision], linear(colour))) for colour in marks.PALETTE]
    assert min(math.dist(one, other) for one, other in combinations(seen, 2)) > 20


# -- the heat map of cohorts -----------------------------------------------------------------------------------------

# Two of January, one of whom came back in the second month; two of May, one of whom has had a month by 2 June.
SEEN = example({"a": ["2026-01-05", "2026-02-20"], "b": ["2026-01-20"], "c": ["2026-05-20"], "d": ["2026-05-01"]})


def rows(**options: object) -> pl.DataFrame:
    return retention.cohorts(SEEN, as_of="2026-06-02", measure="on", periods=2, **options)  # type: ignore[arg-type]


def spec(*, synthetic: bool = True) -> dict[str, object]:
    return charts.cohorts(rows(), every="month", synthetic=synthetic).to_dict()


def cells() -> pl.DataFrame:
    return pl.DataFrame(spec()["datasets"]["cells"])  # type: ignore[index]


def test_chart_holds_the_rows_of_the_metric() -> None:
    assert cells().select("cohort", "label", "clients", "eligible", "returned").rows() == [
        ("Jan 2026", "month 1", 2, 2, 0),
        ("Jan 2026", "month 2", 2, 2, 1),
        ("May 2026", "month 1", 2, 1, 0),
        ("May 2026", "month 2", 2, 0, 0),
    ]


def test_open_and_few_cells_are_marked() -> None:
    assert cells()["is_open"].to_list() == [False, False, True, True]
    assert cells()["text"].to_list() == ["0%*", "50%*", "0%*", None]


def test_every_row_names_its_cohort_and_size() -> None:
    assert "Jan 2026  ·  n 2" in vl_convert.vegalite_to_svg(spec())


def test_heat_map_can_be_heard() -> None:
    assert spec()["description"] == (
        "Heat map of 2 cohorts, Jan 2026 to May 2026, 4 new clients in all, by time since the first visit, month 1 to "
        "month 2. The share that returned lies between 0% and 50%."
    )


def test_many_columns_are_narrow_and_say_what_is_not_written() -> None:
    """Of the second cohort's 30 months one may be over by 2 June; the others keep no place."""
    long = retention.cohorts(SEEN, as_of="2026-06-02", measure="on", periods=30)
    drawn = charts.cohorts(long, every="month", synthetic=True).to_dict()
    cells = pl.DataFrame(drawn["datasets"]["cells"])
    assert cells.select("cohort", "label").rows() == [
        *(("Jan 2026", f"month {k}") for k in range(1, 31)),
        ("May 2026", "month 1"),
    ]
    assert drawn["width"] == {"step": 14}
    assert drawn["title"]["subtitle"][-2:] == [
        "Pale: under 30 eligible",
        "Blank: nobody has had that long yet. Numbers are in the table",
    ]
    written = vl_convert.vegalite_to_svg(drawn)
    assert "0%*" not in written
    assert written.count('class="mark-rect role-mark') == 1


def test_cells_that_may_not_be_told_are_not_said_to_be_of_nobody() -> None:
    long = retention.cohorts(SEEN, as_of="2026-06-02", measure="on", periods=30)
    hidden = pl.when(pl.col("period") > 1)
    blank = long.with_columns(hidden.then(pl.col(name)).alias(name) for name in ("eligible", "returned", "rate"))
    drawn = charts.cohorts_parts(blank, every="month", synthetic=True)
    assert drawn["title"]["subtitle"][-1].startswith("Blank: nobody has had that long yet, or too few to tell.")


def test_split_cohorts_are_refused() -> None:
    with pytest.raises(MetricError, match="split by provider_id"):
        charts.cohorts(
            pl.concat([rows().with_columns(pl.lit(p).alias("provider_id")) for p in "12"]).select(
                "cohort", "provider_id", pl.exclude("cohort", "provider_id")
            ),
            every="month",
            synthetic=False,
        )


@pytest.mark.parametrize("shown", {one.name: one for one in CHARTS}.values(), ids=lambda shown: shown.name)
def test_table_that_lacks_a_column_is_answered_with_the_metric_that_gives_it(shown: Shown) -> None:
    """Whichever it lacks: it is drawn without, or refused in our words."""
    made, refused = getattr(charts, f"{shown.name}_parts"), 0
    for column in shown.rows.columns:
        says = rf"charts\.{shown.name}: the table lacks {column}; draw the rows of \w+\.\w+, with every column"
        try:
            marks.told_of(made, shown.rows.drop(column), synthetic=True, **shown.options, **shown.more)
        except MetricError as error:
            refused += bool(re.match(says, str(error)))
    assert refused


@pytest.mark.parametrize(
    "shown",
    [one for one in CHARTS if "every" in inspect.signature(getattr(charts, one.name)).parameters],
    ids=lambda shown: shown.name,
)
def test_period_that_is_none_is_refused_with_the_list(shown: Shown) -> None:
    """By a chart and by its table."""
    for room in (charts, tables):
        drawn = getattr(room, shown.name)
        given = {name: value for name, value in shown.options.items() if name in inspect.signature(drawn).parameters}
        with pytest.raises(MetricError, match="every is 'day'; allowed are 'week', 'month', 'quarter'"):
            drawn(shown.rows, **{**given, "every": "day", "synthetic": False})


# -- what is drawn beside the rows -----------------------------------------------------------------------------------

PERIODS = pl.DataFrame({"at": ["2026-01-01T00:00:00"], "until": ["2026-07-01T00:00:00"]})


def test_target_holds_until_the_next_one_and_within_the_rows_only() -> None:
    since = [None, date(2026, 3, 1), date(2027, 1, 1), None]
    shares = {"metric": ["no-show"] * 3 + ["lost"], "target": [0.2, 0.15, 0.1, 0.3], "since": since}
    targets = pl.DataFrame(shares)
    held = data.marked(PERIODS, "no-show", targets, None)["targets"]
    assert held.rows() == [
        ("2026-01-01T00:00:00", "2026-03-01T00:00:00", 0.2, "target 20%"),
        ("2026-03-01T00:00:00", "2026-07-01T00:00:00", 0.15, "target 15%"),
    ]


def test_target_by_a_name_that_no_metric_has_is_refused() -> None:
    targets = pl.DataFrame({"metric": ["no_show"], "target": [0.08], "since": [None]})
    with pytest.raises(MetricError, match="no target is for 'no_show'; metrics with targets are second visit,"):
        data.marked(PERIODS, "no-show", targets, None)


def test_every_metric_with_targets_draws_its_own() -> None:
    """Each name that targets.csv may have is drawn by a chart, and by no other metric's."""
    own = {metric: 0.5 + k / 100 if metric in SHARES else float(k) for k, metric in enumerate(METRICS)}
    targets = pl.DataFrame({"metric": own.keys(), "target": own.values(), "since": None}, schema=COLUMNS["targets"])
    drawn = {metric: [row["target"] for row in made["targets"]] for metric, made in targeted(targets)}
    assert drawn == {metric: [target] for metric, target in own.items()}


def targeted(targets: pl.DataFrame) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name of the metric and data sets of each chart that takes targets."""
    days = {"ada": ["2026-01-05", "2026-01-12 No-Show", "2026-03-09"], "bob": ["2026-01-06", "2026-02-10"]}
    seen, until = example(days).with_columns(minutes=pl.lit(50, pl.Int64)), {"as_of": "2026-06-30"}
    at = {"targets": targets, "synthetic": False}
    month = at | {"every": "month"}
    for measure in attendance.MEASURES:
        rows = volume.rates(seen, **until, every="month").filter(measure=measure, late="status")
        yield measure, charts.rates_parts(rows, **month)["datasets"]
    again = retention.cohorts(seen, **until, brackets=((1, 45),))
    yield "second visit", charts.second_visit_parts(again, **month)["datasets"]
    yield "rebooked", charts.rebooked_parts(volume.rebooked(seen, **until), **month)["datasets"]
    notes = pl.DataFrame(schema={"appointment_id": pl.String, "signings": pl.List(pl.Struct({"signed_at": UTC}))})
    notes = notes.with_columns(filled_at=pl.lit(None, UTC))
    yield "notes signed", charts.notes_parts(forms.notes(seen, notes, **until, by=[]), **at)["datasets"]
    done = pl.DataFrame({"client_id": ["ada"], "form_id": ["f"], "is_finished": [True], "filled_at": [None]})
    done = done.with_columns(pl.col("filled_at").cast(UTC))
    before = forms.before_first_visit(seen, done, pl.DataFrame({"form_id": ["f"], "role": ["consent"]}), **until)
    yield "forms before first visit", charts.before_first_visit_parts(before, **month)["datasets"]
    for every in get_args(Every):
        for unit in get_args(volume.Unit):
            rows, name = volume.counts(seen, **until, every=every, unit=unit), unit.removeprefix("client ")
            yield f"{name} per {every}", charts.counts_parts(rows, every=every, **at)["datasets"]
            if every == "month":
                per_day = charts.counts_parts(rows, every=every, per_working_day=True, **at)
                yield f"{name} per working day", per_day["datasets"]
        flow = charts.flow_parts(retention.flow(seen, **until, every=every), every=every, **at)
        yield f"clients seen per {every}", flow["datasets"]
    yield "clients under care", charts.panel_parts(volume.panel(seen, **until), **month)["datasets"]


def test_annotation_of_another_time_is_not_drawn() -> None:
    days = pl.DataFrame({"date": [date(2025, 12, 31), date(2026, 2, 1)], "text": ["before", "within"]})
    assert data.marked(PERIODS, "no-show", None, days)["annotations"]["text"].to_list() == ["within"]


def test_no_more_series_than_colours() -> None:
    many = pl.DataFrame({"series": list("abcdefgh"), "n": range(8, 0, -1)})
    kept = many.select(data.top(many, "series", "n"))["series"]
    assert kept.to_list() == [*"abcde", *["all others"] * 3]


def test_days_are_the_readers_own() -> None:
    """A date alone would be read as UTC: 31 December in New York."""
    shown = pl.DataFrame({"period": [date(2026, 1, 1)], "is_open": [False]}).select(*data.period("period", "month"))
    assert shown.row(0, named=True)["at"] == "2026-01-01T00:00:00"


def test_saved_chart_has_no_menu_that_sends_its_data_away() -> None:
    """As Altair itself writes it, to a file of its own: the page says nothing of a menu, so the chart's word holds."""
    made = {one.name: one.chart() for one in CHARTS}
    assert all(chart.usermeta["embedOptions"]["actions"] is False for chart in made.values())
    for name in ("cohorts", "rates"):
        page = made[name].to_html(fullhtml=False)
        assert re.search(r'"usermeta": \{"embedOptions": \{"actions": false', page)
        assert "actions" not in re.findall(r"embedOpt = (\{.*?\});", page)[0]


def test_shares_of_bars_have_their_interval_drawn_along_them() -> None:
    """As a line in the bars' own unit: the bounds of the share, times what it is a share of."""
    made = {one.name: one.chart().to_dict(validate=False) for one in CHARTS}
    for name, rows in {"funnel": "rows", "states": "ends", "requests": "ends", "cancellations": "ends"}.items():
        (line,) = (layer for layer in made[name]["layer"] if layer["encoding"].get("x2", {}).get("field") == "most")
        assert (line["mark"]["type"], line["encoding"]["x"]["field"]) == ("rule", "least")
        assert line.get("data", made[name].get("data"))["name"] == rows
    standing = next(one for one in CHARTS if one.name == "states").rows
    total = standing["clients"].sum()
    ends = pl.DataFrame(made["states"]["datasets"]["ends"])
    assert ends["least"].to_list() == pytest.approx((standing["low"] * total).to_list(), abs=0.01)
    assert ends["most"].to_list() == pytest.approx((standing["high"] * total).to_list(), abs=0.01)


@pytest.mark.parametrize("name", ["unmarked", "open_notes"])
def test_bars_that_still_settle_are_hatched(name: str) -> None:
    (spec,) = (one.chart().to_dict(validate=False) for one in CHARTS if one.name == name)
    hatched = [layer for layer in spec["layer"] if layer["mark"].get("fill") == marks.HATCH]
    assert [layer["encoding"]["opacity"]["condition"]["test"] for layer in hatched] == ["datum.is_open"]
    ages = {(row["series"], row["is_open"]) for row in spec["datasets"]["rows"]}
    assert all(is_open is (age == {"unmarked": "0-2 days", "open_notes": YOUNG}[name]) for age, is_open in ages)


def test_visits_that_may_still_be_marked_are_hatched_and_said_to_be() -> None:
    rows = example({"ada": ["2026-06-29", "2026-06-01"]}).with_columns(status=pl.lit("unrecorded"))
    made = charts.unmarked_parts(volume.unmarked(rows, as_of="2026-06-30"), synthetic=False)
    ages = {row["series"]: row["is_open"] for row in made["datasets"]["rows"]}
    assert ages == {"0-2 days": True, "8-30 days": False}
    assert "Hatched: may still be on somebody's desk" in made["title"]["subtitle"]


ROBUST = {"rates", "rebooked", "lead", "heat"}  # of visits, several of one client
CURVES = {"survival", "time_to_complete"}


def test_interval_is_named_by_its_kind() -> None:
    told = {}
    for one in CHARTS:
        said = re.findall(r"""'field': 'interval'.*?'title': '(.+?)'""", str(one.chart().to_dict(validate=False)))
        told[one.name] = {*said}
    expected = {
        name: {marks.BY_CLIENT} if name in ROBUST else {"95 % interval (log-log)"} if name in CURVES else {marks.WILSON}
        for name, kinds in told.items()
        if kinds
    }
    assert {name: kinds for name, kinds in told.items() if kinds} == expected
    assert {*expected} > ROBUST | CURVES


def test_nobody_who_reads_a_chart_is_sent_elsewhere() -> None:
    assert display.finished(alt.Chart().mark_point().to_dict())["usermeta"]["embedOptions"]["actions"] is False
