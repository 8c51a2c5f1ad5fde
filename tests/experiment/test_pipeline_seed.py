"""The same seed gives the same run, whatever was drawn before and whatever is still cached."""

import keras
import numpy as np
import pytest

from retrieval import load_catalog
from retrieval.experiment.pipeline import train
from retrieval.losses import LOSSES, recommended_options
from retrieval.settings.resolve import resolve
from retrieval.training.data import TrainingData
from retrieval.training.embed_test_split import embed_test_split
from retrieval.training.fit import build_ranking_model


@pytest.fixture
def run_of(tiny, tmp_path, monkeypatch):
    """Train and embed without a cache, after other random numbers were drawn."""
    catalog = load_catalog("folder", tiny.data)

    def run(number: int, **changes) -> np.ndarray:
        monkeypatch.setenv("RETRIEVAL_CACHE", str(tmp_path / f"cache {number}"))
        keras.utils.set_random_seed(100 + number)
        settings = tiny.with_(steps=2, eval_every=2, **changes)
        name, options = f"run {number}", {"evaluate": False, "progress": False}
        path = train(settings, runs=tmp_path, name=name, **options)
        embeddings, _ = embed_test_split(path, resolve(settings, catalog), catalog, progress=False)
        return embeddings

    return run


@pytest.mark.parametrize(
    "changes", [{"loss": "none"}, {"freeze_backbone": True}], ids=["untrained", "head only"]
)
def test_random_weights_of_a_frozen_backbone_depend_on_the_seed(run_of, changes):
    first, again = run_of(1, **changes), run_of(2, **changes)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - run_of(3, seed=5, **changes)).max() > 1e-3


@pytest.fixture
def owned_by(tiny):
    """Return what a loss owns before the first step of a run of the head."""
    catalog = load_catalog("folder", tiny.data)
    rows = catalog.split("train")
    data = TrainingData(catalog, rows, None, np.zeros((len(rows), 6), np.float32))

    def owned(loss: str, **changes) -> list[np.ndarray]:
        settings = tiny.with_(loss=loss, freeze_backbone=True, **changes)
        model = build_ranking_model(resolve(settings, catalog), data)
        return [np.array(v) for v in [*model.loss_weights, *model.loss_state]]

    return owned


DRAWN = [name for name in LOSSES if "seed" in recommended_options(name)]


@pytest.mark.parametrize("loss", DRAWN)
def test_a_loss_uses_the_seed_of_the_run_unless_it_is_given_its_own(loss, owned_by):
    options = {"miner": "distance_weighted"} if loss == "mined_triplet" else {}

    def owned(seed: int, /, **own) -> np.ndarray:
        arrays = owned_by(loss, seed=seed, loss_options=options | own)
        return np.concatenate([np.ravel(a) for a in arrays]).astype(np.float64)

    np.testing.assert_array_equal(owned(1), owned(1))
    assert np.abs(owned(1) - owned(2)).max() > 0.1
    np.testing.assert_array_equal(owned(1, seed=5), owned(2, seed=5))
    np.testing.assert_array_equal(owned(5), owned(2, seed=5))


def test_a_loss_with_a_cross_batch_memory_uses_the_seed_of_the_run(owned_by):
    one, other = (owned_by("margin_loss", seed=s, memory_batches=1)[1] for s in (1, 2))
    assert np.abs(one.astype(np.int64) - other).max() > 0
