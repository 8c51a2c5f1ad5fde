"""A tiny data set and settings that train in a second or two."""

import numpy as np
import pytest
from PIL import Image

from retrieval import TrainSettings


@pytest.fixture(scope="package")
def shapes(tmp_path_factory):
    """Eight classes of six 20 px images: noise around a colour of the class."""
    root, rng = tmp_path_factory.mktemp("shapes"), np.random.default_rng(0)
    for label in range(8):
        folder = root / f"class {label}"
        folder.mkdir()
        colour = rng.integers(40, 215, 3)
        for i in range(6):
            pixels = np.clip(colour + rng.normal(scale=30, size=(20, 20, 3)), 0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
    return root


@pytest.fixture(scope="package")
def tiny(shapes):
    """Settings of a run of 24 steps with a checkpoint every 8."""
    return TrainSettings(
        dataset="folder", data=str(shapes), backbone="conv4", weights="none", image_size=16,
        embedding_size=8, classes_per_batch=3, samples_per_class=2, steps=24, eval_every=8,
        learning_rate=1e-2,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Keep features and thumbnails away from the user's cache."""
    monkeypatch.setenv("RETRIEVAL_CACHE", str(tmp_path_factory.mktemp("cache")))
