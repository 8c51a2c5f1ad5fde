"""One trial: a network trained on every fold, and stopped if others were better at that point.

A trial depends on its arguments alone. So its result is the same in this process, in another, and
on another machine, whatever else runs or ran there.
"""

import functools
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from retrieval.datasets.catalog import Catalog
from retrieval.embedding.embed import embed_features, embed_images
from retrieval.embedding.features import backbone_features
from retrieval.evaluation import evaluate
from retrieval.runs.tuning import COMPLETE, DIVERGED, STOPPED, TrialResult
from retrieval.settings.resolve import catalog_of, resolve
from retrieval.settings.schema import TrainSettings
from retrieval.training.data import TrainingData, batch_dataset, make_sampler
from retrieval.training.fit import build_ranking_model, official_rules
from retrieval.training.model import RankingModel
from retrieval.tuning.folds import Fold, fold_catalog

CHECKS = 2  # evaluations of a fold: in the middle of the training, and at its end


@dataclass(frozen=True)
class Prepared:
    """A data set as all trials use it.

    Attributes:
        catalog: The data set.
        features: float32, (len(catalog), F), features of all items if the backbone is frozen; None
            otherwise.
    """

    catalog: Catalog
    features: np.ndarray | None


def prepare(settings: TrainSettings) -> Prepared:
    """Load the data set, and the features of a frozen backbone, once per process.

    Args:
        settings: Settings that all trials share; those of the loss do not matter.
    """
    content = _content(settings)
    features = _features(content) if settings.freeze_backbone else None
    return Prepared(_catalog(content), features)


def catalog_of_trials(settings: TrainSettings) -> Catalog:
    """Load the data set once per process.

    Args:
        settings: Settings that all trials share.
    """
    return _catalog(_content(settings))


def _content(settings: TrainSettings) -> str:
    shared = settings.with_(loss_options={}, loss_multiplier=None, normalize=None)
    return json.dumps(shared.to_mapping(), sort_keys=True)


@functools.lru_cache(maxsize=1)
def _catalog(content: str) -> Catalog:
    return catalog_of(TrainSettings.from_mapping(json.loads(content)))


@functools.lru_cache(maxsize=1)
def _features(content: str) -> np.ndarray:
    catalog = _catalog(content)
    settings = resolve(TrainSettings.from_mapping(json.loads(content)), catalog)
    return np.asarray(backbone_features(catalog, settings))


def run_trial(
    *,
    base: Mapping[str, Any],
    changes: Mapping[str, Any],
    folds: Sequence[Fold],
    metric: str,
    least: Sequence[float | None],
) -> TrialResult:
    """Train on every fold in turn, and evaluate the classes that it holds out.

    Args:
        base: Settings that all trials share, as a mapping.
        changes: Settings of this one.
        folds: The classes that each fold holds out.
        metric: Name of the metric.
        least: For each evaluation in turn, the value below which the trial is stopped; None stops
            it nowhere.

    Returns:
        The values and what they cost.
    """
    shared = TrainSettings.from_mapping(base)
    settings = TrainSettings.from_mapping({**base, **changes})
    prepared = prepare(shared)
    start, steps, state = time.perf_counter(), 0, COMPLETE
    values: list[list[float]] = []
    for number, fold in enumerate(folds):
        values.append([])
        seeded = settings.with_(seed=settings.seed + number)
        for value, steps_taken in fold_values(seeded, prepared, fold, metric):
            steps += steps_taken
            if value is None:
                state = DIVERGED
                break
            values[-1].append(value)
            place = number * CHECKS + len(values[-1]) - 1
            bound = least[place] if place < len(least) else None
            if bound is not None and value < bound and place < len(folds) * CHECKS - 1:
                state = STOPPED
                break
        if state != COMPLETE:
            break
    keras.backend.clear_session()  # or the graphs of all trials stay in memory
    return TrialResult(state, tuple(map(tuple, values)), steps, time.perf_counter() - start)


def fold_values(
    settings: TrainSettings, prepared: Prepared, held_out: Fold, metric: str
) -> Iterator[tuple[float | None, int]]:
    """Train on the other classes; evaluate those held out, in the middle and at the end.

    Args:
        settings: Settings of the trial.
        prepared: The data set.
        held_out: Labels of the classes to evaluate.
        metric: Name of the metric.

    Yields:
        The value, None if the training has diverged, and the steps taken since the last one.
    """
    catalog = fold_catalog(prepared.catalog, held_out)
    settings = resolve(settings, catalog)
    held = catalog.split("validation")
    data = TrainingData(catalog, catalog.split("train"), held, prepared.features)
    keras.utils.set_random_seed(settings.seed)
    model = build_ranking_model(settings, data)
    # The steps of `fit` without its callbacks and its second graph, which TensorFlow never frees.
    take_step = tf.function(model.train_step)
    sampler = make_sampler(settings, data)
    done = 0
    rules = official_rules(settings.dataset, catalog, held)
    for check in range(1, CHECKS + 1):
        until = settings.steps * check // CHECKS
        if until > done:
            batches = batch_dataset(settings.with_(steps=until), data, sampler, done)
            for batch in batches:
                take_step(batch)
        if not is_finite(model):
            yield None, until - done
            return
        if prepared.features is not None:
            embeddings = embed_features(model.network, prepared.features[held.index])
        else:
            embeddings = embed_images(model.network, catalog, held, settings, progress=False)
        found = evaluate(
            embeddings,
            held["label"].to_numpy(),
            None,
            distance=settings.distance,
            k_neighbors=0,
            n_bootstrap=0,
            kmeans="none",
            progress=False,
            **rules,
        )
        yield float(found.metrics[metric]), until - done
        done = until


def is_finite(model: RankingModel) -> bool:
    """Tell whether all weights of a network and its loss are finite."""
    weights = [*model.network.get_weights(), *(np.asarray(v) for v in model.loss_weights)]
    return all(bool(np.isfinite(each).all()) for each in weights)
