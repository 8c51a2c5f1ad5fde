"""An interrupted training resumes as if it had never stopped, whatever is trained."""

import itertools
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from retrieval import load_catalog, open_run
from retrieval.errors import UserError
from retrieval.experiment.pipeline import resume, train
from retrieval.runs.places import partial_path
from retrieval.runs.resume import prepare_partial
from retrieval.settings.resolve import resolve
from retrieval.training.checkpoints import read_index, step_folder
from tests.callbacks import KillAfter, Killed, Scores
from tests.photos import write_colors

pytestmark = pytest.mark.usefixtures("two_blocks")


def killed(*_args, **_kwargs):
    raise Killed


def history(path: Path) -> pd.DataFrame:
    """Return the run's history."""
    return pd.read_csv(path / "history.csv")


def checkpoint(path: Path) -> list[np.ndarray]:
    """Return the state of the run's latest checkpoint: optimizer, loss, random generators."""
    latest = read_index(path / "checkpoints")["latest"]
    with np.load(step_folder(path / "checkpoints", latest) / "state.npz") as arrays:
        return [arrays[key] for key in sorted(arrays.files)]


def assert_same_training(one: Path, other: Path) -> None:
    """Check that two runs have the same history and ended in the same state."""
    pd.testing.assert_frame_equal(history(one), history(other))
    for a, b in zip(checkpoint(one), checkpoint(other), strict=True):
        np.testing.assert_array_equal(a, b)


VARIANTS = {
    "all of the optimizer, batch norms held until after the cut": {
        "optimizer": "adamw", "schedule": "cosine", "warmup_steps": 5, "weight_decay": 0.1,
        "clip_norm": 1.0, "backbone_multiplier": 0.1, "freeze_steps": 12, "augment": "strong",
        "pre_crop": 20, "freeze_batch_norm_steps": 15,
    },
    "head only, a loss with proxies": {
        "freeze_backbone": True, "head": "fc1024", "loss": "proxy_anchor", "loss_multiplier": 10.0,
        "seed": 3,
    },
    "a loss with random sampling and cross-batch memory": {
        "loss": "margin_loss", "optimizer": "momentum", "seed": 3, "memory_batches": 3,
        "memory_start": 5, "memory_weight": 0.5, "samples_per_class": 4,
    },
    "proxies and a memory at several widths": {
        "loss": "margin_loss", "loss_options": {"per_class": True}, "memory_batches": 2,
        "memory_start": 5, "samples_per_class": 4, "matryoshka": "3,5",
    },
    "16 bit, evaluated, a short last interval": {
        "mixed_precision": True, "eval_split": "validation", "validation_fraction": 0.3,
        "steps": 21,
    },
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_the_same_command_continues_to_the_same_end(tiny, tmp_path, changes):
    settings = tiny.with_(**{"loss": "npairs_loss"} | changes)
    options = {"runs": tmp_path, "evaluate": False, "progress": False}
    whole = train(settings, name="whole", **options)
    with pytest.raises(Killed):
        train(settings, name="cut", callbacks=[KillAfter(11)], **options)
    assert not (tmp_path / "folder" / "cut").exists()
    cut = train(settings, name="cut", **options)
    assert list(history(cut)["step"]) == list(range(1, settings.steps + 1))
    assert_same_training(cut, whole)


@pytest.mark.slow
def test_early_stopping_after_a_resume_ends_at_the_same_step(tiny, tmp_path):
    def scores() -> Scores:
        return Scores(itertools.repeat(1 / 3))

    settings = tiny.with_(steps=48, eval_split="test", patience=2)
    options = {"runs": tmp_path, "evaluate": False, "progress": False}
    whole = train(settings, name="whole", callbacks=[scores()], **options)
    with pytest.raises(Killed):
        train(settings, name="cut", callbacks=[scores(), KillAfter(11)], **options)
    cut = train(settings, name="cut", callbacks=[scores()], **options)
    assert list(history(cut)["step"]) == list(range(1, 25))
    assert_same_training(cut, whole)


WRITING = (
    "retrieval.training.callbacks.save_checkpoint",
    "retrieval.training.checkpoints.write_json",
    "retrieval.training.history.write_text",
    "retrieval.training.embed_test_split.embed_images",
    "retrieval.runs.evaluate.write_json",
    "retrieval.experiment.pipeline.publish",
)


@pytest.mark.slow
def test_a_run_killed_again_and_again_while_writing_files_loses_nothing(
    tiny, whole, tmp_path, monkeypatch
):
    path = tmp_path / "folder" / "cut"
    for place in WRITING:  # of the stages in their order: each attempt gets a little further
        with monkeypatch.context() as patch:
            patch.setattr(place, killed)
            with pytest.raises(Killed):
                train(tiny, runs=tmp_path, name="cut", progress=False)
        assert not path.exists(), place
    run = open_run(resume(path, progress=False))
    assert_same_training(run.path, whole.path)
    np.testing.assert_array_equal(run.embeddings, whole.embeddings)
    assert run.results == whole.results
    assert not partial_path(path).exists()


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory):
    """The run that is never cut off."""
    root = tmp_path_factory.mktemp("whole")
    return open_run(train(tiny, runs=root, name="whole", progress=False))


@pytest.mark.slow
def test_a_run_that_stopped_early_is_not_trained_further_by_a_resume(tiny, tmp_path, monkeypatch):
    settings, scores = tiny.with_(steps=80, eval_split="test", patience=1), Scores([0.9, 0.5, 0.4])
    with monkeypatch.context() as patch:
        patch.setattr("retrieval.experiment.making.write_embeddings", killed)
        with pytest.raises(Killed):
            train(settings, runs=tmp_path, name="early", progress=False, callbacks=[scores])
    run = open_run(resume(tmp_path / "folder" / "early", progress=False))
    assert run.history["step"].iloc[-1] == 16


@pytest.fixture(scope="module")
def cut_off(tiny, tmp_path_factory):
    """A folder of runs with one, ``cut``, that was interrupted after step 11."""
    root = tmp_path_factory.mktemp("cut")
    with pytest.raises(Killed):
        train(tiny, runs=root, name="cut", progress=False, callbacks=[KillAfter(11)])
    return root


@pytest.mark.slow
def test_settings_that_make_no_other_run_may_change_when_it_goes_on(tiny, whole, cut_off, tmp_path):
    runs = shutil.copytree(cut_off, tmp_path / "runs")
    changes = {"eval_every": 5, "eval_split": "test", "keep_embeddings": True}
    run = open_run(train(tiny.with_(**changes), runs=runs, name="cut", progress=False))
    assert run.settings.eval_every == 5
    assert list(run.history["step"]) == list(range(1, 25))
    evaluated = run.history.dropna(subset="recall@1")["step"]
    assert list(evaluated) == [10, 15, 20, 24]  # every 5 steps, wherever it was interrupted
    for a, b in zip(checkpoint(run.path), checkpoint(whole.path), strict=True):
        np.testing.assert_array_equal(a, b)


def test_other_settings_do_not_replace_an_interrupted_run_unless_told_to(tiny, cut_off, tmp_path):
    runs = shutil.copytree(cut_off, tmp_path / "runs")
    options = {"runs": runs, "name": "cut", "evaluate": False, "progress": False}
    other = tiny.with_(steps=8)
    with pytest.raises(UserError, match=r"cut.partial .*steps = 24, now 8.*--overwrite"):
        train(other, **options)
    assert read_index(partial_path(runs / "folder" / "cut") / "checkpoints") == {"latest": 8}
    path = train(other, overwrite=True, **options)
    assert list(history(path)["step"]) == list(range(1, 9))


def test_an_interrupted_run_without_checkpoints_may_be_replaced(tiny, tmp_path):
    partial, catalog = partial_path(tmp_path / "folder" / "cut"), load_catalog("folder", tiny.data)
    prepare_partial(partial, resolve(tiny, catalog), catalog)
    path = train(tiny.with_(steps=2), runs=tmp_path, name="cut", evaluate=False, progress=False)
    assert list(history(path)["step"]) == [1, 2]


def test_a_run_is_not_resumed_on_other_images(tiny, tmp_path):
    data = write_colors(tmp_path / "data", seed=1, scale=30, classes=6, each=3)
    settings, path = tiny.with_(data=str(data), classes_per_batch=2), tmp_path / "folder" / "cut"
    catalog = load_catalog("folder", str(data))
    prepare_partial(partial_path(path), resolve(settings, catalog), catalog)
    for label in range(6):
        Image.new("RGB", (16, 16)).save(data / f"class {label}" / "new.png")
    with pytest.raises(UserError, match="n_train, n_test"):
        resume(path, progress=False)
