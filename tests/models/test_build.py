"""Models put together by name: a head on a backbone, files, and mistakes in one line."""

import keras
import numpy as np
import pytest

from retrieval.errors import UserError
from retrieval.models import BACKBONES, HEADS, build_backbone, build_head, build_model
from tests.models.helpers import images, run
from tests.models.pixels import photos


def test_the_default_image_size_is_the_registry_s():
    assert build_backbone("conv4").input_shape == (None, 64, 64, 3)
    assert build_model("conv4", image_size=48).input_shape == (None, 48, 48, 3)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(64, 32), "64x32"])
@pytest.mark.parametrize("name", ["conv4", "efficientnet_lite0", "inception_v1"])
def test_a_network_takes_images_of_any_height_and_width(name, size):
    network = build_model(name, image_size=size, weights="none", embedding_size=4)
    assert network.input_shape == (None, 64, 32, 3)
    factor = 16 if name == "conv4" else 32
    maps = BACKBONES[name].build((64, 32), None).output_shape
    assert maps[1:3] == (64 // factor, 32 // factor)


def test_uint8_and_float_images_embed_alike():
    model = build_model("conv4", image_size=32)
    np.testing.assert_array_equal(run(model, photos(32)), run(model, images()))


@pytest.mark.parametrize("pooling", ["average", "max", "gem"])
def test_pooling_of_a_feature_map(pooling):
    backbone = build_backbone("conv4", 64, weights=None, pooling=pooling)
    maps = keras.Model(backbone.input, backbone.layers[-2].output)
    x = run(maps, images(64)).astype(np.float64)
    expected = {
        "average": x.mean(axis=(1, 2)),
        "max": x.max(axis=(1, 2)),
        "gem": (np.maximum(x, 1e-6) ** 3).mean(axis=(1, 2)) ** (1 / 3),
    }[pooling]
    np.testing.assert_allclose(run(backbone, images(64)), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("head", HEADS)
def test_the_model_is_its_head_on_its_backbone(head):
    size = 16 if HEADS[head].linear else 256
    model = build_model("conv4", head=head, embedding_size=size, image_size=32)
    features = run(model.get_layer("backbone"), images())
    np.testing.assert_allclose(
        run(model, images()), run(model.get_layer("head"), features), rtol=1e-5, atol=1e-6
    )
    assert features.shape == (3, 256)


@pytest.mark.parametrize("head", ["direct", "fc1024_normalize"])
def test_a_head_trained_alone_on_features_plugs_into_the_model(head):
    model = build_model("conv4", head=head, embedding_size=8, image_size=32)
    features = run(model.get_layer("backbone"), images())
    alone = build_head(head, features.shape[1], 8)
    before = run(alone, features)
    alone.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
    alone.fit(features, np.ones((3, 8), np.float32), epochs=3, verbose=0)
    trained = run(alone, features)
    assert np.abs(trained - before).max() > 1e-3
    model.get_layer("head").set_weights(alone.get_weights())
    np.testing.assert_allclose(run(model, images()), trained, rtol=1e-5, atol=1e-6)


def test_embeddings_stay_float32_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = build_model("conv4", head="fc1024_normalize", image_size=32)
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.get_layer("backbone").get_layer("conv1").compute_dtype == "float16"
    embeddings = run(model, images())
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("file", ["model.keras", "model.weights.h5"])
def test_a_backbone_starts_from_the_file_of_a_whole_model(tmp_path, file):
    model = build_model("conv4", head="fc1024", pooling="gem", image_size=32)
    path = tmp_path / file
    model.save(path) if file == "model.keras" else model.save_weights(path)
    again = build_backbone("conv4", 32, weights=str(path))
    maps = model.get_layer("backbone").get_layer("relu3").output
    trained = keras.Model(model.get_layer("backbone").input, maps)
    loaded = keras.Model(again.input, again.get_layer("relu3").output)
    np.testing.assert_array_equal(run(loaded, images()), run(trained, images()))


def test_a_model_saved_to_a_file_embeds_as_before(tmp_path):
    model = build_model("conv4", head="direct_normalize", pooling="gem", image_size=32)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_array_equal(run(again, images()), run(model, images()))


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda path: build_backbone("conv5"), "did you mean 'conv4'"),
        (lambda path: build_head("direct_normalized", 4), "did you mean 'direct_normalize'"),
        (lambda path: build_model("conv4", pooling="mean"), "pooling = 'mean'"),
        (lambda path: build_backbone("conv4", weights=f"{path}/a.keras"), "no such weights file"),
        (lambda path: build_backbone("conv4", weights=__file__), "unknown format of weights"),
        (lambda path: build_backbone("inception_v3", 32, weights=None), "images of 32 px"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, mistake, message):
    with pytest.raises(UserError) as caught:
        mistake(tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["conv4", "inception_v1", "mobilenet_v1", "convnext_tiny"])
def test_saved_weights_are_those_that_were_trained(name, tmp_path):
    """One network of each kind of layers; DINOv2's are tested with it."""
    network, again = (BACKBONES[name].build(32, None) for _ in range(2))
    rng = np.random.default_rng(0)
    network.set_weights([rng.normal(size=w.shape) for w in network.get_weights()])
    network.save_weights(tmp_path / "x.weights.h5")
    again.load_weights(tmp_path / "x.weights.h5")
    for before, after in zip(network.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(after, before)
