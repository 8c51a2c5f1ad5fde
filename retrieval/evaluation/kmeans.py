"""k-means: greedy k-means++ seeding on the neighbor graph, and Lloyd's iterations.

k-means++ (Arthur and Vassilvitskii 2007) draws each next center with probability proportional to
D^2, the squared distance to the nearest center so far. The greedy variant, which scikit-learn uses,
draws several candidates and keeps the one that lowers the sum of D^2 most. Two things make it fast
on the neighbor graph that the search has computed:

* A new center mostly lowers D^2 of points near it, so the gain of a candidate is summed over its
  graph neighbors only: O(k x trials x neighbors) instead of O(k x trials x n x d).
* D^2 is made exact for all points by one matrix product for every few hundred centers, O(k n d)
  in all. Without this, one huge class keeps drawing centers although it has many.

Where a cluster outgrows a neighborhood, seeding is exact: there are few clusters then, and exact
seeding is cheap. See :func:`graph_suits`.

Lloyd's iterations are exact, and skip the comparisons that cannot change anything. A center moves
only if its members changed, so later iterations compare points with few centers: a point whose own
center is not farther than before, and not farther than the bound kept on all others, needs the
moved centers only (in the spirit of Hamerly 2010). The assignment in every iteration is the one
that comparing every point with every center would give, up to float32 rounding.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from retrieval.evaluation.search.kernels import (
    CACHED,
    LANES,
    NONE,
    Doubles,
    Ints,
    Singles,
    at_least,
)

BLOCK, TILE = 512, 512
MAX_ITERATIONS = 300


@njit(nogil=True, cache=CACHED)
def _best_two(tile: Singles, columns: Ints, best: Singles, winner: Ints, second: Singles) -> None:
    """Update the best and second-best score of each row, and the id of the best, with a tile."""
    n = tile.shape[1]
    for i in range(len(tile)):
        for start in range(0, n, LANES):
            stop = min(start + LANES, n)
            if at_least(tile, i, start, stop, second[i]) == NONE:
                continue
            for j in range(start, stop):
                score = tile[i, j]
                if score > best[i]:
                    if columns[j] != winner[i]:
                        second[i] = best[i]
                    best[i], winner[i] = score, columns[j]
                elif score > second[i] and columns[j] != winner[i]:
                    second[i] = score


@dataclass
class State:
    """The assignment of the points, by scores ``2 x.c - |c|^2``: the nearest center scores most.

    Attributes:
        best: float32, (n,), score of each point's center.
        winner: int64, (n,), id of that center.
        second: float32, (n,), upper bound on the scores of all other centers.
    """

    best: NDArray[np.float32]
    winner: NDArray[np.int64]
    second: NDArray[np.float32]


def compare(
    rows: np.ndarray,
    points: np.ndarray,
    centers: np.ndarray,
    columns: np.ndarray,
    state: State,
    pool: ThreadPoolExecutor,
) -> None:
    """Compare some points with some centers and update their assignment.

    Args:
        rows: int, (m,), points to compare.
        points: float32, (n, d + 1), the points with a column of ones.
        centers: float32, (k, d + 1), twice the centers with a column of minus their squared norms.
        columns: int64, (c,), centers to compare with.
        state: Updated in place at ``rows``.
        pool: Worker threads that share the points.
    """
    if not len(rows) or not len(columns):
        return
    chosen = centers if len(columns) == len(centers) else centers[columns]

    def run(start: int) -> None:
        at = rows[start : start + BLOCK]
        block = points[at]
        best, winner, second = state.best[at], state.winner[at], state.second[at]
        buffer = np.empty(len(at) * TILE, np.float32)
        for begin in range(0, len(columns), TILE):
            part = chosen[begin : begin + TILE]
            tile = buffer[: len(at) * len(part)].reshape(len(at), len(part))
            np.matmul(block, part.T, out=tile)
            _best_two(tile, columns[begin : begin + TILE], best, winner, second)
        state.best[at], state.winner[at], state.second[at] = best, winner, second

    list(pool.map(run, range(0, len(rows), BLOCK)))


def place(centers: np.ndarray, clusters: np.ndarray, means: np.ndarray) -> None:
    """Write means (c, d) into the rows ``clusters`` of the centers, as ``(2 c, -|c|^2)``."""
    centers[clusters, :-1] = 2 * means
    centers[clusters, -1] = -np.einsum("ij,ij->i", means, means, dtype=np.float64)


def means_of(
    points: np.ndarray, winner: NDArray[np.int64], clusters: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the mean of each given cluster (increasing ids, none empty), float64 (c, d)."""
    wanted = np.zeros(winner.max() + 1, bool)
    wanted[clusters] = True
    rows = np.flatnonzero(wanted[winner])
    rows = rows[np.argsort(winner[rows], kind="stable")]
    starts = np.searchsorted(winner[rows], clusters)
    size = np.diff(np.append(starts, len(rows)))
    sums: NDArray[np.float64] = np.add.reduceat(points[rows], starts, axis=0, dtype=np.float64)
    return sums / size[:, None]


def fill_empty(state: State, squares: np.ndarray, k: int) -> None:
    """Give each empty cluster a point that is far from its center, as scikit-learn does."""
    size = np.bincount(state.winner, minlength=k)
    empty = np.flatnonzero(size == 0)
    if not len(empty):
        return
    apart = squares - state.best
    for row in np.argsort(-apart, kind="stable"):
        if not len(empty) or apart[row] <= 1e-6 * squares[row]:
            return
        if size[state.winner[row]] > 1:
            size[state.winner[row]] -= 1
            state.winner[row], empty = empty[0], empty[1:]


def update(
    points: np.ndarray,
    centers: np.ndarray,
    state: State,
    moved: np.ndarray,
    pool: ThreadPoolExecutor,
) -> None:
    """Assign points again after some centers moved.

    A center that did not move cannot beat a point's own center if that still scores at least the
    bound on all others; such points are compared with the moved centers only.
    """
    is_moved = np.zeros(len(centers), bool)
    is_moved[moved] = True
    rows = np.flatnonzero(is_moved[state.winner])
    own = np.einsum("ij,ij->i", points[rows], centers[state.winner[rows]])
    state.best[rows] = own
    again = np.zeros(len(points), bool)
    again[rows] = own < state.second[rows]
    state.second[again] = -np.inf
    everything = np.arange(len(centers))
    compare(np.flatnonzero(again), points, centers, everything, state, pool)
    compare(np.flatnonzero(~again), points, centers, moved, state, pool)


def lloyd(
    points: np.ndarray,
    seeds: np.ndarray,
    pool: ThreadPoolExecutor,
    max_iterations: int = MAX_ITERATIONS,
) -> tuple[np.ndarray, float, int]:
    """Run Lloyd's iterations from given centers until no assignment changes.

    Args:
        points: float32, (n, d), the points to cluster.
        seeds: float32, (k, d), the first centers.
        pool: Worker threads that share the points.
        max_iterations: Largest number of iterations. Defaults to 300.

    Returns:
        Clusters int32 (n,), the sum of squared distances to the centers, and the number of
        iterations.
    """
    n, k = len(points), len(seeds)
    squares = np.einsum("ij,ij->i", points, points, dtype=np.float64)
    wide = np.column_stack([points, np.ones(n, np.float32)])
    centers = np.empty((k, wide.shape[1]), np.float32)
    place(centers, np.arange(k), seeds)
    low = np.float32(-np.inf)
    state = State(np.full(n, low), np.full(n, -1), np.full(n, low))
    compare(np.arange(n), wide, centers, np.arange(k), state, pool)
    before, iteration = np.full(n, -1), 0
    while iteration < max_iterations and (state.winner != before).any():
        iteration += 1
        fill_empty(state, squares, k)
        changed = state.winner != before
        moved = np.unique(np.concatenate([state.winner[changed], before[changed]]))
        moved = moved[moved >= 0]
        before = state.winner.copy()
        moved = moved[np.bincount(before, minlength=k)[moved] > 0]
        place(centers, moved, means_of(points, before, moved))
        update(wide, centers, state, moved, pool)
    inertia = float(np.maximum(squares - state.best, 0).sum())
    return state.winner.astype(np.int32), inertia, iteration


NEIGHBORS = 32  # neighbors of the graph that are used
STEP = 256  # centers drawn before D^2 is exact again; fewer at first
CHEAP = 1e10  # multiply-adds of exact seeding that take about a second
CROWDED = 1.0  # points per cluster and neighbor above which the graph no longer covers a cluster


def n_trials(k: int) -> int:
    """Return the candidates that greedy k-means++ draws per center, as many as scikit-learn."""
    return 2 + int(np.log(k))


def graph_suits(n: int, d: int, k: int, neighbors: int) -> bool:
    """Return whether seeding on the graph is both needed and safe.

    Args:
        n: Number of points.
        d: Number of dimensions.
        k: Number of clusters.
        neighbors: Number of neighbors per point in the graph.

    Returns:
        False if exact seeding takes about a second or less, or if clusters outgrow a neighborhood.
    """
    exact = float(n) * d * k * n_trials(k)
    return exact > CHEAP and n / k <= CROWDED * min(neighbors, NEIGHBORS)


@njit(nogil=True, cache=CACHED)
def _add(tree: Doubles, i: int, change: float) -> None:
    """Add to the value at position ``i`` of a Fenwick tree."""
    i += 1
    while i < len(tree):
        tree[i] += change
        i += i & -i


@njit(nogil=True, cache=CACHED)
def _find(tree: Doubles, target: float) -> int:
    """Return the first position whose cumulative sum exceeds ``target`` (Fenwick 1994)."""
    i, step = 0, 1
    while 2 * step < len(tree):
        step *= 2
    while step > 0:
        if i + step < len(tree) and tree[i + step] <= target:
            i += step
            target -= tree[i]
        step //= 2
    return min(i, len(tree) - 2)


@njit(nogil=True, cache=CACHED)
def _choose(
    nearest: Doubles, squared: Doubles, ids: Ints, draws: Doubles, tree: Doubles, chosen: Ints
) -> None:
    """Draw centers into ``chosen``, and update D^2 (``nearest``) and its Fenwick tree."""
    total = nearest.sum()
    for c in range(len(chosen)):
        best, best_gain = -1, -1.0
        for t in range(draws.shape[1]):
            i = _find(tree, draws[c, t] * total)
            gain = nearest[i]
            for e in range(ids.shape[1]):
                j = ids[i, e]
                if j >= 0 and squared[i, e] < nearest[j]:
                    gain += nearest[j] - squared[i, e]
            if gain > best_gain:
                best, best_gain = i, gain
        chosen[c] = best
        total -= nearest[best]
        _add(tree, best, -nearest[best])
        nearest[best] = 0.0
        for e in range(ids.shape[1]):
            j = ids[best, e]
            if j >= 0 and squared[best, e] < nearest[j]:
                total -= nearest[j] - squared[best, e]
                _add(tree, j, squared[best, e] - nearest[j])
                nearest[j] = squared[best, e]


def graph_seeds(
    points: np.ndarray, ids: np.ndarray, k: int, seed: int, pool: ThreadPoolExecutor
) -> np.ndarray:
    """Choose k-means centers among the points by greedy k-means++ on a neighbor graph.

    Args:
        points: float32, (n, d), the points to cluster.
        ids: int, (n, m), neighbors of each point, nearest first; -1 pads. 32 are used.
        k: Number of centers, 1 <= k <= n.
        seed: Seed of the draws.
        pool: Worker threads that share the points.

    Returns:
        int64, (k,), distinct rows of ``points``.
    """
    rng = np.random.default_rng(seed)
    ids = np.ascontiguousarray(ids[:, :NEIGHBORS])
    squared = edge_lengths(points, ids, pool)
    squares = np.einsum("ij,ij->i", points, points)
    chosen = np.zeros(k, np.int64)
    chosen[0] = rng.integers(len(points))
    nearest = np.full(len(points), np.inf)
    done, found = 0, 1
    while True:
        lower_nearest(points, squares, chosen[done:found], nearest, pool)
        if found == k or nearest.sum() <= 1e-6 * squares.sum():
            break
        step = min(k - found, max(1, min(STEP, found // 8)))
        draws = rng.random((step, n_trials(k)))
        done, found = found, found + step
        _choose(nearest, squared, ids, draws, fenwick(nearest), chosen[done:found])
    # With fewer distinct points than centers, any other rows will do: their clusters stay empty.
    rest = np.setdiff1d(np.arange(len(points)), chosen[:found])
    chosen[found:] = rng.permutation(rest)[: k - found]
    return chosen


def fenwick(values: Doubles) -> Doubles:
    """Return the Fenwick tree (n + 1,) of values (n,): partial sums, updated in O(log n)."""
    before = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(1, len(before))
    tree = before.copy()
    tree[1:] -= before[index - (index & -index)]
    return tree


def lower_nearest(
    points: np.ndarray,
    squares: np.ndarray,
    centers: np.ndarray,
    nearest: np.ndarray,
    pool: ThreadPoolExecutor,
) -> None:
    """Lower ``nearest`` to each point's squared distance to new centers (rows of ``points``)."""
    columns = points[centers].T

    def run(start: int) -> None:
        part = slice(start, start + 1024)
        apart = points[part] @ columns
        apart *= -2
        apart += squares[centers]
        least = np.maximum(apart.min(axis=1) + squares[part], 0)
        nearest[part] = np.minimum(nearest[part], least)

    list(pool.map(run, range(0, len(points), 1024)))
    nearest[centers] = 0


def edge_lengths(points: np.ndarray, ids: np.ndarray, pool: ThreadPoolExecutor) -> np.ndarray:
    """Return the squared Euclidean length of each graph edge, float64 (n, m)."""
    squared = np.empty(ids.shape)

    def run(start: int) -> None:
        part = slice(start, start + 1024)
        apart = points[ids[part]] - points[part, None]
        squared[part] = np.einsum("ijk,ijk->ij", apart, apart)

    list(pool.map(run, range(0, len(points), 1024)))
    return squared
