"""Checkpoints: incomplete ones are removed, and restored ones continue as if not interrupted."""

import keras
import numpy as np
import pytest

from retrieval import RankingModel
from retrieval.training.checkpoints import restore_checkpoint, save_checkpoint


@pytest.fixture
def model():
    """A network of one layer, ready for its first step."""
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model = RankingModel(network, "hard_triplet")
    model.compile(optimizer="sgd")
    model.optimizer.build(network.trainable_variables)
    return model


@pytest.fixture
def half_written(tmp_path):
    """A checkpoint that another process was writing when it was killed."""
    left = tmp_path / ".writing-1"
    left.mkdir()
    (left / "model.weights.h5").write_bytes(b"half")
    return left


def test_an_incomplete_checkpoint_is_removed_before_training_continues(
    model, tmp_path, half_written
):
    assert restore_checkpoint(tmp_path, model) == 0
    assert not half_written.exists()


def test_only_complete_checkpoints_are_left_after_one_is_saved(model, tmp_path, half_written):
    save_checkpoint(tmp_path, model, 3)
    assert {path.name for path in tmp_path.iterdir()} == {"step-000003", "index.json"}
    assert restore_checkpoint(tmp_path, model) == 3


def with_dropout():
    """A model with three random layers, two of them in a nested model."""
    keras.utils.set_random_seed(3)
    inner = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dropout(0.1), keras.layers.Dropout(0.2)]
    )
    layers = [keras.Input((2,)), inner, keras.layers.Dense(2), keras.layers.Dropout(0.3)]
    model = RankingModel(keras.Sequential(layers), "hard_triplet")
    model.compile(optimizer="sgd")
    model.optimizer.build(model.trainable_variables)
    return model


def seeds_of(model):
    weights = {id(weight) for weight in model.network.weights}
    return [np.array(v) for v in model.network.variables if id(v) not in weights]


def test_random_layers_continue_their_random_numbers(tmp_path):
    model = with_dropout()
    for _ in range(3):
        model.network(np.ones((4, 2), np.float32), training=True)
    save_checkpoint(tmp_path, model, 3)
    again = with_dropout()
    assert len(seeds_of(again)) == 3
    restore_checkpoint(tmp_path, again)
    np.testing.assert_array_equal(seeds_of(again), seeds_of(model))


def test_seeds_saved_by_version_0_1_0_in_another_order_are_restored(tmp_path):
    model = with_dropout()
    for _ in range(3):
        model.network(np.ones((4, 2), np.float32), training=True)
    save_checkpoint(tmp_path, model, 3)
    path = tmp_path / "step-000003" / "state.npz"
    with np.load(path) as file:
        state = dict(file)
    order = (1, 0, 2)
    state |= {f"seeds/{order[i]}": state.pop(f"random/{i}") for i in range(3)}
    np.savez(path, **state)
    path.with_name("checkpoint.json").unlink()  # that version recorded no checksums
    again = with_dropout()
    restore_checkpoint(tmp_path, again)
    np.testing.assert_array_equal(seeds_of(again), seeds_of(model))
