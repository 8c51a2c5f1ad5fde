"""Textbook intervals and tests: values worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from retrieval.evaluation.statistics import (
    LEAST_CLASSES,
    combined_interval,
    effective_classes,
    mcnemar,
    mean_interval,
    share_bounds,
    too_few_classes,
)


def test_mcnemar_is_the_exact_binomial_test():
    assert mcnemar(0, 0) == 1
    assert mcnemar(1, 0) == 1
    assert mcnemar(0, 6) == pytest.approx(2 / 64)
    assert mcnemar(8, 2) == mcnemar(2, 8) == pytest.approx(112 / 1024)


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_the_binomial_tail(wins, losses):
    n = wins + losses
    expected = min(1, 2 * special.bdtr(min(wins, losses), n, 0.5)) if n else 1
    assert mcnemar(wins, losses) == pytest.approx(expected, rel=1e-9)


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


def test_unequal_classes_count_as_fewer():
    assert effective_classes([7] * 12) == 12
    assert effective_classes([3, 1]) == pytest.approx(16 / 10)
    assert effective_classes([]) == 0
    assert not too_few_classes(effective_classes([3] * LEAST_CLASSES))
    assert too_few_classes(effective_classes([3] * (LEAST_CLASSES - 1)))
    assert too_few_classes(effective_classes([400] + [1] * 100))


@pytest.mark.parametrize(("successes", "n"), [(0, 40), (1, 40), (20, 40), (40, 40)])
def test_bounds_of_a_share_are_those_of_clopper_and_pearson(successes, n):
    low, high = share_bounds([successes / n], n)
    exact = stats.binomtest(successes, n).proportion_ci(0.95, "exact")
    assert (low[0], high[0]) == pytest.approx((exact.low, exact.high))


def test_seeds_widen_the_interval_of_the_runs_as_an_independent_error_does():
    assert combined_interval([0.5], [0.4], [0.7]) == (0.4, 0.7)
    low, high = combined_interval([0.5, 0.5], [0.4, 0.4], [0.7, 0.7])
    assert (low, high) == pytest.approx((0.4, 0.7))
    values = [0.50, 0.52, 0.54]
    low, high = combined_interval(values, [v - 0.03 for v in values], [v + 0.04 for v in values])
    seeds = 0.52 - mean_interval(np.array(values))[0]
    assert low == pytest.approx(0.52 - np.hypot(0.03, seeds))
    assert high == pytest.approx(0.52 + np.hypot(0.04, seeds))
    assert np.isnan(combined_interval([0.5, 0.6], [np.nan, 0.5], [np.nan, 0.7])).all()
