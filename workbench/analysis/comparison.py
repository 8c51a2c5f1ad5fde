"""Compare two runs query by query: which of them is right where the other is wrong."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from retrieval.errors import counted
from retrieval.runs.run import Neighbors, Run
from retrieval.validation import DEFAULT_NO_POSITIVE
from workbench.analysis.failures import wilson_interval


def difference_of_items(a: Run, b: Run) -> str | None:
    """Describe how the items of two runs differ.

    Args:
        a: First run.
        b: Second run.

    Returns:
        One sentence that names the first difference, or None if the items are the same.
    """
    first, second = a.items, b.items
    if a.has_labels != b.has_labels:
        return f"{(b if a.has_labels else a).name} has no labels, so what is relevant is unknown"
    if len(first) != len(second):
        return f"{a.name} has {len(first):,} items, {b.name} has {len(second):,}"
    for column in ("path", "label", "role"):
        left, right = first[column].to_numpy(), second[column].to_numpy()
        differs = np.flatnonzero(left != right)
        if len(differs):
            row = int(differs[0])
            return (
                f"{counted(len(differs), 'item')} with another {column}; the first is row {row}: "
                f"{left[row]} in {a.name}, {right[row]} in {b.name}"
            )
    return None


@dataclass(frozen=True)
class QueryComparison:
    """Outcomes of two runs on the same queries.

    Attributes:
        table: One row per scored query with the columns ``row``, ``label``, ``a`` and ``b`` (right
            at rank 1 under the run), ``rank_a`` and ``rank_b`` (rank of the first relevant item),
            ``similarity_a`` and ``similarity_b`` (of the nearest item), and ``overlap`` (share of
            the top k in common).
    """

    table: pd.DataFrame

    @property
    def wins(self) -> int:
        """Number of queries that are right under A only."""
        return int((self.table["a"] & ~self.table["b"]).sum())

    @property
    def losses(self) -> int:
        """Number of queries that are right under B only."""
        return int((self.table["b"] & ~self.table["a"]).sum())

    @property
    def ties(self) -> int:
        """Number of queries that are right under both runs or under neither."""
        return len(self.table) - self.wins - self.losses


def compare_queries(
    a: Neighbors,
    b: Neighbors,
    labels: np.ndarray,
    k: int = 10,
    *,
    no_positive: str = DEFAULT_NO_POSITIVE,
) -> QueryComparison:
    """Compare two runs on the same queries.

    Args:
        a: First run.
        b: Neighbors under run B, for the same protocol and queries.
        labels: int64, (n,), class of every item.
        k: Length of the lists whose overlap is measured. Defaults to 10.
        no_positive: The protocol's rule for queries without a relevant item in the gallery:
            ``exclude`` them, or count them as wrong under both runs (``zero``). Defaults to
            ``exclude``.

    Returns:
        The comparison over the scored queries.
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
    return QueryComparison(table[keep].reset_index(drop=True))


def neighbor_overlap(a: np.ndarray, b: np.ndarray, k: int) -> np.ndarray:
    """Measure the overlap of two top-k lists, regardless of their order.

    Args:
        a: int, (q, >=k), rows of the neighbors, padded with -1.
        b: int, (q, >=k), the same under the other run.
        k: Length of the lists.

    Returns:
        float64, (q,), number of common neighbors divided by the length of the longer list.
    """
    left, right = a[:, :k], b[:, :k]
    common = ((left[:, :, None] == right[:, None, :]) & (left[:, :, None] >= 0)).sum((1, 2))
    length = np.maximum((left >= 0).sum(1), (right >= 0).sum(1))
    return common / np.maximum(1, length)


def only_right(comparison: QueryComparison, winner: str) -> pd.DataFrame:
    """List the queries that are right under one run and wrong under the other.

    Args:
        comparison: The comparison of runs A and B.
        winner: The run under which they are right, ``a`` or ``b``.

    Returns:
        Rows of the comparison's table. The query whose first relevant item has the worst rank under
        the other run comes first.
    """
    loser = "b" if winner == "a" else "a"
    table = comparison.table
    part = table[table[winner] & ~table[loser]]
    return part.sort_values(f"rank_{loser}", ascending=False, kind="stable")


def class_recalls(comparison: QueryComparison) -> pd.DataFrame:
    """Compute Recall@1 of every class under both runs.

    Args:
        comparison: The comparison of runs A and B.

    Returns:
        Columns ``label``, ``n`` (queries), ``a``, ``b``, ``delta`` (a - b), and ``low`` and
        ``high``, the 95% interval of ``delta``: see :func:`paired_interval`.
    """
    table = comparison.table
    a, b = (table[side].to_numpy(float)[None] for side in "ab")
    return class_means(a, b, table["label"].to_numpy())


def class_means(a: np.ndarray, b: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """Compute the mean score of every class under two losses.

    Args:
        a: float, (seeds, q), scores of the queries under loss A; NaN marks queries that do not
            count.
        b: The same under loss B.
        labels: int64, (q,), class of each query.

    Returns:
        Columns ``label``, ``n`` (queries), ``a``, ``b``, ``delta`` (a - b), and ``low`` and
        ``high``, the 95% interval of ``delta``, see :func:`paired_interval`; NaN unless each loss
        has one seed and all scores are 0 or 1.
    """
    keep = np.isfinite(a).all(axis=0) & np.isfinite(b).all(axis=0)
    coins = len(a) == len(b) == 1 and bool(np.isin((a[:, keep], b[:, keep]), (0, 1)).all())
    columns = {"label": labels[keep], "a": a[:, keep].mean(axis=0), "b": b[:, keep].mean(axis=0)}
    table = pd.DataFrame(columns)
    groups = table.assign(both=table["a"] * table["b"]).groupby("label")
    out = groups[["a", "b", "both"]].mean().assign(n=groups.size()).reset_index()
    out["low"] = out["high"] = np.nan
    if coins:
        out["low"], out["high"] = paired_interval(out["a"], out["b"], out["both"], out["n"])
    return out.drop(columns="both").assign(delta=out["a"] - out["b"])


def paired_interval(
    a: pd.Series, b: pd.Series, both: pd.Series, n: pd.Series
) -> tuple[pd.Series, pd.Series]:
    """Compute the 95% interval of the difference of two proportions of the same queries.

    Newcombe 1998, "Improved confidence intervals for the difference between binomial proportions
    based on paired data", method 10: it combines the Wilson intervals of both proportions with
    their correlation. statsmodels has intervals of independent proportions only.

    Args:
        a: Share of queries that are right under A.
        b: Share of queries that are right under B.
        both: Share of queries that are right under both.
        n: Number of queries that were compared.

    Returns:
        Lower and upper end of the interval of a - b.
    """
    (low_a, high_a), (low_b, high_b) = wilson_interval(a, n), wilson_interval(b, n)
    excess = n * n * (both - a * b)  # n_both * n_neither - n_a_only * n_b_only
    excess = excess.where(excess <= 0, (excess - n / 2).clip(lower=0))
    spread = n * n * np.sqrt(a * (1 - a) * b * (1 - b))
    phi = (excess / spread.where(spread > 0)).fillna(0)

    def length(one: pd.Series, other: pd.Series) -> pd.Series:
        return np.sqrt((one * one - 2 * phi * one * other + other * other).clip(lower=0))

    return a - b - length(a - low_a, high_b - b), a - b + length(high_a - a, b - low_b)
