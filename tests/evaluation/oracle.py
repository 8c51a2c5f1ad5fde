"""The metrics by exhaustive loops over the definitions: slow, plain, independent of the engine."""

import math

import numpy as np


def similarity(a, b, distance):
    """Similarity of two float32 rows, rounded as documented so that all would agree on ties.

    The terms of a dot product are rounded to multiples of 2**-51, and the sum of a distance, which
    math.fsum rounds but once, to 40 bits.
    """
    a, b = [float(x) for x in a], [float(x) for x in b]
    if distance == "cosine":
        return sum(round(x * y * 2**51) for x, y in zip(a, b, strict=True)) / 2**51
    apart = [abs(x - y) for x, y in zip(a, b, strict=True)]
    mantissa, exponent = math.frexp(
        math.fsum(apart if distance == "cityblock" else [x * x for x in apart])
    )
    return -math.ldexp(round(mantissa * 2**40), exponent - 40)


def unit_rows(x):
    """L2-normalized rows in float32; a zero row stays zero."""
    out = np.zeros(x.shape, np.float32)
    for i, row in enumerate(x.astype(np.float64)):
        norm = math.sqrt(math.fsum(v * v for v in row))
        out[i] = row / norm if norm else row
    return out


def rank_lists(x, roles, distance):
    """Per query, every other gallery item: nearest first, equal similarities by index."""
    rows = unit_rows(x) if distance == "cosine" else x.astype(np.float32)
    lists = {}
    for q in range(len(x)):
        if roles is not None and roles[q] == "gallery":
            continue
        found = []
        for g in range(len(x)):
            if g == q or (roles is not None and roles[g] == "query"):
                continue
            found.append((similarity(rows[q], rows[g], distance), g))
        lists[q] = sorted(found, key=lambda pair: (-pair[0], pair[1]))
    return lists


def score(ranked, label, labels, ks):
    """Every per-query metric from one ranked list; None where the query has no positive."""
    hits = [labels[g] == label for _, g in ranked]
    r = sum(hits)
    if r == 0:
        return None
    first = hits.index(True) + 1
    scores = {f"recall@{k}": float(any(hits[:k])) for k in ks}
    scores["precision@1"] = float(hits[0])
    scores["r_precision"] = sum(hits[:r]) / r
    scores["map@r"] = sum(sum(hits[: i + 1]) / (i + 1) for i in range(r) if hits[i]) / r
    scores["map"] = sum(sum(hits[: i + 1]) / (i + 1) for i in range(len(hits)) if hits[i]) / r
    scores["mrr"] = 1 / first
    return scores


def evaluate_slowly(x, labels, roles=None, ks=(1, 2, 4, 8), distance="cosine", zero=False):
    """Overall metrics, ranked lists and first relevant items (rank, item) by exhaustive loops."""
    lists = rank_lists(x, roles, distance)
    per_query = {q: score(ranked, labels[q], labels, ks) for q, ranked in lists.items()}
    first = {}
    for q, ranked in lists.items():
        hit = [(i + 1, g) for i, (_, g) in enumerate(ranked) if labels[g] == labels[q]]
        first[q] = hit[0] if hit else (0, -1)
    names = [*(f"recall@{k}" for k in ks), "precision@1", "r_precision", "map@r", "map", "mrr"]
    values = {}
    for name in names:
        column = [s[name] if s else 0.0 for s in per_query.values() if s or zero]
        values[name] = sum(column) / len(column) if column else math.nan
    return values, lists, first


def graded_scores(ranked, grades, k):
    """The metrics on request from a ranked list of items and the grade of each; plain loops."""
    hits = [grades.get(g, 0) for g in ranked]
    r = sum(hit > 0 for hit in hits)
    ranks = [i + 1 for i, hit in enumerate(hits) if hit > 0]

    def gain_sum(gains):
        return sum(gain / math.log2(i + 2) for i, gain in enumerate(gains[:k]))

    def ndcg(gains):
        return gain_sum(gains) / gain_sum(sorted(gains, reverse=True))

    trapezoids = 0.0
    for i, rank in enumerate(ranks):
        before = 1.0 if rank == 1 else i / (rank - 1)
        trapezoids += ((i + 1) / rank + before) / 2 / r
    depth = min(ranks[-1], k)
    return {
        f"map@{k}": sum((i + 1) / rank for i, rank in enumerate(ranks) if rank <= k) / min(r, k),
        "map_trapezoid": trapezoids,
        f"mp@{k}": sum(rank <= depth for rank in ranks) / depth,
        "minp": r / ranks[-1],
        f"ndcg@{k}": ndcg(hits),
        f"ndcg_exp@{k}": ndcg([2**hit - 1 for hit in hits]),
    }
