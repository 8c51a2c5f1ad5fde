"""The one call: embeddings and labels in, figures with their protocol out."""

import numbers
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from retrieval.errors import UserError
from retrieval.evaluation import clustering
from retrieval.evaluation import statistics as bootstrap
from retrieval.evaluation.checks import check_shapes, class_codes
from retrieval.evaluation.geometry import HUB_K, geometry
from retrieval.evaluation.protocol import Protocol, Sides, check_no_positive, sides
from retrieval.evaluation.ranking import check_ks, recall_at
from retrieval.evaluation.results import Result
from retrieval.evaluation.search.distances import kind_of, normalize
from retrieval.evaluation.search.plan import Ranking
from retrieval.evaluation.search.search import search
from retrieval.evaluation.search.threads import worker_pool


@dataclass(frozen=True)
class Options:
    """The checked options of :func:`evaluate`, where each is explained."""

    ks: tuple[int, ...]
    distance: str
    k_neighbors: int
    no_positive: str
    kmeans: str
    seed: int
    n_bootstrap: int

    def __post_init__(self) -> None:
        check_no_positive(self.no_positive)
        clustering.check_method(self.kmeans)
        kind_of(self.distance)
        for name, limit in (("k_neighbors", None), ("n_bootstrap", None), ("seed", 2**32)):
            value = getattr(self, name)
            whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
            if not whole or value < 0 or (limit is not None and value >= limit):
                end = "of at least 0" if limit is None else f"from 0 to {limit - 1}"
                raise UserError(f"{name} = {value!r}: give a whole number {end}")


def evaluate(
    embeddings: np.ndarray,
    labels: np.ndarray,
    roles: np.ndarray | None = None,
    ks: Sequence[int] = (1, 2, 4, 8),
    distance: str = "cosine",
    *,
    k_neighbors: int = 64,
    no_positive: str = "exclude",
    kmeans: str = "greedy k-means++",
    seed: int = 0,
    n_bootstrap: int = 1000,
    reuse: Result | None = None,
    threads: int | None = None,
) -> Result:
    """Evaluate embeddings exactly: ranking and clustering metrics, neighbors, geometry.

    Args:
        embeddings: float, (n, d); compared as float32. A memory map is read in chunks, so that a
            gallery of millions needs little memory (with ``kmeans="none"``).
        labels: (n,), class of each item, integers or strings.
        roles: (n,), ``query``, ``gallery`` or ``both`` per item; None is leave-one-out: every item
            queries all others.
        ks: The K of Recall@K, any number of them; K may exceed the gallery.
        distance: ``cosine``, ``euclidean``, ``squared_euclidean`` or ``cityblock``.
        k_neighbors: Nearest items kept per query; fewer where the gallery is smaller.
        no_positive: What a query without a possible hit does: ``exclude`` it from all means (as
            pytorch-metric-learning does), or score it ``zero``.
        kmeans: Start of the k-means behind NMI: ``greedy k-means++`` (scikit-learn's default),
            ``random`` (as faiss users report) or ``none`` for no clustering metrics. All items are
            clustered, into as many clusters as classes; L2-normalized if the distance is cosine.
        seed: Seed of k-means, the bootstrap and the geometry's samples.
        n_bootstrap: Resamples of the 95% intervals; 0 for none.
        reuse: A result of the same items, labels, distance, k-means and seed under another
            protocol, whose clusters are taken over.
        threads: Worker threads; default: one per available core.

    Returns:
        The result.

    Raises:
        UserError: Bad shapes, values that are not finite, missing labels, unknown options or roles.
    """
    options = Options(
        check_ks(ks), distance, k_neighbors, no_positive, kmeans, seed, n_bootstrap
    )  # fmt: skip
    embeddings, labels = check_shapes(embeddings, labels)
    codes = class_codes(labels)
    parts = sides(len(labels), roles)
    with worker_pool(threads) as pool:
        # The geometry card looks at 10 neighbors, however few are asked for.
        ranking = search(embeddings, codes, parts, distance, max(k_neighbors, HUB_K), pool=pool)
        clusters = None
        if kmeans != "none":
            clusters = find_clusters(embeddings, codes, ranking, options, reuse, pool)
        card = geometry(embeddings, codes, ranking, len(parts.gallery), seed=seed, pool=pool)
    ids, similarities = ranking.ids[:, :k_neighbors], ranking.similarities[:, :k_neighbors]
    ranking = replace(ranking, ids=ids, similarities=similarities)
    return make_result(labels, codes, parts, ranking, clusters, card, embeddings.shape[1], options)


def make_result(
    labels: np.ndarray,
    codes: np.ndarray,
    parts: Sides,
    ranking: Ranking,
    clusters: np.ndarray | None,
    card: dict[str, float],
    dimension: int,
    options: Options,
) -> Result:
    """Average the per-query scores, compare the clusters, and state the protocol."""
    per_query, counted = score_queries(ranking, options.ks, options.no_positive)
    metrics, intervals = summarize(per_query, counted, codes[parts.queries], options)
    hits = ranking.first_relevant_rank[ranking.first_relevant_rank > 0]
    metrics["median_first_hit"] = float(np.median(hits)) if len(hits) else np.nan
    if clusters is not None:
        metrics |= clustering.clustering_metrics(codes, clusters)
        if options.n_bootstrap:
            draws = options.n_bootstrap, options.seed
            intervals["nmi"] = clustering.nmi_interval(codes, clusters, *draws)
    return Result(
        describe(parts, ranking, codes, dimension, options),
        metrics, intervals, card, ranking.queries, labels[parts.queries], counted,
        ranking.ids, ranking.similarities, ranking.first_relevant_rank, ranking.first_relevant_item,
        ranking.n_positive, per_query, clusters,
    )  # fmt: skip


def find_clusters(
    embeddings: np.ndarray,
    codes: np.ndarray,
    ranking: Ranking,
    options: Options,
    reuse: Result | None,
    pool: ThreadPoolExecutor,
) -> np.ndarray:
    """Cluster all items, on the search's own neighbor graph where it covers them.

    Raises:
        UserError: The result to reuse is of other items or options.
    """
    from retrieval.evaluation import (
        kmeans as seeding,  # compiled loops: loading Numba takes a moment
    )

    if reuse is not None:
        known, n = reuse.protocol, len(codes)
        wanted = (n, options.distance, options.kmeans, options.seed)
        if (known.n_items, known.distance, known.kmeans, known.seed) != wanted:
            raise UserError("reuse holds a result of other items, distance, k-means or seed")
        return reuse.clusters
    points = normalize(embeddings) if options.distance == "cosine" else np.asarray(embeddings)
    k, ids = int(codes.max()) + 1, ranking.ids
    wanted = min(seeding.NEIGHBORS, len(codes) - 1)
    on_graph = options.kmeans != "random" and seeding.graph_suits(*points.shape, k, wanted)
    complete = len(ids) == len(codes) and ids.shape[1] >= wanted and (ids[:, :wanted] >= 0).all()
    if on_graph and not complete:
        ids = search(points, codes, sides(len(codes), None), "euclidean", wanted, pool=pool).ids
    return clustering.kmeans(points, k, options.kmeans, options.seed, ids=ids, pool=pool).clusters


def score_queries(
    ranking: Ranking, ks: Sequence[int], no_positive: str
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return each per-query metric (q,) and which queries count (q,)."""
    per_query = {f"recall@{k}": recall_at(ranking.first_relevant_rank, k) for k in ks}
    per_query |= ranking.scores
    lone = ranking.n_positive == 0
    filler = np.nan if no_positive == "exclude" else 0.0
    per_query = {name: np.where(lone, filler, values) for name, values in per_query.items()}
    return per_query, ~lone if no_positive == "exclude" else np.ones(len(lone), bool)


def summarize(
    per_query: dict[str, np.ndarray],
    counted: np.ndarray,
    classes: np.ndarray,
    options: Options,
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Average per-query metrics over the counted queries, with intervals over classes."""
    if not counted.any():
        return dict.fromkeys(per_query, np.nan), {}
    table = np.stack([values[counted] for values in per_query.values()], axis=1)
    means = dict(zip(per_query, table.mean(axis=0).tolist(), strict=True))
    if not options.n_bootstrap:
        return means, {}
    draws = bootstrap.bootstrap_means(table, classes[counted], options.n_bootstrap, options.seed)
    low, high = bootstrap.percentile_interval(draws)
    pairs = zip(low.tolist(), high.tolist(), strict=True)
    return means, dict(zip(per_query, pairs, strict=True))


def describe(
    parts: Sides, ranking: Ranking, codes: np.ndarray, dimension: int, options: Options
) -> Protocol:
    """State how the figures were made."""
    resamples = options.n_bootstrap
    return Protocol(
        name=parts.name,
        rule=parts.rule,
        distance=options.distance,
        normalized=options.distance == "cosine",
        no_positive=options.no_positive,
        ties="by index",
        kmeans=options.kmeans,
        seed=options.seed,
        interval=f"95%, bootstrap over classes, {resamples} resamples" if resamples else "none",
        n_items=len(codes),
        n_queries=len(parts.queries),
        n_gallery=len(parts.gallery),
        n_classes=int(codes.max()) + 1,
        n_without_positive=int((ranking.n_positive == 0).sum()),
        dimension=dimension,
    )
