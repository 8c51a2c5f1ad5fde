"""The registry of metrics: one definition, one scale and one place per metric."""

import numpy as np
import pytest

from retrieval.errors import UserError
from retrieval.evaluation import evaluate
from retrieval.evaluation.metrics import (
    METRICS,
    Metric,
    check_on_request,
    in_order,
    is_metric,
    measured_in_training,
    metric,
    reported,
    scale_note,
    summarized,
)
from retrieval.evaluation.ranking import PositiveRanks

ON_REQUEST = ("map@5", "map_trapezoid", "mp@5", "minp", "ndcg@5", "ndcg_exp@5")


@pytest.fixture(scope="module")
def result():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), 5)
    points = rng.standard_normal((6, 8))[labels] + rng.standard_normal((30, 8))
    return evaluate(points, labels, ks=(1, 3), n_bootstrap=50, metrics=ON_REQUEST)


def test_every_metric_of_a_result_is_registered_and_within_its_bounds(result):
    always = {name for name, one in METRICS.items() if not one.on_request and name != "recall@K"}
    assert always <= set(result.metrics)
    assert set(ON_REQUEST) <= set(result.metrics)
    for name, value in result.metrics.items():
        low, high = metric(name).bounds
        assert low <= value <= high, name


def test_recall_is_known_for_every_k_and_other_names_are_refused():
    assert metric("recall@1000").title == "R@1000"
    assert is_metric("recall@3")
    assert not is_metric("recall@0")
    with pytest.raises(UserError, match="map@r"):
        metric("map@R")


def test_metrics_of_every_k_are_computed_where_they_are_asked_for(result):
    assert metric("map@100").title == "mAP@100"
    assert metric("ndcg_exp@10").title == "nDCG@10 (2^g − 1)"
    assert {one for one in METRICS if METRICS[one].on_request} == {
        name.replace("@5", "@K") for name in ON_REQUEST
    }
    assert check_on_request(["minp", "ndcg@10", "map@5", "minp", "map", "ndcg@2"]) == (
        "map@5", "minp", "ndcg@2", "ndcg@10",
    )  # fmt: skip
    plain = evaluate(np.eye(4) + 1, np.array([0, 0, 1, 1]), kmeans="none", n_bootstrap=0)
    assert not set(ON_REQUEST) & set(plain.metrics)
    assert result.metrics["minp"] <= result.metrics["map"]  # of any ranking


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["map@0"], "did you mean 'map@"),
        (["map@K"], "unknown metric of a ranking 'map@K'"),
        (["nmi"], "unknown metric of a ranking 'nmi'"),
        (["recall@7"], "give the K of Recall@K as ks"),
        ("minp", "give a list of names"),
    ],
)
def test_a_metric_that_cannot_be_asked_for_is_refused(names, message):
    with pytest.raises(UserError, match=message):
        check_on_request(names)


def test_percent_has_one_decimal_and_nmi_lies_between_0_and_1():
    shares = [name for name in METRICS if METRICS[name].is_percent]
    assert {METRICS[name].digits for name in shares} == {1}
    assert {"recall@K", "r_precision", "map@r", "map", "mrr", "precision@1"} <= set(shares)
    assert metric("nmi").format(0.587, 0.5, 0.6) == "0.587 [0.500, 0.600]"
    assert metric("recall@4").format(0.587, 0.5, np.nan) == "58.7"
    assert metric("map@r").format(np.nan) == metric("map@r").format(None) == "–"
    assert metric("map@r").quote(0.4652) == "46.52"  # as in the source
    assert metric("nmi").quote(0.902) == "0.902"
    assert metric("recall@1").format_difference(-0.0123) == "-1.2"
    assert metric("recall@1").format_difference(np.nan, np.nan, np.nan) == "–"
    assert scale_note(["map@r", "recall@2"]) == "percent"
    assert scale_note(["ari"]) == "ARI from -1 to 1"


def test_where_a_metric_is_shown_follows_from_the_registry():
    assert reported((1, 10)) == ("recall@1", "recall@10", "r_precision", "map@r", "nmi")
    assert summarized() == ("recall@1", "recall@4", "map@r", "nmi")
    assert measured_in_training((1, 10)) == ("recall@1", "recall@10", "map@r", "nmi")
    assert in_order(["nmi", "recall@10", "map@r", "recall@2"]) == [
        "recall@2", "recall@10", "map@r", "nmi",
    ]  # fmt: skip


def test_a_monitored_metric_is_the_better_the_higher():
    """Checkpoints keep the network with the highest value of the monitored metric."""
    assert all(metric(name).higher_is_better for name in measured_in_training())


def test_a_new_ranking_metric_is_one_function_and_one_entry(result, monkeypatch):
    def last_rank(p: PositiveRanks) -> np.ndarray:
        return 1 / p.ranks[p.starts + p.counts - 1]

    entry = Metric(
        name="last", title="Last", long_title="Last", definition="1 / r_R.", function=last_rank
    )
    monkeypatch.setitem(METRICS, "last", entry)
    rng = np.random.default_rng(1)
    again = evaluate(rng.standard_normal((60, 4)), np.repeat(np.arange(12), 5), n_bootstrap=50)
    assert 0 < again.metrics["last"] <= again.metrics["mrr"]
    assert again.per_query["last"].shape == (60,)
    assert again.intervals["last"][0] <= again.metrics["last"] <= again.intervals["last"][1]
    assert "last" in reported()
    assert f"Last {100 * again.metrics['last']:.1f} [" in str(again)
