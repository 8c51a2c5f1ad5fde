"""k-means: greedy k-means++ seeding on the neighbor graph, and Lloyd's iterations.

k-means++ (Arthur and Vassilvitskii 2007) draws each next center with probability proportional to
D^2, the squared distance to the nearest center so far. The greedy variant, which scikit-learn uses,
draws several candidates and keeps the one that lowers the sum of D^2 most. Two things make it fast
on the neighbor graph that the search has computed:

* A new center mostly lowers D^2 of points near it, so the gain of a candidate is summed over its
  graph neighbors only: O(k x trials x neighbors) instead of O(k x trials x n x d).
* D^2 is made exact for all points by one matrix product for every few hundred centers, O(k n d)
  in all; where neighbors are all that are nearest, a point with a center among them needs none.
  Without this, one huge class keeps drawing centers although it has many.

Where clusters are far larger than a neighborhood, seeding is exact: there are few of them then, and
exact seeding is cheap. See :func:`graph_suits`.

Lloyd's iterations are exact, and skip the comparisons that cannot change anything (in the spirit of
Hamerly 2010). A bound is kept on the scores of all centers but a point's own. A center moves only
if its members changed; those that moved far are compared with every point, and the bound allows for
the others. Only points whose own center is not within it need all centers. Where the neighbors are
all that are nearest, they bound the distances to centers better, and nearly no comparison is left
(:func:`update_by_graph`). The assignment in every iteration is the one that comparing every point
with every center would give, up to float32 rounding.
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from retrieval.evaluation.search.kernels import (
    CACHED,
    LANES,
    NONE,
    Bools,
    Doubles,
    Ints,
    Singles,
    at_least,
)

BLOCK, TILE = 512, 512
CHUNK = 8 * BLOCK  # points that are assigned together
NEIGHBORS = 32  # neighbors of the graph; where clusters outgrow them, LISTED
LISTED = 64  # neighbors that tell which points a new center is known to be near
MAX_ITERATIONS = 300
ROUNDING = 3e-5  # of squared lengths in float32: a bound closer than that decides nothing
SAMPLE = 4096  # points that tell which comparisons an iteration can do without
CHOICES = 33  # numbers of far centers to choose from


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


@njit(nogil=True, cache=CACHED, fastmath={"reassoc", "contract"})
def edge_lengths(points: Singles, ids: Ints, first: int, stop: int, squared: Doubles) -> None:
    """Set ``squared`` to the squared length of each edge from the points ``first:stop``."""
    for i in range(first, stop):
        for e in range(ids.shape[1]):
            total = np.float32(0)
            for t in range(points.shape[1]):
                apart = points[ids[i, e], t] - points[i, t]
                total += apart * apart
            squared[i, e] = total


@dataclass(frozen=True)
class Graph:
    """Neighbors of every point.

    Attributes:
        ids: int64, (n, m), neighbors of each point, nearest first; -1 pads.
        squared: float64, (n, m), squared Euclidean length of each edge.
        is_nearest: Whether they are the m nearest of all other points, without padding.
        starts: int64, (n + 1,), where the edges that end in each point begin in ``sources``; empty
            if they are not the nearest.
        sources: int32 or int64, the edges that end in each point, as places ``i * width + e``:
            those of the m nearest and, where more neighbors are known, of these too.
        width: Neighbors of a point that ``sources`` counts, m or more.
    """

    ids: NDArray[np.int64]
    squared: NDArray[np.float64]
    is_nearest: bool
    starts: NDArray[np.int64]
    sources: np.ndarray
    width: int

    def bounds(self, k: int) -> bool:
        """Return whether the neighbors bound the distances to the means of k clusters well.

        They do not where a cluster outgrows a neighborhood: nearly every mean is compared then.
        """
        return self.is_nearest and not self.is_crowded(k)

    def is_crowded(self, k: int) -> bool:
        """Return whether the k clusters of all points outgrow a neighborhood."""
        n, width = self.ids.shape
        return bool(n > k * width)

    def tells_apart(self, k: int) -> bool:
        """Return whether k-means can be seeded on it, see :func:`graph_suits`.

        A candidate is judged by its neighbors. Where clusters outgrow a neighborhood, copies of the
        candidate may be all that it holds: they say nothing about the cluster.
        """
        if not self.is_crowded(k):
            return True
        last = self.squared[:, -1]
        return bool((last <= 1e-6 * last.max()).mean() <= COPIES)


def graph_width(n: int, k: int) -> int:
    """Return how many neighbors of every point the graph has, if as many are known.

    Args:
        n: Number of points.
        k: Number of clusters.

    Returns:
        32, or 64 where clusters hold more points than 32 on average.
    """
    return NEIGHBORS if n <= k * NEIGHBORS else LISTED


def make_graph(
    points: np.ndarray,
    ids: np.ndarray,
    k: int,
    pool: ThreadPoolExecutor,
    *,
    is_nearest: bool = False,
) -> Graph:
    """Measure the edges of a neighbor graph, and list the points that each point is a neighbor of.

    Args:
        points: float32, (n, d).
        ids: int, (n, m), neighbors of each point, nearest first; -1 pads. The first 32 are edges of
            the graph, or 64 where clusters outgrow them; up to 64 save comparisons if they are the
            nearest.
        k: Number of clusters.
        pool: Worker threads that share the points.
        is_nearest: Whether they are the nearest of all other points by Euclidean distance. Defaults
            to False.
    """
    width = graph_width(len(points), k)
    near, ids = np.ascontiguousarray(ids[:, :width], np.int64), ids[:, :LISTED]
    squared = np.empty(near.shape)

    def run(first: int) -> None:
        edge_lengths(points, near, first, min(first + BLOCK, len(points)), squared)

    list(pool.map(run, range(0, len(points), BLOCK)))
    if not is_nearest or (ids < 0).any():
        nothing = np.zeros(0, np.int64)
        return Graph(near, squared, False, nothing, nothing, 0)
    starts = np.concatenate([[0], np.cumsum(np.bincount(ids.ravel(), minlength=len(points)))])
    sources: np.ndarray = np.empty(ids.size, np.int32 if ids.size < 2**31 else np.int64)
    _list_edges(ids, starts[:-1].copy(), sources)
    return Graph(near, squared, True, starts, sources, ids.shape[1])


@njit(nogil=True, cache=CACHED)
def _list_edges(ids: Ints, cursor: Ints, sources: Ints) -> None:
    """List the edges that end in each point, beginning at ``cursor``, which is moved on."""
    for i in range(len(ids)):
        for e in range(ids.shape[1]):
            target = ids[i, e]
            sources[cursor[target]] = i * ids.shape[1] + e
            cursor[target] += 1


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

    def rows(self, at: slice) -> "State":
        """Return the state of some points, which is changed with this one."""
        return State(self.best[at], self.winner[at], self.second[at])


@dataclass(frozen=True)
class Moves:
    """The centers that an iteration has moved.

    Attributes:
        moved: int64, (c,), all of them.
        far: int64, (f,), those that moved most.
        slack: The Euclidean distance that each of the others moved at most; 0 if there are none.
    """

    moved: NDArray[np.int64]
    far: NDArray[np.int64]
    slack: float

    @classmethod
    def of(
        cls,
        moved: NDArray[np.int64],
        drift: NDArray[np.float64],
        k: int,
        squares: NDArray[np.float64],
        state: "State",
    ) -> "Moves":
        """Choose how many of the centers that moved most to set apart as far.

        Every point is compared with the far centers, and with all centers if one of the others may
        be nearer than its own by now. The choice is the one with the fewest comparisons, as a
        sample of the points tells; it decides how much work is left, and no result.

        Args:
            moved: int64, (c,), the centers that have moved.
            drift: float64, (c,), how far.
            k: Number of all centers.
            squares: float64, (n,), squared lengths of the points.
            state: The assignment before.
        """
        some = slice(None, None, max(1, len(squares) // SAMPLE))
        own, others = (
            np.sqrt(np.maximum(squares[some] - scores[some], 0))
            for scores in (state.best, state.second)
        )
        drift_of = np.zeros(k)
        drift_of[moved] = drift
        # How far the other centers may move before one of them may be the nearest.
        room = np.sort(others - own - drift_of[state.winner[some]])
        order = np.argsort(-drift, kind="stable")
        counts = np.unique(np.linspace(0, len(moved), CHOICES).astype(np.int64))
        slacks = np.append(drift[order], 0.0)[counts]  # the largest drift of those not set apart
        again = np.searchsorted(room, slacks) / len(room)
        chosen = np.argmin((1 - again) * counts + again * k)
        return cls(moved, np.sort(moved[order[: counts[chosen]]]), float(slacks[chosen]))


@dataclass(frozen=True)
class Passes:
    """The two passes over all points that an iteration makes, wherever the points are.

    Attributes:
        assign: ``assign(centers, moves, state)`` updates the state: centers as :func:`place` writes
            them; ``moves``, those that have moved, or None to assign anew.
        total: ``total(winner, slots, scale)`` sums the points of some clusters, see
            :func:`total_rows`; int64 (c, d).
    """

    assign: Callable[[np.ndarray, Moves | None, State], None]
    total: Callable[[NDArray[np.int64], NDArray[np.int64], float], NDArray[np.int64]]


def passes_here(points: np.ndarray, pool: ThreadPoolExecutor) -> Passes:
    """Return the passes over points in memory.

    Args:
        points: float32, (n, d).
        pool: Worker threads that share the points.
    """

    def assign(centers: np.ndarray, moves: Moves | None, state: State) -> None:
        some = None if moves is None else centers[moves.far]

        def run(start: int) -> None:
            at = slice(start, start + CHUNK)
            assign_rows(points[at], centers, moves, some, state.rows(at))

        list(pool.map(run, range(0, len(points), CHUNK)))

    def total(winner: NDArray[np.int64], slots: NDArray[np.int64], scale: float) -> Ints:
        size = max(CHUNK, -(-len(points) // 4))  # each sum is as large as the centers

        def run(start: int) -> NDArray[np.int64]:
            at = slice(start, start + size)
            return total_rows(points[at], winner[at], slots, scale)

        return sum(pool.map(run, range(0, len(points), size)))  # type: ignore[return-value]

    return Passes(assign, total)


def compare(
    rows: np.ndarray, points: np.ndarray, chosen: np.ndarray, columns: np.ndarray, state: State
) -> None:
    """Compare some points with some centers and update their assignment.

    Args:
        rows: int, (m,), points to compare.
        points: float32, (n, d), the points.
        chosen: float32, (c, d + 1), twice the centers with a column of minus their squared norms.
        columns: int64, (c,), their ids.
        state: Updated in place at ``rows``.
    """
    if not len(rows) or not len(columns):
        return
    buffer = np.empty(BLOCK * TILE, np.float32)
    for start in range(0, len(rows), BLOCK):
        at = rows[start : start + BLOCK]
        block = np.ones((len(at), points.shape[1] + 1), np.float32)
        block[:, :-1] = points[at]
        best, winner, second = state.best[at], state.winner[at], state.second[at]
        for begin in range(0, len(columns), TILE):
            part = chosen[begin : begin + TILE]
            tile = buffer[: len(at) * len(part)].reshape(len(at), len(part))
            np.matmul(block, part.T, out=tile)
            _best_two(tile, columns[begin : begin + TILE], best, winner, second)
        state.best[at], state.winner[at], state.second[at] = best, winner, second


def assign_rows(
    points: np.ndarray,
    centers: np.ndarray,
    moves: Moves | None,
    some: np.ndarray | None,
    state: State,
) -> None:
    """Assign a chunk of points again after some centers moved.

    No other center can be nearer to a point than its own center if that is within the bound kept on
    all others, less what they moved; such points are compared with the centers that moved far only.

    Args:
        points: float32, (n, d), a chunk: at most :data:`CHUNK` points, beginning with a multiple of
            it among all points. A float32 product may depend on how rows are grouped; so grouped,
            it does not depend on who computes it.
        centers: float32, (k, d + 1), see :func:`place`.
        moves: The centers that have moved; None to assign the points anew.
        some: float32, (f, d + 1), those that moved far.
        state: That of the chunk, updated in place.
    """
    everything = np.arange(len(centers))
    if moves is None or some is None:
        compare(np.arange(len(points)), points, centers, everything, state)
        return
    is_moved = np.zeros(len(centers), bool)
    is_moved[moves.moved] = True
    rows = np.flatnonzero(is_moved[state.winner])
    chosen = centers[state.winner[rows]]
    state.best[rows] = np.einsum("ij,ij->i", points[rows], chosen[:, :-1]) + chosen[:, -1]
    if moves.slack > 0:
        squares = np.einsum("ij,ij->i", points, points, dtype=np.float64)
        apart = np.sqrt(np.maximum(squares - state.second, 0)) - moves.slack
        state.second[:] = squares - np.maximum(apart, 0) ** 2 + ROUNDING * squares.max()
    again = state.best < state.second
    state.second[again] = -np.inf
    compare(np.flatnonzero(again), points, centers, everything, state)
    compare(np.flatnonzero(~again), points, some, moves.far, state)


def place(centers: np.ndarray, clusters: np.ndarray, means: np.ndarray) -> None:
    """Write means (c, d) into the rows ``clusters`` of the centers, as ``(2 c, -|c|^2)``."""
    centers[clusters, :-1] = 2 * means
    centers[clusters, -1] = -np.einsum("ij,ij->i", means, means, dtype=np.float64)


def scale_of(points: np.ndarray) -> float:
    """Return the power of two that points are multiplied by before they are rounded and summed.

    Whole numbers add exactly in any order, so the mean of a cluster does not depend on who sums
    which points. They have 62 bits less those of the number of points, which is far beyond float32
    for any number of points that fits a disk.
    """
    largest = max((float(np.abs(points[at]).max()) for at in _slices(len(points))), default=0.0)
    bits = 62 - math.ceil(math.log2(len(points) + 1)) - math.ceil(math.log2(largest or 1.0))
    return 2.0 ** min(bits, 1000)


def _slices(n: int) -> list[slice]:
    return [slice(start, start + CHUNK) for start in range(0, n, CHUNK)]


@njit(nogil=True, cache=CACHED)
def total_rows(points: Singles, winner: Ints, slots: Ints, scale: float) -> Ints:
    """Sum the points of some clusters, as whole numbers.

    Args:
        points: float32, (n, d).
        winner: int64, (n,), cluster of each point.
        slots: int64, (k,), row of each cluster in the sums; -1 for clusters that are not wanted.
        scale: What points are multiplied by, see :func:`scale_of`.

    Returns:
        int64, (c, d), one row per wanted cluster.
    """
    sums = np.zeros((slots.max() + 1, points.shape[1]), np.int64)
    for i in range(len(points)):
        slot = slots[winner[i]]
        if slot >= 0:
            for t in range(points.shape[1]):
                sums[slot, t] += np.int64(np.rint(np.float64(points[i, t]) * scale))
    return sums


def fill_empty(state: State, squares: np.ndarray, k: int) -> None:
    """Give each empty cluster a point that is far from its center, as scikit-learn does.

    The bound of such a point says nothing of the center that it had, so it is given up.
    """
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
            state.second[row] = np.inf


def lloyd(
    points: np.ndarray,
    seeds: np.ndarray,
    passes: Passes,
    max_iterations: int = MAX_ITERATIONS,
) -> tuple[np.ndarray, float, int]:
    """Run Lloyd's iterations from given centers until no assignment changes.

    Args:
        points: float32, (n, d), the points to cluster.
        seeds: float32, (k, d), the first centers.
        passes: Who goes through the points, which does not change the result.
        max_iterations: Largest number of iterations. Defaults to 300.

    Returns:
        Clusters int32 (n,), the sum of squared distances to the centers, and the number of
        iterations.
    """
    n, k = len(points), len(seeds)
    squares = np.einsum("ij,ij->i", points, points, dtype=np.float64)
    scale = scale_of(points)
    centers = np.empty((k, points.shape[1] + 1), np.float32)
    place(centers, np.arange(k), seeds)
    low = np.float32(-np.inf)
    state = State(np.full(n, low), np.full(n, -1), np.full(n, low))
    passes.assign(centers, None, state)
    before, iteration = np.full(n, -1), 0
    while iteration < max_iterations and (state.winner != before).any():
        iteration += 1
        fill_empty(state, squares, k)
        changed = state.winner != before
        moved = np.unique(np.concatenate([state.winner[changed], before[changed]]))
        moved = moved[moved >= 0]
        before = state.winner.copy()
        size = np.bincount(before, minlength=k)
        moved = moved[size[moved] > 0]
        slots = np.full(k, -1)
        slots[moved] = np.arange(len(moved))
        means = passes.total(before, slots, scale) / scale / size[moved, None]
        was = centers[moved, :-1] / 2
        place(centers, moved, means)
        drift = np.linalg.norm((centers[moved, :-1] / 2 - was).astype(np.float64), axis=1)
        passes.assign(centers, Moves.of(moved, drift, k, squares, state), state)
    inertia = float(np.maximum(squares - state.best, 0).sum())
    return state.winner.astype(np.int32), inertia, iteration


GROUPS = 8  # of points, by how spread a cluster must be to be compared with them


@njit(nogil=True, cache=CACHED, fastmath={"reassoc", "contract"})
def _score(points: Singles, i: int, centers: Singles, c: int) -> np.float32:
    total = np.float32(centers[c, points.shape[1]])
    for t in range(points.shape[1]):
        total += points[i, t] * centers[c, t]
    return np.float32(total)


@njit(nogil=True, cache=CACHED)
def _assign_by_graph(
    first: int,
    stop: int,
    points: Singles,
    squares: Doubles,
    centers: Singles,
    ids: Ints,
    squared: Doubles,
    member_of: Ints,
    sizes: Ints,
    spread: Doubles,
    rounding: float,
    best: Singles,
    winner: Ints,
    least_spread: Doubles,
) -> None:
    """Assign the points ``first:stop`` to the best of the clusters of their neighbors.

    See :func:`update_by_graph`.
    """
    width = ids.shape[1]
    clusters = np.empty(width, np.int64)
    counts, sums = np.empty(width, np.int64), np.empty(width)
    for i in range(first, stop):
        own, last, found = member_of[i], squared[i, width - 1], 0
        top, at = _score(points, i, centers, own), own
        for e in range(width):
            cluster = member_of[ids[i, e]]
            if cluster == own:
                continue
            place = 0
            while place < found and clusters[place] != cluster:
                place += 1
            if place == found:
                clusters[found], counts[found], sums[found] = cluster, 0, 0.0
                found += 1
            counts[place] += 1
            sums[place] += squared[i, e]
        for p in range(found):
            size = sizes[clusters[p]]
            nearest = (sums[p] + (size - counts[p]) * last) / size - spread[clusters[p]]
            if nearest - rounding < squares[i] - top:
                score = _score(points, i, centers, clusters[p])
                if score > top:
                    top, at = score, clusters[p]
        best[i], winner[i] = top, at
        least_spread[i] = last - (squares[i] - top) - rounding


@njit(nogil=True, cache=CACHED)
def _assign_to_chosen(
    first: int,
    stop: int,
    points: Singles,
    centers: Singles,
    ids: Ints,
    cluster_of: Ints,
    best: Singles,
    winner: Ints,
) -> None:
    for i in range(first, stop):
        cluster, e = cluster_of[i], 0
        while cluster < 0 and e < ids.shape[1]:
            cluster = cluster_of[ids[i, e]]
            e += 1
        if cluster >= 0:
            best[i], winner[i] = _score(points, i, centers, cluster), cluster


def assign_to_chosen(
    points: np.ndarray,
    centers: np.ndarray,
    chosen: np.ndarray,
    state: State,
    graph: Graph,
    pool: ThreadPoolExecutor,
) -> None:
    """Assign points to centers that are points: the first one among the nearest neighbors.

    Args:
        points: float32, (n, d), the points.
        centers: float32, (k, d + 1), as of :func:`place`.
        chosen: int64, (k,), the points that they are.
        state: Updated in place, but for the points without a center among their neighbors.
        graph: The nearest neighbors of each point.
        pool: Worker threads that share the points.
    """
    n = len(points)
    cluster_of = np.full(n, -1)
    cluster_of[chosen] = np.arange(len(chosen))

    def run(first: int) -> None:
        _assign_to_chosen(
            first, min(first + BLOCK, n), points, centers, graph.ids, cluster_of, state.best,
            state.winner,
        )  # fmt: skip

    list(pool.map(run, range(0, n, BLOCK)))


def update_by_graph(
    points: np.ndarray,
    squares: np.ndarray,
    centers: np.ndarray,
    state: State,
    graph: Graph,
    pool: ThreadPoolExecutor,
) -> None:
    """Assign points again after centers moved to the means of their clusters.

    The squared distance of a point to the mean of a cluster is its mean squared distance to the
    members, less the spread of the cluster: their mean squared distance to their mean. A member
    that is not among the nearest neighbors of the point is at least as far as the last of them.
    That bounds the distance of every center from below, and most of them cannot be the nearest: the
    few that are left are compared. A cluster without a member among the neighbors can only be
    nearer if it is spread widely: points are also compared with those that are spread enough.

    Args:
        points: float32, (n, d), the points.
        squares: float64, (n,), their squared lengths.
        centers: float32, (k, d + 1), as of :func:`place`: of each cluster that has members, their
            mean.
        state: The clusters whose means the centers are; updated in place.
        graph: The nearest neighbors of each point.
        pool: Worker threads that share the points.
    """
    n, k = len(points), len(centers)
    member_of = state.winner.copy()
    sizes = np.bincount(member_of, minlength=k)
    lengths = np.einsum("ij,ij->i", centers[:, :-1], centers[:, :-1], dtype=np.float64) / 4
    spread = np.bincount(member_of, squares, k) / np.maximum(sizes, 1) - lengths
    spread[sizes == 0] = np.inf  # whose center is no mean: compare it
    rounding = ROUNDING * float(squares.max())
    least_spread = np.empty(n)

    def run(first: int) -> None:
        _assign_by_graph(
            first, min(first + BLOCK, n), points, squares, centers, graph.ids, graph.squared,
            member_of, sizes, spread, rounding, state.best, state.winner, least_spread,
        )  # fmt: skip

    list(pool.map(run, range(0, n, BLOCK)))
    state.second[:] = -np.inf  # no bound, which only :func:`update` needs
    rows = np.flatnonzero(least_spread <= spread.max())
    rows = rows[np.argsort(least_spread[rows], kind="stable")]
    for part in np.array_split(rows, GROUPS):
        if len(part):
            columns = np.flatnonzero(spread >= least_spread[part[0]])
            state.second[part] = state.best[part]
            compare_with(part, points, centers, columns, state, pool)


def compare_with(
    rows: NDArray[np.int64],
    points: np.ndarray,
    centers: np.ndarray,
    columns: NDArray[np.int64],
    state: State,
    pool: ThreadPoolExecutor,
) -> None:
    """Compare some points with some centers in the threads of a pool, see :func:`compare`."""
    chosen = centers[columns]

    def run(start: int) -> None:
        compare(rows[start : start + BLOCK], points, chosen, columns, state)

    list(pool.map(run, range(0, len(rows), BLOCK)))


def passes_by_graph(
    points: np.ndarray, graph: Graph, chosen: np.ndarray, pool: ThreadPoolExecutor
) -> Passes:
    """Return the passes over points in memory, in which neighbors decide most comparisons.

    Args:
        points: float32, (n, d).
        graph: The nearest neighbors of each point.
        chosen: int64, (k,), the points that are the first centers.
        pool: Worker threads that share the points.
    """
    squares = np.einsum("ij,ij->i", points, points, dtype=np.float64)

    def assign(centers: np.ndarray, moves: Moves | None, state: State) -> None:
        if moves is not None:
            update_by_graph(points, squares, centers, state, graph, pool)
            return
        assign_to_chosen(points, centers, chosen, state, graph, pool)
        rest = np.flatnonzero(state.winner < 0)
        compare_with(rest, points, centers, np.arange(len(centers)), state, pool)

    return Passes(assign, passes_here(points, pool).total)


STEP = 256  # centers drawn before D^2 is exact again; at first half as many as there are
CHEAP = 1e10  # multiply-adds of exact seeding that take about a second
CROWDED = 4.0  # points per cluster and neighbor, above which seeding is exact
COPIES = 0.01  # share of points with nothing but copies in their neighborhood: exact above it
CROWDED_STEP = 32  # in place of STEP where a cluster outgrows a neighborhood; at first a quarter


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
        False if exact seeding takes about a second or less, or if clusters are far larger than a
        neighborhood. Up to four times as large, seeding on the graph is as good as exact seeding:
        with 20,000 points in classes of 50, 100 and 200, the inertia is .998 to 1.002 of the exact
        one's, in a quarter to a half of the time. Beyond, it gets worse: of 32 neighbors, 1.004
        with 500 in a class, 1.18 with 1,000 in clear classes
        (``benchmarks/results/seeding.md``).
    """
    exact = float(n) * d * k * n_trials(k)
    most = CROWDED * min(neighbors, LISTED) if neighbors >= NEIGHBORS else neighbors
    return exact > CHEAP and n / k <= most


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
) -> int:
    """Draw centers into ``chosen``, and update D^2 (``nearest``) and its Fenwick tree.

    Returns:
        The number of centers drawn: fewer than asked for if every D^2 is 0 by then.
    """
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
        if best_gain <= 0:
            return c
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
    return len(chosen)


def graph_seeds(
    points: np.ndarray, graph: Graph, k: int, seed: int, pool: ThreadPoolExecutor
) -> np.ndarray:
    """Choose k-means centers among the points by greedy k-means++ on a neighbor graph.

    Args:
        points: float32, (n, d), the points to cluster.
        graph: Neighbors of each point.
        k: Number of centers, 1 <= k <= n.
        seed: Seed of the draws.
        pool: Worker threads that share the points.

    Returns:
        int64, (k,), distinct rows of ``points``.
    """
    rng = np.random.default_rng(seed)
    squares = np.einsum("ij,ij->i", points, points)
    chosen = np.zeros(k, np.int64)
    chosen[0] = rng.integers(len(points))
    nearest = np.full(len(points), np.inf)
    is_known = np.zeros(len(points), bool)
    most, share = (CROWDED_STEP, 4) if graph.is_crowded(k) else (STEP, 2)
    done, found = 0, 1
    while found < k:
        if graph.is_nearest:
            # A center among the nearest neighbors is nearer than any that is not among them.
            new = chosen[done:found]
            _pass_on(
                new, points, graph.squared, graph.starts, graph.sources, graph.width, nearest,
                is_known,
            )  # fmt: skip
            rows = np.flatnonzero(~is_known)
        else:
            rows = np.arange(len(points))
        lower_nearest(points, squares, rows, chosen[done:found], nearest, pool)
        if nearest.sum() <= 1e-6 * squares.sum():
            break
        step = min(k - found, max(1, min(most, found // share)))
        draws = rng.random((step, n_trials(k)))
        part = chosen[found : found + step]
        drawn = _choose(nearest, graph.squared, graph.ids, draws, fenwick(nearest), part)
        if not drawn:
            break
        done, found = found, found + drawn
    # With fewer distinct points than centers, any other rows will do: their clusters stay empty.
    rest = np.setdiff1d(np.arange(len(points)), chosen[:found])
    chosen[found:] = rng.permutation(rest)[: k - found]
    return chosen


@njit(nogil=True, cache=CACHED, fastmath={"reassoc", "contract"})
def _pass_on(
    centers: Ints,
    points: Singles,
    squared: Doubles,
    starts: Ints,
    sources: Ints,
    width: int,
    nearest: Doubles,
    is_known: Bools,
) -> None:
    """Lower ``nearest`` of the points that have new centers among their neighbors."""
    measured = squared.shape[1]
    for c in centers:
        is_known[c] = True
        for s in range(starts[c], starts[c + 1]):
            i, e = divmod(sources[s], width)
            is_known[i] = True
            if e < measured:
                nearest[i] = min(nearest[i], squared[i, e])
            elif nearest[i] > squared[i, measured - 1]:  # else it is nearer to another center
                total = np.float32(0)
                for t in range(points.shape[1]):
                    apart = points[c, t] - points[i, t]
                    total += apart * apart
                nearest[i] = min(nearest[i], np.float64(total))


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
    rows: np.ndarray,
    centers: np.ndarray,
    nearest: np.ndarray,
    pool: ThreadPoolExecutor,
) -> None:
    """Lower ``nearest`` of some rows to their squared distance to new centers, rows too."""
    columns = np.column_stack([2 * points[centers], -squares[centers]]).T.copy()

    def run(start: int) -> None:
        part: Any = rows[start : start + BLOCK]
        if part[-1] - part[0] < 1.25 * len(part):  # compare a few more rather than copy
            part = slice(part[0], part[-1] + 1)
        score = (points[part] @ columns[:-1] + columns[-1]).max(axis=1)  # |x|^2 - |x - c|^2
        nearest[part] = np.minimum(nearest[part], np.maximum(squares[part] - score, 0))

    list(pool.map(run, range(0, len(rows), BLOCK)))
    nearest[centers] = 0
