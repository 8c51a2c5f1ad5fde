"""Measure the images per second of the input pipeline against the bare decoding of the same files.

    python benchmarks/input_pipeline.py --images DIR [--size 128 160 224] [--train]

Bare decoding is tf.io.read_file and tf.io.decode_jpeg on the same threads, with the results thrown
away. "and resize" adds one bilinear resize and the batch, the least that any pipeline has to do; it
does not choose a resolution per image, crop, flip or add labels. ``--train`` also trains
MobileNetV3-Small and reports the share of the step time that is spent waiting for input.
``--cache`` compares batches from disk with batches from ``--cache-images-gb``, in turns.

The pipelines take turns, several times, and the best turn of each counts. CPU time is reported too,
because it is the same on a machine that is busy with other work.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

from retrieval.input_pipeline.pipeline import train_dataset

BATCH = 120


def bare(paths: list[str], size: int | None = None) -> tf.data.Dataset:
    def read(path: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        if size is None:
            return tf.shape(image)
        return tf.cast(tf.image.resize(image, (size, size)) + 0.5, tf.uint8)

    data = tf.data.Dataset.from_tensor_slices(paths)
    return data.map(read, num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH).prefetch(4)


def ours(paths: list[str], size: int, **options: object) -> tf.data.Dataset:
    rows = np.random.default_rng(0).permutation(len(paths)).reshape(-1, BATCH)
    return train_dataset(paths, np.arange(len(paths)), rows, size=size, **options)


def cached(paths: list[str], size: int) -> tf.data.Dataset:
    rows = np.random.default_rng(0).permutation(len(paths)).reshape(-1, BATCH)
    rows = np.concatenate([rows, rows])
    data = train_dataset(paths, np.arange(len(paths)), rows, size=size, cache_gb=8)
    return data.take(len(rows) // 2)


def measure(
    pipelines: dict[str, tf.data.Dataset], images: int, turns: int = 5
) -> dict[str, tuple[float, float]]:
    """Return the best wall and CPU time per image of each pipeline, in microseconds."""
    best = dict.fromkeys(pipelines, (np.inf, np.inf))
    for _ in range(turns):
        for name, data in pipelines.items():
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in data:
                pass
            spent = time.perf_counter() - wall, time.process_time() - cpu
            best[name] = tuple(
                min(b, s / images * 1e6) for b, s in zip(best[name], spent, strict=True)
            )
    return best


def training_step(size: int) -> Callable[[tf.Tensor], tf.Tensor]:
    network = keras.applications.MobileNetV3Small(
        (size, size, 3), include_top=False, weights=None, pooling="avg"
    )
    optimizer = keras.optimizers.Adam(3e-4)

    @tf.function(autograph=False)
    def step(images: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(network(images, training=True)))
        optimizer.apply(
            tape.gradient(loss, network.trainable_variables), network.trainable_variables
        )
        return loss

    return step


def waiting(paths: list[str], size: int, steps: int, cache_gb: float) -> tuple[float, float]:
    """Return the milliseconds per step and the share of them spent waiting for the batch."""
    step = training_step(size)
    rows = np.random.default_rng(0).integers(0, len(paths), (steps + 5, BATCH))
    options = {"size": size, "pre_crop": size + size // 8, "cache_gb": cache_gb}
    batches = iter(train_dataset(paths, np.arange(len(paths)), rows, **options))
    for _ in range(5):
        step(next(batches)[0]).numpy()
    waited, start = 0.0, time.perf_counter()
    for _ in range(steps):
        before = time.perf_counter()
        images = next(batches)[0]
        waited += time.perf_counter() - before
        step(images).numpy()
    total = time.perf_counter() - start
    return total / steps * 1e3, waited / total


def compare(paths: list[str], size: int) -> None:
    crop = size + size // 8
    pipelines = {
        "bare read + decode": bare(paths),
        "and resize": bare(paths, size),
        "ours: resize, flip": ours(paths, size),
        f"ours: resize to {crop}, random crop, flip": ours(paths, size, pre_crop=crop),
        "ours: random resized crop, flip, color": ours(paths, size, augment="strong"),
        "ours, from the cache: flip": cached(paths, size),
    }
    best = measure(pipelines, len(paths))
    print(f"\n{size} px\n")
    print("| pipeline | images/s | of bare | CPU us/image | of bare |\n|---|---|---|---|---|")
    wall, cpu = best["bare read + decode"]
    for name, (own_wall, own_cpu) in best.items():
        print(
            f"| {name} | {1e6 / own_wall:,.0f} | {wall / own_wall:.2f} "
            f"| {own_cpu:.0f} | {cpu / own_cpu:.2f} |"
        )


def compare_cache(paths: list[str], size: int, turns: int) -> None:
    """Print time and memory of batches from disk and from the cache, which take turns."""
    crop = size + size // 8
    rows = np.random.default_rng(0).permutation(len(paths)).reshape(-1, BATCH)
    rows = np.concatenate([rows, rows])  # all images are drawn twice, or none would be kept
    spent: dict[str, list[tuple[float, float]]] = {"disk": [], "cache": []}
    filling = []
    for turn in range(turns):
        for name in ("disk", "cache") if turn % 2 == 0 else ("cache", "disk"):
            gigabytes = 8.0 if name == "cache" else 0.0
            begun = time.process_time()
            data = train_dataset(
                paths,
                np.arange(len(paths)),
                rows,
                size=size,
                pre_crop=crop,
                cache_gb=gigabytes,
            )
            if name == "cache":
                filling.append((time.process_time() - begun) / len(paths) * 1e6)
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in data:
                pass
            images = rows.size / 1e6
            spent[name].append(
                ((time.perf_counter() - wall) / images, (time.process_time() - cpu) / images)
            )
            del data
    disk, cache = np.array(spent["disk"]), np.array(spent["cache"])
    ratios = disk / cache
    print(f"\n{crop} px, cropped to {size} px; {turns} turns; us/image, median (range)\n")
    print("| | from disk | from the cache | ratio |\n|---|---|---|---|")
    for column, what in enumerate(("wall", "CPU")):
        cells = [
            f"{np.median(x[:, column]):.{digits}f} ({x[:, column].min():.{digits}f} - "
            f"{x[:, column].max():.{digits}f})"
            for x, digits in ((disk, 0), (cache, 0), (ratios, 1))
        ]
        print(f"| {what} | {' | '.join(cells)} |")
    print(
        f"\nfilling the cache: {np.median(filling):.0f} us of CPU per image, once; "
        f"{crop * crop * 3 * 10_000 / 1e9:.2f} GB per 10,000 images"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--size", type=int, nargs="+", default=[128])
    parser.add_argument("--count", type=int, default=1200, help="images to read")
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--cache", action="store_true", help="only compare disk and cache")
    parser.add_argument("--turns", type=int, default=7, help="turns of --cache")
    parser.add_argument("--steps", type=int, default=40, help="training steps to time")
    options = parser.parse_args()
    found = sorted(str(p) for p in options.images.rglob("*.jpg"))
    count = min(options.count, len(found)) // BATCH * BATCH
    if not count:
        parser.error(f"{options.images} has {len(found)} .jpg photos: give at least {BATCH}")
    paths = np.random.default_rng(0).permutation(found)[:count].tolist()
    shapes = np.array([tuple(x) for x in bare(paths).unbatch().as_numpy_iterator()])
    kilobytes = np.mean([Path(p).stat().st_size for p in paths]) / 1e3
    print(
        f"{count:,} of {len(found):,} photos, median {int(np.median(shapes[:, 0]))} x "
        f"{int(np.median(shapes[:, 1]))} px, {kilobytes:.0f} kB; {os.cpu_count()} cores"
    )
    for size in options.size:
        if options.cache:
            compare_cache(paths, size, options.turns)
        else:
            compare(paths, size)
    if options.train:
        print("\n| MobileNetV3-Small, 128 px, batch 120 | ms/step | waiting |\n|---|---|---|")
        for name, gigabytes in (("from disk", 0.0), ("from the cache", 8.0)):
            milliseconds, share = waiting(paths, 128, options.steps, gigabytes)
            print(f"| {name} | {milliseconds:.0f} | {share:.1%} |")


if __name__ == "__main__":
    main()
