"""``retrieval sweep``: train a grid of settings from a YAML file, skipping what is finished.

The file has two parts::

    base: {dataset: grocery, freeze_backbone: true, steps: 500}
    grid:
      loss: [semi_hard_triplet, npairs_loss]
      loss_options: [{margin: 0.1}, {margin: 0.2}]
      seed: [0, 1, 2]
"""

import itertools
from pathlib import Path

import yaml

from retrieval.errors import UserError, unknown_option
from retrieval.pipeline import train
from retrieval.resolve import check_names
from retrieval.settings import TrainSettings


def read_grid(path: Path | str) -> dict[str, TrainSettings]:
    """Read a sweep file into one named setting per combination.

    Args:
        path: A YAML file with ``base`` (settings shared by all) and ``grid`` (lists to combine).

    Returns:
        Run name -> settings, in the order of the file; a name spells out the grid's values.

    Raises:
        UserError: The file is missing or malformed, or names an unknown setting.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"no sweep file at {path}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: needs the keys `base` and `grid`")
    for key in content:
        if key not in ("base", "grid"):
            raise unknown_option(f"key of {path}", key, ("base", "grid"))
    grid = content.get("grid") or {}
    for key, values in grid.items():
        if not isinstance(values, list) or not values:
            raise UserError(f"{path}: grid.{key} must be a list of values")
    found = {}
    for values in itertools.product(*grid.values()):
        point = dict(zip(grid, values, strict=True))
        settings = TrainSettings.from_mapping((content.get("base") or {}) | point)
        check_names(settings)
        found[run_name(settings, point)] = settings
    return found


def run_name(settings: TrainSettings, point: dict) -> str:
    """Return a run name that spells out a grid point, e.g. ``npairs_loss-margin0.1-seed2``."""
    parts = [settings.loss if settings.loss != "none" else "untrained"]
    for key, value in point.items():
        if key == "loss":
            continue
        pairs = value.items() if isinstance(value, dict) else [(key, value)]
        parts += [f"{k}{v}" for k, v in pairs]
    return "-".join(str(p).replace("/", "_") for p in parts)


def sweep(path: Path | str, *, runs: Path | str = "runs", progress: bool = True) -> list[Path]:
    """Train every combination of a sweep file that is not finished yet.

    Args:
        path: The sweep file.
        runs: Folder of runs.
        progress: Show progress bars.

    Returns:
        Every run's folder. A sweep that was killed continues where it was, run and step.
    """
    points, paths = read_grid(path), []
    for number, (name, settings) in enumerate(points.items(), start=1):
        folder = Path(runs) / settings.dataset / name
        done = folder.exists()
        print(f"[{number}/{len(points)}] {folder}{' is finished' if done else ''}")
        if not done:
            train(settings, runs=runs, name=name, progress=progress)
        paths.append(folder)
    return paths
