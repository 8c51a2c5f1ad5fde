"""Global pooling of a feature map."""

import numpy as np
import pytest
import tensorflow as tf

from retrieval.models.pooling import GeMPooling, pool

MAP = tf.constant([[[[1.0, 0.0]], [[2.0, 3.0]], [[3.0, 0.0]], [[6.0, 1.0]]]])  # (1, 4, 1, 2)


@pytest.mark.parametrize(("kind", "expected"), [("average", [3, 1]), ("max", [6, 3])])
def test_average_and_max(kind, expected):
    np.testing.assert_allclose(pool(MAP, kind), [expected])


def test_the_sum_of_average_and_maximum_equals_numpy():
    x = np.random.default_rng(0).normal(size=(3, 5, 4, 7)).astype(np.float32)
    expected = x.mean(axis=(1, 2)) + x.max(axis=(1, 2))
    np.testing.assert_allclose(pool(tf.constant(x), "average+max"), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(pool(MAP, "average+max"), [[3 + 6, 1 + 3]])


def test_gem_starts_as_the_cubic_mean():
    expected = [((1 + 8 + 27 + 216) / 4) ** (1 / 3), ((27 + 1) / 4) ** (1 / 3)]
    np.testing.assert_allclose(pool(MAP, "gem"), [expected], rtol=1e-5)


@pytest.mark.parametrize(("p", "expected"), [(1, [3, 1]), (80, [6, 3])])
def test_gem_goes_from_average_to_maximum(p, expected):
    np.testing.assert_allclose(GeMPooling(initial_p=p)(MAP), [expected], rtol=0.02)


def test_gem_clips_negative_activations_and_its_gradients_stay_finite():
    layer = GeMPooling()
    x = tf.constant(np.full((2, 3, 3, 4), -5.0, np.float32))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
    gradients = tape.gradient(y, [x, layer.p.value])
    np.testing.assert_allclose(y, 1e-6, rtol=1e-3)
    assert all(np.isfinite(g).all() for g in gradients)


def test_gem_learns_its_exponent():
    layer = GeMPooling()
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(layer(MAP))
    gradient = float(tape.gradient(y, layer.p.value))
    step = 1e-2
    raised, lowered = (float(tf.reduce_sum(GeMPooling(3 + s)(MAP))) for s in (step, -step))
    assert gradient == pytest.approx((raised - lowered) / (2 * step), rel=1e-2)
    assert [v.name for v in layer.trainable_variables] == ["p"]


def test_a_large_exponent_does_not_overflow():
    layer = GeMPooling(initial_p=500)
    with tf.GradientTape() as tape:
        tape.watch(MAP)
        y = layer(1000 * MAP)
    gradients = tape.gradient(y, [MAP, layer.p.value])
    np.testing.assert_allclose(y, [[6000, 3000]], rtol=0.01)
    assert all(np.isfinite(g).all() for g in gradients)


def test_gradient_is_that_of_the_definition():
    layer = GeMPooling()
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(MAP)
        ours = layer(MAP + 0.1)
        plain = tf.reduce_mean((MAP + 0.1) ** 3, axis=(1, 2)) ** (1 / 3)
    np.testing.assert_allclose(tape.gradient(ours, MAP), tape.gradient(plain, MAP), rtol=1e-4)


def test_gem_of_half_precision_activations_does_not_overflow():
    y = GeMPooling()(tf.fill((1, 2, 2, 1), tf.constant(300.0, tf.float16)))
    np.testing.assert_allclose(y, [[300]], rtol=1e-3)
