"""The vision transformer: what keras-hub builds, at our interface."""

import builtins

import h5py
import keras
import numpy as np
import pytest
import requests
from keras_hub.models import DINOV2Backbone

from retrieval.errors import UserError
from retrieval.losses import get_loss
from retrieval.models import build_backbone, build_model
from retrieval.models.dinov2 import build
from retrieval.training.checkpoints import restore_checkpoint, save_checkpoint
from retrieval.training.model import RankingModel
from tests.models.helpers import images, run
from tests.models.pixels import photos


@pytest.fixture(scope="module")
def small_preset(tmp_path_factory):
    """A preset of the right width and two layers, saved at another image size than used."""
    folder = tmp_path_factory.mktemp("preset")
    DINOV2Backbone(
        patch_size=14,
        num_layers=2,
        hidden_dim=384,
        num_heads=6,
        intermediate_dim=64,
        position_embedding_shape=(70, 70),
        image_shape=(70, 70, 3),
    ).save_to_preset(str(folder))
    return folder


def test_features_are_the_class_token_of_the_standardized_image(small_preset):
    backbone = build_backbone("dinov2_small", 56, weights=str(small_preset))
    pixels = photos(56).astype(np.float32)
    original = DINOV2Backbone.from_preset(str(small_preset), image_shape=(56, 56, 3))
    standard = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    expected = original.predict(standard.astype(np.float32), verbose=0)[:, 0]
    features = backbone.predict(pixels, verbose=0)
    assert features.shape == (3, 384)
    np.testing.assert_allclose(features, expected, rtol=0, atol=1e-4)


def test_it_is_vit_s_14():
    network = build(28, weights=None)
    assert network.output_shape == (None, 1, 1, 384)
    # Patches; class and mask token; 37 x 37 + 1 positions; 12 blocks; the last norm.
    block = 2 * 768 + 4 * (384 * 384 + 384) + (384 * 1536 + 1536) + (1536 * 384 + 384) + 768
    whole = (14 * 14 * 3 * 384 + 384) + 2 * 384 + 1370 * 384 + 12 * block + 768
    # keras-hub also keeps the positions interpolated to this size: 2 x 2 + 1.
    assert network.count_params() - 5 * 384 == whole == 22_056_576


def trained(network):
    """Change every weight, so that none is what keras-hub would interpolate."""
    rng = np.random.default_rng(0)
    network.set_weights([w + rng.normal(0, 0.1, w.shape) for w in network.get_weights()])
    return network.get_weights()


@pytest.mark.parametrize("file", ["x.weights.h5", "x.keras"])
def test_saved_weights_are_those_that_were_trained(small_preset, tmp_path, file):
    """keras-hub would interpolate the positions to 70 px and back, and change them."""
    network = build(28, str(small_preset))
    weights = trained(network)
    if file == "x.keras":
        network.save(tmp_path / file)
        loaded = keras.saving.load_model(tmp_path / file)
    else:
        network.save_weights(tmp_path / file)
        with h5py.File(tmp_path / file) as saved:  # as in older checkpoints
            assert "dinov2_backbone" in saved["layers"]
        loaded = build(28, str(small_preset))
        loaded.load_weights(tmp_path / file)
    for before, after in zip(weights, network.get_weights(), strict=True):
        np.testing.assert_array_equal(after, before)  # saving changes nothing
    for before, after in zip(weights, loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(after, before)


def test_a_checkpoint_embeds_as_the_trained_network(small_preset, tmp_path):
    def model():
        settings = {"head": "direct", "embedding_size": 4, "image_size": 28}
        network = build_model("dinov2_small", weights=str(small_preset), **settings)
        ranking = RankingModel(network, get_loss("ntxent"))
        ranking.compile(optimizer=keras.optimizers.Adam(1e-3))
        ranking.optimizer.build(ranking.trainable_variables)
        return ranking

    first, again = model(), model()
    weights = trained(first.network)
    save_checkpoint(tmp_path, first, 3)
    assert restore_checkpoint(tmp_path, again) == 3
    for before, after in zip(weights, again.network.get_weights(), strict=True):
        np.testing.assert_array_equal(after, before)
    np.testing.assert_array_equal(run(again.network, images(28)), run(first.network, images(28)))


class TestRefuses:
    def test_a_size_that_is_no_multiple_of_the_patch(self):
        with pytest.raises(UserError, match="154"):
            build(160)

    def test_an_image_that_is_no_square(self):
        with pytest.raises(UserError, match=r"square.* such as 182 instead of 256x128"):
            build_backbone("dinov2_small", "256x128", weights="none")

    def test_a_folder_that_is_no_preset(self, tmp_path):
        with pytest.raises(UserError, match="DINOv2 preset"):
            build(28, str(tmp_path))

    def test_weights_that_cannot_be_downloaded(self, monkeypatch):
        def unreachable(*args, **options):
            raise requests.exceptions.ConnectionError("no route\nto host")

        monkeypatch.setattr(DINOV2Backbone, "from_preset", unreachable)
        with pytest.raises(UserError, match=r"fetch kaggle\.com/models/keras/dinov2") as caught:
            build(28)
        assert "\n" not in str(caught.value)

    def test_keras_hub_not_installed(self, monkeypatch):
        real = builtins.__import__

        def without(name, *args, **options):
            if name.startswith("keras_hub"):
                raise ImportError(name)
            return real(name, *args, **options)

        monkeypatch.setattr(builtins, "__import__", without)
        with pytest.raises(UserError, match=r"pip install -e '\.\[vit\]'"):
            build(28, None)
