"""Prepare runs for the paired tests of ``retrieval.evaluation``, and lay out their results."""

import numpy as np
import pandas as pd

from retrieval.runs.run import Neighbors
from retrieval.validation import DEFAULT_NO_POSITIVE


def rank_one_hits(neighbors: Neighbors, no_positive: str = DEFAULT_NO_POSITIVE) -> np.ndarray:
    """Return for each query whether it is right at rank 1.

    Args:
        neighbors: The neighbors of q queries.
        no_positive: The protocol's rule for queries without a relevant item in the gallery:
            ``exclude`` them, or score them ``zero``. Defaults to ``exclude``.

    Returns:
        float64, (q,): 1 if right, 0 if wrong, NaN if the query is excluded.
    """
    hits = (neighbors.first_relevant_rank == 1).astype(np.float64)
    if no_positive != "zero":
        hits[neighbors.first_relevant_rank == 0] = np.nan
    return hits


def both_ways(pairs: pd.DataFrame) -> pd.DataFrame:
    """List every pair of runs in both directions, with a verdict.

    Args:
        pairs: The pairs of a :class:`retrieval.evaluation.significance.Comparison`, the better of
            each two first.

    Returns:
        Columns ``a``, ``b``, ``delta`` (Recall@1 of a minus that of b), ``low`` and ``high`` (its
        interval), ``p`` (corrected by Holm's method), ``wins``, ``ties``, ``losses`` and
        ``verdict``: ``win`` or ``loss`` if the difference is significant, else ``tie``.
    """
    columns = ["a", "b", "delta", "low", "high", "p", "wins", "ties", "losses", "verdict"]
    if not len(pairs):
        return pd.DataFrame(columns=columns)
    there = pd.DataFrame(
        {
            **{name: pairs[name] for name in ("a", "b", "low", "high", "wins", "ties", "losses")},
            "delta": pairs["difference"],
            "p": pairs["p_holm"],
            "verdict": np.where(pairs["significant"], "win", "tie"),
        }
    )
    back = pd.DataFrame(
        {
            "a": there["b"],
            "b": there["a"],
            "delta": -there["delta"],
            "low": -there["high"],
            "high": -there["low"],
            "p": there["p"],
            "wins": there["losses"],
            "ties": there["ties"],
            "losses": there["wins"],
            "verdict": there["verdict"].replace("win", "loss"),
        }
    )
    return pd.concat([there, back], ignore_index=True)[columns]
