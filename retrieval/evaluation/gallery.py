"""The searched side: rows taken, checked and prepared, at once or chunk by chunk."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from retrieval.errors import UserError
from retrieval.evaluation import distances
from retrieval.evaluation.distances import Rows

LARGEST = 1e17  # its square, summed over dimensions, is still a float32


@dataclass(frozen=True)
class Gallery:
    """The searched side, prepared at once or chunk by chunk.

    Attributes:
        embeddings: (n, d), all items.
        positions: int64, (g,), the item row of each gallery position, rising.
        kind: Code of the distance.
        centre: float64, (d,), see :func:`retrieval.evaluation.distances.prepare`.
        chunk: Rows prepared at a time.
    """

    embeddings: np.ndarray
    positions: np.ndarray
    kind: int
    centre: np.ndarray
    chunk: int

    def rows(self, positions: np.ndarray) -> Rows:
        """Prepare the rows at some gallery positions (rising)."""
        return distances.prepare(
            take(self.embeddings, self.positions[positions]), self.kind, self.centre, as_query=False
        )

    def chunks(self) -> Iterator[tuple[int, Rows]]:
        """Yield (first position, prepared rows) over the gallery."""
        for first in range(0, len(self.positions), self.chunk):
            yield first, self.rows(np.arange(first, min(first + self.chunk, len(self.positions))))


def take(embeddings: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return some rows, checked; without a copy where they are contiguous.

    Raises:
        UserError: A value is NaN, infinite, or too large to square in float32.
    """
    whole = len(rows) and rows[-1] - rows[0] == len(rows) - 1
    part = embeddings[rows[0] : rows[-1] + 1] if whole else embeddings[rows]
    with np.errstate(invalid="ignore", over="ignore"):
        bad = ~(np.maximum(part.max(axis=1), -part.min(axis=1)) < LARGEST)
    if bad.any():
        row = int(rows[np.argmax(bad)])
        what = (
            f"is too large ({LARGEST:g})" if np.isfinite(embeddings[row]).all() else "is NaN or Inf"
        )
        raise UserError(f"embeddings: row {row} {what}; correct or remove it")
    return part


def take_any(embeddings: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return rows in any order, checked as in :func:`take`."""
    order = np.argsort(rows, kind="stable")
    part = take(embeddings, rows[order])
    back = np.empty_like(order)
    back[order] = np.arange(len(rows))
    return part[back]


def positives_of(
    pool: np.ndarray, begin: np.ndarray, stop: np.ndarray, own: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """List the gallery positions of each query's class, the query itself left out.

    Args:
        pool: int64, gallery positions sorted by class, then position.
        begin: int64, (m,), where each query's class begins in ``pool``.
        stop: int64, (m,), where it ends.
        own: int64, (m,), gallery position of each query; -1 if it is not in the gallery.

    Returns:
        ``starts`` int64 (m + 1,) and the positions, int64, flat; query ``i`` has
        ``starts[i]:starts[i + 1]``.
    """
    size = stop - begin
    offset = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
    members = pool[np.repeat(begin, size) + offset]
    keep = members != np.repeat(own, size)
    starts = np.concatenate([[0], np.cumsum(size - (own >= 0))])
    return starts, members[keep]


def mean_of(embeddings: np.ndarray, rows: np.ndarray, kind: int) -> np.ndarray:
    """Return the mean of some rows, float64 (d,); zeros where it is not needed."""
    total = np.zeros(embeddings.shape[1])
    if kind == distances.SQUARED:
        for start in range(0, len(rows), 65536):
            total += take(embeddings, rows[start : start + 65536]).sum(axis=0, dtype=np.float64)
    return total / max(1, len(rows))
