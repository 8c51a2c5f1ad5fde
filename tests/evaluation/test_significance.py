"""Intervals and tests: hand-worked values, coverage by simulation, and what must not happen."""

import numpy as np
import pytest
from scipy import stats

from retrieval.errors import UserError
from retrieval.evaluation import compare, evaluate
from retrieval.evaluation.statistics import (
    bootstrap_means,
    bootstrap_p,
    class_sums,
    holm,
    mcnemar,
    mean_interval,
    paired_p,
    percentile_interval,
    resamples,
    welch_p,
)


def test_class_sums_by_hand():
    sums, size = class_sums(np.array([[1.0], [2], [4], [8]]), np.array([7, 3, 7, 3]))
    assert sums.tolist() == [[10], [5]]
    assert size.tolist() == [2, 2]


def test_two_classes_resample_to_three_possible_means():
    """One class all right, one all wrong, sizes 3 and 1: draws are 1, 0 or 3/4."""
    values = np.array([[1.0], [1], [1], [0]])
    draws = bootstrap_means(values, np.array([0, 0, 0, 1]), 4000)[:, 0]
    means, counts = np.unique(draws, return_counts=True)
    assert means.tolist() == [0, 0.75, 1]
    np.testing.assert_allclose(counts / 4000, [1 / 4, 1 / 2, 1 / 4], atol=0.03)


def test_bootstrap_of_single_query_classes_is_the_plain_bootstrap():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((400, 1))
    draws = bootstrap_means(values, np.arange(400), 4000)
    assert draws.std() == pytest.approx(values.std() / 20, rel=0.05)


def test_interval_covers_the_truth_where_queries_of_a_class_agree():
    """Class effects: the class bootstrap covers about 95%, one that ignores classes far less."""
    rng = np.random.default_rng(1)
    classes = np.repeat(np.arange(60), 8)
    covered = np.zeros(2)
    for seed in range(200):
        rate = rng.beta(1, 1, 60)[classes]
        right = (rng.random(480) < rate).astype(float)[:, None]
        for which, groups in enumerate((classes, np.arange(480))):
            low, high = percentile_interval(bootstrap_means(right, groups, 300, seed))
            covered[which] += low[0] <= 0.5 <= high[0]
    assert covered[0] / 200 > 0.89
    assert covered[1] / 200 < 0.75


def test_mcnemar_is_the_exact_binomial_test():
    assert mcnemar(0, 0) == 1
    assert mcnemar(1, 0) == 1
    assert mcnemar(0, 6) == pytest.approx(2 / 64)
    assert mcnemar(8, 2) == mcnemar(2, 8) == pytest.approx(112 / 1024)


def test_holm_by_hand():
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm(np.array([0.6, np.nan, 0.5])), [1, np.nan, 1])
    assert holm(np.array([])).shape == (0,)


def test_t_interval_over_seeds():
    values = np.array([0.70, 0.72, 0.74, 0.71])
    expected = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    np.testing.assert_allclose(mean_interval(values), expected)
    assert np.isnan(mean_interval(values[:1])).all()


def test_p_value_is_never_zero_and_at_most_one():
    assert bootstrap_p(np.ones(999)) == pytest.approx(2 / 1000)
    assert bootstrap_p(np.zeros(999)) == 1


def test_below_its_resolution_the_bootstrap_gives_way_to_student_s_t():
    errors, freedom = np.array([0.01, 0, 0]), np.array([49, 0, 0])
    expected = 2 * stats.t.sf(6, 49)
    assert welch_p(-0.06, errors, freedom, 50) == pytest.approx(expected)
    assert paired_p(np.full(999, 0.06), 0.06, errors, freedom, 50) == pytest.approx(expected)
    one_beyond = np.r_[np.full(998, 0.06), -0.01]
    assert paired_p(one_beyond, 0.06, errors, freedom, 50) == bootstrap_p(one_beyond)
    # A wide t never makes a p-value that resamples have shown to be small any larger.
    assert paired_p(np.full(999, 0.06), 0.01, errors, freedom, 50) == pytest.approx(2 / 1000)


def test_the_tail_pools_classes_and_seeds_as_welch_s_test_does():
    rng = np.random.default_rng(7)
    a, b = rng.normal(0, 1, 4), rng.normal(9, 2, 5)
    errors = np.array([0, a.std(ddof=1) / 2, b.std(ddof=1) / np.sqrt(5)])
    found = welch_p(a.mean() - b.mean(), errors, np.array([39, 3, 4]), 40)
    assert found == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue)


def test_few_classes_cannot_show_more_than_their_signs():
    assert welch_p(1, np.zeros(3), np.array([3, 0, 0]), 4) == 1 / 8
    assert welch_p(1, np.array([1e-9, 0, 0]), np.array([4999, 0, 0]), 5000) > 0


@pytest.mark.parametrize(("n_classes", "n_runs"), [(100, 11), (5000, 8), (100, 25)])
def test_large_differences_stay_significant_however_many_pairs(n_classes, n_runs):
    rng = np.random.default_rng(8)
    classes = np.repeat(np.arange(n_classes), 12)
    rates = np.linspace(0.3, 0.8, n_runs)
    runs = {str(i): (rng.random(len(classes)) < r).astype(float) for i, r in enumerate(rates)}
    runs["twin"] = (rng.random(len(classes)) < rates[0]).astype(float)
    pairs = compare(runs, classes).pairs
    gap = np.abs(pairs["difference"])
    assert pairs["significant"][gap > 0.15].all()
    assert not pairs["significant"][gap < 0.005].any()


def test_seeds_that_scatter_make_no_lead_significant_below_the_resolution():
    """Eleven losses, two seeds each: their spread, known to one degree of freedom, decides."""
    rng = np.random.default_rng(9)
    classes = np.repeat(np.arange(200), 5)
    runs = {
        str(i): np.stack([rng.random(1000) < rate + shift for shift in (-0.1, 0.1)]).astype(float)
        for i, rate in enumerate(np.linspace(0.3, 0.7, 11))
    }
    assert not compare(runs, classes).pairs["significant"].any()


def test_resamples_grow_with_the_pairs_within_a_bound_on_time():
    assert resamples(1, 81) == 2000
    assert resamples(10, 81) == 8000
    assert resamples(300, 81) == 10_000
    assert resamples(55, 5000) == 1000
    assert resamples(55, 60_000) == 1000


def test_better_run_wins_and_a_copy_ties():
    rng = np.random.default_rng(2)
    classes = np.repeat(np.arange(100), 5)
    good = (rng.random(500) < 0.9).astype(float)
    bad = good * (rng.random(500) < 0.8)
    table = compare({"bad": bad, "good": good, "copy": good.copy()}, classes)
    assert table.summary["name"].tolist() == ["good", "copy", "bad"]
    assert table.summary["best_group"].tolist() == [True, True, False]
    pairs = table.pairs.set_index(["a", "b"])
    same = pairs.loc[("good", "copy")]
    assert (same["difference"], same["wins"], same["ties"], same["p"]) == (0, 0, 500, 1)
    assert same["p_mcnemar"] == 1
    real = pairs.loc[("good", "bad")]
    assert real["significant"]
    assert real["losses"] == 0
    assert real["wins"] == int((good > bad).sum())
    assert real["low"] < good.mean() - bad.mean() < real["high"]
    assert real["low"] > 0
    assert "500 queries of 100 classes" in str(table)


def test_false_alarms_are_rare_among_equal_runs():
    """Six equally good runs, 15 pairs: Holm keeps the share of tables with any alarm near 5%."""
    rng = np.random.default_rng(3)
    classes = np.repeat(np.arange(80), 4)
    alarms = 0
    for repeat in range(60):
        runs = {str(i): (rng.random(320) < 0.7).astype(float) for i in range(6)}
        alarms += compare(runs, classes, n_samples=400, seed=repeat).pairs["significant"].any()
    assert alarms <= 9  # P(more | 5%) < 0.2%


def test_seeds_widen_the_interval():
    rng = np.random.default_rng(4)
    classes = np.repeat(np.arange(200), 5)
    base = rng.random(1000)
    steady = np.stack([(base < 0.7)] * 3).astype(float)
    shaky = np.stack([(base < 0.7 + shift) for shift in (-0.1, 0, 0.1)]).astype(float)
    table = compare({"steady": steady, "shaky": shaky}, classes).summary.set_index("name")
    width = table["high"] - table["low"]
    assert width["shaky"] > 2 * width["steady"]
    assert table.loc["steady", "seeds"] == 3
    assert table.loc["steady", "seed_low"] == table.loc["steady", "seed_high"]


def test_any_per_query_metric_of_results():
    rng = np.random.default_rng(5)
    labels = np.repeat(np.arange(30), 6)
    x = rng.standard_normal((30, 8))[labels] + 0.5 * rng.standard_normal((180, 8))
    quiet = {"kmeans": "none", "n_bootstrap": 0}
    good, bad = evaluate(x, labels, **quiet), evaluate(x[:, :2], labels, **quiet)
    table = compare({"all": good, "two": [bad, bad]}, metric="map@r")
    assert table.summary["mean"].tolist() == pytest.approx(
        [good.metrics["map@r"], bad.metrics["map@r"]]
    )
    assert table.pairs["significant"].all()
    with pytest.raises(UserError, match=r"all: no per-query metric 'nmi'.*recall@1"):
        compare({"all": good}, metric="nmi")


def test_results_of_other_queries_or_another_protocol_are_not_compared():
    x, labels = np.random.default_rng(5).standard_normal((12, 3)), np.repeat(np.arange(4), 3)
    quiet = {"kmeans": "none", "n_bootstrap": 0}
    first = evaluate(x, labels, **quiet)
    compare({"a": first, "b": evaluate(x[:, :2], labels, kmeans="none", n_bootstrap=9, seed=3)})
    other = evaluate(x, labels, distance="euclidean", **quiet)
    with pytest.raises(UserError, match="b: distance is euclidean"):
        compare({"a": first, "b": [first, other]})
    zero = evaluate(x, labels, no_positive="zero", **quiet)
    with pytest.raises(UserError, match="b: no_positive is zero"):
        compare({"a": first, "b": zero})
    halves = [np.where((np.arange(12) % 3 == which), "query", "gallery") for which in (0, 1)]
    one, two = (evaluate(x, labels, roles, **quiet) for roles in halves)
    assert one.labels.tolist() == two.labels.tolist()
    with pytest.raises(UserError, match="b: its queries are other items"):
        compare({"a": one, "b": two})


@pytest.mark.parametrize(
    ("results", "classes", "message"),
    [
        ({}, None, "nothing to compare"),
        ({"a": np.zeros(3)}, None, "classes are needed"),
        ({"a": np.zeros(3)}, np.zeros(4), "a: scores of 3 queries, but classes of 4"),
        ({"a": np.full(3, np.nan)}, np.zeros(3), "no query counts"),
    ],
)
def test_bad_input(results, classes, message):
    with pytest.raises(UserError, match=message):
        compare(results, classes)


def test_interval_of_a_result_holds_its_value():
    rng = np.random.default_rng(6)
    labels = np.repeat(np.arange(40), 5)
    x = rng.standard_normal((40, 8))[labels] + 0.9 * rng.standard_normal((200, 8))
    result = evaluate(x, labels)
    for name, (low, high) in result.intervals.items():
        assert low <= result.metrics[name] <= high, name
    assert set(result.intervals) >= {"recall@1", "map@r", "r_precision", "nmi"}
