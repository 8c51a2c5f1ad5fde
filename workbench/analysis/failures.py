"""What a run gets wrong: pure analyses of its neighbors, for pages and notebooks.

Rows are row numbers of ``items.parquet``; ``labels`` is int64, (n,), the class of every row.
Padding neighbors (-1) never count as anything. A query whose class is absent from the gallery
(``first_relevant_rank == 0``) cannot be answered and is left out of every list of failures.
"""

import numpy as np
import pandas as pd

from retrieval.runs.run import Neighbors


def hit_matrix(neighbors: Neighbors, labels: np.ndarray) -> np.ndarray:
    """Tell which neighbors are of their query's class.

    Args:
        neighbors: Of q queries, k each.
        labels: int64, (n,).

    Returns:
        bool, (q, k).
    """
    hits = labels[neighbors.ids] == labels[neighbors.queries][:, None]
    return hits & (neighbors.ids >= 0)


def query_table(neighbors: Neighbors, labels: np.ndarray) -> pd.DataFrame:
    """Summarize every query.

    Args:
        neighbors: Of q queries.
        labels: int64, (n,).

    Returns:
        One row per query, in the order of ``neighbors.queries``, with the columns ``row``,
        ``label``, ``first_relevant_rank`` (1-based; 0 if the gallery holds no item of its class),
        ``first_relevant_item``, ``first_relevant_similarity`` (NaN if that item lies beyond the
        stored neighbors), ``top`` (row of the nearest item), ``top_similarity``, ``answerable``
        (the gallery holds an item of its class) and ``correct`` (the nearest item is of its class).
    """
    k = neighbors.ids.shape[1]
    at = neighbors.first_relevant_rank - 1
    stored = (at >= 0) & (at < k)
    index = np.arange(len(at)), np.clip(at, 0, k - 1)
    return pd.DataFrame(
        {
            "row": neighbors.queries,
            "first_relevant_rank": neighbors.first_relevant_rank,
            "first_relevant_item": neighbors.first_relevant_item,
            "top": neighbors.ids[:, 0],
            "top_similarity": neighbors.similarities[:, 0],
            "first_relevant_similarity": np.where(stored, neighbors.similarities[index], np.nan),
            "answerable": neighbors.first_relevant_rank > 0,
            "correct": neighbors.first_relevant_rank == 1,
            "label": labels[neighbors.queries],
        }
    )


def failures(table: pd.DataFrame) -> pd.DataFrame:
    """Return the answerable queries whose nearest item is wrong."""
    return table[table["answerable"] & ~table["correct"]]


def confident_and_wrong(table: pd.DataFrame) -> pd.DataFrame:
    """Sort the failures by how similar the wrong nearest item is, most similar first."""
    return failures(table).sort_values("top_similarity", ascending=False, kind="stable")


def near_misses(table: pd.DataFrame) -> pd.DataFrame:
    """Sort the failures by how little is missing.

    Returns:
        Failures whose first correct item is among the stored neighbors, lowest rank first; ties by
        the gap between the nearest item's similarity and the correct item's.
    """
    wrong = failures(table)
    wrong = wrong[wrong["first_relevant_similarity"].notna()]
    gap = wrong["top_similarity"] - wrong["first_relevant_similarity"]
    return wrong.assign(gap=gap).sort_values(["first_relevant_rank", "gap"], kind="stable")


def worst_ranks(table: pd.DataFrame) -> pd.DataFrame:
    """Sort the failures by the rank of the first correct item, worst first."""
    return failures(table).sort_values(
        ["first_relevant_rank", "top_similarity"], ascending=[False, False], kind="stable"
    )


def confused_pairs(table: pd.DataFrame, labels: np.ndarray) -> pd.DataFrame:
    """Count which classes are taken for which, over the nearest item of every failed query.

    Args:
        table: See :func:`query_table`.
        labels: int64, (n,).

    Returns:
        Columns ``a``, ``b`` (labels, a < b), ``a_as_b`` (queries of a answered by b), ``b_as_a``
        and ``count`` (their sum), most confused first.
    """
    wrong = failures(table)
    asked, answered = wrong["label"].to_numpy(), labels[wrong["top"].to_numpy()]
    pairs = pd.DataFrame(
        {
            "a": np.minimum(asked, answered),
            "b": np.maximum(asked, answered),
            "a_as_b": asked < answered,
            "b_as_a": asked > answered,
        }
    )
    counts = pairs.groupby(["a", "b"], as_index=False).sum()
    counts["count"] = counts["a_as_b"] + counts["b_as_a"]
    return counts.astype(int).sort_values(
        ["count", "a", "b"], ascending=[False, True, True], ignore_index=True
    )


def class_table(table: pd.DataFrame) -> pd.DataFrame:
    """Compute Recall@1 of every class, worst first.

    Returns:
        Columns ``label``, ``queries`` (answerable ones), ``recall`` and ``low``, ``high``: the 95%
        Wilson score interval of a proportion (Wilson 1927).
    """
    groups = table[table["answerable"]].groupby("label")["correct"]
    out = pd.DataFrame({"queries": groups.size(), "recall": groups.mean()}).reset_index()
    out["low"], out["high"] = wilson_interval(out["recall"], out["queries"])
    return out.sort_values(
        ["recall", "queries"], ascending=[True, False], kind="stable", ignore_index=True
    )


def wilson_interval(p: pd.Series, n: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Compute the 95 % Wilson score interval (Wilson 1927) of shares ``p`` of ``n``."""
    z = 1.959964
    center = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (center - half).clip(lower=0), (center + half).clip(upper=1)


def instructive_failure(table: pd.DataFrame) -> int:
    """Choose a query to open on: wrong at rank 1, right within the stored list, and confident.

    Returns:
        A row: the most confident near miss, else the most confident failure, else the query whose
        answer is least sure, so that there is always something to see.
    """
    wrong = confident_and_wrong(table)
    shown = wrong[(wrong["first_relevant_rank"] <= 10)]
    if len(shown):
        return int(shown["row"].iloc[0])
    if len(wrong):
        return int(wrong["row"].iloc[0])
    return int(table.sort_values("top_similarity", kind="stable")["row"].iloc[0])
