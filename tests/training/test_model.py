"""The ranking model: frozen backbones and batch norms, and losses that own weights."""

import keras
import numpy as np
import pytest

from retrieval import RankingModel
from retrieval.errors import UserError
from retrieval.losses import LOSSES, get_loss

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
def test_a_frozen_backbone_keeps_its_moving_statistics_until_it_is_trained(chunk_size):
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


@pytest.mark.parametrize("chunk_size", [0, 7])
def test_frozen_batch_norms_do_not_change_while_the_rest_of_the_backbone_trains(chunk_size):
    norm = keras.layers.BatchNormalization()
    # Without the kink, distances would not depend on the offset.
    trained = network(norm, keras.layers.ReLU())
    loss = get_loss("hard_triplet")
    model = RankingModel(trained, loss, chunk_size=chunk_size, freeze_batch_norm_steps=2)
    # Decay must not move what is frozen either.
    optimizer = keras.optimizers.AdamW(0.01, weight_decay=0.5)
    model.compile(optimizer=optimizer, jit_compile=False)
    kernel = model.network.get_layer("backbone").layers[0].kernel
    frozen = norm.get_weights()
    assert len(frozen) == 4  # scale, offset, moving mean and variance
    for _ in range(2):
        before = np.array(kernel)
        model.fit(INPUTS, LABELS, batch_size=16, verbose=0, shuffle=False)
        assert np.abs(np.array(kernel) - before).max() > 1e-3
        for weight, start in zip(norm.get_weights(), frozen, strict=True):
            np.testing.assert_array_equal(weight, start)
    model.fit(INPUTS, LABELS, batch_size=16, verbose=0, shuffle=False)
    for weight, start in zip(norm.get_weights(), frozen, strict=True):
        assert np.abs(weight - start).max() > 1e-3


@pytest.mark.parametrize("chunk_size", [0, 7])
@pytest.mark.parametrize("option", ["freeze_steps", "freeze_batch_norm_steps"])
def test_frozen_batch_norms_normalize_by_their_moving_statistics(option, chunk_size):
    norm = keras.layers.BatchNormalization()
    loss = get_loss("hard_triplet", margin=5.0)
    model = RankingModel(network(norm), loss, chunk_size=chunk_size, **{option: 1})
    model.compile(optimizer=keras.optimizers.SGD(0.0), jit_compile=False)
    norm.moving_mean.assign([1.0, -2.0, 0.0, 3.0])
    norm.moving_variance.assign([4.0, 0.1, 9.0, 1.0])
    expected = float(loss(LABELS, model.predict_on_batch(INPUTS)))
    frozen, unfrozen = (
        model.fit(INPUTS, LABELS, batch_size=16, verbose=0, shuffle=False).history["loss"][0]
        for _ in range(2)
    )
    np.testing.assert_allclose(frozen, expected, rtol=1e-5)
    assert abs(unfrozen - expected) > 1e-2
    assert norm.trainable


def with_loss(name: str) -> RankingModel:
    loss = get_loss(name, learning_rate_multiplier=5.0)
    loss.build(4, 3)
    model = RankingModel(network(), loss)
    model.compile(optimizer=keras.optimizers.SGD(0.01), jit_compile=False)
    return model


@pytest.mark.parametrize("name", ["proxy_anchor", "margin_loss"])
def test_weights_of_a_loss_are_trained_saved_and_restored_with_the_model(name, tmp_path):
    keras.utils.set_random_seed(0)
    model = with_loss(name)
    before = [np.array(v) for v in model.loss_weights]
    history = model.fit(INPUTS, LABELS, batch_size=16, epochs=12, verbose=0, shuffle=False)
    trained = [np.array(v) for v in model.loss_weights]
    assert before
    for a, b in zip(before, trained, strict=True):
        assert np.abs(a - b).max() > 0
    assert history.history["loss"][-1] < history.history["loss"][0]

    model.save_weights(tmp_path / "model.weights.h5")
    again = with_loss(name)
    again.load_weights(tmp_path / "model.weights.h5")
    for a, b in zip(trained, again.loss_weights, strict=True):
        np.testing.assert_array_equal(a, np.array(b))
    np.testing.assert_array_equal(again.predict_on_batch(INPUTS), model.predict_on_batch(INPUTS))


def test_the_default_learning_rate_of_a_loss_is_the_one_it_recommends():
    steps = {}
    for multipliers in (None, {"loss": 1.0}):
        keras.utils.set_random_seed(0)
        loss = get_loss("proxy_anchor", learning_rate_multiplier=5.0)
        loss.build(4, 3)
        before = np.array(loss.trainable_variables[0])
        model = RankingModel(network(), loss, multipliers=multipliers)
        model.compile(optimizer=keras.optimizers.SGD(0.01), jit_compile=False)
        model.fit(INPUTS, LABELS, batch_size=16, verbose=0, shuffle=False)
        steps[multipliers is None] = np.array(loss.trainable_variables[0]) - before
    np.testing.assert_allclose(steps[True], 5 * steps[False], rtol=1e-3, atol=1e-6)


def test_a_loss_whose_weights_would_not_train_is_refused():
    with pytest.raises(UserError, match=r"arcface.*build\("):
        RankingModel(network(), get_loss("arcface"))


@pytest.mark.parametrize("name", [n for n, e in LOSSES.items() if not e.needs_classes])
def test_a_loss_whose_weights_do_not_depend_on_the_data_can_be_given_by_name(name):
    for loss in (name, get_loss(name)):
        model = RankingModel(network(), loss)
        assert model.ranking_loss.name == name
        assert bool(model.loss_weights) == (name == "margin_loss")


def test_a_loaded_model_continues_the_random_numbers_of_its_loss(tmp_path):
    loss = get_loss("mined_triplet", miner="distance_weighted")
    model = RankingModel(network(), loss)
    model.compile(optimizer=keras.optimizers.SGD(0.01), jit_compile=False)
    model.fit(INPUTS, LABELS, batch_size=16, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    (state,), (restored,) = model.loss_state, again.loss_state
    assert np.array(state).any()
    np.testing.assert_array_equal(np.array(state), np.array(restored))
