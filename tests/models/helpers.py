"""Shared by the model tests: photos, and a model's output as NumPy."""

import keras
import numpy as np

from tests.models.pixels import photos


def images(size=32):
    return photos(size).astype(np.float32)


def run(model, inputs):
    return keras.ops.convert_to_numpy(model(inputs, training=False))
