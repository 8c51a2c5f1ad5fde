"""Hubs, anti-hubs, near-duplicates and suspect labels, on the retrieval of ``small.py``."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.runs.run import Neighbors
from tests.workbench.small import LABELS, neighbors
from workbench.analysis import oddities


def test_hubs_are_counted_over_the_lists_they_are_in():
    found = neighbors()
    assert oddities.k_occurrence(found, 6, k=1).tolist() == [2, 1, 1, 1, 1, 0]
    assert oddities.k_occurrence(found, 6, k=3).tolist() == [4, 3, 4, 3, 2, 2]
    assert oddities.bad_occurrence(found, LABELS, k=1).tolist() == [1, 1, 1, 0, 0, 0]
    frame = oddities.occurrences(found, LABELS, np.arange(6), k=1)
    assert frame["row"].tolist()[0] == 0
    assert frame[frame["count"] == 0]["row"].tolist() == [5]


def test_a_pair_of_near_duplicates_is_listed_once():
    pairs = oddities.near_duplicates(neighbors(), LABELS, across=True)
    assert pairs[["a", "b"]].values.tolist()[0] == [0, 2]
    assert pairs["similarity"].tolist() == pytest.approx([0.9, 0.7, 0.6, 0.3, 0.1])


def test_near_duplicates_are_found_within_a_class_too():
    within = oddities.near_duplicates(neighbors(), LABELS, across=False)
    assert within[["a", "b"]].values.tolist() == [[3, 4], [0, 1], [2, 3]]
    everywhere = oddities.near_duplicates(neighbors(), LABELS)
    # 1 is nearest to 0, but 0 to 2; 2 to 0 is the same pair again
    assert everywhere[["a", "b"]].values.tolist() == [[3, 4], [0, 2], [1, 0], [5, 1]]
    assert len(oddities.near_duplicates(neighbors(), LABELS, limit=2)) == 2


def test_near_duplicates_are_counted_without_padding():
    found = neighbors()
    assert oddities.count_duplicates(found, 0.9) == 4
    found.ids[3] = -1
    assert oddities.count_duplicates(found, 0.9) == 3


def test_a_label_is_suspect_where_neighbors_agree_on_another():
    found = oddities.suspected_label_errors(neighbors(), LABELS, k=3, share=0.6)
    # Two of three neighbors of item 5 are of class 0 and none of its own, which is most
    # suspicious; items 0 and 2 have one of their own.
    assert found["row"].tolist() == [5, 0, 2]
    assert found["suggested"].tolist() == [0, 1, 0]
    assert found["share"].tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3])
    assert found["own"].tolist() == pytest.approx([0, 1 / 3, 1 / 3])


@settings(deadline=None)  # the machine may be busy
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
    found = Neighbors("leave_one_out", np.arange(n), ids, ids * 0.0, ids[:, 0], ids[:, 0])
    wrong = np.zeros(n, int)
    for i in range(n):
        for j in ids[i]:
            wrong[j] += labels[i] != labels[j]
    assert oddities.bad_occurrence(found, labels, k).tolist() == wrong.tolist()
    suspects = oddities.suspected_label_errors(found, labels, k, share=0.5)
    for suspect in suspects.itertuples():
        votes = labels[ids[suspect.row]].tolist()
        assert votes.count(suspect.suggested) == max(map(votes.count, votes))
        assert votes.count(suspect.suggested) / k == pytest.approx(suspect.share)
