"""Values worked out by hand in the papers' reference implementations and elsewhere."""

import numpy as np
import pytest
import tensorflow as tf

from retrieval.losses import get_loss
from retrieval.losses.npairs_loss import weighted_cross_entropy
from retrieval.losses.ops.pairs import mean_over

CORNERS = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]], np.float32)


def test_npairs_of_the_four_corners():
    # log(1 + 2 exp(-2) + exp(-4)) for each anchor.
    loss = get_loss("npairs_loss", regularizer=0.0)
    assert float(loss(np.repeat(np.arange(4), 2), np.repeat(CORNERS, 2, axis=0))) == pytest.approx(
        0.253856, abs=1e-6
    )


def test_npairs_regularizer_of_the_four_corners():
    # 0.25 * 0.002 * (2 + 2) more.
    loss = get_loss("npairs_loss")
    value = loss(np.repeat(np.arange(4), 2), np.repeat(CORNERS, 2, axis=0))
    assert float(value) == pytest.approx(0.253856 + 0.002, abs=1e-6)


def test_cross_entropy_with_several_labels_per_row():
    targets = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 1]], np.float32)
    # TensorFlow Addons normalizes the label products: rows [2,1,0,0]/3, [1,2,1,0]/4, ...
    weights = targets @ targets.T
    weights /= weights.sum(axis=1, keepdims=True)
    losses = weighted_cross_entropy(tf.constant(CORNERS @ CORNERS.T), tf.constant(weights))
    assert float(tf.reduce_mean(losses)) == pytest.approx(1.420522, abs=1e-6)


@pytest.mark.parametrize(("margin", "wanted"), [(1.0, 0.621666), (2.0, 1.623333)])
def test_contrastive_of_given_distances(margin, wanted):
    # Pairs (0, d): labels 0 0 1 1 0 1 tell which are positive. Two negative pairs beyond the margin
    # fill the second block: they count, and cost nothing.
    distances = np.array([0.1, 0.3, 1.3, 0.7, 1.1, 0.5, 9.0, 9.0])
    same = np.array([0, 0, 1, 1, 0, 1, 0, 0])
    x = np.zeros((16, 1), np.float32)
    x[1::2, 0] = distances
    labels = np.arange(16)
    labels[1::2] = np.where(same, labels[::2], labels[1::2])
    # A block of eight pairs rows 0,1 | 4,3 | 2,5 | 6,7: undo that order.
    order = [start + k for start in (0, 8) for k in (0, 1, 4, 3, 2, 5, 6, 7)]
    loss = get_loss("contrastive_loss", margin=margin)
    value = loss(labels[np.argsort(order)], x[np.argsort(order)])
    # Up to the 1e-5 under the root.
    assert float(value) * 8 / 6 == pytest.approx(wanted, abs=5e-5)


def test_soft_triplet_with_a_gap_of_one():
    # Anchor-positive 1, anchor-negative 2 for the middle anchor: log(1 + exp(-1)) = 0.3133.
    loss = get_loss("hard_triplet", margin="soft")
    value = loss([0, 0, 1], np.array([[0.0], [1.0], [-2.0]], np.float32))
    # The other anchor has distances 1 and 3: log(1 + exp(-2)) = 0.1269.
    assert float(value) == pytest.approx((0.313262 + 0.126928) / 2, abs=1e-6)


def test_semi_hard_takes_the_closest_negative_beyond_the_positive():
    # d2(0, 1) = 4; negatives at 1, 9 and 25 from row 0 and 1, 1, 9 from row 1.
    x = np.array([[0.0], [2.0], [1.0], [3.0], [5.0]], np.float32)
    value = get_loss("semi_hard_triplet", margin=6.0)([0, 0, 1, 2, 3], x)
    # Row 0: 4 - 9 + 6 = 1. Row 1: 4 - 9 + 6 = 1.
    assert float(value) == pytest.approx(1.0)


def test_semi_hard_does_not_take_a_negative_as_close_as_the_positive():
    # d2(0, 1) = 4; negatives of row 0 at 4, 9 and 9; of row 1 at 16, 1 and 25.
    x = np.array([[0.0], [2.0], [-2.0], [3.0], [-3.0]], np.float32)
    value = get_loss("semi_hard_triplet", margin=6.0)([0, 0, 1, 2, 3], x)
    assert float(value) == pytest.approx(((4 - 9 + 6) + 0) / 2)


def test_semi_hard_falls_back_on_the_furthest_negative():
    # d2(0, 1) = 100; negatives of row 0 at 1 and 4.
    x = np.array([[0.0], [10.0], [1.0], [2.0]], np.float32)
    value = get_loss("semi_hard_triplet", margin=0.0)([0, 0, 1, 2], x)
    # Row 0: 100 - 4. Row 1: negatives at 81 and 64: 100 - 81.
    assert float(value) == pytest.approx((96 + 19) / 2)


def test_angular_of_two_pairs():
    # tan^2(45 deg) = 1: own logit 4 a.p, other 4 (a + p).p_other. Pairs on orthogonal axes.
    x = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)
    value = float(get_loss("angular_loss")([0, 0, 1, 1], x))
    assert value == pytest.approx(np.log(1 + np.exp(-4)), rel=1e-5)


def test_perfect_ranking_has_average_precision_one():
    x = np.array([[1, 0], [1, 0.01], [0, 1], [0.01, 1]], np.float32)
    labels = [0, 0, 1, 1]
    assert float(get_loss("smooth_ap")(labels, x)) == pytest.approx(0, abs=1e-6)
    assert float(get_loss("fastap")(labels, x)) == pytest.approx(0, abs=1e-6)
    assert float(get_loss("histogram")(labels, x)) == pytest.approx(0, abs=1e-6)


def test_worst_ranking():
    # Each query's positive comes last of three: precision 1/3, and every negative beats it.
    x = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]], np.float32)
    assert float(get_loss("smooth_ap")([0, 0, 1, 1], x)) == pytest.approx(2 / 3, abs=1e-3)


def test_mean_over_nothing_is_zero():
    assert float(mean_over(tf.constant([1.0, 2.0]), tf.constant([False, False]))) == 0
