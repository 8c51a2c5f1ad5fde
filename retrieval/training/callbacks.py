"""Keras callbacks of a training run: history, guards, evaluation, checkpoints, progress.

One Keras "epoch" is one interval of ``eval_every`` steps. The order of the callbacks matters: see
:func:`retrieval.training.fit.fit`.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from retrieval.errors import UserError
from retrieval.evaluation.geometry import COLLAPSED
from retrieval.files import write_text
from retrieval.losses.ops.inputs import LARGEST_COMPONENT
from retrieval.progress import duration
from retrieval.runs.live import TRAINING
from retrieval.training.checkpoints import save_checkpoint
from retrieval.training.history import OF_A_STEP, History
from retrieval.training.interruption import at_once, check_stop
from retrieval.training.live import LiveRecord

Logs = dict[str, Any] | None
NAMED_FILES = 3  # of a batch, in an error; all of them are listed in a file


class StepCounter(keras.callbacks.Callback):
    """Count the training steps of a run and stop training after the last one.

    Keras starts from 0 again when a run is resumed; this counter includes the steps taken before.
    It must be the first callback, because the others read it.

    Args:
        step: Number of steps already taken.
        total: Number of steps of the whole run.

    Attributes:
        step: Number of steps taken so far.
        total: Number of steps of the whole run.
        cut_short: Whether :class:`IntervalEnd` has ended the present interval, not the training.
    """

    def __init__(self, step: int, total: int) -> None:
        super().__init__()
        self.step, self.total = step, total
        self.cut_short = False

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Count the step just taken."""
        self.step += 1
        if self.step >= self.total:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Let the training go on after an interval that was cut short."""
        if self.cut_short:
            self.cut_short = self.model.stop_training = False


class IntervalEnd(keras.callbacks.Callback):
    """Stop on a signal, and end the rest of an interval where the whole one would have ended.

    A run may be resumed in the middle of an interval, and Keras' intervals all have the same
    number of steps: without this, every later evaluation would come at another step than without
    the interruption. It must be the last callback, so that a step is recorded before it stops.

    Args:
        counter: The run's step counter.
        interval: Number of steps of an interval.

    Raises:
        Interrupted: SIGINT or SIGTERM has arrived, and the step is finished.
    """

    def __init__(self, counter: StepCounter, interval: int) -> None:
        super().__init__()
        self.counter = counter
        self.first_end = counter.step + interval - counter.step % interval

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Stop if a signal has arrived; end the first interval."""
        check_stop()
        if self.counter.step == self.first_end and not self.model.stop_training:
            self.counter.cut_short = self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Stop if a signal has arrived while the interval was ended."""
        check_stop()


class TerminateOnNonFiniteLoss(keras.callbacks.Callback):
    """Terminate a training that diverges with an error that names the batch.

    The loss and the spread of the embeddings are checked after every step, all weights at the end
    of every interval, before they are evaluated and saved. Unlike Keras' ``TerminateOnNaN`` this
    also catches infinities, weights and embeddings that are too large for a loss to compare.

    Args:
        counter: The run's step counter.
        batch_names: Function from a step, counted from 0, to the lines ``file: label`` of its
            batch.
        checkpoints: The run's ``checkpoints`` folder, which the error refers to. The list of the
            batch is written next to it, to ``diverged-batch.txt``.

    Raises:
        UserError: The loss or a weight is not finite, or a weight or embedding is too large.
    """

    def __init__(
        self, counter: StepCounter, batch_names: Callable[[int], list[str]], checkpoints: Path
    ) -> None:
        super().__init__()
        self.counter, self.batch_names, self.checkpoints = counter, batch_names, checkpoints

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Check the loss and the embeddings of the step just taken."""
        logs = logs or {}
        if not math.isfinite(logs["loss"]):
            raise self._error(f"the loss is {logs['loss']}")
        if not math.isfinite(logs["spread"]):
            raise self._error(f"embeddings are larger than {LARGEST_COMPONENT:.0e}")

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Check the weights that the last step has left; the next step would show it too late."""
        self.check_weights()

    def check_weights(self) -> None:
        """Check the weights of the network and of the loss.

        Raises:
            UserError: One is not finite, or too large.
        """
        network = self.model.network
        if not all(np.isfinite(w).all() for w in network.get_weights()):
            raise self._error("the weights are no longer finite after it")
        trained = [np.asarray(variable) for variable in network.trainable_variables]
        if any(np.abs(w).max(initial=0) > LARGEST_COMPONENT for w in trained):
            raise self._error(f"weights are larger than {LARGEST_COMPONENT:.0e} after it")
        owned = self.model.loss_weights + self.model.loss_state
        if not all(np.isfinite(np.asarray(v)).all() for v in owned):
            raise self._error("the loss's own weights are no longer finite after it")

    def _error(self, cause: str) -> UserError:
        names = self.batch_names(self.counter.step - 1)
        listing = self.checkpoints.parent / "diverged-batch.txt"
        write_text(listing, "".join(f"{name}\n" for name in names))
        good = sorted(self.checkpoints.glob("step-*"))
        return UserError(
            f"step {self.counter.step}: {cause}; last good checkpoint: "
            f"{good[-1] if good else 'none yet'}; lower --learning-rate or set --clip-norm. "
            f"Batch (file: label): {', '.join(names[:NAMED_FILES])}, ... all {len(names)} in "
            f"{listing}"
        )


class CollapseWarning(keras.callbacks.Callback):
    """Print a warning when the embedding collapses, and a line when it recovers.

    In a collapsed embedding all images have (nearly) the same embedding. The loss may look healthy
    nevertheless.

    Args:
        counter: The run's step counter.
        threshold: Relative spread of a batch's embeddings below which they count as collapsed.
            Defaults to the threshold of the evaluation, 0.001.
    """

    def __init__(self, counter: StepCounter, threshold: float = COLLAPSED) -> None:
        super().__init__()
        self.counter, self.threshold = counter, threshold
        self.collapsed = False

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Compare the spread of the step just taken with the threshold."""
        spread = (logs or {})["spread"]
        if (spread < self.threshold) == self.collapsed:
            return
        self.collapsed = not self.collapsed
        state = (
            "collapsed: all embeddings are (nearly) equal; lower --learning-rate or the margin"
            if self.collapsed
            else "no longer collapsed"
        )
        tqdm.write(
            f"step {self.counter.step}: the embedding is {state} (relative spread {spread:.1e})"
        )


class RetrievalEvaluation(keras.callbacks.Callback):
    """Add retrieval metrics to the logs at the end of every interval.

    A signal to stop does not wait for an evaluation, which may take minutes: it is abandoned, and
    made when the run goes on.

    Args:
        evaluate: Function that evaluates the network as it is and returns its metrics by name.

    Raises:
        Interrupted: SIGINT or SIGTERM has arrived.
    """

    def __init__(self, evaluate: Callable[[], dict[str, float]]) -> None:
        super().__init__()
        self.evaluate = evaluate

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Evaluate, and add the metrics to Keras' logs."""
        with at_once():
            metrics = self.evaluate()
        if logs is not None:
            logs.update(metrics)


class CSVHistory(keras.callbacks.Callback):
    """Record every training step, and write all of them to ``history.csv`` after every interval.

    Unlike Keras' ``CSVLogger`` this records steps rather than epochs, and a resumed run continues
    the file without losing or repeating one. Metrics that are in the logs at the end of an interval
    go into the row of its last step.

    Args:
        counter: The run's step counter.
        history: The run's history.
    """

    def __init__(self, counter: StepCounter, history: History) -> None:
        super().__init__()
        self.counter, self.history = counter, history
        self.learning_rate = math.nan

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Note the learning rate of the step, which a schedule changes at its end."""
        self.learning_rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Record loss, learning rate and spread of the step just taken."""
        logs = logs or {}
        self.history.append(
            {
                "step": self.counter.step,
                "loss": float(logs["loss"]),
                "learning_rate": self.learning_rate,
                "spread": float(logs["spread"]),
            }
        )

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Add the metrics of the interval and write the file."""
        self.history.annotate({k: v for k, v in (logs or {}).items() if k not in OF_A_STEP})
        self.history.flush()


class TrainingCheckpoint(keras.callbacks.Callback):
    """Save everything that is needed to resume the run, after every interval.

    Keeps the latest and the best checkpoint; see :mod:`retrieval.training.checkpoints`.

    Args:
        counter: The run's step counter.
        folder: The run's ``checkpoints`` folder.
        monitor: Name of the metric by which a checkpoint is the best; higher is better.
    """

    def __init__(self, counter: StepCounter, folder: Path, monitor: str) -> None:
        super().__init__()
        self.counter, self.folder, self.monitor = counter, folder, monitor

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Save a checkpoint with the value of the monitored metric, if there is one."""
        score = (logs or {}).get(self.monitor)
        save_checkpoint(self.folder, self.model, self.counter.step, score)


class EarlyStoppingOnHistory(keras.callbacks.Callback):
    """Stop training when a metric has stopped improving.

    Unlike Keras' ``EarlyStopping`` this looks at the whole history of the run, so that a resumed
    run stops where it would have stopped without the interruption.

    Args:
        history: The run's history, in which the metric has been recorded.
        monitor: Name of the metric; higher is better.
        patience: Number of evaluations without improvement after which training stops. 0 never
            stops.
    """

    def __init__(self, history: History, monitor: str, patience: int) -> None:
        super().__init__()
        self.history, self.monitor, self.patience = history, monitor, patience

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Stop if the last evaluations brought no improvement."""
        if self.history.has_stopped_improving(self.monitor, self.patience):
            tqdm.write(
                f"step {self.history.rows[-1]['step']}: {self.monitor} has not improved for "
                f"{self.patience} evaluations; stopping"
            )
            self.model.stop_training = True


class LiveHistory(keras.callbacks.Callback):
    """Pass the history so far to a function while the model trains, e.g. to draw a live curve.

    Args:
        history: The run's history.
        show: Function of a data frame with a row per step so far, in the columns of
            ``history.csv``. It is called at the end of training as well.
        seconds: Least time between two calls. Defaults to 2.0.
    """

    def __init__(
        self, history: History, show: Callable[[pd.DataFrame], None], seconds: float = 2.0
    ) -> None:
        super().__init__()
        self.history, self.show, self.seconds = history, show, seconds
        self.last = time.monotonic()
        self.shown = pd.DataFrame()  # rows that no longer change: all but the last one

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Show the history, unless it was shown a moment ago."""
        if time.monotonic() - self.last >= self.seconds:
            self.show(self._frame())
            self.last = time.monotonic()

    def on_train_end(self, logs: Logs = None) -> None:
        """Show the whole history."""
        self.show(self._frame())

    def _frame(self) -> pd.DataFrame:
        # Only new rows are converted: to convert all of a long training takes longer than a step.
        new = pd.DataFrame(self.history.rows[len(self.shown) :])
        frame = pd.concat([self.shown, new], ignore_index=True) if len(self.shown) else new
        self.shown = frame.iloc[:-1]
        return frame


class LiveView(keras.callbacks.Callback):
    """Leave what the training is at in its record, from which the app shows it.

    Its place is after the checkpoint, which it notes. The time of a step is a moving average
    without evaluations, and without the first steps, which build graphs.

    Args:
        counter: The run's step counter.
        record: The run's record.
        images: Number of images of a batch.
        interval: Number of steps between two evaluations.
        clock: Returns a time in seconds. Defaults to ``time.monotonic``.
    """

    SKIPPED = 3  # steps that are not timed
    WEIGHT = 0.05  # of the newest step in the moving average

    def __init__(
        self,
        counter: StepCounter,
        record: LiveRecord,
        images: int,
        interval: int,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.counter, self.record, self.clock = counter, record, clock
        record.batch, record.interval, record.step = images, interval, counter.step
        self.seen, self.begun = 0, 0.0

    def on_train_begin(self, logs: Logs = None) -> None:
        """Begin the stage."""
        self.record.enter(TRAINING)
        self.begun = self.clock()

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Start the clock again after an evaluation."""
        self.begun = self.clock()

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Leave the step just taken."""
        now, record = self.clock(), self.record
        self.seen += 1
        if self.seen > self.SKIPPED:
            took = now - self.begun
            rate = record.rate
            record.rate = took if rate is None else rate + self.WEIGHT * (took - rate)
        self.begun = now
        record.step, record.loss = self.counter.step, float((logs or {})["loss"])
        record.recent.add(record.step, record.loss)
        record.has_worked = True
        record.move()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Note the checkpoint, and how long it and the evaluation took."""
        record = self.record
        record.evaluation = self.clock() - self.begun
        record.learning_rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        record.recent.clear()
        record.saved(self.counter.step)


class ProgressBar(keras.callbacks.Callback):
    """A progress bar over all steps of a run, with the loss and the latest value of a metric.

    Args:
        counter: The run's step counter.
        title: Text before the bar.
        monitor: Name of the metric to show.
    """

    def __init__(self, counter: StepCounter, title: str, monitor: str) -> None:
        super().__init__()
        self.bar = tqdm(
            total=counter.total, initial=counter.step, desc=title, unit="step", mininterval=0.3
        )
        self.monitor = monitor
        self.values: dict[str, str] = {}

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Advance the bar by one step."""
        self.values["loss"] = f"{(logs or {})['loss']:.4f}"
        self.bar.set_postfix(self.values, refresh=False)
        self.bar.update(1)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Show the metric just evaluated."""
        if logs and self.monitor in logs:
            self.values[self.monitor] = f"{logs[self.monitor]:.4f}"

    def close(self) -> None:
        """End the bar's line on the screen, so that an error does not overwrite it."""
        self.bar.close()


class StepClock(keras.callbacks.Callback):
    """Measure once, over the first steps of a training, how long a step takes.

    The first steps build graphs and are not counted, nor are evaluations.

    Args:
        skipped: Number of steps that are not counted. Defaults to 3.
        steps: Least number of steps that are. Defaults to 5.
        seconds: Least time that they take together. Defaults to 2.0.
        clock: Returns a time in seconds. Defaults to ``time.monotonic``.

    Attributes:
        each: Seconds that a step takes, with the wait for its images; None until it is known.
    """

    def __init__(
        self,
        *,
        skipped: int = 3,
        steps: int = 5,
        seconds: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.clock = clock
        self.skipped, self.steps, self.seconds = skipped, steps, seconds
        self.seen, self.spent, self.begun = 0, 0.0, 0.0
        self.each: float | None = None

    def on_train_begin(self, logs: Logs = None) -> None:
        """Start the clock of the first step."""
        self.begun = self.clock()

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Start the clock again after an evaluation."""
        self.begun = self.clock()

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Count the step just taken, with the wait for its images."""
        if self.each is not None:
            return
        now = self.clock()
        self.seen += 1
        if self.seen > self.skipped:
            self.spent += now - self.begun
        self.begun = now
        counted = self.seen - self.skipped
        if counted >= self.steps and self.spent >= self.seconds:
            self.each = self.spent / counted
            self.on_measured(self.each)

    def on_measured(self, each: float) -> None:
        """Use the time of a step, in seconds, as soon as it is known."""


class ExpectedTime(StepClock):
    """Print once, after the first steps, how long a step and the rest of the run will take.

    Args:
        counter: The run's step counter.
        images: Number of images of a batch.
        clock: Returns a time in seconds. Defaults to ``time.monotonic``.
    """

    def __init__(
        self, counter: StepCounter, images: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(clock=clock)
        self.counter, self.images = counter, images

    def on_measured(self, each: float) -> None:
        """Print the line, unless no step is left."""
        if left := self.counter.total - self.counter.step:
            rest = "the last step takes" if left == 1 else f"the {left:,} steps left take"
            tqdm.write(
                f"a step takes {duration(each)} ({self.images / each:,.0f} images/s); {rest} "
                f"about {duration(each * left)}, without evaluations"
            )
