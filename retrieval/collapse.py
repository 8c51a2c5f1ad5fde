"""Collapse: all embeddings (nearly) equal. Its metrics look like any others, so it is said."""

import numpy as np

from retrieval.evaluation.distances import normalise

COLLAPSED = 1e-3  # relative spread
BLOCK = 8192  # rows


def relative_spread(embeddings: np.ndarray, distance: str) -> float:
    """Return how far embeddings lie from their mean, relative to their length (both RMS).

    What :func:`retrieval.ranking_batch.relative_spread` is for a batch, of everything evaluated.

    Args:
        embeddings: float, (n, d).
        distance: Distance of the evaluation; under ``cosine`` only directions count.

    Returns:
        0 if all embeddings are equal (collapse); about 1 is usual.
    """
    rows = normalise(embeddings) if distance == "cosine" else embeddings
    mean = rows.mean(axis=0, dtype=np.float64)
    within = total = 0.0
    for start in range(0, len(rows), BLOCK):
        part = np.asarray(rows[start : start + BLOCK], np.float64)
        within += np.square(part - mean).sum()
        total += np.square(part).sum()
    return float(np.sqrt(within / total)) if total > 0 else 0.0


def is_collapsed(entry: dict) -> bool:
    """Tell whether a result in ``metrics.json`` is of a collapsed run; False where not measured."""
    spread = (entry.get("geometry") or {}).get("relative_spread")
    return isinstance(spread, (int, float)) and spread < COLLAPSED


def collapse_line(spread: float) -> str:
    """Return the sentence that says so and what to try."""
    return (
        f"collapsed: all test embeddings are nearly equal (relative spread {spread:.1e}), so its "
        "figures mean little; try pretrained weights, more steps (trained from nothing, batch "
        "normalisation settles late), a lower learning rate or a smaller margin"
    )
