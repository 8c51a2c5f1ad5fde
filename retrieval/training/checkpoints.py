"""Checkpoints of a run in training, which survive ``kill -9`` at any moment.

``checkpoints/step-000500/`` holds ``model.weights.h5`` (Keras' weights of the network; with LoRA
what was trained, see :mod:`retrieval.models.lora`),
``state.npz`` (optimizer, loss and random number generators) and ``checkpoint.json`` (the step, its
score, whether its evaluation is still to come, and the checksums of both files; version 0.1.0 wrote
none). ``checkpoints/index.json`` names
the latest and the best step. A checkpoint is published as a whole, so that none is ever incomplete,
and checked when it is read.

While a run is in training, the checkpoint before the latest is kept as well: if a disk damages the
latest one, the run can go on from there.
"""

import contextlib
import json
import shlex
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from retrieval.errors import UserError
from retrieval.files import (
    TEMPORARY,
    atomic_folder,
    checksum,
    remove,
    remove_temporaries,
    replace_folder,
    write_json,
)
from retrieval.models.lora import has_lora, load_weights, save_weights, trained_weights
from retrieval.runs.places import final_path
from retrieval.training.model import RankingModel

INDEX, RECORD = "index.json", "checkpoint.json"
WEIGHTS, STATE = "model.weights.h5", "state.npz"
KEPT = 3  # checkpoints of a run in training: the latest, the one before it, and the best
FROM_THE_START = "0"  # the choice of no checkpoint at all


class DamagedCheckpoint(UserError):
    """A file of a checkpoint is missing, damaged, or of another step or network."""


def read_index(folder: Path) -> dict[str, Any]:
    """Return ``{"latest": step, "best": step, "best_value": float}``; empty without checkpoints.

    Raises:
        DamagedCheckpoint: The file cannot be read as such a mapping.
    """
    path = folder / INDEX
    if not path.exists():
        # One checkpoint may be there: the first, if the process was killed before it wrote the
        # index.
        if len(found := list_steps(folder)) > 1:
            raise DamagedCheckpoint(f"{path}: missing, but there is {found[-1].name}")
        return {}
    with _naming(path):
        index = dict(json.loads(path.read_text(encoding="utf-8")))
        if type(index["latest"]) is not int:
            raise ValueError("it names no latest step")
        if "best" in index:
            index |= {"best": int(index["best"]), "best_value": float(index["best_value"])}
        return index


def rebuilt_index(folder: Path) -> dict[str, Any]:
    """Return the index, or what the undamaged checkpoints say about themselves if it is damaged.

    Args:
        folder: The run's ``checkpoints`` folder.

    Returns:
        See :func:`read_index`.

    Raises:
        DamagedCheckpoint: The index is damaged, and so are all checkpoints.
    """
    try:
        return read_index(folder)
    except DamagedCheckpoint:
        whole = _whole_steps(folder)
        if not whole:
            raise
        return {"latest": whole[-1]} | _best_of(folder, whole)


def step_folder(folder: Path, step: int) -> Path:
    """Return the folder of the checkpoint after ``step`` steps."""
    return folder / f"step-{step:06d}"


def save_checkpoint(
    folder: Path,
    model: RankingModel,
    step: int,
    score: float | None = None,
    *,
    unevaluated: bool = False,
) -> None:
    """Save everything needed to continue training; delete all but :data:`KEPT` checkpoints.

    A checkpoint of the same step, which was saved before its evaluation, is replaced.

    Args:
        folder: The run's ``checkpoints`` folder.
        model: The model in training, with its optimizer.
        step: Number of steps taken so far.
        score: Monitored metric, higher is better. Defaults to None, not evaluated.
        unevaluated: Whether the training was stopped before what comes at the end of an interval,
            which the resumed run then begins with. Defaults to False.
    """
    _remove_incomplete(folder)
    index = read_index(folder)
    final = step_folder(folder, step)
    again = index.get("latest") == step
    target = folder / f"{TEMPORARY}{final.name}" if again else final
    remove(target)  # of a process that was killed before it could add it to the index
    with atomic_folder(target) as temporary:
        save_weights(model.network, temporary / WEIGHTS)
        state: dict[str, Any] = {k: np.asarray(v) for k, v in _state_variables(model).items()}
        np.savez(temporary / STATE, **state)
        sums = {name: checksum([temporary / name]) for name in (WEIGHTS, STATE)}
        known = None if score is None or np.isnan(score) else float(score)
        record = {"step": step, "score": known, "unevaluated": unevaluated, "crc32": sums}
        write_json(temporary / RECORD, record)
    if again:
        replace_folder(target, final, folder / f"{TEMPORARY}old-{final.name}")
        earlier = [each for each in map(_step_of, list_steps(folder)) if each < step]
        previous = max(earlier, default=None)
    else:
        previous = index.get("latest")
    index |= {"latest": step}
    if score is not None and score > index.get("best_value", -np.inf):
        index |= {"best": step, "best_value": float(score)}
    write_json(folder / INDEX, index)
    _remove_others(folder, {step, previous, index.get("best")})


def remove_superseded(folder: Path) -> None:
    """Remove all checkpoints of a trained run but the latest and the best.

    Args:
        folder: The run's ``checkpoints`` folder, which need not exist.
    """
    index = read_index(folder)
    if index:
        _remove_others(folder, {index["latest"], index.get("best")})


def restore_checkpoint(folder: Path, model: RankingModel, which: str = "latest") -> int:
    """Load a checkpoint into the model, its optimizer and its loss.

    A checkpoint that a killed process did not finish is removed; it would be published with the
    run otherwise.

    Args:
        folder: The run's ``checkpoints`` folder.
        model: A model of the same settings, with its optimizer built.
        which: ``latest``, ``best``, or a step. Training goes on from there, so that later
            checkpoints are removed; with ``0``, all of them are. Defaults to ``latest``.

    Returns:
        The number of steps already taken; 0 if there is no checkpoint.

    Raises:
        DamagedCheckpoint: A file of the checkpoint is damaged, or does not fit the model. Names the
            file, and a checkpoint to continue from.
    """
    _remove_incomplete(folder)
    with _offering(folder):
        if which == FROM_THE_START:
            remove(folder)
            return 0
        step = _chosen(folder, which)
        if step is None:
            return 0
        source = step_folder(folder, step)
        check_checkpoint(source)
        with _naming(source / WEIGHTS):
            load_weights(model.network, source / WEIGHTS)
        with _naming(source / STATE):
            _restore_state(source / STATE, model)
        if which != "latest":
            _go_back(folder, step)
    return step


def choose_checkpoint(folder: Path, which: str) -> None:
    """Make a checkpoint the one that training continues from, without loading it.

    Args:
        folder: The run's ``checkpoints`` folder.
        which: ``latest``, ``best``, or a step, see :func:`restore_checkpoint`. Later ones are
            removed; with ``0``, all of them are.

    Raises:
        DamagedCheckpoint: A file of the checkpoint is damaged.
        UserError: There is no such checkpoint.
    """
    if which == FROM_THE_START:
        remove(folder)
    elif which != "latest":
        with _offering(folder):
            step = _chosen(folder, which)
            assert step is not None  # only the latest may be missing
            check_checkpoint(step_folder(folder, step))
            _go_back(folder, step)


def is_unevaluated(folder: Path, step: int) -> bool:
    """Tell whether a run was stopped after a step that ends an interval, and before its evaluation.

    Args:
        folder: The run's ``checkpoints`` folder.
        step: Step of a checkpoint.
    """
    return bool(_record(step_folder(folder, step)).get("unevaluated"))


def _restore_state(path: Path, model: RankingModel) -> None:
    variables = _state_variables(model)
    with np.load(path) as file:
        state = _renamed_seeds(dict(file), variables)
    if len(state) != len(variables):
        raise DamagedCheckpoint(
            f"{path} holds {len(state)} arrays, the model needs {len(variables)}: was it written "
            "with other settings?"
        )
    for key, variable in variables.items():
        if state[key].shape != tuple(variable.shape):
            raise ValueError(f"{key} is {state[key].shape}, the model needs {variable.shape}")
        variable.assign(state[key])


def _go_back(folder: Path, step: int) -> None:
    """Make a step the latest one, without the checkpoints that were saved after it."""
    with contextlib.suppress(DamagedCheckpoint):
        index = read_index(folder)
        best = index.get("best", step + 1)
        if best <= step and (best == step or _is_whole(folder, best)):
            write_json(folder / INDEX, index | {"latest": step})
            _remove_others(folder, {step, best})
            return
    best_one = _best_of(folder, [s for s in _whole_steps(folder) if s <= step])
    write_json(folder / INDEX, {"latest": step} | best_one)
    _remove_others(folder, {step, best_one.get("best")})


def _best_of(folder: Path, steps: list[int]) -> dict[str, Any]:
    """Return the entries of the index for the best of some undamaged checkpoints, if any is."""
    scores = {step: _record(step_folder(folder, step)).get("score") for step in steps}
    known = {step: score for step, score in scores.items() if score is not None}
    if not known:
        return {}
    best = max(known, key=lambda step: known[step])  # of equal ones, the first
    return {"best": best, "best_value": known[best]}


def load_network(
    folder: Path, network: keras.Model, which: str = "latest", *, rebuild: bool = False
) -> int:
    """Load the weights of a checkpoint into a network that is only to embed.

    Args:
        folder: The run's ``checkpoints`` folder.
        network: A network of the same settings.
        which: ``latest``, ``best`` or a step; without a best checkpoint, the latest is loaded.
            Defaults to ``latest``.
        rebuild: Whether to do without a damaged index; see :func:`rebuilt_index`. Defaults to
            False.

    Returns:
        The step of the checkpoint.

    Raises:
        DamagedCheckpoint: A file of the checkpoint is damaged, or does not fit the network. Names
            the file, and another checkpoint.
        UserError: There is no checkpoint.
    """
    with _offering(folder):
        step = _step_to_load(folder, which, rebuild=rebuild)
        source = step_folder(folder, step)
        with _naming(source / WEIGHTS):
            load_weights(network, source / WEIGHTS)
    return step


def step_to_load(folder: Path, which: str = "latest") -> int:
    """Return the step of the checkpoint that :func:`load_network` loads, whose weights are whole.

    Args:
        folder: The run's ``checkpoints`` folder.
        which: ``latest``, ``best`` or a step; without a best checkpoint, the latest is loaded.
            Defaults to ``latest``.

    Raises:
        DamagedCheckpoint: A file of the checkpoint is damaged. Names it, and another checkpoint.
        UserError: There is no checkpoint.
    """
    with _offering(folder):
        return _step_to_load(folder, which, rebuild=False)


def _step_to_load(folder: Path, which: str, *, rebuild: bool) -> int:
    step = _whole_number(which)
    if step is None:
        index = rebuilt_index(folder) if rebuild else read_index(folder)
        step = index.get(which, index.get("latest"))
    if step is None:
        raise UserError(f"{folder}: no checkpoint; train first with `retrieval train`")
    check_checkpoint(step_folder(folder, step), (WEIGHTS,))
    return step


def kept_step(folder: Path, which: str) -> int:
    """Return the step of a checkpoint that a user asked for.

    Args:
        folder: The ``checkpoints`` folder of a trained run.
        which: ``latest``, ``best`` or a step.

    Raises:
        DamagedCheckpoint: The index is damaged, and so are all checkpoints.
        UserError: There is no such checkpoint; names those that are kept.
    """
    kept = [_step_of(path) for path in list_steps(folder)]
    if not kept:
        raise UserError(f"{folder}: no checkpoint; train first with `retrieval train`")
    index = rebuilt_index(folder)
    step = index.get(which) if which in ("latest", "best") else _whole_number(which)
    if step not in kept:
        names = [name for name in ("latest", "best") if name in index]
        raise UserError(
            f"--checkpoint {which}: {folder} has no such checkpoint; give one of "
            f"{', '.join([*names, *map(str, kept)])}"
        )
    return step


def _chosen(folder: Path, which: str) -> int | None:
    """Return the step of the checkpoint that is meant; None if there is none at all."""
    if which == "latest":
        return read_index(folder).get("latest")
    found = [_step_of(path) for path in list_steps(folder)]
    step = rebuilt_index(folder).get("best") if which == "best" else _whole_number(which)
    if step not in found:
        raise UserError(
            f"--checkpoint {which}: {folder} has no such checkpoint; give one of "
            f"{', '.join(map(str, [FROM_THE_START, *found]))}"
        )
    return step


def _whole_number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else None


def check_checkpoint(path: Path, names: tuple[str, ...] = (WEIGHTS, STATE)) -> None:
    """Check that the files of a checkpoint are there and are what was written.

    Args:
        path: The checkpoint's folder, ``step-000500``.
        names: The files to check. Defaults to all.

    Raises:
        DamagedCheckpoint: Names the first file that is missing or damaged.
    """
    for name in names:
        if not (path / name).is_file():
            raise DamagedCheckpoint(f"{path / name}: missing")
    recorded = _record(path)
    if not recorded:
        for name in names:
            with _naming(path / name):
                READERS[name](path / name)
        return
    if recorded["step"] != _step_of(path):
        raise DamagedCheckpoint(f"{path}: holds the checkpoint of step {recorded['step']}")
    for name, expected in recorded["crc32"].items():
        if name not in names:
            continue
        if checksum([path / name]) != expected:
            raise DamagedCheckpoint(f"{path / name}: damaged, its checksum is not that recorded")


def _record(path: Path) -> dict[str, Any]:
    """Return what a checkpoint records about itself; nothing if version 0.1.0 wrote it."""
    file = path / RECORD
    if not file.exists():
        return {}
    with _naming(file):
        recorded = dict(json.loads(file.read_text(encoding="utf-8")))
        if not isinstance(recorded["step"], int) or {*recorded["crc32"]} != {WEIGHTS, STATE}:
            raise ValueError("a step or a checksum is missing")
        recorded["score"] = None if recorded["score"] is None else float(recorded["score"])
        return recorded


def _read_weights(path: Path) -> None:
    def read(_: str, each: h5py.HLObject) -> None:
        if isinstance(each, h5py.Dataset):
            each[()]

    with h5py.File(path) as file:
        file.visititems(read)


def _read_state(path: Path) -> None:
    with np.load(path) as file:
        dict(file)


READERS: dict[str, Callable[[Path], None]] = {WEIGHTS: _read_weights, STATE: _read_state}


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn what damaged content raises in the block into one line that names the file."""
    try:
        yield
    except UserError:
        raise
    except (
        OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, IndexError,
        RuntimeError, zipfile.BadZipFile,
    ) as error:  # fmt: skip
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk, not of the content
        words = " ".join(str(error).split())[:150]
        raise DamagedCheckpoint(f"{path}: damaged, or of another network ({words})") from error


@contextlib.contextmanager
def _offering(folder: Path) -> Iterator[None]:
    """Add to the error of a damaged checkpoint which other one can be taken, and how."""
    try:
        yield
    except DamagedCheckpoint as error:
        run, whole = final_path(folder.parent), _whole_steps(folder)
        typed = shlex.quote(str(run))
        if run != folder.parent:  # interrupted
            taken = whole[-1] if whole else FROM_THE_START
            what = f"the checkpoint of step {taken}, which is whole," if whole else "the first step"
            fix = (
                f"continue from {what} with `retrieval train --resume {typed} --checkpoint {taken}`"
            )
        elif whole:
            latest = whole[-1] == _step_of(list_steps(folder)[-1])
            word = "latest" if latest else "best"
            command = f"retrieval embed {typed} --checkpoint {word}"
            fix = f"the {word} one is whole: take it with `{command}`"
        else:
            fix = "no other checkpoint is whole: train the run again with --overwrite"
        raise DamagedCheckpoint(f"{error}; {fix}") from error


def _whole_steps(folder: Path) -> list[int]:
    return [step for step in map(_step_of, list_steps(folder)) if _is_whole(folder, step)]


def _is_whole(folder: Path, step: int) -> bool:
    try:
        check_checkpoint(step_folder(folder, step))
    except DamagedCheckpoint:
        return False
    return True


def list_steps(folder: Path) -> list[Path]:
    """Return the folders of all checkpoints, the latest step last.

    Args:
        folder: The run's ``checkpoints`` folder, which need not exist.
    """
    named = [path for path in folder.glob("step-*") if path.name[len("step-") :].isdecimal()]
    return sorted(named, key=_step_of)


def _step_of(path: Path) -> int:
    return int(path.name.removeprefix("step-"))


def _remove_others(folder: Path, kept: set[int | None]) -> None:
    for path in list_steps(folder):
        if _step_of(path) not in kept:
            remove(path)


def _remove_incomplete(folder: Path) -> None:
    remove_temporaries(folder)
    for left in folder.glob(".writing-*"):  # of version 0.1.0
        remove(left)


def checkpoint_bytes(model: RankingModel) -> int:
    """Return the size of a checkpoint of a model on the disk, in bytes."""
    network = model.network
    weights = trained_weights(network) if has_lora(network) else network.weights
    variables = [*weights, *_state_variables(model).values()]
    return sum(4 * int(np.prod(variable.shape)) for variable in variables)


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
