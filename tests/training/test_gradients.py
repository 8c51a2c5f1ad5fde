"""Gradients in chunks equal those of the whole batch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from retrieval.losses import get_loss
from retrieval.models import build_model
from retrieval.models.freezing import freeze_batch_norm
from retrieval.training.gradients import chunked_gradients
from retrieval.training.model import RankingModel

LABELS = tf.constant(np.repeat(np.arange(4), 3), tf.int32)
IMAGES = tf.constant(np.random.default_rng(0).uniform(0, 255, (12, 32, 32, 3)), tf.float32)


@pytest.fixture
def network():
    keras.utils.set_random_seed(0)
    model = build_model("conv4", image_size=32, embedding_size=16, normalize=True)
    # Statistics other than the initial 0 and 1, so that batch norms do something.
    model(IMAGES * 0.7, training=True)
    return model


def whole_batch(model, loss, images=IMAGES, labels=LABELS):
    variables = model.trainable_variables + list(getattr(loss, "trainable_variables", []))
    with tf.GradientTape() as tape:
        value = loss(labels, model(images, training=True))
    return value, tape.gradient(value, variables)


def assert_equal(step, expected):
    value, gradients = expected
    np.testing.assert_allclose(step.loss, value, rtol=1e-5)
    assert len(step.gradients) == len(gradients) > 0
    for found, wanted in zip(step.gradients, gradients, strict=True):
        scale = float(tf.reduce_max(tf.abs(wanted)))
        assert scale > 0
        np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-5 * scale)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [12, 6, 5, 1, 100])
@pytest.mark.parametrize("graph", [False, True])
def test_equal_whole_batch_gradients_with_frozen_batch_norm(network, chunk, graph):
    freeze_batch_norm(network)
    loss = get_loss("semi_hard_triplet")
    run = lambda: chunked_gradients(network, loss, IMAGES, LABELS, chunk)  # noqa: E731
    step = tf.function(run)() if graph else run()
    assert_equal(step, whole_batch(network, loss))
    np.testing.assert_allclose(step.embeddings, network(IMAGES), atol=1e-6)


def test_gradients_accumulated_over_the_losses_of_chunks_differ(network):
    """Why this module exists."""
    freeze_batch_norm(network)
    loss = get_loss("semi_hard_triplet")
    _, expected = whole_batch(network, loss)
    halves = [whole_batch(network, loss, IMAGES[i : i + 6], LABELS[i : i + 6])[1] for i in (0, 6)]
    mean = [(a + b) / 2 for a, b in zip(*halves, strict=True)]
    assert not np.allclose(mean[-1], expected[-1], rtol=0.05)


def test_gradients_of_a_loss_with_its_own_weights(network):
    freeze_batch_norm(network)
    loss = get_loss("proxy_anchor")
    loss.build(4, 16)
    assert len(loss.trainable_variables) == 1
    assert_equal(chunked_gradients(network, loss, IMAGES, LABELS, 5), whole_batch(network, loss))


def test_dropout_draws_the_same_mask_in_both_passes():
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dense(32), keras.layers.Dropout(0.5, seed=3)]
    )
    inputs = tf.random.stateless_normal((12, 8), (0, 1))
    loss = lambda labels, embeddings: tf.reduce_sum(embeddings**2)  # noqa: E731
    step = chunked_gradients(model, loss, inputs, LABELS, 4)
    # d/dW of the sum of squares of the *same* dropped embeddings.
    kept = tf.cast(step.embeddings != 0, tf.float32)
    expected = tf.transpose(inputs) @ (2 * step.embeddings * kept * 2)
    assert 0.3 < float(tf.reduce_mean(kept)) < 0.7
    np.testing.assert_allclose(step.gradients[0], expected, rtol=1e-4, atol=1e-4)


def test_moving_averages_advance_once_per_chunk(network):
    norm = network.get_layer("backbone").get_layer("norm0")
    start = norm.moving_mean.numpy()
    for rows in (slice(0, 6), slice(6, 12)):
        network(IMAGES[rows], training=True)
    expected = norm.moving_mean.numpy()
    norm.moving_mean.assign(start)
    chunked_gradients(network, get_loss("semi_hard_triplet"), IMAGES, LABELS, 6)
    assert not np.allclose(expected, start)
    np.testing.assert_allclose(norm.moving_mean, expected, rtol=1e-5, atol=1e-6)


def test_a_scaled_loss_scales_gradients_but_not_the_value(network):
    freeze_batch_norm(network)
    loss = get_loss("semi_hard_triplet")
    plain = chunked_gradients(network, loss, IMAGES, LABELS, 6)
    scaled = chunked_gradients(network, loss, IMAGES, LABELS, 6, lambda value: 1024 * value)
    np.testing.assert_allclose(scaled.loss, plain.loss)
    for a, b in zip(scaled.gradients, plain.gradients, strict=True):
        np.testing.assert_allclose(a, 1024 * b, rtol=1e-4, atol=1e-5 * float(tf.reduce_max(a)))


class WithUnused(keras.layers.Layer):
    """Flatten, and own a trainable weight that nothing depends on, as DINOv2's mask token."""

    def build(self, input_shape):
        self.unused = self.add_weight(shape=(3,), name="unused")

    def call(self, x):
        return keras.ops.reshape(x, (keras.ops.shape(x)[0], 32 * 32 * 3))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 32 * 32 * 3)


@pytest.mark.parametrize("chunk_size", [0, 6])
def test_a_weight_that_the_embeddings_do_not_depend_on_stays_as_it_is(chunk_size):
    network = keras.Sequential([keras.Input((32, 32, 3)), WithUnused(), keras.layers.Dense(4)])
    model = RankingModel(network, "semi_hard_triplet", chunk_size=chunk_size)
    model.compile(optimizer=keras.optimizers.SGD(1e-3))
    unused, kernel = network.layers[0].unused.numpy(), network.layers[1].kernel.numpy()
    model.fit(IMAGES / 255, LABELS, batch_size=12, verbose=0)
    np.testing.assert_array_equal(network.layers[0].unused.numpy(), unused)
    assert (network.layers[1].kernel.numpy() != kernel).any()
