"""Labels: integers, bools or strings; for losses with weights per class, indices of them."""

import numpy as np
import pytest
import tensorflow as tf

from retrieval.errors import UserError
from retrieval.losses import LOSSES
from tests.losses.helpers import OWNERS, WRAPPABLE, built, value_and_gradient

LABELS = np.repeat(np.arange(4), 3)
POINTS = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("change", [0.0, 0.5, np.nan])
def test_floats_are_refused_whatever_their_values(name, change):
    # NaN equals nothing, large floats merge, and a fraction names no class.
    with pytest.raises(UserError, match="float64"):
        built(name)(LABELS + change, POINTS)


@pytest.mark.parametrize("name", WRAPPABLE)
def test_floats_are_refused_with_a_memory_and_in_graphs(name):
    loss = built(name, cross_batch_memory={"size": 8, "start": 0})
    with pytest.raises(UserError, match="float32"):
        tf.function(loss)(tf.constant(LABELS, tf.float32), tf.constant(POINTS))
    assert np.array(loss.non_trainable_variables[-1]) == 0


@pytest.mark.parametrize("dtype", [str, bool])
def test_class_indices_are_integers(dtype):
    for loss in (*map(built, OWNERS), built("margin_loss", per_class=True)):
        with pytest.raises(UserError, match=r"labels 0 \.\. 7"):
            loss(LABELS.astype(dtype), POINTS)


@pytest.mark.parametrize("label", [-1, 4, 2**40])
def test_an_index_out_of_range_stops_the_step(label):
    labels = np.where(np.arange(12) == 5, label, LABELS)
    for name in OWNERS:
        loss = built(name, num_classes=4)
        for call in (loss, tf.function(loss)):
            with pytest.raises(tf.errors.InvalidArgumentError, match=r"labels 0 \.\. 3"):
                call(tf.constant(labels), tf.constant(POINTS))


@pytest.mark.slow
@pytest.mark.parametrize("name", [*OWNERS, "margin_loss"])
def test_an_index_out_of_range_makes_the_loss_nan_under_xla_and_moves_no_weight(name):
    loss = built(name, num_classes=4, **({"per_class": True} if name == "margin_loss" else {}))
    step = tf.function(value_and_gradient, autograph=False, jit_compile=True)
    for label in (-1, 4):
        labels = tf.constant(np.where(np.arange(12) == 5, label, LABELS))
        value, gradient = step(loss, labels, tf.constant(POINTS))
        assert np.isnan(value)
        assert (np.array(gradient) == 0).all()
