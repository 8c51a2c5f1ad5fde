"""Many runs, one after the other: all are checked first, and one that fails stops no other."""

import sys
from pathlib import Path

import yaml

from retrieval.datasets import load_catalog
from retrieval.datasets.catalog import Catalog
from retrieval.errors import UserError, counted
from retrieval.pipeline import check_devices, train
from retrieval.resolve import resolve
from retrieval.runs import open_run
from retrieval.settings import TrainSettings
from retrieval.tables import print_runs

# These change what a run keeps or how fast it is, not what it is.
NOT_THE_RUN = ("check_memory", "cache_images_gb", "keep_embeddings", "tensorboard")
FIX = "move it, or give another --runs"


def differing(one: TrainSettings, other: TrainSettings) -> list[str]:
    """Return the names of the settings that make two runs different ones."""
    a, b = one.to_mapping(), other.to_mapping()
    return [name for name in a if a[name] != b[name] and name not in NOT_THE_RUN]


def check_all(
    wanted: dict[str, TrainSettings],
    *,
    runs: Path | str,
    overwrite: bool = False,
    where: str = "",
    fix: str = FIX,
) -> None:
    """Check every run against its data set, and the finished ones against what is asked for.

    Args:
        wanted: Run name -> settings, whose names are checked.
        runs: Folder of runs.
        overwrite: Finished runs are to be replaced: they are not looked at.
        where: What an error begins with, before the run's name.
        fix: What to do about a finished run with other settings.

    Raises:
        UserError: The first run that could not be trained, by name, and why.
    """
    catalogs: dict[str, Catalog] = {}
    for name, settings in wanted.items():
        source = repr((settings.dataset, settings.data, settings.dataset_options))
        folder = Path(runs) / settings.dataset / name
        try:
            if source not in catalogs:
                catalogs[source] = load_catalog(
                    settings.dataset, settings.data, **settings.dataset_options
                )
            resolved = resolve(settings, catalogs[source])
            check_devices(resolved)
            if folder.exists() and not overwrite:
                check_finished(folder, resolved, fix)
        except UserError as error:
            raise UserError(f"{where}{name}: {error}") from error


def check_finished(folder: Path, now: TrainSettings, fix: str = FIX) -> None:
    """Check that a finished run is the one that is asked for.

    Args:
        folder: The run's folder.
        now: What is asked for, resolved.
        fix: What to do about it.

    Raises:
        UserError: It was made with other settings, which are named.
    """
    config = folder / "config.yaml"
    stored = yaml.safe_load(config.read_text(encoding="utf-8")) if config.exists() else None
    if not isinstance(stored, dict) or not stored.get("settings"):
        raise UserError(f"{folder} exists, but was not trained: {fix}")
    before = TrainSettings.from_mapping(stored["settings"])
    if names := differing(before, now):
        shown = ", ".join(f"{k} = {getattr(before, k)}, now {getattr(now, k)}" for k in names)
        raise UserError(f"{folder} was trained with other settings ({shown}): {fix}")


def train_all(
    wanted: dict[str, TrainSettings],
    *,
    runs: Path | str,
    overwrite: bool = False,
    evaluate: bool = True,
    progress: bool = True,
    where: str = "",
) -> list[Path]:
    """Train what is not finished, one run after the other, and print the figures of all.

    Args:
        wanted: Run name -> settings, as :func:`check_all` checked them.
        runs: Folder of runs.
        overwrite: Replace finished runs.
        evaluate: Embed and evaluate each.
        progress: Show progress bars.
        where: What an error begins with, before the run's name.

    Returns:
        The runs' folders, in order.

    Raises:
        UserError: Some runs failed; names them. The error of each was printed when it failed, and
            the others were trained.
    """
    folders, failed = [], []
    for number, (name, settings) in enumerate(wanted.items(), start=1):
        folder = Path(runs) / settings.dataset / name
        done = folder.exists() and not overwrite
        print(f"[{number}/{len(wanted)}] {folder}{' exists; kept' if done else ''}")
        try:
            if not done:
                options = {"overwrite": overwrite, "evaluate": evaluate, "progress": progress}
                train(settings, runs=runs, name=name, **options)
            if evaluate:
                open_run(folder)  # one that was kept may be damaged, or not evaluated yet
            folders.append(folder)
        except UserError as error:
            failed.append(name)
            print(f"error: {where}{name}: {error}", file=sys.stderr)
    if evaluate and folders:
        print_runs(folders)
    if failed:
        raise UserError(
            f"{where}{len(failed)} of {counted(len(wanted), 'run')} failed: "
            f"{', '.join(failed)}; the error of each is above, the same command tries them again"
        )
    return folders
