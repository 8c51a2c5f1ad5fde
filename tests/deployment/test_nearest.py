"""Exact search agrees with an independent loop, and ties are in the order of the rows."""

import numpy as np
import pytest

from retrieval.deployment import nearest as module
from retrieval.deployment.index import build_index
from retrieval.deployment.nearest import nearest, nearest_by_index
from retrieval.errors import UserError


def similarity(a, b, distance):
    a, b = np.float64(a), np.float64(b)
    return {
        "cosine": lambda: a @ b / np.sqrt((a @ a) * (b @ b)),
        "euclidean": lambda: -np.sqrt(((a - b) ** 2).sum()),
        "squared_euclidean": lambda: -((a - b) ** 2).sum(),
        "cityblock": lambda: -np.abs(a - b).sum(),
    }[distance]()


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "squared_euclidean", "cityblock"])
def test_neighbors_and_similarities_are_those_of_a_loop(distance, monkeypatch):
    monkeypatch.setattr(module, "ROWS", 13)
    draw = np.random.default_rng(0)
    queries, gallery = draw.normal(size=(3, 5)), draw.normal(size=(101, 5)).astype(np.float32)
    rows, values = nearest(queries, gallery, distance, 7)
    for query, found, shown in zip(np.float32(queries), rows, values, strict=True):
        each = [similarity(query, row, distance) for row in gallery]
        order = sorted(range(101), key=lambda row: -each[row])[:7]
        assert found.tolist() == order
        np.testing.assert_allclose(shown, [each[row] for row in order], rtol=1e-5, atol=1e-6)


def test_equal_vectors_are_found_in_their_order_over_the_parts(monkeypatch):
    monkeypatch.setattr(module, "ROWS", 4)
    gallery = np.tile(np.eye(2, dtype=np.float32), (9, 1))
    rows, values = nearest(np.float32([[1, 0]]), gallery, "cosine", 3)
    assert rows.tolist() == [[0, 2, 4]]
    assert values.tolist() == [[1, 1, 1]]
    assert nearest(np.float32([[1, 0]]), gallery[:2], "cosine", 9)[0].tolist() == [[0, 1]]


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "squared_euclidean"])
def test_a_flat_index_finds_what_exact_search_finds(distance):
    draw = np.random.default_rng(1)
    queries, gallery = draw.normal(size=(4, 6)), draw.normal(size=(50, 6))
    index = build_index(gallery, distance, "flat").index
    rows, values = nearest_by_index(queries, index, distance, 5)
    exact, similarities = nearest(queries, gallery, distance, 5)
    np.testing.assert_array_equal(rows, exact)
    np.testing.assert_allclose(values, similarities, rtol=1e-4, atol=1e-5)
    with pytest.raises(UserError, match="cityblock"):
        nearest_by_index(queries, index, "cityblock", 5)
