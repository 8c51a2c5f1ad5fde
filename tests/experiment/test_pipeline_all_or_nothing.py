"""A run folder is complete or absent, whatever stage fails."""

import numpy as np
import pytest

from retrieval import open_run
from retrieval.errors import UserError
from retrieval.experiment.pipeline import embed, train
from retrieval.runs.evaluate import evaluate_run
from retrieval.runs.store import list_runs
from tests.experiment.helpers import files_of

STAGES = (
    "retrieval.training.fit.build_ranking_model",
    "retrieval.training.fit.batch_dataset",
    "retrieval.training.embed_test_split.embed_images",
    "retrieval.experiment.making.write_embeddings",
    "retrieval.runs.evaluate.evaluate",
    "retrieval.runs.evaluate.project",
    "retrieval.runs.evaluate.write_thumbnails",
)


@pytest.mark.slow
def test_a_failure_at_any_stage_leaves_an_existing_run_as_it_was(settings, run, monkeypatch):
    def fail(*_args, **_kwargs):
        raise OSError("disk full")

    before, root, other = files_of(run.path), run.path.parent.parent, settings.with_(seed=5)
    for stage in STAGES:  # each attempt goes on where the one before it failed
        with monkeypatch.context() as patch:
            patch.setattr(stage, fail)
            with pytest.raises(OSError, match="disk full"):
                train(other, runs=root, name="one", overwrite=True, progress=False)
        assert files_of(run.path) == before, stage
        assert [r.path.name for r in list_runs(root)] == ["one"], stage


def test_a_network_that_takes_no_such_images_leaves_nothing(settings, tmp_path):
    vit = settings.with_(backbone="dinov2_small", image_size=30)
    with pytest.raises(UserError, match="multiple"):
        train(vit, runs=tmp_path, name="vit", progress=False)
    assert not list(tmp_path.glob("*/*"))


def test_overwriting_replaces_the_run_at_the_end(settings, tmp_path):
    first = open_run(train(settings, runs=tmp_path, name="x", progress=False))
    old = np.array(first.embeddings)
    with pytest.raises(UserError, match="--overwrite"):
        train(settings.with_(seed=1), runs=tmp_path, name="x", progress=False)
    path = train(settings.with_(seed=1), runs=tmp_path, name="x", overwrite=True, progress=False)
    assert np.abs(np.array(open_run(path).embeddings) - old).max() > 0
    assert [p.name for p in path.parent.iterdir()] == ["x"]


def test_without_evaluation_there_is_a_checkpoint_to_embed_from(settings, run, tmp_path):
    path = train(settings, runs=tmp_path, name="later", evaluate=False, progress=False)
    assert not (path / "embeddings.npy").exists()
    with pytest.raises(UserError, match="`retrieval embed"):
        evaluate_run(path)
    embed(path, progress=False)
    np.testing.assert_array_equal(open_run(path).embeddings, run.embeddings)
