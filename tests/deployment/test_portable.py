"""The graph of an export resizes, crops and averages views as the run does, bit by bit."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from retrieval import load_embedder
from retrieval.deployment.formats import FORMATS
from retrieval.deployment.portable import Portable, graph_of, portable, resize_area, resize_bilinear
from retrieval.embedding.embed import combine_views, embed_pictures, network_of_views
from retrieval.input_pipeline.decoding import resize

SIZES = [(20, 20), (9, 40), (57, 57), (33, 17), (90, 31), (131, 77), (16, 200), (32, 32), (64, 48)]


def drawn(height, width, seed=0):
    return np.random.default_rng([seed, height, width]).integers(0, 256, (height, width, 3), "u1")


@pytest.fixture(scope="module")
def embedder(_finished):
    return load_embedder(_finished)


@pytest.mark.parametrize("new", [(16, 16), (7, 25)])
def test_resizing_gives_every_bit_of_the_kernels_of_tensorflow(new):
    for height, width in SIZES:
        image = tf.constant(drawn(height, width)[None], tf.float32)
        bilinear = tf.raw_ops.ResizeBilinear(images=image, size=new, half_pixel_centers=True)
        np.testing.assert_array_equal(resize_bilinear(image, new), bilinear)
        area = tf.raw_ops.ResizeArea(images=image, size=new)
        np.testing.assert_array_equal(resize_area(image, new), area)


def test_an_optimized_graph_moves_no_pixel_by_a_gray_level(embedder):
    graph = portable(embedder.network, embedder.settings)
    compiled = graph_of(graph.resize, "images", (None, None, None, 3), tf.uint8)
    for height, width in SIZES:
        image = drawn(height, width)
        np.testing.assert_array_equal(compiled(image[None])[0], resize(tf.constant(image), 16, 16))
    both = np.stack([drawn(50, 41, seed) for seed in (1, 2)])  # a batch is resized image by image
    one_by_one = [resize(tf.constant(image), 16, 16) for image in both]
    np.testing.assert_array_equal(compiled(both), one_by_one)


@pytest.mark.parametrize(
    "changes",
    [
        {"pre_crop": 21},
        {"test_time": "flip"},
        {"test_time": "flip+five_crop", "pre_crop": 20},
        {"test_time": "average_pool", "pre_crop": 24},
        {"test_time": "flip", "test_time_mean": "plain"},
    ],
)
@pytest.mark.filterwarnings("ignore:embedding at")
def test_crops_and_views_are_those_of_the_run(embedder, changes):
    settings = embedder.settings.with_(**changes)
    network = network_of_views(embedder.network, settings)
    images = [drawn(30, 44, seed) for seed in range(5)]
    graph = portable(network, settings, normalize=False)
    found = graph.embed_resized(graph.resize(tf.constant(np.stack(images))))

    class Here:
        map = staticmethod(map)

    expected = combine_views(embed_pictures(network, images, settings, Here()), settings)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    scaled = portable(network, settings)
    unit = scaled.embed_resized(scaled.resize(tf.constant(np.stack(images))))
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)


def test_constants_outside_of_a_graph_are_written_to_onnx(tmp_path):
    """As the numbers of the positions of keras-hub's vision transformers."""
    images = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 8)(images)
    numbers = keras.ops.arange(4)  # a tensor, not a weight
    x = keras.layers.Lambda(lambda x: keras.ops.take(x, numbers[::-1], axis=-1))(x)
    network = keras.Model(images, keras.layers.Flatten()(x))
    graph = Portable(
        network=network, size=(8, 8), loaded=(8, 8), views=(), mean="normalized", normalize=True
    )
    pixels = np.stack([drawn(8, 8, seed) for seed in range(3)])
    FORMATS["onnx"].write(graph, tmp_path / "x.onnx", "float32", pixels)
    found = FORMATS["onnx"].read(tmp_path / "x.onnx").images(pixels)
    np.testing.assert_allclose(found, graph.embed_resized(tf.cast(pixels, "float32")), atol=1e-6)


def test_the_exact_gelu_of_transformers_is_written_to_onnx(tmp_path):
    images = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, activation=lambda x: keras.ops.gelu(x, approximate=False))(images)
    network = keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))
    graph = Portable(
        network=network, size=(8, 8), loaded=(8, 8), views=(), mean="normalized", normalize=True
    )
    pixels = np.stack([drawn(8, 8, seed) for seed in range(3)])
    FORMATS["onnx"].write(graph, tmp_path / "x.onnx", "float32", pixels)
    found = FORMATS["onnx"].read(tmp_path / "x.onnx").images(pixels)
    np.testing.assert_allclose(found, graph.embed_resized(tf.cast(pixels, "float32")), atol=1e-6)
