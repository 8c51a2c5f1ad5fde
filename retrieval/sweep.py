"""``retrieval sweep``: train a grid of settings from a YAML file, skipping what is finished.

The file has two parts::

    base: {dataset: grocery, freeze_backbone: true, steps: 500}
    grid:
      loss: [semi_hard_triplet, npairs_loss]
      loss_options: [{margin: 0.1}, {margin: 0.2}]
      seed: [0, 1, 2]

Options that a loss lacks make one run of it: here 6 of ``semi_hard_triplet`` and 3 of
``npairs_loss``, which has no margin.
"""

import itertools
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

import yaml

from retrieval.datasets import load_catalog
from retrieval.errors import UserError, unknown_option
from retrieval.losses import LOSSES
from retrieval.pipeline import check_run_name, train
from retrieval.resolve import UNTRAINED, check_names, resolve
from retrieval.settings import LOSS, OPTIM, TrainSettings
from retrieval.training_session import settings_of

# The network is stored as it is: nothing of these makes another run.
NOT_UNTRAINED = {f.name for f in fields(TrainSettings) if f.metadata["panel"] in (LOSS, OPTIM)}
# These change what a run keeps or how fast it is, not what it is.
NOT_THE_RUN = ("check_memory", "cache_images_gb", "keep_embeddings", "tensorboard")


def read_grid(path: Path | str) -> dict[str, TrainSettings]:
    """Read a sweep file into one named setting per run.

    Args:
        path: A YAML file with ``base`` (settings shared by all; a ``recipe`` is followed) and
            ``grid`` (lists to combine).

    Returns:
        Run name -> settings, in the order of the file; a name spells out the grid's values.
        Combinations that differ only in what their loss lacks are one run.

    Raises:
        UserError: The file is missing or malformed, names an unknown setting, or two runs would
            have one name.
    """
    base, grid = _read(Path(path))
    points = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    losses = [settings_of(base | point).loss for point in points]
    known = {option for loss in set(losses) & set(LOSSES) for option in LOSSES[loss].options()}
    found: dict[str, TrainSettings] = {}
    for loss, point in zip(losses, points, strict=True):
        kept = that_matter(point, loss, known)
        settings = settings_of(base | kept)
        check_names(settings)
        name = check_run_name(run_name(settings, kept))
        if found.setdefault(name, settings) != settings:
            differing = ", ".join(_differing(found[name], settings))
            raise UserError(f"{path}: two runs would be called {name}; they differ in {differing}")
    if len(found) < len(points):
        print(
            f"{path}: {len(points)} combinations are {len(found)} runs: "
            "options that a loss lacks make one run of it"
        )
    return found


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
        return {k: v for k, v in point.items() if k == "loss" or k not in NOT_UNTRAINED}
    if loss not in LOSSES or "loss_options" not in point:
        return point
    valid, options = LOSSES[loss].options(), point["loss_options"]
    kept = {k: v for k, v in options.items() if k in valid or k not in known}
    return point | {"loss_options": kept}


def run_name(settings: TrainSettings, point: dict) -> str:
    """Return a name that spells out a grid point, e.g. ``npairs_loss-steps50-seed2``.

    The seed comes last: reports group runs by what is before it.
    """
    parts = [settings.loss if settings.loss != UNTRAINED else "untrained"]
    for key, value in sorted(point.items(), key=lambda pair: pair[0] == "seed"):
        if key == "loss":
            continue
        pairs = value.items() if isinstance(value, dict) else [(key, value)]
        parts += [f"{k}{v}" for k, v in pairs]
    return "-".join(str(p).replace("/", "_") for p in parts)


def check_finished(folder: Path, settings: TrainSettings) -> None:
    """Check that a finished run is the one that the sweep asks for.

    Raises:
        UserError: It was made with other settings, which are named.
    """
    config = folder / "config.yaml"
    stored = yaml.safe_load(config.read_text(encoding="utf-8")) if config.exists() else None
    if not isinstance(stored, dict) or not stored.get("settings"):
        raise UserError(f"{folder} exists, but was not trained: move it, or give another --runs")
    before = TrainSettings.from_mapping(stored["settings"])
    catalog = load_catalog(settings.dataset, settings.data, **settings.dataset_options)
    now = resolve(settings, catalog)
    if differing := _differing(before, now):
        shown = ", ".join(f"{k} = {getattr(before, k)}, now {getattr(now, k)}" for k in differing)
        raise UserError(
            f"{folder} was trained with other settings ({shown}): move it, or give another --runs"
        )


def _differing(one: TrainSettings, other: TrainSettings) -> list[str]:
    a, b = one.to_mapping(), other.to_mapping()
    return [name for name in a if a[name] != b[name] and name not in NOT_THE_RUN]


def sweep(path: Path | str, *, runs: Path | str = "runs", progress: bool = True) -> list[Path]:
    """Train every combination of a sweep file that is not finished yet.

    Args:
        path: The sweep file.
        runs: Folder of runs.
        progress: Show progress bars.

    Returns:
        Every run's folder. A sweep that was killed continues where it was, run and step.

    Raises:
        UserError: The file is malformed, or a finished run has other settings.
    """
    points = read_grid(path)
    folders = {name: Path(runs) / each.dataset / name for name, each in points.items()}
    finished = [name for name, folder in folders.items() if folder.exists()]
    for name in finished:
        check_finished(folders[name], points[name])
    for number, (name, settings) in enumerate(points.items(), start=1):
        done = name in finished
        print(f"[{number}/{len(points)}] {folders[name]}{' is finished' if done else ''}")
        if not done:
            train(settings, runs=runs, name=name, progress=progress)
    return list(folders.values())
