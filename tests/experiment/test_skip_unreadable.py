"""A damaged photo is found before the training, and a run goes without it on request."""

import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

from retrieval.datasets import load_catalog
from retrieval.errors import UserError
from retrieval.experiment.pipeline import embed, resume, train
from retrieval.runs.places import partial_path
from retrieval.runs.resume import PLAN_FILE
from retrieval.runs.run import Run
from tests.callbacks import KillAfter, Killed
from tests.photos import write_colors

pytestmark = pytest.mark.usefixtures("two_blocks")


def flip_a_byte(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(bytes(data))


def photo_of(root, split):
    """Return the path of a photo of a split."""
    return load_catalog("folder", root).split(split)["path"].iloc[2]


@pytest.fixture(scope="module")
def whole_data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "photos"
    return write_colors(root, seed=0, scale=10, classes=6, each=4)


@pytest.fixture
def data(whole_data, tmp_path):
    """The photos, which a test may damage: they are as they were after it."""
    shutil.copytree(whole_data, tmp_path / "copy")
    yield whole_data
    shutil.rmtree(whole_data)
    shutil.copytree(tmp_path / "copy", whole_data)


@pytest.fixture(scope="module")
def settings(tiny, whole_data):
    return tiny.with_(data=str(whole_data), steps=4, eval_every=2)


def interrupted(settings, runs):
    """Start a run and stop it after its first checkpoint."""
    with pytest.raises(Killed):
        train(settings, runs=runs, name="cut", progress=False, callbacks=[KillAfter(3)])
    path = runs / "folder" / "cut"
    assert (partial_path(path) / "checkpoints" / "index.json").exists()
    return path


@pytest.fixture(scope="module")
def cut_off(settings, tmp_path_factory):
    """A folder of runs with one that was interrupted after its first checkpoint."""
    return interrupted(settings, tmp_path_factory.mktemp("cut") / "runs").parents[1]


@pytest.fixture
def path(cut_off, tmp_path):
    """A copy of the interrupted run."""
    return shutil.copytree(cut_off, tmp_path / "runs") / "folder" / "cut"


@pytest.fixture(scope="module")
def whole(cut_off, tmp_path_factory):
    """The same run, continued while all photos are whole."""
    runs = shutil.copytree(cut_off, tmp_path_factory.mktemp("whole") / "runs")
    return Run(resume(runs / "folder" / "cut", progress=False))


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_damaged_photo_stops_the_run_before_it_begins(settings, data, tmp_path, split):
    flip_a_byte(data / photo_of(data, split))
    with pytest.raises(UserError, match="--skip-unreadable") as error:
        train(settings, runs=tmp_path / "runs", progress=False)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "runs").exists()


def test_a_run_without_a_damaged_photo_says_so(settings, data, tmp_path):
    photo = photo_of(data, "test")
    flip_a_byte(data / photo)
    said = []
    path = train(
        settings.with_(skip_unreadable=True),
        runs=tmp_path / "runs",
        progress=False,
        announce=said.append,
    )
    run = Run(path)
    assert len(run.items) == 11
    assert photo not in run.items["path"].tolist()
    assert list(run.dataset_config.skipped) == [photo]
    assert photo in yaml.safe_load(run.config_text)["dataset"]["skipped"]
    assert any(photo in line for line in said)
    shutil.copy(data / run.items["path"].iloc[0], data / photo)  # whole again
    embed(path, progress=False)
    assert len(Run(path).items) == 11  # what the run's figures are of


@pytest.mark.slow
@pytest.mark.parametrize("gone", [False, True])
def test_an_interrupted_run_goes_on_without_a_test_photo(whole, path, data, gone):
    photo = photo_of(data, "test")
    (data / photo).unlink() if gone else flip_a_byte(data / photo)
    with pytest.raises(UserError, match="--skip-unreadable"):
        resume(path, progress=False)
    resume(path, progress=False, skip_unreadable=True)
    run = Run(path)
    assert list(run.dataset_config.skipped) == [photo]
    kept = (whole.items["path"] != photo).to_numpy()
    assert run.items["path"].tolist() == whole.items["path"][kept].tolist()
    np.testing.assert_allclose(run.embeddings, whole.embeddings[kept], atol=1e-5)
    pd.testing.assert_series_equal(run.history["loss"], whole.history["loss"])
    assert not (path / PLAN_FILE).exists()


def test_the_same_command_goes_on_too(settings, path, data, tmp_path):
    photo = photo_of(data, "test")
    (data / photo).unlink()
    with pytest.raises(UserError, match="--skip-unreadable"):
        train(settings, runs=tmp_path / "runs", name="cut", progress=False)
    skipping = settings.with_(skip_unreadable=True)
    train(skipping, runs=tmp_path / "runs", name="cut", evaluate=False, progress=False)
    assert list(Run(path).dataset_config.skipped) == [photo]
    assert Run(path).history["step"].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("case", ["a training photo", "a photo that chooses the checkpoint"])
def test_an_interrupted_run_does_not_go_on_as_another_one(settings, path, data, tmp_path, case):
    split = "train" if "training" in case else "test"
    if split == "test":
        chosen = settings.with_(eval_split="test", use_checkpoint="best")
        path = interrupted(chosen, tmp_path / "chosen")
    flip_a_byte(data / photo_of(data, split))
    with pytest.raises(UserError, match="train it again with --overwrite"):
        resume(path, progress=False, skip_unreadable=True)
    assert (partial_path(path) / "checkpoints" / "index.json").exists()


def test_a_data_set_that_changed_otherwise_is_not_taken_for_a_damaged_one(path, data):
    shutil.copytree(data / "class 0", data / "class 9")
    with pytest.raises(UserError, match="has changed"):
        resume(path, progress=False, skip_unreadable=True)
