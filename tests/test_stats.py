import warnings

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from scipy.stats import binom
from statsmodels.duration.survfunc import SurvfuncRight
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.proportion import proportion_confint

from healthie_nb.stats import clustered, funnel_limits, kaplan_meier, logrank, median, wilson

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from lifelines import KaplanMeierFitter
    from lifelines.datasets import load_lung, load_waltons
    from lifelines.utils import median_survival_times


def spells_of(days: list[int], ended: list[bool]) -> pl.DataFrame:
    return pl.DataFrame({"days": days, "ended": ended}, schema={"days": pl.Int64, "ended": pl.Boolean})


def lung() -> pl.DataFrame:
    rows = load_lung()
    return pl.DataFrame(
        {"days": rows["time"].to_numpy(), "ended": rows["status"].to_numpy() == 1, "sex": rows["sex"].to_numpy()}
    )


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_newcombes_table(hits: int, of: int, low: float, high: float) -> None:
    bounds = pl.DataFrame({"k": [hits], "n": [of]}).select(low=wilson("k", "n")[0], high=wilson("k", "n")[1])
    assert bounds.select(pl.all().round(4)).row(0) == (low, high)


@settings(deadline=None)
@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_agrees_with_statsmodels(counts: tuple[int, int]) -> None:
    low, high = wilson("k", "n")
    row = pl.DataFrame([counts], schema=["k", "n"], orient="row").select(low=low, high=high).row(0)
    assert row == pytest.approx(proportion_confint(*counts, method="wilson"), abs=1e-12)


def test_wilson_of_nothing_is_null() -> None:
    low, high = wilson("k", "n")
    nothing = pl.DataFrame({"k": [0, None], "n": [0, None]}, schema={"k": pl.Int64, "n": pl.Int64})
    assert nothing.select(low=low, high=high).rows() == [(None, None), (None, None)]


def test_survival_gives_the_published_medians_of_lung() -> None:
    rows = lung()
    for sex, published in ((1, 270), (2, 426)):
        assert median(kaplan_meier(rows.filter(sex=sex)))["median"].item() == published


def test_logrank_gives_the_published_values() -> None:
    assert logrank(lung(), group="sex").row(0) == pytest.approx((10.3267, 0.00131116), rel=1e-5)
    rows = load_waltons()
    waltons = pl.DataFrame(
        {"days": rows["T"].to_numpy(), "ended": rows["E"].to_numpy() == 1, "group": list(rows["group"])}
    )
    answer = logrank(waltons, group="group").row(0, named=True)
    assert answer["chi_square"] == pytest.approx(122.249, abs=5e-4)
    assert answer["p_value"] == pytest.approx(2.0e-28, rel=0.03)


def test_logrank_of_three_groups_is_refused() -> None:
    three = spells_of([1, 2, 3], [True] * 3).with_columns(group=pl.Series(["a", "b", "c"]))
    with pytest.raises(ValueError, match="group has 3 values; the log-rank test here compares two"):
        logrank(three, group="group")


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 15), st.booleans()), min_size=1, max_size=40))
def test_survival_agrees_with_lifelines(pairs: list[tuple[int, bool]]) -> None:
    days, ended = map(list, zip(*pairs, strict=True))
    ours = kaplan_meier(spells_of(days, ended))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = KaplanMeierFitter().fit(days, ended)
    at = ours["day"].to_list()
    assert ours["survival"].to_list() == pytest.approx(list(theirs.survival_function_at_times(at)), abs=1e-12)
    table = theirs.event_table.loc[at]
    assert ours["at_risk"].to_list()[1:] == list(table["at_risk"])[1:]
    assert (ours["events"].to_list(), ours["censored"].to_list()) == (list(table["observed"]), list(table["censored"]))
    inside = ours.filter((pl.col("survival") > 0) & (pl.col("survival") < 1))
    bounds = theirs.confidence_interval_.loc[inside["day"].to_list()].to_numpy()
    assert inside.select("low", "high").to_numpy() == pytest.approx(bounds, abs=1e-9)
    assert (
        ours.filter((pl.col("survival") == 0) | (pl.col("survival") == 1))["low"].null_count()
        == ours.height - inside.height
    )


def statsmodels_errors(spells: pl.DataFrame) -> pl.DataFrame:
    """Day of each event and Greenwood's standard error from then on, null once nobody is left."""
    with np.errstate(all="ignore"):
        curve = SurvfuncRight(spells["days"].to_numpy(), spells["ended"].cast(pl.Int64).to_numpy())
    errors = pl.DataFrame({"day": curve.surv_times, "se": curve.surv_prob_se})
    return errors.cast({"day": pl.Int64, "se": pl.Float64}).fill_nan(None)


def test_standard_error_on_lung_is_statsmodels() -> None:
    ours = kaplan_meier(lung()).filter(pl.col("events") > 0).select("day", "se")
    assert ours.height == 139  # distinct days of death
    assert_frame_equal(ours, statsmodels_errors(lung()), abs_tol=1e-12)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 15), st.booleans()), min_size=1, max_size=40))
def test_standard_error_agrees_with_statsmodels(pairs: list[tuple[int, bool]]) -> None:
    days, ended = map(list, zip(*pairs, strict=True))
    theirs = statsmodels_errors(spells_of(days, ended))
    # Before the first event, and on days on which somebody is only censored, it is as it was.
    start = pl.DataFrame({"day": [-1], "se": [0.0]})
    ours = kaplan_meier(spells_of(days, ended)).select("day", "se")
    assert_frame_equal(ours, ours.select("day").join_asof(pl.concat([start, theirs]), on="day"), abs_tol=1e-12)


def test_interval_of_the_median_is_lifelines_log_log() -> None:
    rows = lung()
    fitted = KaplanMeierFitter().fit(rows["days"].to_numpy(), rows["ended"].to_numpy())
    bounds = median_survival_times(fitted.confidence_interval_).to_numpy().ravel()
    ours = median(kaplan_meier(rows)).row(0, named=True)
    assert [ours["low"], ours["high"]] == list(bounds)
    assert ours["interval"] == "log-log 95 %"


def test_survival_of_nobody_is_empty_and_of_the_censored_is_one() -> None:
    assert kaplan_meier(spells_of([], [])).is_empty()
    curve = kaplan_meier(spells_of([3, 5], [False, False]))
    assert curve.select("day", "at_risk", "survival", "low").rows() == [
        (0, 2, 1, None),
        (3, 2, 1, None),
        (5, 1, 1, None),
    ]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 9).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=2, max_size=30))
def test_clustered_variance_is_statsmodels_sandwich(counts: list[tuple[int, int]]) -> None:
    per_client = pl.DataFrame(counts, schema=["k", "n"], orient="row")
    ours = clustered(per_client, by=[], hits="k", of="n").row(0, named=True)
    y = np.concatenate([[1.0] * k + [0.0] * (n - k) for k, n in counts])
    clusters = np.repeat(np.arange(len(counts)), [n for _, n in counts])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = OLS(y, np.ones(len(y))).fit(cov_type="cluster", cov_kwds={"groups": clusters})
    assert ours["rate"] == pytest.approx(fitted.params[0])
    assert ours["se"] == pytest.approx(fitted.bse[0], abs=1e-9)


def test_clustered_is_never_narrower_than_wilson() -> None:
    alike = pl.DataFrame({"g": ["x"] * 4, "k": [1] * 4, "n": [2] * 4})
    ours = clustered(alike, by=["g"], hits="k", of="n").row(0, named=True)
    assert (ours["low"], ours["high"]) == pytest.approx(proportion_confint(4, 8, method="wilson"))


def test_clustered_of_one_client_or_no_visits_has_no_variance() -> None:
    rows = pl.DataFrame({"g": ["none", "one"], "k": [0, 2], "n": [0, 3]})
    ours = clustered(rows, by=["g"], hits="k", of="n")
    assert ours["se"].to_list() == [None, None]
    assert ours["rate"].to_list() == [None, pytest.approx(2 / 3)]


def covered_share(*, sigma: float, use_clusters: bool) -> float:
    """Share of 200 seeded practices whose interval holds the probability they were made with."""
    held = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        n = rng.integers(1, 12, 150)
        a, b = 0.15 / sigma, 0.85 / sigma
        k = rng.binomial(n, rng.beta(a, b, 150))
        row = clustered(pl.DataFrame({"k": k, "n": n}), by=[], hits="k", of="n")
        if not use_clusters:
            low, high = wilson("k", "n")
            row = row.with_columns(low=low, high=high)
        held += row.select((pl.col("low") <= 0.15) & (pl.col("high") >= 0.15)).item()
    return held / 200


def test_clustered_interval_holds_the_truth_about_95_times_in_100(record_property: pytest.FixtureRequest) -> None:
    share = covered_share(sigma=0.5, use_clusters=True)
    record_property("covered", share)  # type: ignore[operator]
    assert 0.92 <= share <= 0.985
    assert covered_share(sigma=0.5, use_clusters=False) < 0.85


@pytest.mark.parametrize("n", [1, 7, 40, 900])
@pytest.mark.parametrize("rate", [0.02, 0.15, 0.6])
def test_funnel_limits_bracket_the_exact_binomial_tails(n: int, rate: float) -> None:
    limits = funnel_limits(pl.Series([n]), rate=rate).row(0, named=True)
    assert 0 <= limits["low_998"] <= limits["low_95"] <= limits["high_95"] <= limits["high_998"] <= 1
    assert binom.cdf(np.ceil(limits["low_95"] * n - 1e-9) - 1, n, rate) <= 0.025 + 1e-9
    assert binom.sf(np.floor(limits["high_95"] * n + 1e-9), n, rate) <= 0.025 + 1e-9
