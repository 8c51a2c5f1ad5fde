"""Approximate search for galleries too large to search exactly, with its error measured.

It is only used when called: exact search takes seconds for 60,000 items. The neighbors that an
approximate index misses lower every metric, so a result states the share of the exact neighbors
that were found, measured on a sample of the queries.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from retrieval.errors import UserError
from retrieval.evaluation.checks import check_shapes, class_codes
from retrieval.evaluation.metrics import metric, scale_note
from retrieval.evaluation.protocol import Sides, sides
from retrieval.evaluation.ranking import check_ks
from retrieval.evaluation.search.distances import DOT, SQUARED, kind_of, normalize
from retrieval.evaluation.search.plan import take
from retrieval.evaluation.search.search import search
from retrieval.evaluation.search.threads import worker_pool
from retrieval.validation import (
    DEFAULT_DISTANCE,
    DEFAULT_KS,
    check_choice,
    check_integer,
    check_seed,
)

INDEXES = ("hnsw", "ivf")
CHUNK = 65_536  # rows added to an index, or searched, at a time
LINKS, EF_CONSTRUCTION = 32, 80  # HNSW graph: links per item, candidates while building
TRAIN_PER_LIST = 64  # items that the coarse centers of an IVF index are trained on, per center


@dataclass(frozen=True)
class ApproximateResult:
    """Recall@K from approximate neighbors. Prints as one line that says it is approximate.

    Attributes:
        metrics: ``recall@K``, averaged over the queries that have positives.
        index: Kind of index and its parameters, in words.
        found: Share of the exact k nearest items that the index found, over the checked queries.
        n_checked: Number of queries that were also searched exactly.
        rule: The protocol in words, see :class:`retrieval.evaluation.Protocol`.
        distance: ``cosine``, ``euclidean`` or ``squared_euclidean``.
        n_queries: Number of queries, including those without positives.
        n_without_positive: Number of queries without positives, which are excluded.
        seconds: Time to ``build`` the index, to ``search`` it and to ``check`` it.
        queries: int32, (q,), item row of each query.
        neighbors: int32, (q, k), item rows of the neighbors found, nearest first; -1 pads.
    """

    metrics: dict[str, float]
    index: str
    found: float
    n_checked: int
    rule: str
    distance: str
    n_queries: int
    n_without_positive: int
    seconds: dict[str, float]
    queries: np.ndarray = field(repr=False)
    neighbors: np.ndarray = field(repr=False)

    def __str__(self) -> str:
        figures = ", ".join(
            f"{metric(name).title} {metric(name).format(x)}" for name, x in self.metrics.items()
        )
        return (
            f"APPROXIMATE {figures} ({scale_note(self.metrics)}; {self.index}, "
            f"which found {100 * self.found:.2f}% of the exact neighbors of {self.n_checked:,} "
            f"checked queries; {self.rule}, "
            f"{self.distance} distance, {self.n_queries:,} queries; {self.n_without_positive:,} "
            "queries without positives excluded)"
        )


def evaluate_approximately(
    embeddings: np.ndarray,
    labels: np.ndarray,
    roles: np.ndarray | None = None,
    ks: Sequence[int] = DEFAULT_KS,
    distance: str = DEFAULT_DISTANCE,
    *,
    index: str = "hnsw",
    effort: int = 64,
    n_checked: int = 1000,
    seed: int = 0,
) -> ApproximateResult:
    """Compute Recall@K with an approximate index of faiss, and measure what the index misses.

    Args:
        embeddings: float, (n, d); a memory map is read in chunks.
        labels: (n,), class of each item.
        roles: See :func:`retrieval.evaluation.evaluate`. Defaults to None, leave-one-out.
        ks: Values of K for Recall@K; the largest is the number of neighbors searched. Defaults to
            (1, 2, 4, 8, 16).
        distance: ``cosine``, ``euclidean`` or ``squared_euclidean``. Defaults to ``cosine``.
        index: ``hnsw`` (Malkov and Yashunin 2018: fast, but keeps the vectors and a graph in
            memory) or ``ivf`` (inverted lists: faster to build). Defaults to ``hnsw``.
        effort: Number of candidates (HNSW) or lists (IVF) visited per query: more find more
            neighbors, but take longer. At least 1; defaults to 64.
        n_checked: Number of queries that are also searched exactly, at least 1. Defaults to 1000.
        seed: Seed of the choice of checked queries. Defaults to 0.

    Returns:
        The result. It has no R-Precision, MAP@R or NMI, which need more than a few neighbors.

    Raises:
        UserError: The input or an option is invalid, or the distance or index is not offered.
    """
    check_choice("index", index, INDEXES)
    if kind_of(distance) not in (DOT, SQUARED):
        raise UserError(f"distance {distance!r} has no approximate index: use exact evaluation")
    ks = check_ks(ks)
    effort = check_integer("effort", effort, least=1)
    n_checked = check_integer("n_checked", n_checked, least=1)
    seed = check_seed("seed", seed)
    embeddings, labels = check_shapes(embeddings, labels)
    codes = class_codes(labels)
    parts = sides(len(labels), roles)
    clock = [time.perf_counter()]
    built, words = _build(embeddings, parts, distance, index, effort)
    clock.append(time.perf_counter())
    ids = _search(built, embeddings, parts, distance, min(max(ks), len(parts.gallery)))
    clock.append(time.perf_counter())
    with worker_pool() as pool:
        found, checked = _agreement(embeddings, codes, parts, distance, ids, n_checked, seed, pool)
    clock.append(time.perf_counter())
    own = codes[parts.queries]
    size = np.bincount(codes[parts.gallery], minlength=codes.max() + 1)
    counted = size[own] - (parts.own >= 0) > 0
    hit = (codes[ids] == own[:, None]) & (ids >= 0)
    recall = {f"recall@{k}": float(hit[counted, :k].any(axis=1).mean()) for k in ks}
    seconds = dict(zip(("build", "search", "check"), np.diff(clock).tolist(), strict=True))
    return ApproximateResult(
        metrics=recall,
        index=words,
        found=found,
        n_checked=checked,
        rule=parts.rule,
        distance=distance,
        n_queries=len(own),
        n_without_positive=int((~counted).sum()),
        seconds=seconds,
        queries=parts.queries.astype(np.int32),
        neighbors=ids,
    )


def _rows(embeddings: np.ndarray, rows: np.ndarray, distance: str) -> np.ndarray:
    part = take(embeddings, rows)
    return normalize(part) if distance == "cosine" else np.ascontiguousarray(part, np.float32)


def _build(
    embeddings: np.ndarray, parts: Sides, distance: str, kind: str, effort: int
) -> tuple[Any, str]:
    """Return the filled index and its description."""
    import faiss  # imported here because only approximate searches need it

    n, d = len(parts.gallery), embeddings.shape[1]
    metric = faiss.METRIC_INNER_PRODUCT if distance == "cosine" else faiss.METRIC_L2
    index: Any  # faiss has no stubs for its attributes
    if kind == "hnsw":
        index = faiss.IndexHNSWFlat(d, LINKS, metric)
        index.hnsw.efConstruction, index.hnsw.efSearch = EF_CONSTRUCTION, effort
        words = f"faiss HNSW, {LINKS} links, efSearch {effort}"
    else:
        lists = max(1, min(int(4 * np.sqrt(n)), n // 8))
        coarse = faiss.IndexFlatIP(d) if distance == "cosine" else faiss.IndexFlatL2(d)
        index = faiss.IndexIVFFlat(coarse, d, lists, metric)
        step = max(1, n // (TRAIN_PER_LIST * lists))
        index.cp.min_points_per_centroid = 1
        index.train(_rows(embeddings, parts.gallery[::step], distance))
        index.nprobe = min(effort, lists)
        words = f"faiss IVF, {index.nprobe} of {lists} lists"
    for start in range(0, n, CHUNK):
        index.add(_rows(embeddings, parts.gallery[start : start + CHUNK], distance))
    return index, words


def _search(index: Any, embeddings: np.ndarray, parts: Sides, distance: str, k: int) -> np.ndarray:
    """Return item rows of the neighbors found, int32 (q, k), without the query itself."""
    out = np.full((len(parts.queries), k), -1, np.int32)
    for start in range(0, len(parts.queries), CHUNK):
        at = slice(start, start + CHUNK)
        _, ids = index.search(_rows(embeddings, parts.queries[at], distance), k + 1)
        dropped = (ids == parts.own[at, None]) | (ids < 0)
        order = np.argsort(dropped, axis=1, kind="stable")[:, :k]
        ids, dropped = (np.take_along_axis(a, order, axis=1) for a in (ids, dropped))
        out[at] = np.where(dropped, -1, parts.gallery[np.maximum(ids, 0)])
    return out


def _agreement(
    embeddings: np.ndarray,
    codes: np.ndarray,
    parts: Sides,
    distance: str,
    ids: np.ndarray,
    n_checked: int,
    seed: int,
    pool: ThreadPoolExecutor,
) -> tuple[float, int]:
    """Return the share of exact neighbors that were found, and the number of queries checked."""
    n = min(n_checked, len(parts.queries))
    at = np.sort(np.random.default_rng(seed).choice(len(parts.queries), n, replace=False))
    some = Sides(parts.name, parts.rule, parts.queries[at], parts.gallery, parts.own[at])
    exact = search(embeddings, codes, some, distance, ids.shape[1], pool=pool).ids
    shared = [np.isin(a[a >= 0], b).sum() for a, b in zip(exact, ids[at], strict=True)]
    return float(sum(shared) / max(1, (exact >= 0).sum())), n
