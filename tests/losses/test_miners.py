"""Miners against the definitions, in explicit loops."""

import numpy as np
import pytest
import tensorflow as tf

from retrieval.errors import UserError
from retrieval.losses import miners as mining
from retrieval.losses.ops.pairs import pairs_within

LABELS = np.array([0, 1, 0, 2, 1, 0, 3, 2, 1, 1, 0])
POINTS = np.random.default_rng(1).normal(size=(11, 3))
DISTANCES = np.linalg.norm(POINTS[:, None] - POINTS[None], axis=2).astype(np.float32)
PAIRS = pairs_within(tf.constant(LABELS), tf.constant(POINTS, tf.float32))
MASKS = (PAIRS.positives, PAIRS.negatives)


def positives(a):
    return [j for j in range(len(LABELS)) if j != a and LABELS[j] == LABELS[a]]


def negatives(a):
    return [j for j in range(len(LABELS)) if LABELS[j] != LABELS[a]]


def rows(mined):
    keep = np.array(mined.valid)
    return list(zip(*(np.array(t)[keep].tolist() for t in mined[:3]), strict=True))


def test_batch_hard():
    wanted = [
        (
            a,
            max(positives(a), key=lambda j: DISTANCES[a, j]),
            min(negatives(a), key=lambda j: DISTANCES[a, j]),
        )
        for a in range(11)
        if positives(a)
    ]
    assert rows(mining.batch_hard(DISTANCES, *MASKS)) == wanted


def test_easy_positive():
    wanted = [
        (
            a,
            min(positives(a), key=lambda j: DISTANCES[a, j]),
            min(negatives(a), key=lambda j: DISTANCES[a, j]),
        )
        for a in range(11)
        if positives(a)
    ]
    assert rows(mining.easy_positive(DISTANCES, *MASKS)) == wanted


def test_semi_hard():
    wanted, fallbacks = [], 0
    for a in range(11):
        for p in positives(a):
            beyond = [n for n in negatives(a) if DISTANCES[a, n] > DISTANCES[a, p]]
            fallbacks += not beyond
            closest = min(beyond, key=lambda n: DISTANCES[a, n], default=None)
            furthest = max(negatives(a), key=lambda n: DISTANCES[a, n])
            wanted.append((a, p, closest if beyond else furthest))
    assert fallbacks > 0
    assert rows(mining.semi_hard(DISTANCES, *MASKS)) == wanted


def test_multi_similarity_pairs():
    similarities, slack = -DISTANCES, 0.1
    kept = mining.multi_similarity_pairs(similarities, *MASKS, slack)
    for a in range(11):
        pos = [
            j
            for j in positives(a)
            if similarities[a, j] < similarities[a, negatives(a)].max() + slack
        ]
        assert np.flatnonzero(kept[0][a]).tolist() == pos
        least = similarities[a, positives(a)].min() if positives(a) else np.inf
        neg = [j for j in negatives(a) if similarities[a, j] > least - slack]
        assert np.flatnonzero(kept[1][a]).tolist() == neg


def test_multi_similarity_triplets_are_what_each_kept_pair_was_compared_with():
    similarities, wanted = -DISTANCES, []
    for a in range(11):
        if not positives(a):
            continue
        least = min(positives(a), key=lambda j: similarities[a, j])
        most = max(negatives(a), key=lambda j: similarities[a, j])
        for j in range(11):
            if j in positives(a) and similarities[a, j] < similarities[a, most] + 0.1:
                wanted.append((a, j, most))
            if j in negatives(a) and similarities[a, j] > similarities[a, least] - 0.1:
                wanted.append((a, least, j))
    assert len(wanted) < sum(len(positives(a)) + len(negatives(a)) for a in range(11))
    assert rows(mining.multi_similarity_triplets(similarities, *MASKS, 0.1)) == wanted


def test_all_triplets():
    wanted = [(a, p, n) for a in range(11) for p in positives(a) for n in negatives(a)]
    assert rows(mining.all_triplets(*MASKS)) == wanted
    with pytest.raises(UserError, match="triplets"):
        mining.all_triplets(*MASKS, limit=len(wanted) - 1)


def test_distance_weighted_draws_valid_negatives_reproducibly():
    def draw(seed):
        return rows(mining.distance_weighted(DISTANCES / 2, *MASKS, 3, tf.constant([0, seed])))

    drawn = draw(1)
    assert [t[:2] for t in drawn] == [(a, p) for a in range(11) for p in positives(a)]
    assert all(n in negatives(a) for a, _, n in drawn)
    assert draw(1) == drawn != draw(2)


def test_distance_weighted_draws_with_the_papers_probabilities():
    # One anchor with 20,000 positives at distance 0 and five negatives.
    size, count = 8, 20_000
    far = np.array([0.2, 0.6, 1.0, 1.3, 1.5])
    distances = np.concatenate([np.zeros(count), far])[None].astype(np.float32)
    same = np.arange(count + 5)[None] < count
    mined = mining.distance_weighted(distances, same, ~same, size, tf.constant([3, 4]))
    share = np.bincount(np.array(mined.negatives) - count, minlength=5) / count

    d = np.maximum(far, 0.5)
    wanted = 1 / (d ** (size - 2) * (1 - d**2 / 4) ** ((size - 3) / 2))
    wanted[far >= 1.4] = 0
    wanted /= wanted.sum()
    np.testing.assert_allclose(share, wanted, atol=4 * np.sqrt(0.25 / count))


def test_distance_weighted_is_even_when_all_negatives_are_far():
    distances = np.full((1, 30_003), 1.9, np.float32)
    same = np.arange(30_003)[None] < 30_000
    mined = mining.distance_weighted(distances, same, ~same, 8, tf.constant([3, 4]))
    share = np.bincount(np.array(mined.negatives) - 30_000, minlength=3) / 30_000
    np.testing.assert_allclose(share, 1 / 3, atol=0.015)


@pytest.mark.parametrize("labels", [[0] * 4, [0, 1, 2, 3], [0]])
def test_batches_without_triplets_give_none(labels):
    x = np.random.default_rng(0).normal(size=(len(labels), 2))
    distances = np.linalg.norm(x[:, None] - x[None], axis=2).astype(np.float32)
    masks = pairs_within(tf.constant(labels), tf.constant(x, tf.float32))[3:]
    miners = (mining.batch_hard, mining.easy_positive, mining.semi_hard)
    for miner in (*miners, mining.multi_similarity_triplets):
        assert rows(miner(distances, *masks)) == []
    assert rows(mining.distance_weighted(distances, *masks, 2, tf.constant([0, 0]))) == []
    assert rows(mining.all_triplets(*masks)) == []
