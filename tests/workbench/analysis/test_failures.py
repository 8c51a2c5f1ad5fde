"""The analyses of failures, on the retrieval of ``small.py`` worked out by hand."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from tests.workbench.small import LABELS, neighbors
from workbench.analysis import failures
from workbench.pages.failures.tabs import pairs_shown


@pytest.fixture
def table() -> pd.DataFrame:
    return failures.query_table(neighbors(), LABELS)


def test_hits_are_the_neighbors_of_the_same_class():
    hits = failures.hit_matrix(neighbors(), LABELS).astype(int)
    assert hits.tolist() == [
        [0, 1, 0],
        [1, 0, 0],
        [0, 0, 1],
        [1, 1, 0],
        [1, 0, 1],
        [0, 0, 0],
    ]


def test_padding_is_never_relevant():
    padded = dataclasses.replace(neighbors(), ids=np.full((6, 3), -1, np.int32))
    assert not failures.hit_matrix(padded, np.zeros(6, int)).any()


def test_a_query_without_a_relevant_item_is_not_a_failure(table):
    assert failures.failures(table)["row"].tolist() == [0, 2]


def test_similarity_of_the_first_relevant_item_is_read_at_its_rank(table):
    expected = [0.8, 0.8, 0.5, 0.95, 0.95, np.nan]
    assert table["first_relevant_similarity"].tolist() == pytest.approx(expected, nan_ok=True)


def test_a_relevant_item_beyond_the_stored_neighbors_has_no_similarity():
    far = dataclasses.replace(
        neighbors(), first_relevant_rank=np.array([9, 1, 3, 1, 1, 0], np.int32)
    )
    table = failures.query_table(far, LABELS)
    assert np.isnan(table["first_relevant_similarity"][0])
    assert failures.near_misses(table)["row"].tolist() == [2]


def test_confident_and_wrong_starts_with_the_most_similar_wrong_item():
    surer = neighbors()
    similarities = surer.similarities.copy()
    similarities[2, 0] = 0.97
    table = failures.query_table(dataclasses.replace(surer, similarities=similarities), LABELS)
    assert failures.confident_and_wrong(table)["row"].tolist() == [2, 0]


def test_near_miss_starts_with_the_lowest_rank_and_worst_rank_with_the_highest(table):
    assert failures.near_misses(table)["row"].tolist() == [0, 2]
    assert failures.near_misses(table)["gap"].tolist() == pytest.approx([0.1, 0.4])
    assert failures.worst_ranks(table)["row"].tolist() == [2, 0]


def test_confused_pairs_count_both_directions(table):
    # Query 0 (class 0) is answered by 2 (class 1); query 2 (class 1) by 0 (class 0).
    pairs = failures.confused_pairs(table, LABELS)
    assert pairs.to_dict("records") == [{"a": 0, "b": 1, "a_as_b": 1, "b_as_a": 1, "count": 2}]


def test_class_recalls_have_wilson_intervals(table):
    classes = failures.class_table(table).set_index("label")
    assert list(classes.index) == [0, 1]  # class 2 cannot be answered
    assert classes["recall"].tolist() == [1 / 2, 2 / 3]
    # Wilson interval of 1 of 2, e.g. statsmodels.stats.proportion.proportion_confint(1, 2)
    assert classes.loc[0, "low"] == pytest.approx(0.094531, abs=1e-6)
    assert classes.loc[0, "high"] == pytest.approx(0.905469, abs=1e-6)


def test_opens_on_a_confident_near_miss(table):
    assert failures.instructive_failure(table) == 0
    right = table.assign(first_relevant_rank=1, correct=True)
    assert failures.instructive_failure(right) == 5  # the least sure answer


def test_pairs_of_images_say_how_many_queries_they_stand_for():
    assert pairs_shown(7, 5) == "7 queries; the 5 most similar, each next to its nearest item"
    assert pairs_shown(1, 1) == "1 query, next to its nearest item"
    assert pairs_shown(0, 0) == "0 queries"
