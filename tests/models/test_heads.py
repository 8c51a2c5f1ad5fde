"""Heads: their layers, their initial weights, and the L2 normalization."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from retrieval.errors import UserError
from retrieval.models import HEADS, build_head
from retrieval.models.heads import L2Normalize
from tests.models.helpers import run

LINEAR = [name for name, head in HEADS.items() if head.linear]


@pytest.mark.parametrize("name", LINEAR)
def test_a_head_has_the_layers_of_its_name(name):
    head = build_head(name, 48, 16)
    assert head.name == "head"
    assert head.output_shape == (None, 16)
    widths = [layer.units for layer in head.layers if isinstance(layer, keras.layers.Dense)]
    assert widths == ([1024, 16] if "fc1024" in name else [16])
    assert (head.layers[-1].name == "normalize") == name.endswith("_normalize")


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize("normalize", [True, False])
def test_normalize_overrides_the_head_s_name(name, normalize):
    head = build_head(name, 48, 16, normalize=normalize)
    features = np.random.default_rng(0).normal(size=(5, 48)).astype(np.float32)
    unit = np.allclose(np.linalg.norm(run(head, features), axis=1), 1, atol=1e-5)
    assert unit == normalize


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize("size", [16, 64])
def test_the_last_layer_starts_orthogonal_and_the_hidden_one_as_in_the_baseline(name, size):
    keras.utils.set_random_seed(0)
    head = build_head(name, 48, size)
    dense = [layer for layer in head.layers if isinstance(layer, keras.layers.Dense)]
    for layer in dense:
        assert not np.any(layer.bias)
    kernel = keras.ops.convert_to_numpy(dense[-1].kernel)
    kernel = kernel if kernel.shape[0] >= kernel.shape[1] else kernel.T
    np.testing.assert_allclose(kernel.T @ kernel, np.eye(kernel.shape[1]), atol=1e-5)
    for layer in dense[:-1]:
        limit = np.sqrt(6 / sum(layer.kernel.shape))  # Xavier, uniform
        assert 0.99 * limit < np.abs(layer.kernel).max() <= limit
        norm = head.get_layer("fc_norm")
        assert (norm.momentum, norm.epsilon) == (0.9, 1e-5)


def test_without_a_layer_the_features_are_the_embedding():
    features = np.random.default_rng(0).normal(size=(5, 48)).astype(np.float32)
    head = build_head("none", 48, 48)
    assert not head.weights
    np.testing.assert_array_equal(run(head, features), features)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    normalized = build_head("none", 48, 48, normalize=True)
    np.testing.assert_allclose(run(normalized, features), unit, atol=1e-6)
    with pytest.raises(UserError, match=r"keeps the 48 dimensions .* give --embedding-size 48"):
        build_head("none", 48, 16)


def test_normalization_divides_by_the_length():
    rows = np.array([[3, 4], [0, -2], [1e-3, 0], [3e18, 4e18]], np.float32)
    expected = [[0.6, 0.8], [0, -1], [1, 0], [0.6, 0.8]]
    np.testing.assert_allclose(run(L2Normalize(), rows), expected, rtol=1e-6)


def test_a_zero_vector_stays_zero_and_its_gradient_is_finite():
    rows = tf.Variable([[0.0, 0.0, 0.0], [1e-20, 0.0, 0.0], [1.0, 2.0, 2.0]])
    with tf.GradientTape() as tape:
        unit = L2Normalize()(rows)
        loss = tf.reduce_sum(unit * [[1.0, 2.0, 3.0]])
    gradient = tape.gradient(loss, rows).numpy()
    assert unit[0].numpy().tolist() == [0, 0, 0]
    assert np.isfinite(unit).all()
    assert np.isfinite(gradient).all()
    # At (1, 2, 2)/3 the gradient of u.x/|x| is (u - (u.n) n) / |x|, worked by hand.
    n, u = np.array([1, 2, 2]) / 3, np.array([1, 2, 3])
    np.testing.assert_allclose(gradient[2], (u - (u @ n) * n) / 3, rtol=1e-5)
