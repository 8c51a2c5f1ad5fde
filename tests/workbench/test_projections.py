"""Positions on the map: sampled evenly, compared with the original space, aligned."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.runs.run import Neighbors
from workbench.data import projections

ROWS = np.arange(4)


def test_everything_is_drawn_where_there_is_room():
    assert projections.stratified_rows(np.zeros(5, int), 5).tolist() == [0, 1, 2, 3, 4]


def test_a_sample_keeps_the_share_of_every_class():
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    rows = projections.stratified_rows(labels, 100)
    assert len(rows) == 100
    assert (np.diff(rows) > 0).all()
    assert np.abs(np.bincount(labels[rows]) - [60, 30, 10]).max() <= 1
    assert rows.tolist() == projections.stratified_rows(labels, 100).tolist()


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.integers(0, 5), min_size=20, max_size=200), st.integers(6, 19))
def test_a_sample_misses_no_class(labels, most):
    labels = np.array(labels)
    rows = projections.stratified_rows(labels, most)
    assert len(set(rows)) == most
    assert set(labels[rows]) == set(labels)


def test_neighborhood_preservation_is_one_where_the_map_is_the_space():
    # Points on a line; the neighbors of the original space are those of the line.
    points = np.array([[0, 0], [1, 0], [2.5, 0], [4.5, 0]], np.float32)
    ids = np.array([[1, 2], [0, 2], [1, 3], [2, 1]], np.int32)
    space = Neighbors("leave_one_out", np.arange(4), ids, ids * 0.0, ids[:, 0], ids[:, 0])
    assert projections.neighbor_agreement(points, space, ROWS, 2).tolist() == [1, 1, 1, 1]
    other = np.array([[3, 2], [0, 2], [1, 3], [2, 1]], np.int32)
    swapped = Neighbors("leave_one_out", np.arange(4), other, other * 0.0, ids[:, 0], ids[:, 0])
    assert projections.neighbor_agreement(points, swapped, ROWS, 2).tolist() == [0.5, 1, 1, 1]


def test_neighborhood_preservation_is_unknown_for_items_that_are_no_query():
    points = np.array([[0, 0], [1, 0], [2, 0]], np.float32)
    ids = np.array([[1, 2]], np.int32)
    space = Neighbors("query_gallery", np.array([0]), ids, ids * 0.0, ids[:, 0], ids[:, 0])
    agreement = projections.neighbor_agreement(points, space, np.array([1, 2]), 2)
    assert agreement[0] == 1
    assert np.isnan(agreement[1:]).all()


def test_an_item_that_is_near_on_the_map_only_makes_it_less_honest_though_nobody_finds_it():
    # Item 3 lies between all others on the map, and is in no list of the original space.
    points = np.array([[0, 0], [2, 0], [4.1, 0], [1.1, 0]], np.float32)
    ids = np.array([[1, 2], [0, 2], [1, 0], [0, 1]], np.int32)
    space = Neighbors("leave_one_out", np.arange(4), ids, ids * 0.0, ids[:, 0], ids[:, 0])
    agreement = projections.neighbor_agreement(points, space, ROWS, 2)
    assert agreement.tolist() == [0.5, 0.5, 0.5, 1.0]


def test_some_of_a_selection_are_taken_from_every_class_in_turn():
    labels = np.array([7, 7, 7, 7, 3, 3, 5])
    assert projections.in_turn(labels, 4).tolist() == [0, 1, 4, 6]
    assert projections.in_turn(labels, 2).tolist() == [0, 4]  # the largest classes first
    assert projections.in_turn(labels, 99).tolist() == list(range(7))
    assert projections.in_turn(np.array([], int), 9).tolist() == []


@given(st.lists(st.integers(0, 9), max_size=80), st.integers(1, 40))
def test_a_class_gets_a_further_place_only_after_every_other(labels, most):
    labels = np.array(labels, int)
    chosen = projections.in_turn(labels, most)
    assert len(set(chosen)) == len(chosen) == min(most, len(labels))
    held, shown = np.bincount(labels, minlength=10), np.bincount(labels[chosen], minlength=10)
    more_to_show = shown[shown < held]
    if len(more_to_show):
        assert shown.max() <= more_to_show.min() + 1
