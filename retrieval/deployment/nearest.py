"""The nearest vectors of a gallery: exactly, or with an index of faiss."""

from typing import Any

import numpy as np

from retrieval.errors import UserError
from retrieval.evaluation.search.distances import CITYBLOCK, DOT, kind_of, normalize, reported
from retrieval.runs.embedding_folder import Vectors

ROWS = 16_384  # of the gallery, compared at a time


def nearest(
    queries: np.ndarray, gallery: Vectors, distance: str, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Find the k nearest rows of a gallery, exactly, in double precision.

    Args:
        queries: float, (m, D).
        gallery: float, (n, D); a memory map, or vectors in parts, are read in parts.
        distance: One of :data:`retrieval.validation.Distance`.
        k: Number of neighbors, at least 1; n if the gallery is smaller.

    Returns:
        Rows int64 (m, k), nearest first and equal ones in their order; similarities float32 (m, k):
        the cosine, or the negative distance.

    Raises:
        UserError: An unknown distance.
    """
    kind, k = kind_of(distance), min(k, len(gallery))
    given = np.asarray(_prepared(queries, distance), np.float64)
    rows = np.empty((len(given), 0), np.int64)
    best = np.empty((len(given), 0), np.float64)
    for start in range(0, len(gallery), ROWS):
        part = np.asarray(_prepared(gallery[start : start + ROWS], distance), np.float64)
        found = _similarities(given, part, kind)
        best = np.concatenate([best, found], axis=1)
        numbers = np.arange(start, start + len(part))
        rows = np.concatenate([rows, np.broadcast_to(numbers, found.shape)], axis=1)
        best, rows = _largest(best, rows, k)
    return rows, reported(best, distance).astype(np.float32)


def _similarities(queries: np.ndarray, gallery: np.ndarray, kind: int) -> np.ndarray:
    if kind == CITYBLOCK:
        return -np.stack([np.abs(gallery - query).sum(axis=1) for query in queries])
    products: np.ndarray = queries @ gallery.T
    if kind == DOT:
        return products
    sizes = (queries**2).sum(1)[:, None] + (gallery**2).sum(1)
    return -np.maximum(sizes - 2 * products, 0)


def _largest(values: np.ndarray, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the k largest values of each line in descending order, of equal ones the first."""
    if values.shape[1] > 4 * k:
        least = np.partition(values, -k, axis=1)[:, -k]
        chosen = []
        for line, bound in zip(values, least, strict=True):
            at = np.flatnonzero(line >= bound)
            chosen.append(at[np.argsort(-line[at], kind="stable")[:k]])
        order = np.stack(chosen)
    else:
        order = np.argsort(-values, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(values, order, 1), np.take_along_axis(rows, order, 1)


def _prepared(vectors: np.ndarray, distance: str) -> np.ndarray:
    return normalize(vectors) if distance == "cosine" else np.asarray(vectors, np.float32)


def nearest_by_index(
    queries: np.ndarray, index: Any, distance: str, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Find the k nearest rows with an index of faiss, see :func:`nearest`.

    Returns:
        Rows int64 (m, k), -1 where the index finds no more, and similarities float32 (m, k), which
        are approximate if the index compresses the vectors.

    Raises:
        UserError: The distance has no index.
    """
    if kind_of(distance) == CITYBLOCK:
        raise UserError(f"distance {distance!r} has no index: search exactly")
    given = np.ascontiguousarray(_prepared(queries, distance), np.float32)
    found, rows = index.search(given, min(k, index.ntotal))
    exact = found if distance == "cosine" else -np.maximum(found, 0)
    return rows, reported(exact.astype(np.float64), distance).astype(np.float32)
