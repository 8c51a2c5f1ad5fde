"""A tiny data set and settings that train in a second or two."""

import pytest
import yaml

from retrieval import TrainSettings
from tests.photos import write_colors


@pytest.fixture(scope="package")
def shapes(tmp_path_factory):
    """Eight classes of six 20 px images: noise around a color of the class."""
    return write_colors(tmp_path_factory.mktemp("shapes"), seed=0, scale=30)


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


@pytest.fixture
def write(tmp_path):
    """Write a sweep file from its text or its content."""

    def to_file(content):
        path = tmp_path / "grid.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return path

    return to_file
