"""Confidence intervals by bootstrap over classes.

The queries of a class share their positives and their confusions, so they are not independent;
classes are what a class-disjoint test set samples. Every resample draws as many classes as there
are, with replacement, and takes all queries of each (cluster bootstrap; Field and Welsh 2007).
"""

from collections.abc import Iterator

import numpy as np

LEVEL = 0.95
ROWS = 64  # resamples drawn at a time


def class_weights(n_classes: int, n_samples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield how often each class is drawn, a few resamples at a time.

    Args:
        n_classes: Classes to draw from, with replacement, as many as there are.
        n_samples: Resamples.
        seed: Seed of the draws; equal seeds give equal (so paired) resamples.

    Yields:
        float32, (at most 64, n_classes).
    """
    rng = np.random.default_rng(seed)
    for start in range(0, n_samples, ROWS):
        rows = min(ROWS, n_samples - start)
        drawn = rng.integers(0, n_classes, (rows, n_classes), dtype=np.int32)
        drawn += np.arange(rows, dtype=np.int32)[:, None] * np.int32(n_classes)
        counts = np.bincount(drawn.ravel(), minlength=rows * n_classes)
        yield counts.reshape(rows, n_classes).astype(np.float32)


def class_sums(values: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum per-query values by class.

    Args:
        values: float, (q, m).
        classes: int, (q,), 0-based.

    Returns:
        Sums (c, m) and queries per class (c,), float64; only classes that occur.
    """
    _, codes = np.unique(classes, return_inverse=True)
    size = np.bincount(codes).astype(np.float64)
    sums = np.stack([np.bincount(codes, column) for column in values.T], axis=1)
    return sums, size


def bootstrap_means(
    values: np.ndarray, classes: np.ndarray, n_samples: int = 1000, seed: int = 0
) -> np.ndarray:
    """Resample the mean over queries of some per-query values.

    Args:
        values: float, (q, m), finite.
        classes: int, (q,), class of each query.
        n_samples: Resamples.
        seed: Seed of the draws.

    Returns:
        float64, (n_samples, m): the mean of each column in each resample.
    """
    sums, size = class_sums(values, classes)
    table = np.column_stack([sums, size]).astype(np.float32)
    drawn = [weights @ table for weights in class_weights(len(size), n_samples, seed)]
    drawn = np.concatenate(drawn).astype(np.float64)
    return drawn[:, :-1] / np.maximum(drawn[:, -1:], 1)


def percentile_interval(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the central 95% of resampled values (n_samples, m): low and high, (m,) each."""
    tail = (1 - LEVEL) / 2
    return np.quantile(draws, tail, axis=0), np.quantile(draws, 1 - tail, axis=0)
