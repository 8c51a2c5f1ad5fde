"""The one call: embeddings and labels in, figures with their protocol out."""

from collections.abc import Sequence

import numpy as np

from retrieval.errors import UserError
from retrieval.evaluation import bootstrap, clustering
from retrieval.evaluation.distances import kind_of, normalise
from retrieval.evaluation.geometry import geometry
from retrieval.evaluation.neighbours import Ranking, search
from retrieval.evaluation.protocol import Protocol, Sides, check_no_positive, sides
from retrieval.evaluation.ranking import check_ks, recall_at
from retrieval.evaluation.results import Result

MEANS = ("r_precision", "map@r", "map", "mrr")


def evaluate(
    embeddings: np.ndarray,
    labels: np.ndarray,
    roles: np.ndarray | None = None,
    ks: Sequence[int] = (1, 2, 4, 8),
    distance: str = "cosine",
    *,
    k_neighbours: int = 64,
    no_positive: str = "exclude",
    kmeans: str = "greedy k-means++",
    seed: int = 0,
    n_bootstrap: int = 1000,
    threads: int | None = None,
) -> Result:
    """Evaluate embeddings exactly: ranking and clustering metrics, neighbours, geometry.

    Args:
        embeddings: float, (n, d); compared as float32. A memory map is read in chunks.
        labels: (n,), class of each item, integers or strings.
        roles: (n,), ``query``, ``gallery`` or ``both`` per item; None is leave-one-out: every item
            queries all others.
        ks: The K of Recall@K, any number of them; K may exceed the gallery.
        distance: ``cosine``, ``euclidean``, ``squared_euclidean`` or ``cityblock``.
        k_neighbours: Nearest items kept per query; fewer where the gallery is smaller.
        no_positive: What a query without a possible hit does: ``exclude`` it from all means (as
            pytorch-metric-learning does), or score it ``zero``.
        kmeans: Start of the k-means behind NMI: ``greedy k-means++`` (scikit-learn's default),
            ``random`` (as faiss users report) or ``none`` for no clustering metrics.
        seed: Seed of k-means and the bootstrap.
        n_bootstrap: Resamples of the 95% intervals; 0 for none.
        threads: Worker threads; default: one per available core.

    Returns:
        The result.

    Raises:
        UserError: Bad shapes, values that are not finite, unknown options or roles.
    """
    ks = check_ks(ks)
    check_no_positive(no_positive)
    clustering.check_method(kmeans)
    kind_of(distance)
    embeddings, labels = check_shapes(embeddings, labels)
    classes, codes = np.unique(labels, return_inverse=True)
    parts = sides(len(labels), roles)
    ranking = search(embeddings, codes, parts, distance, k_neighbours, threads=threads)
    per_query, counted = score_queries(ranking, ks, no_positive)
    query_codes = codes[parts.queries]
    metrics, intervals = summarise(per_query, counted, query_codes, n_bootstrap, seed)
    hits = ranking.first_hit[ranking.first_hit > 0]
    metrics["median_first_hit"] = float(np.median(hits)) if len(hits) else np.nan
    clusters = None
    if kmeans != "none":
        points = normalise(embeddings) if distance == "cosine" else np.asarray(embeddings)
        clusters = clustering.kmeans(points, len(classes), kmeans, seed).clusters
        metrics |= clustering.clustering_metrics(codes, clusters)
    protocol = describe(ranking, parts, embeddings, len(classes), distance, no_positive)
    protocol = Protocol(
        kmeans=kmeans, seed=seed, interval=describe_interval(n_bootstrap), **protocol
    )
    card = geometry(embeddings, codes, ranking.ids, len(parts.gallery), seed=seed)
    return Result(
        protocol, metrics, intervals, card, ranking.queries, labels[parts.queries], counted,
        ranking.ids, ranking.similarities, ranking.first_hit, ranking.first_hit_item,
        ranking.n_positive, per_query, clusters,
    )  # fmt: skip


def check_shapes(embeddings: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return embeddings (n, d) and labels (n,) as arrays.

    Raises:
        UserError: Not two-dimensional, empty, not numbers, or lengths that differ.
    """
    embeddings, labels = np.asanyarray(embeddings), np.asarray(labels)
    if embeddings.ndim != 2 or 0 in embeddings.shape:
        raise UserError(f"embeddings have shape {embeddings.shape}: give (items, dimensions)")
    if embeddings.dtype.kind not in "fiu":
        raise UserError(f"embeddings hold {embeddings.dtype}: give real numbers")
    if labels.shape != (len(embeddings),):
        raise UserError(
            f"labels have shape {labels.shape}: give ({len(embeddings)},), one per item"
        )
    return embeddings, labels


def score_queries(
    ranking: Ranking, ks: Sequence[int], no_positive: str
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return each per-query metric (q,) and which queries count (q,)."""
    per_query = {f"recall@{k}": recall_at(ranking.first_hit, k) for k in ks}
    per_query["precision@1"] = recall_at(ranking.first_hit, 1)
    per_query |= {name: ranking.scores[name] for name in MEANS}
    lone = ranking.n_positive == 0
    filler = np.nan if no_positive == "exclude" else 0.0
    per_query = {name: np.where(lone, filler, values) for name, values in per_query.items()}
    return per_query, ~lone if no_positive == "exclude" else np.ones(len(lone), bool)


def summarise(
    per_query: dict[str, np.ndarray],
    counted: np.ndarray,
    classes: np.ndarray,
    n_bootstrap: int,
    seed: int,
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Average per-query metrics over the counted queries, with intervals over classes."""
    if not counted.any():
        return dict.fromkeys(per_query, np.nan), {}
    table = np.stack([values[counted] for values in per_query.values()], axis=1)
    means = dict(zip(per_query, table.mean(axis=0).tolist(), strict=True))
    if not n_bootstrap:
        return means, {}
    draws = bootstrap.bootstrap_means(table, classes[counted], n_bootstrap, seed)
    low, high = bootstrap.percentile_interval(draws)
    pairs = zip(low.tolist(), high.tolist(), strict=True)
    return means, dict(zip(per_query, pairs, strict=True))


def describe_interval(n_bootstrap: int) -> str:
    """Say how the intervals were made."""
    return f"95%, bootstrap over classes, {n_bootstrap} resamples" if n_bootstrap else "none"


def describe(
    ranking: Ranking,
    parts: Sides,
    embeddings: np.ndarray,
    n_classes: int,
    distance: str,
    no_positive: str,
) -> dict:
    """Return the protocol's fields that the search decides."""
    return {
        "name": parts.name,
        "rule": parts.rule,
        "distance": distance,
        "normalised": distance == "cosine",
        "no_positive": no_positive,
        "ties": "by index",
        "n_items": len(embeddings),
        "n_queries": len(parts.queries),
        "n_gallery": len(parts.gallery),
        "n_classes": n_classes,
        "n_without_positive": int((ranking.n_positive == 0).sum()),
        "dimension": embeddings.shape[1],
    }
