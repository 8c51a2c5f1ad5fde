"""What a killed process left half written is not kept."""

import keras
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


def test_what_a_killed_process_was_writing_goes_before_training_goes_on(
    model, tmp_path, half_written
):
    assert restore_checkpoint(tmp_path, model) == 0
    assert not half_written.exists()


def test_only_whole_checkpoints_are_left_after_one_is_saved(model, tmp_path, half_written):
    save_checkpoint(tmp_path, model, 3)
    assert {path.name for path in tmp_path.iterdir()} == {"step-000003", "index.json"}
    assert restore_checkpoint(tmp_path, model) == 3
