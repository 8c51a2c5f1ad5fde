"""What must not change the figures: scale, rotation, order of items, threads, block sizes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.evaluation import evaluate
from retrieval.evaluation.protocol import sides
from retrieval.evaluation.search.distances import KINDS
from retrieval.evaluation.search.plan import BlockSizes
from retrieval.evaluation.search.search import search
from retrieval.evaluation.search.threads import worker_pool

QUIET = {"kmeans": "none", "n_bootstrap": 0}


def make(seed, n=80, d=6, classes=12):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    x = rng.standard_normal((classes, d))[labels] + rng.standard_normal((n, d))
    return x.astype(np.float32), labels, rng


def same(a, b):
    np.testing.assert_array_equal(a.neighbors, b.neighbors)
    np.testing.assert_array_equal(a.first_relevant_rank, b.first_relevant_rank)
    for name, value in a.metrics.items():
        np.testing.assert_allclose(b.metrics[name], value, rtol=1e-12, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("distance", list(KINDS))
@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6))
def test_rank_preserving_transformations(distance, seed):
    x, labels, rng = make(seed)
    plain = evaluate(x, labels, distance=distance, **QUIET)
    same(plain, evaluate(4 * x, labels, distance=distance, **QUIET))
    same(plain, evaluate(x[:, rng.permutation(6)], labels, distance=distance, **QUIET))
    if distance == "cosine":
        same(plain, evaluate(x * rng.choice([0.5, 2, 8], (80, 1)), labels, **QUIET))
    else:
        same(plain, evaluate(x + np.float32(0), labels, distance=distance, **QUIET))
    if distance != "cityblock":
        rotation = np.linalg.qr(rng.standard_normal((6, 6)))[0]
        rotated = evaluate(x.astype(np.float64) @ rotation, labels, distance=distance, **QUIET)
        same(plain, rotated)


@pytest.mark.parametrize("distance", list(KINDS))
@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6))
def test_shuffling_items_changes_nothing(distance, seed):
    x, labels, rng = make(seed)
    roles = rng.choice(["query", "gallery", "both"], 80)
    order = rng.permutation(80)
    a = evaluate(x, labels, roles, distance=distance, **QUIET)
    b = evaluate(x[order], labels[order], roles[order], distance=distance, **QUIET)
    for name, value in a.metrics.items():
        np.testing.assert_allclose(b.metrics[name], value, rtol=1e-12, err_msg=name)
    at = {row: i for i, row in enumerate(a.queries)}
    np.testing.assert_array_equal(
        [a.first_relevant_rank[at[order[q]]] for q in b.queries], b.first_relevant_rank
    )


def test_names_of_classes_do_not_matter():
    x, labels, _ = make(0)
    same(evaluate(x, labels, **QUIET), evaluate(x, np.char.add("c", labels.astype(str)), **QUIET))


@pytest.mark.parametrize("distance", list(KINDS))
@pytest.mark.parametrize("collapse", [1, 1e-6])
def test_threads_and_block_sizes_do_not_matter(distance, collapse):
    """Nearly collapsed embeddings, where float32 products cannot tell most pairs apart."""
    x, labels, _ = make(3, n=900, d=40, classes=9)
    x = np.ones((1, 40), np.float32) + np.float32(collapse) * x
    x[::7] = x[0]

    def ranking(threads, sizes):
        with worker_pool(threads) as pool:
            return search(x, labels, sides(900, None), distance, pool=pool, sizes=sizes)

    plain, other = ranking(1, BlockSizes()), ranking(3, BlockSizes(queries=37, tile=101))
    for name in ("ids", "similarities", "n_positive", "first_relevant_rank", "first_relevant_item"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(other, name), err_msg=name)
    for name, scores in plain.scores.items():
        np.testing.assert_array_equal(scores, other.scores[name], err_msg=name)


def test_float32_products_alone_would_rank_wrongly():
    """The case above is hard: ranking by a float32 product differs in most rows."""
    x, labels, _ = make(3, n=900, d=40, classes=9)
    x = np.ones((1, 40), np.float32) + np.float32(1e-6) * x
    exact = evaluate(x, labels, distance="squared_euclidean", **QUIET).neighbors
    product = x @ x.T
    squared = np.einsum("ij,ij->i", x, x)
    naive = squared[:, None] + squared - 2 * product
    np.fill_diagonal(naive, np.inf)
    naive = np.argsort(naive, axis=1, kind="stable")[:, :64]
    assert (naive != exact).any(axis=1).mean() > 0.9
    wide = x.astype(np.float64)
    apart = ((wide[:, None] - wide[None]) ** 2).sum(2)
    np.fill_diagonal(apart, np.inf)
    # equal up to ties: the exact distances along both lists are the same
    lists = np.sort(apart, axis=1)[:, :64]
    np.testing.assert_allclose(np.take_along_axis(apart, exact.astype(int), 1), lists, rtol=1e-11)
