"""What changes for a run of more items than can all be compared with one another, or drawn.

Metrics stay exact at any size: every query searches the whole gallery. What compares all items
with all others (leave-one-out beside query -> gallery, clusters), or draws every one, is left out
or done for a sample, which is seeded and says its size.
"""

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import counted

MANY_ITEMS = 1_000_000  # above which a run is large
SAMPLE = 50_000  # items of a large run that are mapped or drawn
SEED = 0


def is_large(n: int) -> bool:
    """Tell whether a run of n items is large.

    >>> is_large(1_000_000), is_large(1_000_001)
    (False, True)
    """
    return n > MANY_ITEMS


def sampled_rows(n: int, most: int = SAMPLE, seed: int = SEED) -> NDArray[np.int64]:
    """Draw rows of a large run without replacement; all rows of any other run.

    >>> sampled_rows(3).tolist(), len(sampled_rows(2_000_000))
    ([0, 1, 2], 50000)

    Args:
        n: Number of items.
        most: Number of rows drawn of a large run. Defaults to 50,000.
        seed: Seed of the draw. Defaults to 0.

    Returns:
        int64, ascending.
    """
    if not is_large(n) or most >= n:
        return np.arange(n)
    rows: NDArray[np.int64] = np.random.default_rng(seed).choice(n, most, replace=False)
    return np.sort(rows)


def sample_caption(n: int, most: int = SAMPLE, seed: int = SEED, noun: str = "item") -> str:
    """Say that a sample is shown, its size and its seed; empty where all items are shown.

    >>> sample_caption(2_000_000)
    'a random sample of 50,000 of 2,000,000 items (seed 0)'
    >>> sample_caption(1_000)
    ''
    """
    if not is_large(n) or most >= n:
        return ""
    return f"a random sample of {most:,} of {counted(n, noun)} (seed {seed})"
