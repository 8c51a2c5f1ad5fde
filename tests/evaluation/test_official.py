"""The official evaluations of benchmarks, recomputed from their rules on small random cases.

Each function follows the published evaluation code: zheng-lab's Market-1501 (``compute_AP``, CMC),
filipradenovic/revisitop (``compute_map``) and tensorflow/models delf (``MeanAveragePrecision``).
"""

import numpy as np
import pytest

from retrieval.evaluation import evaluate

SEEDS = range(4)


def ranked(x, query, gallery):
    """Return the gallery rows of a query, nearest first by cosine."""
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    return gallery[np.argsort(-(x[gallery] @ x[query]), kind="stable")]


def trapezoids(ranks, n_relevant):
    """Return the area below the precision-recall curve; ranks from 0, without junk."""
    area = 0.0
    for found, rank in enumerate(ranks):
        before = 1.0 if rank == 0 else found / rank
        area += (before + (found + 1) / (rank + 1)) / (2 * n_relevant)
    return area


@pytest.mark.parametrize("seed", SEEDS)
def test_market_removes_junk_of_the_query_s_camera_and_skips_queries_without_others(seed):
    rng = np.random.default_rng(seed)
    n, q = 90, 15
    labels, cameras = rng.integers(0, 8, n), rng.integers(0, 4, n)
    x = rng.standard_normal((8, 6))[labels] + 1.5 * rng.standard_normal((n, 6))
    gallery = np.arange(q, n)
    areas, cmc = [], np.zeros(10)
    for query in range(q):
        same = labels[gallery] == labels[query]
        junk = set(gallery[same & (cameras[gallery] == cameras[query])])
        good = set(gallery[same]) - junk
        if not good:
            continue
        order = [row for row in ranked(x, query, gallery) if row not in junk]
        ranks = [rank for rank, row in enumerate(order) if row in good]
        areas.append(trapezoids(ranks, len(good)))
        cmc[ranks[0] :] += 1
    role = np.where(np.arange(n) < q, "query", "gallery")
    result = evaluate(
        x, labels, role, ks=(1, 5, 10), junk_same={"camera": cameras}, kmeans="none",
        metrics=["map_trapezoid"], n_bootstrap=0,
    )  # fmt: skip
    assert result.metrics["map_trapezoid"] == pytest.approx(np.mean(areas), abs=1e-12)
    for k in (1, 5, 10):
        assert result.metrics[f"recall@{k}"] == pytest.approx(cmc[k - 1] / len(areas), abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("difficulty", ["easy", "medium", "hard"])
def test_revisited_oxford_and_paris(seed, difficulty):
    rng = np.random.default_rng(seed)
    n, q = 70, 9
    x, gallery = rng.standard_normal((n, 5)), np.arange(q, n)
    kinds = rng.choice(["easy", "hard", "junk", ""], (q, n - q), p=[0.1, 0.1, 0.1, 0.7])
    kinds[0] = np.where(kinds[0] == "junk", "junk", "")  # a query that nothing is relevant to
    wanted = {"easy": ["easy"], "medium": ["easy", "hard"], "hard": ["hard"]}[difficulty]
    areas, precisions, relevance, ignore = [], [], [], []
    for query in range(q):
        good = set(gallery[np.isin(kinds[query], wanted)])
        junk = set(gallery[np.isin(kinds[query], ["easy", "hard", "junk"])]) - good
        relevance.append(sorted(good))
        ignore.append(sorted(junk))
        if not good:
            continue
        order = [row for row in ranked(x, query, gallery) if row not in junk]
        ranks = np.array([rank for rank, row in enumerate(order) if row in good])
        areas.append(trapezoids(ranks, len(good)))
        depths = [min(int(ranks.max()) + 1, k) for k in (1, 5, 10)]
        precisions.append([(ranks < depth).sum() / depth for depth in depths])
    role = np.where(np.arange(n) < q, "query", "gallery")
    result = evaluate(
        x, np.arange(n), role, relevance=relevance, ignore=ignore, kmeans="none", n_bootstrap=0,
        metrics=["map_trapezoid", "mp@1", "mp@5", "mp@10"],
    )  # fmt: skip
    assert result.protocol.n_without_positive == q - len(areas) >= 1
    assert result.metrics["map_trapezoid"] == pytest.approx(np.mean(areas), abs=1e-12)
    for k, value in zip((1, 5, 10), np.mean(precisions, axis=0), strict=True):
        assert result.metrics[f"mp@{k}"] == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_google_landmarks_divides_by_the_relevant_or_by_a_hundred(seed):
    rng = np.random.default_rng(seed)
    n, q = 300, 6
    x, gallery = rng.standard_normal((n, 4)), np.arange(q, n)
    sizes = [1, 5, 40, 99, 120, 180]  # the last two have more relevant items than are looked at
    relevance = [np.sort(rng.choice(gallery, size, replace=False)) for size in sizes]
    means = []
    for query, relevant in enumerate(relevance):
        found, precision = 0, 0.0
        for rank, row in enumerate(ranked(x, query, gallery)[:100], 1):
            if row in relevant:
                found += 1
                precision += found / rank
        means.append(precision / min(len(relevant), 100))
    role = np.where(np.arange(n) < q, "query", "gallery")
    result = evaluate(
        x, np.arange(n), role, relevance=relevance, kmeans="none", n_bootstrap=0,
        metrics=["map@100"],
    )  # fmt: skip
    assert result.metrics["map@100"] == pytest.approx(np.mean(means), abs=1e-12)
