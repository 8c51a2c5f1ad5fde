"""The exact similarity of two rows: what every close decision of the search comes down to.

Compiled once per machine by Numba and cached beside this file; releases the GIL.
"""

import numpy as np
from numba import njit

DOT, SQUARED = 0, 1
DOT_GRID = 2.0**51
SPLIT = 2.0**13 + 1.0  # keeps 40 of 53 bits (Veltkamp's splitting)


@njit(nogil=True, cache=True, fastmath={"reassoc"})
def _dot(a, i, b, j):
    # A product of two float32 is exact in float64. Rounded to the grid, products are whole numbers
    # below 2**53 in sum, so every order of summation gives the same result.
    total = 0.0
    for t in range(a.shape[1]):
        total += np.rint(np.float64(a[i, t]) * DOT_GRID * np.float64(b[j, t]))
    return total / DOT_GRID


@njit(nogil=True, cache=True, fastmath={"reassoc"})
def _squared(a, i, b, j):
    total = 0.0
    for t in range(a.shape[1]):
        apart = np.float64(a[i, t]) - np.float64(b[j, t])
        total += apart * apart
    return total


@njit(nogil=True, cache=True, fastmath={"reassoc"})
def _cityblock(a, i, b, j):
    total = 0.0
    for t in range(a.shape[1]):
        total += abs(np.float64(a[i, t]) - np.float64(b[j, t]))
    return total


@njit(nogil=True, cache=True)
def similarity(kind, a, i, b, j):
    """Exact similarity of rows ``a[i]`` and ``b[j]``: dot product, or negative distance.

    Dot products of unit rows are exact to 2**-52 per term in any order of summation. Distances are
    rounded to 40 bits, so that equal sums tie although they were added in another order.
    """
    if kind == DOT:
        return _dot(a, i, b, j)
    total = _squared(a, i, b, j) if kind == SQUARED else _cityblock(a, i, b, j)
    high = total * SPLIT
    return -(high - (high - total))


@njit(nogil=True, cache=True, fastmath={"reassoc"})
def cityblock_tile(queries, gallery, tile):
    """Fill ``tile`` (m, n) with negative L1 distances in float32."""
    for i in range(len(queries)):
        for j in range(len(gallery)):
            total = np.float32(0)
            for t in range(queries.shape[1]):
                total += abs(queries[i, t] - gallery[j, t])
            tile[i, j] = -total


@njit(nogil=True, cache=True)
def positive_similarities(kind, queries, starts, members, gallery, first, out):
    """Set ``out[p]`` to the exact similarity of query ``i`` and ``gallery[members[p] - first]``.

    Pairs ``p`` of query ``i`` are ``starts[i]:starts[i + 1]``; members outside of
    ``first:first + len(gallery)`` are left alone.
    """
    for i in range(len(queries)):
        for p in range(starts[i], starts[i + 1]):
            at = members[p] - first
            if 0 <= at < len(gallery):
                out[p] = similarity(kind, queries, i, gallery, at)
