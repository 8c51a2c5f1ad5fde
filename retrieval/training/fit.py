"""Train one run: batches, network, loss and optimizer into Keras' ``fit``."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from retrieval.datasets import DATASETS
from retrieval.datasets.catalog import Catalog
from retrieval.embedding.embed import embed_features, embed_images
from retrieval.embedding.network import build_network
from retrieval.evaluation import evaluate
from retrieval.evaluation.metrics import measured_in_training
from retrieval.input_pipeline.pipeline import naming_unreadable_images
from retrieval.losses import get_loss, recommended_options
from retrieval.models.precision import mixed_precision
from retrieval.projection import save_snapshot
from retrieval.sampling import PKSampler
from retrieval.settings.resolve import memory_use
from retrieval.settings.schema import TrainSettings
from retrieval.training.callbacks import (
    Clock,
    Evaluate,
    Guard,
    Progress,
    RecordSteps,
    SaveCheckpoint,
    Watch,
    out_of_patience,
)
from retrieval.training.checkpoints import restore_checkpoint
from retrieval.training.data import TrainingData, batch_dataset, make_sampler, prepare_data
from retrieval.training.devices import strategy_of
from retrieval.training.history import History
from retrieval.training.model import RankingModel
from retrieval.training.optimizers import build_optimizer, build_schedule


def fit(
    settings: TrainSettings,
    catalog: Catalog,
    folder: Path,
    *,
    progress: bool = True,
    watch: Callable[[pd.DataFrame], None] | None = None,
) -> keras.Model:
    """Train until ``settings.steps``, continuing from ``folder``'s latest checkpoint if any.

    Args:
        settings: Resolved settings.
        catalog: The data set.
        folder: The (partial) run folder: ``history.csv`` and ``checkpoints/`` go there.
        progress: Show progress bars.
        watch: Called with the history so far, every few seconds and at the end.

    Returns:
        The trained network (head only where the backbone is frozen).

    Raises:
        UserError: Several devices cannot share a batch; or what training itself refuses.
    """
    strategy = strategy_of(settings)
    data = prepare_data(catalog, settings, progress=progress)
    keras.utils.set_random_seed(settings.seed)
    with strategy.scope() if strategy else contextlib.nullcontext():
        model = build_ranking_model(settings, data)
    done = restore_checkpoint(folder / "checkpoints", model)
    # A run that was killed after it had stopped early must not go on.
    history = History(folder / "history.csv", done)
    if done < settings.steps and not out_of_patience(history, settings.monitor, settings.patience):
        _train_from(done, model, settings, data, folder, progress, watch)
    return model.network


def build_ranking_model(settings: TrainSettings, data: TrainingData) -> RankingModel:
    """Build network, loss and optimizer, all variables made, ready for ``fit`` or a restore."""
    width = None if data.features is None else data.features.shape[1]
    loss = get_loss(
        settings.loss, cross_batch_memory=memory_options(settings), **loss_options(settings)
    )
    loss.build(int(data.classes.max()) + 1, settings.embedding_size)
    multipliers = {"backbone": settings.backbone_multiplier, "loss": settings.loss_multiplier}
    if settings.loss_multiplier is None:
        multipliers["loss"] = loss.learning_rate_multiplier
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
    rate = build_schedule(
        settings.schedule,
        settings.learning_rate,
        settings.steps,
        warmup_steps=settings.warmup_steps,
    )
    optimizer = build_optimizer(
        settings.optimizer,
        rate,
        weight_decay=settings.weight_decay,
        clip_norm=settings.clip_norm,
    )
    # XLA, Keras' choice on a GPU, needs shapes that are known: the last chunk's is not.
    model.compile(optimizer=optimizer, jit_compile=False if settings.chunk_size else "auto")
    # The model's, not ours: float16 wraps it in one that scales the loss.
    model.optimizer.build(network.trainable_variables + model.loss_weights)
    return model


def loss_options(settings: TrainSettings) -> dict:
    """Return the options of the run's loss; what it draws has the run's seed unless it was given.

    Else repeats over seeds would share their proxies and draws, and look more alike than they are.
    """
    own = {"seed": settings.seed} if "seed" in recommended_options(settings.loss) else {}
    return own | settings.loss_options


def memory_options(settings: TrainSettings) -> dict | None:
    """Return size in rows, start and weight of the cross-batch memory, None without one."""
    if not settings.memory_batches:
        return None
    batch = settings.classes_per_batch * settings.samples_per_class
    use = memory_use(settings)
    return {
        "size": settings.memory_batches * batch,
        "start": use["memory_start"],
        "weight": use["memory_weight"],
    }


def _train_from(
    done: int,
    model: RankingModel,
    settings: TrainSettings,
    data: TrainingData,
    folder: Path,
    progress: bool,
    watch: Callable[[pd.DataFrame], None] | None,
) -> None:
    sampler = make_sampler(settings, data)
    interval = min(settings.eval_every, settings.steps)
    callbacks = run_callbacks(model, settings, data, folder, done, sampler)
    if watch is not None:
        callbacks.append(Watch(callbacks[0].history, watch))
    with naming_unreadable_images(data.image_paths()), contextlib.ExitStack() as stack:
        if progress:
            bar = Progress(callbacks[0].clock, settings.loss, settings.monitor)
            stack.callback(bar.close)
            callbacks.append(bar)
        model.fit(
            batch_dataset(settings, data, sampler, done, progress=progress),
            verbose=0,
            shuffle=False,
            callbacks=callbacks,
            initial_epoch=done // interval,
            epochs=-(-settings.steps // interval),
            steps_per_epoch=interval,
        )


def run_callbacks(
    model: RankingModel,
    settings: TrainSettings,
    data: TrainingData,
    folder: Path,
    done: int,
    sampler: PKSampler,
) -> list:
    """Return the callbacks of a run, in the order they must act (see :mod:`callbacks`)."""
    clock, history = Clock(done, settings.steps), History(folder / "history.csv", done)
    paths, names = data.train["path"].to_numpy(), data.train["label_name"].to_numpy()

    def batch_names(step: int) -> list[str]:
        return [f"{paths[r]}: {names[r]}" for r in sampler.batch(step)]

    def keep(embeddings: np.ndarray) -> None:
        save_snapshot(folder, clock.step, embeddings)

    checkpoints = folder / "checkpoints"
    callbacks = [
        RecordSteps(clock, history),
        Guard(clock, batch_names, checkpoints),
        Evaluate(clock, history, in_training_evaluation(model.network, settings, data, keep)),
        SaveCheckpoint(clock, history, checkpoints, settings.monitor, settings.patience),
    ]
    if settings.tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(str(folder / "tensorboard")))
    return callbacks


def in_training_evaluation(
    network: keras.Model,
    settings: TrainSettings,
    data: TrainingData,
    keep: Callable[[np.ndarray], None],
) -> Callable[[], dict[str, float]] | None:
    """Return a function that evaluates the network as it is now, or None if not wanted.

    The held-out rows are scored leave-one-out, with the run's distance and no intervals. Where the
    settings want them, the test split's embeddings (n, D), float32, are given to ``keep``.
    """
    if data.held_out is None and not settings.keep_embeddings:
        return None

    def embed(rows: pd.DataFrame) -> np.ndarray:
        if data.features is not None:
            return embed_features(network, data.features[rows.index])
        return embed_images(network, data.catalog, rows, settings, progress=False)

    def run() -> dict[str, float]:
        held_out = None if data.held_out is None else embed(data.held_out)
        if settings.keep_embeddings:
            on_test = settings.eval_split == "test"
            keep(held_out if on_test else embed(data.catalog.split("test")))
        if held_out is None:
            return {}
        labels = data.held_out["label"].to_numpy()
        ks, distance = DATASETS[settings.dataset].ks, settings.distance
        result = evaluate(held_out, labels, None, ks, distance, k_neighbors=10, n_bootstrap=0)
        return {name: result.metrics[name] for name in measured_in_training(ks)}

    return run
