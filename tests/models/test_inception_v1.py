"""Our Inception V1 gives what TF-slim's own gives (stored by make_slim_reference.py)."""

import json

import numpy as np
import pytest
import tensorflow as tf

from retrieval.errors import UserError
from retrieval.models import build_backbone, inception_v1
from tests.models.pixels import HERE, photos
from tests.models.slim_variables import slim_variable

REFERENCE = dict(np.load(HERE / "inception_v1_reference.npz"))
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def variables():
    shapes = [tuple(json.loads(text)) for text in REFERENCE["shapes"]]
    return {
        str(name): slim_variable(str(name), shape)
        for name, shape in zip(REFERENCE["names"], shapes, strict=True)
    }


def write_single_file(path, variables):
    """The format of the published inception_v1.ckpt: one file."""
    tf.raw_ops.Save(filename=str(path), tensor_names=list(variables), data=[*variables.values()])


def write_sharded(path, variables):
    """The format of tf.train.Saver since TensorFlow 1: .index and .data."""
    tf.raw_ops.SaveV2(
        prefix=str(path),
        tensor_names=list(variables),
        shape_and_slices=[""] * len(variables),
        tensors=[*variables.values()],
    )


@pytest.mark.parametrize(("write", "size"), [(write_single_file, 128), (write_sharded, 105)])
def test_features_equal_tf_slim_s(write, size, variables, tmp_path):
    path = tmp_path / "inception_v1.ckpt"
    write(path, variables)
    backbone = build_backbone("inception_v1", size, weights=str(path))
    features = backbone.predict(photos(size).astype(np.float32), verbose=0)
    expected = REFERENCE[f"features_{size}"]
    assert expected.std() > 1
    np.testing.assert_allclose(features, expected, rtol=0, atol=TOLERANCE)


def test_every_variable_of_tf_slim_is_used(variables):
    network = inception_v1.build(64, weights=None)
    assert len(network.weights) == len(variables) == 57 * 4


class TestRefuses:
    def test_a_checkpoint_of_another_network(self, tmp_path):
        path = tmp_path / "vgg.ckpt"
        write_single_file(path, {"vgg_16/conv1/weights": np.zeros((3, 3, 3, 64), np.float32)})
        with pytest.raises(UserError, match=r"vgg\.ckpt: .*InceptionV1/Conv2d_1a_7x7/weights"):
            inception_v1.build(64, str(path))

    def test_another_shape(self, tmp_path, variables):
        path = tmp_path / "other.ckpt"
        name = "InceptionV1/Mixed_4d/Branch_1/Conv2d_0b_3x3/weights"
        write_sharded(path, variables | {name: np.zeros((3, 3, 128, 255), np.float32)})
        with pytest.raises(UserError, match=rf"{name} .*\(3, 3, 128, 255\)"):
            inception_v1.build(64, str(path))

    def test_a_file_that_is_no_checkpoint(self, tmp_path):
        path = tmp_path / "notes.ckpt"
        path.write_text("nothing to see")
        with pytest.raises(UserError, match=r"notes\.ckpt: .*checkpoint"):
            inception_v1.build(64, str(path))

    def test_a_missing_file(self, tmp_path):
        with pytest.raises(UserError, match=r"none\.ckpt: "):
            inception_v1.build(64, str(tmp_path / "none.ckpt"))

    def test_imagenet_weights_that_were_not_fetched(self, tmp_path, monkeypatch):
        monkeypatch.setenv("KERAS_HOME", str(tmp_path))
        with pytest.raises(UserError, match=r"fetch weights inception_v1.*--weights"):
            inception_v1.build(64)


def test_imagenet_weights_are_found_in_keras_cache(tmp_path, monkeypatch, variables):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    write_single_file(tmp_path / "models" / "inception_v1.ckpt", variables)
    network = inception_v1.build(64)
    np.testing.assert_array_equal(
        network.get_layer("Conv2d_1a_7x7").get_weights()[0],
        variables["InceptionV1/Conv2d_1a_7x7/weights"],
    )
