"""The engine against exhaustive loops: any n, d, labels, roles, ties, duplicates, distances."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retrieval.evaluation import evaluate
from retrieval.evaluation.protocol import ROLES, sides
from retrieval.evaluation.search.distances import KINDS
from retrieval.evaluation.search.plan import BlockSizes
from retrieval.evaluation.search.search import search
from retrieval.evaluation.search.threads import worker_pool
from tests.evaluation.oracle import evaluate_slowly

KS = (1, 2, 5, 1000)


@st.composite
def cases(draw):
    """Rows on a coarse grid (ties abound) or not, some of them repeated; labels; roles or None."""
    n, d = draw(st.integers(2, 40)), draw(st.integers(1, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    grid = draw(st.booleans())
    x = rng.integers(-2, 3, (n, d)) if grid else rng.standard_normal((n, d))
    x = x.astype(np.float32) * np.float32(draw(st.sampled_from([1, 1e-3, 1e4])))
    copies = rng.integers(0, n, (2, draw(st.integers(0, n))))
    x[copies[0]] = x[copies[1]]
    labels = rng.integers(0, draw(st.integers(1, n)), n)
    roles = None
    if draw(st.booleans()):
        roles = np.array(ROLES, object)[rng.integers(0, 3, n)]
        roles[:2] = "query", "gallery"
    return x, labels, roles


@pytest.mark.slow
@pytest.mark.parametrize("distance", list(KINDS))
@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(case=cases(), k=st.integers(1, 50), zero=st.booleans())
def test_equals_exhaustive_loops(distance, case, k, zero):
    x, labels, roles = case
    rule = "zero" if zero else "exclude"
    result = evaluate(
        x, labels, roles, KS, distance, k_neighbors=k, no_positive=rule, kmeans="none",
        n_bootstrap=0, threads=1,
    )  # fmt: skip
    values, lists, first = evaluate_slowly(x, labels, roles, KS, distance, zero)
    assert result.queries.tolist() == list(lists)
    for row, q in enumerate(lists):
        expected = [g for _, g in lists[q]][:k]
        found = result.neighbors[row]
        assert found[: len(expected)].tolist() == expected
        assert (found[len(expected) :] == -1).all()
        assert (result.first_relevant_rank[row], result.first_relevant_item[row]) == first[q]
        similarity = np.array([s for s, _ in lists[q]][:k])
        if distance == "euclidean":
            similarity = -np.sqrt(-similarity)
        np.testing.assert_allclose(
            result.similarities[row, : len(expected)], similarity, rtol=1e-6, atol=1e-7
        )
    assert result.protocol.n_without_positive == sum(rank == 0 for rank, _ in first.values())
    if result.protocol.has_no_positives:
        assert result.metrics == {}
        return
    for name, value in values.items():
        np.testing.assert_allclose(result.metrics[name], value, rtol=1e-12, err_msg=name)


def crowded(rng, n, d, classes):
    """Rows on so coarse a grid that most are copies of others; integer distances are exact."""
    return rng.integers(-1, 2, (n, d)).astype(np.float32), rng.integers(0, classes, n)


@pytest.mark.parametrize("classes", [1, 2, 150])
@pytest.mark.parametrize("k", [1, 30, 700])
@pytest.mark.parametrize("queries_and_tile", [(512, 512), (7, 33)])
@pytest.mark.parametrize("on_disk", [False, True])
def test_crowds_of_duplicates_are_ordered_by_index(tmp_path, classes, k, queries_and_tile, on_disk):
    """Ties beyond every buffer, several tiles, blocks and chunks: still the plain stable sort."""
    rng = np.random.default_rng(classes * k)
    x, labels = crowded(rng, 600, 3, classes)
    if on_disk:
        np.save(tmp_path / "x.npy", x)
        x = np.load(tmp_path / "x.npy", mmap_mode="r")
    queries, tile = queries_and_tile
    sizes = BlockSizes(queries, tile, pairs=5000, chunk_bytes=4000, group_bytes=1 << 20)
    with worker_pool() as pool:
        result = search(x, labels, sides(600, None), "squared_euclidean", k, pool=pool, sizes=sizes)
    exact = x.astype(int)
    apart = ((exact[:, None] - exact[None]) ** 2).sum(2)
    apart[np.arange(600), np.arange(600)] = 10**6
    order = np.argsort(apart, axis=1, kind="stable")[:, :599]
    np.testing.assert_array_equal(result.ids[:, : min(k, 599)], order[:, :k])
    hit = labels[order] == labels[:, None]
    some = hit.any(1)
    np.testing.assert_array_equal(result.first_relevant_rank, np.where(some, hit.argmax(1) + 1, 0))
    precision = np.cumsum(hit, 1) / np.arange(1, 600)
    with np.errstate(invalid="ignore"):
        expected = (precision * hit).sum(1) / hit.sum(1)
    np.testing.assert_allclose(result.scores["map"], expected)
