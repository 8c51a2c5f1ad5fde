"""A model file (.keras) holds all that training needs to go on, what the loss owns included."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from retrieval import RankingModel
from retrieval.losses import get_loss
from retrieval.models import build_model
from retrieval.models.heads import L2Normalize
from retrieval.models.pooling import GeMPooling
from retrieval.training.optimizers import build_optimizer, build_schedule

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


@pytest.mark.slow
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
def test_plain_keras_saves_a_built_loss_without_its_weights(name, tmp_path):
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


# --- In a new process


# One import, as the documentation says; no loss, layer or schedule has been imported before it.
FRESH = """
import json, sys
import keras, numpy as np
from retrieval import RankingModel

data = np.load(sys.argv[1])
found = {}
for path in sys.argv[2:]:
    model = keras.models.load_model(path)
    assert type(model) is RankingModel
    options = {"batch_size": 16, "epochs": 3, "verbose": 0, "shuffle": False}
    found[path] = model.fit(data["images"], data["labels"], **options).history["loss"]
print(json.dumps(found))
"""
IMAGES = np.random.default_rng(0).normal(size=(16, 4, 4, 2)).astype("float32")
# Written by version 0.1.0, whose modules and options had other names, after three steps; and the
# losses of the three steps that it took next.
OLD_FILES = {
    "soft_triple.keras": [14.64303971, 12.24373532, 10.76213360],
    "contrastive_loss.keras": [0.72463107, 0.72392762, 0.72282421],
}
SAVED = {
    "proxies": ("proxy_anchor", {}),
    "a cross-batch memory": ("circle", {"cross_batch_memory": {"size": 20, "start": 1}}),
}


@pytest.fixture(scope="module")
def trained_further(tmp_path_factory):
    """Save models and train them on, here and in a new process: name -> both series of losses."""
    folder = tmp_path_factory.mktemp("models")
    np.savez(folder / "data.npz", images=IMAGES, labels=LABELS)
    wanted = {str(Path(__file__).parent / "model_files" / k): v for k, v in OLD_FILES.items()}
    for name, options in SAVED.values():
        keras.utils.set_random_seed(0)
        loss = get_loss(name, **options)
        loss.build(4, 3)
        layers = [GeMPooling(), keras.layers.Dense(3), L2Normalize()]
        model = RankingModel(keras.Sequential([keras.Input((4, 4, 2)), *layers]), loss)
        rate = build_schedule("cosine", 0.01, 20, warmup_steps=5)
        model.compile(build_optimizer("adamw", rate, weight_decay=0.01, clip_norm=1.0))
        options = {"batch_size": 16, "epochs": 3, "verbose": 0, "shuffle": False}
        model.fit(IMAGES, LABELS, **options)
        path = str(folder / f"{name}.keras")
        model.save(path)
        wanted[path] = model.fit(IMAGES, LABELS, **options).history["loss"]
    command = [sys.executable, "-c", FRESH, str(folder / "data.npz"), *wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    return {Path(path).stem: (wanted[path], found[path]) for path in wanted}


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, _ in SAVED.values()], ids=SAVED)
def test_a_new_process_loads_the_model_after_importing_its_class_alone(trained_further, name):
    wanted, found = trained_further[name]
    assert found == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("file", OLD_FILES)
def test_a_model_file_of_version_0_1_0_is_loaded_and_trains_on(trained_further, file):
    wanted, found = trained_further[Path(file).stem]
    assert found == pytest.approx(wanted, rel=1e-3)
