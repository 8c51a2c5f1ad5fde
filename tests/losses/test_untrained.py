"""Plain Keras does not train what a loss owns, and the loss says so: there, once, nowhere else."""

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
        warnings.filterwarnings("error", message=".*do not train what the loss owns.*")
        yield


@pytest.mark.parametrize("eager", [False, True], ids=["graph", "eager"])
@pytest.mark.parametrize(
    ("make", "owned"),
    [
        (lambda: built("proxy_anchor"), "proxies"),
        (lambda: get_loss("margin_loss"), "beta"),  # built by its first call
        (lambda: built("margin_loss", cross_batch_memory=20), "beta"),
    ],
    ids=["proxies", "beta", "beta in a memory"],
)
def test_a_loss_that_owns_weights_warns_once_in_keras_own_step(make, owned, eager):
    loss = make()
    message = rf"{loss.name}: Keras' compile and fit do not train what .* \({owned}\); use retr"
    with pytest.warns(UserWarning, match=message) as caught:
        fit(plain(loss, run_eagerly=eager), plain(loss, run_eagerly=eager))
    assert sum("do not train" in str(w.message) for w in caught) == 1


@pytest.mark.usefixtures("silent")
def test_there_is_no_warning_where_the_loss_owns_nothing_or_nothing_is_trained():
    fit(plain(get_loss("hard_triplet")))
    fit(plain(built("margin_loss", learn_beta=False)))
    plain(built("proxy_anchor")).evaluate(POINTS, LABELS, verbose=0)
    built("proxy_anchor")(LABELS, POINTS)


@pytest.mark.usefixtures("silent")
def test_there_is_no_warning_where_the_loss_is_trained():
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])
    ranking = RankingModel(network, built("proxy_anchor"))
    ranking.compile(optimizer="sgd")
    fit(ranking)

    loss = built("proxy_anchor")
    with tf.GradientTape() as tape:
        value = loss(LABELS, network(POINTS, training=True))
    assert np.abs(tape.gradient(value, loss.trainable_variables[0])).max() > 0


@pytest.mark.usefixtures("silent")
def test_a_model_that_tracks_the_weights_of_its_loss_trains_them_in_keras_own_step():
    loss = built("proxy_anchor")
    model = plain(loss)
    model.proxies = loss.trainable_variables
    before = loss.get_weights()[0]
    fit(model)
    assert np.abs(loss.get_weights()[0] - before).max() > 0
