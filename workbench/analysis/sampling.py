"""Choose some of many items, with every class represented."""

import numpy as np
import pandas as pd


def stratified_rows(labels: np.ndarray, most: int) -> np.ndarray:
    """Choose rows so that every class keeps its share.

    Args:
        labels: int, (n,), class of every item.
        most: Largest number of rows.

    Returns:
        int32, ascending; always the same for the same labels. Every class keeps at least one row,
        unless there are more classes than ``most``.
    """
    n = len(labels)
    if n <= most:
        return np.arange(n, dtype=np.int32)
    shuffled = np.random.default_rng(0).permutation(n)
    # Position of each item within its class, in shuffled order, as a share of the class's size.
    frame = pd.DataFrame({"label": labels[shuffled]})
    order = frame.groupby("label").cumcount().to_numpy()
    size = frame.groupby("label")["label"].transform("size").to_numpy()
    chosen = shuffled[np.argsort((order + 0.5 * (order > 0)) / size, kind="stable")[:most]]
    return np.sort(chosen).astype(np.int32)


def round_robin(labels: np.ndarray, most: int) -> np.ndarray:
    """Choose items from every class in turn, so that no large class crowds out the others.

    Args:
        labels: int, (n,), class of each item to choose from.
        most: Largest number of items.

    Returns:
        int64, positions in ``labels``. Items of a class are adjacent, and the class with the most
        items comes first.
    """
    frame = pd.DataFrame({"label": labels})
    groups = frame.groupby("label")["label"]
    size, turn = groups.transform("size").to_numpy(), groups.cumcount().to_numpy()
    chosen = np.lexsort((labels, -size, turn))[:most]
    return chosen[np.lexsort((turn[chosen], labels[chosen], -size[chosen]))]
