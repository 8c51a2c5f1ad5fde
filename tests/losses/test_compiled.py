"""Losses compile: in graphs of a fixed batch size, and under XLA, which Keras chooses on a GPU."""

import numpy as np
import pytest
import tensorflow as tf

from retrieval.losses import LOSSES
from tests.losses.helpers import WRAPPABLE, built, draws, value_and_gradient

SIZE = 4
LABELS = np.repeat(np.arange(3), 4)
EMBEDDINGS = np.random.default_rng(0).normal(size=(len(LABELS), SIZE)).astype(np.float32)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("rows", [0, 1])
def test_a_graph_for_no_or_one_image_gives_finite_values(name, rows):
    step = tf.function(value_and_gradient, autograph=False)
    batch = tf.constant(LABELS[:rows]), tf.constant(EMBEDDINGS[:rows])
    value, gradient = step(built(name), *batch)
    assert np.isfinite(value)
    assert gradient.shape == (rows, SIZE)
    assert np.isfinite(gradient).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in WRAPPABLE if not draws(name)])
def test_a_memory_filling_up_gives_the_same_under_xla(name):
    step = tf.function(value_and_gradient, autograph=False, jit_compile=True)
    batch = tf.constant(LABELS), tf.constant(EMBEDDINGS)
    compiled, eager = (built(name, cross_batch_memory={"size": 20, "start": 1}) for _ in range(2))
    for _ in range(3):  # the queue holds 0, 12 and 20 rows
        value, gradient = step(compiled, *batch)
        wanted, wanted_gradient = value_and_gradient(eager, *batch)
        np.testing.assert_allclose(value, wanted, rtol=1e-3)
        np.testing.assert_allclose(gradient, wanted_gradient, rtol=1e-2, atol=1e-4)


@pytest.mark.slow
def test_drawing_negatives_compiles_under_xla():
    step = tf.function(value_and_gradient, autograph=False, jit_compile=True)
    loss = built("margin_loss", cross_batch_memory={"size": 20, "start": 1})
    for _ in range(2):
        value, gradient = step(loss, tf.constant(LABELS), tf.constant(EMBEDDINGS))
        assert value > 0
        assert np.isfinite(gradient).all()
