"""Class-disjoint splits: every class is in either the training or the test split."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from retrieval.datasets.text_files import read_text
from retrieval.errors import UserError, counted, unknown_option


class Part(NamedTuple):
    """A part of a data set as its folder or list names it: the split, and the role in a search."""

    split: str
    role: str = "both"


# Names of parts, in lower case, as folders or as the values of a list's column `split`.
PARTS = {
    **dict.fromkeys(("train", "training", "trn"), Part("train")),
    **dict.fromkeys(("val", "valid", "validation", "dev"), Part("validation")),
    **dict.fromkeys(("test", "testing", "tst", "eval", "evaluation", "holdout"), Part("test")),
    **dict.fromkeys(("query", "queries", "probe"), Part("test", "query")),
    **dict.fromkeys(("gallery", "database", "reference"), Part("test", "gallery")),
}
# Words that may stand beside such a name, as in `training_set` or `images-train`.
FILLERS = ("set", "split", "data", "dataset", "image", "images", "imgs", "photos", "folder")
ClassList = str | int | Sequence[str | int]


def split_classes(
    names: Sequence[str],
    *,
    test_fraction: float = 0.5,
    split_seed: int = 0,
    train_classes: ClassList | None = None,
    test_classes: ClassList | None = None,
) -> dict[str, str]:
    """Split classes by given lists, or at random by a fraction.

    Args:
        names: The classes, in any order; they may be repeated.
        test_fraction: Share of the classes in the test split, used without class lists. Each split
            gets at least one class. Defaults to 0.5.
        split_seed: Seed of the random split: the same classes, fraction and seed give the same
            split. Defaults to 0.
        train_classes: Training classes: a list, ``"a,b,c"``, or ``"@FILE"`` with one name per line.
            If only one of the two lists is given, the other split gets all remaining classes.
        test_classes: Test classes, likewise. If both lists are given, classes in neither are in no
            split.

    Returns:
        Class -> ``train`` or ``test``.

    Raises:
        UserError: A listed class does not exist or is in both lists, a split is empty, or the
            fraction is not between 0 and 1.
    """
    known = sorted(set(names))
    if train_classes is None and test_classes is None:
        return _by_fraction(known, test_fraction, split_seed)
    listed_train = _listed("train_classes", train_classes, known)
    listed_test = _listed("test_classes", test_classes, known)
    train = set(known) - (listed_test or set()) if listed_train is None else listed_train
    test = set(known) - train if listed_test is None else listed_test
    if train & test:
        raise UserError(f"class {min(train & test)!r} is in both train_classes and test_classes")
    for side, classes in (("train", train), ("test", test)):
        if not classes:
            raise UserError(f"the {side} side of the split has no classes: change the class lists")
    return {name: "train" if name in train else "test" for name in known if name in train | test}


def part_of(name: str) -> Part | None:
    """Return the part of a data set that a folder or a value of a list stands for.

    >>> part_of("Query")
    Part(split='test', role='query')
    >>> part_of("training_set"), part_of("train2017"), part_of("train station")
    (Part(split='train', role='both'), Part(split='train', role='both'), None)
    >>> part_of("1_train")
    Part(split='train', role='both')
    """
    found = re.fullmatch(r"(?:\d{1,2}[ _.-]+)?([a-z _.-]+?)(\d{4})?", name.strip().lower())
    words = re.split(r"[ _.-]+", found[1]) if found else []
    kept = [word for word in words if word and word not in FILLERS]
    return PARTS.get(kept[0].removesuffix("set")) if len(kept) == 1 else None


def remarks_on_splits(splits: Sequence[str]) -> list[str]:
    """Say what follows from the splits that a data set comes with.

    Args:
        splits: Split of each item.

    Returns:
        Lines for the user: no training split, or a validation split, which is not always used.
    """
    remarks = []
    if "train" not in splits:
        remarks.append("no training split: the data can be evaluated on, but not trained on")
    elif n := list(splits).count("validation"):
        remarks.append(
            f"validation split of {counted(n, 'image')}: used with --eval-split validation, and "
            "not at all otherwise"
        )
    return remarks


def remarks_on_names(names: Iterable[str]) -> list[str]:
    """Name classes that people would take for one.

    They differ in case, spaces or Unicode form, or are one number, as 7 and 007 or 1 and 1.0.

    Args:
        names: Names of the classes.

    Returns:
        At most one line for the user.
    """
    alike: dict[str, list[str]] = defaultdict(list)
    for name in dict.fromkeys(names):
        folded = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
        alike[_as_number(folded) or folded].append(name)
    groups = [group for group in alike.values() if len(group) > 1]
    if not groups:
        return []
    first, second = groups[0][:2]
    same_letters = unicodedata.normalize("NFC", first) == unicodedata.normalize("NFC", second)
    how = "Unicode form (NFC or NFD)" if same_letters else "case, spaces or letter forms"
    if _as_number(first.strip()) is not None and _as_number(second.strip()) is not None:
        how = "how a number is written"
    more = f" ({counted(len(groups) - 1, 'more such group')})" if len(groups) > 1 else ""
    return [
        f"classes {first!r} and {second!r} differ only in {how} and are read as different "
        f"classes{more}: rename them if they are one"
    ]


def _as_number(text: str) -> str | None:
    """Return a decimal number in one form: 7 for 007, +7 and 7.0; None for other text."""
    found = re.fullmatch(r"([+-]?)0*(\d+)(?:\.(\d*))?", text, re.ASCII)
    if found is None:
        return None
    whole, fraction = found[2], (found[3] or "").rstrip("0")
    sign = "-" if found[1] == "-" and (whole != "0" or fraction) else ""
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


def parse_classes(option: str, given: ClassList) -> list[str]:
    """Read a list of class names.

    Args:
        option: Name of the option, for the message.
        given: A sequence of names, ``"a,b,c"``, or ``"@FILE"`` with one name per line.

    Returns:
        The names, stripped and without empty ones.

    Raises:
        UserError: The file does not exist, or is not text.
    """
    if isinstance(given, str) and given.startswith("@"):
        path = Path(given[1:])
        if not path.is_file():
            raise UserError(f"{option}: no file {path}")
        given = read_text(path).splitlines()
    elif isinstance(given, (str, int)):
        given = str(given).split(",")
    return [name for name in (str(n).strip() for n in given) if name]


def _listed(option: str, given: ClassList | None, known: list[str]) -> set[str] | None:
    if given is None:
        return None
    names = parse_classes(option, given)
    for name in names:
        if name not in known:
            raise unknown_option(f"class in {option}", name, known)
    return set(names)


def _by_fraction(known: list[str], test_fraction: float, split_seed: int) -> dict[str, str]:
    if not 0 < test_fraction < 1:
        raise UserError(f"test_fraction = {test_fraction}: give a number between 0 and 1")
    if len(known) < 2:
        raise UserError(f"{len(known)} class found: a class-disjoint split needs at least 2")
    n_test = min(max(round(len(known) * test_fraction), 1), len(known) - 1)
    order = np.random.default_rng(split_seed).permutation(len(known))
    tested = {known[i] for i in order[:n_test]}
    return {name: "test" if name in tested else "train" for name in known}
