"""P x K batches of row numbers per second, on labels of Stanford Online Products' size.

    python benchmarks/sampling.py

Ours is compared with the method of the TF 1 baseline (a boolean mask over all files for every class
drawn) and, if it is installed, with pytorch-metric-learning's MPerClassSampler.
"""

import time
from collections.abc import Callable

import numpy as np

from retrieval.sampling import PKSampler

IMAGES, CLASSES, P, K = 59_551, 11_318, 20, 6
TURNS = 4


def catalog(rng: np.random.Generator, images: int, classes: int) -> np.ndarray:
    """Return the labels of shuffled images, in classes of 2 to 12."""
    sizes = np.full(classes, 2)
    while sizes.sum() < images:
        open_ = rng.permutation(np.flatnonzero(sizes < 12))[: images - sizes.sum()]
        sizes[open_[: max(1, len(open_) // 2)]] += 1
    return rng.permutation(np.repeat(np.arange(classes), sizes))


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


def rate(batch: Callable[[int], np.ndarray], first_step: int, seconds: float) -> tuple[int, float]:
    """Return the number of steps taken from a step on, and batches per second of CPU time."""
    start, steps = time.process_time(), 0
    while time.process_time() - start < seconds:
        batch(first_step + steps)
        steps += 1
    return steps, steps / (time.process_time() - start)


def main() -> None:
    labels = catalog(np.random.default_rng(0), IMAGES, CLASSES)
    print(f"{len(labels):,} images, {len(np.unique(labels)):,} classes, {P} x {K} batches\n")
    print("| sampler | batches/s, best of 4 | ours / it |\n|---|---|---|")
    ways = {
        "ours": ours(labels),
        "ours, ten times as many images": ours(np.tile(labels, 10)),
        "baseline: mask per class": baseline(labels),
        "pytorch-metric-learning MPerClassSampler": peer(labels),
    }
    steps, best = dict.fromkeys(ways, 0), dict.fromkeys(ways, 0.0)
    for _ in range(TURNS):  # in turns, so that other work on the machine slows all of them alike
        for name, batch in ways.items():
            if batch is not None:
                taken, speed = rate(batch, steps[name], seconds=1.0)
                steps[name], best[name] = steps[name] + taken, max(best[name], speed)
    for name, speed in best.items():
        if speed:
            print(f"| {name} | {speed:,.0f} | {best['ours'] / speed:.1f} |")
        else:
            print(f"| {name} | not installed | |")


if __name__ == "__main__":
    main()
