"""The analyses of failures, on the retrieval of ``small.py`` worked out by hand."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.runs import Neighbours
from tests.workbench.small import LABELS, neighbours
from workbench import failures


@pytest.fixture
def table() -> pd.DataFrame:
    return failures.query_table(neighbours(), LABELS)


def test_hits_are_the_neighbours_of_the_same_class():
    hits = failures.hit_matrix(neighbours(), LABELS).astype(int)
    assert hits.tolist() == [
        [0, 1, 0],
        [1, 0, 0],
        [0, 0, 1],
        [1, 1, 0],
        [1, 0, 1],
        [0, 0, 0],
    ]


def test_padding_is_no_hit_even_where_the_last_item_has_the_class():
    padded = dataclasses.replace(neighbours(), ids=np.full((6, 3), -1, np.int32))
    assert not failures.hit_matrix(padded, np.zeros(6, int)).any()


def test_a_query_without_a_possible_hit_is_no_failure(table):
    assert failures.failures(table)["row"].tolist() == [0, 2]


def test_similarity_of_the_first_hit_is_read_at_its_rank(table):
    expected = [0.8, 0.8, 0.5, 0.95, 0.95, np.nan]
    assert table["hit_similarity"].tolist() == pytest.approx(expected, nan_ok=True)


def test_a_first_hit_beyond_the_stored_neighbours_has_no_similarity():
    far = dataclasses.replace(neighbours(), first_hit=np.array([9, 1, 3, 1, 1, 0], np.int32))
    table = failures.query_table(far, LABELS)
    assert np.isnan(table["hit_similarity"][0])
    assert failures.near_misses(table)["row"].tolist() == [2]


def test_confident_and_wrong_starts_with_the_most_similar_wrong_item():
    surer = neighbours()
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


def test_hubs_are_counted_over_the_lists_they_are_in():
    found = neighbours()
    assert failures.k_occurrence(found, 6, k=1).tolist() == [2, 1, 1, 1, 1, 0]
    assert failures.k_occurrence(found, 6, k=3).tolist() == [4, 3, 4, 3, 2, 2]
    assert failures.bad_occurrence(found, LABELS, k=1).tolist() == [1, 1, 1, 0, 0, 0]
    frame = failures.hubs_and_orphans(found, LABELS, np.arange(6), k=1)
    assert frame["row"].tolist()[0] == 0
    assert frame[frame["count"] == 0]["row"].tolist() == [5]


def test_a_pair_of_near_duplicates_is_listed_once():
    pairs = failures.cross_class_duplicates(neighbours(), LABELS)
    assert pairs[["a", "b"]].values.tolist()[0] == [0, 2]
    assert pairs["similarity"].tolist() == pytest.approx([0.9, 0.7, 0.6, 0.3, 0.1])


def test_a_label_is_suspect_where_neighbours_agree_on_another():
    found = failures.suspected_label_errors(neighbours(), LABELS, k=3, share=0.6)
    # Two of three neighbours of item 5 are of class 0 and none of its own, which is most
    # suspicious; items 0 and 2 have one of their own.
    assert found["row"].tolist() == [5, 0, 2]
    assert found["suggested"].tolist() == [0, 1, 0]
    assert found["share"].tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3])
    assert found["own"].tolist() == pytest.approx([0, 1 / 3, 1 / 3])


def test_opens_on_a_confident_near_miss(table):
    assert failures.instructive_failure(table) == 0
    right = table.assign(first_hit=1, correct=True)
    assert failures.instructive_failure(right) == 5  # the least sure answer


@given(
    st.integers(2, 30).flatmap(
        lambda n: st.tuples(
            st.lists(st.integers(0, 4), min_size=n, max_size=n), st.integers(0, 2**31)
        )
    )
)
def test_counts_agree_with_loops(case):
    labels, seed = np.array(case[0]), case[1]
    n, rng = len(labels), np.random.default_rng(seed)
    k = min(4, n - 1)
    ids = np.array([rng.permutation([j for j in range(n) if j != i])[:k] for i in range(n)])
    found = Neighbours("leave_one_out", np.arange(n), ids, ids * 0.0, ids[:, 0], ids[:, 0])
    wrong = np.zeros(n, int)
    for i in range(n):
        for j in ids[i]:
            wrong[j] += labels[i] != labels[j]
    assert failures.bad_occurrence(found, labels, k).tolist() == wrong.tolist()
    suspects = failures.suspected_label_errors(found, labels, k, share=0.5)
    for suspect in suspects.itertuples():
        votes = labels[ids[suspect.row]].tolist()
        assert votes.count(suspect.suggested) == max(map(votes.count, votes))
        assert votes.count(suspect.suggested) / k == pytest.approx(suspect.share)
