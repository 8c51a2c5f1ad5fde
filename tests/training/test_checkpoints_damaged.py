"""A damaged checkpoint is named in one line, which offers another one that is whole."""

import json
import shutil

import keras
import numpy as np
import pytest

from retrieval import RankingModel
from retrieval.errors import UserError
from retrieval.training.checkpoints import (
    DamagedCheckpoint,
    load_network,
    read_index,
    rebuilt_index,
    remove_superseded,
    restore_checkpoint,
    save_checkpoint,
)


def new_model(width=2):
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(width)])
    model = RankingModel(network, "hard_triplet")
    model.compile(optimizer=keras.optimizers.SGD(0.1, momentum=0.9))
    model.optimizer.build(network.trainable_variables)
    return model


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Checkpoints of an interrupted run: the best, the one before the latest, and the latest."""
    folder = tmp_path_factory.mktemp("runs") / "folder" / ".run.partial" / "checkpoints"
    model = new_model()
    for step, score in ((1, 0.2), (2, 0.9), (3, 0.5), (4, 0.6)):
        model.network.layers[0].bias.assign([step, step])
        model.optimizer.iterations.assign(step)
        save_checkpoint(folder, model, step, score)
    return folder


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made, tmp_path / "runs" / "folder" / ".run.partial" / "checkpoints")


def bias(model) -> float:
    return float(np.array(model.network.layers[0].bias)[0])


def test_the_best_the_latest_and_the_one_before_it_are_kept_until_the_run_is_published(folder):
    assert sorted(p.name for p in folder.glob("step-*")) == [
        "step-000002", "step-000003", "step-000004"
    ]  # fmt: skip
    remove_superseded(folder)
    assert sorted(p.name for p in folder.glob("step-*")) == ["step-000002", "step-000004"]


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def swap(path):
    other = path.parent.parent / "step-000002" / path.name
    shutil.copy(other, path)


LATEST = "step-000004"
DAMAGES = {
    "weights cut": lambda f: cut(f / LATEST / "model.weights.h5"),
    "weights empty": lambda f: (f / LATEST / "model.weights.h5").write_bytes(b""),
    "weights flipped": lambda f: flip(f / LATEST / "model.weights.h5"),
    "weights of another step": lambda f: swap(f / LATEST / "model.weights.h5"),
    "state cut": lambda f: cut(f / LATEST / "state.npz"),
    "state flipped": lambda f: flip(f / LATEST / "state.npz"),
    "state of another step": lambda f: swap(f / LATEST / "state.npz"),
    "state missing": lambda f: (f / LATEST / "state.npz").unlink(),
    "step missing": lambda f: shutil.rmtree(f / LATEST),
    "step of another": lambda f: (shutil.rmtree(f / LATEST),
                                  shutil.copytree(f / "step-000002", f / LATEST)),
    "record cut": lambda f: cut(f / LATEST / "checkpoint.json"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_latest_checkpoint_is_named_and_the_one_before_it_is_taken(folder, damage):
    damage(folder)
    model = new_model()
    with pytest.raises(DamagedCheckpoint) as caught:
        restore_checkpoint(folder, model)
    line = str(caught.value)
    assert "\n" not in line
    assert str(folder / LATEST) in line
    run = folder.parents[1] / "run"
    assert f"`retrieval train --resume {run} --checkpoint 3`" in line
    assert restore_checkpoint(folder, model, "3") == 3
    assert bias(model) == 3
    # From now on, it is the latest one, and the best is as good as it was.
    assert read_index(folder) == {"latest": 3, "best": 2, "best_value": 0.9}
    assert not (folder / LATEST).exists()
    assert restore_checkpoint(folder, model) == 3


@pytest.mark.parametrize("text", ["{", "", "[]", "null", '{"best": 2}', '{"latest": "x"}', b"\xff"])
def test_a_damaged_index_is_rebuilt_from_the_checkpoints(folder, text):
    whole = read_index(folder)
    (folder / "index.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    model = new_model()
    with pytest.raises(DamagedCheckpoint, match=r"index\.json.*--checkpoint 4`"):
        restore_checkpoint(folder, model)
    assert rebuilt_index(folder) == whole
    assert restore_checkpoint(folder, model, "4") == 4
    assert read_index(folder) == whole


def test_the_best_checkpoint_and_the_start_can_be_taken_too(folder):
    model = new_model()
    assert restore_checkpoint(folder, model, "best") == 2
    assert bias(model) == 2
    assert read_index(folder)["latest"] == 2
    for given in ("7", "3", "-1", "last", "²", "9" * 30):
        with pytest.raises(UserError, match="give one of 0, 2"):
            restore_checkpoint(folder, model, given)
    assert restore_checkpoint(folder, model, "0") == 0
    assert not folder.exists()


def test_without_any_whole_checkpoint_the_start_is_offered(folder):
    for path in folder.glob("step-*/state.npz"):
        cut(path)
    with pytest.raises(DamagedCheckpoint, match="--checkpoint 0`"):
        restore_checkpoint(folder, new_model())


def test_checkpoints_of_another_network_are_refused_in_one_line(folder):
    with pytest.raises(DamagedCheckpoint) as caught:
        restore_checkpoint(folder, new_model(width=3))
    assert "\n" not in str(caught.value)
    assert "model.weights.h5" in str(caught.value)


def test_checkpoints_of_version_0_1_0_are_read_and_damage_that_can_be_seen_is_named(folder):
    for path in folder.glob("step-*/checkpoint.json"):
        path.unlink()
    model = new_model()
    assert restore_checkpoint(folder, model) == 4
    cut(folder / LATEST / "state.npz")
    with pytest.raises(DamagedCheckpoint, match=r"state\.npz.*--checkpoint 3`"):
        restore_checkpoint(folder, model)


def test_a_finished_run_is_embedded_with_its_other_checkpoint(folder, tmp_path):
    finished = tmp_path / "runs" / "folder" / "done" / "checkpoints"
    finished.parent.mkdir()
    folder.rename(finished)
    remove_superseded(finished)
    network = new_model().network
    flip(finished / "step-000002" / "model.weights.h5")
    with pytest.raises(DamagedCheckpoint, match=r"embed .*/done --checkpoint latest`"):
        load_network(finished, network, "best")
    assert load_network(finished, network) == 4
    (finished / "index.json").write_text("{")
    with pytest.raises(DamagedCheckpoint, match=r"index\.json.*--checkpoint latest`"):
        load_network(finished, network)
    assert load_network(finished, network, rebuild=True) == 4
    cut(finished / "step-000004" / "model.weights.h5")
    with pytest.raises(DamagedCheckpoint, match="--overwrite"):
        load_network(finished, network, rebuild=True)


def test_a_kill_before_the_first_index_starts_again(folder, made):
    for path in list(folder.iterdir()):
        if path.name != "step-000002":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    model = new_model()
    assert restore_checkpoint(folder, model) == 0
    save_checkpoint(folder, model, 2)
    assert json.loads((folder / "index.json").read_text()) == {"latest": 2}
