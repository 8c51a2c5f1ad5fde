"""Every loss equals the paper's formula, and its gradient the formula's finite differences."""

import numpy as np
import pytest
import tensorflow as tf

from retrieval.losses import LOSSES, get_loss
from retrieval.losses.miners import distance_weighted
from retrieval.losses.ops.distances import (
    DISTANCES,
    all_distances,
    euclidean_distances,
    paired_distances,
)
from tests.losses.oracles import ORACLES

SIZE = 3
# Unbalanced, ungrouped, with a lone label (3) and an odd row.
MIXED = np.array([0, 1, 0, 2, 1, 0, 3, 2, 1, 1, 0])
# Rows of a P x K batch: what losses over ordered rows are meant for.
PAIRED = np.repeat(np.arange(5), 2)
CROWDED = np.array([0] * 9 + [1] * 2)
BLOCKS = np.repeat(np.arange(3), 4)

CASES = [
    ("hard_triplet", {}, MIXED),
    ("hard_triplet", {"margin": "soft", "distance": "squared_euclidean"}, MIXED),
    ("hard_triplet", {"margin": "none", "distance": "cityblock"}, MIXED),
    ("hard_triplet", {"margin": 0.3, "distance": "cosine"}, MIXED),
    ("hard_triplet", {"positives": "easiest"}, MIXED),
    ("semi_hard_triplet", {}, MIXED),
    ("semi_hard_triplet", {"margin": 2.0}, BLOCKS),
    ("semi_hard_triplet", {"margin": "soft"}, MIXED),
    ("mined_triplet", {}, MIXED),
    ("mined_triplet", {"margin": "soft", "distance": "cosine"}, MIXED),
    ("mined_triplet", {"miner": "batch_hard", "distance": "cityblock"}, MIXED),
    ("mined_triplet", {"miner": "semi_hard", "distance": "euclidean", "margin": 1.0}, MIXED),
    ("mined_triplet", {"miner": "semi_hard", "distance": "cosine", "margin": "none"}, BLOCKS),
    ("mined_triplet", {"miner": "multi_similarity"}, MIXED),
    ("mined_triplet", {"miner": "multi_similarity", "distance": "cosine"}, BLOCKS),
    ("mined_triplet", {"miner": "multi_similarity", "distance": "cityblock"}, MIXED),
    ("lifted_loss", {}, MIXED),
    ("lifted_loss", {"margin": 2.5}, BLOCKS),
    ("npairs_loss", {}, PAIRED),
    ("npairs_loss", {"regularizer": 0.5}, BLOCKS),
    ("npairs_loss", {}, MIXED),
    ("angular_loss", {}, PAIRED),
    ("angular_loss", {"degree": 36}, BLOCKS),
    ("angular_loss", {"degree": 40, "form": "log_sum"}, PAIRED),
    ("angular_loss", {"form": "log_sum"}, MIXED),
    ("contrastive_loss", {}, BLOCKS),
    ("contrastive_loss", {"margin": 3.0}, MIXED),
    ("contrastive_loss", {"margin": 2.0, "pairs": "all"}, MIXED),
    ("contrastive_loss", {"margin": 2.0, "pairs": "active", "power": 1}, MIXED),
    ("contrastive_loss", {"power": 1}, BLOCKS),
    ("multi_similarity", {}, MIXED),
    ("multi_similarity", {"epsilon": None, "threshold": 1.0}, MIXED),
    ("circle", {"scale": 8.0}, MIXED),
    ("circle", {}, BLOCKS),
    ("supervised_contrastive", {}, MIXED),
    ("ntxent", {}, MIXED),
    ("tuplet_margin", {}, MIXED),
    ("generalized_lifted", {}, MIXED),
    ("ranked_list", {}, MIXED),
    ("ranked_list", {"positive_temperature": 3.0, "balance": 0.2}, MIXED),
    ("fastap", {}, MIXED),
    ("fastap", {"bins": 3}, BLOCKS),
    ("histogram", {"bins": 20}, MIXED),
    ("smooth_ap", {"temperature": 0.1}, MIXED),
    ("smooth_ap", {}, BLOCKS),
    ("recall_at_k", {"rank_temperature": 0.1}, MIXED),
    ("recall_at_k", {"ks": [1, 3]}, BLOCKS),
    # Blurred ranks: more positives than k count as found, which the cut at k limits.
    ("recall_at_k", {"ks": [5, 6], "rank_temperature": 2.0, "recall_temperature": 0.3}, CROWDED),
]

PROXY_CASES = [
    ("normalized_softmax", {}),
    ("cosface", {"scale": 8.0}),
    ("arcface", {"scale": 8.0}),
    ("arcface", {"margin": 1.2, "scale": 4.0}),
    ("proxy_nca", {}),
    ("proxy_nca", {"own_in_denominator": False, "temperature": 1.0}),
    ("proxy_anchor", {}),
    ("soft_triple", {"centers_per_class": 2}),
    ("soft_triple", {"centers_per_class": 1}),
]


def embeddings(labels, seed=0):
    return np.random.default_rng(seed).normal(size=(len(labels), SIZE)) * 0.8


def finite_differences(function, x, step=1e-6):
    slope = np.zeros_like(x)
    for at in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[at] += step
        down[at] -= step
        slope[at] = (function(up) - function(down)) / (2 * step)
    return slope


def value_and_gradients(loss, labels, x):
    x = tf.constant(x, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = loss(labels, x)
    return float(value), [
        np.array(tf.convert_to_tensor(g))
        for g in tape.gradient(value, [x, *loss.trainable_variables])
    ]


def assert_close(actual, wanted):
    np.testing.assert_allclose(actual, wanted, rtol=2e-3, atol=2e-4 * (1 + np.abs(wanted).max()))


def test_every_loss_has_an_oracle_and_a_case():
    assert set(ORACLES) == set(LOSSES)
    assert {name for name, *_ in CASES + PROXY_CASES} | {"margin_loss"} == set(LOSSES)


@pytest.mark.parametrize(
    ("name", "options", "labels"), CASES, ids=[f"{n}-{i}" for i, (n, *_) in enumerate(CASES)]
)
def test_value_and_gradient(name, options, labels):
    x = embeddings(labels)
    spelled = {"distance_" if k == "distance" else k: v for k, v in options.items()}
    if name in {"circle", "ranked_list"}:
        spelled["fixed"] = x

    def wanted(z):
        return ORACLES[name](labels, z, **spelled)

    value, (gradient,) = value_and_gradients(get_loss(name, **options), labels, x)
    assert value == pytest.approx(wanted(x), rel=2e-4)
    slope = finite_differences(wanted, x)
    assert np.abs(slope).max() > 1e-3
    assert_close(gradient, slope)


@pytest.mark.parametrize(
    ("name", "options"), PROXY_CASES, ids=[f"{n}-{i}" for i, (n, _) in enumerate(PROXY_CASES)]
)
def test_value_and_gradients_of_embeddings_and_proxies(name, options):
    x = embeddings(MIXED)
    loss = get_loss(name, **options)
    loss.build(5, SIZE)
    proxies = loss.get_weights()[0].astype(np.float64)
    value, (gradient, to_proxies) = value_and_gradients(loss, MIXED, x)
    assert value == pytest.approx(ORACLES[name](MIXED, x, proxies, **options), rel=2e-4)
    assert_close(
        gradient, finite_differences(lambda z: ORACLES[name](MIXED, z, proxies, **options), x)
    )
    assert_close(
        to_proxies, finite_differences(lambda w: ORACLES[name](MIXED, x, w, **options), proxies)
    )


def with_drawn_triplets(loss, x):
    """The loss's value and gradients, and the triplets that it drew."""
    drawn = []

    def draw(*arguments, **options):
        drawn.append(distance_weighted(*arguments, **options))
        return drawn[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{type(loss).__module__}.distance_weighted", draw)
        found = value_and_gradients(loss, MIXED, x)
    (mined,) = drawn
    return found, list(zip(*(np.array(t) for t in mined[:3]), strict=True))


@pytest.mark.parametrize("per_class", [False, True])
def test_margin_loss_on_its_drawn_triplets(per_class):
    x = embeddings(MIXED)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    loss = get_loss("margin_loss", per_class=per_class, regularizer=0.1)
    loss.build(4, SIZE)
    start = loss.get_weights()
    beta = [1.0, 1.1, 1.2, 1.3] if per_class else 1.2
    loss.set_weights([np.array(beta), *start[1:]])

    (value, (gradient, to_beta)), triplets = with_drawn_triplets(loss, x)
    assert len(triplets) == 4 * 3 * 2 + 2
    assert all(MIXED[a] == MIXED[p] != MIXED[n] for a, p, n in triplets)

    def wanted(z, b=beta):
        return ORACLES["margin_loss"](MIXED, z, triplets, beta=b, regularizer=0.1)

    assert value == pytest.approx(wanted(x), rel=1e-4)
    assert_close(gradient, finite_differences(wanted, x))
    slope = finite_differences(lambda b: wanted(x, b.tolist()), np.array(beta))
    assert_close(to_beta, slope)


@pytest.mark.parametrize("distance", ["squared_euclidean", "cosine", "cityblock"])
def test_mined_triplet_on_its_drawn_triplets(distance):
    x = embeddings(MIXED)  # not of unit length: negatives are drawn by angle all the same
    loss = get_loss("mined_triplet", miner="distance_weighted", distance=distance, margin=0.5)
    (value, (gradient,)), triplets = with_drawn_triplets(loss, x)
    assert len(triplets) == 4 * 3 * 2 + 2
    assert all(MIXED[a] == MIXED[p] != MIXED[n] for a, p, n in triplets)

    def wanted(z):
        options = {"margin": 0.5, "distance_": distance, "triplets": triplets}
        return ORACLES["mined_triplet"](MIXED, z, **options)

    assert value == pytest.approx(wanted(x), rel=1e-4)
    assert_close(gradient, finite_differences(wanted, x))


def test_euclidean_distances_of_points_far_from_the_origin():
    x = embeddings(MIXED)
    wanted = np.linalg.norm(x[:, None] - x[None], axis=2)
    np.testing.assert_allclose(
        euclidean_distances(tf.constant(x + 100, tf.float32)), wanted, atol=2e-3
    )


@pytest.mark.parametrize("name", DISTANCES)
def test_distances_to_other_points_carry_a_gradient_both_ways(name):
    a, b = (
        tf.constant(embeddings(MIXED), tf.float32),
        tf.constant(embeddings(PAIRED, 1), tf.float32),
    )
    upstream = tf.constant(np.random.default_rng(2).normal(size=(11, 10)), tf.float32)
    rows, columns = np.indices((11, 10)).reshape(2, -1)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([a, b])
        value = tf.reduce_sum(upstream * all_distances(name, a, b))
        each = paired_distances(name, tf.gather(a, rows), tf.gather(b, columns))
        wanted = tf.reduce_sum(tf.reshape(upstream, [-1]) * each)
    assert_close(value, wanted.numpy())
    for point in (a, b):
        assert_close(
            tf.convert_to_tensor(tape.gradient(value, point)),
            tf.convert_to_tensor(tape.gradient(wanted, point)).numpy(),
        )
