"""The neighbors of a run, and what follows from the rank of the first relevant item."""

import numpy as np
import pytest

from retrieval.evaluation import evaluate
from retrieval.runs.neighbors import FILE, Neighbors, neighbors_in, write_neighbors
from retrieval.runs.npz import map_npz

RANKS = np.array([2, 1, 3, 1, 0], np.int32)


@pytest.mark.parametrize(("rule", "without"), [("exclude", np.nan), ("zero", 0.0)])
def test_a_query_without_a_relevant_item_counts_as_the_protocol_says(rule, without):
    rows = np.arange(5, dtype=np.int32)
    found = Neighbors("leave_one_out", rows, rows[:, None], np.zeros((5, 1)), RANKS, rows)
    np.testing.assert_array_equal(found.scores_of("recall@1", rule), [0, 1, 0, 1, without])


@pytest.mark.parametrize(
    ("metric", "scores"),
    [
        ("recall@2", [1, 1, 0, 1, np.nan]),
        ("mrr", [1 / 2, 1, 1 / 3, 1, np.nan]),
        ("map@r", [0.1, 0.2, 0.3, 0.4, np.nan]),
        ("map", None),
    ],
)
def test_scores_of_every_query_follow_from_the_first_rank_or_are_stored(metric, scores):
    rows = np.arange(5, dtype=np.int32)
    stored = {"map@r": np.array([0.1, 0.2, 0.3, 0.4, 0.5])}
    found = Neighbors(
        "leave_one_out", rows, rows[:, None], np.zeros((5, 1)), RANKS, rows, scores=stored
    )
    if scores is None:
        assert found.scores_of(metric) is None
    else:
        np.testing.assert_allclose(found.scores_of(metric), scores)


def test_an_evaluation_stores_the_scores_that_its_metrics_are_the_means_of(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(12), 4)
    result = evaluate(rng.standard_normal((48, 4)), labels, kmeans="none", n_bootstrap=0)
    write_neighbors(tmp_path, {"leave_one_out": result})
    found = neighbors_in(map_npz(tmp_path / FILE), "leave_one_out", tmp_path / FILE)
    for name in ("recall@1", "recall@4", "map@r", "r_precision", "map", "mrr"):
        assert np.nanmean(found.scores_of(name)) == pytest.approx(result.metrics[name])
    assert found.fits(48)
