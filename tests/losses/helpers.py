"""Shared by the loss tests: a built loss, and its value with all gradients."""

import numpy as np
import tensorflow as tf

from retrieval.losses import get_loss


def built(name, num_classes=8, size=4, **options):
    loss = get_loss(name, **options)
    loss.build(num_classes, size)
    return loss


def value_and_gradients(loss, labels, x):
    """The loss and its gradients to the embeddings and the loss's own weights, as NumPy."""
    x = tf.convert_to_tensor(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = loss(labels, x)
    gradients = tape.gradient(value, [x, *loss.trainable_variables])
    return np.array(value), [np.array(tf.convert_to_tensor(g)) for g in gradients]
