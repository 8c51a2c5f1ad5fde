"""Index batches per second on a catalogue of Stanford Online Products' size.

    python benchmarks/sampling.py

Beside ours: the TF 1 baseline's way (a boolean mask over all files for every class drawn) and,
where it is installed, pytorch-metric-learning's MPerClassSampler.
"""

import time
from collections.abc import Callable

import numpy as np

from retrieval.sampling import PKSampler

IMAGES, CLASSES, P, K = 59_551, 11_318, 20, 6


def catalogue(rng: np.random.Generator) -> np.ndarray:
    """Labels of 59,551 images in 11,318 classes of 2 to 12 images, shuffled."""
    sizes = 2 + rng.multinomial(IMAGES - 2 * CLASSES, np.full(CLASSES, 1 / CLASSES))
    return rng.permutation(np.repeat(np.arange(CLASSES), np.minimum(sizes, 12)))


def ours(labels: np.ndarray) -> Callable[[int], np.ndarray]:
    return PKSampler(labels, P, K, seed=0).batch


def baseline(labels: np.ndarray) -> Callable[[int], np.ndarray]:
    rng, classes = np.random.default_rng(0), np.unique(labels)

    def batch(step: int) -> np.ndarray:
        rows = []
        for label in rng.choice(classes, P, replace=False):
            mine = np.flatnonzero(labels == label)
            rows.append(rng.choice(mine, K, replace=len(mine) < K))
        return np.concatenate(rows)

    return batch


def peer(labels: np.ndarray) -> Callable[[int], np.ndarray] | None:
    try:
        from pytorch_metric_learning.samplers import MPerClassSampler
    except ImportError:
        return None
    sampler = MPerClassSampler(labels, m=K, batch_size=P * K, length_before_new_iter=IMAGES)
    stream = iter(())

    def batch(step: int) -> np.ndarray:
        nonlocal stream
        rows = []
        while len(rows) < P * K:
            row = next(stream, None)
            if row is None:
                stream = iter(sampler)  # draws a whole epoch
            else:
                rows.append(row)
        return np.array(rows)

    return batch


def rate(batch: Callable[[int], np.ndarray], seconds: float = 3.0) -> float:
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        batch(steps)
        steps += 1
    return steps / (time.perf_counter() - start)


def main() -> None:
    labels = catalogue(np.random.default_rng(0))
    print(f"{len(labels):,} images, {len(np.unique(labels)):,} classes, {P} x {K} batches\n")
    print("| sampler | batches/s | ours / it |\n|---|---|---|")
    first = None
    for name, make in (
        ("ours", ours),
        ("baseline: mask per class", baseline),
        ("pytorch-metric-learning MPerClassSampler", peer),
    ):
        batch = make(labels)
        if batch is None:
            continue
        speed = rate(batch)
        first = first or speed
        print(f"| {name} | {speed:,.0f} | {first / speed:.1f} |")


if __name__ == "__main__":
    main()
