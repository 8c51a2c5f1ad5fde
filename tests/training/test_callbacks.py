"""Callbacks of a run: a divergence stops it and is not saved, a collapse is reported."""

import sys
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest

from retrieval import open_run
from retrieval.cli import main
from retrieval.errors import UserError
from retrieval.experiment.pipeline import train
from retrieval.runs.places import partial_path
from retrieval.training.callbacks import (
    CollapseWarning,
    CSVHistory,
    EarlyStoppingOnHistory,
    LiveHistory,
    StepCounter,
)
from retrieval.training.checkpoints import read_index
from retrieval.training.history import History
from tests.callbacks import NotANumber

pytestmark = pytest.mark.usefixtures("two_blocks")


@pytest.mark.parametrize(("step", "told"), [(10, 11), (16, 16)], ids=["within", "at a checkpoint"])
def test_weights_that_are_not_finite_are_not_saved(tiny, tmp_path, step, told):
    with pytest.raises(UserError) as caught:
        train(tiny, runs=tmp_path, name="x", progress=False, callbacks=[NotANumber(step)])
    partial = partial_path(tmp_path / "folder" / "x")
    assert str(caught.value).startswith(f"step {told}: the ")
    assert f"last good checkpoint: {partial / 'checkpoints' / 'step-000008'};" in str(caught.value)
    assert read_index(partial / "checkpoints")["latest"] == 8


def test_proxies_that_are_not_finite_are_not_saved(tiny, tmp_path):
    settings, broken = tiny.with_(loss="proxy_anchor"), NotANumber(16, lambda m: m.loss_weights)
    with pytest.raises(UserError, match=r"^step 16: .*loss"):
        train(settings, runs=tmp_path, name="x", progress=False, callbacks=[broken])
    checkpoints = partial_path(tmp_path / "folder" / "x") / "checkpoints"
    assert read_index(checkpoints)["latest"] == 8
    assert [p.name for p in checkpoints.glob("step-*")] == ["step-000008"]


@pytest.mark.parametrize(
    ("eval_every", "told"),
    [
        (8, r"^step 2: embeddings .*1e\+12"),
        (1, r"^step 1: weights .*1e\+12"),
    ],
    ids=["within", "at a checkpoint"],
)
def test_embeddings_that_are_too_large_stop_training_even_if_the_loss_is_finite(
    tiny, tmp_path, eval_every, told
):
    settings = tiny.with_(
        loss="npairs_loss", learning_rate=1e20, freeze_backbone=True, eval_every=eval_every
    )
    with pytest.raises(UserError, match=told) as caught:
        train(settings, runs=tmp_path, name="x", progress=False)
    assert "none yet" in str(caught.value)
    assert "--learning-rate" in str(caught.value)
    assert ".png: class " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_error_names_the_first_files_of_the_batch_and_a_list_of_all(tiny, tmp_path):
    with pytest.raises(UserError) as caught:
        train(tiny, runs=tmp_path, name="x", progress=False, callbacks=[NotANumber(10)])
    listing = partial_path(tmp_path / "folder" / "x") / "diverged-batch.txt"
    names = listing.read_text().splitlines()
    assert len(names) == 6
    assert all(".png: class " in name for name in names)
    told = ", ".join(names[:3])
    end = f"Batch (file: label): {told}, ... all 6 in {listing}"
    assert str(caught.value).endswith(end)
    assert "\n" not in str(caught.value)


def test_the_error_has_a_line_of_its_own_below_the_bar(tiny, tmp_path, monkeypatch, capsys):
    flags = [f"--{k.replace('_', '-')}={v}" for k, v in tiny.to_mapping().items()
             if k in ("dataset", "data", "backbone", "weights", "image_size", "steps", "eval_every",
                      "classes_per_batch", "samples_per_class")]  # fmt: skip
    diverging = ["--learning-rate=1e30", "--optimizer=momentum", "--loss=hard_triplet"]
    arguments = ["retrieval", "train", f"--runs={tmp_path}", "--no-normalize", *flags, *diverging]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as end:
        main()
    err = capsys.readouterr().err
    assert end.value.code == 1
    assert err.rstrip("\n").split("\n")[-1].startswith("error: step ")
    assert "Traceback" not in err


class Stoppable:
    """The part of a Keras model that callbacks of this file touch."""

    stop_training = False


def test_a_collapse_is_reported_once_and_so_is_its_end(capsys):
    counter = StepCounter(0, 9)
    warning = CollapseWarning(counter, threshold=0.1)
    for spread in (0.5, 0.05, 0.01, 0.2, 0.3):
        counter.step += 1
        warning.on_train_batch_end(0, {"spread": spread})
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("step 2: ")
    assert "collapsed" in first
    assert "5.0e-02" in first
    assert second.startswith("step 4: ")
    assert "no longer" in second


class Zero(keras.callbacks.Callback):
    """Embed every image by zeros after the first step."""

    def on_train_batch_end(self, batch, logs=None):
        for variable in self.model.network.get_layer("head").trainable_variables:
            variable.assign(np.zeros(variable.shape))


def test_a_collapsed_embedding_is_reported_while_it_happens(tiny, tmp_path, capsys):
    settings = tiny.with_(steps=3, eval_every=3)
    train(settings, runs=tmp_path, evaluate=False, progress=False, callbacks=[Zero()])
    assert capsys.readouterr().out.count("step 2: the embedding is collapsed") == 1


def test_training_stops_without_improvement(tmp_path, capsys):
    history = History(tmp_path / "history.csv")
    stopping = EarlyStoppingOnHistory(history, "recall@1", 2)
    model = Stoppable()
    stopping.set_model(model)
    for step, (score, stops) in enumerate([(0.2, False), (0.1, False), (0.2, True)], start=1):
        history.append({"step": step, "recall@1": score})
        stopping.on_epoch_end(0, {})
        assert model.stop_training == stops
    assert "step 3: recall@1" in capsys.readouterr().out


def test_metrics_in_the_logs_go_into_the_row_of_the_last_step(tmp_path):
    counter, history = StepCounter(0, 2), History(tmp_path / "history.csv")
    model = Stoppable()
    model.optimizer = keras.optimizers.SGD(0.5)
    written = CSVHistory(counter, history)
    for callback in (counter, written):
        callback.set_model(model)
    for loss in (3.0, 2.0):
        written.on_train_batch_begin(0)
        for callback in (counter, written):
            callback.on_train_batch_end(0, {"loss": loss, "spread": 0.9})
    written.on_epoch_end(0, {"loss": 2.0, "spread": 0.9, "mine": 7.0})
    assert model.stop_training
    found = pd.read_csv(tmp_path / "history.csv")
    assert list(found) == ["step", "loss", "learning_rate", "spread", "mine"]
    assert found["step"].tolist() == [1, 2]
    assert found["loss"].tolist() == [3.0, 2.0]
    assert found["learning_rate"].tolist() == [0.5, 0.5]
    assert found["mine"].tolist()[1:] == [7.0]


def test_the_history_is_shown_while_it_grows_and_at_the_end(tmp_path):
    history, seen = History(tmp_path / "history.csv"), []
    live = LiveHistory(history, seen.append, seconds=0.0)
    for step in (1, 2):
        history.append({"step": step})
        live.on_train_batch_end(0)
    live.on_train_end()
    assert [frame["step"].tolist() for frame in seen] == [[1], [1, 2], [1, 2]]
    rarely = LiveHistory(history, seen.append, seconds=99.0)
    rarely.on_train_batch_end(0)
    assert len(seen) == 3


def test_metrics_of_an_evaluation_between_two_drawings_are_shown(tmp_path):
    history, seen = History(tmp_path / "history.csv"), []
    live = LiveHistory(history, seen.append, seconds=0.0)
    for step in (1, 2, 3):
        history.append({"step": step, "loss": 1.0 / step})
        live.on_train_batch_end(0)
        if step == 2:  # after the step was drawn
            history.annotate({"recall@1": 0.5})
    live.on_train_end()
    pd.testing.assert_frame_equal(seen[-1], pd.DataFrame(history.rows))


@pytest.mark.slow
def test_float16_scales_its_loss_and_continues(tiny, tmp_path, monkeypatch):
    as_if = SimpleNamespace(config=SimpleNamespace(list_physical_devices=lambda _: ["GPU"]))
    monkeypatch.setattr("retrieval.models.precision.tf", as_if)
    settings = tiny.with_(mixed_precision=True, steps=16)
    whole = open_run(train(settings, runs=tmp_path, name="whole", progress=False))
    assert np.isfinite(whole.history["loss"]).all()
    assert whole.history["loss"].iloc[-4:].mean() != whole.history["loss"].iloc[:4].mean()
    with np.load(whole.path / "checkpoints" / "step-000016" / "state.npz") as arrays:
        # The scale of the loss, 2 ** 15 to begin with, is part of the optimizer's state.
        assert any(arrays[k].shape == () and arrays[k] >= 2.0**10 for k in arrays.files)
    assert whole.embeddings.dtype == np.float32
