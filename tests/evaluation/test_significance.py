"""Comparisons of runs: who wins, false alarms, seeds, and which results are comparable."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import UserError
from retrieval.evaluation import compare, evaluate


@pytest.mark.parametrize(("n_classes", "n_runs"), [(100, 11), (5000, 8), (100, 25)])
def test_large_differences_stay_significant_however_many_pairs(n_classes, n_runs):
    rng = np.random.default_rng(8)
    classes = np.repeat(np.arange(n_classes), 12)
    rates = np.linspace(0.3, 0.8, n_runs)
    runs = {str(i): (rng.random(len(classes)) < r).astype(float) for i, r in enumerate(rates)}
    runs["twin"] = (rng.random(len(classes)) < rates[0]).astype(float)
    pairs = compare(runs, classes).pairs
    gap = np.abs(pairs["difference"])
    assert pairs["significant"][gap > 0.15].all()
    assert not pairs["significant"][gap < 0.005].any()


def test_seeds_that_scatter_make_no_lead_significant_below_the_resolution():
    """Eleven losses, two seeds each: their spread, known to one degree of freedom, decides."""
    rng = np.random.default_rng(9)
    classes = np.repeat(np.arange(200), 5)
    runs = {
        str(i): np.stack([rng.random(1000) < rate + shift for shift in (-0.1, 0.1)]).astype(float)
        for i, rate in enumerate(np.linspace(0.3, 0.7, 11))
    }
    assert not compare(runs, classes).pairs["significant"].any()


def test_better_run_wins_and_a_copy_ties():
    rng = np.random.default_rng(2)
    classes = np.repeat(np.arange(100), 5)
    good = (rng.random(500) < 0.9).astype(float)
    bad = good * (rng.random(500) < 0.8)
    table = compare({"bad": bad, "good": good, "copy": good.copy()}, classes)
    assert table.summary["name"].tolist() == ["good", "copy", "bad"]
    assert table.summary["best_group"].tolist() == [True, True, False]
    pairs = table.pairs.set_index(["a", "b"])
    same = pairs.loc[("good", "copy")]
    assert (same["difference"], same["wins"], same["ties"], same["p"]) == (0, 0, 500, 1)
    assert same["p_mcnemar"] == 1
    real = pairs.loc[("good", "bad")]
    assert real["significant"]
    assert real["losses"] == 0
    assert real["wins"] == int((good > bad).sum())
    assert real["low"] < good.mean() - bad.mean() < real["high"]
    assert real["low"] > 0
    assert "500 queries of 100 classes" in str(table)


def test_false_alarms_are_rare_among_equal_runs():
    """Six equally good runs, 15 pairs: the share of tables with any alarm is 5%, not 15 times."""
    rng = np.random.default_rng(3)
    classes = np.repeat(np.arange(80), 4)
    alarms = 0
    for repeat in range(60):
        runs = {str(i): (rng.random(320) < 0.7).astype(float) for i in range(6)}
        alarms += compare(runs, classes, n_samples=400, seed=repeat).pairs["significant"].any()
    assert alarms <= 9  # P(more | 5%) < 0.2%


def test_seeds_widen_the_interval():
    rng = np.random.default_rng(4)
    classes = np.repeat(np.arange(200), 5)
    base = rng.random(1000)
    steady = np.stack([(base < 0.7)] * 3).astype(float)
    shaky = np.stack([(base < 0.7 + shift) for shift in (-0.1, 0, 0.1)]).astype(float)
    table = compare({"steady": steady, "shaky": shaky}, classes).summary.set_index("name")
    width = table["high"] - table["low"]
    assert width["shaky"] > 2 * width["steady"]
    assert table.loc["steady", "seeds"] == 3
    assert table.loc["steady", "seed_low"] == table.loc["steady", "seed_high"]


def test_any_per_query_metric_of_results():
    rng = np.random.default_rng(5)
    labels = np.repeat(np.arange(30), 6)
    x = rng.standard_normal((30, 8))[labels] + 0.5 * rng.standard_normal((180, 8))
    quiet = {"kmeans": "none", "n_bootstrap": 0}
    good, bad = evaluate(x, labels, **quiet), evaluate(x[:, :2], labels, **quiet)
    table = compare({"all": good, "two": [bad, bad]}, metric="map@r")
    assert table.summary["mean"].tolist() == pytest.approx(
        [good.metrics["map@r"], bad.metrics["map@r"]]
    )
    assert table.pairs["significant"].all()
    with pytest.raises(UserError, match=r"all: .*'nmi'.*recall@1"):
        compare({"all": good}, metric="nmi")


def test_results_of_other_queries_or_another_protocol_are_not_compared():
    x, labels = np.random.default_rng(5).standard_normal((12, 3)), np.repeat(np.arange(4), 3)
    quiet = {"kmeans": "none", "n_bootstrap": 0}
    first = evaluate(x, labels, **quiet)
    compare({"a": first, "b": evaluate(x[:, :2], labels, kmeans="none", n_bootstrap=9, seed=3)})
    other = evaluate(x, labels, distance="euclidean", **quiet)
    with pytest.raises(UserError, match=r"b: .*distance .*euclidean"):
        compare({"a": first, "b": [first, other]})
    zero = evaluate(x, labels, no_positive="zero", **quiet)
    with pytest.raises(UserError, match=r"b: .*no_positive .*zero"):
        compare({"a": first, "b": zero})
    halves = [np.where((np.arange(12) % 3 == which), "query", "gallery") for which in (0, 1)]
    one, two = (evaluate(x, labels, roles, **quiet) for roles in halves)
    assert one.labels.tolist() == two.labels.tolist()
    with pytest.raises(UserError, match=r"b: .*queries"):
        compare({"a": one, "b": two})


@pytest.mark.parametrize(
    ("results", "classes", "message"),
    [
        ({}, None, "nothing to compare"),
        ({"a": np.zeros(3)}, None, "classes are needed"),
        ({"a": np.zeros(3)}, np.zeros(4), "a: scores of 3 queries, but classes of 4"),
        ({"a": ["right", "wrong"]}, np.zeros(2), "a: give a score for every query"),
        ({"a": np.full(3, np.nan)}, np.zeros(3), "no query counts"),
    ],
)
def test_bad_input(results, classes, message):
    with pytest.raises(UserError, match=message):
        compare(results, classes)


@pytest.mark.parametrize(("option", "value"), [("n_samples", 0), ("seed", -1)])
def test_a_bad_option_is_named(option, value):
    with pytest.raises(UserError, match=f"^{option} = {value}: "):
        compare({"a": np.ones(4)}, np.arange(4), **{option: value})


def test_results_and_scores_of_one_run_are_not_mixed():
    result = evaluate(np.eye(4), np.array([0, 0, 1, 1]), kmeans="none", n_bootstrap=0)
    with pytest.raises(UserError, match=r"^a: .*mixed"):
        compare({"a": [result, np.ones(4)]})


def test_interval_of_a_result_holds_its_value():
    rng = np.random.default_rng(6)
    labels = np.repeat(np.arange(40), 5)
    x = rng.standard_normal((40, 8))[labels] + 0.9 * rng.standard_normal((200, 8))
    result = evaluate(x, labels)
    for name, (low, high) in result.intervals.items():
        assert low <= result.metrics[name] <= high, name
    assert set(result.intervals) >= {"recall@1", "map@r", "r_precision", "nmi"}


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(0.5, 1), st.integers(1, 3))
def test_intervals_of_a_comparison_stay_within_the_bounds(seed, rate, n_seeds):
    """Few seeds have a wide t distribution, which near 0 or 1 would leave the bounds."""
    rng = np.random.default_rng(seed)
    classes = np.repeat(np.arange(12), 1)
    scores = {
        name: (rng.random((n_seeds, 12)) < share).astype(float)
        for name, share in (("a", rate), ("b", 1 - rate))
    }
    found = compare(scores, classes, n_samples=200)
    for column in ("low", "high", "seed_low", "seed_high"):
        values = found.summary[column].dropna()
        assert values.between(0, 1).all(), column
    assert found.pairs[["low", "high"]].stack().between(-1, 1).all()
