"""Files that are the same image under two names, one in training and one in the test split."""

from collections.abc import Sequence

from retrieval.errors import counted


def count_training_copies(
    paths: Sequence[str], splits: Sequence[str], digests: Sequence[str]
) -> int:
    """Count the test images whose file is byte for byte that of a training image.

    Args:
        paths: Path of each of n items; items that are parts of one image share it.
        splits: Split of each item.
        digests: Digest of each file's content, see
            :class:`retrieval.datasets.image_health.Health`.

    Returns:
        Number of test images; 0 without a training split.
    """
    items = list(zip(paths, splits, digests, strict=True))
    trained = {content for _, split, content in items if split == "train"}
    return len({path for path, split, content in items if split == "test" and content in trained})


def copies_caveat(copies: int) -> str:
    """Say how many test images were trained on, under another name.

    Args:
        copies: See :func:`count_training_copies`; at least 1.

    Returns:
        A sentence without a full stop.
    """
    what = counted(copies, "test image is a copy of one", "test images are copies of those")
    return f"{what} trained on, file for file, so it is no test of unseen classes"
