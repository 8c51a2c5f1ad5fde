"""Settings that train in a second, and one finished run."""

import pytest

from retrieval import TrainSettings, open_run
from retrieval.experiment.pipeline import train
from retrieval.models import conv4
from tests.models.two_towers import SIDE, write_two_towers
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


@pytest.fixture(scope="package")
def clip(tmp_path_factory):
    """A preset of CLIP with small random towers."""
    return write_two_towers(tmp_path_factory.mktemp("presets") / "clip")


@pytest.fixture(scope="package")
def of_clip(clip, tmp_path_factory):
    """Settings of its untrained network, whose images, of its own size, lie beside texts."""
    root = write_colors(tmp_path_factory.mktemp("images"), seed=1, scale=40, size=(SIDE, SIDE))
    return TrainSettings(dataset="folder", data=str(root), backbone=f"hub:{clip}", loss="none")


@pytest.fixture(scope="package")
def untrained(of_clip, tmp_path_factory):
    """The folder of a run of it."""
    return train(of_clip, runs=tmp_path_factory.mktemp("runs"), name="clip", progress=False)


@pytest.fixture(scope="package")
def exports(_finished, tmp_path_factory):
    """The finished run, exported to the three formats in float32."""
    from retrieval.deployment.exporting import export_network
    from retrieval.deployment.formats import FORMATS

    out = tmp_path_factory.mktemp("exports")
    return {name: export_network(_finished, name, out) for name in FORMATS}
