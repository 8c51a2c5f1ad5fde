"""Conv4: its layers and its preprocessing."""

import keras
import numpy as np

from retrieval.models import BACKBONES
from tests.models.helpers import run


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
