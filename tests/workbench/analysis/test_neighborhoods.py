"""How well a map preserves the neighborhoods of the embedding space."""

import numpy as np

from retrieval.runs.run import Neighbors
from workbench.analysis.neighborhoods import neighborhood_preservation

ROWS = np.arange(4)


def test_all_neighbors_are_preserved_if_the_map_is_the_space():
    # Points on a line; the neighbors of the embedding space are those of the line.
    points = np.array([[0, 0], [1, 0], [2.5, 0], [4.5, 0]], np.float32)
    ids = np.array([[1, 2], [0, 2], [1, 3], [2, 1]], np.int32)
    space = Neighbors("leave_one_out", np.arange(4), ids, ids * 0.0, ids[:, 0], ids[:, 0])
    assert neighborhood_preservation(points, space, ROWS, 2).tolist() == [1, 1, 1, 1]
    other = np.array([[3, 2], [0, 2], [1, 3], [2, 1]], np.int32)
    swapped = Neighbors("leave_one_out", np.arange(4), other, other * 0.0, ids[:, 0], ids[:, 0])
    assert neighborhood_preservation(points, swapped, ROWS, 2).tolist() == [0.5, 1, 1, 1]


def test_preservation_is_unknown_for_items_that_are_not_queries():
    points = np.array([[0, 0], [1, 0], [2, 0]], np.float32)
    ids = np.array([[1, 2]], np.int32)
    space = Neighbors("query_gallery", np.array([0]), ids, ids * 0.0, ids[:, 0], ids[:, 0])
    preserved = neighborhood_preservation(points, space, np.array([1, 2]), 2)
    assert preserved[0] == 1
    assert np.isnan(preserved[1:]).all()


def test_an_intruder_on_the_map_lowers_preservation_though_it_is_in_no_list():
    # Item 3 lies between all others on the map, and is in no list of the embedding space.
    points = np.array([[0, 0], [2, 0], [4.1, 0], [1.1, 0]], np.float32)
    ids = np.array([[1, 2], [0, 2], [1, 0], [0, 1]], np.int32)
    space = Neighbors("leave_one_out", np.arange(4), ids, ids * 0.0, ids[:, 0], ids[:, 0])
    preserved = neighborhood_preservation(points, space, ROWS, 2)
    assert preserved.tolist() == [0.5, 0.5, 0.5, 1.0]
