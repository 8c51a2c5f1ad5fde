"""SIGINT and SIGTERM: a training finishes its step and saves it, and nothing is lost."""

import contextlib
import itertools
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time

import h5py
import keras
import numpy as np
import pandas as pd
import pytest

from retrieval.experiment import pipeline
from retrieval.experiment.session import plan_all, train_all
from retrieval.runs.places import partial_path
from retrieval.training.checkpoints import read_index, step_folder
from retrieval.training.interruption import (
    Interrupted,
    check_stop,
    deferred,
    interrupted,
    stoppable,
)
from tests.callbacks import Scores

OPTIONS = {"evaluate": False, "progress": False}


@pytest.fixture(autouse=True)
def _interrupts():
    """Raise KeyboardInterrupt on SIGINT, also where the tests were begun in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class SignalAfter(keras.callbacks.Callback):
    """Send a signal to this process after a step of the run.

    Args:
        step: The step, counted from 1.
        number: The signal.
    """

    def __init__(self, step, number=signal.SIGINT):
        super().__init__()
        self.step, self.number = step, number

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations) == self.step:
            signal.raise_signal(self.number)


def saved(path) -> list[np.ndarray]:
    """Return everything in a run's latest checkpoint: the state, and the network's weights."""
    folder = step_folder(path / "checkpoints", read_index(path / "checkpoints")["latest"])
    with np.load(folder / "state.npz") as arrays:
        state = [arrays[key] for key in sorted(arrays.files)]
    return [*state, np.frombuffer(weights_of(folder), np.uint8)]


def weights_of(folder) -> bytes:
    found = []

    def add(_, each):
        if isinstance(each, h5py.Dataset):
            found.append(each[()].tobytes())

    with h5py.File(folder / "model.weights.h5") as file:
        file.visititems(add)
    return b"".join(found)


def assert_equal_to_the_last_bit(one, other):
    assert (one / "history.csv").read_text() == (other / "history.csv").read_text()
    for a, b in zip(saved(one), saved(other), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def evaluated(tiny):
    """Settings of 24 steps of a head, evaluated after every 8."""
    return tiny.with_(eval_split="test", freeze_backbone=True)


@pytest.fixture(scope="module")
def whole(evaluated, tmp_path_factory):
    """The run that no signal disturbs."""
    return pipeline.train(evaluated, runs=tmp_path_factory.mktemp("whole"), name="whole", **OPTIONS)


@pytest.mark.parametrize("step", [11, 16, 24])
def test_a_run_stopped_after_any_step_goes_on_to_the_same_bits(evaluated, whole, tmp_path, step):
    path = tmp_path / "folder" / "cut"
    with pytest.raises(KeyboardInterrupt, match=f"step {step} of 24 is saved in .*--resume {path}"):
        pipeline.train(
            evaluated, runs=tmp_path, name="cut", callbacks=[SignalAfter(step)], **OPTIONS
        )
    assert read_index(partial_path(path) / "checkpoints")["latest"] == step
    assert len(pd.read_csv(partial_path(path) / "history.csv")) == step
    pipeline.resume(path, **OPTIONS)
    assert_equal_to_the_last_bit(path, whole)


def test_an_evaluation_is_abandoned_and_made_when_the_run_goes_on(
    evaluated, whole, tmp_path, monkeypatch
):
    path = tmp_path / "folder" / "cut"

    def stopped(*_arguments, **_options):
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the evaluation goes on")

    for _ in range(2):  # also if the resumed evaluation is stopped
        with monkeypatch.context() as patch:
            patch.setattr("retrieval.training.fit.evaluate", stopped)
            with pytest.raises(Interrupted, match="step 8 of 24 is saved"):
                pipeline.train(evaluated, runs=tmp_path, name="cut", **OPTIONS)
        assert "recall@1" not in pd.read_csv(partial_path(path) / "history.csv")
    pipeline.resume(path, **OPTIONS)
    assert_equal_to_the_last_bit(path, whole)
    assert read_index(path / "checkpoints") == read_index(whole / "checkpoints")


def test_early_stopping_counts_an_evaluation_that_was_made_later(evaluated, tmp_path):
    settings = evaluated.with_(patience=1)
    with pytest.raises(Interrupted):
        pipeline.train(
            settings, runs=tmp_path, name="cut", callbacks=[Scores([0.9]), SignalAfter(16)],
            **OPTIONS,
        )  # fmt: skip
    path = pipeline.train(settings, runs=tmp_path, name="cut", callbacks=[Scores([0.5])], **OPTIONS)
    assert list(pd.read_csv(path / "history.csv")["step"]) == list(range(1, 17))


STAGES = {
    "prepare_data": ("retrieval.training.fit.prepare_data", "nothing is saved yet"),
    "embedding": ("retrieval.training.embed_test_split.embed_features", "step 2 of 2 is saved"),
    "evaluation": ("retrieval.experiment.pipeline.evaluate_folder", "step 2 of 2 is saved"),
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_signal_outside_of_the_steps_stops_at_once(evaluated, tmp_path, monkeypatch, stage):
    place, words = STAGES[stage]
    settings = evaluated.with_(steps=2, eval_split="none")
    with monkeypatch.context() as patch:
        patch.setattr(place, lambda *_, **__: signal.raise_signal(signal.SIGINT))
        with pytest.raises(Interrupted, match=words):
            pipeline.train(settings, runs=tmp_path, name="cut", progress=False)
    path = pipeline.resume(tmp_path / "folder" / "cut", **OPTIONS)
    assert pd.read_csv(path / "history.csv")["step"].tolist() == [1, 2]


def test_an_untrained_run_has_nothing_to_save_and_says_so(tiny, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(
            "retrieval.training.embed_test_split.untrained_embeddings",
            lambda *_, **__: signal.raise_signal(signal.SIGINT),
        )
        with pytest.raises(Interrupted, match="nothing is saved, as nothing is trained"):
            pipeline.train(tiny.with_(loss="none"), runs=tmp_path, name="cut", progress=False)
    assert pipeline.resume(tmp_path / "folder" / "cut", **OPTIONS).exists()


@pytest.mark.parametrize("count", [1, 3])
def test_the_runs_after_an_interrupted_one_are_not_begun(count, tiny, tmp_path, monkeypatch):
    begun = []

    def interrupted(planned, **_options):
        begun.append(planned.path.name)
        raise Interrupted(signal.SIGTERM)

    named = {f"run{n}": tiny.with_(seed=n) for n in range(count)}
    monkeypatch.setattr("retrieval.experiment.session.train_planned", interrupted)
    words = "Not begun: 2 more runs; the same command goes on" if count > 1 else "SIGTERM$"
    with pytest.raises(Interrupted, match=words):
        train_all(plan_all(named, runs=tmp_path))
    assert begun == ["run0"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_that_ray_made_bare_names_its_signal_again(number):
    with stoppable(ends_process=True):
        with contextlib.suppress(Interrupted):  # as Ray does where it waits
            signal.raise_signal(number)
        error = interrupted(KeyboardInterrupt(), ": all is saved")
    assert error.signal == number
    assert str(error) == f"stopped by {number.name}: all is saved"
    assert str(interrupted(error, "; go on")) == f"stopped by {number.name}: all is saved; go on"


def test_an_interrupt_of_no_signal_says_so():
    assert interrupted(KeyboardInterrupt(), ": all is saved").args == ("interrupted: all is saved",)


def test_handlers_are_those_of_before_and_a_second_signal_acts_at_once():
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    waited = []

    def work():
        with stoppable(), deferred():
            signal.raise_signal(signal.SIGINT)
            waited.append("the first signal")
            with pytest.raises(KeyboardInterrupt) as second:
                signal.raise_signal(signal.SIGINT)
            waited.append(type(second.value))
            check_stop()

    with pytest.raises(Interrupted):
        work()
    assert waited == ["the first signal", KeyboardInterrupt]
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_second_signal_ends_a_command_in_the_middle_of_a_long_operation():
    script = """
import hashlib, os, threading
from retrieval.training.interruption import deferred, stoppable
def twice():
    for _ in range(2):
        threading.Event().wait(0.3)
        os.kill(os.getpid(), 15)
with stoppable(ends_process=True), deferred():
    threading.Thread(target=twice).start()
    # Like a step of TensorFlow: half a minute in which Python handles no signal.
    hashlib.pbkdf2_hmac("sha256", b"", b"", 50_000_000)
"""
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == 128 + signal.SIGTERM
    assert b"stopped at once" in done.stderr
    assert time.monotonic() - begun < 15


def test_sigterm_ends_a_script_of_the_user_after_one_line():
    script = """
import signal
from retrieval.training.interruption import stoppable
with stoppable():
    signal.raise_signal(signal.SIGTERM)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == -signal.SIGTERM
    assert done.stderr.decode().splitlines() == ["stopped by SIGTERM"]


def test_a_thread_leaves_the_handlers_of_the_process_alone():
    found = []

    def work():
        with stoppable():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGTERM)]


def test_a_process_can_be_asked_to_stop_where_a_library_takes_the_signal():
    script = """
import ctypes, os, signal, threading
from retrieval.training.interruption import ask_to_stop, check_stop, deferred, stoppable
try:
    with stoppable(ends_process=True), deferred():
        ctypes.CDLL(None).signal(signal.SIGTERM, ctypes.c_void_p(1))  # unseen by Python
        os.kill(os.getpid(), signal.SIGTERM)
        check_stop()
        for _ in range(2):  # the second is no second signal, which would act at once
            thread = threading.Thread(target=ask_to_stop)
            thread.start()
            thread.join()
        check_stop()
except KeyboardInterrupt as error:
    os._exit(error.signal)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == signal.SIGTERM, done.stderr


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as by nohup
    try:
        with stoppable():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


# More of them: RETRIEVAL_MOMENTS=10 python -m pytest tests/experiment/test_signals.py
MOMENTS = int(os.environ.get("RETRIEVAL_MOMENTS", 1))
STEPS = 200 * MOMENTS
# A process of a user: small steps, the tests' two blocks of conv4, and two evaluations.
SCRIPT = """
import sys
from retrieval.models import conv4
conv4.WIDTHS = (8, conv4.WIDTHS[-1])
from retrieval.cli.main import main
main()
"""


def command(settings, runs, name) -> list[str]:
    flags = [
        f"--{k.replace('_', '-')}={v}"
        for k, v in settings.to_mapping().items()
        if k in ("dataset", "data", "backbone", "weights", "image_size", "embedding_size", "steps",
                 "classes_per_batch", "samples_per_class", "eval_every", "eval_split",
                 "learning_rate")
    ]  # fmt: skip
    return [sys.executable, "-c", SCRIPT, "train", *flags, f"--name={name}", f"--runs={runs}"]


def stop_at_random(settings, runs, rng, times: int) -> list[int]:
    """Stop a training by signals at random moments; return the steps that were reached."""
    path, reached = runs / "folder" / "cut", []
    line = [*command(settings, runs, "cut"), "--no-evaluate"]
    for number in itertools.islice(itertools.cycle((signal.SIGTERM, signal.SIGINT)), times):
        before = (reached or [0])[-1]
        process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        history = partial_path(path) / "history.csv"
        started = history.stat().st_mtime_ns if history.exists() else 0
        until = time.monotonic() + 300
        while time.monotonic() < until and process.poll() is None:
            if history.exists() and history.stat().st_mtime_ns > started:
                break  # an interval of this process is over
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.25))
        process.send_signal(number)
        error = process.communicate(timeout=300)[1].decode()
        assert process.returncode == 128 + number, error
        (step,) = re.findall(r"step (\d+) of", error)
        assert f"`retrieval train --resume {shlex.quote(str(path))} --no-evaluate`" in error
        # As far as before, if the signal came in the evaluation that the last one had cut short.
        assert int(step) >= before
        assert len(pd.read_csv(history)) == int(step)
        reached.append(int(step))
    return reached


@pytest.mark.slow
def test_a_process_that_gets_signals_at_random_moments_loses_no_step(tiny, tmp_path):
    settings = tiny.with_(steps=STEPS, eval_every=25, eval_split="test")
    whole = pipeline.train(settings, runs=tmp_path, name="whole", **OPTIONS)
    rng = np.random.default_rng(MOMENTS)
    reached = stop_at_random(settings, tmp_path, rng, MOMENTS)
    assert reached[-1] < STEPS
    path = pipeline.resume(tmp_path / "folder" / "cut", **OPTIONS)
    assert_equal_to_the_last_bit(path, whole)
