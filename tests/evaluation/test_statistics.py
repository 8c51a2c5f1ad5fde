"""Bootstrap, intervals and tests: values worked out by hand, coverage by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

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


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_the_binomial_tail(wins, losses):
    n = wins + losses
    expected = min(1, 2 * special.bdtr(min(wins, losses), n, 0.5)) if n else 1
    assert mcnemar(wins, losses) == pytest.approx(expected, rel=1e-9)


@given(st.lists(st.floats(1e-6, 1) | st.just(np.nan), max_size=8))
def test_holm_is_its_definition(values):
    """The i-th smallest of m is multiplied by m - i + 1, and none falls below a smaller one."""
    p = np.array(values, float)
    known = np.sort(p[~np.isnan(p)])
    scaled = [min(1.0, (len(known) - i) * value) for i, value in enumerate(known)]
    expected = dict(zip(known, np.maximum.accumulate(scaled), strict=True)) if len(known) else {}
    for value, corrected in zip(p, holm(p), strict=True):
        assert np.isnan(corrected) if np.isnan(value) else corrected >= expected[value] - 1e-12
    np.testing.assert_allclose(
        np.sort(holm(p)[~np.isnan(p)]), np.maximum.accumulate(scaled) if len(known) else []
    )


def test_t_interval_over_seeds():
    values = np.array([0.70, 0.72, 0.74, 0.71])
    expected = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    np.testing.assert_allclose(mean_interval(values), expected)
    assert np.isnan(mean_interval(values[:1])).all()


def test_an_interval_within_the_bounds_is_student_s():
    values = np.array([0.70, 0.72, 0.74])
    expected = stats.t.interval(0.95, 2, values.mean(), stats.sem(values))
    assert mean_interval(values, (0, 1)) == pytest.approx(expected)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_the_interval_over_seeds_stays_within_the_bounds_and_holds_the_mean(values):
    low, high = mean_interval(np.array(values), (0, 1))
    assert 0 <= low <= high <= 1
    assert low - 1e-12 <= np.mean(values) <= high + 1e-12


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


def test_resamples_grow_with_the_pairs_within_a_bound_on_time():
    assert resamples(1, 81) == 2000
    assert resamples(10, 81) == 8000
    assert resamples(300, 81) == 10_000
    assert resamples(55, 5000) == 1000
    assert resamples(55, 60_000) == 1000
