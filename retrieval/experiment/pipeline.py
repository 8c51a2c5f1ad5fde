"""One run, from settings to a finished run folder: train, embed, evaluate, publish."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from tqdm.auto import tqdm

from retrieval.cluster.connection import LOCAL, check_on
from retrieval.datasets.catalog import Catalog
from retrieval.datasets.checks import unreadable_message
from retrieval.datasets.copies import copies_caveat
from retrieval.errors import UserError, counted
from retrieval.experiment.making import PlannedRun, timed, train_and_embed
from retrieval.experiment.workers import on_workers, train_on_workers
from retrieval.files import remove, remove_locks, write_json
from retrieval.input_pipeline.test_time import parse_views
from retrieval.losses import hint
from retrieval.runs.evaluate import evaluate_folder
from retrieval.runs.judgments import write_judgments
from retrieval.runs.live import EVALUATING, read_live, resume_command
from retrieval.runs.lock import lock_path
from retrieval.runs.mirrors import pull
from retrieval.runs.names import check_run_name, default_name
from retrieval.runs.places import final_path, partial_path
from retrieval.runs.resume import (
    check_interrupted,
    dataset_changes,
    forget_plan,
    load_catalog_of,
    prepare_partial,
    read_interrupted,
)
from retrieval.runs.run import Run
from retrieval.runs.store import (
    changed_run,
    check_free,
    check_there,
    locked_run,
    publish,
    settle,
)
from retrieval.runs.writing import run_config, write_config, write_embeddings, write_settings
from retrieval.settings.checks import check
from retrieval.settings.identity import differing
from retrieval.settings.resolve import backbone_remarks, catalog_of, check_pairs, resolve
from retrieval.settings.schema import UNTRAINED, TrainSettings
from retrieval.storage.addresses import located
from retrieval.training.interruption import check_stop, interrupted, stoppable
from retrieval.training.live import LiveRecord, live_record, planned_live
from retrieval.training.memory_check import check_memory, training_images

if TYPE_CHECKING:
    import keras

Announce = Callable[[str], None]  # shows the user a line
# What to do about a finished run in the way of a caller of `train`.
CHOOSE_ANOTHER = "move it, or give another name or folder of runs"


def train(
    settings: TrainSettings,
    *,
    runs: Path | str = "runs",
    name: str | None = None,
    overwrite: bool = False,
    keep: bool = False,
    evaluate: bool = True,
    progress: bool = True,
    on: str = LOCAL,
    watch: Callable[[pd.DataFrame], None] | None = None,
    callbacks: Sequence["keras.callbacks.Callback"] = (),
    announce: Announce | None = None,
) -> Path:
    """Train one run and, unless told otherwise, embed and evaluate it.

    An interrupted call leaves ``runs/<dataset>/.<name>.partial``; the same call (or
    :func:`resume`) continues it. SIGINT (Ctrl-C) and SIGTERM let the present step finish and save
    it.

    Args:
        settings: Settings of the run; ``loss="none"`` stores the features of the untrained
            backbone.
        runs: Folder of runs, or its URL. Defaults to ``runs``.
        name: Name of the run. Defaults to the loss, followed by the seed unless it is 0.
        overwrite: Replace a run of the same name, finished or interrupted. Defaults to False.
        keep: Return a finished run of the same name and equal settings as it is, rather than refuse
            to replace it; one of other settings is still refused. Defaults to False.
        evaluate: Embed and evaluate after training. Defaults to True.
        progress: Show progress bars. Defaults to True.
        on: Where the workers of ``distribute="workers"`` run: ``local``, or a Ray cluster, see
            :func:`retrieval.cluster.connection.connected`. Defaults to ``local``.
        watch: Called with the history so far, every few seconds and at the end of training, and
            once with that of a run that is kept. Defaults to None, no call.
        callbacks: Keras callbacks to run in addition to the run's own. Metrics that they add to the
            logs, or replace in them, are recorded in the history. Defaults to none.
        announce: Called with each line that a user may want to read. Defaults to None, no call.

    Returns:
        The run's folder.

    Raises:
        Interrupted: The signal SIGINT has arrived; a ``KeyboardInterrupt`` that says what is saved.
        UserError: Bad settings or data, the run exists (with other settings, if it may be kept; or
            was interrupted with other settings, or is being made by another process), it would not
            fit in memory, or both ``overwrite`` and ``keep`` are given.
    """
    if overwrite and keep:
        raise UserError("overwrite replaces a finished run and keep keeps it: give one of the two")
    check(settings)
    check_place(settings, on)
    path = (
        located(runs)
        / settings.dataset
        / check_run_name(default_name(settings) if name is None else name)
    )
    pull(path)
    if not keep:
        check_free(path, overwrite=overwrite)
    with planned_live(path, settings):
        planned = plan_run(settings, path)
    announce_remarks([planned], announce)
    if keep and path.exists():
        return keep_finished(planned, watch=watch, announce=announce)
    return train_planned(
        planned,
        overwrite=overwrite,
        keep=keep,
        evaluate=evaluate,
        progress=progress,
        on=on,
        watch=watch,
        callbacks=callbacks,
        announce=announce,
    )


def plan_run(settings: TrainSettings, path: Path, catalog: Catalog | None = None) -> PlannedRun:
    """Prepare a run: load its data set and fill in the settings that were left open.

    Args:
        settings: Settings that :func:`retrieval.settings.checks.check` has checked.
        path: The run's final folder.
        catalog: The data set, if it was loaded before. Defaults to loading it.

    Returns:
        The run, ready for :func:`train_planned`.

    Raises:
        UserError: The data set is not there or is damaged, the settings do not fit it, or the
            devices cannot share a batch.
    """
    if catalog is None:
        catalog = catalog_of(settings)
    check_pairs(settings, catalog)
    settings = resolve(settings, catalog)
    if settings.distribute != "none" and settings.loss != UNTRAINED:
        from retrieval.training.devices import strategy_of  # loads TensorFlow

        strategy_of(settings)
    return PlannedRun(path, settings, catalog)


def announce_remarks(planned: Iterable[PlannedRun], announce: Announce | None) -> None:
    """Announce what is known of runs before they are trained, each line once.

    That is what was noticed when their data sets were loaded, and the settings that are known to
    work better than a loss's default. A recipe repeats an experiment as it is.

    Args:
        planned: The runs.
        announce: Called with each line; None for no call.
    """
    if announce is None:
        return
    lines: list[str] = []
    for run in planned:
        lines += run.catalog.remarks
        lines += backbone_remarks(run.settings)
        better = hint(run.settings.loss, run.settings.loss_options)
        if better is not None and run.settings.recipe is None:
            lines.append(better)
    for line in dict.fromkeys(lines):
        announce(line)


def train_planned(
    planned: PlannedRun,
    *,
    overwrite: bool = False,
    keep: bool = False,
    evaluate: bool = True,
    progress: bool = True,
    on: str = LOCAL,
    watch: Callable[[pd.DataFrame], None] | None = None,
    callbacks: Sequence["keras.callbacks.Callback"] = (),
    announce: Announce | None = None,
) -> Path:
    """Train a planned run, or continue it where it was interrupted.

    Args:
        planned: The run; see :func:`plan_run`.
        overwrite: Whether to replace a run of the same name, finished or interrupted. Defaults to
            False.
        keep: Whether to keep the run if another process has finished it meanwhile, see
            :func:`keep_finished`. Defaults to False.
        evaluate: Whether to embed and evaluate after training. Defaults to True.
        progress: Whether to show progress bars. Defaults to True.
        on: Where workers run, see :func:`train`. Defaults to ``local``.
        watch: Called with the history so far, see :func:`train`. Defaults to None, no call.
        callbacks: Further Keras callbacks. Defaults to none.
        announce: Called with each line that a user may want to read. Defaults to None, no call.

    Returns:
        The run's folder.

    Raises:
        UserError: The run exists, was interrupted with other settings, is being made by another
            process, would not fit in memory, or failed.
    """
    path, settings = planned.path, planned.settings
    if on_workers(settings) and (watch is not None or callbacks):
        raise UserError(
            "watch and callbacks act in the process that trains: drop them, or train without "
            "--distribute workers"
        )
    announce_skipped(planned.catalog, announce)
    if not on_workers(settings):  # they have devices of their own
        check_memory(settings, images=training_images(settings, planned.catalog), announce=announce)
    with locked_run(path):
        # Another process may have made it since.
        if keep and path.exists():
            check_finished(path, settings, planned.catalog)
            return path
        check_free(path, overwrite=overwrite)
        folder = partial_path(path)
        was_there = folder.exists()
        catalog = prepare_partial(folder, settings, planned.catalog, overwrite=overwrite)
        try:
            return _complete(
                PlannedRun(path, settings, catalog),
                overwrite=overwrite,
                evaluate=evaluate,
                progress=progress,
                on=on,
                watch=watch,
                callbacks=callbacks,
            )
        except UserError:
            # Refused before it did anything, e.g. by the network: there is nothing to look at.
            live = read_live(folder)
            if not was_there and (live is None or not live.has_worked):
                remove(folder)
            raise


def keep_finished(
    planned: PlannedRun,
    *,
    watch: Callable[[pd.DataFrame], None] | None = None,
    announce: Announce | None = None,
) -> Path:
    """Keep a finished run, if it is the one that is asked for.

    Args:
        planned: The run asked for, whose folder exists.
        watch: Called with the run's history, if it has one. Defaults to None, no call.
        announce: Called with a line that says that the run is kept. Defaults to None, no call.

    Returns:
        The run's folder.

    Raises:
        UserError: The run was made with other settings or other data, which are named.
    """
    path = planned.path
    check_finished(path, planned.settings, planned.catalog)
    settle(path)
    remove_locks(lock_path(path))  # of a process that could not remove its own
    if announce is not None:
        announce(f"{path} exists; kept")
    if watch is not None and len(history := Run(path).history):
        watch(history)
    return path


def check_finished(
    folder: Path, settings: TrainSettings, catalog: Catalog, fix: str = CHOOSE_ANOTHER
) -> None:
    """Check that a finished run is the one that is asked for.

    Args:
        folder: The run's folder.
        settings: The settings asked for, resolved.
        catalog: The data set asked for.
        fix: What to do about another run, as the end of the error. Defaults to the advice for a
            caller of :func:`train`.

    Raises:
        UserError: The run was made with other settings or other data, which are named.
    """
    run = Run(folder)
    if not (folder / "config.yaml").exists() or run.settings is None:
        raise UserError(f"{folder} exists, but was not trained: {fix}")
    before = run.network_settings()
    if names := differing(before, settings):
        shown = ", ".join(f"{k} = {getattr(before, k)}, now {getattr(settings, k)}" for k in names)
        raise UserError(f"{folder} was trained with other settings ({shown}): {fix}")
    if facts := dataset_changes(run.dataset_config, catalog):
        raise UserError(f"{folder} was trained on other data ({', '.join(facts)} differ): {fix}")


def announce_skipped(catalog: Catalog, announce: Announce | None) -> None:
    """Say which images a run goes without, if any.

    Args:
        catalog: The run's data set.
        announce: Called with the line; None for nobody to tell.
    """
    if catalog.skipped and announce is not None:
        fix = f"left out; {counted(len(catalog), 'image')} are used"
        announce(unreadable_message(catalog.root, catalog.skipped, fix))


def resume(
    path: Path | str,
    *,
    checkpoint: str = "latest",
    overwrite: bool = False,
    evaluate: bool = True,
    progress: bool = True,
    skip_unreadable: bool = False,
    on: str = LOCAL,
    announce: Announce | None = None,
) -> Path:
    """Continue an interrupted run from a checkpoint.

    Test images that have become unreadable, or are gone, can be left out. Training images cannot,
    once there is a checkpoint: every later batch would be another one.

    Args:
        path: The run's final folder, or its ``.partial`` folder.
        checkpoint: The checkpoint to continue from: ``latest``, ``best`` or a step; 0 is the start.
            Later ones are removed. Defaults to ``latest``.
        overwrite: Replace a finished run of the same name. Defaults to False.
        evaluate: Embed and evaluate after training. Defaults to True.
        progress: Show progress bars. Defaults to True.
        skip_unreadable: Go on without images that are missing or damaged, as far as that leaves
            the training as it was. Defaults to False, or what the run was started with.
        on: Where workers run, see :func:`train`. Defaults to ``local``.
        announce: Called with each line that a user may want to read. Defaults to None, no call.

    Returns:
        The finished run's folder.

    Raises:
        UserError: There is nothing to continue, a finished run would be replaced, the data set is
            no longer the same, the checkpoint is damaged (the error names another one), or another
            process continues the run.
    """
    path = final_path(located(path))
    pull(path)
    check_interrupted(path, overwrite=overwrite)
    with locked_run(path):
        check_interrupted(path, overwrite=overwrite)  # another process may have finished it since
        started = Run(partial_path(path)).settings
        with planned_live(path, started) if started is not None else nullcontext():
            planned = PlannedRun(path, *read_interrupted(path, skip_unreadable=skip_unreadable))
        check_place(planned.settings, on)
        announce_skipped(planned.catalog, announce)
        return _complete(
            planned,
            overwrite=overwrite,
            evaluate=evaluate,
            progress=progress,
            on=on,
            checkpoint=checkpoint,
        )


def check_place(settings: TrainSettings, on: str) -> None:
    """Refuse a place for workers that is none, or of a run without workers.

    Raises:
        UserError: Names the option and the fix.
    """
    if check_on(on) != LOCAL and not on_workers(settings):
        raise UserError(
            f"--on {on} has no effect without --distribute workers: add it with --workers, or "
            "drop --on"
        )


def _complete(
    planned: PlannedRun,
    *,
    overwrite: bool,
    evaluate: bool,
    progress: bool,
    on: str = LOCAL,
    watch: Callable[[pd.DataFrame], None] | None = None,
    callbacks: Sequence["keras.callbacks.Callback"] = (),
    checkpoint: str = "latest",
) -> Path:
    """Train, embed and evaluate in the partial folder, and publish it."""
    from retrieval.training.devices import describe_devices, gpu_memory  # loads TensorFlow

    folder = partial_path(planned.path)
    with stoppable():
        try:
            record = LiveRecord(
                folder,
                planned.settings,
                # To ask for devices takes hold of them, which the workers of a run need.
                device="" if on_workers(planned.settings) else describe_devices(planned.settings),
                overwrite=overwrite,
                evaluate=evaluate,
                gpu_memory=gpu_memory,
            )
            with live_record(record):
                return _make(
                    planned,
                    overwrite=overwrite,
                    evaluate=evaluate,
                    progress=progress,
                    on=on,
                    watch=watch,
                    callbacks=callbacks,
                    checkpoint=checkpoint,
                    live=record,
                )
        except KeyboardInterrupt as error:
            state = _what_is_saved(planned, overwrite=overwrite, evaluate=evaluate, on=on)
            raise interrupted(error, f": {state}") from None


def _make(
    planned: PlannedRun,
    *,
    overwrite: bool,
    evaluate: bool,
    progress: bool,
    on: str,
    watch: Callable[[pd.DataFrame], None] | None,
    callbacks: Sequence["keras.callbacks.Callback"],
    checkpoint: str,
    live: LiveRecord,
) -> Path:
    """Take the steps of :func:`_complete`, one after the other."""
    from retrieval.training.checkpoints import choose_checkpoint, remove_superseded
    from retrieval.training.devices import say_devices  # loads TensorFlow

    path, settings, catalog = planned.path, planned.settings, planned.catalog
    folder = partial_path(path)
    if copies := catalog.training_copies:
        tqdm.write(f"data set {catalog.name!r}: {copies_caveat(copies)}")
    if on_workers(settings):
        choose_checkpoint(folder / "checkpoints", checkpoint)
        report = train_on_workers(planned, on=on, evaluate=evaluate, progress=progress, live=live)
        seconds, device = report.seconds, report.device
    else:
        say_devices(settings)
        device = live.live.device
        seconds = train_and_embed(
            planned,
            evaluate=evaluate,
            progress=progress,
            watch=watch,
            callbacks=callbacks,
            checkpoint=checkpoint,
            live=live,
        )
    check_stop()
    if evaluate:
        live.enter(EVALUATING)
        with timed(seconds, "evaluate"):
            evaluate_folder(folder, catalog, settings.distance, progress=progress)
    check_stop()
    remove_superseded(folder / "checkpoints")
    config = run_config(settings, catalog, seconds, device=device)
    write_config(folder, config)
    forget_plan(folder)
    live.stop()
    publish(path, overwrite=overwrite)
    return path


def _what_is_saved(planned: PlannedRun, *, overwrite: bool, evaluate: bool, on: str) -> str:
    """Say, for the user of a run that was interrupted, what is on the disk and how to go on.

    This looks at the disk, so that it holds whenever and however the run was interrupted.
    """
    from retrieval.training.checkpoints import rebuilt_index, step_folder

    path, settings = planned.path, planned.settings
    if not partial_path(path).exists():
        return f"{path} is finished"
    checkpoints = partial_path(path) / "checkpoints"
    flags = [*(["--overwrite"] if overwrite and path.exists() else [])]
    flags += [] if evaluate else ["--no-evaluate"]
    flags += [] if on == LOCAL else ["--on", on]
    command = resume_command(path, flags)
    try:
        step = rebuilt_index(checkpoints).get("latest")
    except UserError as error:
        return str(error)
    if settings.loss == UNTRAINED:
        return f"nothing is saved, as nothing is trained; start again with `{command}`"
    if step is None:
        return f"nothing is saved yet, as there is no checkpoint; start again with `{command}`"
    where = f"step {step} of {settings.steps} is saved in {step_folder(checkpoints, step)}"
    return f"{where}; go on with `{command}`"


def embed(
    path: Path | str,
    *,
    test_time: str | None = None,
    test_time_mean: str | None = None,
    checkpoint: str | None = None,
    progress: bool = True,
) -> Path:
    """Embed the test split of a trained run again and evaluate it.

    The new files take the place of the old as a whole: a run that is interrupted here is as it was.

    Args:
        path: A run folder with checkpoints.
        test_time: Test-time views, e.g. ``flip+five_crop``, which become the run's setting.
            Defaults to the run's own.
        test_time_mean: Average over the views, ``normalized`` or ``plain``, which becomes the run's
            setting. Defaults to the run's own.
        checkpoint: The checkpoint to embed with, ``latest`` or ``best``, which becomes the run's
            setting. Defaults to the run's own.
        progress: Show progress bars. Defaults to True.

    Returns:
        The run's folder.

    Raises:
        UserError: There is no run, it was imported rather than trained, it takes no such views, its
            checkpoint is damaged (the error names another one), its data set has changed, or
            another process changes it.
    """
    from retrieval.training.checkpoints import INDEX, rebuilt_index
    from retrieval.training.devices import say_devices
    from retrieval.training.embed_test_split import embed_test_split  # loads TensorFlow

    path = located(path)
    check_there(path)
    with locked_run(path):
        if not (path / "config.yaml").exists():
            raise UserError(f"no run at {path}: train one with `retrieval train`")
        run = Run(path)
        settings = with_views(run.network_settings(), test_time, test_time_mean)
        if checkpoint is not None:
            settings = settings.with_(use_checkpoint=checkpoint)
        catalog = load_catalog_of(run)
        say_devices(settings)
        embeddings, rows = embed_test_split(
            path, settings, catalog, progress=progress, rebuild=checkpoint is not None
        )
        with changed_run(path) as folder:
            if checkpoint is not None:
                write_json(folder / "checkpoints" / INDEX, rebuilt_index(path / "checkpoints"))
            write_embeddings(folder, embeddings, rows)
            if catalog.judgments:  # otherwise, the run keeps those that it was given
                write_judgments(folder, catalog.judgments_of(rows))
            if settings != run.settings:
                write_settings(folder, settings)
            evaluate_folder(folder, catalog, settings.distance, progress=progress)
    return path


def with_views(
    settings: TrainSettings, views: str | None, mean: str | None, *, whole_network: bool = False
) -> TrainSettings:
    """Return a run's settings with other test-time views; a recipe is then marked as changed.

    Args:
        settings: Settings of the run that is embedded again.
        views: Test-time views; None for those of the run.
        mean: Average over the views; None for that of the run, or the default without views.
        whole_network: Whether a frozen backbone is run again, so that it takes views, rather than
            read from the cached features. Defaults to False.

    Raises:
        UserError: Unknown views, or a frozen backbone, whose cached features take none.
    """
    changes = {"test_time": views, "test_time_mean": mean}
    if views == "none" and mean is None:
        changes["test_time_mean"] = "normalized"
    changed = settings.with_(**{k: v for k, v in changes.items() if v is not None})
    frozen = changed.freeze_backbone and changed.loss != UNTRAINED
    if parse_views(changed.test_time) and frozen and not whole_network:
        raise UserError(
            "--test-time has no effect on a run with --freeze-backbone, which is embedded from "
            "cached features: drop it, or embed images into a file with --images and --out"
        )
    if changed != settings and settings.recipe is not None:
        return changed.with_(scaled=True)
    return changed
