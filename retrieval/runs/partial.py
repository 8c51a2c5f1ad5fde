"""The folder of a run in the making: kept when the run goes on, guarded when another starts."""

import shutil
from pathlib import Path

import yaml

from retrieval.datasets import load_catalog
from retrieval.datasets.catalog import Catalog
from retrieval.errors import UserError
from retrieval.runs.store import partial_path, write_config
from retrieval.runs.writing import dataset_config, run_config
from retrieval.settings.schema import TrainSettings


def start_partial(
    folder: Path, settings: TrainSettings, catalog: Catalog, *, overwrite: bool = False
) -> None:
    """Make the partial folder, or keep what an interrupted run of equal settings and data left.

    Raises:
        UserError: The interrupted run is another one and has checkpoints, and ``overwrite`` is off.
    """
    config = folder / "config.yaml"
    if config.exists():
        other = _differing(yaml.safe_load(config.read_text()), settings, catalog)
        if not other:
            return
        if (folder / "checkpoints" / "index.json").exists() and not overwrite:
            raise UserError(
                f"{folder} has checkpoints of an interrupted run with other settings "
                f"({', '.join(other)}): continue it with --resume, choose another --name or pass "
                "--overwrite"
            )
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
        UserError: The data set has changed since.
    """
    started = yaml.safe_load((partial_path(path) / "config.yaml").read_text(encoding="utf-8"))
    settings = TrainSettings.from_mapping(started["settings"])
    catalog = load_catalog(settings.dataset, settings.data, **settings.dataset_options)
    if (now := dataset_config(catalog)) != started["dataset"]:
        changed = [key for key in now if now[key] != started["dataset"].get(key)]
        raise UserError(
            f"{path}: the data set has changed since the run started ({', '.join(changed)}); "
            "train it again from the start"
        )
    return settings, catalog


def _differing(started: dict, settings: TrainSettings, catalog: Catalog) -> list[str]:
    """Say in what an interrupted run's config differs from settings and data."""
    # Whether memory is checked makes no other run.
    before = started["settings"] | {"check_memory": settings.check_memory}
    parts = []
    for old, now in (
        (before, settings.to_mapping()),
        (started["dataset"], dataset_config(catalog)),
    ):
        names = [*now, *(name for name in old if name not in now)]
        parts += [
            f"{name} = {old.get(name)}, now {now.get(name)}"
            for name in names
            if old.get(name) != now.get(name)
        ]
    return parts
