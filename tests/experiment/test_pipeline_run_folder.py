"""A run folder is whole, says how it was made, and gives the same figures again."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from retrieval import load_catalog, open_run
from retrieval.errors import UserError
from retrieval.experiment.pipeline import embed, train
from retrieval.runs.evaluate import evaluate_run
from retrieval.runs.resume import check_dataset_unchanged
from retrieval.runs.run import REQUIRED_FILES
from retrieval.settings.identity import DECAY_SETTINGS
from retrieval.settings.resolve import resolve
from tests.experiment.helpers import files_of


def test_a_run_folder_is_whole(run, settings):
    catalog = load_catalog("folder", settings.data)
    test = catalog.split("test")
    assert all((run.path / name).exists() for name in REQUIRED_FILES)
    assert run.embeddings.shape == (len(test), settings.embedding_size)
    assert run.embeddings.dtype == np.float32
    assert list(run.items["item"]) == list(test.index)
    assert list(run.items["path"]) == list(test["path"])
    assert list(run.history["step"]) == list(range(1, 7))
    assert len(run.projection) == len(test)
    assert run.thumbnail(0) is not None
    ids = run.neighbors("leave_one_out").ids
    assert len(ids) == len(test)
    assert (ids != np.arange(len(test))[:, None]).all()  # no item is its own neighbor


def test_the_config_holds_every_setting_that_was_used(run, settings):
    stored = run.settings
    assert stored == resolve(settings, load_catalog("folder", settings.data))
    left_open = {k for k, v in stored.to_mapping().items() if v is None} - set(DECAY_SETTINGS)
    without_memory = {"memory_start", "memory_weight"}
    assert (
        left_open
        <= {"recipe", "pre_crop", "clip_norm", "loss_multiplier", "matryoshka"} | without_memory
    )
    remembering = resolve(settings.with_(memory_batches=2), load_catalog("folder", settings.data))
    assert not without_memory & {k for k, v in remembering.to_mapping().items() if v is None}
    assert set(run.provenance.seconds) == {"train", "embed", "evaluate"}


def test_metrics_are_plain_json(run):
    def refuse(constant):
        raise AssertionError(constant)

    json.loads((run.path / "metrics.json").read_text(), parse_constant=refuse)


def test_evaluating_again_gives_the_same_figures(run):
    before, neighbors = files_of(run.path)["metrics.json"], run.neighbors("leave_one_out").ids
    evaluate_run(run.path, progress=False)
    assert files_of(run.path)["metrics.json"] == before
    np.testing.assert_array_equal(open_run(run.path).neighbors("leave_one_out").ids, neighbors)


def test_another_distance_is_recorded_with_the_metrics_and_can_be_undone(run):
    before = files_of(run.path)["metrics.json"]
    again = evaluate_run(run.path, distance="euclidean", progress=False)
    assert again.result("leave_one_out").protocol.distance == "euclidean"
    evaluate_run(run.path, progress=False)
    assert files_of(run.path)["metrics.json"] == before


def test_embedding_from_the_checkpoint_gives_the_embeddings_at_the_end_of_training(run):
    before = np.array(run.embeddings)
    embed(run.path, progress=False)
    np.testing.assert_array_equal(open_run(run.path).embeddings, before)


def test_the_untrained_backbone_can_be_a_run(settings, tmp_path):
    path = train(settings.with_(loss="none"), runs=tmp_path, progress=False)
    untrained = open_run(path)
    assert path.name == "untrained"
    np.testing.assert_allclose(np.linalg.norm(untrained.embeddings, axis=1), 1, rtol=1e-5)
    assert untrained.settings.loss == "none"


@pytest.fixture
def photos(settings, tmp_path):
    """A copy of the photos, to change."""
    return Path(shutil.copytree(settings.data, tmp_path / "photos"))


@pytest.fixture
def own_run(settings, photos, tmp_path):
    untrained = settings.with_(loss="none", data=str(photos))
    return open_run(train(untrained, runs=tmp_path / "runs", progress=False))


def test_a_run_does_not_go_on_with_another_data_set(own_run, photos):
    before = files_of(own_run.path)
    for label in (6, 7):
        shutil.copytree(photos / f"class {label}", photos / f"another class {label}")
    for again in (embed, evaluate_run):
        with pytest.raises(UserError, match="data set has changed"):
            again(own_run.path, progress=False)
    with pytest.raises(UserError, match="data set has changed"):
        check_dataset_unchanged(own_run)
    assert files_of(own_run.path) == before
    thumbnails = own_run.path / "thumbnails" / "images.bin"
    pictures = thumbnails.read_bytes()
    evaluate_run(own_run.path, images=False, progress=False)
    assert thumbnails.read_bytes() == pictures


def test_a_run_is_evaluated_where_its_data_set_is_not(own_run, photos):
    shutil.rmtree(photos)
    pictures = [own_run.thumbnail(row) for row in range(len(own_run.items))]
    again = evaluate_run(own_run.path, progress=False)
    assert [again.thumbnail(row) for row in range(len(again.items))] == pictures


def test_a_finished_run_of_equal_settings_is_kept_and_its_history_shown(run, settings):
    before, shown, said = files_of(run.path), [], []
    options = {"runs": run.path.parents[1], "name": "one", "progress": False, "keep": True}
    path = train(settings, watch=shown.append, announce=said.append, **options)
    assert path == run.path
    assert files_of(path) == before
    assert [list(history["step"]) for history in shown] == [list(range(1, 7))]
    assert said == [f"{path} exists; kept"]


@pytest.mark.parametrize("changes", [{"steps": 7}, {"seed": 1}, {"loss": "hard_triplet"}])
def test_a_finished_run_of_other_settings_is_neither_kept_nor_replaced(run, settings, changes):
    before = files_of(run.path)
    options = {"runs": run.path.parents[1], "name": "one", "progress": False, "keep": True}
    with pytest.raises(UserError, match=rf"{run.path} .*{next(iter(changes))}.* move it"):
        train(settings.with_(**changes), **options)
    assert files_of(run.path) == before


def test_a_run_cannot_be_both_kept_and_replaced(settings, tmp_path):
    with pytest.raises(UserError, match=r"overwrite .* keep"):
        train(settings, runs=tmp_path, overwrite=True, keep=True)


def test_a_run_that_another_process_finishes_meanwhile_is_kept(
    run, settings, tmp_path, monkeypatch
):
    def finished_meanwhile(settings, **_options):
        shutil.copytree(run.path, tmp_path / "folder" / "one")

    monkeypatch.setattr("retrieval.experiment.pipeline.check_memory", finished_meanwhile)
    path = train(settings, runs=tmp_path, name="one", keep=True, progress=False)
    assert files_of(path) == files_of(run.path)
