"""The histogram of the rank of the first relevant item."""

import numpy as np

from workbench import figures
from workbench.figures.colors import HIT, MISS
from workbench.figures.ranks import rank_bins


def test_rank_bins_double_and_leave_no_gap():
    assert rank_bins(9) == [(1, 1), (2, 2), (3, 4), (5, 8), (9, 16)]
    assert rank_bins(0) == [(1, 1)]
    for (_, last), (first, _) in zip(rank_bins(60_000), rank_bins(60_000)[1:], strict=False):
        assert first == last + 1


def test_histogram_counts_every_query_once_and_sets_hits_apart():
    figure = figures.rank_histogram(np.array([1, 1, 2, 3, 4, 900, 0]))
    bars = figure.data[0]
    assert sum(bars.y) == 7
    assert dict(zip(bars.x, bars.y, strict=True)) | {} == {
        "1": 2, "2": 1, "3–4": 2, "5–8": 0, "9–16": 0, "17–32": 0, "33–64": 0, "65–128": 0,
        "129–256": 0, "257–512": 0, "513–1,024": 1, "none": 1,
    }  # fmt: skip
    assert bars.marker.color[:2] == (HIT, MISS)
    assert figure.layout.hovermode == "x"  # a column is clicked above a bar of two pixels too
