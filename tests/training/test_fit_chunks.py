"""``chunk_size`` changes the memory that training needs, not its result."""

from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from retrieval import load_catalog
from retrieval.errors import UserError
from retrieval.losses import get_loss
from retrieval.models import BACKBONES, build_backbone
from retrieval.settings.checks import check
from retrieval.settings.resolve import resolve
from retrieval.training.data import prepare_data
from retrieval.training.fit import build_ranking_model, fit
from retrieval.training.model import RankingModel

pytestmark = pytest.mark.usefixtures("two_blocks")

CASES = {
    "plain": {},
    "proxies": {"loss": "proxy_anchor"},
    "frozen parts": {"freeze_steps": 2, "backbone_multiplier": 0.5, "clip_norm": 1.0},
    "memory": {"loss": "contrastive_loss", "memory_batches": 2},
    "16 bit": {"mixed_precision": True},
}


@pytest.fixture
def pretrained(tiny, tmp_path, monkeypatch):
    """Settings of a backbone with weights, whose batch norms are therefore frozen."""
    monkeypatch.setitem(BACKBONES, "conv4", replace(BACKBONES["conv4"], pretrained=True))
    keras.utils.set_random_seed(1)
    backbone = build_backbone("conv4", tiny.image_size, weights=None)
    backbone(255 * np.random.default_rng(0).uniform(size=(32, 16, 16, 3)), training=True)
    backbone.save_weights(tmp_path / "pretrained.weights.h5")
    return tiny.with_(
        weights=str(tmp_path / "pretrained.weights.h5"), samples_per_class=4, steps=4, eval_every=4,
        # Adam would blow rounding errors of vanishing gradients up to whole steps.
        optimizer="momentum", learning_rate=1e-3,
    )  # fmt: skip


def untrained(settings) -> list[np.ndarray]:
    """Return the weights that a training starts from."""
    catalog = load_catalog(settings.dataset, settings.data)
    settings = resolve(settings, catalog)
    data = prepare_data(catalog, settings, progress=False)
    keras.utils.set_random_seed(settings.seed)
    return build_ranking_model(settings, data).network.get_weights()


def trained(settings, folder) -> tuple[pd.DataFrame, list[np.ndarray]]:
    """Train; return the history and the weights."""
    catalog = load_catalog(settings.dataset, settings.data)
    folder.mkdir()
    network = fit(resolve(settings, catalog), catalog, folder, progress=False)
    return pd.read_csv(folder / "history.csv"), network.get_weights()


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_training_in_chunks_gives_the_results_of_the_whole_batch(pretrained, tmp_path, case):
    settings = pretrained.with_(**CASES[case])
    # bfloat16 has 8 bits: sums over chunks are rounded otherwise than sums over the batch.
    tolerance = 0.02 if settings.mixed_precision else 1e-5
    start = untrained(settings)
    history, weights = trained(settings, tmp_path / "whole")
    chunked, same = trained(settings.with_(chunk_size=5), tmp_path / "chunks")  # 12 = 5 + 5 + 2
    assert history["loss"].min() > 0
    assert list(chunked["step"]) == [1, 2, 3, 4]
    np.testing.assert_allclose(chunked["loss"], history["loss"], rtol=tolerance)
    np.testing.assert_allclose(chunked["spread"], history["spread"], rtol=tolerance)
    moved = [np.abs(a - b).max() for a, b in zip(weights, start, strict=True)]
    assert max(moved) > 1e-4
    for found, wanted, far in zip(same, weights, moved, strict=True):
        # Relative to the weights in float32, to how far they moved in 16 bit.
        limit = 0.1 * far + 1e-7 if settings.mixed_precision else 1e-5 * np.abs(wanted).max()
        assert np.abs(found - wanted).max() <= limit


def test_a_chunk_as_large_as_the_batch_is_one_forward_pass():
    sizes = []

    class Recorder(keras.layers.Layer):
        def call(self, x):
            sizes.append(x.shape[0])
            return x

    def step(chunk):
        inputs = keras.Input((5,))
        network = keras.Model(inputs, keras.layers.Dense(3)(Recorder()(inputs)))
        model = RankingModel(network, get_loss("semi_hard_triplet"), chunk_size=chunk)
        model.compile(optimizer="sgd", run_eagerly=True)
        sizes.clear()
        model.train_step((tf.random.stateless_normal((12, 5), (0, 1)), tf.range(12) // 3))
        return list(sizes)

    assert step(0) == step(12) == step(100) == [12]
    assert step(5) == [5, 5, 2] * 2


def test_the_scaled_loss_of_float16_reaches_every_gradient():
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(12, 5)).astype("float32"), np.repeat(np.arange(4), 3)

    def trained(chunk):
        keras.utils.set_random_seed(0)
        policy = keras.config.dtype_policy()
        keras.config.set_dtype_policy("mixed_float16")
        try:
            inputs = keras.Input((5,))
            hidden = keras.layers.Dense(8, activation="tanh")(inputs)
            network = keras.Model(inputs, keras.layers.Dense(3, dtype="float32")(hidden))
            loss = get_loss("proxy_anchor")
            loss.build(4, 3)
            model = RankingModel(network, loss, chunk_size=chunk)
            sgd = keras.optimizers.SGD(0.01)
            # The default scale, 2^15, would overflow float16 and skip the first steps.
            model.compile(keras.optimizers.LossScaleOptimizer(sgd, initial_scale=64))
        finally:
            keras.config.set_dtype_policy(policy)
        model.optimizer.build(network.trainable_variables + model.loss_weights)
        start = [np.array(v) for v in network.trainable_variables + model.loss_weights]
        data = tf.data.Dataset.from_tensors((images, labels)).repeat(3)
        losses = model.fit(data, verbose=0, shuffle=False).history["loss"]
        ends = [np.array(v) for v in network.trainable_variables + model.loss_weights]
        return losses, [b - a for a, b in zip(start, ends, strict=True)]

    (losses, moves), (same, same_moves) = trained(0), trained(5)
    np.testing.assert_allclose(same, losses, rtol=1e-3)
    for found, wanted in zip(same_moves, moves, strict=True):
        assert np.abs(wanted).max() > 1e-4
        np.testing.assert_allclose(found, wanted, atol=0.01 * np.abs(wanted).max())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chunk_size": -1}, "chunk_size = -1"),
        ({"chunk_size": 4, "freeze_backbone": True}, "--chunk-size .*--freeze-backbone"),
        ({"chunk_size": 4, "distribute": "mirrored"}, "--chunk-size .*--distribute mirrored"),
    ],
)
def test_chunks_that_would_have_no_effect_are_refused_in_one_line(tiny, changes, message):
    with pytest.raises(UserError, match=message) as caught:
        check(tiny.with_(**changes))
    assert "\n" not in str(caught.value)
