"""No loss makes a tensor larger than O(B^2): the size of every tensor of a real run is checked."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import op_callbacks

from retrieval.losses import LOSSES
from retrieval.losses.mined_triplet import MINERS
from tests.losses.helpers import built, value_and_gradients

BATCH, SIZE = 64, 32
VARIANTS = [
    *((name, {"bins": 50} if name == "histogram" else {}) for name in LOSSES),
    ("hard_triplet", {"distance": "cityblock"}),
    ("hard_triplet", {"distance": "cosine"}),
    ("semi_hard_triplet", {"margin": "soft"}),
    *(("mined_triplet", {"miner": miner}) for miner in MINERS),
    ("mined_triplet", {"miner": "semi_hard", "distance": "cityblock"}),
    ("contrastive_loss", {"pairs": "all"}),
    ("angular_loss", {"form": "log_sum"}),
]


@contextlib.contextmanager
def tensor_sizes():
    """Collect the number of elements of every tensor that an operation returns."""
    sizes = {}

    def look(op_type, inputs, attrs, outputs, op_name=None, graph=None):
        for tensor in outputs:
            if tf.is_tensor(tensor) and tensor.shape.is_fully_defined():
                size = tensor.shape.num_elements()
                sizes[size] = op_type

    op_callbacks.add_op_callback(look)
    try:
        yield sizes
    finally:
        op_callbacks.remove_op_callback(look)


@pytest.mark.parametrize("classes", [2, 32])
@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=[f"{n}{o or ''}" for n, o in VARIANTS])
def test_no_tensor_exceeds_the_square_of_the_batch(name, options, classes):
    # Two classes make B^2 / 2 positive pairs: a tensor per pair and dimension would show.
    labels = np.repeat(np.arange(classes), BATCH // classes)
    x = np.random.default_rng(0).normal(size=(BATCH, SIZE)).astype(np.float32)
    loss = built(name, num_classes=2 if name == "soft_triple" else 32, size=SIZE, **options)
    if name == "soft_triple":
        labels = np.minimum(labels, 1)
    with tensor_sizes() as sizes:
        value_and_gradients(loss, labels, x)
    largest = max(sizes)
    # Lists of pairs hold two int64 indices per pair; (B, B, D) would be 32 B^2.
    assert largest <= 2 * BATCH**2, f"{sizes[largest]} made {largest / BATCH**2:.1f} B^2 elements"


def test_the_check_finds_a_tensor_that_is_too_large():
    x = tf.zeros([BATCH, SIZE])
    with tensor_sizes() as sizes:
        tf.reduce_sum(tf.abs(x[:, None] - x[None]), axis=2)
    assert max(sizes) == BATCH * BATCH * SIZE
