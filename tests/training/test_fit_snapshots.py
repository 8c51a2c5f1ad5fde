"""Embeddings kept during training give a map per evaluation, also after an interruption."""

import numpy as np
import pytest

from retrieval import open_run
from retrieval.experiment.pipeline import train
from retrieval.projection import snapshots
from retrieval.runs.evaluate import evaluate_run
from tests.callbacks import KillAfter, Killed

pytestmark = pytest.mark.usefixtures("two_blocks")


def cut_and_continued(settings, runs):
    with pytest.raises(Killed):
        train(settings, runs=runs, progress=False, callbacks=[KillAfter(11)])
    return open_run(train(settings, runs=runs, progress=False))


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"eval_split": "test"},
        {"freeze_backbone": True, "distance": "euclidean"},
        {"eval_split": "validation", "validation_fraction": 0.3},
    ],
    ids=["whole network", "head only, no figures", "figures of other items"],
)
def test_a_run_that_keeps_embeddings_has_a_map_per_evaluation(tiny, tmp_path, changes):
    settings = tiny.with_(keep_embeddings=True, **changes)
    run = cut_and_continued(settings, tmp_path)
    evolution = run.evolution()
    steps, points = evolution.steps, evolution.points
    assert steps.tolist() == [8, 16, 24]
    assert points.shape == (3, len(run.items), 2)
    assert np.isfinite(points).all()
    kept = [np.load(path) for path in snapshots(run.path).values()]
    assert {array.dtype for array in kept} == {np.dtype(np.float16)}
    np.testing.assert_allclose(kept[-1], run.embeddings, rtol=2e-3, atol=2e-3)
    assert np.abs(kept[0] - run.embeddings).max() > 1e-2


def test_without_the_setting_there_is_no_slider(tiny, tmp_path):
    run = open_run(train(tiny, runs=tmp_path, progress=False))
    assert run.evolution() is None
    assert not (run.path / "snapshots").exists()


def test_a_damaged_snapshot_costs_the_slider_but_not_the_run(tiny, tmp_path, capsys):
    settings = tiny.with_(keep_embeddings=True, steps=8)
    run = open_run(train(settings, runs=tmp_path, progress=False))
    before = run.results
    (run.path / "snapshots" / "step-000008.npy").write_bytes(b"torn")
    run = evaluate_run(run.path, progress=False)
    assert "no maps of training steps: " in capsys.readouterr().out
    assert run.evolution() is None
    assert run.results == before
