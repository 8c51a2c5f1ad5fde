"""Batch norms kept as pretrained while the rest trains."""

import numpy as np
import tensorflow as tf

from retrieval.models import build_model
from retrieval.models.freezing import batch_norms, freeze_batch_norm
from tests.models.pixels import photos

IMAGES = tf.constant(photos(32), tf.float32)


def train(model):
    """One large step on any loss."""
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(IMAGES, training=True) - 1))
    for variable, gradient in zip(
        model.trainable_variables,
        tape.gradient(loss, model.trainable_variables),
        strict=True,
    ):
        variable.assign_sub(0.1 * gradient)


def test_frozen_batch_norms_stay_as_they_are_and_the_rest_trains():
    model = build_model("conv4", head="fc1024", embedding_size=8, image_size=32)
    backbone = model.get_layer("backbone")
    assert freeze_batch_norm(backbone) == 4
    norms = [w for layer in batch_norms(backbone) for w in layer.get_weights()]
    others = backbone.get_layer("conv0").get_weights()[0]
    train(model)
    for before, layer_weight in zip(
        norms, [w for layer in batch_norms(backbone) for w in layer.get_weights()], strict=True
    ):
        np.testing.assert_array_equal(before, layer_weight)
    assert not np.array_equal(backbone.get_layer("conv0").get_weights()[0], others)


def test_frozen_batch_norms_normalize_in_training_as_at_test_time():
    backbone = build_model("conv4", image_size=32).get_layer("backbone")
    at_test = backbone(IMAGES, training=False)
    assert not np.allclose(backbone(IMAGES, training=True), at_test, atol=1e-3)
    freeze_batch_norm(backbone)
    at_test = backbone(IMAGES, training=False)
    np.testing.assert_array_equal(backbone(IMAGES, training=True), at_test)


def test_the_head_s_own_batch_norm_is_found_in_the_nested_model():
    model = build_model("conv4", head="fc1024", image_size=32)
    names = {layer.name for layer in batch_norms(model)}
    assert names == {"norm0", "norm1", "norm2", "norm3", "fc_norm"}
