"""Samples of items keep every class."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.analysis.sampling import round_robin, stratified_rows


def test_everything_is_drawn_where_there_is_room():
    assert stratified_rows(np.zeros(5, int), 5).tolist() == [0, 1, 2, 3, 4]


def test_a_sample_keeps_the_share_of_every_class():
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    rows = stratified_rows(labels, 100)
    assert len(rows) == 100
    assert (np.diff(rows) > 0).all()
    assert np.abs(np.bincount(labels[rows]) - [60, 30, 10]).max() <= 1
    assert rows.tolist() == stratified_rows(labels, 100).tolist()


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.integers(0, 5), min_size=20, max_size=200), st.integers(6, 19))
def test_a_sample_misses_no_class(labels, most):
    labels = np.array(labels)
    rows = stratified_rows(labels, most)
    assert len(set(rows)) == most
    assert set(labels[rows]) == set(labels)


def test_some_of_a_selection_are_taken_from_every_class_in_turn():
    labels = np.array([7, 7, 7, 7, 3, 3, 5])
    assert round_robin(labels, 4).tolist() == [0, 1, 4, 6]
    assert round_robin(labels, 2).tolist() == [0, 4]  # the largest classes first
    assert round_robin(labels, 99).tolist() == list(range(7))
    assert round_robin(np.array([], int), 9).tolist() == []


@given(st.lists(st.integers(0, 9), max_size=80), st.integers(1, 40))
def test_a_class_gets_a_further_place_only_after_every_other(labels, most):
    labels = np.array(labels, int)
    chosen = round_robin(labels, most)
    assert len(set(chosen)) == len(chosen) == min(most, len(labels))
    held, shown = np.bincount(labels, minlength=10), np.bincount(labels[chosen], minlength=10)
    more_to_show = shown[shown < held]
    if len(more_to_show):
        assert shown.max() <= more_to_show.min() + 1
