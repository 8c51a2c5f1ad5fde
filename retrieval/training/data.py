"""The data of a run in training: its training rows, its held-out rows, and the batches."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm.auto import tqdm

from retrieval.datasets.catalog import Catalog, crop_boxes
from retrieval.embedding.features import backbone_features
from retrieval.input_pipeline.pipeline import WHOLE_BATCH, train_dataset
from retrieval.sampling import PKSampler
from retrieval.settings.resolve import held_out_caveat, held_out_count, input_size, resolved
from retrieval.settings.schema import TrainSettings


@dataclass(frozen=True)
class TrainingData:
    """The rows of a data set that a run trains on and is evaluated on while it trains.

    Attributes:
        catalog: Data set to train on.
        train: Rows of the catalog to train on.
        held_out: Rows to evaluate on during training; None without such an evaluation.
        features: float32, (len(catalog), F), features of all items if the backbone is frozen;
            None otherwise.
    """

    catalog: Catalog
    train: pd.DataFrame
    held_out: pd.DataFrame | None
    features: np.ndarray | None

    @property
    def classes(self) -> np.ndarray:
        """Class index 0..C-1 of each training row, int32 (n,)."""
        return np.unique(self.train["label"], return_inverse=True)[1].astype(np.int32)

    def image_paths(self) -> list[str]:
        """Return the files that training reads: none if the backbone is frozen."""
        return [] if self.features is not None else self.catalog.absolute_paths(self.train)


def prepare_data(catalog: Catalog, settings: TrainSettings, *, progress: bool) -> TrainingData:
    """Choose the rows to train on and to evaluate on; extract the features of a frozen backbone.

    Args:
        catalog: Data set to train on.
        settings: Resolved settings of the run.
        progress: Whether to show a progress bar while features are extracted.

    Returns:
        The data of the run.

    Raises:
        UserError: Too few classes to hold any out for validation, or no checkpoint can be chosen by
            those held out.
    """
    train, held_out = catalog.split("train"), None
    if settings.eval_split == "test":
        held_out = catalog.split("test")
    elif settings.eval_split == "validation":
        if catalog.has_validation:
            held_out = catalog.split("validation")
        else:
            train, held_out = hold_out_classes(train, settings.validation_fraction, settings.seed)
    if held_out is not None and (line := held_out_caveat(settings, held_out["label"].to_numpy())):
        tqdm.write(line)
    features = None
    if settings.freeze_backbone:
        features = backbone_features(catalog, settings, progress=progress)
    return TrainingData(catalog, train, held_out, features)


def hold_out_classes(
    train: pd.DataFrame, fraction: float, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Hold out a random part of the classes for validation.

    Args:
        train: Rows of the training split.
        fraction: Part of the classes to hold out, between 0 and 1.
        seed: Seed of the choice.

    Returns:
        The rows of the remaining classes, and those of the held-out classes.

    Raises:
        UserError: Too few classes to hold any out.
    """
    classes = np.sort(train["label"].unique())
    count = held_out_count(len(classes), fraction)
    chosen = np.random.default_rng(seed).permutation(classes)[:count]
    held = train["label"].isin(chosen)
    return train[~held], train[held]


def make_sampler(settings: TrainSettings, data: TrainingData) -> PKSampler:
    """Return the P x K sampler of a run, whose batches depend only on the seed and the step."""
    super_labels = None
    if settings.same_super_class:
        super_labels = data.train["super_label"].to_numpy()
    return PKSampler(
        data.classes,
        resolved(settings.classes_per_batch),
        resolved(settings.samples_per_class),
        seed=settings.seed,
        super_labels=super_labels,
    )


def first_batch(
    settings: TrainSettings, catalog: Catalog
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the first batch of a training as its network sees it.

    A frozen backbone sees its images without crops or flips, once; they are returned like that.

    Args:
        settings: Resolved settings of the run.
        catalog: Data set to train on.

    Returns:
        Images uint8 (B, S, S, 3), class indices (B,) and names of the classes (B,).
    """
    train = catalog.split("train")
    if settings.eval_split == "validation" and not catalog.has_validation:
        train, _ = hold_out_classes(train, settings.validation_fraction, settings.seed)
    data = TrainingData(catalog, train, None, None)
    sampler = make_sampler(settings, data)
    if settings.freeze_backbone:
        settings = settings.with_(flip=False, augment="none")
    batches = batch_dataset(settings.with_(steps=1, cache_images_gb=0.0), data, sampler, 0)
    images, labels = next(iter(batches.as_numpy_iterator()))
    return images, labels, train["label_name"].to_numpy()[sampler.batch(0)]


def batch_dataset(
    settings: TrainSettings,
    data: TrainingData,
    sampler: PKSampler,
    first_step: int,
    *,
    progress: bool = False,
    share: slice = WHOLE_BATCH,
    parts: int = 1,
) -> tf.data.Dataset:
    """Return the batches of all steps from ``first_step`` to the last.

    Args:
        settings: Resolved settings of the run.
        data: Rows and, for a frozen backbone, their features.
        sampler: Draws row numbers of ``data.train``.
        first_step: Number of steps already taken.
        progress: Whether to show a progress bar while images are decoded into memory. Defaults to
            False.
        share: The rows of each batch that this worker takes. Defaults to all.
        parts: Number of devices of this worker, which get the parts of its share in turn. Defaults
            to 1.

    Returns:
        Pairs of inputs (b, ...) and class indices (b,), int32; b = B unless batches are shared.
    """
    rows = np.stack([sampler.batch(step) for step in range(first_step, settings.steps)])
    if data.features is None:
        return train_dataset(
            data.catalog.absolute_paths(data.train),
            data.classes,
            rows,
            size=input_size(settings),
            pre_crop=settings.pre_crop,
            flip=resolved(settings.flip),
            augment=settings.augment,
            crop_area=settings.crop_area,
            seed=settings.seed,
            first_step=first_step,
            cache_gb=settings.cache_images_gb,
            boxes=crop_boxes(data.train),
            progress=progress,
            share=share,
            parts=parts,
        )
    rows = rows[:, share].reshape(parts * len(rows), -1)
    features = tf.constant(np.asarray(data.features[data.train.index]))
    classes = tf.constant(data.classes)
    return (
        tf.data.Dataset.from_tensor_slices(rows.astype(np.int32))
        .map(
            lambda r: (tf.gather(features, r), tf.gather(classes, r)),
            num_parallel_calls=2,
            deterministic=True,
        )
        .prefetch(8)
    )
