"""Is the difference real? Runs in the form that ``retrieval.evaluation`` compares."""

import numpy as np
import pandas as pd

from retrieval.evaluation.significance import Comparison, compare
from retrieval.runs.run import Neighbors

__all__ = ["Comparison", "both_ways", "compare", "rank_one_hits"]


def rank_one_hits(neighbors: Neighbors, no_positive: str = "exclude") -> np.ndarray:
    """Return whether each query is right at rank 1.

    Args:
        neighbors: Of q queries.
        no_positive: The protocol's rule for a query whose class is absent from the gallery:
            ``exclude`` leaves it out, ``zero`` counts it as a miss.

    Returns:
        float64, (q,): 1 right, 0 wrong, NaN where the query does not count.
    """
    hits = (neighbors.first_relevant_rank == 1).astype(np.float64)
    if no_positive != "zero":
        hits[neighbors.first_relevant_rank == 0] = np.nan
    return hits


def both_ways(pairs: pd.DataFrame) -> pd.DataFrame:
    """List every pair in both directions, with a verdict.

    Args:
        pairs: Of a comparison, the better of two first.

    Returns:
        Columns ``a``, ``b``, ``delta`` (Recall@1 of a minus that of b), ``low``, ``high``, ``p``
        (of the difference, corrected by Holm's method), ``wins``, ``ties``, ``losses`` and
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
