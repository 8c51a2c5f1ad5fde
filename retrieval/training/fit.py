"""Train one run: data, network, loss and optimizer of its settings into Keras' ``fit``."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pandas as pd

from retrieval.datasets import dataset_entry
from retrieval.datasets.catalog import Catalog
from retrieval.embedding.embed import embed_features, embed_images
from retrieval.embedding.network import build_network
from retrieval.evaluation import evaluate
from retrieval.evaluation.metrics import measured_in_training
from retrieval.evaluation.protocol import roles_or_none, sides
from retrieval.evaluation.relevance import columns_named
from retrieval.files import check_space
from retrieval.input_pipeline.pipeline import WHOLE_BATCH, naming_unreadable_images
from retrieval.losses import get_loss, recommended_options
from retrieval.models.precision import mixed_precision
from retrieval.progress import stage
from retrieval.projection import save_snapshot
from retrieval.runs.judgments import lists_of
from retrieval.runs.live import CACHING
from retrieval.settings.resolve import batch_size, memory_use, resolved
from retrieval.settings.schema import TrainSettings, matryoshka_widths
from retrieval.training.callbacks import (
    CollapseWarning,
    CSVHistory,
    EarlyStoppingOnHistory,
    ExpectedTime,
    IntervalEnd,
    LiveHistory,
    LiveView,
    ProgressBar,
    RetrievalEvaluation,
    StepCounter,
    TerminateOnNonFiniteLoss,
    TrainingCheckpoint,
)
from retrieval.training.checkpoints import (
    KEPT,
    checkpoint_bytes,
    is_unevaluated,
    list_steps,
    read_index,
    restore_checkpoint,
    save_checkpoint,
)
from retrieval.training.data import TrainingData, batch_dataset, make_sampler, prepare_data
from retrieval.training.devices import strategy_of
from retrieval.training.history import History
from retrieval.training.interruption import Interrupted, deferred
from retrieval.training.live import LiveRecord
from retrieval.training.model import RankingModel
from retrieval.training.optimizers import build_optimizer, build_schedule
from retrieval.training.worker_steps import WorkerSteps, share_state, synchronize_batch_norms
from retrieval.training.workers import Workers


def fit(
    settings: TrainSettings,
    catalog: Catalog,
    folder: Path,
    *,
    progress: bool = True,
    watch: Callable[[pd.DataFrame], None] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    checkpoint: str = "latest",
    live: LiveRecord | None = None,
    workers: Workers | None = None,
) -> keras.Model:
    """Train a run to its last step, from a checkpoint if it has one.

    Args:
        settings: Resolved settings of the run.
        catalog: Data set to train on.
        folder: The (partial) run folder, in which ``history.csv`` and ``checkpoints/`` are written.
        progress: Whether to show progress bars. Defaults to True.
        watch: Function that is called with the history so far every few seconds and at the end.
            Defaults to None.
        callbacks: More Keras callbacks. They act after the evaluation and before the history and
            the checkpoint are written, so that metrics they add to the logs are recorded and can
            be monitored. Defaults to none.
        checkpoint: The checkpoint to continue from: ``latest``, ``best`` or a step; 0 is the start.
            Defaults to ``latest``.
        live: Record of what the training is at. Defaults to None, no record.
        workers: The workers that share the batches, of which this one is the chief; the others call
            :func:`follow`. Defaults to None: this process trains alone.

    Returns:
        The trained network; only the head if the backbone is frozen.

    Raises:
        Interrupted: SIGINT or SIGTERM has arrived in a block of
            :func:`retrieval.training.interruption.stoppable`. The step was finished and is saved.
        ExchangeFailed: Another worker is gone.
        UserError: The devices cannot share a batch equally, the data set does not fit the settings,
            an image cannot be read, a checkpoint is damaged, the disk is too full for the
            checkpoints, or the training diverges.
    """
    if live is not None and settings.freeze_backbone:
        live.enter(CACHING)
    data = prepare_data(catalog, settings, progress=progress)
    model = new_model(settings, data, workers, progress=progress)
    checkpoints = folder / "checkpoints"
    steps_done = restore_checkpoint(checkpoints, model, checkpoint)
    if workers is not None:
        share_state(workers, model, steps_done)
    check_space(folder, checkpoint_bytes(model) * max(1, KEPT + 1 - len(list_steps(checkpoints))))
    history = History(folder / "history.csv", steps_done)
    # A run may be interrupted after it has stopped early; it must not train on.
    stopped_early = history.has_stopped_improving(settings.monitor, settings.patience)
    unevaluated = bool(history.rows) and is_unevaluated(checkpoints, steps_done)
    if (steps_done >= settings.steps and not unevaluated) or stopped_early:
        return model.network
    sampler = make_sampler(settings, data)
    paths, class_names = data.train["path"].to_numpy(), data.train["label_name"].to_numpy()

    def batch_names(step: int) -> list[str]:
        return [f"{paths[row]}: {class_names[row]}" for row in sampler.batch(step)]

    def save_embeddings(embeddings: np.ndarray) -> None:
        save_snapshot(folder, counter.step, embeddings)

    counter = StepCounter(steps_done, settings.steps)
    guard = TerminateOnNonFiniteLoss(counter, batch_names, checkpoints)
    ordered = [counter, guard]
    ordered.append(CollapseWarning(counter))
    if settings.eval_split != "none" or settings.keep_embeddings:
        evaluation = in_training_evaluation(
            model.network, settings, data, save_embeddings, progress=progress
        )
        ordered.append(RetrievalEvaluation(evaluation))
    ordered += [
        *callbacks,
        CSVHistory(counter, history),
        TrainingCheckpoint(counter, checkpoints, settings.monitor),
        EarlyStoppingOnHistory(history, settings.monitor, settings.patience),
    ]
    interval = min(settings.eval_every, settings.steps)
    if live is not None:
        ordered.append(LiveView(counter, live, batch_size(settings), interval))
    if settings.tensorboard:
        ordered.append(keras.callbacks.TensorBoard(str(folder / "tensorboard")))
    if watch is not None:
        ordered.append(LiveHistory(history, watch))
    with naming_unreadable_images(data.image_paths()), contextlib.ExitStack() as stack:
        if progress:
            bar = ProgressBar(counter, settings.loss, settings.monitor)
            stack.callback(bar.close)
            ordered.append(bar)
        ordered += [ExpectedTime(counter, batch_size(settings)), IntervalEnd(counter, interval)]
        try:
            if unevaluated and end_interval(model, ordered, history, interval):
                return model.network
            share = share_of(settings, workers)
            batches = batch_dataset(
                settings,
                data,
                sampler,
                steps_done,
                progress=progress,
                share=share.rows,
                parts=share.parts,
            )
            first, end = steps_done // interval, -(-settings.steps // interval)
            with deferred():
                if workers is not None:
                    WorkerSteps(workers, model, batches, steps_done).fit(
                        ordered, initial_epoch=first, epochs=end, steps_per_epoch=interval
                    )
                else:
                    model.fit(
                        batches,
                        verbose=0,
                        shuffle=False,
                        callbacks=ordered,
                        initial_epoch=first,
                        epochs=end,
                        steps_per_epoch=interval,
                    )
        except Interrupted:
            if counter.step > read_index(checkpoints).get("latest", 0):
                guard.check_weights()
                history.flush()
                ended = counter.step % interval == 0 or counter.step == settings.steps
                save_checkpoint(checkpoints, model, counter.step, unevaluated=ended)
            raise
    return model.network


def follow(settings: TrainSettings, catalog: Catalog, workers: Workers) -> None:
    """Take the steps of a run as a worker that is not the chief.

    It loads nothing from the run's folder and writes nothing to it. After the last step it returns;
    where the chief stops earlier, it waits in a step that never comes until it is ended.

    Args:
        settings: Resolved settings of the run.
        catalog: Data set to train on.
        workers: The workers, of which this one is not the chief.

    Raises:
        ExchangeFailed: Another worker is gone.
        UserError: The devices cannot share a batch equally, or an image cannot be read.
    """
    data = prepare_data(catalog, settings, progress=False)
    model = new_model(settings, data, workers)
    steps_done = share_state(workers, model, 0)
    if steps_done >= settings.steps:
        return
    sampler = make_sampler(settings, data)
    share = share_of(settings, workers)
    with naming_unreadable_images(data.image_paths()):
        batches = batch_dataset(
            settings, data, sampler, steps_done, share=share.rows, parts=share.parts
        )
        steps = WorkerSteps(workers, model, batches, steps_done)
        for _ in range(steps_done, settings.steps):
            steps.take()


class Share(NamedTuple):
    """What a process takes of every batch.

    Attributes:
        rows: Its rows. Defaults to all.
        parts: Number of devices that they are handed out to. Defaults to 1.
    """

    rows: slice = WHOLE_BATCH
    parts: int = 1


def share_of(settings: TrainSettings, workers: Workers | None) -> Share:
    """Return what this process takes of every batch; all of it without other workers."""
    if workers is None:
        return Share()
    return Share(workers.share_of(batch_size(settings)), workers.devices)


def new_model(
    settings: TrainSettings,
    data: TrainingData,
    workers: Workers | None = None,
    *,
    progress: bool = False,
) -> RankingModel:
    """Build the model of a run with its initial weights, in the scope of its strategy.

    Args:
        settings: Resolved settings of the run.
        data: The training data.
        workers: The workers that share the batches, all of which call this. Defaults to None.
        progress: Whether to say so if it takes long. Defaults to False.

    Returns:
        The compiled model.

    Raises:
        UserError: The devices cannot share a batch equally.
    """
    strategy = strategy_of(settings) if workers is None else workers.strategy
    share_of(settings, workers)  # refuses before anything takes time
    keras.utils.set_random_seed(settings.seed)
    with (
        stage("building the network", show=progress),
        strategy.scope() if strategy else contextlib.nullcontext(),
    ):
        model = build_ranking_model(settings, data)
    if workers is not None:
        synchronize_batch_norms(model.network)
    return model


def end_interval(
    model: RankingModel,
    callbacks: Sequence[keras.callbacks.Callback],
    history: History,
    interval: int,
) -> bool:
    """Do what a run that was stopped after the last step of an interval has not done at its end.

    Args:
        model: The model, as it was after that step.
        callbacks: The callbacks of the run, the step counter first.
        history: The history up to that step.
        interval: Number of steps of an interval.

    Returns:
        Whether the training is finished.
    """
    counter = callbacks[0]
    epoch = -(-counter.step // interval) - 1
    rows = pd.DataFrame(history.rows[interval * epoch :])
    all_of_them = keras.callbacks.CallbackList(list(callbacks), model=model)
    model.stop_training = False
    all_of_them.on_train_begin()
    with deferred():
        all_of_them.on_epoch_end(epoch, rows[["loss", "spread"]].mean().to_dict())
    finished = model.stop_training or counter.step >= counter.total
    if finished:
        all_of_them.on_train_end()
    return finished


def build_ranking_model(settings: TrainSettings, data: TrainingData) -> RankingModel:
    """Build the network, loss and optimizer of a run, with all variables, ready to be restored.

    Args:
        settings: Resolved settings of the run.
        data: The training data, for the number of classes and the width of frozen features.

    Returns:
        The compiled model.
    """
    width = None if data.features is None else data.features.shape[1]
    loss = get_loss(
        settings.loss,
        cross_batch_memory=memory_options(settings),
        matryoshka=matryoshka_options(settings),
        **loss_options(settings),
    )
    loss.build(int(data.classes.max()) + 1, settings.embedding_size)
    multipliers = {"backbone": settings.backbone_multiplier}
    if settings.layer_decay != 1:
        multipliers["layer_decay"] = settings.layer_decay
    if settings.loss_multiplier is not None:
        multipliers["loss"] = settings.loss_multiplier
    with mixed_precision(settings.mixed_precision):
        network = build_network(settings, width)
        model = RankingModel(
            network,
            loss,
            settings.freeze_steps,
            multipliers,
            settings.chunk_size,
            freeze_batch_norm_steps=settings.freeze_batch_norm_steps,
        )
    learning_rate = build_schedule(
        settings.schedule,
        settings.learning_rate,
        settings.steps,
        warmup_steps=settings.warmup_steps,
        decay_every=settings.decay_every,
        decay_factor=settings.decay_factor,
    )
    optimizer = build_optimizer(
        settings.optimizer,
        learning_rate,
        epsilon=settings.epsilon,
        weight_decay=settings.weight_decay,
        clip_norm=settings.clip_norm,
    )
    # XLA, Keras' default on a GPU, needs static shapes; that of the last chunk is not static.
    model.compile(optimizer=optimizer, jit_compile=False if settings.chunk_size else "auto")
    # Not `optimizer`: in float16, Keras wraps it in one that scales the loss.
    model.optimizer.build(model.trainable_variables)
    model.logs_steps = True  # the history has a row per step
    return model


def loss_options(settings: TrainSettings) -> dict:
    """Return the options of a run's loss; random ones get the run's seed by default.

    With the loss's own default, repeats over seeds would share their initial proxies and their
    draws, and look more alike than they are.
    """
    seed = {"seed": settings.seed} if "seed" in recommended_options(settings.loss) else {}
    return seed | settings.loss_options


def memory_options(settings: TrainSettings) -> dict | None:
    """Return size in rows, start and weight of the cross-batch memory; None without a memory."""
    if not settings.memory_batches:
        return None
    use = memory_use(settings)
    return {
        "size": settings.memory_batches * batch_size(settings),
        "start": use["memory_start"],
        "weight": use["memory_weight"],
    }


def matryoshka_options(settings: TrainSettings) -> dict | None:
    """Return the widths of a Matryoshka loss, and whether cut embeddings are normalized.

    They are where the network normalizes the embedding. None for the whole embedding alone.
    """
    widths = matryoshka_widths(settings)
    return {"widths": widths, "normalize": resolved(settings.normalize)} if widths else None


def in_training_evaluation(
    network: keras.Model,
    settings: TrainSettings,
    data: TrainingData,
    save_embeddings: Callable[[np.ndarray], None],
    *,
    progress: bool = False,
) -> Callable[[], dict[str, float]]:
    """Return a function that evaluates the network as it is when it is called.

    The held-out items are scored under the protocol that is the finished run's primary one: query
    -> gallery on a test split that has roles, as In-shop's, and leave-one-out otherwise. What the
    data set's official protocol leaves out is left out, on a validation split too, and what it
    judges is judged. All metrics come from one search, with the run's distance and without
    confidence intervals.

    Args:
        network: The network in training.
        settings: Resolved settings of the run.
        data: The training data with the held-out rows.
        save_embeddings: Function that is given the embeddings (n, D), float32, of the test split,
            if the settings say to keep them.
        progress: Whether to show a progress bar while images are embedded. Defaults to False.

    Returns:
        Function without arguments that returns metrics by name; none if nothing is held out.
    """

    def embed(rows: pd.DataFrame) -> np.ndarray:
        if data.features is not None:
            return embed_features(network, data.features[rows.index])
        return embed_images(network, data.catalog, rows, settings, progress=progress)

    rules = (
        {}
        if data.held_out is None
        else official_rules(settings.dataset, data.catalog, data.held_out)
    )

    def run() -> dict[str, float]:
        metrics, held_out = {}, None
        if data.held_out is not None:
            held_out = embed(data.held_out)
            labels = data.held_out["label"].to_numpy()
            ks, distance = dataset_entry(settings.dataset).ks, settings.distance
            # The items of a validation split have no roles of their own.
            roles = data.held_out["role"].to_numpy(dtype=object)
            result = evaluate(
                held_out,
                labels,
                roles_or_none(roles),
                ks,
                distance,
                k_neighbors=0,
                n_bootstrap=0,
                n_init=1,
                single_search=True,
                progress=progress,
                **rules,
            )
            found = result.metrics  # without those that do not exist
            metrics = {name: found[name] for name in measured_in_training(ks) if name in found}
        if settings.keep_embeddings:
            of_test = held_out if settings.eval_split == "test" else None
            if of_test is None:
                of_test = embed(data.catalog.split("test"))
            save_embeddings(of_test)
        return metrics

    return run


def official_rules(dataset: str, catalog: Catalog, rows: pd.DataFrame) -> dict[str, Any]:
    """Return what the official protocol of a data set says about an evaluation of some items.

    Args:
        dataset: Name of the data set in the registry.
        catalog: The data set.
        rows: The rows to evaluate: its test split, or held-out training classes, for which nothing
            is judged.

    Returns:
        Options of :func:`retrieval.evaluation.evaluate`: columns of which items are left out, and
        the lists of the primary protocol if the data set judges items.
    """
    entry = dataset_entry(dataset)
    rules: dict[str, Any] = {
        option: columns_named(option, names, rows)
        for option in ("exclude_same", "junk_same")
        if (names := getattr(entry, option))
    }
    if catalog.judgments and (rows["split"] == "test").all():
        parts = sides(len(rows), roles_or_none(rows["role"].to_numpy(dtype=object)))
        rules |= lists_of(catalog.judgments_of(rows)[0], parts)
    return rules
