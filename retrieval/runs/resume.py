"""Start a run in its partial folder, or resume the interrupted run that is there."""

import dataclasses
import shutil
from pathlib import Path

from retrieval.datasets import load_catalog
from retrieval.datasets.catalog import Catalog
from retrieval.errors import UserError
from retrieval.runs.records import DatasetConfig
from retrieval.runs.run import Run
from retrieval.runs.store import final_path, partial_path
from retrieval.runs.writing import describe_dataset, run_config, write_config
from retrieval.settings.identity import differing, is_users_own
from retrieval.settings.schema import TrainSettings

# Facts about how a data set was read rather than what it is: runs of older versions lack them, and
# links lead to other places on other machines.
NO_CONTENT = ("remarks", "linked_roots")


def prepare_partial(
    folder: Path, settings: TrainSettings, catalog: Catalog, *, overwrite: bool = False
) -> None:
    """Create the partial folder of a run, or keep that of the same run, which then resumes.

    Settings that do not make another run (see :mod:`retrieval.settings.identity`) may have changed;
    the run resumes with the new values.

    Args:
        folder: Folder of the unfinished run.
        settings: Settings of the run, resolved.
        catalog: Data set that the run trains on.
        overwrite: Whether to discard the checkpoints of another run. Defaults to False.

    Raises:
        UserError: The folder has checkpoints of another run, and ``overwrite`` is off.
    """
    if (folder / "config.yaml").exists():
        try:
            changes = _changes(folder, settings, catalog)
        except UserError as error:
            if not overwrite:
                raise UserError(f"{error}; start the run again with --overwrite") from error
            changes = ["damaged"]
        if changes and (folder / "checkpoints" / "index.json").exists() and not overwrite:
            raise UserError(
                f"{folder} has checkpoints of an interrupted run with other settings "
                f"({', '.join(changes)}): continue it with --resume, choose another --name or pass "
                "--overwrite"
            )
        if changes:
            shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_config(folder, run_config(settings, catalog, {}))


def check_interrupted(path: Path, *, overwrite: bool) -> None:
    """Check that there is an interrupted run to resume.

    Args:
        path: The run's final folder.
        overwrite: Whether a finished run of the same name may be replaced.

    Raises:
        UserError: There is no interrupted run, or a finished one would be replaced.
    """
    if not (partial_path(path) / "config.yaml").exists():
        done = " (it is finished)" if path.exists() else ""
        raise UserError(f"no interrupted run at {path}{done}")
    if path.exists() and not overwrite:
        raise UserError(
            f"{path} exists in addition to the interrupted run; pass --overwrite to replace it"
        )


def read_interrupted(path: Path) -> tuple[TrainSettings, Catalog]:
    """Read the settings and load the data set of an interrupted run.

    Args:
        path: The run's final folder.

    Returns:
        The settings and the data set that the run started with.

    Raises:
        UserError: The data set has changed since the run started, or the settings were recorded by
            another version of the workbench.
    """
    started = Run(partial_path(path))
    try:
        settings = started.network_settings()
    except UserError as error:
        raise UserError(
            f"{error}; start the run again: `retrieval train` with its settings and --overwrite"
        ) from error
    return settings, load_catalog_of(started)


def load_catalog_of(run: Run) -> Catalog:
    """Load the data set that a run was trained on.

    Args:
        run: A run that was trained here; it may be interrupted.

    Returns:
        The data set.

    Raises:
        UserError: The run was imported, or its data set is not there or has changed.
    """
    settings = run.network_settings()
    catalog = load_catalog(settings.dataset, settings.data, **settings.dataset_options)
    if changed := dataset_changes(run.dataset_config, catalog):
        raise UserError(
            f"{final_path(run.path)}: the data set has changed since the run was trained "
            f"({', '.join(changed)}), so classes may be in both splits; train it again"
        )
    return catalog


def check_dataset_unchanged(run: Run) -> None:
    """Refuse to go on with a run whose data set has changed on this disk since it was trained.

    A run that was imported, or whose data set is not on this disk, passes.

    Args:
        run: Any run.

    Raises:
        UserError: The data set is there and is not the one that the run was trained on.
    """
    if run.settings is None:
        return
    data, name = run.settings.data, run.settings.dataset
    if (Path(data) if data else Path("data") / name).exists():
        load_catalog_of(run)


def dataset_changes(recorded: DatasetConfig, catalog: Catalog) -> list[str]:
    """Name the facts in which a data set differs from what a run recorded about it.

    Args:
        recorded: The record of the run.
        catalog: The data set as it is now.

    Returns:
        Names of fields of :class:`DatasetConfig`. Facts that were not recorded are ignored, and so
        is the folder of a published data set, whose content is the same everywhere.
    """
    now = describe_dataset(catalog)
    return [
        field.name
        for field in dataclasses.fields(DatasetConfig)
        if field.name not in NO_CONTENT
        and getattr(recorded, field.name) not in (None, getattr(now, field.name))
        and (field.name != "root" or is_users_own(catalog.name))
    ]


def _changes(folder: Path, settings: TrainSettings, catalog: Catalog) -> list[str]:
    """Describe how the run in a partial folder differs from the one asked for."""
    started = Run(folder)
    if started.settings is None or started.unknown_settings:
        return ["written by another version"]
    before, now = started.dataset_config, describe_dataset(catalog)
    return [
        f"{name} = {getattr(started.settings, name)}, now {getattr(settings, name)}"
        for name in differing(started.settings, settings)
    ] + [
        f"{name} = {getattr(before, name)}, now {getattr(now, name)}"
        for name in dataset_changes(before, catalog)
    ]
