"""From settings to a finished run folder: train, embed, evaluate, publish."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from retrieval.datasets import load_catalog
from retrieval.datasets.catalog import Catalog
from retrieval.errors import UserError
from retrieval.input_pipeline.test_time import parse_views
from retrieval.runs.evaluate import evaluate_folder
from retrieval.runs.lock import run_lock
from retrieval.runs.names import check_run_name, default_name
from retrieval.runs.resume import check_interrupted, prepare_partial, read_interrupted
from retrieval.runs.run import Run
from retrieval.runs.store import partial_path, publish
from retrieval.runs.writing import run_config, write_config, write_embeddings, write_settings
from retrieval.settings.checks import check_frozen, check_names
from retrieval.settings.resolve import resolve
from retrieval.settings.schema import SELECTED_ON_TEST, UNTRAINED, TrainSettings, selected_on
from retrieval.training.memory_check import check_memory

if TYPE_CHECKING:
    import keras


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Add the wall time of the block to ``seconds[stage]``."""
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - start


def train(
    settings: TrainSettings,
    *,
    runs: Path | str = "runs",
    name: str | None = None,
    overwrite: bool = False,
    evaluate: bool = True,
    progress: bool = True,
    watch: Callable[[pd.DataFrame], None] | None = None,
    callbacks: Sequence["keras.callbacks.Callback"] = (),
) -> Path:
    """Train one run and, unless told otherwise, embed and evaluate it.

    An interrupted call leaves ``runs/<dataset>/.<name>.partial``; the same call (or
    :func:`resume`) continues it.

    Args:
        settings: What to train; ``loss="none"`` stores the untrained backbone's features.
        runs: Folder of runs.
        name: The run's name; default: the loss, and the seed if not 0.
        overwrite: Replace a run of the same name, finished or interrupted.
        evaluate: Embed and evaluate after training.
        progress: Show progress bars.
        watch: Called with the history so far, every few seconds and at the end of training.
        callbacks: Keras callbacks that act besides the run's own; metrics that they add to the
            logs are recorded in the history and can be monitored. Defaults to none.

    Returns:
        The run's folder.

    Raises:
        UserError: Bad settings or data, the run exists (or was interrupted with other settings,
            or is being made by another process), or it would not fit in memory.
    """
    check_names(settings)
    path = Path(runs) / settings.dataset / check_run_name(name or default_name(settings))
    check_free(path, overwrite=overwrite)
    catalog = load_catalog(settings.dataset, settings.data, **settings.dataset_options)
    settings = resolve(settings, catalog)
    check_devices(settings)
    check_memory(settings, progress=progress)
    with run_lock(path):
        check_free(path, overwrite=overwrite)  # another process may have made it since
        prepare_partial(partial_path(path), settings, catalog, overwrite=overwrite)
        return _complete(
            path,
            settings,
            catalog,
            overwrite=overwrite,
            evaluate=evaluate,
            progress=progress,
            watch=watch,
            callbacks=callbacks,
        )


def resume(
    path: Path | str, *, overwrite: bool = False, evaluate: bool = True, progress: bool = True
) -> Path:
    """Continue an interrupted run from its latest checkpoint.

    Args:
        path: The run's folder as it will be called, or its ``.partial`` folder.
        overwrite: Replace a finished run of the same name.
        evaluate: Embed and evaluate after training.
        progress: Show progress bars.

    Returns:
        The finished run's folder.

    Raises:
        UserError: There is nothing to continue, a finished run would be replaced, the data set is
            no longer the same, or another process continues the run.
    """
    path = Path(path)
    if path.name.endswith(".partial"):
        path = path.parent / path.name[1:].removesuffix(".partial")
    check_interrupted(path, overwrite=overwrite)
    with run_lock(path):
        check_interrupted(path, overwrite=overwrite)  # another process may have finished it since
        settings, catalog = read_interrupted(path)
        return _complete(
            path, settings, catalog, overwrite=overwrite, evaluate=evaluate, progress=progress
        )


def check_free(path: Path, *, overwrite: bool) -> None:
    """Refuse to make a run that is there.

    Raises:
        UserError: It exists, and ``overwrite`` is off.
    """
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists; choose another --name or pass --overwrite")


def check_devices(settings: TrainSettings) -> None:
    """Refuse a training whose batches the devices cannot share, before it leaves anything.

    Raises:
        UserError: Names the batch, the devices and the fix.
    """
    if settings.distribute == "none" or settings.loss == UNTRAINED:
        return
    from retrieval.training.devices import strategy_of

    strategy_of(settings)


def _complete(
    path: Path,
    settings: TrainSettings,
    catalog: Catalog,
    *,
    overwrite: bool,
    evaluate: bool,
    progress: bool,
    watch: Callable[[pd.DataFrame], None] | None = None,
    callbacks: Sequence["keras.callbacks.Callback"] = (),
) -> Path:
    from retrieval.training.embed_test_split import embed_test_split

    folder, seconds = partial_path(path), {}
    network = None
    if settings.loss != UNTRAINED:
        from retrieval.training.fit import fit

        with timed(seconds, "train"):
            network = fit(
                settings, catalog, folder, progress=progress, watch=watch, callbacks=callbacks
            )
    if evaluate:
        with timed(seconds, "embed"):
            embeddings, rows = embed_test_split(
                folder, settings, catalog, network, progress=progress
            )
        write_embeddings(folder, embeddings, rows)
        with timed(seconds, "evaluate"):
            evaluate_folder(folder, catalog, settings.distance, progress=progress)
    write_config(folder, run_config(settings, catalog, seconds))
    publish(path, overwrite=overwrite)
    if selected_on(settings) == "test":
        print(f"{path}: {SELECTED_ON_TEST}")
    return path


def embed(
    path: Path | str,
    *,
    test_time: str | None = None,
    test_time_mean: str | None = None,
    progress: bool = True,
) -> Path:
    """Embed the test split of a trained run again and evaluate it.

    Args:
        path: A run folder with checkpoints.
        test_time: Other test-time views, which the run's config then names.
        test_time_mean: Another mean over them.
        progress: Show progress bars.

    Returns:
        The run's folder.

    Raises:
        UserError: There is no run, it was imported rather than trained, or it takes no such views.
    """
    from retrieval.training.embed_test_split import embed_test_split

    path = Path(path)
    if not (path / "config.yaml").exists():
        raise UserError(f"no run at {path}: train one with `retrieval train`")
    before = Run(path).network_settings()
    settings = with_views(before, test_time, test_time_mean)
    catalog = load_catalog(settings.dataset, settings.data, **settings.dataset_options)
    embeddings, rows = embed_test_split(path, settings, catalog, progress=progress)
    write_embeddings(path, embeddings, rows)
    if settings != before:
        write_settings(path, settings)
    evaluate_folder(path, catalog, settings.distance, progress=progress)
    return path


def with_views(settings: TrainSettings, views: str | None, mean: str | None) -> TrainSettings:
    """Return a run's settings with other test-time views; a recipe's are then no longer its own.

    Raises:
        UserError: Unknown views, or a frozen backbone, which takes none.
    """
    changes = {"test_time": views, "test_time_mean": mean}
    if views == "none" and mean is None:
        changes["test_time_mean"] = "normalized"
    changed = settings.with_(**{k: v for k, v in changes.items() if v is not None})
    if parse_views(changed.test_time):
        check_frozen(changed)
    if changed != settings and settings.recipe is not None:
        return changed.with_(scaled=True)
    return changed
