"""Comparison of two runs on the same queries."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from tests.workbench.small import LABELS, neighbors
from workbench.analysis import comparison


@pytest.fixture
def outcome() -> comparison.QueryComparison:
    # Run B answers query 0 and misses query 3; all else is as under run A.
    b = dataclasses.replace(neighbors(), first_relevant_rank=np.array([1, 1, 3, 2, 1, 0], np.int32))
    return comparison.compare_queries(neighbors(), b, LABELS, k=3)


def test_queries_without_a_relevant_item_are_excluded(outcome):
    assert outcome.table["row"].tolist() == [0, 1, 2, 3, 4]


def test_wins_ties_and_losses_add_up(outcome):
    assert (outcome.wins, outcome.ties, outcome.losses) == (1, 3, 1)


def test_only_right_lists_what_the_other_run_misses(outcome):
    assert comparison.only_right(outcome, "a")["row"].tolist() == [3]
    assert comparison.only_right(outcome, "b")["row"].tolist() == [0]


def test_class_recalls_differ_by_class(outcome):
    table = comparison.class_recalls(outcome)
    assert table["label"].tolist() == [0, 1]
    assert table["n"].tolist() == [2, 3]
    assert table["delta"].tolist() == pytest.approx([-1 / 2, 1 / 3])


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [  # Newcombe 1998, table III, method 10: right under both, only A, only B, neither
        ((36, 12, 2, 0), 0.0569, 0.3404),
    ],
)
def test_intervals_of_paired_differences_are_those_published(counts, low, high):
    both, only_a, only_b, _ = (pd.Series([count / sum(counts)]) for count in counts)
    n = pd.Series([sum(counts)])
    found = comparison.paired_interval(both + only_a, both + only_b, both, n)
    assert [float(end[0]) for end in found] == pytest.approx([low, high], abs=5e-4)


def test_a_class_on_which_all_agree_has_an_interval_around_zero():
    one, n = pd.Series([1.0]), pd.Series([8])
    low, high = (float(end[0]) for end in comparison.paired_interval(one, one, one, n))
    assert -1 < low < 0 < high < 1


def test_overlap_ignores_order_and_padding():
    a = np.array([[1, 2, 3], [1, 2, 3], [1, 2, -1], [-1, -1, -1]])
    b = np.array([[3, 2, 1], [4, 5, 6], [2, 9, -1], [-1, -1, -1]])
    assert comparison.neighbor_overlap(a, b, 3).tolist() == [1, 0, 0.5, 0]
    assert comparison.neighbor_overlap(a, b, 1).tolist() == [0, 0, 0, 0]


def test_runs_with_other_items_are_told_apart(make_run, photos):
    first = make_run("first")
    assert comparison.difference_of_items(first, make_run("second")) is None
    fewer = make_run("fewer", items=photos.iloc[:-6])
    assert comparison.difference_of_items(first, fewer) == "first has 216 items, fewer has 210"
    relabeled = photos.assign(label=np.where(photos.index == 7, 0, photos["label"]))
    other = make_run("relabeled", items=relabeled)
    assert "row 7: 1 in first, 0 in relabeled" in (comparison.difference_of_items(first, other))
