"""Plain Keras does not train the weights of a loss, and the loss warns of it, once."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from retrieval import RankingModel
from retrieval.losses import get_loss

LABELS = np.repeat(np.arange(4), 4)
POINTS = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)


def built(name: str, **options) -> keras.losses.Loss:
    loss = get_loss(name, **options)
    loss.build(4, 4)
    return loss


def plain(loss, **options) -> keras.Model:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])
    model.compile(optimizer="sgd", loss=loss, **options)
    return model


def fit(*models: keras.Model) -> None:
    for model in models:
        model.fit(POINTS, LABELS, batch_size=16, epochs=2, verbose=0)


@pytest.fixture
def silent():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("error", message=".*do not train the loss's own weights.*")
        yield


@pytest.mark.parametrize(
    ("make", "owned"),
    [
        (lambda: built("proxy_anchor"), "proxies"),
        (lambda: get_loss("margin_loss"), "beta"),  # built by its first call
        (lambda: built("margin_loss", cross_batch_memory=20), "beta"),
    ],
    ids=["proxies", "beta", "beta in a memory"],
)
def test_a_loss_with_weights_warns_once_in_keras_own_step(make, owned):
    loss = make()
    with pytest.warns(UserWarning, match=rf"{loss.name}: .* \({owned}\)") as caught:
        fit(plain(loss), plain(loss))
    assert sum("do not train" in str(w.message) for w in caught) == 1


@pytest.mark.usefixtures("silent")
def test_there_is_no_warning_where_the_loss_has_no_weights_or_only_its_value_is_asked_for():
    fit(plain(get_loss("hard_triplet")))
    fit(plain(built("margin_loss", learn_beta=False)))
    built("proxy_anchor")(LABELS, POINTS)


@pytest.mark.usefixtures("silent")
def test_there_is_no_warning_where_the_weights_are_trained():
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])
    ranking = RankingModel(network, built("proxy_anchor"))
    ranking.compile(optimizer="sgd")
    fit(ranking)


@pytest.mark.usefixtures("silent")
def test_a_training_step_of_ones_own_can_say_that_it_trains_the_weights():
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])
    loss = built("proxy_anchor")
    loss.weights_are_trained = True

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            value = loss(LABELS, network(POINTS, training=True))
        return tape.gradient(value, loss.trainable_variables[0].value)

    assert np.abs(step()).max() > 0


@pytest.mark.usefixtures("silent")
def test_a_model_that_tracks_the_weights_of_its_loss_trains_them_in_keras_own_step():
    loss = built("proxy_anchor")
    loss.weights_are_trained = True
    model = plain(loss)
    model.proxies = loss.trainable_variables
    before = loss.get_weights()[0]
    fit(model)
    assert np.abs(loss.get_weights()[0] - before).max() > 0
