"""Clustering metrics: NMI, AMI, ARI and F1 of a k-means clustering with one cluster per class.

They are computed here rather than by scikit-learn because all of them, and the bootstrap of NMI,
share one sparse contingency table, and because scikit-learn's AMI sums over every pair of a class
and a cluster, where ours sums over distinct sizes: 2.5 s against 0.01 s with 3,800 classes, and the
benchmark data sets have up to 11,316. Tests hold them to scikit-learn's values.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import gammaln, ndtri, stdtrit, xlogy

from retrieval.evaluation.bootstrap import class_weights
from retrieval.evaluation.statistics import ALPHA, effective_classes
from retrieval.progress import QUIET, progress_bar, stage

PassesOf = Callable[[np.ndarray], Any]  # see :func:`kmeans`
MANY_CLUSTERS = 1_000  # above which fewer starts are the default
MANY_ITEMS = 50_000  # likewise
AT_ONCE = 2  # starts: while one updates centers in one thread, the other uses the rest


@dataclass(frozen=True)
class Clustering:
    """A k-means clustering and how it was computed.

    Attributes:
        clusters: int32, (n,), cluster of each point, 0-based.
        method: Initialization: ``greedy k-means++`` or ``random``.
        seed: Seed of the initialization.
        inertia: Sum of squared distances to the centers.
        iterations: Number of Lloyd iterations.
    """

    clusters: np.ndarray
    method: str
    seed: int
    inertia: float
    iterations: int


def default_starts(n: int, k: int) -> int:
    """Return the number of starts of k-means, of n items into k clusters, unless the user says it.

    Ten, as the published baseline and scikit-learn of its time, up to 1,000 clusters and 50,000
    items: NMI of one start varies by a standard deviation of .007 to .008 on Grocery (40 classes),
    half the width of many differences between losses, and that of the best of ten by about half as
    much. Three beyond, where many clusters or items average out and a start takes seconds: of
    100,000 items in 1,000 clear classes, the standard deviation is .0007, and .0001 of noise.
    """
    return 10 if k <= MANY_CLUSTERS and n <= MANY_ITEMS else 3


def graph_neighbors(codes: np.ndarray, d: int, method: str) -> int:
    """Return how many neighbors of each item k-means is seeded from; 0 if it needs none.

    Args:
        codes: int, (n,), class of each item, 0-based; there are as many clusters as classes.
        d: Number of dimensions.
        method: Initialization, see :func:`kmeans`.
    """
    from retrieval.evaluation.kmeans import graph_suits, graph_width  # imports Numba

    n, k = len(codes), int(codes.max()) + 1
    wanted = min(graph_width(n, k), n - 1)
    suits = method == "greedy k-means++" and graph_suits(n, d, k, wanted)
    return wanted if suits else 0


def kmeans_starts(
    points: np.ndarray,
    k: int,
    method: str = "greedy k-means++",
    seed: int = 0,
    *,
    starts: int = 1,
    ids: np.ndarray | None = None,
    is_nearest: bool = False,
    pool: ThreadPoolExecutor,
    progress: bool = False,
    passes_of: PassesOf | None = None,
) -> list[Clustering]:
    """Cluster points by k-means from several starts; see :func:`kmeans`.

    Args:
        points: float, (n, d), the points to cluster.
        k: Number of clusters; at most n.
        method: Initialization, see :func:`kmeans`.
        seed: Seed of the first start; the seeds of the others are drawn from it. Defaults to 0.
        starts: Number of starts. Defaults to 1.
        ids: int, (n, m), nearest neighbors of each point. Defaults to None.
        is_nearest: Whether they are all that are nearest by Euclidean distance, see :func:`kmeans`.
            Defaults to False.
        pool: Worker threads that share the rows.
        progress: Whether to show the start at work when it takes long. Defaults to False.
        passes_of: See :func:`kmeans`. Defaults to this process.

    Returns:
        One clustering per start, in the order of the starts.
    """
    drawn = np.random.SeedSequence(seed).generate_state(starts)
    seeds = [seed, *(int(other) for other in drawn[1:])]
    points, graph = _prepare(points, k, method, ids, is_nearest, pool)
    title = f"k-means, {k:,} clusters of {len(points):,} items"

    def run(each: int) -> Clustering:
        return _kmeans(points, k, method, each, graph, pool, passes_of)

    if starts == 1:
        with stage(title, show=progress):
            return [run(seed)]
    at_once = 1 if passes_of is not None else AT_ONCE
    with progress_bar(title, starts, show=progress, unit="start", quiet=QUIET) as advance:
        starters = ThreadPoolExecutor(at_once)
        try:
            futures = [starters.submit(run, each) for each in seeds]
            for _ in as_completed(futures):
                advance(1)
            return [future.result() for future in futures]
        finally:  # an interrupt does not wait for the starts at work: their pool is closed by then
            starters.shutdown(wait=False, cancel_futures=True)


def kmeans(
    points: np.ndarray,
    k: int,
    method: str = "greedy k-means++",
    seed: int = 0,
    *,
    ids: np.ndarray | None = None,
    is_nearest: bool = False,
    pool: ThreadPoolExecutor,
    passes_of: PassesOf | None = None,
) -> Clustering:
    """Cluster points by k-means, run until no assignment changes.

    Args:
        points: float, (n, d), the points to cluster.
        k: Number of clusters; at most n.
        method: Initialization: ``greedy k-means++``, or ``random``, distinct points drawn
            uniformly as faiss does. Defaults to ``greedy k-means++``.
        seed: Seed of the initialization. Defaults to 0.
        ids: int, (n, m), nearest neighbors of each point. Greedy k-means++ is computed from them
            where that is faster and as good (see :mod:`retrieval.evaluation.kmeans`). Defaults to
            None.
        is_nearest: Whether they are all that are nearest by Euclidean distance: then most distances
            to centers need not be computed, because neighbors bound them. Defaults to False.
        pool: Worker threads that share the rows.
        passes_of: Returns who goes through the centered points, float32 (n, d), such as the tasks
            of a cluster; the result is the same. It is not called where the neighbors leave hardly
            any comparison. Defaults to the threads of this process.

    Returns:
        The clustering.
    """
    points, graph = _prepare(points, k, method, ids, is_nearest, pool)
    return _kmeans(points, k, method, seed, graph, pool, passes_of)


def _prepare(
    points: np.ndarray,
    k: int,
    method: str,
    ids: np.ndarray | None,
    is_nearest: bool,
    pool: ThreadPoolExecutor,
) -> tuple[np.ndarray, Any]:
    """Return the centered points, and the ``Graph`` where k-means is computed from it, or None."""
    from retrieval.evaluation.kmeans import graph_suits, make_graph  # imports Numba

    points = np.require(points, np.float32, ["C", "W", "E"])
    n, d = points.shape
    points = points - points.mean(axis=0, dtype=np.float64).astype(np.float32)
    if ids is None or method == "random" or not graph_suits(n, d, min(k, n), ids.shape[1]):
        return points, None
    graph = make_graph(points, ids, min(k, n), pool, is_nearest=is_nearest)
    return points, graph if graph.tells_apart(min(k, n)) else None


def _kmeans(
    centered: np.ndarray,
    k: int,
    method: str,
    seed: int,
    graph: Any,
    pool: ThreadPoolExecutor,
    passes_of: PassesOf | None,
) -> Clustering:
    """Cluster centered points, given their ``Graph`` or None; see :func:`kmeans`."""
    from retrieval.evaluation.kmeans import (  # imports Numba
        graph_seeds,
        lloyd,
        passes_by_graph,
        passes_here,
    )

    n, k = len(centered), min(k, len(centered))
    chosen = None
    if method == "random":
        start = centered[np.random.default_rng(seed).choice(n, k, replace=False)]
    elif graph is not None:
        chosen = graph_seeds(centered, graph, k, seed, pool)
        start = centered[chosen]
    else:
        from sklearn.cluster import kmeans_plusplus  # half a second, and the app never clusters

        start = kmeans_plusplus(centered, k, random_state=seed)[0]
    if graph is not None and chosen is not None and graph.bounds(k):
        # Here in any case: which of two equally near centers is found depends on this way.
        passes = passes_by_graph(centered, graph, chosen, pool)
    elif passes_of is not None:
        passes = passes_of(centered)
    else:
        passes = passes_here(centered, pool)
    clusters, inertia, iterations = lloyd(centered, start, passes)
    return Clustering(clusters, method, seed, inertia, iterations)


def contingency(codes: np.ndarray, clusters: np.ndarray) -> sparse.csr_matrix:
    """Count the items of each class (row) in each cluster (column), float64."""
    ones = np.ones(len(codes))
    table = sparse.coo_matrix((ones, (codes, clusters))).tocsr()
    table.sum_duplicates()
    return table


def _entropy(counts: np.ndarray) -> float:
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())


def mutual_information(table: sparse.csr_matrix) -> float:
    """Return the mutual information of classes and clusters, in nats."""
    joint = table.tocoo()
    n = joint.data.sum()
    rows, columns = np.asarray(table.sum(axis=1)).ravel(), np.asarray(table.sum(axis=0)).ravel()
    expected = rows[joint.row] * columns[joint.col]
    return float((joint.data / n * np.log(joint.data * n / expected)).sum())


def expected_mutual_information(rows: np.ndarray, columns: np.ndarray) -> float:
    """Return the expected mutual information of random partitions with given sizes, in nats.

    The expectation is under the hypergeometric model (Vinh, Epps and Bailey 2010, eq. 24). Many
    sizes are equal, so the sum runs over distinct sizes.

    Args:
        rows: float, number of items of each class.
        columns: float, number of items of each cluster.

    Returns:
        The expectation.
    """
    n = rows.sum()
    total = 0.0
    b_all, b_times = np.unique(columns[columns > 0], return_counts=True)
    for a, a_times in zip(*np.unique(rows[rows > 0], return_counts=True), strict=True):
        for b, times in zip(b_all, b_times, strict=True):
            both = np.arange(max(1, a + b - n), min(a, b) + 1)
            log_p = (
                gammaln(a + 1) + gammaln(b + 1) + gammaln(n - a + 1) + gammaln(n - b + 1)
                - gammaln(n + 1) - gammaln(both + 1) - gammaln(a - both + 1)
                - gammaln(b - both + 1) - gammaln(n - a - b + both + 1)
            )  # fmt: skip
            part = (both / n * np.log(n * both / (a * b)) * np.exp(log_p)).sum()
            total += float(part) * int(a_times) * int(times)
    return total


def clustering_metrics(codes: np.ndarray, clusters: np.ndarray) -> dict[str, float]:
    """Compare a clustering with the classes.

    * ``nmi``: I / ((H(class) + H(cluster)) / 2), arithmetic mean (scikit-learn's default);
      ``nmi_geometric``: I / sqrt(H(class) H(cluster)) (Manning 2008; older papers).
    * ``ami``: (I - E[I]) / (mean H - E[I]) (Vinh 2010); ``ari``: adjusted Rand index (Hubert 1985).
    * ``pairwise_f1``: F1 of "same cluster" as a prediction of "same class" over pairs of items.

    Two classes [0, 0, 1, 1] in clusters [0, 0, 1, 2]: I = H(class) = ln 2, H(cluster) = 1.5 ln 2,
    so nmi = 1 / 1.25 = 0.8; of 2 same-class pairs 1 is found and none is wrong: F1 = 2/3.

    >>> values = clustering_metrics(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 2]))
    >>> round(values["nmi"], 4), round(values["pairwise_f1"], 4)
    (0.8, 0.6667)

    Args:
        codes: int, (n,), class of each item, 0-based.
        clusters: int, (n,), cluster of each item, 0-based.

    Returns:
        Name -> value.
    """
    table = contingency(codes, clusters)
    rows, columns = np.asarray(table.sum(axis=1)).ravel(), np.asarray(table.sum(axis=0)).ravel()
    h_class, h_cluster = _entropy(rows), _entropy(columns)
    shared = mutual_information(table)
    mean = (h_class + h_cluster) / 2
    expected = expected_mutual_information(rows, columns)
    pairs = [(x * (x - 1)).sum() / 2 for x in (table.data, rows, columns)]
    both, same_class, same_cluster = pairs
    n = rows.sum()
    chance = same_class * same_cluster / max(1.0, n * (n - 1) / 2)
    top = (same_class + same_cluster) / 2 - chance
    geometric = np.sqrt(h_class * h_cluster)
    same = len(table.data) == (rows > 0).sum() == (columns > 0).sum()
    return {
        "nmi": _ratio(shared, mean, same),
        "nmi_geometric": _ratio(shared, geometric, same),
        "ami": _ratio(shared - expected, mean - expected, same),
        "ari": _ratio(both - chance, top, same),
        "pairwise_f1": _ratio(2 * both, same_class + same_cluster, same),
    }


def _ratio(part: float, whole: float, same: bool) -> float:
    """Divide; if the divisor is 0, return 1 for equal partitions, else 0."""
    return float(same) if abs(whole) < 1e-12 else float(part / whole)


def _times_log(counts: np.ndarray) -> np.ndarray:
    """Return x log x of whole numbers; 0 of 0. Of many, each logarithm is computed once."""
    most = counts.max(initial=0)
    if most >= counts.size:
        return np.asarray(xlogy(counts, counts))
    numbers = np.arange(most + 1)
    return np.asarray(xlogy(numbers, numbers)[counts.astype(np.int64)])


def nmi_interval(
    codes: np.ndarray,
    clusters: np.ndarray,
    n_samples: int = 1000,
    seed: int = 0,
    *,
    start_spread: float = 0.0,
) -> tuple[float, float]:
    """Return the 95% interval of NMI by bootstrap over classes, and over the starts of k-means.

    A class drawn twice counts twice. Resamples hold fewer distinct classes, which raises NMI, so
    the interval is the spread of the resamples around the value itself, not around their mean. With
    few classes, resamples of a single class (NMI 0) can lower their mean below nearly all other
    resamples, which would put the whole interval above the value: it is then widened to reach it.
    Quantiles of resamples are too narrow with few classes: they are stretched as Student's t is
    wider than the normal distribution. Without that, intervals hold in 90 to 92 of 100 test sets of
    20 and 40 classes (``benchmarks/results/statistics.md``).

    Args:
        codes: int, (n,), class of each item, 0-based.
        clusters: int, (n,), cluster of each item, 0-based.
        n_samples: Number of resamples. Defaults to 1000.
        seed: Seed of the draws. Defaults to 0.
        start_spread: Standard deviation of NMI over the starts of k-means, which widens the
            interval: its half-widths and 1.96 times the spread are added as independent errors are.
            Defaults to 0.0, a fixed clustering.

    Returns:
        Low and high, within 0 and 1, with the value between them.
    """
    table = contingency(codes, clusters)
    size = np.asarray(table.sum(axis=1)).ravel()
    logs = table.copy()
    logs.data = xlogy(table.data, table.data)
    inner = np.asarray(logs.sum(axis=1)).ravel()
    columns = table.T.tocsr()
    parts = []
    for weights in class_weights(len(size), n_samples, seed):
        w = weights.T
        n = size @ w
        repeats = _times_log(weights) @ size
        h_class = np.log(n) - (xlogy(size, size) @ w + repeats) / n  # of wx log wx
        h_cluster = np.log(n) - _times_log(columns @ w).sum(axis=0) / n
        shared = h_class + h_cluster - (np.log(n) - (inner @ w + repeats) / n)
        parts.append(2 * shared / np.maximum(h_class + h_cluster, 1e-12))
    draws = np.concatenate(parts)
    freedom = max(1.0, effective_classes(size) - 1)
    stretch = stdtrit(freedom, 1 - ALPHA / 2) / ndtri(1 - ALPHA / 2)
    low, high = stretch * np.quantile(draws - draws.mean(), [ALPHA / 2, 1 - ALPHA / 2])
    wider = 1.96 * start_spread
    low, high = -np.hypot(np.minimum(low, 0), wider), np.hypot(np.maximum(high, 0), wider)
    value = clustering_metrics(codes, clusters)["nmi"]
    return min(value, max(0.0, float(value + low))), max(value, min(1.0, float(value + high)))
