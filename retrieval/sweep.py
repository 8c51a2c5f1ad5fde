"""``retrieval sweep``: train a grid of settings from a YAML file, skipping what is finished.

The file has two parts::

    base: {dataset: grocery, freeze_backbone: true, steps: 500}
    grid:
      loss: [semi_hard_triplet, npairs_loss]
      loss_options: [{margin: 0.1}, {margin: 0.2}]
      seed: [0, 1, 2]

Options that a loss lacks, but another loss of the sweep has, are left out of its runs: here 6 runs
are of ``semi_hard_triplet`` and 3 of ``npairs_loss``, which has no margin. Where ``base`` and the
grid both have ``loss_options`` or ``dataset_options``, the two are merged and the grid's value of
an option wins. The loss ``all`` is what it is in ``retrieval train``: the untrained network and six
losses.
"""

from pathlib import Path

import yaml

from retrieval.datasets import load_catalog
from retrieval.errors import UserError
from retrieval.pipeline import train
from retrieval.resolve import resolve
from retrieval.settings import TrainSettings
from retrieval.sweep_grid import differing, read_grid


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
    if names := differing(before, now):
        shown = ", ".join(f"{k} = {getattr(before, k)}, now {getattr(now, k)}" for k in names)
        raise UserError(
            f"{folder} was trained with other settings ({shown}): move it, or give another --runs"
        )


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
