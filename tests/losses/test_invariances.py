"""A loss does not depend on the order of the batch, the names of the labels, or the axes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.losses import LOSSES
from tests.losses.helpers import built, draws, value_and_gradients

BATCH, SIZE = 12, 4
STEADY = [name for name in LOSSES if not draws(name)]
ANY_ORDER = [name for name in STEADY if LOSSES[name].layout == "any"]
ANY_LABELS = [name for name, e in LOSSES.items() if not e.needs_classes]

seeds = st.integers(0, 2**32 - 1)
labelings = st.lists(st.integers(0, 7), min_size=BATCH, max_size=BATCH).map(np.array)
few = settings(max_examples=8, deadline=None)


def points(seed):
    return np.random.default_rng(seed).normal(size=(BATCH, SIZE)).astype(np.float32)


def assert_same(actual, wanted):
    for a, w in zip(actual, wanted, strict=True):
        np.testing.assert_allclose(a, w, rtol=1e-3, atol=1e-3 * (1 + np.abs(w).max()))


@pytest.mark.parametrize("name", ANY_ORDER)
@few
@given(labels=labelings, seed=seeds)
def test_permuting_the_batch_permutes_the_gradient(name, labels, seed):
    x, order = points(seed), np.random.default_rng(seed).permutation(BATCH)
    value, (gradient, *_) = value_and_gradients(built(name), labels, x)
    moved, (moved_gradient, *_) = value_and_gradients(built(name), labels[order], x[order])
    assert_same([moved, moved_gradient], [value, gradient[order]])


@pytest.mark.parametrize("name", ANY_LABELS)
@few
@given(labels=labelings, seed=seeds)
def test_relabeling_changes_nothing(name, labels, seed):
    names = np.random.default_rng(seed).choice(2**62, size=8, replace=False)
    value, gradients = value_and_gradients(built(name), labels, points(seed))
    renamed, renamed_gradients = value_and_gradients(built(name), names[labels], points(seed))
    assert value == renamed
    np.testing.assert_array_equal(gradients[0], renamed_gradients[0])


@pytest.mark.parametrize("name", STEADY)
@few
@given(labels=labelings, seed=seeds)
def test_rotating_the_space_rotates_the_gradient(name, labels, seed):
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(SIZE, SIZE)))
    turn = turn.astype(np.float32)
    x, straight, turned = points(seed), built(name), built(name)
    turned.set_weights([w @ turn for w in straight.get_weights()])
    value, gradients = value_and_gradients(straight, labels, x)
    value_turned, gradients_turned = value_and_gradients(turned, labels, x @ turn)
    assert_same([value_turned, *gradients_turned], [value, *(g @ turn for g in gradients)])


@pytest.mark.parametrize("name", ["hard_triplet", "semi_hard_triplet", "lifted_loss"])
@few
@given(labels=labelings, seed=seeds)
def test_moving_all_points_changes_nothing(name, labels, seed):
    x = points(seed)
    value, gradients = value_and_gradients(built(name), labels, x)
    moved, moved_gradients = value_and_gradients(built(name), labels, x + 5)
    assert_same([moved, *moved_gradients], [value, *gradients])
