"""Class-disjoint folds of the training classes: what is tuned never sees a test item."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from retrieval.datasets.catalog import Catalog
from retrieval.errors import UserError, counted

Fold = tuple[int, ...]  # labels of the training classes that are held out


def make_folds(catalog: Catalog, n: int, seed: int) -> tuple[Fold, ...]:
    """Deal the training classes to folds at random; a validation split's classes are dealt too.

    Args:
        catalog: The data set.
        n: Number of folds, at least 2.
        seed: Seed of the deal.

    Returns:
        The classes that each fold holds out, in ascending order: every class once, and as many
        classes in each fold, or one more.

    Raises:
        UserError: There would be folds with fewer than two classes to hold out, or to train on.
    """
    items = catalog.items
    classes = np.sort(items.loc[items["split"] != "test", "label"].unique())
    if len(classes) < 2 * n:
        few = counted(len(classes), "training class", "training classes")
        fix = f"give {len(classes) // 2} at most" if len(classes) >= 4 else "take more classes"
        raise UserError(
            f"--folds {n}: data set {catalog.name!r} has {few}, and each fold holds out two: {fix}"
        )
    dealt = np.random.default_rng(seed).permutation(classes)
    return tuple(tuple(sorted(map(int, dealt[number::n]))) for number in range(n))


def fold_catalog(catalog: Catalog, held_out: Sequence[int]) -> Catalog:
    """Return the data set of a fold: the classes held out are its validation split.

    The test items are not in it. The rows keep their numbers, which those of features are.

    Args:
        catalog: The data set.
        held_out: Labels of the classes that the fold holds out.
    """
    items = catalog.items[catalog.items["split"] != "test"].copy()
    held = items["label"].isin(held_out)
    items["split"] = np.where(held, "validation", "train")
    items["role"] = "both"
    return dataclasses.replace(catalog, items=items, judgments=())
