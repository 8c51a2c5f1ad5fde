"""Find files that are the same image under two names, one in training and one in the test split."""

import hashlib
import os
import stat
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import ThreadPoolExecutor

from retrieval.datasets.catalog import Catalog
from retrieval.errors import counted

TAIL = 4096  # bytes; the beginnings of many photographs of one camera are the same


def training_copies(catalog: Catalog) -> int:
    """Count the test images whose file is byte for byte that of a training image.

    Files are compared by size, then by their ends, then by their content, so that few are read.

    Args:
        catalog: The data set.

    Returns:
        Number of test images; 0 without a training split.
    """
    splits = catalog.items["split"]
    train, test = (
        sorted(set(catalog.absolute_paths(catalog.items[splits == name])))
        for name in ("train", "test")
    )
    for key in (_size, _tail, _content):
        if not train or not test:
            return 0
        of_train, of_test = _keys(key, train), _keys(key, test)
        shared = (set(of_train) & set(of_test)) - {None}
        train = [path for path, of in zip(train, of_train, strict=True) if of in shared]
        test = [path for path, of in zip(test, of_test, strict=True) if of in shared]
    return len(test)


def copies_caveat(copies: int) -> str:
    """Say how many test images were trained on, under another name.

    Args:
        copies: See :func:`training_copies`; at least 1.

    Returns:
        A sentence without a full stop.
    """
    what = counted(copies, "test image is a copy of one", "test images are copies of those")
    return f"{what} trained on, file for file, so it is no test of unseen classes"


def _keys(key: Callable[[str], Hashable], paths: Iterable[str]) -> list[Hashable]:
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(key, paths))


def _size(path: str) -> int | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _tail(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL))
            return file.read() + str(size).encode()
    except OSError:
        return None


def _content(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha1").digest()
    except OSError:
        return None
