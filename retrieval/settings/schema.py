"""Every setting of a training run in one validated model.

The command line, the YAML files, the JSON schema (``TrainSettings.model_json_schema()``) and the
error messages are all made from the fields of :class:`TrainSettings`: type, bounds, choices,
default, help text and the panel of ``retrieval train --help``. Each field also says what it is to
the experiment (see :class:`About`), which :mod:`retrieval.settings.identity` compares runs by.
"""

import os
import types
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema

from retrieval.errors import UserError, unknown_option
from retrieval.models.families import QUERIES_AND_VALUES
from retrieval.validation import (
    DEFAULT_CROP_AREA,
    DEFAULT_DISTANCE,
    HEIGHT_AND_WIDTH,
    MAX_SEED,
    SIDES,
    Augmentation,
    Checkpoint,
    Distance,
    Distribution,
    EvaluationSplit,
    Optimizer,
    Pooling,
    Schedule,
    ViewMean,
    as_number,
    as_size,
    check_widths,
    choices_of,
    narrower_widths,
    number_in,
    plain,
    read_sides,
    refused,
    wanted_choice,
    wanted_number,
)

UNTRAINED = "none"  # the value of `loss` that trains nothing and stores the backbone's features
# What `pooling` also understands: the mean of ViT papers, and the backbone's recommendation.
POOLING_WORDS = {"mean": "average", "default": None}
SELECTED_ON_TEST = (
    "the checkpoint, or when to stop, was selected on the test set, which flatters its figures"
)

Panel = Literal["Data", "Model", "Loss and batches", "Optimization", "Evaluation and checkpoints"]
Affects = Literal[
    "result",  # the trained network or its figures
    "seed",  # which of several repetitions of an experiment a run is
    "selection",  # the result, but only if evaluations choose the checkpoint or when to stop
    "batch_split",  # the result, but only if batch norms are trained: see trains_batch_norms
    "place",  # where the data set lies; the data themselves only for a user's own data set
    "speed",  # time and memory
    "record",  # what the run stores besides the network and its figures
    "label",  # what the experiment is called
]
Untrained = Literal[
    "used",  # also describes an untrained network
    "ignored",  # an untrained network has no use for it, but `--loss none` accepts it
    "refused",  # `--loss none` refuses it: whoever gave it expects a training
]


@dataclass(frozen=True)
class About:
    """What a setting is to the experiment, beyond its value.

    Attributes:
        panel: Panel of ``retrieval train --help``.
        affects: What another value of the setting changes.
        untrained: What the setting is to the untrained network (``loss = "none"``).
        of_the_loss: Whether the setting belongs to the loss: the loss itself, its options, or a
            value that each loss recommends. Runs of different losses differ in these by nature.
    """

    panel: Panel
    affects: Affects = "result"
    untrained: Untrained = "used"
    of_the_loss: bool = False


@dataclass(frozen=True)
class Pixels:
    """Marks a setting as the size of an image, which it holds as :func:`as_size` returns it.

    Attributes:
        most: Largest valid height and width.
    """

    most: int

    def convert(self, name: str, value: object) -> object:
        """Return a size as settings hold it; None, which leaves it open, stays None.

        Raises:
            UserError: The value is no size, or a side is out of range, which is then named.
        """
        if value is None:
            return None
        if (sides := read_sides(value)) is None:
            raise refused(name, value, f"{self.wanted_side()}, or {HEIGHT_AND_WIDTH}")
        for side, pixels in zip(SIDES, sides, strict=True):
            if not 1 <= pixels <= self.most:
                which = "" if sides[0] == sides[1] else f" for the {side}"
                raise refused(name, as_size(sides), f"{self.wanted_side()}{which}")
        return as_size(sides)

    def wanted_side(self) -> str:
        """Return the fix of a side that is out of range."""
        return wanted_number(least=1, most=self.most, whole=True)

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        side = {"type": "integer", "minimum": 1, "maximum": self.most}
        pair = {"type": "array", "items": side, "minItems": len(SIDES), "maxItems": len(SIDES)}
        text = {"type": "string", "pattern": "^[1-9][0-9]*x[1-9][0-9]*$"}
        return {"anyOf": [side, text, pair]}


def _setting(
    default: object,
    description: str,
    panel: Panel,
    *,
    affects: Affects = "result",
    untrained: Untrained = "used",
    of_the_loss: bool = False,
    **bounds: Any,
) -> Any:
    """Return the pydantic field of a setting.

    Args:
        default: The default; None if it depends on the loss, the backbone or the data set, which
            the description then says. The command line adds any other default to the description.
        description: Help text of the command line.
        panel: See :class:`About`.
        affects: See :class:`About`.
        untrained: See :class:`About`.
        of_the_loss: See :class:`About`.
        **bounds: ``ge``, ``gt``, ``le`` and ``lt`` of a number. Values beyond any use have a bound
            too: they are mistakes, and memory or time would run out hours later perhaps.

    Returns:
        The field, typed as its value is (as ``pydantic.Field`` is).
    """
    about = About(panel, affects, untrained, of_the_loss)
    if isinstance(default, dict):
        return Field(default_factory=dict, description=description, json_schema_extra=asdict(about))
    return Field(default, description=description, json_schema_extra=asdict(about), **bounds)


class TrainSettings(BaseModel):
    """The settings of a training run; None means the recommendation of the loss or the data set.

    Text that is a number is accepted for one (YAML reads ``1e-4`` as text), and NumPy scalars
    become plain numbers. Instances are immutable: ``with_`` returns a copy with other settings.

    Raises:
        UserError: An unknown setting, a value of another type or out of range, or settings that
            exclude each other: one line that names the setting, the value and the fix.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    # Data
    recipe: str | None = _setting(
        None,
        "Published experiment to follow; list them with `retrieval recipes`. Defaults to none.",
        "Data",
        affects="label",
    )
    scaled: bool = _setting(
        False,
        "Whether settings of the recipe were changed. Set by the program.",
        "Data",
        affects="label",
    )
    dataset: str = _setting(
        "typefaces",
        "Name of the data set; list them with `retrieval datasets`. Or any name for your own data, "
        "which --data gives.",
        "Data",
    )
    data: str | None = _setting(
        None,
        "Folder of the data set; of your own data, a folder with one sub-folder per class, or a "
        "list of images (CSV, TSV, Parquet, JSON lines). Defaults to data/DATASET.",
        "Data",
        affects="place",
    )
    dataset_options: dict[str, Any] = _setting(
        {},
        "Option of the data set's loader as name=value, e.g. subset=letters. Options that are not "
        "given have the loader's defaults.",
        "Data",
    )
    pre_crop: Annotated[str | int, Pixels(8192)] | None = _setting(
        None,
        "Size in pixels that images are resized to before the image size is cropped from them, "
        "e.g. 256, or 288x144: height x width. Defaults to the image size (no cropping), or 1.5 "
        "times it for random resized crops.",
        "Data",
    )
    image_size: Annotated[str | int, Pixels(4096)] | None = _setting(
        None,
        "Size of the network's input in pixels: the side of a square, e.g. 224, or height x width, "
        "height first, e.g. 256x128. Images are resized to it without keeping their aspect ratio. "
        "Defaults to the backbone's recommendation.",
        "Data",
    )
    flip: bool | None = _setting(
        None,
        "Flip training images horizontally at random. Defaults to the data set's recommendation: "
        "on, unless flipping changes the class, as for letters.",
        "Data",
        untrained="ignored",
    )
    augment: Augmentation = _setting(
        "none",
        "Augmentation of training images: crop (random resized crop), color (color jitter) or "
        "strong (both).",
        "Data",
        untrained="ignored",
    )
    crop_area: float = _setting(
        DEFAULT_CROP_AREA,
        "Smallest area of a random resized crop, as a share of the image.",
        "Data",
        untrained="ignored",
        gt=0,
        le=1,
    )
    skip_unreadable: bool = _setting(
        False,
        "Leave out images that are missing or damaged, and list them in the run, rather than stop. "
        "With --resume, go on without test images that have become unreadable.",
        "Data",
        affects="record",  # what is left out changes the items, which are compared by themselves
    )
    cache_images_gb: float = _setting(
        2.0,
        "Most memory in GB for decoded training images. If all of them fit, each is decoded once, "
        "before the first step, rather than whenever it is drawn; 10,000 images take 2.0 GB at 256 "
        "x 256 pixels and 1.5 GB at 224 x 224. 0 keeps none.",
        "Data",
        affects="speed",
        untrained="ignored",
        ge=0,
    )

    # Loss and batches
    loss: str = _setting(
        "semi_hard_triplet",
        "Ranking loss; list them with `retrieval losses`. `all` evaluates the untrained network "
        "and trains the six losses of the published baseline; `none` does only the former.",
        "Loss and batches",
        of_the_loss=True,
    )
    loss_options: dict[str, Any] = _setting(
        {},
        "Option of the loss as name=value, e.g. margin=0.5. Options that are not given have the "
        "values that `retrieval losses` lists, with the settings that are known to work better.",
        "Loss and batches",
        untrained="refused",
        of_the_loss=True,
    )
    memory_batches: int = _setting(
        0,
        "Size of the cross-batch memory (XBM) in batches; 0 turns it off.",
        "Loss and batches",
        untrained="refused",
        ge=0,
        le=1_000_000,
    )
    memory_start: int | None = _setting(
        None,
        "Number of steps before the cross-batch memory is used. Defaults to a tenth of the steps, "
        "but at most 1000.",
        "Loss and batches",
        untrained="refused",
        ge=0,
    )
    memory_weight: float | None = _setting(
        None,
        "Weight of the loss against the cross-batch memory. Defaults to 1.",
        "Loss and batches",
        untrained="refused",
        gt=0,
    )
    matryoshka: str | None = _setting(
        None,
        "Widths at which the loss is also computed, e.g. 32,64, so that embeddings can be cut off "
        "there: the loss is the mean over these widths and the whole embedding. Defaults to none.",
        "Loss and batches",
        untrained="refused",
    )
    classes_per_batch: int | None = _setting(
        None,
        "Number of classes P in a batch of P x K images. Defaults to the loss's recommendation.",
        "Loss and batches",
        untrained="ignored",
        of_the_loss=True,
        ge=1,
    )
    samples_per_class: int | None = _setting(
        None,
        "Number of images K per class in a batch of P x K images. Defaults to the loss's "
        "recommendation.",
        "Loss and batches",
        untrained="ignored",
        of_the_loss=True,
        ge=1,
    )
    same_super_class: bool = _setting(
        False,
        "Draw the classes of a batch from one super-class where possible.",
        "Loss and batches",
        untrained="ignored",
    )

    # Model
    backbone: str = _setting(
        "efficientnet_lite0",
        "Backbone network: a name (an unknown one lists them all), or hub:PRESET for an image "
        "backbone of keras-hub, such as hub:dinov3_vit_small_lvd1689m; list those with `retrieval "
        "backbones`. hub:FOLDER is a preset's folder on this disk.",
        "Model",
    )
    weights: str = _setting(
        "imagenet",
        "Initial weights of the backbone: imagenet (of a preset, its own), none (random) or a "
        "file.",
        "Model",
    )
    head: str = _setting(
        "direct",
        "Embedding head: direct (one linear layer) or fc1024 (a hidden layer of width 1024 with "
        "batch norm before it); direct_normalize and fc1024_normalize L2-normalize the embedding. "
        "none has no layer: the pooled features themselves are trained, e.g. those that CLIP "
        "compares with texts; give their number as --embedding-size.",
        "Model",
        untrained="ignored",
    )
    pooling: Pooling | None = _setting(
        None,
        "Pooling of the backbone's feature map or patches: average, average+max (their sum), gem "
        "(generalized mean) or max. Presets of transformers also have cls (class token), "
        "cls+average (side by side) and head (the pooling and projection that CLIP and SigLIP "
        "were trained with). mean is average. Defaults to default, what the backbone's paper does, "
        "as `retrieval backbones` lists: average for all that are no presets.",
        "Model",
    )
    embedding_size: int = _setting(
        128, "Dimension of the embedding.", "Model", untrained="ignored", ge=1, le=16_384
    )
    normalize: bool | None = _setting(
        None,
        "L2-normalize the embedding in training. Defaults to the recommendation of the loss and "
        "the head.",
        "Model",
        untrained="ignored",
        of_the_loss=True,
    )
    freeze_backbone: bool = _setting(
        False,
        "Train only the head, on features of the backbone that are computed once and cached.",
        "Model",
        untrained="ignored",
    )
    lora_rank: int = _setting(
        0,
        "Rank of low-rank factors (LoRA) that are trained beside the frozen weights of the "
        "backbone; the checkpoint holds only what was trained. 0 turns LoRA off.",
        "Model",
        untrained="ignored",
        ge=0,
        le=4096,
    )
    lora_layers: str = _setting(
        ",".join(QUERIES_AND_VALUES),
        "Names of the dense layers with such factors, separated by commas, * for any text; a name "
        "that there is not lists them all. By default queries and values of the attention, as "
        "keras-hub's families call them.",
        "Model",
        untrained="ignored",
    )
    freeze_batch_norm: bool = _setting(
        True,
        "Keep the batch norms of a pretrained backbone in inference mode throughout training.",
        "Model",
        untrained="ignored",
    )
    freeze_batch_norm_steps: int = _setting(
        0,
        "Number of first steps in which the backbone's batch norms stay in inference mode, to be "
        "trained afterwards; 0 leaves the choice to --freeze-batch-norm.",
        "Model",
        untrained="ignored",
        ge=0,
    )
    freeze_steps: int = _setting(
        0,
        "Number of first steps in which the whole backbone stays fixed.",
        "Model",
        untrained="ignored",
        ge=0,
    )

    # Optimization
    steps: int = _setting(
        500,
        "Number of training steps.",
        "Optimization",
        untrained="ignored",
        ge=1,
        le=100_000_000,
    )
    optimizer: Optimizer = _setting(
        "adam",
        "Optimizer: adam, adamw or momentum (SGD with momentum 0.9).",
        "Optimization",
        untrained="ignored",
    )
    epsilon: float = _setting(
        1e-7,
        "Constant that keeps Adam from dividing by zero; momentum does not use it.",
        "Optimization",
        untrained="ignored",
        gt=0,
    )
    learning_rate: float = _setting(
        3e-4, "Base learning rate.", "Optimization", untrained="ignored", gt=0
    )
    schedule: Schedule = _setting(
        "constant",
        "Learning-rate schedule: constant, polynomial (linear decay to 1e-7), cosine (decay to 0) "
        "or step (multiplied by --decay-factor every --decay-every steps).",
        "Optimization",
        untrained="ignored",
    )
    decay_every: int | None = _setting(
        None,
        "Number of steps between two decays of --schedule step, counted from the end of the "
        "warm-up. Defaults to a third of the steps after it.",
        "Optimization",
        untrained="ignored",
        ge=1,
    )
    decay_factor: float = _setting(
        0.1,
        "What each decay of --schedule step multiplies the learning rate by.",
        "Optimization",
        untrained="ignored",
        gt=0,
        le=1,
    )
    warmup_steps: int = _setting(
        0,
        "Number of first steps in which the learning rate rises linearly.",
        "Optimization",
        untrained="ignored",
        ge=0,
    )
    weight_decay: float = _setting(
        0.0,
        "Decoupled weight decay; 0 turns it off.",
        "Optimization",
        untrained="ignored",
        ge=0,
    )
    clip_norm: float | None = _setting(
        None,
        "Largest global norm of the gradient; larger ones are clipped. Defaults to no clipping.",
        "Optimization",
        untrained="ignored",
        gt=0,
    )
    backbone_multiplier: float = _setting(
        1.0,
        "Learning rate of the backbone as a multiple of the base rate.",
        "Optimization",
        untrained="ignored",
        ge=0,
    )
    layer_decay: float = _setting(
        1.0,
        "Learning rate of each block of a transformer as a multiple of that of the block above it, "
        "e.g. 0.75: the first blocks change least. 1 trains all alike.",
        "Optimization",
        untrained="ignored",
        gt=0,
        le=1,
    )
    loss_multiplier: float | None = _setting(
        None,
        "Learning rate of the loss's own weights (proxies, class centers) as a multiple of the "
        "base rate. Defaults to the loss's recommendation.",
        "Optimization",
        untrained="refused",
        of_the_loss=True,
        ge=0,
    )
    mixed_precision: bool = _setting(
        False,
        "Compute in 16 bit where it is numerically safe.",
        "Optimization",
        untrained="ignored",
    )
    chunk_size: int = _setting(
        0,
        "Number of images embedded at a time, to save memory; the loss still sees the whole batch "
        "and gradients stay the same, except that trained batch norms take their statistics over "
        "a chunk. 0 embeds all at once.",
        "Optimization",
        affects="batch_split",
        untrained="ignored",
        ge=0,
    )
    check_memory: bool = _setting(
        True,
        "Estimate the memory of a training step first and refuse what does not fit.",
        "Optimization",
        affects="speed",
        untrained="ignored",
    )
    distribute: Distribution = _setting(
        "none",
        "Devices to train on: none (a single one), mirrored (all local ones, each with a part "
        "of every batch) or workers (those of several processes, see --workers).",
        "Optimization",
        affects="batch_split",
        untrained="ignored",
    )
    workers: int = _setting(
        1,
        "Number of processes that share every batch, with --distribute workers; --on says where "
        "they run.",
        "Optimization",
        affects="speed",
        untrained="ignored",
        ge=1,
        le=4096,
    )
    seed: int = _setting(
        0,
        "Seed of the batches, the augmentation and the initial weights.",
        "Optimization",
        affects="seed",
        ge=0,
        le=MAX_SEED,
    )

    # Evaluation and checkpoints
    eval_split: EvaluationSplit = _setting(
        "none",
        "Images to evaluate on during training: none, test, or validation (training classes held "
        "out). A test split of queries and a gallery (In-shop) is searched as such. With test, "
        "--use-checkpoint best and --patience select on the test set, which reports point out.",
        "Evaluation and checkpoints",
        affects="selection",
        untrained="refused",
    )
    validation_fraction: float = _setting(
        0.2,
        "Share of the training classes held out for --eval-split validation.",
        "Evaluation and checkpoints",
        untrained="refused",
        gt=0,
        lt=1,
    )
    eval_every: int = _setting(
        1000,
        "Number of steps between evaluations, and between checkpoints.",
        "Evaluation and checkpoints",
        affects="selection",
        untrained="ignored",
        ge=1,
    )
    monitor: str = _setting(
        "recall@1",
        "Metric that decides which checkpoint is the best: recall@K with a K of the data set, "
        "map@r or nmi.",
        "Evaluation and checkpoints",
        affects="selection",
        untrained="refused",
    )
    patience: int = _setting(
        0,
        "Stop after this many evaluations without improvement; 0 never stops early.",
        "Evaluation and checkpoints",
        affects="selection",
        untrained="refused",
        ge=0,
    )
    use_checkpoint: Checkpoint = _setting(
        "latest",
        "Checkpoint that the test images are embedded with: latest or best.",
        "Evaluation and checkpoints",
        affects="selection",
        untrained="refused",
    )
    keep_embeddings: bool = _setting(
        False,
        "Store the test embeddings at every evaluation, for the slider of the embedding map.",
        "Evaluation and checkpoints",
        affects="record",
        untrained="ignored",
    )
    tensorboard: bool = _setting(
        False,
        "Write TensorBoard logs into the run's folder.",
        "Evaluation and checkpoints",
        affects="record",
        untrained="ignored",
    )
    distance: Distance = _setting(
        DEFAULT_DISTANCE,
        "Distance of the evaluation: cosine, euclidean, squared_euclidean or cityblock.",
        "Evaluation and checkpoints",
    )
    test_time: str = _setting(
        "none",
        "Views of each test image whose embeddings are averaged: center, five_crop or "
        "average_pool, alone or joined with flip, e.g. flip+five_crop.",
        "Evaluation and checkpoints",
    )
    test_time_mean: ViewMean = _setting(
        "normalized",
        "Average over the views: normalized (scaled to unit length) or plain.",
        "Evaluation and checkpoints",
    )

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "TrainSettings":
        """Build settings from a mapping read from YAML or JSON.

        Values in the British spelling of version 0.1.0 (``normalised``) are read as today's.

        Args:
            mapping: Setting -> value, as a run or a recipe stores it.

        Returns:
            The settings; those not in the mapping have their defaults.

        Raises:
            UserError: See the class; an unknown key is answered with the closest valid one.
        """
        values: dict[str, Any] = {k: _as_spelled_now(k, v) for k, v in mapping.items()}
        return cls(**values)

    def to_mapping(self) -> dict[str, Any]:
        """Return the settings as a plain dict, ready for YAML."""
        return self.model_dump()

    def with_(self, **changes: Any) -> "TrainSettings":
        """Return a copy with some settings changed, validated again; see :meth:`from_mapping`."""
        return type(self).from_mapping(self.to_mapping() | changes)

    @model_validator(mode="wrap")
    @classmethod
    def _with_one_line_errors(
        cls, data: Any, handler: ModelWrapValidatorHandler["TrainSettings"]
    ) -> "TrainSettings":
        try:
            return handler(data)
        except ValidationError as error:
            raise _as_user_error(error) from None

    @field_validator("*", mode="before")
    @classmethod
    def _convert(cls, value: object, info: ValidationInfo) -> object:
        assert info.field_name is not None
        if info.field_name == "pooling" and isinstance(value, str):
            return POOLING_WORDS.get(value, value)
        if info.field_name == "loss_options" and isinstance(value, Mapping):
            return {name: numbers_in(option) for name, option in value.items()}
        if info.field_name == "matryoshka" and value is not None:
            return ",".join(map(str, check_widths("matryoshka", value)))
        if (pixels := pixels_of(info.field_name)) is not None:
            return pixels.convert(info.field_name, value)
        return convert(value, kind_of(cls.model_fields[info.field_name].annotation))

    @model_validator(mode="after")
    def _check_together(self) -> "TrainSettings":
        """Refuse settings that exclude each other, or that lack one they need."""
        if self.chunk_size and self.distribute != "none":
            raise UserError(
                f"--chunk-size does not work with --distribute {self.distribute}: drop one of the "
                "two"
            )
        if self.distribute == "workers" and self.workers < 2:
            raise UserError("--distribute workers needs --workers N, at least 2")
        if self.distribute != "workers" and self.workers != 1:
            raise UserError(
                f"--workers {self.workers} has no effect without --distribute workers: add it, or "
                "drop --workers"
            )
        if self.test_time_mean != "normalized" and self.test_time == "none":
            raise UserError(
                f"test_time_mean = {self.test_time_mean} needs test-time views: add --test-time"
            )
        matryoshka_widths(self)
        for given, words in (
            (self.patience > 0, "patience"),
            (self.use_checkpoint == "best", "use_checkpoint = best"),
        ):
            if given and self.eval_split == "none":
                raise UserError(
                    f"{words} needs evaluations during training: add --eval-split test or "
                    "validation"
                )
        return self


def about(name: str) -> About:
    """Return what a setting is to the experiment."""
    extra = TrainSettings.model_fields[name].json_schema_extra
    assert isinstance(extra, dict)
    return About(**typing.cast(dict[str, Any], extra))


def flag_of(name: str) -> str:
    """Return a setting's flag on the command line, e.g. ``--loss-option`` for ``loss_options``.

    A setting that is a mapping is given one pair at a time. A name that is no setting, such as an
    option of a data set, becomes a flag as it is.
    """
    field = TrainSettings.model_fields.get(name)
    if field is not None and kind_of(field.annotation) is dict:
        name = name.removesuffix("s")
    return "--" + name.replace("_", "-")


def default_of(name: str) -> Any:
    """Return the default of a setting."""
    return TrainSettings.model_fields[name].get_default(call_default_factory=True)


def kind_of(annotation: Any) -> Any:
    """Return the plain type that a setting is declared as, such as ``int`` for ``int | None``."""
    if typing.get_origin(annotation) is Literal:
        return str
    if typing.get_origin(annotation) is Annotated:
        return kind_of(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        return kind_of(next(a for a in typing.get_args(annotation) if a is not types.NoneType))
    return typing.get_origin(annotation) or annotation


def choices_in(annotation: Any) -> tuple[str, ...]:
    """Return the values of a setting declared as a ``Literal``; empty for any other."""
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        annotation = next(a for a in typing.get_args(annotation) if a is not types.NoneType)
    return choices_of(annotation) if typing.get_origin(annotation) is Literal else ()


def pixels_of(name: str) -> Pixels | None:
    """Return the limits of a setting that is the size of an image; None for any other."""
    annotation = TrainSettings.model_fields[name].annotation
    for each in (annotation, *typing.get_args(annotation)):
        for mark in getattr(each, "__metadata__", ()):
            if isinstance(mark, Pixels):
                return mark
    return None


def convert(value: object, kind: type) -> object:
    """Return a value in the declared type where that loses nothing, else as it is.

    Args:
        value: What a caller or a YAML file gave. YAML reads ``1e-4`` as text, so text that is a
            finite number is converted to one.
        kind: ``bool``, ``int``, ``float``, ``str`` or ``dict``.

    Returns:
        The converted value; a value that does not fit the type is left for validation to refuse.
    """
    value = plain(value)
    if kind in (int, float):
        number = number_in(value) if isinstance(value, str) else as_number(value)
        if number is not None and (kind is float or number == int(number)):
            return kind(number)
    elif kind is str and isinstance(value, os.PathLike):
        return os.fspath(value)
    elif kind is dict and isinstance(value, Mapping):
        return dict(value)
    return value


def numbers_in(value: object) -> object:
    """Convert text that is a number, such as ``1e-2`` from YAML, where no type is declared.

    Args:
        value: Value of a loss option. Items of a list are converted one by one.

    Returns:
        An int for a whole number, a float for another; any other value as it is.
    """
    if isinstance(value, list | tuple):
        return [numbers_in(each) for each in value]
    number = number_in(value) if isinstance(value, str) else None
    if number is None:
        return value
    return int(number) if number == int(number) else number


_WANTED: dict[type, str] = {
    bool: "give true or false",
    str: "give text",
    dict: "give a mapping, name: value",
}


def _as_user_error(error: ValidationError) -> UserError:
    """Turn pydantic's report into one line about its first finding, unknown names first."""
    found = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    name, fields = str(found["loc"][0]), TrainSettings.model_fields
    if found["type"] == "extra_forbidden":
        return unknown_option("setting", name, fields)
    return refused(name, found["input"], _fix(fields[name], found["input"]))


def _fix(field: FieldInfo, value: object) -> str:
    """Return what to give instead of a refused value of a field."""
    kind = kind_of(field.annotation)
    if kind in (int, float):
        words = {"gt": "above", "lt": "below", "ge": "least", "le": "most"}
        limits = {
            word: getattr(bound, attribute)
            for bound in field.metadata
            for attribute, word in words.items()
            if hasattr(bound, attribute)
        }
        return wanted_number(**limits, whole=kind is int)
    choices = choices_in(field.annotation)
    return wanted_choice(value, choices) if choices else _WANTED[kind]


# Runs and files of version 0.1.0 spell these values the British way.
_OLD_SPELLINGS = {"normalised": "normalized", "colour": "color", "centre": "center"}
_FIELDS_WITH_OLD_SPELLINGS = ("augment", "test_time", "test_time_mean")
_OLD_LOSS_OPTIONS = {"centres_per_class": "centers_per_class"}


def _as_spelled_now(name: str, value: object) -> object:
    """Return a setting's value in today's spelling."""
    if name in _FIELDS_WITH_OLD_SPELLINGS and isinstance(value, str):
        for old, new in _OLD_SPELLINGS.items():
            value = value.replace(old, new)
    if name == "loss_options" and isinstance(value, Mapping):
        return {_OLD_LOSS_OPTIONS.get(option, option): each for option, each in value.items()}
    return value


def matryoshka_widths(settings: TrainSettings) -> tuple[int, ...]:
    """Return the widths below the embedding's that the loss is computed at; empty for most runs.

    Raises:
        UserError: A width exceeds the embedding's, or none is below it.
    """
    if settings.matryoshka is None:
        return ()
    return narrower_widths(check_widths("matryoshka", settings.matryoshka), settings.embedding_size)


def selects(settings: TrainSettings) -> bool:
    """Tell whether evaluations during training choose the network: best checkpoint or patience."""
    return settings.use_checkpoint == "best" or settings.patience > 0


def selected_on(settings: TrainSettings) -> str | None:
    """Return the split whose figures chose a run's network.

    Returns:
        ``test`` or ``validation`` if the best checkpoint was taken or training could stop early;
        None if the network is that of the last step.
    """
    return settings.eval_split if selects(settings) else None
