"""What it costs a training to be watched: steps with and without a live record, alternately.

    python benchmarks/live.py [--pairs 30] [--steps 300] [--every 2.0]

Each block of steps runs the same compiled step on the same batches, without and with the record,
its thread and its callback. The steps are the cheapest that there are (the last layer only, on
cached features), so that the share is the largest. A third figure takes the callback and a write of
the file alone, in processor time, which a busy machine does not blur.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from retrieval.quiet import import_tensorflow

import_tensorflow()
import tensorflow as tf

from retrieval.losses import get_loss
from retrieval.runs.places import LIVE_FILE
from retrieval.settings import TrainSettings
from retrieval.training.callbacks import LiveView, StepCounter
from retrieval.training.live import LiveRecord
from retrieval.training.model import RankingModel
from retrieval.training.optimizers import build_optimizer

WIDTH, OUT, P, K = 1280, 64, 20, 6
SETTINGS = TrainSettings(dataset="grocery", freeze_backbone=True, embedding_size=OUT)


def model_and_batches(steps: int) -> tuple[RankingModel, tf.data.Dataset]:
    """Return a linear head on random features of EfficientNet's width, and batches of them."""
    rng = np.random.default_rng(0)
    features = tf.constant(rng.standard_normal((5000, WIDTH), np.float32))
    labels = tf.constant(np.repeat(np.arange(P, dtype=np.int32), K))
    rows = rng.integers(0, 5000, (steps, P * K)).astype(np.int32)
    batches = tf.data.Dataset.from_tensor_slices(rows).map(
        lambda r: (tf.gather(features, r), labels)
    )
    head = tf.keras.Sequential([tf.keras.Input((WIDTH,)), tf.keras.layers.Dense(OUT)])
    loss = get_loss("semi_hard_triplet")
    loss.build(P, OUT)
    model = RankingModel(head, loss)
    model.compile(optimizer=build_optimizer("adam", 1e-4))
    model.optimizer.build(model.trainable_variables)
    model.logs_steps = True
    return model, batches.prefetch(8)


def seconds(model: RankingModel, batches: tf.data.Dataset, callbacks: list) -> float:
    """Return how long a block of steps takes."""
    begun = time.perf_counter()
    model.fit(batches, verbose=0, shuffle=False, callbacks=callbacks)
    return time.perf_counter() - begun


def main() -> None:
    """Print one line per figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--every", type=float, default=2.0)
    given = parser.parse_args()
    model, batches = model_and_batches(given.steps)
    plain, watched = [], []
    with tempfile.TemporaryDirectory() as folder:
        record = LiveRecord(Path(folder), SETTINGS, every=given.every)
        record.start()
        counter = StepCounter(0, 10**9)
        view = LiveView(counter, record, P * K, given.steps)
        for pair in range(given.pairs + 2):  # the first two are not counted
            order = [(plain, [counter]), (watched, [counter, view])]
            for found, callbacks in order[:: 1 if pair % 2 else -1]:
                took = seconds(model, batches, callbacks)
                if pair >= 2:
                    found.append(took / given.steps)
        alone = _each(lambda: view.on_train_batch_end(0, {"loss": 0.5}), 100_000)
        write = _each(record.write, 300)
        size = (Path(folder) / LIVE_FILE).stat().st_size
        record.stop()
    step = statistics.median(plain)
    ratios = [b / a - 1 for a, b in zip(plain, watched, strict=True)]
    low, high = np.quantile(ratios, [0.25, 0.75])
    print(f"a step: {1000 * step:.3f} ms (median of {given.pairs} blocks of {given.steps})")
    print(
        f"watched: {100 * statistics.median(ratios):+.2f}% (median of pairs; quartiles "
        f"{100 * low:+.2f}% to {100 * high:+.2f}%)"
    )
    print(
        f"callback alone: {1e6 * alone:.2f} us a step; a write of {size:,} bytes: "
        f"{1e3 * write:.3f} ms every {given.every:g} s; together {100 * (alone / step):.3f}% + "
        f"{100 * write / given.every:.3f}% of the time"
    )


def _each(work, times: int) -> float:
    begun = time.thread_time()
    for _ in range(times):
        work()
    return (time.thread_time() - begun) / times


if __name__ == "__main__":
    main()
