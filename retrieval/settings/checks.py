"""Check settings before any work is done: names, and settings that would have no effect.

What can be judged by one value, or by the settings alone, is checked where they are declared
(:mod:`retrieval.settings.schema`). Here they are checked against the registries of data sets,
losses, backbones and recipes, and a setting that would do nothing is refused rather than ignored.
What depends on the data set itself is checked where that is known
(:func:`retrieval.settings.resolve.resolve`).
"""

from pathlib import Path

from retrieval.datasets import check_dataset, dataset_entry
from retrieval.errors import UserError, unknown_option
from retrieval.evaluation.metrics import measured_in_training
from retrieval.input_pipeline.test_time import check_room, parse_views
from retrieval.losses import LOSSES, check_loss_options, get_loss, recommended_options
from retrieval.models import HEADS, backbone_of
from retrieval.models.registry import NO_BLOCKS
from retrieval.settings.identity import (
    DECAY_SETTINGS,
    REFUSED_UNTRAINED,
    differing,
)
from retrieval.settings.recipes import from_recipe, load_recipe
from retrieval.settings.schema import (
    UNTRAINED,
    TrainSettings,
    default_of,
    flag_of,
    matryoshka_widths,
)
from retrieval.validation import RESIZED_CROPS, check_choice, check_pre_crop

PARTS_OF_THE_TRAINING = ("warmup_steps", "freeze_steps", "freeze_batch_norm_steps")
MEMORY_SETTINGS = ("memory_batches", "memory_start", "memory_weight")
NAMED_WEIGHTS = ("imagenet", "none")


def check(settings: TrainSettings) -> None:
    """Check settings that a user gave, once per run, before any work is done.

    Raises:
        UserError: An unknown name, with the closest valid one; a recipe whose settings were changed
            without saying so; an invalid option of the loss; a batch that the loss cannot be
            trained with; or a setting that has no effect. One line that names the setting and the
            fix.
    """
    if settings.recipe is not None:
        _check_recipe(settings, settings.recipe)
    _check_names(settings)
    views = parse_views(settings.test_time)
    _check_effects(settings)
    check_frozen_backbone(settings)
    backbone = backbone_of(settings.backbone)
    image_size = settings.image_size or backbone.image_size
    backbone.check(image_size, settings.pooling or backbone.pooling)
    if settings.layer_decay != default_of("layer_decay") and not backbone.has_blocks:
        raise UserError(NO_BLOCKS)
    _check_lora(settings, pretrained=backbone.pretrained)
    check_pre_crop(settings.pre_crop, image_size)
    check_room(views, image_size, settings.pre_crop or image_size)
    if settings.loss != UNTRAINED:
        check_loss_options(settings.loss, settings.loss_options)
        memory = {"size": 1} if settings.memory_batches else None
        widths = matryoshka_widths(settings) or None
        get_loss(
            settings.loss, cross_batch_memory=memory, matryoshka=widths, **settings.loss_options
        )
        _check_batch(settings)


def check_frozen_backbone(settings: TrainSettings) -> None:
    """Refuse settings that cannot act on the cached features of a frozen backbone.

    Raises:
        UserError: Names the first such setting and the fix.
    """
    if not settings.freeze_backbone or settings.loss == UNTRAINED:
        return
    needs_pixels = (
        "augment",
        "test_time",
        "freeze_steps",
        "freeze_batch_norm_steps",
        "backbone_multiplier",
        "layer_decay",
        "lora_rank",
        "chunk_size",
    )
    acting = [name for name in needs_pixels if getattr(settings, name) != default_of(name)]
    if settings.flip and not from_recipe(settings, "flip"):
        acting.append("flip")
    if not settings.freeze_batch_norm and not from_recipe(settings, "freeze_batch_norm"):
        acting.append("freeze_batch_norm")
    if acting:
        raise UserError(
            f"{_flag(acting[0])} has no effect with --freeze-backbone, which trains on cached "
            "features: drop one of the two"
        )
    if not HEADS[settings.head].linear:
        raise UserError(
            f"--head {settings.head} leaves nothing to train with --freeze-backbone: drop one of "
            "the two, or give --loss none, the untrained network"
        )
    if settings.mixed_precision and settings.head == "direct":
        raise UserError(
            "--mixed-precision has no effect with --freeze-backbone and --head direct, whose one "
            "layer is computed in 32 bit: drop one of them"
        )


def _check_lora(settings: TrainSettings, *, pretrained: bool) -> None:
    """Refuse low-rank factors beside random weights, and settings that have no effect with them.

    A checkpoint holds the factors alone, so that random weights would be lost with the process.

    Args:
        settings: The settings of a run.
        pretrained: Whether the backbone has pretrained weights.
    """
    if not settings.lora_rank or settings.loss == UNTRAINED:
        return
    if settings.weights == "none" or (settings.weights == "imagenet" and not pretrained):
        raise UserError(
            "--lora-rank trains factors beside pretrained weights, which stay as they are, and "
            "this backbone would start from random ones: drop it, or give other --weights"
        )
    for name in ("freeze_batch_norm", "freeze_batch_norm_steps"):
        if getattr(settings, name) != default_of(name) and not from_recipe(settings, name):
            raise UserError(
                f"{_flag(name)} has no effect with --lora-rank, which keeps every batch norm of "
                "the backbone in inference mode: drop one of the two"
            )


def without_loss_settings(settings: TrainSettings) -> TrainSettings:
    """Return the settings of the untrained network that the runs of these settings start from."""
    return settings.with_(loss=UNTRAINED, **REFUSED_UNTRAINED)


def _check_recipe(settings: TrainSettings, name: str) -> None:
    """Refuse settings that merely bear a recipe's name, which the run would be labeled with."""
    if settings.scaled:
        return
    recipe = load_recipe(name)
    full = recipe.train_settings()
    for key in differing(full, settings):
        if key in recipe.settings:
            raise UserError(
                f"recipe {recipe.name} has {key} = {getattr(full, key)}, the settings have "
                f"{getattr(settings, key)}: make them with "
                f"load_recipe({recipe.name!r}).train_settings(changes)"
            )


def _check_names(settings: TrainSettings) -> None:
    check_dataset(settings.dataset, settings.data, settings.dataset_options)
    for kind, given, registry in (
        ("loss", settings.loss, [*LOSSES, UNTRAINED]),
        ("head", settings.head, HEADS),
    ):
        if given not in registry:
            raise unknown_option(kind, given, registry)
    ks = dataset_entry(settings.dataset).ks
    check_choice("monitor", settings.monitor, measured_in_training(ks))
    files = (Path(settings.weights), Path(f"{settings.weights}.index"))  # TensorFlow checkpoints
    if settings.weights not in NAMED_WEIGHTS and not any(file.is_file() for file in files):
        raise UserError(
            f"--weights {settings.weights}: no such file; give a file or one of "
            f"{', '.join(NAMED_WEIGHTS)}"
        )


def _check_effects(settings: TrainSettings) -> None:
    """Refuse settings that have no effect, given the others."""
    if settings.loss == UNTRAINED:
        _check_untrained(settings)
    else:
        _check_evaluations(settings)
        _check_loss_multiplier(settings)
        if settings.optimizer == "adamw" and not settings.weight_decay:
            raise UserError(
                "--optimizer adamw without weight decay is adam: add --weight-decay, or give "
                "--optimizer adam"
            )
    for names, wanted, acting in (
        (DECAY_SETTINGS, "--schedule step", settings.schedule == "step"),
        (("crop_area",), "--augment crop or strong", settings.augment in RESIZED_CROPS),
        (("lora_layers",), "--lora-rank", settings.lora_rank > 0),
    ):
        given = [name for name in names if getattr(settings, name) != default_of(name)]
        if given and not acting and not from_recipe(settings, given[-1]):
            raise UserError(
                f"{_flag(given[-1])} has no effect without {wanted}: drop it, or add {wanted}"
            )
    for name in PARTS_OF_THE_TRAINING:
        if (value := getattr(settings, name)) > settings.steps:
            raise UserError(
                f"{_flag(name)} {value} is longer than the training: give at most "
                f"{settings.steps}, or more --steps"
            )
    given = [name for name in MEMORY_SETTINGS if getattr(settings, name) != default_of(name)]
    if given and not settings.memory_batches:
        raise UserError(
            f"{_flag(given[-1])} has no effect without a cross-batch memory: drop it, or add "
            "--memory-batches"
        )
    if (settings.memory_start or 0) >= settings.steps:
        raise UserError(
            f"--memory-start {settings.memory_start}: the memory would never be used: give less "
            f"than the {settings.steps} of --steps"
        )


def _check_untrained(settings: TrainSettings) -> None:
    """Refuse settings of a training for the untrained network."""
    # In reverse: a setting that needs another one stands after it, and is the better one to name.
    for name, default in reversed(REFUSED_UNTRAINED.items()):
        if getattr(settings, name) != default and not from_recipe(settings, name):
            raise UserError(
                f"{_flag(name)} has no effect with --loss none, which trains nothing: drop it, or "
                "choose a loss"
            )


def _check_evaluations(settings: TrainSettings) -> None:
    """Refuse settings of evaluations during training where there are none."""
    if settings.eval_split == "none" and settings.monitor != default_of("monitor"):
        raise UserError(
            "--monitor has no effect without evaluations during training: drop it, or add "
            "--eval-split test or validation"
        )
    given = settings.validation_fraction != default_of("validation_fraction")
    if given and settings.eval_split != "validation":
        raise UserError(
            "--validation-fraction has no effect without validation: drop it, or add --eval-split "
            "validation"
        )


def _check_loss_multiplier(settings: TrainSettings) -> None:
    """Refuse a learning rate for weights that the loss does not own."""
    if settings.loss_multiplier is None:
        return
    learns = settings.loss_options.get("learn_beta", True)
    if not learns or "learning_rate_multiplier" not in recommended_options(settings.loss):
        raise UserError(
            f"--loss-multiplier has no effect with --loss {settings.loss}, which owns no weights "
            "to train: drop it, or choose another loss"
        )


def _check_batch(settings: TrainSettings) -> None:
    """Refuse a P x K batch without the pairs that its loss needs; the loss would not show it."""
    name, entry = settings.loss, LOSSES[settings.loss]
    k = settings.samples_per_class or entry.samples_per_class
    if entry.layout == "pairs" and k % 2:
        raise UserError(
            f"--samples-per-class {k}: {name} takes rows two by two, which would then be of "
            "different classes: give an even number"
        )
    blocks = settings.loss_options.get("pairs", "blocks") == "blocks"
    if entry.layout == "blocks" and blocks and k % 4:
        raise UserError(
            f"--samples-per-class {k}: {name} pairs rows four by four: give a multiple of 4, or "
            "--loss-option pairs=all"
        )
    if entry.needs_classes or settings.memory_batches:
        return  # positives and negatives are proxies, or come from earlier batches
    p = settings.classes_per_batch or entry.classes_per_batch
    for option, given, lacking in (
        ("--samples-per-class", k, "positive"),
        ("--classes-per-batch", p, "negative"),
    ):
        if given < 2:
            raise UserError(
                f"{option} {given}: {name} would have no {lacking} pairs: give 2 or more"
            )


def _flag(name: str) -> str:
    """Return the flag that departs from a setting's default: of one that is on, the negative."""
    flag = flag_of(name)
    return flag.replace("--", "--no-", 1) if default_of(name) is True else flag
