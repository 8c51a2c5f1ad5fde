"""A run on several workers: what is refused, and that it is the run of one device."""

import json
import os
import signal
import threading
import time

import numpy as np
import pandas as pd
import pytest

from retrieval import TrainSettings, train
from retrieval.errors import UserError
from retrieval.experiment import workers
from retrieval.experiment.making import PlannedRun
from retrieval.experiment.workers import fewer_workers
from retrieval.runs.live import read_live
from retrieval.runs.places import partial_path
from retrieval.runs.run import Run
from retrieval.settings.yaml_text import parse_yaml
from retrieval.training.checkpoints import read_index
from retrieval.training.interruption import Interrupted
from tests.callbacks import KillAfter, Killed


@pytest.fixture(scope="module")
def settings(tiny):
    """Settings of a run that has two checkpoints before its end."""
    return tiny.with_(
        loss="proxy_anchor", classes_per_batch=4, optimizer="momentum", freeze_backbone=True,
        eval_every=8,
    )  # fmt: skip


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.usefixtures("module_cache")
def test_a_signal_lets_the_workers_finish_their_step_and_save_it(settings, tmp_path):
    path = tmp_path / "folder" / "cut"
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt() -> None:
        until = time.monotonic() + 240
        while time.monotonic() < until:
            live = read_live(partial_path(path))
            if live is not None and live.step:
                break
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    long = settings.with_(
        steps=20_000, eval_every=20_000, eval_split="none", distribute="workers", workers=2
    )
    thread.start()
    try:
        with pytest.raises(Interrupted, match=r"SIGINT: step \d+ of 20000 is saved in"):
            train(long, runs=tmp_path, name="cut", progress=False, evaluate=False)
    finally:
        thread.join()
        signal.signal(signal.SIGINT, before)
    step = read_index(partial_path(path) / "checkpoints")["latest"]
    assert len(pd.read_csv(partial_path(path) / "history.csv")) == step > 0
    assert not (partial_path(path) / workers.CHANNEL).exists()


@pytest.mark.slow
def test_a_chief_whose_machine_is_taken_away_is_lost_rather_than_done(tmp_path, monkeypatch):
    planned = PlannedRun(tmp_path / "run", TrainSettings(), None)
    channel = partial_path(planned.path) / workers.CHANNEL
    channel.mkdir(parents=True)

    def join(*_arguments):
        raise Interrupted(signal.SIGTERM)

    def leave(code):
        raise SystemExit(code)

    monkeypatch.setattr("retrieval.experiment.workers.join_workers", join)
    monkeypatch.setattr("os._exit", leave)
    arguments = {"planned": planned, "evaluate": False, "driver": None}
    with pytest.raises(SystemExit, match="143"):
        workers.work(0, ["127.0.0.1:1"], **arguments)
    (channel / workers.STOP).touch()
    assert workers.work(0, ["127.0.0.1:1"], **arguments).stopped
