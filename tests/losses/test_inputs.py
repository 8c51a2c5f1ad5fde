"""float16 embeddings: the gradient saturates at the largest float16 instead of overflowing."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from retrieval.losses import LOSSES, get_loss
from retrieval.losses.ops.inputs import read_embeddings
from tests.losses.helpers import WRAPPABLE, built, value_and_gradient

LABELS = np.repeat(np.arange(2), 4)
SIGNS = np.sign(np.random.default_rng(0).normal(size=(8, 4)))
# Of norms that float16 holds, and a few units apart.
LARGE = (6e4 * SIGNS + 32 * np.random.default_rng(1).integers(0, 3, (8, 4))).astype(np.float16)
OPTIONS = [
    *((name, {}) for name in LOSSES),
    ("angular_loss", {"form": "log_sum"}),
    ("contrastive_loss", {"pairs": "all"}),
    ("hard_triplet", {"distance": "squared_euclidean"}),
    *((name, {"cross_batch_memory": {"size": 16, "start": 0}}) for name in WRAPPABLE),
]


@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=str)
@pytest.mark.parametrize("rows", [4, 8])
def test_gradients_of_large_embeddings_are_finite(name, options, rows):
    loss = built(name, **options)
    for _ in range(2):  # the second batch meets the first in the memory
        labels, x = tf.constant(LABELS[:: 8 // rows]), tf.constant(LARGE[:rows])
        value, gradient = value_and_gradient(loss, labels, x)
    assert gradient.dtype == tf.float16
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(
    ("name", "memory"),
    [("angular_loss", None), ("semi_hard_triplet", 16), ("contrastive_loss", 16)],
)
def test_it_saturates_at_the_largest_float16_in_graphs_too(name, memory, jit_compile):
    options = {"cross_batch_memory": {"size": memory, "start": 0}} if memory else {}
    loss = built(name, **options)
    step = tf.function(value_and_gradient, autograph=False, jit_compile=jit_compile)
    labels = tf.constant([0, 0, 1, 1])
    # The second batch is not the first: a distance of 0 would decide by rounding what is mined.
    first = 6e4 * np.array([[1, 1, 1, 1], [-1, -1, -0.9, -1], [0.8, 1, 1, -1], [-1, 1, 0.9, 1]])
    batches = [tf.constant(x, tf.float16) for x in (first, 0.9 * first)]
    wide = built(name, **options)
    for x in batches:
        _, gradient = step(loss, labels, x)
        _, wanted = value_and_gradient(wide, labels, tf.cast(x, tf.float32))
    assert np.abs(wanted).max() > 65504
    wanted = np.clip(wanted, -65504, 65504)
    np.testing.assert_allclose(np.float32(gradient), wanted, rtol=2e-3, atol=1)


def test_float32_passes_through_untouched():
    x = tf.constant(LARGE, tf.float32)
    read, zero = read_embeddings(x)
    assert read is x
    assert zero == 0


@pytest.mark.parametrize("factor", [0.25, 1.0, 2.0**10])
def test_a_gradient_that_fits_is_scaled_as_any_other(factor):
    loss, x = get_loss("hard_triplet"), tf.constant(SIGNS, tf.float16)

    def scaled(labels, embeddings):
        return factor * loss(labels, embeddings)

    _, gradient = value_and_gradient(scaled, LABELS, x)
    _, wanted = value_and_gradient(scaled, LABELS, tf.cast(x, tf.float32))
    np.testing.assert_allclose(np.float32(gradient), wanted, rtol=2e-3, atol=1e-6)


def test_a_scaled_loss_that_overflows_tells_its_optimizer():
    # A saturated gradient would be taken for a good one, and the scale for small enough.
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(4, dtype="float16")])
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.1), initial_scale=2.0**24
    )
    model.compile(optimizer=optimizer, loss=get_loss("hard_triplet"), jit_compile=False)
    before = model.get_weights()
    model.train_on_batch(SIGNS, LABELS)
    assert float(optimizer.dynamic_scale) == 2.0**23
    for then, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(then, now)
