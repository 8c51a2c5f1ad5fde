"""Which pairs a threshold lets through or stops: the nearest to it, and the worst."""

from dataclasses import dataclass

import pandas as pd

from retrieval.evaluation.thresholds import Thresholds


@dataclass(frozen=True)
class Errors:
    """Pairs that a threshold gets wrong; ``query``, ``item`` (rows) and ``similarity``.

    Attributes:
        let_through: Pairs of two classes that it accepts, the least similar first.
        worst_let_through: The most similar pairs of two classes, the most similar first.
        stopped: Pairs of one class that it rejects, the most similar first.
        worst_stopped: The least similar pairs of one class, the least similar first.
    """

    let_through: pd.DataFrame
    worst_let_through: pd.DataFrame
    stopped: pd.DataFrame
    worst_stopped: pd.DataFrame


def errors_at(rates: Thresholds, place: int, n: int = 5) -> Errors:
    """Pick the pairs that a threshold of the curve gets wrong.

    Args:
        rates: The rates of the run.
        place: Place of the threshold in ``rates.curve``.
        n: Number of pairs of each kind, at most. Defaults to 5.

    Returns:
        The pairs; no pair is listed twice.
    """
    pairs, threshold = rates.examples, float(rates.curve["threshold"].iloc[place])
    other, same = pairs[~pairs["same"]], pairs[pairs["same"]]
    accepted = other[other["similarity"] >= threshold]
    rejected = same[same["similarity"] < threshold]

    def first(table: pd.DataFrame, *, ascending: bool, extreme: bool) -> pd.DataFrame:
        part = table[(table["cell"] < 0) == extreme]
        return part.sort_values("similarity", ascending=ascending, kind="stable").head(n)

    near, near_stopped = (
        first(accepted, ascending=True, extreme=False),
        first(rejected, ascending=False, extreme=False),
    )
    return Errors(
        near,
        _without(first(accepted, ascending=False, extreme=True), near),
        near_stopped,
        _without(first(rejected, ascending=True, extreme=True), near_stopped),
    )


def _without(table: pd.DataFrame, shown: pd.DataFrame) -> pd.DataFrame:
    pairs = set(zip(shown["query"], shown["item"], strict=True))
    keep = [pair not in pairs for pair in zip(table["query"], table["item"], strict=True)]
    return table[keep]
