"""The record of a fair tuning: ``runs/<data set>/.tuning/<name>/tuning.json``.

It says what was searched and with which budget, the classes of the folds, every trial, and which
runs the chosen and the recommended settings were trained as. It is written anew after every
generation of trials, so that a tuning under way can be looked at, and is read here only.
"""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import TypeAdapter, ValidationError

from retrieval.errors import UserError
from retrieval.files import check_folder_name, fingerprint, write_json
from retrieval.settings.identity import what_matters
from retrieval.settings.schema import TrainSettings

SCHEMA = 1
FOLDER, FILE = ".tuning", "tuning.json"
State = Literal["complete", "stopped", "diverged"]
COMPLETE: State = "complete"  # trained on every fold to the last step
STOPPED: State = "stopped"  # early, as others were better at that point
DIVERGED: State = "diverged"  # weights are no longer finite
TUNED, RECOMMENDED = "tuned", "recommended"  # what the runs of a loss are trained with
# Attributes of a tuning that its trials and runs depend on.
PLANNED = ("metric", "seed", "budget", "settings", "spaces", "folds")


@dataclass(frozen=True)
class TrialResult:
    """What a trial came to.

    Attributes:
        state: ``complete``, ``stopped`` or ``diverged``.
        values: For each fold that was begun, the metric at each evaluation.
        steps: Number of training steps, over all folds.
        seconds: Time it took.
    """

    state: State
    values: tuple[tuple[float, ...], ...]
    steps: int
    seconds: float

    @property
    def fold_values(self) -> tuple[float, ...]:
        """The metric of each fold at the end of its training; the last of a stopped one so far."""
        return tuple(each[-1] for each in self.values if each)

    @property
    def value(self) -> float:
        """Mean over the folds; NaN unless the trial is complete."""
        return float(np.mean(self.fold_values)) if self.state == COMPLETE else np.nan

    @property
    def checks(self) -> list[float]:
        """The metric at every evaluation, one fold after the other."""
        return [value for fold in self.values for value in fold]


@dataclass(frozen=True)
class Trial:
    """A point of a loss's search space, and what it came to.

    Attributes:
        number: Place among the trials of its loss; 0 is the recommended point.
        point: Name -> value of everything that is searched.
        result: What it came to.
    """

    number: int
    point: dict[str, Any]
    result: TrialResult


@dataclass(frozen=True)
class Budget:
    """What every loss is given.

    Attributes:
        trials: Trials of each loss.
        folds: Number of folds.
        steps: Training steps of a trial on each fold, and of the runs.
        checks: Evaluations of each fold.
        at_once: Trials of a generation: they are chosen together, before any of them has a result.
        seeds: Seeds that the chosen settings are trained with.
        early_stopping: Whether hopeless trials are stopped.
    """

    trials: int
    folds: int
    steps: int
    checks: int
    at_once: int
    seeds: int
    early_stopping: bool

    @property
    def most_steps(self) -> int:
        """Steps that a loss takes if no trial is stopped early."""
        return self.trials * self.folds * self.steps


@dataclass(frozen=True)
class Fold:
    """The part of the training classes that a fold holds out.

    Attributes:
        labels: Their labels.
        names: Their names.
        items: Number of their items.
    """

    labels: tuple[int, ...]
    names: tuple[str, ...]
    items: int


@dataclass(frozen=True)
class Tuning:
    """A fair tuning: the same budget for every loss.

    Attributes:
        dataset: The data set.
        name: Name of the tuning.
        metric: What the trials are chosen by, on the classes that a fold holds out.
        seed: Seed of the folds, the trials and the first run.
        budget: What every loss is given.
        settings: Settings that differ from the defaults, shared by all trials and runs.
        spaces: Loss -> name -> what was searched, in words.
        sources: Loss -> where its ranges come from.
        folds: The folds.
        trials: Loss -> its trials so far, in order.
        runs: Loss -> ``tuned`` and ``recommended`` -> names of the runs, one per seed. None before
            a loss's trials are made. Both are the same runs where nothing beat the recommendation.
        finished: Whether all trials and runs are made.
        digest: Fingerprint of the plan and of the data: a tuning goes on with these only.
    """

    dataset: str
    name: str
    metric: str
    seed: int
    budget: Budget
    settings: dict[str, Any]
    spaces: dict[str, dict[str, str]]
    sources: dict[str, str]
    folds: tuple[Fold, ...]
    digest: str
    trials: dict[str, tuple[Trial, ...]] = field(default_factory=dict)
    runs: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    finished: bool = False

    @property
    def losses(self) -> tuple[str, ...]:
        """The losses that are compared."""
        return tuple(self.spaces)

    @property
    def run_names(self) -> tuple[str, ...]:
        """Names of all runs, in ascending order."""
        kinds = (each for of_loss in self.runs.values() for each in of_loss.values())
        return tuple(sorted({name for names in kinds for name in names}))

    def best(self, loss: str) -> Trial | None:
        """Return the trial of the highest mean over the folds, the first of equal ones.

        Args:
            loss: One of :attr:`losses`.

        Returns:
            The trial; None if none is complete.
        """
        complete = [t for t in self.trials.get(loss, ()) if t.result.state == COMPLETE]
        return max(complete, key=lambda t: (t.result.value, -t.number), default=None)

    def steps(self, loss: str) -> int:
        """Return the number of training steps that a loss's trials took."""
        return sum(trial.result.steps for trial in self.trials.get(loss, ()))

    def with_(self, **changes: Any) -> "Tuning":
        """Return a copy with other attributes."""
        return dataclasses.replace(self, **changes)


_TUNING = TypeAdapter(Tuning)


def tuning_folder(runs: Path | str, dataset: str, name: str) -> Path:
    """Return the folder of a tuning, which is hidden among the runs of its data set.

    Args:
        runs: Folder of runs.
        dataset: Name of the data set.
        name: Name of the tuning.

    Raises:
        UserError: The name cannot be that of a folder.
    """
    return Path(runs) / dataset / FOLDER / check_folder_name("name of a tuning", name)


def write_tuning(folder: Path, tuning: Tuning) -> None:
    """Write the record of a tuning, atomically.

    Args:
        folder: See :func:`tuning_folder`.
        tuning: The record.
    """
    write_json(folder / FILE, {"schema": SCHEMA, **_TUNING.dump_python(tuning, mode="json")})


def read_tuning(folder: Path) -> Tuning:
    """Read the record of a tuning.

    Args:
        folder: See :func:`tuning_folder`.

    Raises:
        UserError: There is none, it is damaged, or it was written by another version.
    """
    file = folder / FILE
    if not file.is_file():
        raise UserError(f"no tuning at {folder}: make one with `retrieval tune`")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        schema = content.pop("schema")
        if schema != SCHEMA:
            raise UserError(
                f"{file}: schema {schema}, and this version reads {SCHEMA}: update the workbench"
            )
        return _TUNING.validate_python(content)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise UserError(f"{file}: damaged ({where}): {_remedy(folder)}") from error
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise UserError(f"{file}: damaged, no record of a tuning: {_remedy(folder)}") from error


def _remedy(folder: Path) -> str:
    return f"remove the file and run the command again, which goes on with the trials of {folder}"


def list_tunings(runs: Path | str) -> list[Path]:
    """Return the folders of all tunings below a folder of runs, sorted.

    Args:
        runs: Folder of runs.
    """
    return sorted(path.parent for path in Path(runs).glob(f"*/{FOLDER}/*/{FILE}"))


def tunings_within(folder: Path) -> list[Path]:
    """Return the folders of the tunings of one data set, sorted.

    Args:
        folder: Folder of the data set, below a folder of runs.
    """
    return sorted(path.parent for path in folder.glob(f"{FOLDER}/*/{FILE}"))


def digest_of(tuning: Tuning, facts: Any) -> str:
    """Return a fingerprint of what a tuning's trials and runs depend on.

    Args:
        tuning: The record.
        facts: Facts of the data set that the folds do not hold.
    """
    content = _TUNING.dump_python(tuning, mode="json")
    return fingerprint({part: content[part] for part in PLANNED}, facts)


def shared_settings(settings: TrainSettings) -> dict[str, Any]:
    """Return the settings that a record keeps: those that matter and differ from the defaults.

    Where a data set of the registry lies, how much memory is used and so on makes no other tuning;
    see :mod:`retrieval.settings.identity`.

    Args:
        settings: Settings of a training, with the default loss.
    """
    given, default = settings.to_mapping(), TrainSettings().to_mapping()
    matters = what_matters(settings)
    return {
        name: value for name, value in given.items() if name in matters and value != default[name]
    }
