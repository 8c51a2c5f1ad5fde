"""Keras callbacks of a training run: history, guards, evaluation, checkpoints, progress.

One Keras "epoch" is one interval of ``eval_every`` steps; the order in :func:`run_callbacks`
matters: a step is recorded before it is checked, evaluated before it is saved.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
from tqdm.auto import tqdm

from retrieval.checkpoints import save_checkpoint
from retrieval.errors import UserError
from retrieval.history import History

COLLAPSED = 1e-3
BatchNames = Callable[[int], list[str]]


@dataclass
class Clock:
    """Steps taken so far and wanted in all."""

    step: int
    total: int


class RecordSteps(keras.callbacks.Callback):
    """Advance the clock, write a history row per step, end exactly at the last step."""

    def __init__(self, clock: Clock, history: History) -> None:
        super().__init__()
        self.clock, self.history = clock, history

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Record loss, spread and learning rate of the step just taken."""
        self.clock.step += 1
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        self.history.append(
            {
                "step": self.clock.step,
                "loss": float(logs["loss"]),
                "learning_rate": rate,
                "spread": float(logs["spread"]),
            }
        )
        if self.clock.step >= self.clock.total:
            self.model.stop_training = True


class Guard(keras.callbacks.Callback):
    """Stop at a non-finite loss, naming the batch; report a collapsed embedding as it happens."""

    def __init__(self, clock: Clock, batch_names: BatchNames, checkpoints: Path) -> None:
        super().__init__()
        self.clock, self.batch_names, self.checkpoints = clock, batch_names, checkpoints
        self.collapsed = False

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Check the loss and the spread of the step just taken.

        Raises:
            UserError: The loss is NaN or infinite.
        """
        if not math.isfinite(logs["loss"]):
            names = ", ".join(self.batch_names(self.clock.step - 1))
            good = sorted(self.checkpoints.glob("step-*"))
            raise UserError(
                f"step {self.clock.step}: the loss is {logs['loss']}; last good checkpoint: "
                f"{good[-1] if good else 'none yet'}; lower --learning-rate or set --clip-norm. "
                f"Batch (file: label): {names}"
            )
        if (logs["spread"] < COLLAPSED) != self.collapsed:
            self.collapsed = not self.collapsed
            state = (
                "collapsed: all embeddings are (nearly) equal; lower --learning-rate, or a "
                "smaller margin"
                if self.collapsed
                else "no longer collapsed"
            )
            tqdm.write(
                f"step {self.clock.step}: the embedding is {state} "
                f"(relative spread {logs['spread']:.1e})"
            )


class Evaluate(keras.callbacks.Callback):
    """Evaluate after each interval and put the metrics into the history and Keras' logs."""

    def __init__(
        self, clock: Clock, history: History, evaluate: Callable[[], dict[str, float]] | None
    ) -> None:
        super().__init__()
        self.clock, self.history, self.evaluate = clock, history, evaluate

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Run the evaluation, if one was asked for."""
        if self.evaluate is not None:
            metrics = self.evaluate()
            self.history.annotate(metrics)
            logs.update(metrics)


class SaveCheckpoint(keras.callbacks.Callback):
    """Write history and checkpoint after each interval; stop early without gain."""

    def __init__(
        self, clock: Clock, history: History, folder: Path, monitor: str, patience: int
    ) -> None:
        super().__init__()
        self.clock, self.history, self.folder = clock, history, folder
        self.monitor, self.patience = monitor, patience

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Save, then compare the monitored metric with its best so far.

        Raises:
            UserError: The monitored metric is not among the evaluated ones.
        """
        scores = [row.get(self.monitor) for row in self.history.rows]
        scores = [s for s in scores if s is not None and not math.isnan(s)]
        if self.patience and not scores:
            raise UserError(
                f"monitor {self.monitor!r} is not evaluated in training: valid: "
                + ", ".join(sorted(logs))
            )
        self.history.flush()
        save_checkpoint(self.folder, self.model, self.clock.step, logs.get(self.monitor))
        if self.patience and len(scores) - 1 - scores.index(max(scores)) >= self.patience:
            tqdm.write(
                f"step {self.clock.step}: {self.monitor} has not improved for "
                f"{self.patience} evaluations; stopping"
            )
            self.model.stop_training = True


class Progress(keras.callbacks.Callback):
    """A bar with the loss, the last in-training metric and the time left."""

    def __init__(self, clock: Clock, title: str, monitor: str) -> None:
        super().__init__()
        self.bar = tqdm(
            total=clock.total, initial=clock.step, desc=title, unit="step", mininterval=0.3
        )
        self.monitor, self.shown = monitor, {}

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Move the bar by one step."""
        self.shown["loss"] = f"{logs['loss']:.4f}"
        self.bar.set_postfix(self.shown, refresh=False)
        self.bar.update(1)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Show the metric just evaluated."""
        if self.monitor in logs:
            self.shown[self.monitor] = f"{logs[self.monitor]:.4f}"

    def on_train_end(self, logs: dict | None = None) -> None:
        """Leave the finished bar on screen."""
        self.bar.close()
