"""Every setting of a training run, in one validated dataclass; the CLI's flags are made from it.

Turn a setting's value, as YAML or a caller gave it, into the type its field declares.
"""

import dataclasses
import math
import numbers
import os
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from retrieval.errors import UserError, unknown_option
from retrieval.validation import (
    Augmentation,
    Checkpoint,
    Distance,
    Distribution,
    EvaluationSplit,
    Optimizer,
    Pooling,
    Schedule,
    ViewMean,
    check_choice,
    check_number,
    check_seed,
    choices_of,
)

WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    dict: "a mapping, name: value",
}


def as_declared(name: str, value: object, declared: type | types.UnionType) -> object:
    """Return a setting's value in its declared type.

    YAML reads ``1e-4`` as text, so text that is a number will do for one.

    Args:
        name: The setting's name.
        value: What was given.
        declared: ``bool``, ``int``, ``float``, ``str`` or ``dict``, or one of them ``| None``.

    Returns:
        The value.

    Raises:
        UserError: It is of another type, or a number that is not finite.
    """
    kinds = typing.get_args(declared) or (declared,)
    if value is None and types.NoneType in kinds:
        return None
    found = _CONVERT[kinds[0]](value)
    if found is None:
        raise UserError(f"{name} = {value!r}: give {WORDS[kinds[0]]}")
    return found


def _bool(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _float(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, numbers.Real | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _int(value: object) -> int | None:
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)
    number = _float(value)
    return int(number) if number is not None and number.is_integer() else None


def _str(value: object) -> str | None:
    return os.fspath(value) if isinstance(value, str | os.PathLike) else None


def _dict(value: object) -> dict | None:
    return dict(value) if isinstance(value, Mapping) else None


_CONVERT = {bool: _bool, int: _int, float: _float, str: _str, dict: _dict}


def numbers_in(value: object) -> object:
    """Return numbers for text that is one, as YAML reads ``1e-2``; all else as it is.

    Args:
        value: The value of an option whose type is not declared; the items of a list count singly.

    Returns:
        The value; a whole number as an int.
    """
    if isinstance(value, list | tuple):
        return [numbers_in(each) for each in value]
    number = _float(value) if isinstance(value, str) else None
    if number is None:
        return value
    return int(number) if number.is_integer() else number


def _option(default: object, help: str, panel: str = "Training"):
    """Make a field whose help text and panel the command line shows."""
    metadata = {"help": help, "panel": panel}
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=metadata)
    return field(default=default, metadata=metadata)


DATA, MODEL, LOSS, OPTIM, WATCH = "Data", "Model", "Loss and batches", "Optimization", "Watching"
UNTRAINED = "none"  # as a loss
SELECTED_ON_TEST = (
    "the checkpoint, or when to stop, was selected on the test set, which flatters its figures"
)


@dataclass(frozen=True)
class TrainSettings:
    """What makes a run; ``None`` means the recommendation of the loss, backbone or data set.

    Each field's meaning is its ``help`` below, which ``retrieval train --help`` prints.
    """

    recipe: str | None = _option(None, "A published experiment: see `retrieval recipes`.", DATA)
    scaled: bool = _option(False, "Whether the recipe was changed (set by the program).", DATA)
    dataset: str = _option("typefaces", "Data set: see `retrieval datasets`.", DATA)
    data: str | None = _option(None, "Its folder; default data/DATASET.", DATA)
    dataset_options: dict = _option({}, "Loader options, e.g. subset=letters.", DATA)
    pre_crop: int | None = _option(None, "Resize to this side before cropping, pixels.", DATA)
    image_size: int | None = _option(None, "Side of the network input, pixels.", DATA)
    flip: bool | None = _option(None, "Mirror training images at random.", DATA)
    augment: str = _option("none", "Stronger augmentation: none, crop, color or strong.", DATA)
    cache_images_gb: float = _option(2.0, "Keep decoded images in memory if they fit.", DATA)

    loss: str = _option("semi_hard_triplet", "Ranking loss, `all`, or `none` (untrained).", LOSS)
    loss_options: dict = _option({}, "Loss options, e.g. margin=0.5.", LOSS)
    memory_batches: int = _option(0, "Cross-batch memory (XBM), in batches; 0 is off.", LOSS)
    memory_start: int | None = _option(
        None, "Steps before the memory is used; default: a tenth of all, at most 1000.", LOSS
    )
    memory_weight: float | None = _option(
        None, "Weight of the loss against the memory; default: 1.", LOSS
    )
    classes_per_batch: int | None = _option(None, "P of a P x K batch.", LOSS)
    samples_per_class: int | None = _option(None, "K of a P x K batch.", LOSS)
    same_super_class: bool = _option(False, "Draw a batch's classes from one super-class.", LOSS)

    backbone: str = _option("efficientnet_lite0", "Backbone network.", MODEL)
    weights: str = _option("imagenet", "Backbone weights: imagenet, none or a file.", MODEL)
    head: str = _option("direct", "Embedding head: direct or fc1024.", MODEL)
    pooling: str = _option("average", "Pooling before the head: average, gem or max.", MODEL)
    embedding_size: int = _option(128, "Width of the embedding.", MODEL)
    normalize: bool | None = _option(None, "L2-normalize the embedding in training.", MODEL)
    freeze_backbone: bool = _option(False, "Train the head on cached backbone features.", MODEL)
    freeze_batch_norm: bool = _option(True, "Keep pretrained batch statistics fixed.", MODEL)
    freeze_batch_norm_steps: int = _option(
        0, "Keep its batch norms fixed for the first steps only; 0: as freeze_batch_norm.", MODEL
    )
    freeze_steps: int = _option(0, "Keep the backbone frozen for the first steps.", MODEL)

    steps: int = _option(500, "Training steps.", OPTIM)
    optimizer: str = _option("adam", "adam, adamw or momentum.", OPTIM)
    learning_rate: float = _option(3e-4, "Base learning rate.", OPTIM)
    schedule: str = _option("constant", "constant, polynomial or cosine.", OPTIM)
    warmup_steps: int = _option(0, "Linear warm-up.", OPTIM)
    weight_decay: float = _option(0.0, "Decoupled weight decay.", OPTIM)
    clip_norm: float | None = _option(None, "Clip the gradient's global norm.", OPTIM)
    backbone_multiplier: float = _option(1.0, "Learning rate of the backbone / base.", OPTIM)
    loss_multiplier: float | None = _option(None, "Learning rate of proxies / base.", OPTIM)
    mixed_precision: bool = _option(False, "Compute in 16 bit where it is safe.", OPTIM)
    chunk_size: int = _option(
        0,
        "Embed this many images at a time, with the loss over the whole batch: the same gradients "
        "in less memory, but batch norms in training see a chunk; 0: all at once.",
        OPTIM,
    )
    check_memory: bool = _option(True, "Refuse a training that does not fit in memory.", OPTIM)
    distribute: str = _option("none", "none, or mirrored (every local device).", OPTIM)
    seed: int = _option(0, "Seeds batches, augmentation and weights.", OPTIM)

    eval_split: str = _option(
        "none",
        "In-training evaluation on: none, test, validation. With test, --use-checkpoint best and "
        "--patience select on the test set, which reports then mark.",
        WATCH,
    )
    validation_fraction: float = _option(0.2, "Train classes held out for validation.", WATCH)
    eval_every: int = _option(1000, "Steps between evaluations and checkpoints.", WATCH)
    monitor: str = _option(
        "recall@1",
        "Metric that picks the best checkpoint: recall@K with a K of the data set, map@r or nmi.",
        WATCH,
    )
    patience: int = _option(0, "Stop after this many evaluations without gain; 0: never.", WATCH)
    use_checkpoint: str = _option("latest", "Embed with the latest or the best checkpoint.", WATCH)
    keep_embeddings: bool = _option(
        False, "Keep the test embeddings of every evaluation, for the map's slider.", WATCH
    )
    tensorboard: bool = _option(False, "Write TensorBoard logs into the run.", WATCH)
    distance: str = _option("cosine", "Distance of the evaluation.", WATCH)
    test_time: str = _option(
        "none",
        "Test-time views: none, or center, five_crop or average_pool, with or without +flip.",
        WATCH,
    )
    test_time_mean: str = _option(
        "normalized", "Mean over the views: normalized (to unit length) or plain.", WATCH
    )

    CHOICES: ClassVar[dict[str, tuple[str, ...]]] = {
        "schedule": choices_of(Schedule),
        "optimizer": choices_of(Optimizer),
        "augment": choices_of(Augmentation),
        "eval_split": choices_of(EvaluationSplit),
        "use_checkpoint": choices_of(Checkpoint),
        "distribute": choices_of(Distribution),
        "distance": choices_of(Distance),
        "pooling": choices_of(Pooling),
        "test_time_mean": choices_of(ViewMean),
    }
    LEAST: ClassVar[dict[str, int]] = {
        "steps": 1,
        "embedding_size": 1,
        "eval_every": 1,
        "image_size": 1,
        "pre_crop": 1,
        "classes_per_batch": 1,
        "samples_per_class": 1,
        "memory_batches": 0,
        "memory_start": 0,
        "cache_images_gb": 0,
        "freeze_batch_norm_steps": 0,
        "freeze_steps": 0,
        "warmup_steps": 0,
        "weight_decay": 0,
        "patience": 0,
        "chunk_size": 0,
        "backbone_multiplier": 0,
        "loss_multiplier": 0,
    }

    @classmethod
    def from_mapping(cls, mapping: dict) -> "TrainSettings":
        """Build settings from a dict (YAML, JSON), refusing unknown keys.

        Raises:
            UserError: An unknown key; the message names the closest valid one.
        """
        mapping = {k: _as_spelled_now(k, v) for k, v in mapping.items()}
        valid = {f.name for f in dataclasses.fields(cls)}
        for key in mapping:
            if key not in valid:
                raise unknown_option("setting", key, valid)
        return cls(**mapping)

    def to_mapping(self) -> dict:
        """Return a plain dict, ready for YAML."""
        return dataclasses.asdict(self)

    def with_(self, **changes: object) -> "TrainSettings":
        """Return a copy with some settings changed (and validated again)."""
        return replace(self, **changes)

    def __post_init__(self) -> None:
        for each in dataclasses.fields(self):
            value = as_declared(each.name, getattr(self, each.name), each.type)
            object.__setattr__(self, each.name, value)
        options = {name: numbers_in(value) for name, value in self.loss_options.items()}
        object.__setattr__(self, "loss_options", options)
        self._check_values()
        self._check_together()

    def _check_values(self) -> None:
        """Refuse a value out of its range; None, which leaves the choice open, is in every one."""
        for name, valid in self.CHOICES.items():
            check_choice(name, getattr(self, name), valid)
        for name, least in self.LEAST.items():
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name), least=least)
        for name in ("learning_rate", "clip_norm", "memory_weight"):
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name), above=0)
        check_number("validation_fraction", self.validation_fraction, above=0, below=1)
        check_seed("seed", self.seed)

    def _check_together(self) -> None:
        """Refuse settings that exclude each other, or that lack one they need."""
        if self.chunk_size and self.distribute == "mirrored":
            raise UserError(
                "--chunk-size does not work with --distribute mirrored: drop one of the two"
            )
        if self.test_time_mean != "normalized" and self.test_time == "none":
            raise UserError(
                f"test_time_mean = {self.test_time_mean} needs test-time views: add --test-time"
            )
        if self.patience and self.eval_split == "none":
            raise UserError(
                "patience needs in-training evaluation: add --eval-split test or validation"
            )
        if self.use_checkpoint == "best" and self.eval_split == "none":
            raise UserError(
                "use_checkpoint = best needs in-training evaluation: add --eval-split test or "
                "validation"
            )


# Runs and files of 0.1.0 spell these values the British way.
OLD_SPELLINGS = {"normalised": "normalized", "colour": "color", "centre": "center"}
OLD_SPELLING_OF = ("augment", "test_time", "test_time_mean")


def _as_spelled_now(name: str, value: object) -> object:
    """Return a setting's value in today's spelling."""
    if name in OLD_SPELLING_OF and isinstance(value, str):
        for old, new in OLD_SPELLINGS.items():
            value = value.replace(old, new)
    return value


def selected_on(settings: Mapping) -> str | None:
    """Return the split by whose figures a run's network was chosen.

    Args:
        settings: A run's settings, as in its ``config.yaml``.

    Returns:
        ``test`` or ``validation`` if the best checkpoint was taken, or training stopped without
        gain; None if the network is that of the last step.
    """
    chosen = settings.get("use_checkpoint") == "best" or settings.get("patience")
    return settings.get("eval_split") if chosen else None
