"""Finding queries and stepping through them."""

import numpy as np
import pandas as pd

from tests.workbench.small import LABELS, neighbors
from workbench.analysis import failures, search

ITEMS = pd.DataFrame(
    {
        "label_name": ["Kiwi", "Kiwi", "Peach (a)", "Peach (a)", "Peach (a)", "Lime"],
        "path": ["k/1.jpg", "k/2.jpg", "p/1.jpg", "p/2.jpg", "p/3.jpg", "l/1.jpg"],
    }
)


def test_text_matches_class_or_path_literally_and_without_case():
    assert search.matching_rows(ITEMS, " kiwi ").tolist() == [0, 1]
    assert search.matching_rows(ITEMS, "(a)").tolist() == [2, 3, 4]
    assert search.matching_rows(ITEMS, "/1.JPG").tolist() == [0, 2, 5]
    assert search.matching_rows(ITEMS, ".*").tolist() == []
    assert len(search.matching_rows(ITEMS, "  ")) == 6


def test_filters_choose_by_outcome():
    table = failures.query_table(neighbors(), LABELS)
    assert search.query_rows(table, ITEMS, "", "Failures").tolist() == [0, 2]
    assert search.query_rows(table, ITEMS, "peach", "Failures").tolist() == [2]
    assert search.query_rows(table, ITEMS, "", "Right at rank 1").tolist() == [1, 3, 4]


def test_steps_wrap_around_and_may_start_outside_the_list():
    rows = np.array([2, 5, 9])
    assert search.adjacent_rows(rows, 2)[:2] == (9, 5)
    assert search.adjacent_rows(rows, 9)[:2] == (5, 2)
    assert search.adjacent_rows(rows, 6)[:2] == (5, 9)
    assert search.adjacent_rows(rows, 6)[2] in (2, 5, 9)
    assert search.adjacent_rows(np.array([2]), 2) == (None, None, None)
    assert search.adjacent_rows(np.array([], int), 2) == (None, None, None)
