"""Families of comparisons: verdict, interval and p-value are one thing, and hold by simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.verdicts import Case, simulate
from retrieval.errors import UserError
from retrieval.evaluation import compare
from retrieval.evaluation.noninferiority import not_worse
from retrieval.evaluation.planning import multiple
from retrieval.evaluation.statistics import LEAST_CLASSES

CLASSES = np.repeat(np.arange(40), 5)


def runs_of(*rates: float, seed: int = 0, seeds: int = 1) -> dict[str, np.ndarray]:
    """Runs that answer shares of the same queries, of which some classes have harder ones."""
    rng = np.random.default_rng(seed)
    hard = np.repeat(rng.uniform(-0.2, 0.2, 40), 5)
    return {
        f"run{i}": (rng.random((seeds, 200)) < rate + hard).astype(float)
        for i, rate in enumerate(rates)
    }


@settings(deadline=None, max_examples=30)
@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.floats(0, 1), min_size=2, max_size=5),
    st.integers(1, 3),
    st.integers(20, 300),
)
def test_an_interval_and_its_verdict_never_disagree(seed, rates, seeds, n_samples):
    compared = compare(runs_of(*rates, seed=seed, seeds=seeds), CLASSES, n_samples=n_samples)
    for table in (compared.pairs, compared.against("run0")):
        outside = (table["low"] > 0) | (table["high"] < 0)
        assert (outside == table["significant"]).all()
        assert ((table["p_adjusted"] < 0.05) == table["significant"]).all()
        assert (table["p"] <= table["p_adjusted"] + 1e-12).all()
        assert (table["low"] <= table["difference"] + 1e-12).all()
        assert (table["difference"] <= table["high"] + 1e-12).all()
    for row in compared.summary.itertuples():
        wanted = "may be the best"
        if row.lead_low > 0:
            wanted = "the best"
        elif row.lead_high < 0:
            wanted = "not the best"
        assert row.verdict == wanted
    verdicts = list(compared.summary["verdict"])
    assert verdicts[0] != "not the best"
    assert verdicts.count("the best") <= 1
    if "the best" in verdicts:
        assert verdicts == ["the best"] + ["not the best"] * (len(rates) - 1)


def test_a_pair_alone_is_a_family_of_one():
    compared = compare(runs_of(0.5, 0.6, 0.7), CLASSES)
    alone, among = compared.pair("run1", "run0"), compared.pairs.set_index(["a", "b"])
    assert alone["p"] == alone["p_adjusted"]
    assert alone["high"] - alone["low"] < np.ptp(among.loc[("run1", "run0"), ["low", "high"]])
    assert alone["difference"] == -compared.pair("run0", "run1")["difference"]
    assert alone["low"] == -compared.pair("run0", "run1")["high"]
    two = compare(runs_of(0.5, 0.6), CLASSES)
    assert two.pairs.loc[0, "p_adjusted"] == two.pairs.loc[0, "p"]
    with pytest.raises(UserError, match="run9"):
        compared.pair("run1", "run9")
    with pytest.raises(UserError, match="two runs"):
        compared.pair("run1", "run1")
    with pytest.raises(UserError, match=r"run9.*run0"):
        compared.against("run9")


def test_training_more_losses_does_not_erase_what_was_found():
    """Seven runs and the same among 27: every one keeps its verdict against the best."""
    rates = (0.45, 0.5, 0.55, 0.6, 0.72, 0.9, 0.92)
    few = runs_of(*rates)
    many = few | {f"more{i}": run for i, run in enumerate(runs_of(*[0.5] * 20, seed=7).values())}
    first = compare(few, CLASSES).summary.set_index("name")["verdict"]
    second = compare(many, CLASSES).summary.set_index("name")["verdict"]
    assert second[first.index].to_dict() == first.to_dict()
    assert {"not the best", "may be the best"} <= set(first)


def test_a_near_copy_of_a_run_costs_the_others_nothing():
    """Runs that differ on two classes only cannot be told apart, and leave the rest alone."""
    runs = runs_of(0.4, 0.8)
    copy = runs["run1"].copy()
    copy[0, [0, 7]] = 1 - copy[0, [0, 7]]
    compared = compare(runs | {"copy": copy}, CLASSES)
    verdict = compared.summary.set_index("name")["verdict"]
    assert verdict["run0"] == "not the best"
    assert verdict["run1"] == verdict["copy"] == "may be the best"
    pair = compared.pair("run1", "copy")
    assert pair["low"] < 0 < pair["high"]
    assert not pair["significant"]
    assert np.abs(pair[["low", "high"]].astype(float)).max() < 0.3


def test_not_worse_needs_the_whole_interval_on_one_side_of_the_margin():
    assert not_worse(-0.009, 0.1, 0.01) == "yes"
    assert not_worse(-0.1, -0.02, 0.01) == "no"
    assert not_worse(-0.011, 0.1, 0.01) == not_worse(np.nan, np.nan, 0.01) == "cannot tell"
    for margin in (0, -1, np.nan, np.inf):
        with pytest.raises(UserError, match="margin"):
            not_worse(-0.1, 0.1, margin)


def test_a_plan_follows_the_spread_over_classes_and_seeds():
    compared = compare(runs_of(0.5, 0.6), CLASSES)
    one = compared.plan("run0", "run1", 0.02)
    assert np.isnan(one.needed_seeds)
    half = compared.plan("run0", "run1", 0.01)
    assert half.needed_classes == pytest.approx(4 * one.needed_classes, rel=0.01)
    # The standard error falls with the root of the number of classes. It is known from 40 classes
    # only, so the difference must be 2.86 of them, not 1.96 + 0.84 = 2.80.
    (error,) = [compared._contrasts._error[0]]
    assert multiple(39, 2000) == pytest.approx(2.864, abs=0.002)
    wanted = 40 * (error * multiple(39, one.needed_classes - 1) / 0.02) ** 2
    assert one.needed_classes == pytest.approx(wanted, rel=1e-3)
    assert compared.plan("run0", "run1", 10).needed_classes == LEAST_CLASSES
    shaky = {
        name: np.stack([run[0], 1 - run[0], run[0]]) for name, run in runs_of(0.2, 0.3).items()
    }
    several = compare(shaky, CLASSES).plan("run0", "run1", 0.001)
    assert several.needed_classes == several.needed_seeds == np.inf
    level = np.full((3, 200), 0.5)
    moved = {"a": level + np.array([[0.0], [0.1], [0.2]]), "b": level}
    only_seeds = compare(moved, CLASSES).plan("a", "b", 0.2)
    assert np.isnan(only_seeds.needed_classes)  # no class differs from another
    # 4 and 8 degrees of freedom: an error of 0.1 / sqrt(5) times 3.99 is 0.178; of 4 seeds, 0.209.
    assert only_seeds.needed_seeds == 5
    with pytest.raises(UserError, match="resolution"):
        compared.plan("run0", "run1", 0)


@pytest.mark.parametrize(
    "case",
    [
        Case(12, "equal", 0.6),
        Case(30, "lognormal", 0.95),
        Case(30, "lognormal", 0.6, (0.5, 0.0, 0.0, 0.0)),
        Case(40, "lognormal", 0.6, (0.0,) * 7),
        Case(40, "lognormal", 0.6, seeds=3, seed_spread=0.4),
    ],
)
def test_intervals_and_verdicts_hold_on_runs_of_known_truth(case):
    """A small part of ``benchmarks/verdicts.py``: 60 test sets, within the binomial band."""
    counts = simulate(case, 60, n_samples=400, seed=3)
    n = counts.worlds
    assert n > 50
    least = 0.95 * n - 3 * np.sqrt(n * 0.95 * 0.05)
    for held in (counts.level, counts.difference, counts.pairs, counts.baseline, counts.leads):
        assert held >= least
    most = 0.05 * n + 3 * np.sqrt(n * 0.95 * 0.05)
    assert max(counts.pairs_wrong, counts.baseline_wrong, counts.best_wrong) <= most
