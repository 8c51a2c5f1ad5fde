"""Shared by the loss tests: built losses, values with gradients, difficult batches."""

import numpy as np
import tensorflow as tf

from retrieval.losses import LOSSES, get_loss, takes_memory

WRAPPABLE = [name for name in LOSSES if takes_memory(name)]
OWNERS = [name for name, entry in LOSSES.items() if entry.needs_classes]


def built(name, num_classes=8, size=4, **options):
    loss = get_loss(name, **options)
    loss.build(num_classes, size)
    loss.weights_are_trained = True
    return loss


def draws(name, **options):
    """Whether a loss draws at random, so that two calls differ: it then owns a random state."""
    return bool(built(name, **options).non_trainable_variables)


def value_and_gradient(loss, labels, x):
    """The loss and its gradient to the embeddings, as tensors; can be compiled."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = loss(labels, x)
    return value, tape.gradient(value, x)


def value_and_gradients(loss, labels, x):
    """The loss and its gradients to the embeddings and the loss's own weights, as NumPy."""
    x = tf.convert_to_tensor(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = loss(labels, x)
    gradients = tape.gradient(value, [x, *loss.trainable_variables])
    return np.array(value), [np.array(tf.convert_to_tensor(g)) for g in gradients]


PAIRS = np.repeat(np.arange(4), 2)
POINTS = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
# Batches that make careless formulas overflow, divide by zero or take the root of 0.
DEGENERATE = {
    "all duplicates": (PAIRS, np.ones((8, 4))),
    "duplicates across labels": (PAIRS, np.repeat(POINTS[:4], 2, axis=0)[[0, 2, 1, 3, 4, 6, 5, 7]]),
    "duplicates within labels": (PAIRS, np.repeat(POINTS[:4], 2, axis=0)),
    "duplicates far from the origin": (PAIRS, 1000 + np.repeat(POINTS[:4], 2, axis=0)),
    "opposite points": (PAIRS, np.tile([[1, 0, 0, 0], [-1, 0, 0, 0]], (4, 1))),
    "zero vectors": (PAIRS, np.zeros((8, 4))),
    "one zero vector": (PAIRS, POINTS * (np.arange(8) != 2)[:, None]),
    "one class": (np.zeros(8, int), POINTS),
    "all singletons": (np.arange(8), POINTS),
    "one item": (PAIRS[:1], POINTS[:1]),
    "two items of one class": (PAIRS[:2], POINTS[:2]),
    "two items of two classes": (PAIRS[1:3], POINTS[1:3]),
    "three items": (PAIRS[:3], POINTS[:3]),
    "norm 1e4": (PAIRS, POINTS * 1e4),
    "norm 1e18": (PAIRS, POINTS * 1e18),
    "largest float32": (PAIRS, np.sign(POINTS) * np.finfo(np.float32).max),
    "norm 1e-10": (PAIRS, POINTS * 1e-10),
    "norm 1e-30": (PAIRS, POINTS * 1e-30),
    "huge beside tiny": (PAIRS, POINTS * np.array([1e15, 1e-15] * 4)[:, None]),
}
