"""A training can be watched from another process, killed or not, and leaves nothing at its end."""

import os
import signal
import subprocess
import sys
import time

import pytest

from retrieval.errors import UserError
from retrieval.experiment import pipeline, session
from retrieval.experiment.pipeline import train
from retrieval.experiment.session import FailedRuns, plan_all, train_all
from retrieval.progress import stage
from retrieval.runs.live import history_of, list_trainings
from retrieval.runs.lock import lock_path
from retrieval.runs.places import partial_path
from tests.callbacks import NotANumber

SHOWN = ("dataset", "data", "backbone", "weights", "image_size", "embedding_size", "eval_every",
         "classes_per_batch", "samples_per_class", "learning_rate")  # fmt: skip


@pytest.mark.slow
def test_a_training_is_watched_from_outside_and_killed_and_then_interrupted(tiny, tmp_path):
    flags = [f"--{k.replace('_', '-')}={v}" for k, v in tiny.to_mapping().items() if k in SHOWN]
    command = [sys.executable, "-m", "retrieval.cli", "train", *flags, "--steps=100000",
               "--name=watched", f"--runs={tmp_path}"]  # fmt: skip
    seen = {}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until = time.monotonic() + 120
            while time.monotonic() < until and process.poll() is None:
                for found in list_trainings(tmp_path):
                    if found.live is not None:
                        seen[found.live.stage] = found
                if "training" in seen and seen["training"].live.seconds_left:
                    break
                time.sleep(0.05)
        finally:
            os.kill(process.pid, signal.SIGKILL)
    found = seen["training"]
    assert (found.state, found.command, found.is_alive) == ("running", None, True)
    said = found.live
    assert (said.steps, said.process.pid) == (100_000, process.pid)
    assert 0 < said.step < said.steps
    assert said.images_per_second > 0
    assert said.device.startswith("CPU")
    assert said.command.startswith("retrieval train --dataset=folder")
    assert said.settings["loss"] == "semi_hard_triplet"
    (after,) = list_trainings(tmp_path)
    assert (after.state, after.is_alive) == ("interrupted", False)
    assert after.command == f"retrieval train --resume {tmp_path / 'folder' / 'watched'}"
    steps = history_of(after)["step"].tolist()
    assert steps == sorted(set(steps))
    assert steps[0] == 1
    assert len(steps) > 2


def test_every_stage_is_told_and_a_finished_run_leaves_nothing(settings, tmp_path, monkeypatch):
    told = []
    record = pipeline.LiveRecord

    class Told(record):
        def enter(self, stage):
            super().enter(stage)
            self.write()
            (found,) = list_trainings(tmp_path)
            told.append((found.live.stage, found.live.step))

    monkeypatch.setattr(pipeline, "LiveRecord", Told)
    path = train(settings.with_(freeze_backbone=True), runs=tmp_path, name="x", progress=False)
    assert told == [
        ("caching features", 0), ("training", 0), ("embedding", 6), ("evaluating", 6),
    ]  # fmt: skip
    assert list_trainings(tmp_path) == []
    assert not (path / "live.json").exists()
    assert [each.name for each in path.parent.iterdir()] == ["x"]


def test_one_that_fails_before_its_first_checkpoint_still_says_why(settings, tmp_path, monkeypatch):
    broken = {"callbacks": [NotANumber(2)], "progress": False, "name": "x", "runs": tmp_path}
    with pytest.raises(UserError, match="step 3: the loss is nan") as caught:
        train(settings, **broken)
    (found,) = list_trainings(tmp_path)
    assert (found.state, found.error) == ("failed", str(caught.value))
    assert (partial_path(found.path) / "diverged-batch.txt").exists()  # which the error names
    assert found.command == f"retrieval train --resume {found.path}"
    read, shown = pipeline.read_interrupted, []

    def look(*given, **options):
        with stage("checking images", show=False):
            shown.extend(list_trainings(tmp_path))
        return read(*given, **options)

    monkeypatch.setattr(pipeline, "read_interrupted", look)
    monkeypatch.setattr("retrieval.training.live.EVERY", 0.0)
    assert pipeline.resume(found.path, progress=False) == found.path
    assert [(each.path, each.state) for each in shown] == [(found.path, "running")]
    assert shown[0].live.stage_words() == "preparing: checking images"
    assert list_trainings(tmp_path) == []


def test_one_that_is_refused_before_it_did_anything_leaves_nothing(settings, tmp_path, monkeypatch):
    def refuse(*_args, **_options):
        raise UserError("no such weights")

    monkeypatch.setattr("retrieval.training.fit.build_ranking_model", refuse)
    with pytest.raises(UserError, match="no such weights"):
        train(settings, runs=tmp_path, name="x", progress=False)
    assert list_trainings(tmp_path) == []
    assert not list(tmp_path.glob("*/*"))


def test_the_last_checkpoint_and_the_steps_since_are_told(settings, tmp_path, monkeypatch):
    seen = []

    class Look(pipeline.LiveRecord):
        def move(self):
            super().move()
            if self.step == 5:
                self.write()
                seen.extend(list_trainings(tmp_path))

    monkeypatch.setattr(pipeline, "LiveRecord", Look)
    train(settings, runs=tmp_path, name="x", progress=False, evaluate=False)
    found = seen[0]
    assert found.live.checkpoint.step == 3
    assert [step for step, _ in found.live.recent] == [4, 5]


def test_runs_of_a_session_wait_for_their_turn_and_failed_ones_say_why(
    settings, tmp_path, monkeypatch
):
    seen = []

    def one(planned, **_options):
        seen.append([(each.name, each.state) for each in list_trainings(tmp_path)])
        if planned.path.name == "run1":
            raise UserError("not enough memory")
        planned.path.mkdir(parents=True)

    monkeypatch.setattr(session, "train_planned", one)
    named = {f"run{n}": settings.with_(seed=n) for n in range(3)}
    planned = plan_all(named, runs=tmp_path)
    with pytest.raises(FailedRuns):
        train_all(planned, evaluate=False)
    assert seen == [
        [("run0", "waiting"), ("run1", "waiting"), ("run2", "waiting")],
        [("run1", "waiting"), ("run2", "waiting")],
        [("run1", "failed"), ("run2", "waiting")],
    ]
    (failed,) = list_trainings(tmp_path)
    assert (failed.name, failed.error) == ("run1", "not enough memory")
    monkeypatch.setattr(session, "train_planned", lambda run, **_: run.path.mkdir(parents=True))
    monkeypatch.setattr(session, "keep_finished", lambda _run: None)
    train_all(planned, evaluate=False)
    assert list_trainings(tmp_path) == []
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]
    assert not lock_path(planned[0].path).exists()
