"""Greedy k-means++ seeding, computed on the nearest-neighbour graph that the search has made.

k-means++ (Arthur and Vassilvitskii 2007) draws each next centre with probability proportional to
D^2, the squared distance to the nearest centre so far; the greedy variant draws several candidates
and keeps the one that lowers the sum of D^2 most (what scikit-learn does). Two things make it fast:

* A new centre mostly lowers D^2 of points near it, so a candidate's gain is summed over its graph
  neighbours only: O(k x trials x neighbours) in place of O(k x trials x n x d).
* D^2 is made exact for all points by one matrix product for every few hundred centres, O(k n d) in
  all. Without this, one huge class keeps drawing centres although it has many.

It falls back to exact seeding where a cluster outgrows a neighbourhood: there are few clusters
then, and exact seeding is cheap. See :func:`graph_suits`.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit

NEIGHBOURS = 32
STEP = 256  # centres drawn before D^2 is exact again; fewer at first
CHEAP = 1e10  # multiply-adds of exact seeding that take about a second
CROWDED = 1.0  # points per cluster, over neighbours, from which a graph no longer covers a cluster


def n_trials(k: int) -> int:
    """Return how many candidates greedy k-means++ draws for each centre (as scikit-learn)."""
    return 2 + int(np.log(k))


def graph_suits(n: int, d: int, k: int, neighbours: int) -> bool:
    """Tell whether seeding on the graph is both needed and safe.

    Args:
        n: Points.
        d: Dimensions.
        k: Clusters.
        neighbours: Neighbours per point in the graph.

    Returns:
        False where exact seeding takes about a second, or where clusters outgrow a neighbourhood.
    """
    exact = float(n) * d * k * n_trials(k)
    return exact > CHEAP and n / k <= CROWDED * min(neighbours, NEIGHBOURS)


@njit(nogil=True, cache=True)
def _add(tree, i, change):
    i += 1
    while i < len(tree):
        tree[i] += change
        i += i & -i


@njit(nogil=True, cache=True)
def _find(tree, target):
    """Return the index whose running total first exceeds ``target`` (Fenwick 1994)."""
    i, step = 0, 1
    while 2 * step < len(tree):
        step *= 2
    while step > 0:
        if i + step < len(tree) and tree[i + step] <= target:
            i += step
            target -= tree[i]
        step //= 2
    return min(i, len(tree) - 2)


@njit(nogil=True, cache=True)
def _choose(nearest, squared, ids, draws, tree, chosen):
    """Draw some centres; ``nearest`` is D^2, ``tree`` its Fenwick tree, both updated."""
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
    """Choose k-means centres among the points by greedy k-means++ on a neighbour graph.

    Args:
        points: float32, (n, d).
        ids: int, (n, m), neighbours of each point, nearest first; -1 pads. 32 are used.
        k: Centres, 1 <= k <= n.
        seed: Seed of the draws.
        pool: Worker threads.

    Returns:
        int64, (k,), rows of ``points``; a row is repeated only if there are fewer distinct points.
    """
    rng = np.random.default_rng(seed)
    ids = np.ascontiguousarray(ids[:, :NEIGHBOURS])
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
    # fewer distinct points than centres: any other rows will do, their clusters stay empty
    rest = np.setdiff1d(np.arange(len(points)), chosen[:found])
    chosen[found:] = rng.permutation(rest)[: k - found]
    return chosen


def fenwick(values: np.ndarray) -> np.ndarray:
    """Return the Fenwick tree (n + 1,) of some values (n,): partial sums, updated in O(log n)."""
    before = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(1, len(before))
    tree = before.copy()
    tree[1:] -= before[index - (index & -index)]
    return tree


def lower_nearest(
    points: np.ndarray,
    squares: np.ndarray,
    centres: np.ndarray,
    nearest: np.ndarray,
    pool: ThreadPoolExecutor,
) -> None:
    """Lower ``nearest`` to each point's squared distance to new centres (rows of ``points``)."""
    columns = points[centres].T

    def run(start: int) -> None:
        part = slice(start, start + 1024)
        apart = points[part] @ columns
        apart *= -2
        apart += squares[centres]
        least = np.maximum(apart.min(axis=1) + squares[part], 0)
        nearest[part] = np.minimum(nearest[part], least)

    list(pool.map(run, range(0, len(points), 1024)))
    nearest[centres] = 0


def edge_lengths(points: np.ndarray, ids: np.ndarray, pool: ThreadPoolExecutor) -> np.ndarray:
    """Return the squared Euclidean length of each graph edge, float64 (n, m)."""
    squared = np.empty(ids.shape)

    def run(start: int) -> None:
        part = slice(start, start + 1024)
        apart = points[ids[part]] - points[part, None]
        squared[part] = np.einsum("ijk,ijk->ij", apart, apart)

    list(pool.map(run, range(0, len(points), 1024)))
    return squared
