"""Settings that train in a second, and one finished run: fixtures of packages of tests.

A ``conftest.py`` that imports them has them for its own package.
"""

import pytest

from retrieval import TrainSettings, open_run
from retrieval.experiment.pipeline import train
from retrieval.models import conv4
from tests.photos import write_colors


@pytest.fixture(scope="package", autouse=True)
def _apart_and_quick(tmp_path_factory):
    """Keep away from the user's cache; leave two blocks of conv4, since graphs take the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETRIEVAL_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(conv4, "WIDTHS", (8, conv4.WIDTHS[-1]))
        yield


@pytest.fixture(scope="package")
def settings(tmp_path_factory):
    """Settings of a run of 6 steps on eight classes of six 20 px images."""
    root = write_colors(tmp_path_factory.mktemp("images"), seed=1, scale=40)
    return TrainSettings(
        dataset="folder", data=str(root), backbone="conv4", weights="none", image_size=16,
        embedding_size=8, classes_per_batch=3, samples_per_class=2, steps=6, eval_every=3,
        learning_rate=1e-2, loss="npairs_loss",
    )  # fmt: skip


@pytest.fixture(scope="package")
def _finished(settings, tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    return train(settings, runs=root, name="one", progress=False)


@pytest.fixture
def run(_finished):
    """One finished run, opened anew: a test before may have changed what it caches."""
    return open_run(_finished)
