"""The compiled loops that count pairs by similarity: a guiding histogram, then exact cells.

The float32 value of a tile places a pair wherever its proven error bound leaves no doubt
(:mod:`retrieval.evaluation.search.distances`); any other pair is compared exactly.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from retrieval.evaluation.search.kernels import CACHED, Doubles, ExactRows, Ints, Singles
from retrieval.evaluation.search.kernels import similarity as exact_similarity


class PairTile(NamedTuple):
    """Fast similarities of a block of queries with a few gallery items, and which pairs count.

    Attributes:
        values: float32, (m, n), similarity plus ``shift``; NaN for pairs that are left out.
        shift: float64, (m,).
        begin: Gallery position of the first column.
        start: int64, (m,), first gallery position that counts for each query.
        own: int64, (m,), gallery position of each query, which does not count; -1 for none.
        query_codes: int64, (m,), class of each query.
        gallery_codes: int64, (g,), class of each gallery item.
        half: int64, (c,), half of each class, 0 or 1.
        low: Similarity at which bin 1 begins, less the width of a bin.
        scale: Bins per unit of similarity.
    """

    values: Singles
    shift: Doubles
    begin: int
    start: Ints
    own: Ints
    query_codes: Ints
    gallery_codes: Ints
    half: Ints
    low: float
    scale: float


class Cells(NamedTuple):
    """What is counted of every pair, see :class:`retrieval.evaluation.pairs.PairCounts`.

    Attributes:
        of_bin: int64, (bins,), cell of a bin; -1 where pairs of the bin are compared exactly.
        edges: float64, (e,), similarities between the e + 1 cells, ascending.
        wanted: bool, (e + 1,), cells whose pairs are listed.
        positive: int64, (c, e + 1), pairs of the class.
        negative: int64, (c, e + 1), pairs of the class with other classes.
        negative_half: int64, (c, e + 1), those whose classes are in one half.
        near: float64, (2, e + 2, m), values of the pairs kept as examples: of different classes,
            the lowest of a cell, and negated, the highest of a cell of one class. The last row has
            the highest pairs of different classes, and the lowest of one class.
        near_rows: int64, (2, e + 2, m, 2), their query and gallery positions.
    """

    of_bin: Ints
    edges: Doubles
    wanted: np.ndarray
    positive: Ints
    negative: Ints
    negative_half: Ints
    near: Doubles
    near_rows: Ints


@njit(nogil=True, cache=CACHED)
def _bin(x: float, bins: int) -> int:
    return 0 if not x > 0 else (bins - 1 if x >= bins - 1 else int(x))


@njit(nogil=True, cache=CACHED)
def leave_out(values: Singles, begin: int, pool: Ints, first: Ints, stop: Ints) -> None:
    """Mark the pairs of a tile that are left out by NaN, in place.

    Args:
        values: float32, (m, n), the tile.
        begin: Gallery position of the first column.
        pool: int64, (p,), gallery positions.
        first: int64, (m,), where the ascending positions of each query begin in ``pool``.
        stop: int64, (m,), where they end.
    """
    m, n = values.shape
    for i in range(m):
        at = first[i] + np.searchsorted(pool[first[i] : stop[i]], begin)
        while at < stop[i] and pool[at] - begin < n:
            values[i, pool[at] - begin] = np.nan
            at += 1


@njit(nogil=True, cache=CACHED)
def histogram_tile(tile: PairTile, histogram: Ints) -> None:
    """Add the pairs of a tile to a histogram, int64 (5, bins).

    Rows: one class of half 0, of half 1; two classes of half 0, of half 1, of both halves.
    """
    m, n = tile.values.shape
    bins = histogram.shape[1]
    for i in range(m):
        a = tile.query_codes[i]
        of_a = tile.half[a]
        own = tile.own[i] - tile.begin
        base = tile.shift[i] + tile.low
        for j in range(max(0, tile.start[i] - tile.begin), n):
            if j == own or np.isnan(tile.values[i, j]):
                continue
            b = tile.gallery_codes[tile.begin + j]
            kind = of_a
            if a != b:
                kind = 2 + of_a if tile.half[b] == of_a else 4
            histogram[kind, _bin((np.float64(tile.values[i, j]) - base) * tile.scale, bins)] += 1


@njit(nogil=True, cache=CACHED)
def _keep(value: float, row: int, column: int, values: Doubles, rows: Ints) -> None:
    """Insert a pair into a list of the lowest values, ascending."""
    at = len(values) - 1
    while at > 0 and values[at - 1] > value:
        values[at] = values[at - 1]
        rows[at] = rows[at - 1]
        at -= 1
    values[at] = value
    rows[at, 0], rows[at, 1] = row, column


@njit(nogil=True, cache=CACHED)
def count_tile(
    tile: PairTile,
    rows: ExactRows,
    first_query: int,
    cells: Cells,
    found: Doubles,
    found_codes: Ints,
) -> int:
    """Count the pairs of a tile in their cells, and list those of the wanted cells.

    Args:
        tile: The tile.
        rows: The rows behind it.
        first_query: Position of the block's first query among all queries.
        cells: What is counted, changed in place.
        found: float64, (m * n,), filled with the exact similarities of the listed pairs.
        found_codes: int64, (m * n, 2), filled with their classes.

    Returns:
        Number of listed pairs.
    """
    m, n = tile.values.shape
    bins, listed = len(cells.of_bin), 0
    last, worst = len(cells.edges) + 1, cells.near.shape[2] - 1
    for i in range(m):
        a = tile.query_codes[i]
        own = tile.own[i] - tile.begin
        for j in range(max(0, tile.start[i] - tile.begin), n):
            if j == own or np.isnan(tile.values[i, j]):
                continue
            b = tile.gallery_codes[tile.begin + j]
            s = np.float64(tile.values[i, j]) - tile.shift[i]
            cell = cells.of_bin[_bin((s - tile.low) * tile.scale, bins)]
            if cell < 0:
                s = exact_similarity(
                    rows.kind, rows.queries, i, rows.gallery, tile.begin + j - rows.first
                )
                cell = np.searchsorted(cells.edges, s, side="right")
                if cells.wanted[cell]:
                    found[listed] = s
                    found_codes[listed, 0], found_codes[listed, 1] = a, b
                    listed += 1
            kind, value = 0, s
            if a == b:
                cells.positive[a, cell] += 1
                kind, value = 1, -s
            else:
                cells.negative[a, cell] += 1
                cells.negative[b, cell] += 1
                if tile.half[a] == tile.half[b]:
                    cells.negative_half[a, cell] += 1
                    cells.negative_half[b, cell] += 1
            if value < cells.near[kind, cell, worst]:
                _keep(
                    value,
                    first_query + i,
                    tile.begin + j,
                    cells.near[kind, cell],
                    cells.near_rows[kind, cell],
                )
            if -value < cells.near[kind, last, worst]:
                _keep(
                    -value,
                    first_query + i,
                    tile.begin + j,
                    cells.near[kind, last],
                    cells.near_rows[kind, last],
                )
    return listed
