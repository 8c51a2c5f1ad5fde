"""``mined_triplet`` with each of its miners: equal to the losses it covers, finite, compiled."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from retrieval.losses import get_loss
from retrieval.losses.mined_triplet import MINERS
from tests.losses.helpers import DEGENERATE, built, draws, value_and_gradient, value_and_gradients

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 5, 24)
POINTS = RNG.normal(size=(24, 4)).astype(np.float32)
OLDER = RNG.integers(0, 5, 30), RNG.normal(size=(30, 4)).astype(np.float32)


@pytest.mark.parametrize(
    ("options", "name", "own"),
    [
        ({"miner": "batch_hard", "margin": 1.0, "distance": "euclidean"}, "hard_triplet", {}),
        *(
            (
                {"miner": miner, "margin": "soft", "distance": distance},
                "hard_triplet",
                {"positives": positives, "margin": "soft", "distance": distance},
            )
            for miner, positives in (("batch_hard", "hardest"), ("easy_positive", "easiest"))
            for distance in ("euclidean", "squared_euclidean", "cityblock", "cosine")
        ),
        ({"miner": "semi_hard"}, "semi_hard_triplet", {}),
        ({"miner": "semi_hard", "margin": 2.0}, "semi_hard_triplet", {"margin": 2.0}),
    ],
)
def test_equals_the_losses_that_have_one_miner(options, name, own):
    loss, wanted = get_loss("mined_triplet", **options), get_loss(name, **own)
    value, (gradient,) = value_and_gradients(loss, LABELS, POINTS)
    wanted_value, (wanted_gradient,) = value_and_gradients(wanted, LABELS, POINTS)
    assert value > 0
    np.testing.assert_allclose(value, wanted_value, rtol=1e-5)
    np.testing.assert_allclose(gradient, wanted_gradient, rtol=1e-4, atol=1e-5)
    across = loss.against(LABELS, POINTS, *OLDER)
    np.testing.assert_allclose(across, wanted.against(LABELS, POINTS, *OLDER), rtol=1e-5)


@pytest.mark.parametrize("miner", MINERS)
@pytest.mark.parametrize("batch", DEGENERATE)
def test_value_and_gradient_are_finite(miner, batch):
    labels, x = DEGENERATE[batch]
    for distance in ("euclidean", "cosine", "cityblock"):
        loss = built("mined_triplet", miner=miner, distance=distance)
        value, (gradient,) = value_and_gradients(loss, labels, x.astype(np.float32))
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("miner", MINERS)
@pytest.mark.parametrize("labels", [[], [0], list(range(8)), [0] * 8], ids=str)
def test_no_triplet_gives_zero_and_a_zero_gradient(miner, labels):
    loss = built("mined_triplet", miner=miner)
    value, (gradient,) = value_and_gradients(loss, np.array(labels, int), POINTS[: len(labels)])
    assert value == 0
    assert not gradient.any()


@pytest.mark.slow
@pytest.mark.parametrize("miner", MINERS)
def test_compiles_under_xla_within_the_batch_and_against_a_memory(miner):
    compiled = tf.function(value_and_gradient, autograph=False, jit_compile=True)
    batch = tf.constant(LABELS), tf.constant(POINTS)
    options = {"miner": miner, "margin": 0.5, "cross_batch_memory": {"size": 40, "start": 0}}
    one, other = (built("mined_triplet", **options) for _ in range(2))
    for _ in range(2):
        value, gradient = compiled(one, *batch)
        wanted, wanted_gradient = value_and_gradient(other, *batch)
        assert value > 0
        assert np.isfinite(gradient).all()
        if not draws("mined_triplet", miner=miner):
            np.testing.assert_allclose(value, wanted, rtol=1e-3)
            np.testing.assert_allclose(gradient, wanted_gradient, rtol=1e-2, atol=1e-4)


def test_draws_are_seeded_go_on_and_are_part_of_the_state():
    first, second, third = (
        built("mined_triplet", miner="distance_weighted", seed=seed) for seed in (1, 1, 2)
    )
    values = [[float(loss(LABELS, POINTS)) for _ in range(3)] for loss in (first, second, third)]
    assert values[0] == values[1] != values[2]
    assert len(set(values[0])) > 1
    third.set_weights(first.get_weights())
    assert first(LABELS, POINTS) == third(LABELS, POINTS)
    assert built("mined_triplet").get_weights() == []


@pytest.mark.parametrize("miner", ["easy_positive", "distance_weighted"])
def test_trains_in_keras_with_a_memory(miner):
    keras.utils.set_random_seed(0)
    loss = built("mined_triplet", miner=miner, cross_batch_memory={"size": 48})
    model = keras.Sequential(
        [keras.layers.Input((4,)), keras.layers.Dense(4), keras.layers.UnitNormalization()]
    )
    model.compile(keras.optimizers.Adam(0.02), loss=loss)
    inputs = np.tile(POINTS, (4, 1)) + np.eye(5)[np.tile(LABELS, 4)][:, :4]
    history = model.fit(inputs, np.tile(LABELS, 4), batch_size=24, epochs=12, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert history["loss"][-1] < history["loss"][0]
