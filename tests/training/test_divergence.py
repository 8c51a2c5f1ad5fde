"""A run that diverges says so, in its own line, and never saves what is not a number."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from retrieval import open_run
from retrieval.errors import UserError
from retrieval.experiment.pipeline import train
from retrieval.runs.store import partial_path
from retrieval.training.callbacks import out_of_patience
from retrieval.training.checkpoints import read_index
from retrieval.training.history import History

pytestmark = pytest.mark.usefixtures("two_blocks")


@pytest.fixture
def broken_after(monkeypatch):
    """Make a weight NaN in one step, as a gradient that overflows would."""
    from retrieval.training.callbacks import RecordSteps

    record = RecordSteps.on_train_batch_end

    def at(step, weights=lambda model: model.network.trainable_variables):
        def record_and_break(self, batch, logs=None):
            record(self, batch, logs)
            if self.clock.step == step:
                variable = weights(self.model)[-1]
                variable.assign(np.full(variable.shape, np.nan))

        monkeypatch.setattr(RecordSteps, "on_train_batch_end", record_and_break)

    return at


@pytest.mark.parametrize(("step", "told"), [(10, 11), (16, 16)], ids=["within", "at a checkpoint"])
def test_weights_that_are_not_finite_are_not_saved(tiny, tmp_path, broken_after, step, told):
    broken_after(step)
    with pytest.raises(UserError) as caught:
        train(tiny, runs=tmp_path, name="x", progress=False)
    partial = partial_path(tmp_path / "folder" / "x")
    assert str(caught.value).startswith(f"step {told}: the ")
    assert f"last good checkpoint: {partial / 'checkpoints' / 'step-000008'};" in str(caught.value)
    assert read_index(partial / "checkpoints")["latest"] == 8


def test_proxies_that_are_not_finite_are_not_saved_either(tiny, tmp_path, broken_after):
    broken_after(16, lambda model: model.loss_weights)
    with pytest.raises(UserError, match=r"^step 16: the loss's own weights are no longer finite"):
        train(tiny.with_(loss="proxy_anchor"), runs=tmp_path, name="x", progress=False)
    checkpoints = partial_path(tmp_path / "folder" / "x") / "checkpoints"
    assert read_index(checkpoints)["latest"] == 8
    assert [p.name for p in checkpoints.glob("step-*")] == ["step-000008"]


@pytest.mark.parametrize(
    ("eval_every", "told"),
    [
        (8, "step 2: embeddings are larger than 1e+12;"),
        (1, "step 1: weights are larger than 1e+12"),
    ],
    ids=["within", "at a checkpoint"],
)
def test_embeddings_beyond_what_a_loss_can_compare_stop_it_though_the_loss_is_finite(
    tiny, tmp_path, eval_every, told
):
    settings = tiny.with_(
        loss="npairs_loss", learning_rate=1e20, freeze_backbone=True, eval_every=eval_every
    )
    with pytest.raises(UserError) as caught:
        train(settings, runs=tmp_path, name="x", progress=False)
    assert str(caught.value).startswith(told)
    assert "last good checkpoint: none yet; lower --learning-rate" in str(caught.value)
    assert ".png: class " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_error_names_the_first_files_of_the_batch_and_the_list_of_all(
    tiny, tmp_path, broken_after
):
    broken_after(10)
    with pytest.raises(UserError) as caught:
        train(tiny, runs=tmp_path, name="x", progress=False)
    listing = partial_path(tmp_path / "folder" / "x") / "diverged-batch.txt"
    names = listing.read_text().splitlines()
    assert len(names) == 6
    assert all(".png: class " in name for name in names)
    told = ", ".join(names[:3])
    end = f"Batch (file: label): {told}, ... all 6 in {listing}"
    assert str(caught.value).endswith(end)
    assert "\n" not in str(caught.value)


def test_the_error_has_a_line_of_its_own_below_the_bar(
    tiny, tmp_path, broken_after, monkeypatch, capsys
):
    from retrieval.cli import main as cli

    broken_after(10)
    flags = [f"--{k.replace('_', '-')}={v}" for k, v in tiny.to_mapping().items()
             if k in ("dataset", "data", "backbone", "weights", "image_size", "steps", "eval_every",
                      "classes_per_batch", "samples_per_class")]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["retrieval", "train", f"--runs={tmp_path}", *flags])
    with pytest.raises(SystemExit) as end:
        cli.main()
    err = capsys.readouterr().err
    assert end.value.code == 1
    assert err.rstrip("\n").split("\n")[-1].startswith("error: step 11: the loss is nan")
    assert "Traceback" not in err


def test_patience_counts_evaluations_since_the_best(tmp_path):
    history = History(tmp_path / "history.csv")
    verdicts = []
    for step, score in enumerate([0.1, 0.3, 0.2, None, 0.3, 0.4, 0.1, 0.1], start=1):
        history.append({"step": step} | ({} if score is None else {"recall@1": score}))
        verdicts.append(out_of_patience(history, "recall@1", 2))
    assert verdicts == [False, False, False, False, True, False, False, True]
    assert not out_of_patience(history, "recall@1", 0)


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
