"""Losses that own weights: building, training, saving, and the labels they accept."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from retrieval.errors import UserError
from retrieval.losses import LOSSES, get_loss
from tests.losses.helpers import OWNERS, built, value_and_gradients

LABELS = np.repeat(np.arange(4), 3)
POINTS = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)


@pytest.mark.parametrize("name", LOSSES)
def test_the_registry_tells_which_losses_own_weights_of_classes(name):
    assert get_loss(name).needs_sizes == LOSSES[name].needs_classes


@pytest.mark.parametrize("name", OWNERS)
def test_an_unbuilt_loss_says_how_to_build_it(name):
    with pytest.raises(UserError, match="build"):
        get_loss(name)(LABELS, POINTS)


@pytest.mark.parametrize("name", OWNERS)
def test_building_is_seeded_and_happens_once(name):
    first, second, other = built(name), built(name), built(name, seed=1)
    np.testing.assert_array_equal(first.get_weights()[0], second.get_weights()[0])
    assert not np.array_equal(first.get_weights()[0], other.get_weights()[0])
    before = first.trainable_variables
    first.build(8, 4)
    assert first.trainable_variables is before


@pytest.mark.parametrize("name", OWNERS)
def test_numbers_of_classes_may_come_from_numpy(name):
    loss = get_loss(name)
    loss.build(LABELS.max() + np.int64(1), np.int64(4))
    assert np.isfinite(loss(LABELS, POINTS))


@pytest.mark.parametrize("name", OWNERS)
def test_set_weights_restores_the_proxies(name):
    source, target = built(name), built(name, seed=1)
    target.set_weights(source.get_weights())
    assert target(LABELS, POINTS) == source(LABELS, POINTS)
    with pytest.raises(UserError, match="shapes"):
        target.set_weights([np.zeros((2, 2))])


@pytest.mark.parametrize("name", OWNERS)
def test_training_only_the_proxies_lowers_the_loss(name):
    loss = built(name)
    optimizer = keras.optimizers.Adam(1e-3 * loss.learning_rate_multiplier)
    before, _ = value_and_gradients(loss, LABELS, POINTS)
    for _ in range(5):
        _, (_, gradient) = value_and_gradients(loss, LABELS, POINTS)
        optimizer.apply([tf.constant(gradient)], loss.trainable_variables)
    after, _ = value_and_gradients(loss, LABELS, POINTS)
    assert after < before


@pytest.mark.parametrize("labels", [LABELS + 5, LABELS - 1])
def test_labels_must_be_class_indices(labels):
    loss = built("proxy_anchor", num_classes=4)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"labels 0 \.\. 3"):
        loss(labels, POINTS)
    with pytest.raises(UserError, match=r"labels 0 \.\. 3"):
        loss(LABELS.astype(str), POINTS)


def test_margin_loss_learns_its_boundary_and_redraws():
    loss = built("margin_loss")
    values = {float(loss(LABELS, POINTS)) for _ in range(8)}
    assert len(values) > 1
    state = loss.get_weights()
    ahead = [float(loss(LABELS, POINTS)) for _ in range(3)]
    loss.set_weights(state)
    assert [float(loss(LABELS, POINTS)) for _ in range(3)] == ahead


def test_margin_loss_works_unbuilt_inside_a_graph():
    loss = get_loss("margin_loss")
    assert np.isfinite(tf.function(loss)(tf.constant(LABELS), tf.constant(POINTS)))
    with pytest.raises(UserError, match="build"):
        get_loss("margin_loss", per_class=True)(LABELS, POINTS)
