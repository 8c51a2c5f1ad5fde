"""Keras callbacks of a training run: history, guards, evaluation, checkpoints, progress.

One Keras "epoch" is one interval of ``eval_every`` steps; the order in :func:`run_callbacks`
matters: a step is recorded before it is checked, evaluated before it is saved.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from retrieval.errors import UserError
from retrieval.evaluation.geometry import COLLAPSED
from retrieval.files import write_text
from retrieval.losses.ops.inputs import LARGEST_COMPONENT
from retrieval.training.checkpoints import save_checkpoint
from retrieval.training.history import History

WATCH_SECONDS = 2.0
NAMED = 3  # files of a batch that an error names; the rest are in a file
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
        self.rate = math.nan

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Note the learning rate the step will use; afterwards a schedule has moved on."""
        self.rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Record loss, spread and learning rate of the step just taken."""
        self.clock.step += 1
        self.history.append(
            {
                "step": self.clock.step,
                "loss": float(logs["loss"]),
                "learning_rate": self.rate,
                "spread": float(logs["spread"]),
            }
        )
        if self.clock.step >= self.clock.total:
            self.model.stop_training = True


class Guard(keras.callbacks.Callback):
    """Stop a diverged training, naming the batch; report a collapsed embedding as it happens."""

    def __init__(self, clock: Clock, batch_names: BatchNames, checkpoints: Path) -> None:
        super().__init__()
        self.clock, self.batch_names, self.checkpoints = clock, batch_names, checkpoints
        self.collapsed = False

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Check the loss and the spread of the step just taken.

        Raises:
            UserError: The loss is NaN or infinite, or embeddings are beyond what it can compare.
        """
        if not math.isfinite(logs["loss"]):
            raise self._diverged(f"the loss is {logs['loss']}")
        if not math.isfinite(logs["spread"]):
            raise self._diverged(f"embeddings are larger than {LARGEST_COMPONENT:.0e}")
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

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Check what the network and the loss own before it is evaluated and saved.

        Raises:
            UserError: The last step made a weight NaN, infinite or larger than an embedding may be;
                the next step would show it.
        """
        network = self.model.network
        if not all(np.isfinite(w).all() for w in network.get_weights()):
            raise self._diverged("the weights are no longer finite after it")
        if any(
            np.abs(w).max(initial=0) > LARGEST_COMPONENT
            for w in map(np.asarray, network.trainable_variables)
        ):
            raise self._diverged(f"weights are larger than {LARGEST_COMPONENT:.0e} after it")
        owned = self.model.loss_weights + self.model.loss_state
        if not all(np.isfinite(np.asarray(v)).all() for v in owned):
            raise self._diverged("the loss's own weights are no longer finite after it")

    def _diverged(self, what: str) -> UserError:
        names = self.batch_names(self.clock.step - 1)
        listing = self.checkpoints.parent / "diverged-batch.txt"
        write_text(listing, "".join(f"{name}\n" for name in names))
        good = sorted(self.checkpoints.glob("step-*"))
        return UserError(
            f"step {self.clock.step}: {what}; last good checkpoint: "
            f"{good[-1] if good else 'none yet'}; lower --learning-rate or set --clip-norm. "
            f"Batch (file: label): {', '.join(names[:NAMED])}, ... all {len(names)} in {listing}"
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
        """Save, then compare the monitored metric with its best so far."""
        self.history.flush()
        save_checkpoint(self.folder, self.model, self.clock.step, logs.get(self.monitor))
        if out_of_patience(self.history, self.monitor, self.patience):
            tqdm.write(
                f"step {self.clock.step}: {self.monitor} has not improved for "
                f"{self.patience} evaluations; stopping"
            )
            self.model.stop_training = True


def out_of_patience(history: History, monitor: str, patience: int) -> bool:
    """Tell whether the last ``patience`` evaluations brought no gain; 0 is endless patience."""
    scores = [row.get(monitor) for row in history.rows]
    scores = [s for s in scores if s is not None and not math.isnan(s)]
    if not patience or not scores:
        return False
    return len(scores) - 1 - scores.index(max(scores)) >= patience


class Watch(keras.callbacks.Callback):
    """Hand the history so far to a watcher, every few seconds and at the end."""

    def __init__(self, history: History, watch: Callable[[pd.DataFrame], None]) -> None:
        super().__init__()
        self.history, self.watch = history, watch
        self.last = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Show what is new, unless that was done a moment ago."""
        if time.monotonic() - self.last >= WATCH_SECONDS:
            self._show()

    def on_train_end(self, logs: dict | None = None) -> None:
        """Show everything."""
        self._show()

    def _show(self) -> None:
        self.watch(pd.DataFrame(self.history.rows))
        self.last = time.monotonic()


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

    def close(self) -> None:
        """Leave the bar as it is on screen and go to the next line."""
        self.bar.close()
