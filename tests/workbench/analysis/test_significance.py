"""Runs are prepared for the paired tests of losses."""

import dataclasses

import numpy as np
import pytest

from retrieval.evaluation.significance import compare
from tests.workbench.small import LABELS, neighbors
from workbench.analysis.significance import both_ways

CLASSES = np.repeat(np.arange(40), 5)


def test_wins_ties_and_losses_are_those_of_the_queries():
    other = dataclasses.replace(
        neighbors(), first_relevant_rank=np.array([1, 1, 3, 2, 1, 0], np.int32)
    )
    hits = {"one": neighbors().scores_of("recall@1"), "two": other.scores_of("recall@1")}
    pairs = both_ways(compare(hits, LABELS).pairs)
    assert len(pairs) == 2
    for pair in pairs.itertuples():
        assert (pair.wins, pair.ties, pair.losses) == (1, 3, 1)
        assert (pair.delta, pair.verdict) == (0, "none")  # two classes allow no verdict


def test_every_pair_is_there_both_ways_and_mirrored():
    rng = np.random.default_rng(0)
    shares = {"a": 1.0, "b": 0.5, "c": 0.5}
    scores = {name: (rng.random(200) < share) * 1.0 for name, share in shares.items()}
    pairs = both_ways(compare(scores, CLASSES).pairs).set_index(["a", "b"])
    assert len(pairs) == 6
    for a, b in (("a", "b"), ("b", "c"), ("a", "c")):
        there, back = pairs.loc[(a, b)], pairs.loc[(b, a)]
        assert there["delta"] == -back["delta"]
        assert (there["low"], there["high"]) == (-back["high"], -back["low"])
        assert (there["wins"], there["ties"]) == (back["losses"], back["ties"])
    assert pairs.loc[("a", "b"), "verdict"] == "win"
    assert pairs.loc[("b", "a"), "verdict"] == "loss"
    assert pairs.loc[("b", "c"), "verdict"] == pairs.loc[("c", "b"), "verdict"] == "tie"


def test_one_loss_has_no_pair():
    assert both_ways(compare({"a": np.ones(200)}, CLASSES).pairs).empty


def test_a_difference_carried_by_one_class_is_a_tie():
    """Five queries of one class are not five independent pieces of evidence."""
    one = np.zeros(200)
    one[:5] = 1
    pair = both_ways(compare({"a": one, "b": np.zeros(200)}, CLASSES).pairs).iloc[0]
    assert pair["delta"] == pytest.approx(5 / 200)
    assert pair["verdict"] == "tie"
