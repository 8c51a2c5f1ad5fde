"""The points of a sweep's grid: from its YAML file to one named, checked setting per run.

``retrieval sweep``: train a grid of settings from a YAML file, skipping what is finished.

The file has two parts::

    base: {dataset: grocery, freeze_backbone: true, steps: 500}
    grid:
      loss: [semi_hard_triplet, npairs_loss]
      loss_options: [{margin: 0.1}, {margin: 0.2}]
      seed: [0, 1, 2]

Options that a loss lacks, but another loss of the sweep has, are left out of its runs: here 6
runs are of ``semi_hard_triplet`` and 3 of ``npairs_loss``, which has no margin. Where ``base``
and the grid both have ``loss_options`` or ``dataset_options``, the two are merged and the grid's
value of an option wins. The loss ``all`` is what it is in ``retrieval train``: the untrained
network and six losses.

All runs are checked before the first is trained. One that fails then (it diverged, say) stops no
other; those that failed are named at the end, and the same command tries them again.
"""

import itertools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import yaml

from retrieval.errors import UserError, counted, unknown_option
from retrieval.experiment.session import check_all, losses_of, settings_of, train_all
from retrieval.losses import LOSSES, recommended_options
from retrieval.runs.names import check_run_name
from retrieval.settings.checks import check_names
from retrieval.settings.identity import ONLY_FOR_TRAINING, REFUSED_UNTRAINED, differing
from retrieval.settings.schema import UNTRAINED, TrainSettings

# Another value of these makes no other run of the untrained network, which is made once.
IDLE_UNTRAINED = {*ONLY_FOR_TRAINING, "seed"} - {"loss_options"}
Made = TypeVar("Made")


def read_grid(path: Path | str) -> dict[str, TrainSettings]:
    """Read a sweep file into one named setting per run.

    Args:
        path: A YAML file with ``base`` (settings shared by all; a ``recipe`` is followed) and
            ``grid`` (lists to combine).

    Returns:
        Run name -> settings, in the order of the file; a name spells out the grid's values.
        Combinations of equal settings are one run, named by the first: repeated values, 1 and 1.0,
        or a difference only in what their loss lacks.

    Raises:
        UserError: The file is missing or malformed, names an unknown setting, or two runs would
            have one name; names the file and the point of the grid.
    """
    path = Path(path)
    base, grid = _read(path)
    points = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    losses = [_at(path, point, settings_of, merged(base, point)).loss for point in points]
    known = {option for loss in set(losses) & set(LOSSES) for option in recommended_options(loss)}
    found: dict[str, TrainSettings] = {}
    for loss, point in zip(losses, points, strict=True):
        name, settings = _at(path, point, _run, base, point, loss, known)
        if settings in found.values():
            continue
        if found.setdefault(name, settings) != settings:
            words = ", ".join(differing(found[name], settings))
            raise UserError(f"{path}: two runs would be called {name}; they differ in {words}")
    if len(found) < len(points):
        print(
            f"{path}: {len(points)} combinations are {counted(len(found), 'run')}: the others have "
            "the settings of an earlier one, with only the options that their loss takes"
        )
    return found


def _at(path: Path, point: dict, make: Callable[..., Made], *arguments: object) -> Made:
    """Make something of a grid point; an error names the file and the point."""
    try:
        return make(*arguments)
    except UserError as error:
        where = ", ".join(f"{key}={value}" for key, value in _flat(point))
        raise UserError(": ".join(filter(None, [str(path), where, str(error)]))) from error


def _run(base: dict, point: dict, loss: str, known: set[str]) -> tuple[str, TrainSettings]:
    """Return the name and the settings of a grid point, checked."""
    kept = that_matter(point, loss, known)
    if loss == UNTRAINED:
        base = {k: v for k, v in base.items() if k == "loss_options" or k not in REFUSED_UNTRAINED}
    settings = settings_of(merged(without_lacking(base, loss, known), kept))
    check_names(settings)
    return check_run_name(run_name(settings, kept)), settings


def merged(base: dict, point: dict) -> dict:
    """Return the settings of a grid point: the base's, replaced, or merged if both are mappings."""
    both = {
        key: base[key] | value
        for key, value in point.items()
        if isinstance(value, dict) and isinstance(base.get(key), dict)
    }
    return base | point | both


def _read(path: Path) -> tuple[dict, dict[str, list]]:
    """Return the mappings ``base`` and ``grid`` of a sweep file."""
    if not path.is_file():
        raise UserError(f"no sweep file at {path}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: needs the keys `base` and `grid`")
    for key, part in content.items():
        if key not in ("base", "grid"):
            raise unknown_option(f"key of {path}", key, ("base", "grid"))
        if not isinstance(part, dict | None):
            raise UserError(f"{path}: {key} must be a mapping, name: value")
    base, grid = content.get("base") or {}, content.get("grid") or {}
    for key, values in grid.items():
        if not isinstance(values, list) or not values:
            raise UserError(f"{path}: grid.{key} must be a list of values")
    if "loss" in grid:
        grid["loss"] = [name for each in grid["loss"] for name in losses_of(each)]
    elif "loss" in base and len(losses := losses_of(base["loss"])) > 1:
        grid = {"loss": list(losses)} | grid
    return base, grid


def that_matter(point: dict, loss: str, known: Iterable[str]) -> dict:
    """Return what of a grid point makes a difference to its loss.

    Args:
        point: Setting -> value.
        loss: The point's loss.
        known: The options of all losses in the sweep; one that none has is kept, to be refused.

    Returns:
        The point without the loss options that its loss lacks; for the untrained network, without
        all that is about training.
    """
    if loss == UNTRAINED:
        point = {k: v for k, v in point.items() if k not in IDLE_UNTRAINED}
    return without_lacking(point, loss, known)


def without_lacking(settings: dict, loss: str, known: Iterable[str]) -> dict:
    """Return settings without what the loss lacks and another of the sweep has.

    That is its options, and the learning rate of the weights that it owns.
    """
    rate = "learning_rate_multiplier"
    if loss in LOSSES and rate in known and rate not in recommended_options(loss):
        settings = {k: v for k, v in settings.items() if k != "loss_multiplier"}
    options = settings.get("loss_options")
    if not isinstance(options, dict) or loss not in (*LOSSES, UNTRAINED):
        return settings  # to be refused, if wrong
    if loss == UNTRAINED:
        kept = {} if known else options  # the sweep's other losses refuse unknown ones
    else:
        valid = recommended_options(loss)
        kept = {k: v for k, v in options.items() if k in valid or k not in known}
    rest = {k: v for k, v in settings.items() if k != "loss_options"}
    # None left is as if none were given: a recipe's own options then hold.
    return rest if options and not kept else settings | {"loss_options": kept}


def run_name(settings: TrainSettings, point: dict) -> str:
    """Return a name that spells out a grid point, e.g. ``npairs_loss-steps50-seed2``.

    The seed comes last: reports group runs by what is before it.
    """
    parts = [settings.loss if settings.loss != UNTRAINED else "untrained"]
    for key, value in sorted(point.items(), key=lambda pair: pair[0] == "seed"):
        if key != "loss":
            parts += [f"{k}{v}" for k, v in _flat({key: value})]
    return "-".join(str(p).replace("/", "_") for p in parts)


def _flat(point: dict) -> list[tuple[str, object]]:
    """List a grid point's settings, the single options of a mapping in its place."""
    return [
        pair
        for key, value in point.items()
        for pair in (value.items() if isinstance(value, dict) else [(key, value)])
    ]


def sweep(path: Path | str, *, runs: Path | str = "runs", progress: bool = True) -> list[Path]:
    """Train every combination of a sweep file that is not finished yet; print their figures.

    Args:
        path: The sweep file.
        runs: Folder of runs.
        progress: Show progress bars.

    Returns:
        Every run's folder. A sweep that was killed continues where it was, run and step.

    Raises:
        UserError: Before anything is trained: the file is malformed, a run does not fit its data
            set, or a finished run has other settings. At the end: some runs failed.
    """
    points, where = read_grid(path), f"{path}: "
    check_all(points, runs=runs, where=where)
    return train_all(points, runs=runs, progress=progress, where=where)
