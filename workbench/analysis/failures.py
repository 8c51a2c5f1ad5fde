"""Find what a run gets wrong, from its neighbors.

Items are identified by their row in ``items.parquet``; ``labels`` is int64, (n,), the class of
every item. Padding (-1) in lists of neighbors is ignored. A query without a relevant item in the
gallery (``first_relevant_rank == 0``) cannot be answered and is in no list of failures.
"""

import numpy as np
import pandas as pd

from retrieval.runs.run import Neighbors


def ranks_by_item(neighbors: Neighbors, n_items: int) -> np.ndarray:
    """Return the rank of the first relevant item for every item of a run.

    Args:
        neighbors: The neighbors of q queries.
        n_items: Number of items of the run.

    Returns:
        int64, (n_items,), 1-based; 0 where the gallery holds no relevant item, -1 for items that
        are no query.
    """
    ranks = np.full(n_items, -1)
    ranks[neighbors.queries] = neighbors.first_relevant_rank
    return ranks


def hit_matrix(neighbors: Neighbors, labels: np.ndarray) -> np.ndarray:
    """Tell which neighbors are relevant: those of their query's class unless the run lists others.

    Args:
        neighbors: The k neighbors of q queries.
        labels: int64, (n,), class of every item.

    Returns:
        bool, (q, k).
    """
    return neighbors.hits(labels)


def query_table(neighbors: Neighbors, labels: np.ndarray) -> pd.DataFrame:
    """Summarize every query.

    Args:
        neighbors: The neighbors of q queries.
        labels: int64, (n,), class of every item.

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
    """Return the answerable queries whose nearest item is of another class."""
    return table[table["answerable"] & ~table["correct"]]


def confident_and_wrong(table: pd.DataFrame) -> pd.DataFrame:
    """Sort the failures by the similarity of their nearest item, most similar first."""
    return failures(table).sort_values("top_similarity", ascending=False, kind="stable")


def near_misses(table: pd.DataFrame) -> pd.DataFrame:
    """Sort the failures by how close they are to being right.

    Args:
        table: See :func:`query_table`.

    Returns:
        Failures whose first relevant item is among the stored neighbors, lowest rank first. Within
        a rank, the smallest ``gap`` comes first: the difference in similarity between the nearest
        item and the first relevant item.
    """
    wrong = failures(table)
    wrong = wrong[wrong["first_relevant_similarity"].notna()]
    gap = wrong["top_similarity"] - wrong["first_relevant_similarity"]
    return wrong.assign(gap=gap).sort_values(["first_relevant_rank", "gap"], kind="stable")


def worst_ranks(table: pd.DataFrame) -> pd.DataFrame:
    """Sort the failures by the rank of their first relevant item, worst first."""
    return failures(table).sort_values(
        ["first_relevant_rank", "top_similarity"], ascending=[False, False], kind="stable"
    )


def confused_pairs(table: pd.DataFrame, labels: np.ndarray) -> pd.DataFrame:
    """Count how often each pair of classes is confused, by the nearest item of every failure.

    Args:
        table: See :func:`query_table`.
        labels: int64, (n,), class of every item.

    Returns:
        Columns ``a`` and ``b`` (labels, a < b), ``a_as_b`` (queries of a whose nearest item is of
        b), ``b_as_a``, and ``count`` (their sum); the most confused pair first.
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
    """Compute Recall@1 of every class.

    Args:
        table: See :func:`query_table`.

    Returns:
        Columns ``label``, ``queries`` (number of answerable ones), ``recall``, and ``low`` and
        ``high``: see :func:`wilson_interval`. The worst class comes first.
    """
    groups = table[table["answerable"]].groupby("label")["correct"]
    out = pd.DataFrame({"queries": groups.size(), "recall": groups.mean()}).reset_index()
    out["low"], out["high"] = wilson_interval(out["recall"], out["queries"])
    return out.sort_values(
        ["recall", "queries"], ascending=[True, False], kind="stable", ignore_index=True
    )


def wilson_interval(p: pd.Series, n: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Compute the 95% Wilson score interval of proportions (Wilson 1927).

    Args:
        p: Proportions, 0 to 1.
        n: Number of trials behind each proportion.

    Returns:
        Lower and upper end of each interval.
    """
    # Imported here because it loads scipy.stats, which would delay the start of the app.
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(p * n, n, alpha=0.05, method="wilson")
    return low.clip(lower=0), high.clip(upper=1)


def instructive_failure(table: pd.DataFrame) -> int:
    """Choose an instructive query to show first.

    Args:
        table: See :func:`query_table`.

    Returns:
        Row of the failure with the most similar nearest item among those with a relevant item in
        the top 10; without one, among all failures; without failures, of the query whose nearest
        item is least similar.
    """
    wrong = confident_and_wrong(table)
    shown = wrong[wrong["first_relevant_rank"] <= 10]
    if len(shown):
        return int(shown["row"].iloc[0])
    if len(wrong):
        return int(wrong["row"].iloc[0])
    return int(table.sort_values("top_similarity", kind="stable")["row"].iloc[0])
