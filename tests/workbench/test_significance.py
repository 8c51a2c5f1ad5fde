"""Losses compared in pairs on the same queries."""

import numpy as np
import pytest

from workbench.significance import paired_differences

LABELS = np.repeat(np.arange(40), 5)
RNG = np.random.default_rng(0)
CHANCE = RNG.random(200) < 0.5


def test_a_loss_that_is_right_more_often_wins_and_the_reverse_loses():
    better = np.ones(200)
    pairs = paired_differences({"good": better, "poor": CHANCE.astype(float)}, LABELS)
    win, loss = pairs.to_dict("records")
    assert (win["a"], win["b"], win["verdict"]) == ("good", "poor", "win")
    assert (loss["a"], loss["b"], loss["verdict"]) == ("poor", "good", "loss")
    assert win["delta"] == pytest.approx(1 - CHANCE.mean())
    assert (loss["delta"], loss["low"], loss["high"]) == pytest.approx(
        (-win["delta"], -win["high"], -win["low"])
    )


def test_equal_losses_tie_with_no_spread():
    pairs = paired_differences({"a": CHANCE * 1.0, "b": CHANCE * 1.0}, LABELS)
    assert pairs["verdict"].tolist() == ["tie", "tie"]
    assert pairs[["delta", "low", "high"]].abs().to_numpy().max() == 0


def test_a_difference_carried_by_one_class_is_a_tie():
    """Five queries of one class are not five independent pieces of evidence."""
    one_class = CHANCE.astype(float).copy()
    one_class[:5] = 1
    other = one_class.copy()
    other[:5] = 0
    pair = paired_differences({"a": one_class, "b": other}, LABELS).iloc[0]
    assert pair["delta"] == pytest.approx(5 / 200)
    assert pair["verdict"] == "tie"


def test_every_ordered_pair_is_there():
    names = {name: RNG.random(200) for name in "abcd"}
    pairs = paired_differences(names, LABELS)
    assert len(pairs) == 12
    assert {(a, b) for a, b in zip(pairs["a"], pairs["b"], strict=True)} == {
        (a, b) for a in names for b in names if a != b
    }
    assert (pairs["low"] <= pairs["delta"] + 1e-9).all()
    assert (pairs["delta"] <= pairs["high"] + 1e-9).all()


def test_one_loss_has_no_pair():
    assert paired_differences({"a": CHANCE * 1.0}, LABELS).empty
