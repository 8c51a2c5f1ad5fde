"""The results of one query: stored ones for scored queries, computed for any other item."""

from dataclasses import dataclass

import numpy as np

from retrieval.runs.run import Run

BLOCK = 65_536


@dataclass(frozen=True)
class Answer:
    """What a run answers to one query.

    Attributes:
        query: Row of the query.
        ids: int32, (k,), rows of the results, nearest first.
        similarities: float32, (k,).
        first_relevant_rank: 1-based rank of the first correct item; 0 = none in the gallery.
        first_relevant_item: Its row, -1 if none.
        first_relevant_similarity: Its similarity, NaN if none.
        scored: The item is a query of the protocol, so it counts in the metrics.
    """

    query: int
    ids: np.ndarray
    similarities: np.ndarray
    first_relevant_rank: int
    first_relevant_item: int
    first_relevant_similarity: float
    scored: bool


def similarity(run: Run, protocol: str, query: np.ndarray, rows: np.ndarray | slice) -> np.ndarray:
    """Compare one vector with items of a run, as the protocol does.

    Args:
        run: The run.
        protocol: Name of the protocol; its distance and normalization are used.
        query: float32, (d,).
        rows: Items to compare with.

    Returns:
        float32, (m,), higher is nearer: cosine, or the negative distance.
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
    """Compare one vector with every item, in blocks, so that little memory is needed.

    Returns:
        float32, (n,).
    """
    n = len(run.embeddings)
    parts = [
        similarity(run, protocol, query, slice(at, min(n, at + BLOCK))) for at in range(0, n, BLOCK)
    ]
    return np.concatenate(parts)


def search_vector(
    run: Run, protocol: str, query: np.ndarray, k: int, *, leave_out: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Find the gallery items nearest to a vector.

    Args:
        run: The run.
        protocol: Under ``query_gallery`` only gallery items are searched.
        query: float32, (d,).
        k: Number of results.
        leave_out: Row never returned (the query itself).

    Returns:
        Rows int32 and similarities float32, nearest first.
    """
    scores = all_similarities(run, protocol, query)
    allowed = np.ones(len(scores), bool)
    if protocol == "query_gallery":
        allowed = run.items["role"].to_numpy() != "query"
    if leave_out is not None:
        allowed[leave_out] = False
    rows = np.flatnonzero(allowed)
    order = np.argsort(-scores[rows], kind="stable")[:k]
    return rows[order].astype(np.int32), scores[rows[order]].astype(np.float32)


def answer(run: Run, protocol: str, row: int, k: int) -> Answer:
    """Return a run's answer to one of its items.

    Args:
        run: The run.
        protocol: Name of the protocol.
        row: The item; one that the protocol does not query is searched on the spot.
        k: Number of results.

    Returns:
        The answer.
    """
    neighbors = run.neighbors(protocol)
    at = neighbors.position(row)
    if at is None:
        return _live_answer(run, protocol, row, k)
    ids = neighbors.ids[at]
    keep = np.flatnonzero(ids >= 0)[:k]
    item = int(neighbors.first_relevant_item[at])
    score = np.nan
    if item >= 0:
        score = float(similarity(run, protocol, run.embeddings[row], np.array([item]))[0])
    return Answer(
        row,
        ids[keep],
        neighbors.similarities[at][keep],
        int(neighbors.first_relevant_rank[at]),
        item,
        score,
        True,
    )


def _live_answer(run: Run, protocol: str, row: int, k: int) -> Answer:
    ids, scores = search_vector(run, protocol, run.embeddings[row], len(run.items), leave_out=row)
    labels = run.items["label"].to_numpy()
    hits = np.flatnonzero(labels[ids] == labels[row])
    first = int(hits[0]) if len(hits) else -1
    return Answer(
        row,
        ids[:k],
        scores[:k],
        first + 1,
        int(ids[first]) if first >= 0 else -1,
        float(scores[first]) if first >= 0 else np.nan,
        False,
    )
