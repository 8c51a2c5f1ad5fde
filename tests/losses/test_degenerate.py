"""No batch makes a loss NaN or infinite, in value or gradient; no valid tuple means 0."""

import numpy as np
import pytest

from retrieval.losses import LOSSES
from tests.losses.helpers import built, value_and_gradients

SIZE = 4
PAIRS = np.repeat(np.arange(4), 2)
RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(8, SIZE)).astype(np.float32)

# What a loss needs before it has anything to say about a batch.
NEEDS_ONE_ITEM = {name for name, entry in LOSSES.items() if entry.needs_classes}
NEEDS_ANY_PAIR = {"contrastive_loss", "ranked_list"}
NEEDS_POSITIVE_PAIR = {"supervised_contrastive"}

BATCHES = {
    "all duplicates": (PAIRS, np.ones((8, SIZE))),
    "duplicates across labels": (PAIRS, np.repeat(POINTS[:4], 2, axis=0)[[0, 2, 1, 3, 4, 6, 5, 7]]),
    "duplicates within labels": (PAIRS, np.repeat(POINTS[:4], 2, axis=0)),
    "duplicates far from the origin": (PAIRS, 1000 + np.repeat(POINTS[:4], 2, axis=0)),
    "opposite points": (PAIRS, np.tile([[1, 0, 0, 0], [-1, 0, 0, 0]], (4, 1))),
    "zero vectors": (PAIRS, np.zeros((8, SIZE))),
    "one zero vector": (PAIRS, POINTS * (np.arange(8) != 2)[:, None]),
    "one class": (np.zeros(8, int), POINTS),
    "all singletons": (np.arange(8), POINTS),
    "one item": (PAIRS[:1], POINTS[:1]),
    "two items of one class": (PAIRS[:2], POINTS[:2]),
    "two items of two classes": (PAIRS[1:3], POINTS[1:3]),
    "three items": (PAIRS[:3], POINTS[:3]),
    "norm 1e4": (PAIRS, POINTS * 1e4),
    "norm 1e18": (PAIRS, POINTS * 1e18),
    "largest float32": (PAIRS, np.sign(POINTS) * np.finfo(np.float32).max),
    "norm 1e-10": (PAIRS, POINTS * 1e-10),
    "norm 1e-30": (PAIRS, POINTS * 1e-30),
    "huge beside tiny": (PAIRS, POINTS * np.array([1e15, 1e-15] * 4)[:, None]),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("batch", BATCHES)
def test_value_and_gradients_are_finite(name, batch):
    labels, x = BATCHES[batch]
    value, gradients = value_and_gradients(built(name), labels, x.astype(np.float32))
    assert value.shape == ()
    assert np.isfinite(value)
    assert gradients[0].shape == x.shape
    assert all(np.isfinite(g).all() for g in gradients)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_any_float_dtype_is_computed_in_float32(name, dtype):
    x = POINTS.astype(dtype)
    value, gradients = value_and_gradients(built(name), PAIRS, x)
    wanted, _ = value_and_gradients(built(name), PAIRS, x.astype(np.float32))
    assert value.dtype == np.float32
    assert value == wanted
    assert gradients[0].dtype == dtype
    assert all(np.isfinite(g).all() for g in gradients)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("labels", [[], [0], [0, 1, 2, 3, 4, 5, 6, 7], [0] * 8], ids=str)
def test_no_valid_tuple_gives_zero_and_a_zero_gradient(name, labels):
    # No loss here gets both a positive and a negative pair; a few need less.
    has_tuple = (
        (name in NEEDS_ONE_ITEM and len(labels) >= 1)
        or (name in NEEDS_ANY_PAIR and len(labels) >= 2)
        or (name in NEEDS_POSITIVE_PAIR and labels == [0] * 8)
    )
    x = 0.4 * POINTS[: len(labels)]
    value, gradients = value_and_gradients(built(name), np.array(labels, int), x)
    assert (value != 0) == has_tuple
    if not has_tuple:
        assert all((g == 0).all() for g in gradients)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_diverged_embedding_shows_in_the_loss_and_moves_no_weight(name, bad):
    x = POINTS.copy()
    x[3, 1] = bad
    value, gradients = value_and_gradients(built(name), PAIRS, x)
    assert np.isnan(value)
    assert all((g == 0).all() for g in gradients)
