"""A quick finished run, its exports, and an untrained network with a text tower."""

import pytest

from retrieval import TrainSettings
from retrieval.experiment.pipeline import train
from tests.models.two_towers import SIDE, write_two_towers
from tests.object_store import machine, memory_root
from tests.photos import write_colors
from tests.quick_runs import _apart_and_quick, _finished, run, settings

__all__ = ["_apart_and_quick", "_finished", "machine", "memory_root", "run", "settings"]  # fixtures


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
