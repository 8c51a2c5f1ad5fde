"""No batch makes a loss NaN or infinite, in value or gradient; no valid tuple means 0."""

import numpy as np
import pytest

from retrieval.losses import LOSSES
from tests.losses.helpers import DEGENERATE, PAIRS, POINTS, built, value_and_gradients


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("batch", DEGENERATE)
def test_value_and_gradients_are_finite(name, batch):
    labels, x = DEGENERATE[batch]
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
    # None of these batches holds a triplet; a few losses need less, which their entry says.
    entry = LOSSES[name]
    smallest = "item" if entry.needs_classes else entry.smallest_tuple
    has_tuple = {
        "item": len(labels) >= 1,
        "pair": len(labels) >= 2,
        "positive_pair": labels == [0] * 8,
        "triplet": False,
    }[smallest]
    x = 0.4 * POINTS[: len(labels)]
    value, gradients = value_and_gradients(built(name), np.array(labels, int), x)
    assert (value != 0) == has_tuple, (
        f"the loss of the labels {labels} is {value}: either it must be 0 where a batch holds no "
        f"{smallest}, or the entry {name} in retrieval/losses/registry.py lacks smallest_tuple"
    )
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
