"""A run on several workers: what is refused, and that it is the run of one device."""

import json

import numpy as np
import pandas as pd
import pytest

from retrieval import TrainSettings, train
from retrieval.errors import UserError
from retrieval.experiment.workers import fewer_workers
from retrieval.runs.run import Run
from retrieval.settings.yaml_text import parse_yaml
from tests.callbacks import KillAfter, Killed


@pytest.fixture(scope="module")
def settings(tiny):
    """Settings of a run that has two checkpoints before its end."""
    return tiny.with_(
        loss="proxy_anchor", classes_per_batch=4, optimizer="momentum", freeze_backbone=True,
        eval_every=8,
    )  # fmt: skip


@pytest.mark.usefixtures("module_cache")
def test_a_run_of_one_device_goes_on_with_two_workers(settings, tmp_path):
    quiet = {"runs": tmp_path, "progress": False, "evaluate": False}
    alone = Run(train(settings, name="alone", **quiet))
    with pytest.raises(Killed):
        train(settings, name="shared", callbacks=[KillAfter(13)], **quiet)
    shared = Run(train(settings.with_(distribute="workers", workers=2), name="shared", **quiet))
    wanted, found = (pd.read_csv(run.path / "history.csv") for run in (alone, shared))
    assert list(found["step"]) == [*range(1, 25)]
    np.testing.assert_array_equal(found["loss"][:8], wanted["loss"][:8])
    np.testing.assert_allclose(found["loss"], wanted["loss"], rtol=1e-4)
    assert (shared.settings.distribute, shared.settings.workers) == ("workers", 2)
    config = parse_yaml((shared.path / "config.yaml").read_text(encoding="utf-8"))
    assert config["provenance"]["device"].startswith("2 workers (")
    assert not list(shared.path.glob(".*")), "nothing is left of what the workers told each other"
    index = json.loads((shared.path / "checkpoints" / "index.json").read_text())
    assert index["latest"] == 24


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"distribute": "workers"}, "needs --workers N, at least 2"),
        ({"workers": 2}, "--workers 2 has no effect without --distribute workers"),
        (
            {"distribute": "workers", "workers": 2, "chunk_size": 4},
            "--chunk-size does not work with --distribute workers",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(given, words):
    with pytest.raises(UserError, match=words):
        TrainSettings(**given)


def test_a_batch_that_does_not_divide_is_refused_before_anything_is_written(tiny, tmp_path):
    shared = tiny.with_(distribute="workers", workers=4)
    with pytest.raises(UserError, match="cannot share 6 images equally among 4 workers"):
        train(shared, runs=tmp_path, progress=False)
    assert not list(tmp_path.glob("*/*"))


def test_a_place_without_workers_and_no_place_are_refused(tiny, tmp_path):
    with pytest.raises(UserError, match="--on ray has no effect without --distribute workers"):
        train(tiny, runs=tmp_path, on="ray")
    with pytest.raises(UserError, match="--on 'moon'"):
        train(tiny, runs=tmp_path, on="moon")


def test_callbacks_which_could_not_act_in_the_workers_are_refused(tiny, tmp_path):
    shared = tiny.with_(distribute="workers", workers=2)
    with pytest.raises(UserError, match="act in the process that trains"):
        train(shared, runs=tmp_path, progress=False, watch=print)


def test_a_smaller_group_shares_the_batch_equally_too():
    assert fewer_workers(4, 6) == [3, 2, 1]
    assert fewer_workers(5, 120) == [4, 3, 2, 1]
    assert fewer_workers(2, 7) == [1]
