"""The folder of a run in the making: kept when the run goes on, guarded when another starts."""

import shutil
from dataclasses import asdict
from pathlib import Path

from retrieval.datasets import load_catalog
from retrieval.datasets.catalog import Catalog
from retrieval.errors import UserError
from retrieval.runs.records import DatasetConfig
from retrieval.runs.run import Run
from retrieval.runs.store import partial_path, write_config
from retrieval.runs.writing import dataset_config, run_config
from retrieval.settings.identity import differing, is_users_own
from retrieval.settings.schema import TrainSettings


def start_partial(
    folder: Path, settings: TrainSettings, catalog: Catalog, *, overwrite: bool = False
) -> None:
    """Make the folder of a run in the making, or keep the one that the same run left.

    Settings that make no other run (see :mod:`retrieval.settings.identity`) may have changed: the
    run goes on with the new ones.

    Raises:
        UserError: The interrupted run is another one and has checkpoints, and ``overwrite`` is off.
    """
    config = folder / "config.yaml"
    if config.exists():
        other = _differing(folder, settings, catalog)
        if other and (folder / "checkpoints" / "index.json").exists() and not overwrite:
            raise UserError(
                f"{folder} has checkpoints of an interrupted run with other settings "
                f"({', '.join(other)}): continue it with --resume, choose another --name or pass "
                "--overwrite"
            )
        if other:
            shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_config(folder, run_config(settings, catalog, {}))


def check_interrupted(path: Path, *, overwrite: bool) -> None:
    """Check that there is an interrupted run to continue, and no finished one in its place.

    Args:
        path: The run's folder as it will be called.
        overwrite: A finished run is to be replaced.

    Raises:
        UserError: There is none, or a finished run would be replaced.
    """
    if not (partial_path(path) / "config.yaml").exists():
        done = " (it is finished)" if path.exists() else ""
        raise UserError(f"no interrupted run at {path}{done}")
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists beside the interrupted run; pass --overwrite to replace it")


def read_interrupted(path: Path) -> tuple[TrainSettings, Catalog]:
    """Return the settings and the data set that an interrupted run started with.

    Args:
        path: The run's folder as it will be called.

    Raises:
        UserError: The data set has changed since, or another version of the workbench wrote the
            settings.
    """
    started = Run(partial_path(path))
    settings = started.network_settings()
    catalog = load_catalog(settings.dataset, settings.data, **settings.dataset_options)
    if changed := differing_data(started.dataset_config, catalog):
        raise UserError(
            f"{path}: the data set has changed since the run started ({', '.join(changed)}); "
            "train it again from the start"
        )
    return settings, catalog


def differing_data(recorded: DatasetConfig, catalog: Catalog) -> list[str]:
    """Name the facts in which the data set that a run recorded differs from the one at hand.

    Args:
        recorded: From the run's ``config.yaml``.
        catalog: The data set at hand.

    Returns:
        Names of facts such as ``n_train``. The folder counts only for a user's own data set: a
        published one is the same wherever it lies.
    """
    before = asdict(recorded) | {"root": str(recorded.root)}
    now = dataset_config(catalog)
    if not is_users_own(catalog.name):
        del now["root"]
    return [name for name, value in now.items() if before[name] not in (None, value)]


def _differing(folder: Path, settings: TrainSettings, catalog: Catalog) -> list[str]:
    """Say in which settings and facts an interrupted run differs from the one asked for."""
    started = Run(folder)
    if started.settings is None or started.unknown_settings:
        return ["written by another version"]
    before, now = asdict(started.dataset_config), dataset_config(catalog)
    return [
        f"{name} = {getattr(started.settings, name)}, now {getattr(settings, name)}"
        for name in differing(started.settings, settings)
    ] + [
        f"{name} = {before[name]}, now {now[name]}"
        for name in differing_data(started.dataset_config, catalog)
    ]
