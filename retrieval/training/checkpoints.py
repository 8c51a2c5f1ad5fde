"""Checkpoints that survive ``kill -9``: written whole under a new name, then pointed to.

``checkpoints/step-000500/`` holds ``model.weights.h5`` (Keras) and ``state.npz`` (optimizer and
loss variables); ``checkpoints/index.json`` names the latest and the best step.
"""

import json
import os
import shutil
from pathlib import Path

import keras
import numpy as np

from retrieval.errors import UserError
from retrieval.files import write_json
from retrieval.training.model import RankingModel


def read_index(folder: Path) -> dict:
    """Return ``{"latest": step, "best": step, "best_value": float}``, empty before the first."""
    path = folder / "index.json"
    return json.loads(path.read_text()) if path.exists() else {}


def step_folder(folder: Path, step: int) -> Path:
    """Return the folder of the checkpoint taken after ``step`` steps."""
    return folder / f"step-{step:06d}"


def save_checkpoint(
    folder: Path, model: RankingModel, step: int, score: float | None = None
) -> None:
    """Save everything needed to continue after ``step`` steps; keep the latest and the best.

    Args:
        folder: The run's ``checkpoints`` folder.
        model: The model in training, with its optimizer.
        step: Steps taken so far.
        score: In-training evaluation (higher is better), or None if not evaluated here.
    """
    final = step_folder(folder, step)
    temporary = folder / f".writing-{os.getpid()}"
    _remove_unfinished(folder)
    temporary.mkdir(parents=True)
    model.network.save_weights(temporary / "model.weights.h5")
    np.savez(temporary / "state.npz", **_state_arrays(model))
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

    What a killed process was writing is removed: it would be published with the run.

    Returns:
        The number of steps already taken; 0 if there is no checkpoint.

    Raises:
        UserError: The checkpoint does not fit the model.
    """
    _remove_unfinished(folder)
    step = read_index(folder).get("latest")
    if step is None:
        return 0
    source = step_folder(folder, step)
    model.network.load_weights(source / "model.weights.h5")
    with np.load(source / "state.npz") as arrays:
        variables = _state_variables(model)
        if len(arrays.files) != len(variables):
            raise UserError(
                f"{source}/state.npz holds {len(arrays.files)} arrays, the model needs "
                f"{len(variables)}: was it written with other settings?"
            )
        for key, variable in variables.items():
            variable.assign(arrays[key])
    return step


def _remove_unfinished(folder: Path) -> None:
    for left in folder.glob(".writing-*"):
        shutil.rmtree(left, ignore_errors=True)


def load_network(folder: Path, network: keras.Model, which: str = "latest") -> int:
    """Load the ``latest`` or ``best`` weights into a network that is only to embed.

    Returns:
        The step the weights were saved at.

    Raises:
        UserError: There is no checkpoint.
    """
    index = read_index(folder)
    step = index.get(which, index.get("latest"))
    if step is None:
        raise UserError(f"{folder}: no checkpoint; train first with `retrieval train`")
    network.load_weights(step_folder(folder, step) / "model.weights.h5")
    return step


def _state_variables(model: RankingModel) -> dict:
    groups = {
        "optimizer": model.optimizer.variables,
        "loss": model.loss_weights,
        "loss_state": model.loss_state,
        # Dropout and random layers: their seed generators move on with every step.
        "seeds": [v for layer in model.network._flatten_layers() for v in _seed_states(layer)],
    }
    return {f"{group}/{i}": v for group, vs in groups.items() for i, v in enumerate(vs)}


def _seed_states(layer: keras.Layer) -> list:
    return [g.state for g in getattr(layer, "_seed_generators", [])]


def _state_arrays(model: RankingModel) -> dict[str, np.ndarray]:
    return {key: np.asarray(v) for key, v in _state_variables(model).items()}
