"""What smaller forms of an embedding cost: values, paired intervals, and few changes."""

import numpy as np
import pytest

from retrieval.errors import UserError
from retrieval.evaluation.costs import BOOTSTRAP, FEW, UNCHANGED, costs
from retrieval.evaluation.significance import compare
from retrieval.evaluation.statistics import share_bounds

CLASSES = np.repeat(np.arange(40), 20)


@pytest.fixture(scope="module")
def scores():
    """A full embedding and forms that change no query, one, and many of them."""
    rng = np.random.default_rng(0)
    full = (rng.random(800) < 0.7).astype(float)
    one = full.copy()
    one[np.argmax(full)] = 0
    changed = np.where(rng.random(800) < 0.1, 0.0, full)
    worse = np.where(rng.random(800) < 0.5, 0.0, full)
    return {"float32": full, "float16": full, "int8": one, "pq-8": changed, "binary": worse}


@pytest.fixture(scope="module")
def table(scores):
    return costs(scores, CLASSES, n_samples=999).set_index("form")


def test_costs_are_the_mean_differences_from_the_full_embedding(table, scores):
    for name, each in scores.items():
        assert table.loc[name, "value"] == pytest.approx(each.mean())
        assert table.loc[name, "cost"] == pytest.approx(scores["float32"].mean() - each.mean())
        assert table.loc[name, "changed"] == (each != scores["float32"]).sum()
    assert list(table["rule"]) == ["", UNCHANGED, FEW, BOOTSTRAP, BOOTSTRAP]


def test_where_no_query_changed_the_interval_is_not_a_point(table):
    low, high = table.loc["float16", ["cost_low", "cost_high"]]
    assert table.loc["float16", "cost"] == 0
    assert -0.02 < low < 0 < high < 0.02
    assert not table.loc["float16", "significant"]


def test_few_changes_are_bounded_as_coins_of_the_design_effect_of_another_form(scores):
    found = costs(scores, CLASSES, n_samples=999).set_index("form").loc["int8"]
    lost = scores["float32"] - scores["pq-8"]  # changes the fewest queries of those that many do
    sums = np.bincount(CLASSES, lost)
    by_class = 40 / 39 * np.square(sums - 20 * lost.mean()).sum() / 800**2
    effect = max(1, by_class / (lost.var(ddof=1) / 800))
    tail = 0.05 / 4 / 4
    lost_low, lost_high = share_bounds([1 / 800], 800 / effect, tail)
    none_low, none_high = share_bounds([0.0], 800 / effect, tail)
    assert found["cost_high"] == pytest.approx(lost_high[0] - none_low[0], rel=1e-6)
    assert found["cost_low"] == pytest.approx(min(0, lost_low[0] - none_high[0]), rel=1e-6)


def test_without_another_form_whole_classes_are_the_coins(scores):
    found = costs({name: scores[name] for name in ("float32", "float16")}, CLASSES, n_samples=99)
    _, high = share_bounds([0.0], 40, 0.05 / 4)
    assert found["cost_high"][1] == pytest.approx(high[0], rel=1e-6)


def test_other_intervals_are_those_of_the_comparison_with_a_baseline(table, scores):
    against = compare(scores, CLASSES, n_samples=999).against("float32").set_index("name")
    for name in ("pq-8", "binary"):
        assert table.loc[name, "cost_high"] == pytest.approx(-against.loc[name, "low"])
        assert table.loc[name, "cost_low"] == pytest.approx(-against.loc[name, "high"])
        assert table.loc[name, "significant"]


def test_seeds_are_paired_so_that_only_costs_scatter():
    rng = np.random.default_rng(1)
    seeds = [(rng.random(800) < share).astype(float) for share in (0.4, 0.6, 0.8)]
    flips = rng.random((3, 800)) < 0.1
    scores = {"float32": np.stack(seeds), "int8": np.where(flips, 0.0, np.stack(seeds))}
    found = costs(scores, CLASSES, n_samples=999).set_index("form").loc["int8"]
    apart = compare(scores, CLASSES, n_samples=999).against("float32").iloc[0]
    assert found["cost"] == pytest.approx(-apart["difference"])
    assert found["cost_high"] - found["cost_low"] < (apart["high"] - apart["low"]) / 3
    assert found["changed"] == ((scores["int8"] != scores["float32"]).any(axis=0)).sum()


def test_too_few_classes_make_no_claim(scores):
    few = {name: each[:100] for name, each in scores.items()}
    found = costs(few, CLASSES[:100], n_samples=99)
    assert found["cost_low"][1:].isna().all()
    assert not found["significant"].any()


def test_queries_that_do_not_count_are_left_out(scores):
    holes = {
        name: np.where(np.arange(800) % 20 == 0, np.nan, each) for name, each in scores.items()
    }
    found = costs(holes, CLASSES, n_samples=99)
    assert (found["queries"] == 760).all()
    assert found["value"][0] == pytest.approx(np.nanmean(holes["float32"]))


def test_something_to_compare_is_needed(scores):
    with pytest.raises(UserError, match="float32"):
        costs({"int8": scores["int8"], "binary": scores["binary"]}, CLASSES)
    with pytest.raises(UserError, match="at least one form"):
        costs({"float32": scores["float32"]}, CLASSES)
