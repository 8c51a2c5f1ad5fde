"""Cross-batch memory: a queue of earlier embeddings, part of the state that is saved."""

import keras
import numpy as np
import pytest

from retrieval.errors import UserError
from retrieval.losses import get_loss
from retrieval.losses.cross_batch_memory import CrossBatchMemory
from tests.losses.helpers import WRAPPABLE, draws, value_and_gradients

RNG = np.random.default_rng(0)
BATCHES = [(RNG.integers(0, 3, 6), RNG.normal(size=(6, 4)).astype(np.float32)) for _ in range(4)]


def memory(name="contrastive_loss", size=8, start=0, **options):
    loss = get_loss(name, cross_batch_memory={"size": size, "start": start}, **options)
    loss.build(3, 4)
    return loss


@pytest.mark.parametrize("name", [name for name in WRAPPABLE if not draws(name)])
def test_the_loss_against_the_last_rows_is_added(name):
    loss, plain = memory(name), get_loss(name)
    for labels, x in BATCHES[:3]:
        value, (gradient,) = value_and_gradients(loss, labels, x)
    older = [np.concatenate([b[k] for b in BATCHES[:2]])[-8:] for k in (0, 1)]
    labels, x = BATCHES[2]

    def wanted(labels, x):
        return plain(labels, x) + plain.against(labels, x, *older)

    wanted_value, (wanted_gradient,) = value_and_gradients(wanted_loss(wanted), labels, x)
    np.testing.assert_allclose(value, wanted_value, rtol=1e-5)
    np.testing.assert_allclose(gradient, wanted_gradient, rtol=1e-3, atol=1e-5)


def wanted_loss(function):
    function.trainable_variables = []
    return function


def test_against_equals_within_when_the_references_are_the_other_rows():
    # Each anchor alone against all others: what a batch does, row by row.
    labels, x = BATCHES[0]
    for name in ("hard_triplet", "generalized_lifted", "circle"):
        loss = get_loss(name)
        rows = []
        for i in range(6):
            others = np.arange(6) != i
            rows.append(float(loss.against(labels[[i]], x[[i]], labels[others], x[others])))
        valid = [i for i in range(6) if 1 < np.sum(labels == labels[i]) < 6]
        assert float(loss(labels, x)) == pytest.approx(np.mean([rows[i] for i in valid]), rel=1e-4)


def test_the_memory_is_used_after_its_start():
    loss, plain = memory(start=2), get_loss("contrastive_loss")
    for call, (labels, x) in enumerate(BATCHES):
        same = np.isclose(loss(labels, x), plain(labels, x))
        assert same == (call < 2)


def test_keeps_the_last_rows_of_a_batch_larger_than_the_memory():
    loss = memory(size=4)
    loss(*BATCHES[0])
    labels, x = BATCHES[0]
    stored = [np.array(v) for v in loss.non_trainable_variables[:2]]
    assert sorted(map(tuple, stored[0])) == sorted(map(tuple, x[-4:]))
    assert sorted(stored[1]) == sorted(labels[-4:])


def test_an_empty_batch_adds_nothing():
    loss = memory()
    loss(*BATCHES[0])
    before = loss.get_weights()
    assert loss(BATCHES[0][0][:0], BATCHES[0][1][:0]) == 0
    for now, then in zip(loss.get_weights()[:3], before[:3], strict=True):
        np.testing.assert_array_equal(now, then)


def test_set_weights_restores_the_memory():
    first, second = memory(), memory()
    first(*BATCHES[0])
    second.set_weights(first.get_weights())
    assert first(*BATCHES[1]) == second(*BATCHES[1])


def test_margin_loss_keeps_its_boundary_trainable():
    loss = memory("margin_loss")
    loss(*BATCHES[0])
    value, gradients = value_and_gradients(loss, *BATCHES[1])
    assert len(gradients) == 2
    assert np.isfinite(value)
    assert loss.learning_rate_multiplier == 10


def test_fits_in_keras_and_serializes():
    loss = memory("supervised_contrastive", temperature=0.5)
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(4)])
    model.compile("adam", loss=loss)
    labels, x = BATCHES[0]
    history = model.fit(np.tile(x, (4, 1)), np.tile(labels, 4), batch_size=5, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert isinstance(again, CrossBatchMemory)
    assert again.loss.temperature == 0.5
    assert again.size == 8


def test_unbuilt_unfit_losses_and_text_labels_are_refused():
    with pytest.raises(UserError, match="build"):
        get_loss("circle", cross_batch_memory=8)(*BATCHES[0])
    with pytest.raises(UserError, match="pair-based"):
        CrossBatchMemory(get_loss("lifted_loss"))
    with pytest.raises(UserError, match="integer labels"):
        memory()(BATCHES[0][0].astype(str), BATCHES[0][1])
