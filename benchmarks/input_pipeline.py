"""Images per second of the input pipeline beside the bare decode of the same files.

    python benchmarks/input_pipeline.py --images DIR [--size 128] [--train]

``--train`` also runs MobileNetV3-Small training steps and reports the share of step time that is
spent waiting for input.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

from retrieval.input_pipeline import train_dataset

BATCH = 120


def bare(paths: list[str]) -> float:
    data = tf.data.Dataset.from_tensor_slices(paths).map(
        lambda p: tf.io.decode_jpeg(tf.io.read_file(p), channels=3),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    start = time.perf_counter()
    for _ in data.prefetch(8):
        pass
    return len(paths) / (time.perf_counter() - start)


def full(paths: list[str], size: int, **options: object) -> float:
    rows = np.random.default_rng(0).permutation(len(paths))
    rows = rows[: len(paths) // BATCH * BATCH].reshape(-1, BATCH)
    data = train_dataset(paths, np.arange(len(paths)), rows, size=size, **options)
    start = time.perf_counter()
    for _ in data:
        pass
    return rows.size / (time.perf_counter() - start)


def waiting(paths: list[str], size: int, steps: int = 40) -> float:
    """Return the share of step time a MobileNetV3-Small training loop waits for its batch."""
    network = keras.applications.MobileNetV3Small(
        (size, size, 3), include_top=False, weights=None, pooling="avg"
    )
    optimizer = keras.optimizers.Adam(3e-4)

    @tf.function
    def step(images: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(network(images, training=True)))
        optimizer.apply(
            tape.gradient(loss, network.trainable_variables), network.trainable_variables
        )
        return loss

    rows = np.random.default_rng(0).integers(0, len(paths), (steps + 5, BATCH))
    batches = iter(train_dataset(paths, np.arange(len(paths)), rows, size=size, pre_crop=size + 16))
    for _ in range(5):
        step(next(batches)[0])
    waited = 0.0
    start = time.perf_counter()
    for _ in range(steps):
        before = time.perf_counter()
        images = next(batches)[0]
        waited += time.perf_counter() - before
        step(images).numpy()
    return waited / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--train", action="store_true")
    options = parser.parse_args()
    paths = sorted(str(p) for p in options.images.rglob("*.jpg"))
    bare(paths)  # the files come from memory from here on
    print(f"{len(paths):,} photos, {options.size} px, {os.cpu_count()} cores\n")
    print("| pipeline | images/s | share of bare decode (best of 3, alternating) |\n|---|---|---|")
    ways = {
        "bare read + decode": lambda: bare(paths),
        "resize, flip": lambda: full(paths, options.size),
        "pre-crop, random crop, flip": lambda: full(
            paths, options.size, pre_crop=options.size + 16
        ),
        "random resized crop, colour": lambda: full(
            paths, options.size, pre_crop=options.size + 16, augment="strong"
        ),
    }
    speeds = {name: max(way() for _ in range(3)) for name, way in ways.items()}
    for name, speed in speeds.items():
        print(f"| {name} | {speed:,.0f} | {speed / speeds['bare read + decode']:.2f} |")
    if options.train:
        share = waiting(paths, options.size)
        print(f"\nMobileNetV3-Small at {options.size} px: {share:.1%} of step time waiting")


if __name__ == "__main__":
    main()
