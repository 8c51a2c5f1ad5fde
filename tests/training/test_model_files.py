"""A model file (.keras) holds all that training needs to go on, what the loss owns included."""

import keras
import numpy as np
import pytest

from retrieval import RankingModel
from retrieval.losses import get_loss
from retrieval.models import build_model

RNG = np.random.default_rng(0)
LABELS = np.repeat(np.arange(4), 4)
INPUTS = (3 * RNG.normal(size=(4, 5))[LABELS] + RNG.normal(size=(16, 5))).astype("float32")
CASES = {
    "hard_triplet": {},
    "proxy_anchor": {},
    "margin_loss": {"per_class": True},
    "contrastive_loss": {"cross_batch_memory": {"size": 20, "start": 1}},
}


def network() -> keras.Model:
    return keras.Sequential([keras.Input((5,)), keras.layers.Dense(4), keras.layers.Dense(3)])


def model_with(name: str, **options) -> RankingModel:
    keras.utils.set_random_seed(0)
    loss = get_loss(name, **CASES[name])
    loss.build(4, 3)
    model = RankingModel(network(), loss, **options)
    model.compile(optimizer=keras.optimizers.Adam(0.01))
    return model


def losses_of(model: keras.Model, epochs: int) -> list[float]:
    fitted = model.fit(INPUTS, LABELS, batch_size=16, epochs=epochs, verbose=0, shuffle=False)
    return fitted.history["loss"]


def assert_equal(model: RankingModel, again: RankingModel) -> None:
    assert isinstance(again, RankingModel)
    for part in ("network", "ranking_loss"):
        wanted, found = (getattr(m, part).get_weights() for m in (model, again))
        assert len(wanted) == len(found)
        for a, b in zip(wanted, found, strict=True):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(again.predict_on_batch(INPUTS), model.predict_on_batch(INPUTS))


@pytest.mark.parametrize("name", CASES)
def test_a_loaded_model_is_equal_and_trains_on_as_the_saved_one_would(name, tmp_path):
    model = model_with(name)
    losses_of(model, 2)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert_equal(model, again)
    assert again.ranking_loss.get_config() == model.ranking_loss.get_config()
    value = model.evaluate(INPUTS, LABELS, batch_size=16, verbose=0)
    assert value > 0
    assert again.evaluate(INPUTS, LABELS, batch_size=16, verbose=0) == pytest.approx(value)
    # The optimizer's moments, the memory and the draws are those of the saved model too.
    assert losses_of(again, 3) == pytest.approx(losses_of(model, 3), rel=1e-4)


def test_a_checkpoint_callback_keeps_the_best_model(tmp_path):
    model = model_with("proxy_anchor")
    path = tmp_path / "best.keras"
    keep = keras.callbacks.ModelCheckpoint(path, monitor="val_loss", save_best_only=True)
    seen = []
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda _, logs: seen.append(logs))
    held_out = (INPUTS, LABELS)
    model.fit(*held_out, epochs=3, verbose=0, validation_data=held_out, callbacks=[keep, watch])
    again = keras.models.load_model(path)
    best = min(logs["val_loss"] for logs in seen)
    assert again.evaluate(*held_out, verbose=0) == pytest.approx(best, rel=1e-5)


def test_the_settings_of_the_step_are_loaded(tmp_path):
    options = {"multipliers": {"backbone": 0.5, "loss": 3.0}, "chunk_size": 7}
    model = model_with(
        "proxy_anchor", freeze_steps=2, freeze_batch_norm_steps=4, dtype="mixed_float16", **options
    )
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert (again.freeze_steps, again.freeze_batch_norm_steps) == (2, 4)
    assert {name: getattr(again, name) for name in options} == options
    # The loss is scaled again, and not twice.
    for optimizer in (model.optimizer, again.optimizer):
        assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        assert isinstance(optimizer.inner_optimizer, keras.optimizers.Adam)


def test_a_model_of_images_is_loaded(tmp_path):
    network = build_model("conv4", embedding_size=3, weights=None, image_size=16)
    model = RankingModel(network, get_loss("hard_triplet"))
    model.compile(optimizer="adam")
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    images = RNG.integers(0, 256, (4, 16, 16, 3)).astype("float32")
    np.testing.assert_array_equal(again.predict_on_batch(images), model.predict_on_batch(images))


@pytest.mark.parametrize("name", ["proxy_anchor", "contrastive_loss"])
def test_plain_keras_saves_a_built_loss_without_its_values(name, tmp_path):
    keras.utils.set_random_seed(0)
    loss = get_loss(name, **CASES[name])
    loss.build(4, 3)
    model = network()
    model.compile(optimizer="adam", loss=loss)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert [w.shape for w in again.loss.get_weights()] == [w.shape for w in loss.get_weights()]
    # As when it was built: of equal seeds, equal proxies; an empty memory.
    value = model.evaluate(INPUTS, LABELS, batch_size=16, verbose=0)
    assert again.evaluate(INPUTS, LABELS, batch_size=16, verbose=0) == pytest.approx(value)
