"""Results of a single query: the stored ones, or computed ones for an item that is no query."""

from dataclasses import dataclass

import numpy as np

from retrieval.runs.run import Run
from retrieval.validation import QUERY_GALLERY, base_protocol

BLOCK = 65_536


@dataclass(frozen=True)
class Answer:
    """The results of a run for one query.

    Attributes:
        query: Row of the query.
        ids: int32, (k,), rows of the results, nearest first.
        similarities: float32, (k,), similarity of each result.
        first_relevant_rank: 1-based rank of the first relevant item; 0 if the gallery holds none.
        first_relevant_item: Row of the first relevant item; -1 if there is none.
        first_relevant_similarity: Similarity of the first relevant item; NaN if there is none.
        scored: Whether the item is a query of the protocol, so that it counts in the metrics.
        relevant: bool, (k,), which results are relevant.
        known: Whether it is known what is relevant; False for items without labels. Defaults to
            True.
    """

    query: int
    ids: np.ndarray
    similarities: np.ndarray
    first_relevant_rank: int
    first_relevant_item: int
    first_relevant_similarity: float
    scored: bool
    relevant: np.ndarray
    known: bool = True


def similarity(run: Run, protocol: str, query: np.ndarray, rows: np.ndarray | slice) -> np.ndarray:
    """Compute the similarity of one embedding and items of a run, as the protocol defines it.

    Args:
        run: The run whose embeddings are searched.
        protocol: Name of the protocol, whose distance and normalization are used.
        query: float32, (d,), the embedding.
        rows: Rows of m items.

    Returns:
        float32, (m,), cosine similarity or negative distance; higher is nearer.
    """
    made = run.result(protocol).protocol
    distance, unit = made.distance, made.normalized
    vectors = np.asarray(run.embeddings[rows], np.float32)
    query = np.asarray(query, np.float32)
    if unit or distance == "cosine":
        norms = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        vectors = vectors / norms
        query = query / max(float(np.linalg.norm(query)), 1e-12)
    if distance == "cosine":
        return vectors @ query
    if distance == "cityblock":
        return -np.abs(vectors - query).sum(1)
    squared = ((vectors - query) ** 2).sum(1)
    return -(squared if distance == "squared_euclidean" else np.sqrt(squared))


def all_similarities(run: Run, protocol: str, query: np.ndarray) -> np.ndarray:
    """Compute the similarity of one embedding and every item, in blocks to save memory.

    Args:
        run: The run whose embeddings are searched.
        protocol: Name of the protocol.
        query: float32, (d,), the embedding.

    Returns:
        float32, (n,), see :func:`similarity`.
    """
    n = len(run.embeddings)
    parts = [
        similarity(run, protocol, query, slice(at, min(n, at + BLOCK))) for at in range(0, n, BLOCK)
    ]
    return np.concatenate(parts)


def search_vector(
    run: Run, protocol: str, query: np.ndarray, k: int, *, exclude: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Find the gallery items nearest to an embedding.

    Args:
        run: The run whose embeddings are searched.
        protocol: Name of the protocol. Under ``query_gallery``, only gallery items are searched.
        query: float32, (d,), the embedding.
        k: Number of results to return.
        exclude: Row that is never returned, for a query that is an item itself. Defaults to none.

    Returns:
        Rows, int32, and similarities, float32, nearest first.
    """
    scores = all_similarities(run, protocol, query)
    allowed = np.ones(len(scores), bool)
    if base_protocol(protocol) == QUERY_GALLERY:
        allowed = run.items["role"].to_numpy() != "query"
    if exclude is not None:
        allowed[exclude] = False
    rows = np.flatnonzero(allowed)
    order = np.argsort(-scores[rows], kind="stable")[:k]
    return rows[order].astype(np.int32), scores[rows[order]].astype(np.float32)


def answer(run: Run, protocol: str, row: int, k: int) -> Answer:
    """Return the results of a run for one of its items.

    Args:
        run: The run whose embeddings are searched.
        protocol: Name of the protocol.
        row: Row of the item. If it is not a query of the protocol, its neighbors are computed now;
            without embeddings, it has none.
        k: Number of results to return.

    Returns:
        The results.
    """
    neighbors = run.neighbors(protocol)
    at = neighbors.position(row)
    if at is None:
        return _computed_answer(run, protocol, row, k)
    ids = neighbors.ids[at]
    keep = np.flatnonzero(ids >= 0)[:k]
    item = int(neighbors.first_relevant_item[at])
    score = np.nan
    if item >= 0 and not run.has_embeddings:
        near = np.flatnonzero(ids == item)
        score = float(neighbors.similarities[at][near[0]]) if len(near) else np.nan
    elif item >= 0:
        score = float(similarity(run, protocol, run.embeddings[row], np.array([item]))[0])
    return Answer(
        row,
        ids[keep],
        neighbors.similarities[at][keep],
        int(neighbors.first_relevant_rank[at]),
        item,
        score,
        True,
        neighbors.hits_of(at, run.items["label"].to_numpy())[keep],
        run.knows_relevant(protocol),
    )


def _computed_answer(run: Run, protocol: str, row: int, k: int) -> Answer:
    if not run.has_embeddings:
        none = np.empty(0, np.int32)
        return Answer(row, none, none.astype(np.float32), 0, -1, np.nan, False, none.astype(bool))
    ids, scores = search_vector(run, protocol, run.embeddings[row], len(run.items), exclude=row)
    labels = run.items["label"].to_numpy()
    same = labels[ids] == labels[row]
    hits = np.flatnonzero(same)
    first = int(hits[0]) if len(hits) else -1
    return Answer(
        row,
        ids[:k],
        scores[:k],
        first + 1,
        int(ids[first]) if first >= 0 else -1,
        float(scores[first]) if first >= 0 else np.nan,
        False,
        same[:k],
        run.knows_relevant(protocol),
    )
