"""Checkpoints of a run in training, which survive ``kill -9`` at any moment.

``checkpoints/step-000500/`` holds ``model.weights.h5`` (Keras' weights of the network) and
``state.npz`` (optimizer, loss and random number generators). ``checkpoints/index.json`` names the
latest and the best step. A checkpoint is written under a temporary name and then renamed, so that
none is ever incomplete.
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from retrieval.errors import UserError
from retrieval.files import write_json
from retrieval.training.model import RankingModel


def read_index(folder: Path) -> dict:
    """Return ``{"latest": step, "best": step, "best_value": float}``; empty without checkpoints."""
    path = folder / "index.json"
    return json.loads(path.read_text()) if path.exists() else {}


def step_folder(folder: Path, step: int) -> Path:
    """Return the folder of the checkpoint after ``step`` steps."""
    return folder / f"step-{step:06d}"


def save_checkpoint(
    folder: Path, model: RankingModel, step: int, score: float | None = None
) -> None:
    """Save everything needed to continue training; delete all but the latest and the best.

    Args:
        folder: The run's ``checkpoints`` folder.
        model: The model in training, with its optimizer.
        step: Number of steps taken so far.
        score: Monitored metric, higher is better. Defaults to None, not evaluated.
    """
    final = step_folder(folder, step)
    temporary = folder / f".writing-{os.getpid()}"
    _remove_incomplete(folder)
    temporary.mkdir(parents=True)
    model.network.save_weights(temporary / "model.weights.h5")
    state: dict[str, Any] = {k: np.asarray(v) for k, v in _state_variables(model).items()}
    np.savez(temporary / "state.npz", **state)
    shutil.rmtree(final, ignore_errors=True)
    os.replace(temporary, final)
    index = read_index(folder) | {"latest": step}
    if score is not None and score > index.get("best_value", -np.inf):
        index |= {"best": step, "best_value": float(score)}
    write_json(folder / "index.json", index)
    keep = {step_folder(folder, s) for s in (index["latest"], index.get("best")) if s is not None}
    for old in set(folder.glob("step-*")) - keep:
        shutil.rmtree(old, ignore_errors=True)


def restore_checkpoint(folder: Path, model: RankingModel) -> int:
    """Load the latest checkpoint into the model, its optimizer and its loss.

    A checkpoint that a killed process did not finish is removed; it would be published with the
    run otherwise.

    Args:
        folder: The run's ``checkpoints`` folder.
        model: A model of the same settings, with its optimizer built.

    Returns:
        The number of steps already taken; 0 if there is no checkpoint.

    Raises:
        UserError: The checkpoint does not fit the model.
    """
    _remove_incomplete(folder)
    step = read_index(folder).get("latest")
    if step is None:
        return 0
    source = step_folder(folder, step)
    model.network.load_weights(source / "model.weights.h5")
    variables = _state_variables(model)
    with np.load(source / "state.npz") as file:
        state = _renamed_seeds(dict(file), variables)
    if len(state) != len(variables):
        raise UserError(
            f"{source}/state.npz holds {len(state)} arrays, the model needs {len(variables)}: was "
            "it written with other settings?"
        )
    for key, variable in variables.items():
        variable.assign(state[key])
    return step


def load_network(folder: Path, network: keras.Model, which: str = "latest") -> int:
    """Load the weights of a checkpoint into a network that is only to embed.

    Args:
        folder: The run's ``checkpoints`` folder.
        network: A network of the same settings.
        which: ``latest`` or ``best``; without a best checkpoint, the latest is loaded. Defaults to
            ``latest``.

    Returns:
        The step of the checkpoint.

    Raises:
        UserError: There is no checkpoint.
    """
    index = read_index(folder)
    step = index.get(which, index.get("latest"))
    if step is None:
        raise UserError(f"{folder}: no checkpoint; train first with `retrieval train`")
    network.load_weights(step_folder(folder, step) / "model.weights.h5")
    return step


def _remove_incomplete(folder: Path) -> None:
    for left in folder.glob(".writing-*"):
        shutil.rmtree(left, ignore_errors=True)


def _state_variables(model: RankingModel) -> dict[str, keras.Variable]:
    """Return the variables that the network's weights do not include, by their keys in the file."""
    weights = {id(weight) for weight in model.network.weights}
    groups = {
        "optimizer": model.optimizer.variables,
        "loss": model.loss_weights,
        "loss_state": model.loss_state,
        # Seeds of dropout and other random layers, which advance with every step and which Keras
        # does not save with the weights (keras-team/keras#19796).
        "random": [v for v in model.network.variables if id(v) not in weights],
    }
    return {f"{group}/{i}": v for group, vs in groups.items() for i, v in enumerate(vs)}


def _renamed_seeds(
    state: dict[str, np.ndarray], variables: Mapping[str, keras.Variable]
) -> dict[str, np.ndarray]:
    """Rename the seeds of a checkpoint of version 0.1.0, which listed them in another order.

    A seed's state is the seed itself and a counter of its draws. The seed is the same in a model of
    the same settings, so that it tells which generator a state belongs to.
    """
    old = {int(array[0]): array for key, array in state.items() if key.startswith("seeds/")}
    renamed = {key: array for key, array in state.items() if not key.startswith("seeds/")}
    for key, variable in variables.items():
        seed = int(np.ravel(np.asarray(variable))[0]) if key.startswith("random/") else None
        if seed in old:
            renamed[key] = old[seed]
    return renamed
