"""Class-disjoint splits: by fraction and seed, or by given lists of classes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from retrieval.errors import UserError


def split_classes(
    classes: Sequence[str],
    *,
    test_fraction: float = 0.5,
    split_seed: int = 0,
    train_classes: Path | str | None = None,
    test_classes: Path | str | None = None,
) -> dict[str, str]:
    """Say for every class whether it is trained or tested on.

    Args:
        classes: The classes' names.
        test_fraction: Share of classes to test on, without lists.
        split_seed: Seeds the choice.
        train_classes: Text file, one class per line; the rest is tested on.
        test_classes: Text file, one class per line; the rest is trained on. With both files,
            classes in neither are left out.

    Returns:
        Class -> ``train`` or ``test``.

    Raises:
        UserError: Fewer than 2 classes, a bad fraction, or a list that names an unknown class or
            shares one with the other list.
    """
    known = sorted(set(classes))
    lists = {"train": _read(train_classes, known), "test": _read(test_classes, known)}
    if lists["train"] is None and lists["test"] is None:
        return _by_fraction(known, test_fraction, split_seed)
    if lists["train"] is None:
        lists["train"] = set(known) - lists["test"]
    if lists["test"] is None:
        lists["test"] = set(known) - lists["train"]
    shared = sorted(lists["train"] & lists["test"])
    if shared:
        raise UserError(
            f"class {shared[0]!r} is in both {train_classes} and {test_classes}; "
            "retrieval needs class-disjoint splits"
        )
    return {name: split for split, names in lists.items() for name in names}


def _by_fraction(known: list[str], test_fraction: float, split_seed: int) -> dict[str, str]:
    if not 0 < test_fraction < 1:
        raise UserError(f"test_fraction = {test_fraction}: give 0 < fraction < 1")
    if len(known) < 2:
        raise UserError(f"{len(known)} class found; a class-disjoint split needs at least 2")
    count = min(max(round(test_fraction * len(known)), 1), len(known) - 1)
    order = np.random.default_rng(split_seed).permutation(len(known))
    tested = {known[i] for i in order[:count]}
    return {name: "test" if name in tested else "train" for name in known}


def _read(path: Path | str | None, known: list[str]) -> set[str] | None:
    if path is None:
        return None
    path = Path(path)
    if not path.exists():
        raise UserError(f"no class list at {path}")
    names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    for number, name in enumerate(names, start=1):
        if name and name not in known:
            raise UserError(f"{path}: line {number}: no class {name!r} in the data")
    return {name for name in names if name}
