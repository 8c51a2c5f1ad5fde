"""Start a run in its partial folder, or resume the interrupted run that is there."""

import dataclasses
from pathlib import Path

import pandas as pd

from retrieval.datasets.catalog import Catalog
from retrieval.datasets.checks import unreadable_message
from retrieval.errors import UserError
from retrieval.files import atomic_path, remove
from retrieval.runs.places import final_path, partial_path
from retrieval.runs.records import DatasetConfig
from retrieval.runs.run import Run
from retrieval.runs.writing import describe_dataset, run_config, write_config
from retrieval.settings.identity import differing, is_users_own
from retrieval.settings.resolve import catalog_of, check_pairs
from retrieval.settings.schema import TrainSettings, selected_on

PLAN_FILE = "plan.parquet"  # the items of an unfinished run, to tell what has changed since
PLAN_COLUMNS = ["path", "label_name", "split", "role"]
GONE = "not in the data set any more"

# Facts about how a data set was read rather than what it is: runs of older versions lack them, and
# links lead to other places on other machines.
NO_CONTENT = ("remarks", "linked_roots", "skipped", "training_copies")


def prepare_partial(
    folder: Path, settings: TrainSettings, catalog: Catalog, *, overwrite: bool = False
) -> Catalog:
    """Create the partial folder of a run, or keep that of the same run, which then resumes.

    Settings that do not make another run (see :mod:`retrieval.settings.identity`) may have changed;
    the run resumes with the new values.

    Args:
        folder: Folder of the unfinished run.
        settings: Settings of the run, resolved.
        catalog: Data set that the run trains on.
        overwrite: Whether to discard the checkpoints of another run. Defaults to False.

    Returns:
        The data set, which also names the images that an earlier try had and that are gone.

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
        if changes and _has_checkpoints(folder) and not overwrite:
            if not _differs_in_items_only(folder, settings, catalog):
                raise UserError(
                    f"{folder} has checkpoints of an interrupted run with other settings "
                    f"({', '.join(changes)}): continue it with --resume, choose another --name or "
                    "pass --overwrite"
                )
            catalog = goes_on_without(folder, settings, catalog)
        elif changes:
            remove(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _write_plan(folder, settings, catalog)
    return catalog


def _write_plan(folder: Path, settings: TrainSettings, catalog: Catalog) -> None:
    with atomic_path(folder / PLAN_FILE) as temporary:
        catalog.items[PLAN_COLUMNS].to_parquet(temporary)
    write_config(folder, run_config(settings, catalog, {}))


def forget_plan(folder: Path) -> None:
    """Remove from a finished run what only an unfinished one needs.

    Args:
        folder: The run's partial folder.
    """
    remove(folder / PLAN_FILE)


def _has_checkpoints(folder: Path) -> bool:
    return (folder / "checkpoints" / "index.json").exists()


def _differs_in_items_only(folder: Path, settings: TrainSettings, catalog: Catalog) -> bool:
    started = Run(folder)
    if started.settings is None or started.unknown_settings:
        return False
    changed = dataset_changes(started.dataset_config, catalog)
    return not differing(started.settings, settings) and set(changed) <= {
        "items",
        "n_train",
        "n_test",
    }


def goes_on_without(folder: Path, settings: TrainSettings, catalog: Catalog) -> Catalog:
    """Return the data set that an interrupted run goes on with after images became unreadable.

    It goes on if its training is not touched: if only test images are gone, and none that chose
    the network; or if there is no checkpoint yet.

    Args:
        folder: The run's partial folder.
        settings: Its settings.
        catalog: The data set as it is now.

    Returns:
        The catalog, whose ``skipped`` also names images that the data set does not list any more.

    Raises:
        UserError: Names images that the run does not go on without, and what to do.
    """
    path = final_path(folder)
    changed = ", ".join(dataset_changes(Run(folder).dataset_config, catalog))
    anew = "train it again with --overwrite"
    lost = _lost_items(folder, catalog)
    if lost is None:
        raise UserError(
            f"{path}: the data set has changed since the run started ({changed}): {anew}"
        )
    reasons = {p: catalog.skipped.get(p, GONE) for p in lost["path"]}
    if not settings.skip_unreadable:
        fix = "restore them, or go on without them with --skip-unreadable"
        raise UserError(unreadable_message(catalog.root, reasons, fix))
    trained = lost[lost["split"] == "train"]
    if _has_checkpoints(folder) and not trained.empty:
        fix = f"{path} was trained on them, so it cannot go on without: restore them, or {anew}"
        raise UserError(
            unreadable_message(catalog.root, {p: reasons[p] for p in trained["path"]}, fix)
        )
    if _has_checkpoints(folder) and selected_on(settings) == "test":
        fix = f"{path} chooses its checkpoint on them: restore them, or {anew}"
        raise UserError(unreadable_message(catalog.root, reasons, fix))
    return dataclasses.replace(catalog, skipped={**catalog.skipped, **reasons})


def _lost_items(folder: Path, catalog: Catalog) -> pd.DataFrame | None:
    """Return the items of an unfinished run that its data set lacks now.

    None if the data set differs in another way, or if the run's items were not recorded.
    """
    try:
        plan = pd.read_parquet(folder / PLAN_FILE)
    except (OSError, ValueError):  # of an older version, or damaged
        return None
    kept = plan["path"].isin(catalog.items["path"])
    now = catalog.items[PLAN_COLUMNS].reset_index(drop=True)
    same = plan[kept].reset_index(drop=True).astype(object).equals(now.astype(object))
    return plan[~kept] if same else None


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


def read_interrupted(path: Path, *, skip_unreadable: bool = False) -> tuple[TrainSettings, Catalog]:
    """Read the settings and load the data set of an interrupted run.

    Args:
        path: The run's final folder.
        skip_unreadable: Whether to go on without images that became unreadable; see
            :func:`goes_on_without`. Defaults to False, or what the run was started with.

    Returns:
        The settings and the data set that the run started with.

    Raises:
        UserError: The data set has changed since the run started, or the settings were recorded by
            another version of the workbench.
    """
    folder = partial_path(path)
    started = Run(folder)
    try:
        settings = started.network_settings()
    except UserError as error:
        raise UserError(
            f"{error}; start the run again: `retrieval train` with its settings and --overwrite"
        ) from error
    if skip_unreadable:
        settings = settings.with_(skip_unreadable=True)
    catalog = catalog_of(settings, started.dataset_config.skipped)
    check_pairs(settings, catalog)
    if _differs_in_items_only(folder, settings, catalog):
        if not dataset_changes(started.dataset_config, catalog):
            return settings, catalog
        catalog = goes_on_without(folder, settings, catalog)
        _write_plan(folder, settings, catalog)
        return settings, catalog
    return settings, load_catalog_of(started)  # which says what has changed


def load_catalog_of(run: Run) -> Catalog:
    """Load the data set that a run was trained on.

    Args:
        run: A run that was trained here; it may be interrupted.

    Returns:
        The data set.

    Raises:
        UserError: The run was imported, or its data set is not there or has changed.
    """
    catalog = catalog_of(run.network_settings(), run.dataset_config.skipped)
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
