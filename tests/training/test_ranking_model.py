"""What the model that ``fit`` trains does with its parts: a backbone held, a loss with weights."""

import keras
import numpy as np
import pytest

from retrieval.losses import get_loss
from retrieval.ranking_model import RankingModel

RNG = np.random.default_rng(0)
LABELS = np.repeat(np.arange(4), 4)
INPUTS = (3 * RNG.normal(size=(4, 5))[LABELS] + RNG.normal(size=(16, 5))).astype("float32")


def network(*layers) -> keras.Model:
    """(B, 5) -> backbone with ``layers`` -> (B, 3)."""
    inputs = keras.Input((5,))
    backbone = keras.Sequential([keras.Input((5,)), keras.layers.Dense(4), *layers])
    backbone.name = "backbone"
    return keras.Model(inputs, keras.layers.Dense(3)(backbone(inputs)))


@pytest.mark.parametrize("chunk_size", [0, 7])
def test_a_held_backbone_keeps_its_moving_statistics_until_it_is_released(chunk_size):
    norm = keras.layers.BatchNormalization()
    model = RankingModel(
        network(norm), get_loss("hard_triplet"), freeze_steps=2, chunk_size=chunk_size
    )
    model.compile(optimizer=keras.optimizers.Adam(0.01), jit_compile=False)

    def after_a_step():
        model.fit(INPUTS, LABELS, batch_size=16, verbose=0, shuffle=False)
        return [np.array(v) for v in (norm.moving_mean, norm.moving_variance)]

    for _ in range(2):
        mean, variance = after_a_step()
        np.testing.assert_array_equal(mean, 0)
        np.testing.assert_array_equal(variance, 1)
    mean, variance = after_a_step()
    assert np.abs(mean).min() > 0
    assert np.abs(variance - 1).min() > 0
