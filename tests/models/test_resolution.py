"""The same network for images of another size."""

import numpy as np
import pytest

from retrieval.errors import UserError
from retrieval.models import build_model
from retrieval.models.resolution import at_resolution
from tests.models.pixels import photos

IMAGES = photos(64).astype(np.float32)


def test_it_is_the_network_that_would_have_been_built_at_that_size():
    model = build_model("conv4", image_size=32, embedding_size=8, pooling="gem")
    built = build_model("conv4", image_size=64, embedding_size=8, pooling="gem")
    built.set_weights(model.get_weights())
    expected = built.predict(IMAGES, verbose=0)
    np.testing.assert_allclose(
        at_resolution(model, 64).predict(IMAGES, verbose=0), expected, atol=1e-6
    )


def test_height_and_width_change_each_by_itself():
    model = build_model("conv4", image_size=(32, 16), embedding_size=8)
    built = build_model("conv4", image_size=(64, 48), embedding_size=8)
    built.set_weights(model.get_weights())
    found = at_resolution(model, "64x48").predict(IMAGES[:, :, :48], verbose=0)
    np.testing.assert_allclose(found, built.predict(IMAGES[:, :, :48], verbose=0), atol=1e-6)


def test_weights_are_shared():
    model = build_model("conv4", image_size=32)
    larger = at_resolution(model, 64)
    assert [v.path for v in larger.weights] == [v.path for v in model.weights]
    before = larger(IMAGES)
    kernel = model.get_layer("backbone").get_layer("conv0").kernel
    kernel.assign(-kernel)
    assert not np.allclose(larger(IMAGES), before, atol=1e-3)


def test_preprocessing_that_is_no_layer_comes_along():
    """ResNet50 turns RGB to BGR by an operation."""
    model = build_model("resnet50", image_size=32, weights="none", embedding_size=4)
    larger = at_resolution(model, 64)
    assert np.abs(larger(IMAGES) - larger(IMAGES[..., ::-1])).max() > 1e-4


def test_a_network_bound_to_its_image_size_is_refused():
    model = build_model("dinov2_small", image_size=28, weights="none")
    with pytest.raises(UserError, match=r"dinov2_small .*42 px.*28"):
        at_resolution(model, 42)
