"""Two runs, query by query: who is right where the other is wrong. Pure functions."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from retrieval.runs.run import Neighbors, Run
from workbench.analysis.failures import wilson_interval


def difference_of_items(a: Run, b: Run) -> str | None:
    """Say how the items of two runs differ, or None if they are the same.

    Returns:
        One sentence naming the first difference.
    """
    first, second = a.items, b.items
    if len(first) != len(second):
        return f"{a.name} has {len(first):,} items, {b.name} has {len(second):,}"
    for column, what in (("path", "path"), ("label", "label"), ("role", "role")):
        left, right = first[column].to_numpy(), second[column].to_numpy()
        differs = np.flatnonzero(left != right)
        if len(differs):
            row = int(differs[0])
            return (
                f"{len(differs):,} items have another {what}; first row {row}: "
                f"{left[row]} in {a.name}, {right[row]} in {b.name}"
            )
    return None


@dataclass(frozen=True)
class Comparison:
    """Outcomes of two runs on the same queries.

    Attributes:
        table: One row per query that counts: ``row``, ``label``, ``a`` and ``b`` (right at rank 1),
            ``rank_a``, ``rank_b`` (first hits), ``overlap`` (share of the top k in common).
        wins: Queries right under A only.
        losses: Queries right under B only.
    """

    table: pd.DataFrame

    @property
    def wins(self) -> int:
        """Queries right under A only."""
        return int((self.table["a"] & ~self.table["b"]).sum())

    @property
    def losses(self) -> int:
        """Queries right under B only."""
        return int((self.table["b"] & ~self.table["a"]).sum())

    @property
    def ties(self) -> int:
        """Queries right under both or under neither."""
        return len(self.table) - self.wins - self.losses


def compare(
    a: Neighbors,
    b: Neighbors,
    labels: np.ndarray,
    k: int = 10,
    *,
    no_positive: str = "exclude",
) -> Comparison:
    """Compare two runs on the same queries.

    Args:
        a: Neighbors under run A.
        b: Neighbors under run B; same protocol and queries.
        labels: int64, (n,).
        k: Length of the lists whose overlap is measured.
        no_positive: The protocol's rule for a query whose class is absent from the gallery:
            ``exclude`` leaves it out, ``zero`` counts it as wrong under both.

    Returns:
        The comparison, over the queries that count.
    """
    keep = ((a.first_relevant_rank > 0) & (b.first_relevant_rank > 0)) | (no_positive == "zero")
    table = pd.DataFrame(
        {
            "row": a.queries,
            "label": labels[a.queries],
            "a": a.first_relevant_rank == 1,
            "b": b.first_relevant_rank == 1,
            "rank_a": a.first_relevant_rank,
            "rank_b": b.first_relevant_rank,
            "similarity_a": a.similarities[:, 0],
            "similarity_b": b.similarities[:, 0],
            "overlap": neighbor_overlap(a.ids, b.ids, k),
        }
    )
    return Comparison(table[keep].reset_index(drop=True))


def neighbor_overlap(a: np.ndarray, b: np.ndarray, k: int) -> np.ndarray:
    """Measure how much of two top-k lists is the same, order aside.

    Args:
        a: int, (q, >=k), ids; -1 pads.
        b: int, (q, >=k).
        k: Length of the lists.

    Returns:
        float64, (q,), common ids divided by the longer list's length.
    """
    left, right = a[:, :k], b[:, :k]
    common = ((left[:, :, None] == right[:, None, :]) & (left[:, :, None] >= 0)).sum((1, 2))
    length = np.maximum((left >= 0).sum(1), (right >= 0).sum(1))
    return common / np.maximum(1, length)


def only_right(comparison: Comparison, winner: str) -> pd.DataFrame:
    """List the queries that one run answers and the other does not.

    Args:
        comparison: Of runs A and B.
        winner: ``a`` or ``b``.

    Returns:
        Rows of the table, those the other run ranks worst first.
    """
    loser = "b" if winner == "a" else "a"
    table = comparison.table
    part = table[table[winner] & ~table[loser]]
    return part.sort_values(f"rank_{loser}", ascending=False, kind="stable")


def class_recalls(comparison: Comparison) -> pd.DataFrame:
    """Compute Recall@1 of every class under both runs.

    Returns:
        Columns ``label``, ``n``, ``a``, ``b``, ``delta`` (a - b) and ``low``, ``high``: its 95 %
        interval, see :func:`paired_interval`.
    """
    table = comparison.table
    groups = table.assign(both=table["a"] & table["b"]).groupby("label")
    out = groups[["a", "b", "both"]].mean().assign(n=groups.size()).reset_index()
    out["low"], out["high"] = paired_interval(out["a"], out["b"], out["both"], out["n"])
    return out.drop(columns="both").assign(delta=out["a"] - out["b"])


def paired_interval(
    a: pd.Series, b: pd.Series, both: pd.Series, n: pd.Series
) -> tuple[pd.Series, pd.Series]:
    """Compute the 95 % interval of a difference of two proportions of the same queries.

    Newcombe 1998, "Improved confidence intervals for the difference between binomial proportions
    based on paired data", method 10: Wilson's intervals of both, joined by their correlation.

    Args:
        a: Share of queries right under A.
        b: The same under B.
        both: Share right under both.
        n: Number of queries.

    Returns:
        Lower and upper end of a - b.
    """
    (low_a, high_a), (low_b, high_b) = wilson_interval(a, n), wilson_interval(b, n)
    excess = n * n * (both - a * b)  # right under both and under neither, minus the other two
    excess = excess.where(excess <= 0, (excess - n / 2).clip(lower=0))
    spread = n * n * np.sqrt(a * (1 - a) * b * (1 - b))
    phi = (excess / spread.where(spread > 0)).fillna(0)

    def length(one: pd.Series, other: pd.Series) -> pd.Series:
        return np.sqrt((one * one - 2 * phi * one * other + other * other).clip(lower=0))

    return a - b - length(a - low_a, high_b - b), a - b + length(high_a - a, b - low_b)
