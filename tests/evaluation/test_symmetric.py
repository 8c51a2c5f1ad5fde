"""The search that computes each similarity once for both items: equal to the general search."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.evaluation.protocol import sides
from retrieval.evaluation.search import symmetric
from retrieval.evaluation.search.distances import KINDS
from retrieval.evaluation.search.lists import of_same
from retrieval.evaluation.search.plan import BlockSizes, Judgments
from retrieval.evaluation.search.search import search
from retrieval.evaluation.search.threads import worker_pool

ARRAYS = (
    "queries", "ids", "similarities", "n_positive", "n_excluded", "n_excluded_positive",
    "first_relevant_rank", "first_relevant_item",
)  # fmt: skip


def both(x, labels, distance, k, *, threads=2, **sizes):
    """Search by the general path, then by the symmetric one."""
    codes, parts = np.unique(labels, return_inverse=True)[1], sides(len(x), None)
    assert symmetric.suits(x, codes, parts, k, BlockSizes(**sizes), Judgments())
    with worker_pool(threads) as pool:
        return [
            search(x, codes, parts, distance, k, pool=pool, sizes=each)
            for each in (BlockSizes(state_bytes=0), BlockSizes(**sizes))
        ]


def assert_equal(general, other):
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(general, name), getattr(other, name), err_msg=name)
    for name, scores in general.scores.items():
        np.testing.assert_array_equal(scores, other.scores[name], err_msg=name)


@st.composite
def cases(draw):
    """Random rows, some on a grid, nearly collapsed, or of very different lengths; copies."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    n, d = draw(st.integers(1, 260)), draw(st.integers(1, 20))
    x = rng.standard_normal((n, d))
    kind = draw(st.sampled_from(["plain", "grid", "collapsed", "lengths"]))
    if kind == "grid":
        x = np.rint(x)
    elif kind == "collapsed":
        x = 1 + 1e-6 * x
    elif kind == "lengths":
        x *= 10.0 ** rng.integers(-3, 4, (n, 1))
    copies = rng.integers(0, n, (2, draw(st.integers(0, n))))
    x[copies[0]] = x[copies[1]]
    return x.astype(np.float32), rng.integers(0, draw(st.integers(1, n)), n)


@pytest.mark.parametrize("distance", list(KINDS))
@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    case=cases(), k=st.sampled_from([0, 1, 3, 30, 300]), tile=st.sampled_from([1, 7, 64, 70, 512])
)
def test_equals_the_general_search(distance, case, k, tile):
    assert_equal(*both(*case, distance, k, tile=tile))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("classes", [1, 6, 300, 1500])
def test_equals_the_general_search_where_positives_are_far(classes, threads):
    """Random labels: most items are nearer than a positive, and are counted a positive at once."""
    rng = np.random.default_rng(classes)
    x = rng.standard_normal((1500, 24)).astype(np.float32)
    labels = rng.integers(0, classes, 1500)
    assert_equal(*both(x, labels, "cosine", 20, threads=threads, tile=200))


@pytest.mark.parametrize("distance", list(KINDS))
def test_more_ties_than_candidates_are_ordered_by_index(distance):
    rng = np.random.default_rng(0)
    x = rng.integers(-1, 2, (700, 2)).astype(np.float32)
    assert_equal(*both(x, rng.integers(0, 200, 700), distance, 40, tile=128))


def test_items_that_are_no_items_of_the_protocol_are_left_out():
    """Leave-one-out of some of the items: their rows and the positions in the gallery differ."""
    rng = np.random.default_rng(1)
    x, codes = rng.standard_normal((300, 5)).astype(np.float32), rng.integers(0, 40, 300)
    rows = np.flatnonzero(rng.random(300) < 0.6)
    parts = sides(300, None)
    parts = type(parts)(parts.name, parts.rule, rows, rows, np.arange(len(rows)))
    assert symmetric.suits(x, codes, parts, 9, BlockSizes(), Judgments())
    with worker_pool(2) as pool:
        general, other = (
            search(x, codes, parts, k=9, pool=pool, sizes=BlockSizes(state_bytes=size, tile=50))
            for size in (0, 1 << 20)
        )
    assert_equal(general, other)


def test_the_general_search_takes_over_where_the_sides_differ(tmp_path):
    rng = np.random.default_rng(0)
    x, codes = rng.standard_normal((60, 4)).astype(np.float32), rng.integers(0, 9, 60)
    parts, sizes = sides(60, None), BlockSizes()
    assert symmetric.suits(x, codes, parts, 5, sizes, Judgments())
    apart = sides(60, np.array(["query"] * 20 + ["both"] * 40, object))
    assert not symmetric.suits(x, codes, apart, 5, sizes, Judgments())
    listed = of_same(codes, parts)
    for judgments in (Judgments(excluded=(listed,)), Judgments(relevant=listed)):
        assert not symmetric.suits(x, codes, parts, 5, sizes, judgments)
    np.save(tmp_path / "x.npy", x)
    on_disk = np.load(tmp_path / "x.npy", mmap_mode="r")
    small = BlockSizes(chunk_bytes=100)
    assert symmetric.suits(on_disk, codes, parts, 5, sizes, Judgments())
    assert not symmetric.suits(on_disk, codes, parts, 5, small, Judgments())
    assert not symmetric.suits(x, codes, parts, 5, BlockSizes(state_bytes=1000), Judgments())


@pytest.mark.parametrize("n", [1, 2, 3, 8, 9])
def test_every_pair_is_compared_once_and_no_block_twice_at_a_time(n):
    seen, busy, lock = [], set(), threading.Lock()

    def compare(a, b):
        with lock:
            assert not busy & {a, b}
            busy.update((a, b))
        time.sleep(0.001)
        with lock:
            busy.difference_update((a, b))
            seen.append((a, b))

    with ThreadPoolExecutor(4) as pool:
        symmetric.run_pairs(n, compare, pool)
    assert sorted(seen) == [(a, b) for a in range(n) for b in range(a + 1, n)]


def test_an_error_of_a_pair_ends_the_search():
    def compare(a, b):
        if (a, b) == (0, 3):
            raise ValueError("broken")

    with ThreadPoolExecutor(2) as pool, pytest.raises(ValueError, match="broken"):
        symmetric.run_pairs(6, compare, pool)


@pytest.mark.parametrize("state_bytes", [0, 1 << 20])
def test_the_work_done_adds_up_to_all_queries(state_bytes):
    rng = np.random.default_rng(0)
    x, codes = rng.standard_normal((230, 4)).astype(np.float32), rng.integers(0, 9, 230)
    for tile in (20, 512):
        told = []
        sizes = BlockSizes(queries=50, tile=tile, state_bytes=state_bytes)
        with worker_pool(2) as pool:
            search(x, codes, sides(230, None), pool=pool, sizes=sizes, advance=told.append)
        assert sum(told) == 230
        assert min(told) >= 0
