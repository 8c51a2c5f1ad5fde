"""The losses behave as Keras losses: compile and fit, graphs, dtypes, configuration."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from retrieval.errors import UserError
from retrieval.losses import LOSSES, get_loss, recommended_options
from tests.losses.helpers import built, draws, value_and_gradients

LABELS = np.repeat(np.arange(4), 4)
POINTS = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)
CHANGED = {
    "hard_triplet": {"margin": "soft", "distance": "cosine"},
    "contrastive_loss": {"margin": 0.5, "pairs": "all"},
    "recall_at_k": {"ks": [1, 2]},
    "margin_loss": {"per_class": True},
    "mined_triplet": {"miner": "distance_weighted", "distance": "cosine", "margin": "soft"},
}


@pytest.mark.parametrize("name", LOSSES)
def test_configuration_round_trip(name):
    loss = get_loss(name, **CHANGED.get(name, {}))
    config = keras.losses.serialize(loss)
    again = keras.losses.deserialize(config)
    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()
    assert loss.get_config() == recommended_options(name) | CHANGED.get(name, {}) | {"name": name}


@pytest.mark.parametrize("name", LOSSES)
def test_one_graph_serves_all_batch_sizes_and_equals_eager(name):
    loss = built(name)

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.int64), tf.TensorSpec([None, 4], tf.float32)]
    )
    def graph(labels, x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = loss(labels, x)
        return value, tape.gradient(value, x)

    for size in (16, 9, 1, 0):
        labels, x = LABELS[:size].astype(np.int64), POINTS[:size]
        value, gradient = graph(labels, x)
        assert np.isfinite(value)
        if draws(name):
            continue
        wanted, (wanted_gradient, *_) = value_and_gradients(built(name), labels, x)
        np.testing.assert_allclose(value, wanted, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(gradient, wanted_gradient, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["semi_hard_triplet", "fastap", "smooth_ap"])
def test_xla_compiles_loops_and_lists_of_pairs(name):
    # Keras' jit_compile="auto" means XLA on a GPU.
    compiled = tf.function(get_loss(name), jit_compile=True)
    value = compiled(tf.constant(LABELS), tf.constant(POINTS))
    assert float(value) == pytest.approx(float(get_loss(name)(LABELS, POINTS)), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["hard_triplet", "semi_hard_triplet", "npairs_loss", "contrastive_loss", "smooth_ap"]
)
def test_compile_and_fit_lower_the_loss(name):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(4)])
    model.compile(optimizer=keras.optimizers.Adam(0.02), loss=get_loss(name))
    inputs = POINTS + LABELS[:, None]
    # 16 rows and a last batch of 8.
    data = tf.data.Dataset.from_tensor_slices(
        (np.tile(inputs, (2, 1))[:24], np.tile(LABELS, 2)[:24])
    )
    history = model.fit(data.batch(16), epochs=15, verbose=0).history["loss"]
    assert np.isfinite(history).all()
    assert history[-1] < history[0]


def test_labels_above_two_to_the_24_stay_distinct():
    labels = 2**24 + LABELS
    for name in ("hard_triplet", "npairs_loss", "contrastive_loss"):
        assert get_loss(name)(labels, POINTS) == get_loss(name)(LABELS, POINTS)
    huge = np.array([2**53, 2**53 + 1, 2**53, 2**53 + 1])
    loss = get_loss("hard_triplet", margin="none")
    assert loss(huge, POINTS[:4]) == loss([0, 1, 0, 1], POINTS[:4])


def test_large_labels_survive_compile_and_fit():
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(4)])
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss=get_loss("semi_hard_triplet"))
    small = model.evaluate(POINTS, LABELS, batch_size=16, verbose=0)
    large = model.evaluate(POINTS, 2**24 + LABELS, batch_size=16, verbose=0)
    assert small == large > 0


@pytest.mark.parametrize(
    "dtype", [np.int8, np.uint8, np.int32, np.uint32, np.int64, np.uint64, str]
)
def test_labels_of_any_integer_or_string_type(dtype):
    for name in ("semi_hard_triplet", "angular_loss"):
        loss = get_loss(name)
        assert loss(LABELS.astype(dtype), POINTS) == loss(LABELS, POINTS)
        assert loss(LABELS.astype(dtype)[:, None], POINTS) == loss(LABELS, POINTS)


def test_mixed_precision_model_trains_on_a_float32_loss():
    keras.utils.set_random_seed(0)
    policy = keras.dtype_policies.DTypePolicy("mixed_float16")
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(4, dtype=policy)])
    assert model(POINTS).dtype == tf.float16
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01))
    model.compile(optimizer=optimizer, loss=get_loss("hard_triplet"))
    history = model.fit(POINTS + LABELS[:, None], LABELS, batch_size=16, epochs=10, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]


def test_tiny_distances_in_float16_are_not_lost():
    # Squares of 1e-4 vanish in float16; computed in float32 they do not.
    x = (1e-4 * np.array([[0.0], [1.0], [3.0]])).astype(np.float16)
    value = get_loss("hard_triplet", margin="none")([0, 0, 1], x)
    assert float(value) == pytest.approx((1e-4 - 3e-4 + 1e-4 - 2e-4) / 2, rel=1e-2)


def test_bad_input_is_refused_in_one_line():
    loss = get_loss("hard_triplet")
    with pytest.raises(UserError, match="sample_weight"):
        loss(LABELS, POINTS, sample_weight=np.ones(16))
    with pytest.raises(UserError, match="15 labels for 16 embeddings"):
        loss(LABELS[:15], POINTS)
    with pytest.raises(UserError, match="one label per"):
        loss(np.zeros((16, 2), int), POINTS)
    with pytest.raises(UserError, match=r"\(batch, size\)"):
        loss(LABELS, POINTS[:, :, None])
