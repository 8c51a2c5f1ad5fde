"""Embedding images: in order, in batches of any size, with and without test-time views."""

import keras
import numpy as np
import pytest

from retrieval import load_catalog
from retrieval.embedding.embed import embed_features, embed_files, embed_images
from retrieval.errors import UserError
from retrieval.input_pipeline.pipeline import eval_dataset


@pytest.fixture(scope="module")
def catalog(shapes):
    return load_catalog("folder", shapes)


@pytest.fixture(scope="module")
def network():
    """Embed a 16 px image by the mean color of its left half."""
    images = keras.Input((16, 16, 3))
    left = keras.layers.Cropping2D(((0, 0), (0, 8)))(images)
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(left))


def pixels(catalog, rows):
    data = eval_dataset(catalog.absolute_paths(rows), size=16)
    return np.concatenate([np.asarray(batch, np.float32) for batch in data])


def test_images_are_embedded_in_the_order_of_the_rows(catalog, network, tiny):
    rows = catalog.split("test").iloc[::-1]
    found = embed_images(network, catalog, rows, tiny, progress=False)
    images = pixels(catalog, rows)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, images[:, :, :8].mean((1, 2)), rtol=1e-4)


@pytest.mark.parametrize("mean", ["plain", "normalized"])
def test_views_are_averaged(catalog, network, tiny, mean):
    rows = catalog.split("test")
    settings = tiny.with_(test_time="flip", test_time_mean=mean)
    found = embed_images(network, catalog, rows, settings, progress=False)
    images = pixels(catalog, rows)
    wanted = images.mean((1, 2))  # of the left halves of an image and its flip
    if mean == "normalized":
        wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(found, wanted, rtol=1e-3)


def test_an_unreadable_image_is_named(network, tiny, tmp_path):
    (tmp_path / "bad.png").write_text("no image")
    with pytest.raises(UserError, match=r"bad\.png"):
        embed_files(network, [str(tmp_path / "bad.png")], None, tiny, progress=False)


def test_features_of_more_than_one_batch_stay_in_order():
    head = keras.Sequential([keras.Input((1,)), keras.layers.Rescaling(2.0)])
    features = np.arange(5000, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(embed_features(head, features), 2 * features)
