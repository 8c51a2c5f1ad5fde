"""Variances over seeds, drawn towards their mean."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from retrieval.evaluation.bootstrap import ClassScores
from retrieval.evaluation.families import Contrasts
from retrieval.evaluation.seed_spread import moderate


def test_two_variances_by_hand():
    """They scatter less than chance makes them, so the prior has as much weight as may be.

    The prior of either has the two degrees of freedom of the other: (2 x 2.5 + 2 x 1) / 4 = 1.75.
    """
    assert moderate(np.array([1.0, 4.0]), np.array([2.0, 2.0])).variances == pytest.approx(
        [1.75, 3.25]
    )


def test_variances_that_do_not_agree_remain():
    own = np.array([1e-8, 1.0, 1e8, 1e-3, 1e4])
    found = moderate(own, np.full(5, 40.0)).variances
    assert found == pytest.approx(own, rel=0.05, abs=0.02 * own.mean())


def test_variances_of_zero_are_known():
    assert moderate(np.array([0.0, 2.0]), np.ones(2)).variances.tolist() == [0, 2]
    assert moderate(np.array([0.0, 2.0, 2.0]), np.ones(3)).variances.tolist() == [0, 2, 2]


@given(arrays(float, st.integers(1, 8), elements=st.floats(1e-6, 1e3)), st.integers(1, 9))
@settings(max_examples=50, deadline=None)
def test_they_stay_between_their_own_and_the_mean(variances, freedom):
    found = moderate(variances, np.full(len(variances), float(freedom))).variances
    mean = variances.mean()
    assert (found >= np.minimum(variances, mean) - 1e-9).all()
    assert (found <= np.maximum(variances, mean) + 1e-9).all()
    assert found.mean() == pytest.approx(mean)  # of equal degrees of freedom, each moves as far


def worlds(number: int, runs: int, seeds: int, spread: float = 0.3):
    """Draw runs without a difference; their spread over seeds is lognormal around .02."""
    rng = np.random.default_rng(0)
    classes = np.repeat(np.arange(40), 5)
    for _ in range(number):
        scale = 0.02 * np.exp(spread * rng.standard_normal((runs, 1, 1)))
        level = (
            0.5
            + 0.1 * rng.standard_normal(40)[classes]
            + scale * rng.standard_normal((runs, seeds, 1))
        )
        yield ClassScores.of(
            list(level + 0.05 * rng.standard_normal((runs, seeds, 40))[..., classes]), classes
        )


def test_all_pairs_of_eight_losses_of_three_seeds_err_in_5_of_100_worlds():
    """And their intervals are less than half as wide as from each loss's own three seeds."""
    wrong, number = 0, 150
    for scores in worlds(number, 8, 3):
        _, members = Contrasts(scores, 400).all_pairs(range(8))
        wrong += members.significant.any()
    assert wrong <= 15, f"{wrong} of {number}"  # 2.8 standard errors above 5 of 100
    assert (members.high - members.low).mean() < 0.12  # .28 from own seeds
