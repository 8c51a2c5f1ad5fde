"""Hand-worked rankings, and the fractions that pytorch-metric-learning publishes in its tests."""

import numpy as np
import pytest

from retrieval.errors import UserError
from retrieval.evaluation import evaluate
from retrieval.evaluation.metrics import score_ranks
from retrieval.evaluation.ranking import cmc, recall_at

QUIET = {"kmeans": "none", "n_bootstrap": 0}
BEYOND = [6, 7, 8, 9]  # ranks of the positives outside of the five neighbors that are given


@pytest.mark.parametrize(
    ("ranks", "r", "r_precision", "map_at_r"),
    [
        ([2, 3], 3, 2 / 3, (1 / 2 + 2 / 3) / 3),
        ([1, 3, 4], 3, 2 / 3, (1 + 2 / 3) / 3),
        ([5], 5, 1 / 5, (1 / 5) / 5),
        ([1, 3, 5], 4, 2 / 4, (1 + 2 / 3) / 4),
        ([3], 5, 1 / 5, (1 / 3) / 5),
        # the same lists without their first column: the query came from the gallery
        ([1, 2], 2, 1, 1),
        ([2, 3], 2, 1 / 2, (1 / 2) / 2),
        ([4], 4, 1 / 4, (1 / 4) / 4),
        ([2, 4], 3, 1 / 3, (1 / 2) / 3),
        ([2], 4, 1 / 4, (1 / 2) / 4),
    ],
)
def test_published_fractions(ranks, r, r_precision, map_at_r):
    all_ranks = np.array((ranks + BEYOND)[:r])
    scores = score_ranks(all_ranks, np.array([r]))
    assert scores["r_precision"][0] == pytest.approx(r_precision)
    assert scores["map@r"][0] == pytest.approx(map_at_r)


def test_published_line_of_ten_queries_in_a_gallery_of_twenty():
    x = (np.arange(20) / 2)[:, None]
    labels = np.ones(20, int)
    labels[::2] = np.arange(10)
    roles = np.where(np.arange(20) % 2, "gallery", "both")
    result = evaluate(x, labels, roles, distance="euclidean", **QUIET)
    assert result.protocol.n_without_positive == 9
    assert result.metrics["precision@1"] == 1
    assert result.metrics["r_precision"] == 0.5
    assert result.metrics["map@r"] == pytest.approx((1 + 2 / 2 + 3 / 5 + 4 / 7 + 5 / 9) / 10)


def test_published_average_over_queries_and_over_classes():
    query, gallery = np.arange(10.0), np.arange(10.0)
    query[-1], gallery[0] = 100, -100
    labels = np.array([0] * 9 + [1] + [1] + [0] * 9)
    roles = np.repeat(["query", "gallery"], 10)
    x = np.concatenate([query, gallery])[:, None]
    result = evaluate(x, labels, roles, distance="euclidean", **QUIET)
    for name in ("precision@1", "r_precision", "map@r"):
        assert result.metrics[name] == 0.9
        assert result.per_class()[name].tolist() == [1, 0]


def test_four_points_on_a_line():
    """0 a, 1 b, 2.5 a, 4.5 b: worked by hand.

    From 0: b a b -> rank 2. From 1: a (1) a (1.5) b -> 3. From 2.5: b (1.5) b (2) a -> 3.
    From 4.5: a (2) b (3.5) a -> 2. Each query has R = 1.
    """
    result = evaluate(
        np.array([[0], [1], [2.5], [4.5]]),
        np.array(["a", "b", "a", "b"]),
        ks=(1, 2, 3, 99),
        distance="euclidean",
        **QUIET,
    )
    assert result.first_relevant_rank.tolist() == [2, 3, 3, 2]
    assert result.first_relevant_item.tolist() == [2, 3, 0, 1]
    assert result.neighbors.tolist() == [
        [1, 2, 3, -1],
        [0, 2, 3, -1],
        [1, 3, 0, -1],
        [2, 1, 0, -1],
    ]
    expected = {"recall@1": 0, "recall@2": 0.5, "recall@3": 1, "recall@99": 1, "r_precision": 0}
    assert {name: result.metrics[name] for name in expected} == expected
    assert result.metrics["mrr"] == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert result.metrics["map"] == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert result.metrics["median_first_hit"] == 2.5


def test_a_duplicate_of_the_query_is_a_neighbor_and_the_query_is_not():
    """Dropping the nearest item instead of the query's own index would give recall@1 = 0 here."""
    x = np.array([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    result = evaluate(x, np.array([0, 1, 1, 1]), **QUIET)
    assert result.neighbors[:, 0].tolist() == [1, 0, 3, 2]
    assert result.metrics["recall@1"] == pytest.approx(2 / 3)


def test_a_query_without_positives_is_counted_and_excluded_or_scored_zero():
    x, labels = np.eye(3), np.array([0, 0, 1])
    excluded = evaluate(x, labels, **QUIET)
    zero = evaluate(x, labels, no_positive="zero", **QUIET)
    assert excluded.protocol.n_without_positive == zero.protocol.n_without_positive == 1
    assert excluded.metrics["recall@2"] == 1
    assert zero.metrics["recall@2"] == pytest.approx(2 / 3)
    assert "1 query without positives excluded" in str(excluded)
    assert "scored 0" in str(zero)


@pytest.mark.parametrize("no_positive", ["exclude", "zero"])
def test_figures_that_do_not_exist_are_absent(no_positive):
    x = np.random.default_rng(0).standard_normal((6, 3))
    alone = evaluate(x, np.arange(6), no_positive=no_positive)
    assert alone.metrics == alone.intervals == alone.to_dict()["metrics"] == {}
    assert (alone.first_relevant_rank == 0).all()
    assert str(alone).startswith("no figures (no query has another item of its class")
    apart = evaluate(  # clusters of two items each can be scored without a ranking
        x, np.array([0, 0, 1, 1, 2, 2]), np.array(["query", "query", *["gallery"] * 4])
    )
    clustered = {"nmi", "nmi_start_spread", "nmi_geometric", "ami", "ari", "pairwise_f1"}
    assert set(apart.metrics) == clustered
    assert evaluate(x[:1], np.zeros(1)).metrics == {}


def test_item_that_is_query_and_gallery_never_finds_itself():
    x = np.array([[0.0], [0], [1], [5]])
    roles = np.array(["both", "query", "gallery", "both"])
    result = evaluate(x, np.array([0, 0, 0, 1]), roles, distance="euclidean", **QUIET)
    assert result.queries.tolist() == [0, 1, 3]
    assert result.neighbors.tolist() == [[2, 3, -1], [0, 2, 3], [2, 0, -1]]


def test_cmc_is_recall_at_every_k():
    first = np.array([1, 0, 4, 2, 2, 9])
    curve = cmc(first, 10)
    assert curve.tolist() == [recall_at(first, k).mean() for k in range(1, 11)]
    assert cmc(first, 2, counted=first > 0).tolist() == [0.2, 0.6]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embeddings": np.array([[0.0, 1], [np.nan, 0], [1, 1]])}, "row 1 is NaN or Inf"),
        ({"embeddings": np.array([[0.0, 1], [1, 0], [np.inf, 1]])}, "row 2 is NaN or Inf"),
        ({"embeddings": np.zeros((3, 0))}, r"shape \(3, 0\)"),
        ({"embeddings": np.array([["a"], ["b"], ["c"]])}, "real numbers"),
        ({"embeddings": [[1, 2], [3], [4, 5]]}, "no matrix"),
        ({"embeddings": np.ma.masked_less(np.eye(3), 1)}, "masked"),
        ({"labels": np.zeros(4)}, r"labels have shape \(4,\)"),
        ({"roles": ["query", "gallery", "galery"]}, "row 2 is 'galery'"),
        ({"roles": ["query", "query", "query"]}, "0 gallery items"),
        ({"ks": (1, 0)}, "ks = 0"),
        ({"ks": ("a",)}, "ks = 'a'"),
        ({"ks": (1.5,)}, "ks = 1.5"),
        ({"ks": (np.inf,)}, "ks = inf"),
        ({"ks": 5}, "ks = 5"),
        ({"ks": "15"}, "ks = '15'"),
        ({"seed": -1}, "seed = -1: give a whole number from 0 to 4294967295"),
        ({"seed": 0.5}, "seed = 0.5: give a whole number from 0"),
        ({"k_neighbors": 2.5}, "k_neighbors = 2.5: give a whole number of at least 0"),
        ({"threads": 0}, "threads = 0"),
        ({"threads": -1}, "threads = -1"),
        ({"labels": np.array([0, None, 1])}, "labels: row 1 is None: give every item its class"),
        ({"labels": np.array([0, 1, np.nan])}, "labels: row 2 is nan"),
        ({"labels": np.array([0, "a", 1], object)}, "labels mix types"),
        ({"labels": [1, "1", 1]}, "labels mix types"),
        ({"distance": "cosin"}, "did you mean 'cosine'"),
        ({"kmeans": "k-means++"}, "greedy k-means"),
        ({"no_positive": "skip"}, "exclude, zero"),
    ],
)
def test_bad_input_is_refused_by_name(change, message):
    good = {"embeddings": np.eye(3), "labels": np.array([0, 0, 1])}
    with pytest.raises(UserError, match=message):
        evaluate(**good | change)
