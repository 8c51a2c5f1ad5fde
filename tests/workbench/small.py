"""A retrieval small enough to work out by hand: 6 items of classes 0 0 1 1 1 2, leave-one-out.

The three nearest items of each query with their similarity, those of another class in brackets,
and the rank of the first relevant item:

    0 (class 0): [2 .9]  1 .8   [3 .1]     rank 2
    1 (class 0):  0 .8  [2 .7]  [5 .6]     rank 1
    2 (class 1): [0 .9] [1 .7]   3 .5      rank 3
    3 (class 1):  4 .95  2 .5   [0 .1]     rank 1
    4 (class 1):  3 .95 [5 .3]   2 .2      rank 1
    5 (class 2): [1 .6] [4 .3]  [0 .0]     alone in its class: rank 0
"""

import dataclasses

import numpy as np

from retrieval.runs.run import Neighbors

LABELS = np.array([0, 0, 1, 1, 1, 2])


def neighbors() -> Neighbors:
    return Neighbors(
        protocol="leave_one_out",
        queries=np.arange(6, dtype=np.int32),
        ids=np.array(
            [[2, 1, 3], [0, 2, 5], [0, 1, 3], [4, 2, 0], [3, 5, 2], [1, 4, 0]], dtype=np.int32
        ),
        similarities=np.array(
            [
                [0.9, 0.8, 0.1],
                [0.8, 0.7, 0.6],
                [0.9, 0.7, 0.5],
                [0.95, 0.5, 0.1],
                [0.95, 0.3, 0.2],
                [0.6, 0.3, 0.0],
            ],
            dtype=np.float32,
        ),
        first_relevant_rank=np.array([2, 1, 3, 1, 1, 0], dtype=np.int32),
        first_relevant_item=np.array([1, 0, 3, 4, 3, -1], dtype=np.int32),
    )


def with_ranks(ranks: list[int]) -> Neighbors:
    """Return the small neighbors with other ranks of the first relevant items."""
    return dataclasses.replace(neighbors(), first_relevant_rank=np.array(ranks, np.int32))
