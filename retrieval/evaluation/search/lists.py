"""Gallery positions that belong to each query: its positives, or what its ranking leaves out."""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.evaluation.protocol import Sides


@dataclass(frozen=True)
class Lists:
    """For each query an ascending series of gallery positions: ``pool[begin[i]:stop[i]]``.

    Queries may share a part of the pool, as those of one class share its gallery items. So lists
    by class or camera take the memory of the gallery, however many pairs they stand for.

    >>> two = Lists(np.array([0, 2, 1]), np.array([0, 0, 2]), np.array([2, 2, 3]))
    >>> two.sizes.tolist(), two.pool[two.entries(np.array([1, 2]))].tolist()
    ([2, 2, 1], [0, 2, 1])

    Attributes:
        pool: int64, (p,), gallery positions.
        begin: int64, (q,), start of each query's series in ``pool``.
        stop: int64, (q,), its end.
    """

    pool: NDArray[np.int64]
    begin: NDArray[np.int64]
    stop: NDArray[np.int64]

    @functools.cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Length of each query's series, int64 (q,)."""
        return self.stop - self.begin

    def entries(self, index: np.ndarray) -> NDArray[np.int64]:
        """Return where in ``pool`` the series of some queries lie, one after another, int64."""
        begin, size = self.begin[index], self.sizes[index]
        offset = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
        entries: NDArray[np.int64] = np.repeat(begin, size) + offset
        return entries


def of_same(codes: np.ndarray, sides: Sides) -> Lists:
    """List for each query the gallery positions of its code, a class or a camera.

    Args:
        codes: int64, (n,), code of each item, 0-based.
        sides: The queries and the gallery.
    """
    of_gallery = codes[sides.gallery]
    pool = np.argsort(of_gallery, kind="stable")
    ends = np.concatenate([[0], np.cumsum(np.bincount(of_gallery, minlength=codes.max() + 1))])
    of_query = codes[sides.queries]
    return Lists(pool, ends[of_query], ends[of_query + 1])
