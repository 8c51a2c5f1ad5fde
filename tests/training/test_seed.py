"""The same seed gives the same run, whatever was drawn before and whatever is still cached."""

import keras
import numpy as np
import pytest

from retrieval.pipeline import train


@pytest.fixture
def run_of(tiny, tmp_path, monkeypatch):
    """Train without a cache, after other random numbers were drawn."""
    monkeypatch.setattr("retrieval.pipeline.finish", lambda *_, **__: None)

    def run(number: int, **changes) -> np.ndarray:
        monkeypatch.setenv("RETRIEVAL_CACHE", str(tmp_path / f"cache {number}"))
        keras.utils.set_random_seed(100 + number)
        settings = tiny.with_(steps=2, eval_every=2, **changes)
        path = train(settings, runs=tmp_path, name=f"run {number}", progress=False)
        return np.load(path / "embeddings.npy")

    return run


@pytest.mark.parametrize(
    "changes", [{"loss": "none"}, {"freeze_backbone": True}], ids=["untrained", "head only"]
)
def test_random_frozen_weights_are_those_of_the_seed(run_of, changes):
    first, again = run_of(1, **changes), run_of(2, **changes)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - run_of(3, seed=5, **changes)).max() > 1e-3
