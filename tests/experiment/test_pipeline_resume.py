"""A killed run continues: the same batches, the same history, the same figures."""

import json
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from retrieval import open_run
from retrieval.errors import UserError
from retrieval.experiment.pipeline import resume, train
from retrieval.models import conv4
from retrieval.runs.places import partial_path
from retrieval.runs.store import list_runs

WIDTHS = conv4.WIDTHS


@pytest.fixture(autouse=True)
def whole_conv4(monkeypatch):
    """Build all of conv4, as the other process does; the tests of this package use two blocks."""
    monkeypatch.setattr(conv4, "WIDTHS", WIDTHS)


def kill_after_first_checkpoint(command: list[str], partial) -> int:
    """Run a command, kill -9 it once a checkpoint is there; return the step it had reached."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    index = partial / "checkpoints" / "index.json"
    try:
        until = time.monotonic() + 120
        while not index.exists() and time.monotonic() < until and process.poll() is None:
            time.sleep(0.01)
        time.sleep(0.1)  # a little into the next interval
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL, "it ended before it was killed"
    return json.loads(index.read_text())["latest"]


@pytest.mark.slow
def test_a_run_killed_at_any_moment_ends_as_if_it_had_not_been(tiny, tmp_path):
    # Steps enough that it is killed before it ends.
    settings = tiny.with_(steps=150, eval_every=15)
    whole = open_run(train(settings, runs=tmp_path, name="whole", progress=False))
    flags = [
        f"--{k.replace('_', '-')}={v}"
        for k, v in settings.to_mapping().items()
        if k in ("dataset", "data", "backbone", "weights", "image_size", "embedding_size", "steps",
                 "classes_per_batch", "samples_per_class", "eval_every", "learning_rate")
    ]  # fmt: skip
    command = [sys.executable, "-m", "retrieval.cli.main", "train", *flags, "--name=killed",
               f"--runs={tmp_path}"]  # fmt: skip
    path = tmp_path / "folder" / "killed"
    reached = kill_after_first_checkpoint(command, partial_path(path))
    assert 0 < reached < settings.steps
    assert [r.path.name for r in list_runs(tmp_path)] == ["whole"]

    killed = open_run(resume(path, progress=False))
    pd.testing.assert_frame_equal(killed.history, whole.history)
    assert list(killed.history["step"]) == list(range(1, settings.steps + 1))
    assert killed.results == whole.results
    assert not partial_path(path).exists()


def test_there_must_be_something_to_resume(tiny, tmp_path):
    with pytest.raises(UserError, match="no interrupted run at"):
        resume(tmp_path / "folder" / "nothing")
    options = {"runs": tmp_path, "name": "done", "evaluate": False, "progress": False}
    path = train(tiny.with_(loss="none"), **options)
    with pytest.raises(UserError, match="it is finished"):
        resume(path)
