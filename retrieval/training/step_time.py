"""How long trainings take on this machine, measured over a few steps before any is begun."""

import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import tensorflow as tf

from retrieval.datasets import dataset_entry
from retrieval.datasets.catalog import Catalog, crop_boxes
from retrieval.embedding.features import has_features
from retrieval.embedding.network import frozen_backbone
from retrieval.embedding.pretrained import missing_weights
from retrieval.files import cache_folder, fingerprint, write_json
from retrieval.input_pipeline.pipeline import eval_dataset, train_dataset
from retrieval.losses import LOSSES
from retrieval.models import backbone_of
from retrieval.settings.resolve import input_size, resolve, resolved
from retrieval.settings.schema import TrainSettings
from retrieval.training.callbacks import StepClock
from retrieval.training.data import TrainingData
from retrieval.training.devices import describe_devices, find_gpus
from retrieval.training.fit import build_ranking_model

SKIPPED, STEPS = 1, 2  # steps that build graphs, and steps that are counted
IMAGES = 8  # of a measured batch on the CPU, whose time grows with the images
# Trainings that agree in these take equally long for an image.
TIMED = (
    "backbone", "pooling", "head", "embedding_size", "image_size", "pre_crop", "augment", "flip",
    "freeze_backbone", "optimizer", "mixed_precision", "chunk_size", "distribute", "memory_batches",
    "matryoshka", "lora_rank", "lora_layers",
)  # fmt: skip


@dataclass(frozen=True)
class StepTime:
    """A measurement.

    Attributes:
        images: Number of images of a measured batch.
        step: Seconds of a step with such a batch.
        embedding: Seconds to compute the features of an image; 0 if the backbone is trained.
        device: What was measured on, in words.
        measured: Date of the measurement, ISO 8601.
    """

    images: int
    step: float
    embedding: float
    device: str
    measured: str

    def of_training(self, settings: TrainSettings) -> float:
        """Return the expected seconds of all steps of a training, without evaluations.

        Args:
            settings: Settings of the training, resolved or not.
        """
        return settings.steps * self.of_step(settings)

    def of_step(self, settings: TrainSettings) -> float:
        """Return the expected seconds of a step."""
        return self.step * math.prod(wanted_batch(settings)) / self.images


def wanted_batch(settings: TrainSettings) -> tuple[int, int]:
    """Return P and K as they are with enough classes, of settings that are resolved or not."""
    entry = LOSSES[settings.loss]
    return (
        settings.classes_per_batch or entry.classes_per_batch,
        settings.samples_per_class or entry.samples_per_class,
    )


def feature_seconds(time_: StepTime, settings: TrainSettings, catalog: Catalog) -> float:
    """Return how long the features of a whole data set take, unless they are in the cache.

    Args:
        time_: The measurement.
        settings: Resolved settings of a training whose backbone is frozen.
        catalog: The data set; of a placeholder, the published number of images counts.
    """
    if not settings.freeze_backbone or has_features(catalog, settings):
        return 0.0
    return time_.embedding * (dataset_entry(catalog.name).n_images or len(catalog))


def step_time(settings: TrainSettings, catalog: Catalog) -> StepTime:
    """Measure a training over a few steps, or read an earlier measurement on this machine.

    The steps are those of the training: its network, loss, optimizer and input, with images of the
    data set chosen at random. On the CPU the batches are small, since time grows with the images.

    Args:
        settings: Settings of a training that :func:`retrieval.settings.checks.check` has checked.
        catalog: The data set.

    Returns:
        The measurement, which is kept in the cache.

    Raises:
        UserError: The settings do not fit the data set, or an image cannot be read.
    """
    batch = wanted_batch(settings)
    settings = resolve(settings, catalog)
    device = describe_devices(settings)
    file = cache_folder("step_times") / f"{_key(settings, device)}.json"
    if (known := _read(file)) is not None:
        return known
    if missing_weights(settings.backbone, settings.weights, settings.image_size):
        settings = settings.with_(weights="none")  # as fast as the right ones
    embedding = 0.0
    if settings.freeze_backbone:
        embedding = _embedding_seconds(settings, catalog)
    images, seconds = _measure(settings, catalog, *batch)
    found = StepTime(images, seconds, embedding, device, time.strftime("%Y-%m-%d"))
    write_json(file, asdict(found))
    return found


def _key(settings: TrainSettings, device: str) -> str:
    return fingerprint(device, [getattr(settings, name) for name in TIMED])


def _read(file: Path) -> StepTime | None:
    try:
        return StepTime(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # not there, damaged, or of another version
        return None


def _measure(settings: TrainSettings, catalog: Catalog, p: int, k: int) -> tuple[int, float]:
    """Return the number of images of a measured batch, and the seconds of its step."""
    if not (settings.freeze_backbone or find_gpus()):
        least = max(IMAGES, 2 * settings.chunk_size)  # in chunks as the whole batch
        p = min(p, max(2, -(-least // k)))
    labels = np.repeat(np.arange(p, dtype=np.int32), k)
    train = catalog.split("train").reset_index(drop=True)
    classes = max(p, train["label"].nunique())
    features = None
    if settings.freeze_backbone:
        width = backbone_of(settings.backbone).feature_size
        if width is None:
            width = int(frozen_backbone(settings.with_(weights="none")).output_shape[-1])
        features = np.zeros((len(labels), width), np.float32)
    # What the model is built from: the number of classes and the width of the features.
    outline = TrainingData(catalog, pd.DataFrame({"label": np.arange(classes)}), None, features)
    model = build_ranking_model(settings, outline)
    rows = np.random.default_rng(0).integers(len(train), size=(SKIPPED + STEPS, len(labels)))
    clock = StepClock(skipped=SKIPPED, steps=STEPS, seconds=0.0)
    model.fit(
        _batches(settings, catalog, train, rows, labels, features),
        verbose=0,
        shuffle=False,
        steps_per_epoch=len(rows),
        callbacks=[clock],
    )
    return len(labels), resolved(clock.each)


def _batches(
    settings: TrainSettings,
    catalog: Catalog,
    train: pd.DataFrame,
    rows: np.ndarray,
    labels: np.ndarray,
    features: np.ndarray | None,
) -> tf.data.Dataset:
    """Return the measured batches of images, or of the features of a frozen backbone."""
    if features is not None:
        return tf.data.Dataset.from_tensors((features, labels)).repeat(len(rows))
    data = train_dataset(
        catalog.absolute_paths(train),
        np.zeros(len(train), np.int32),
        rows,
        size=input_size(settings),
        pre_crop=settings.pre_crop,
        flip=resolved(settings.flip),
        augment=settings.augment,
        crop_area=settings.crop_area,
        boxes=crop_boxes(train),
    )
    return data.map(lambda images, _: (images, labels))


def _embedding_seconds(settings: TrainSettings, catalog: Catalog) -> float:
    """Return how long a frozen backbone takes for an image, from file to features."""
    backbone = frozen_backbone(settings)
    paths = catalog.absolute_paths()
    chosen = [paths[i % len(paths)] for i in range(IMAGES * (1 + STEPS))]
    begun = 0.0
    boxes = crop_boxes(catalog.items)
    if boxes is not None:
        boxes = boxes[[i % len(paths) for i in range(len(chosen))]]
    batches = eval_dataset(
        chosen,
        size=input_size(settings),
        pre_crop=settings.pre_crop,
        batch_size=IMAGES,
        boxes=boxes,
    )
    for number, images in enumerate(batches):
        if number == 1:  # the first batch builds the graph
            begun = time.monotonic()
        backbone.predict_on_batch(images)
    return (time.monotonic() - begun) / (IMAGES * STEPS)
