"""Every loss equals the paper's formula, and its gradient the formula's finite differences."""

import inspect

import numpy as np
import pytest
import tensorflow as tf

from retrieval.losses import LOSSES
from retrieval.losses.ops.distances import all_distances, euclidean_distances, paired_distances
from retrieval.losses.ops.pairs import pairs_within
from retrieval.validation import Distance, choices_of
from tests.losses.helpers import built, draws, value_and_gradients
from tests.losses.oracles import cases_of, oracle_of
from tests.losses.oracles.parts import MIXED, PAIRED

CLASSES, SIZE = 5, 3
CASES = [
    pytest.param(name, options, labels, id=f"{name}-{number}")
    for name in LOSSES
    if not draws(name)
    for number, (options, labels) in enumerate(cases_of(name))
]


def embeddings(labels, seed=0):
    return np.random.default_rng(seed).normal(size=(len(labels), SIZE)) * 0.8


def finite_differences(function, x, step=1e-6):
    slope = np.zeros_like(x)
    for at in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[at] += step
        down[at] -= step
        slope[at] = (function(up) - function(down)) / (2 * step)
    return slope


def assert_close(actual, wanted):
    np.testing.assert_allclose(actual, wanted, rtol=2e-3, atol=2e-4 * (1 + np.abs(wanted).max()))


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_has_an_oracle(name):
    assert callable(oracle_of(name))


@pytest.mark.parametrize(("name", "options", "labels"), CASES)
def test_value_and_gradients_are_those_of_the_oracle(name, options, labels):
    x, oracle = embeddings(labels), oracle_of(name)
    loss = built(name, CLASSES, SIZE, **options)
    own = [w.astype(np.float64) for w in loss.get_weights()]
    given = options | ({"fixed": x} if "fixed" in inspect.signature(oracle).parameters else {})

    def wanted(z, *weights):
        return oracle(labels, z, *weights, **given)

    value, gradients = value_and_gradients(loss, labels, tf.constant(x, tf.float32))
    assert value == pytest.approx(wanted(x, *own), rel=2e-4)
    slope = finite_differences(lambda z: wanted(z, *own), x)
    assert np.abs(slope).max() > 1e-3
    assert_close(gradients[0], slope)
    for at, gradient in enumerate(gradients[1:]):
        slope = finite_differences(
            lambda w, at=at: wanted(x, *own[:at], w, *own[at + 1 :]), own[at]
        )
        assert_close(gradient, slope)


def drawn_triplets(loss, x):
    """The triplets that the next call of a loss draws; an equal loss draws them in its stead."""
    twin = type(loss).from_config(loss.get_config())
    twin.build(CLASSES, SIZE)
    twin.set_weights(loss.get_weights())
    pairs = pairs_within(tf.constant(MIXED), tf.constant(x, tf.float32))
    mined = twin.mine(pairs, euclidean_distances(pairs.anchors))
    triplets = list(zip(*(np.array(t) for t in mined[:3]), strict=True))
    assert len(triplets) == 4 * 3 * 2 + 2
    assert all(MIXED[a] == MIXED[p] != MIXED[n] for a, p, n in triplets)
    return triplets


@pytest.mark.parametrize("per_class", [False, True])
def test_margin_loss_on_its_drawn_triplets(per_class):
    x = embeddings(MIXED)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    loss = built("margin_loss", CLASSES, SIZE, per_class=per_class, regularizer=0.1)
    beta = [1.0, 1.1, 1.2, 1.3, 1.4] if per_class else 1.2
    loss.set_weights([np.array(beta), *loss.get_weights()[1:]])
    triplets = drawn_triplets(loss, x)
    value, (gradient, to_beta) = value_and_gradients(loss, MIXED, tf.constant(x, tf.float32))

    def wanted(z, b=beta):
        return oracle_of("margin_loss")(MIXED, z, triplets, beta=b, regularizer=0.1)

    assert value == pytest.approx(wanted(x), rel=1e-4)
    assert_close(gradient, finite_differences(wanted, x))
    slope = finite_differences(lambda b: wanted(x, b.tolist()), np.array(beta))
    assert_close(to_beta, slope)


@pytest.mark.parametrize("distance", ["squared_euclidean", "cosine", "cityblock"])
def test_mined_triplet_on_its_drawn_triplets(distance):
    x = embeddings(MIXED)  # not of unit length: negatives are drawn by angle all the same
    options = {"distance": distance, "margin": 0.5}
    loss = built("mined_triplet", CLASSES, SIZE, miner="distance_weighted", **options)
    triplets = drawn_triplets(loss, x)
    value, (gradient,) = value_and_gradients(loss, MIXED, tf.constant(x, tf.float32))

    def wanted(z):
        return oracle_of("mined_triplet")(MIXED, z, triplets=triplets, **options)

    assert value == pytest.approx(wanted(x), rel=1e-4)
    assert_close(gradient, finite_differences(wanted, x))


def test_euclidean_distances_of_points_far_from_the_origin():
    x = embeddings(MIXED)
    wanted = np.linalg.norm(x[:, None] - x[None], axis=2)
    np.testing.assert_allclose(
        euclidean_distances(tf.constant(x + 100, tf.float32)), wanted, atol=2e-3
    )


@pytest.mark.parametrize("name", choices_of(Distance))
def test_distances_to_other_points_carry_a_gradient_both_ways(name):
    a, b = (
        tf.constant(embeddings(MIXED), tf.float32),
        tf.constant(embeddings(PAIRED, seed=1), tf.float32),
    )
    upstream = tf.constant(np.random.default_rng(2).normal(size=(11, 10)), tf.float32)
    rows, columns = np.indices((11, 10)).reshape(2, -1)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([a, b])
        value = tf.reduce_sum(upstream * all_distances(name, a, b))
        each = paired_distances(name, tf.gather(a, rows), tf.gather(b, columns))
        wanted = tf.reduce_sum(tf.reshape(upstream, [-1]) * each)
    assert_close(value, wanted.numpy())
    for point in (a, b):
        assert_close(
            tf.convert_to_tensor(tape.gradient(value, point)),
            tf.convert_to_tensor(tape.gradient(wanted, point)).numpy(),
        )
