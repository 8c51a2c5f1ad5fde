"""Lay out the results of the paired tests of ``retrieval.evaluation``."""

import numpy as np
import pandas as pd


def both_ways(pairs: pd.DataFrame) -> pd.DataFrame:
    """List every pair of runs in both directions, with a verdict.

    Args:
        pairs: The pairs of a :class:`retrieval.evaluation.significance.Comparison`, the better of
            each two first.

    Returns:
        Columns ``a``, ``b``, ``delta`` (the metric of a minus that of b), ``low`` and ``high`` (its
        interval, simultaneous over all pairs), ``p`` (adjusted over all pairs), ``wins``, ``ties``,
        ``losses`` and ``verdict``: ``win`` or ``loss`` if the interval excludes 0, ``tie`` if it
        does not, and ``none`` if there is no interval.
    """
    columns = ["a", "b", "delta", "low", "high", "p", "wins", "ties", "losses", "verdict"]
    if not len(pairs):
        return pd.DataFrame(columns=columns)
    there = pd.DataFrame(
        {
            **{name: pairs[name] for name in ("a", "b", "low", "high", "wins", "ties", "losses")},
            "delta": pairs["difference"],
            "p": pairs["p_adjusted"],
            "verdict": np.select(
                [pairs["significant"], pairs["low"].isna()], ["win", "none"], "tie"
            ),
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
