"""The neighbors of a run, and what follows from the rank of the first relevant item."""

import numpy as np
import pytest

from retrieval.runs.neighbors import Neighbors

RANKS = np.array([2, 1, 3, 1, 0], np.int32)


@pytest.mark.parametrize(("rule", "without"), [("exclude", np.nan), ("zero", 0.0)])
def test_a_query_without_a_relevant_item_counts_as_the_protocol_says(rule, without):
    rows = np.arange(5, dtype=np.int32)
    found = Neighbors("leave_one_out", rows, rows[:, None], np.zeros((5, 1)), RANKS, rows)
    np.testing.assert_array_equal(found.hits_at_one(rule), [0, 1, 0, 1, without])
