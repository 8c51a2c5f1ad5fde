"""The registry of backbones and heads, and models put together from them."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from retrieval.errors import UserError
from retrieval.models import BACKBONES, HEADS, build_backbone, build_head, build_model
from retrieval.models.heads import L2Normalize
from tests.models.pixels import photos

SMALL = {"conv4": 32, "mobilenet_v3_small": 32, "resnet50": 32}  # cheap to build


def images(size=32):
    return photos(size).astype(np.float32)


def run(model, inputs):
    return keras.ops.convert_to_numpy(model(inputs, training=False))


def test_reading_the_registries_does_not_load_tensorflow():
    code = "import sys, retrieval.models; assert not {'tensorflow', 'keras'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", SMALL)
def test_the_registry_s_feature_size_is_the_network_s(name):
    backbone = build_backbone(name, SMALL[name], weights=None)
    assert backbone.name == "backbone"
    assert backbone.output_shape == (None, BACKBONES[name].feature_size)


def test_the_default_image_size_is_the_registry_s():
    assert build_backbone("conv4").input_shape == (None, 64, 64, 3)
    assert build_model("conv4", image_size=48).input_shape == (None, 48, 48, 3)


# Conv4 and preprocessing


def test_conv4_gives_a_sixteenth_of_the_side_in_256_channels():
    network = BACKBONES["conv4"].build(64, None)
    assert network.output_shape == (None, 4, 4, 256)
    assert [layer.name for layer in network.layers if isinstance(layer, keras.layers.Conv2D)] == [
        "conv0",
        "conv1",
        "conv2",
        "conv3",
    ]


def test_conv4_s_first_layer_maps_pixels_to_minus_one_to_one():
    layer = BACKBONES["conv4"].build(64, None).get_layer("preprocessing")
    pixels = np.array([0, 127.5, 255], np.float32).reshape(1, 1, 3, 1).repeat(3, axis=-1)
    np.testing.assert_allclose(run(layer, pixels)[0, 0, :, 0], [-1, 0, 1], atol=1e-6)


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


# Heads


@pytest.mark.parametrize("name", HEADS)
def test_a_head_has_the_layers_of_its_name(name):
    head = build_head(name, 48, 16)
    assert head.name == "head"
    assert head.output_shape == (None, 16)
    widths = [layer.units for layer in head.layers if isinstance(layer, keras.layers.Dense)]
    assert widths == ([1024, 16] if "fc1024" in name else [16])
    assert (head.layers[-1].name == "normalize") == name.endswith("_normalize")


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("normalize", [True, False])
def test_normalize_overrides_the_head_s_name(name, normalize):
    head = build_head(name, 48, 16, normalize=normalize)
    features = np.random.default_rng(0).normal(size=(5, 48)).astype(np.float32)
    unit = np.allclose(np.linalg.norm(run(head, features), axis=1), 1, atol=1e-5)
    assert unit == normalize


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("size", [16, 64])
def test_dense_kernels_start_orthogonal(name, size):
    keras.utils.set_random_seed(0)
    head = build_head(name, 48, size)
    for layer in head.layers:
        if isinstance(layer, keras.layers.Dense):
            kernel = keras.ops.convert_to_numpy(layer.kernel)
            kernel = kernel if kernel.shape[0] >= kernel.shape[1] else kernel.T
            np.testing.assert_allclose(kernel.T @ kernel, np.eye(kernel.shape[1]), atol=1e-5)
            assert not np.any(layer.bias)


# Normalization


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


# Whole models


@pytest.mark.parametrize("head", HEADS)
def test_the_model_is_its_head_on_its_backbone(head):
    model = build_model("conv4", head=head, embedding_size=16, image_size=32)
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


# Files


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


# Mistakes


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda path: build_backbone("conv5"), "did you mean 'conv4'"),
        (lambda path: build_head("direct_normalize", 4), "did you mean 'direct_normalize'"),
        (lambda path: build_model("conv4", pooling="mean"), "unknown pooling 'mean'"),
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


@pytest.mark.parametrize("file", ["other.keras", "other.weights.h5"])
def test_weights_of_another_network_are_refused(tmp_path, file):
    other = build_model("mobilenet_v3_small", image_size=32, weights=None)
    path = tmp_path / file
    other.save(path) if file == "other.keras" else other.save_weights(path)
    with pytest.raises(UserError, match="does not hold the weights of conv4") as caught:
        build_backbone("conv4", 32, weights=str(path))
    assert "\n" not in str(caught.value)
