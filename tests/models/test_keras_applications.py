"""Networks of keras.applications: their preprocessing, and weights without a download."""

import re
import urllib.error

import keras
import numpy as np
import pytest
from keras import applications

from retrieval.errors import UserError
from retrieval.models import BACKBONES, build_backbone, keras_applications
from retrieval.models.keras_applications import PREPROCESSING
from retrieval.models.packages import PACKAGES

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype(np.float32)
FAMILIES = {
    "DenseNet169": applications.densenet,
    "ResNet50": applications.resnet,
    "ResNet101": applications.resnet,
    "ResNet50V2": applications.resnet_v2,
    "InceptionV3": applications.inception_v3,
    "Xception": applications.xception,
    "MobileNet": applications.mobilenet,
    "MobileNetV2": applications.mobilenet_v2,
    "MobileNetV3Small": applications.mobilenet_v3,
    "EfficientNetV2B0": applications.efficientnet_v2,
    "ConvNeXtTiny": applications.convnext,
}


@pytest.mark.parametrize("constructor", FAMILIES)
def test_preprocessing_is_the_family_s_own(constructor):
    images = keras.Input((8, 8, 3))
    ours = keras.Model(images, keras_applications.preprocess(images, PREPROCESSING[constructor]))
    expected = FAMILIES[constructor].preprocess_input(PIXELS.copy())
    np.testing.assert_allclose(ours(PIXELS), expected, atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        name
        for name in BACKBONES
        # The last one differs from resnet50 in its depth alone, and takes the longest to build.
        if name not in ("conv4", *PACKAGES, "dinov2_small", "resnet101")
    ],
)
def test_the_feature_map_is_as_registered(name):
    network = BACKBONES[name].build(96, None)
    assert network.input_shape == (None, 96, 96, 3)
    assert network.output_shape == (None, 3, 3, BACKBONES[name].feature_size) or (
        # These two pad less: fewer positions from so small an image.
        name in ("inception_v3", "xception")
        and network.output_shape[-1] == BACKBONES[name].feature_size
    )


def test_pixels_are_preprocessed_once():
    """0..255 in, the family's input at the first convolution."""
    backbone = build_backbone("mobilenet_v2", 32, weights="none")
    seen = keras.Model(backbone.input, backbone.get_layer("Conv1").input)
    pixels = np.random.default_rng(1).integers(0, 256, (1, 32, 32, 3)).astype(np.float32)
    expected = applications.mobilenet_v2.preprocess_input(pixels.copy())
    np.testing.assert_allclose(seen(pixels), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "weights"),  # published by Keras, without the classifiers
    [("resnet101", 42_658_176), ("mobilenet_v1", 3_228_864)],
)
def test_the_baseline_s_networks_are_of_the_published_size_at_any_shape(name, weights):
    network = BACKBONES[name].build((64, 32), None)
    assert network.input_shape == (None, 64, 32, 3)
    assert network.output_shape == (None, 2, 1, BACKBONES[name].feature_size)
    assert network.count_params() == weights


@pytest.mark.parametrize("size", [(64, 16), (16, 64)])
def test_a_side_that_is_too_small_is_refused(size):
    with pytest.raises(
        UserError, match=f"mobilenet_v1 for images of {size[0]}x{size[1]} px.*32x32"
    ):
        build_backbone("mobilenet_v1", size, weights="none")


@pytest.mark.parametrize(
    ("name", "size", "file"),
    [
        ("mobilenet_v2", 96, "MobileNetV2: .*/mobilenet_v2/mobilenet_v2_.*_96_no_top.h5"),
        ("mobilenet_v1", (256, 128), "MobileNet: .*/mobilenet/mobilenet_1_0_224_tf_no_top.h5"),
        ("resnet101", (256, 128), "ResNet101: .*/resnet/resnet101_.*_notop.h5"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_without_a_network_the_error_says_what_to_fetch_and_where_to_put_it(
    monkeypatch, tmp_path, name, size, file
):
    def unreachable(*args, **options):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", unreachable)
    monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: str(tmp_path))
    with pytest.raises(UserError) as caught:
        build_backbone(name, size)
    message = str(caught.value)
    assert "\n" not in message
    assert re.search(file, message)
    assert "https://storage.googleapis.com/tensorflow/keras-applications/" in message
    assert f"{tmp_path}/models" in message
    assert "--weights FILE" in message
