"""The registry of losses: what each loss needs, and the batch and head recommended for it.

To add a loss, write its class in ``retrieval/losses/<name>.py`` and add one entry, ``<name>``, to
:data:`LOSSES`. Reading the registry does not load TensorFlow; asking for a class does.
"""

import contextlib
import importlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from retrieval.errors import UserError, unknown_option

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True)
class BetterSetting:
    """A setting of a baseline's loss that works better than the baseline's definition, as measured.

    The measurements are Recall@1 on Grocery across stores, on a frozen EfficientNet-Lite0, as means
    over three seeds: ``benchmarks/results/loss_settings.md``.

    Attributes:
        options: Options of the loss's constructor.
        definition: The values of the same options that the baseline defines, the defaults.
        recall: Recall@1 with ``options``.
        definition_recall: Recall@1 with ``definition``.
    """

    options: dict[str, Any]
    definition: dict[str, Any]
    recall: float
    definition_recall: float


# Recall@1 of the frozen features that the losses of `BetterSetting` were trained on.
UNTRAINED_RECALL = 0.654


@dataclass(frozen=True, kw_only=True)
class LossEntry:
    """A loss and the setting that its paper (or the published baseline) recommends.

    The defaults of the loss's constructor are the recommended values of its own options. This entry
    holds what lies outside the loss: the head's normalization and the P x K batch.

    Attributes:
        class_name: Class in ``retrieval/losses/<name>.py``, where ``<name>`` is the entry's key.
        classes_per_batch: P of the recommended P x K batch.
        samples_per_class: K of the recommended P x K batch.
        normalize: Whether the head should L2-normalize the embeddings. Defaults to True.
        layout: How the rows of a batch must be ordered: ``any``; ``pairs`` (rows 2i and 2i + 1
            share a label); ``blocks`` (four consecutive rows share a label). Defaults to ``any``.
        needs_classes: Whether the loss owns weights for each class: call
            ``loss.build(num_classes, embedding_size)`` and pass labels 0 .. num_classes - 1.
            Defaults to False.
        smallest_tuple: The least that a batch must hold for the loss and its gradient not to be 0:
            ``triplet`` (an anchor with a positive and a negative), ``positive_pair`` (two items of
            a class) or ``pair`` (any two items). A loss that needs classes compares an item with
            its own weights, so that one item is enough. Defaults to ``triplet``.
        better: A setting that works better than the defaults, for a loss whose defaults are the
            definition of the published baseline. Defaults to None, none is known.
        former: Options whose defaults have changed -> their defaults in version 0.1.0. A run folder
            of that version was trained with these. Defaults to None, no option's default has.
    """

    class_name: str
    classes_per_batch: int
    samples_per_class: int
    normalize: bool = True
    layout: Literal["any", "pairs", "blocks"] = "any"
    needs_classes: bool = False
    smallest_tuple: Literal["triplet", "positive_pair", "pair"] = "triplet"
    better: BetterSetting | None = None
    former: Mapping[str, Any] | None = None


LOSSES: dict[str, LossEntry] = {
    # The six losses of the published baseline.
    "hard_triplet": LossEntry(
        class_name="HardTriplet", classes_per_batch=20, samples_per_class=6, normalize=False
    ),
    "semi_hard_triplet": LossEntry(
        class_name="SemiHardTriplet", classes_per_batch=20, samples_per_class=6
    ),
    "lifted_loss": LossEntry(
        class_name="LiftedStructured", classes_per_batch=20, samples_per_class=6, normalize=False
    ),
    "npairs_loss": LossEntry(
        class_name="NPairs",
        classes_per_batch=60,
        samples_per_class=2,
        normalize=False,
        layout="pairs",
    ),
    "angular_loss": LossEntry(
        class_name="Angular", classes_per_batch=60, samples_per_class=2, layout="pairs"
    ),
    "contrastive_loss": LossEntry(
        class_name="Contrastive",
        classes_per_batch=30,
        samples_per_class=4,
        layout="blocks",
        smallest_tuple="pair",
        better=BetterSetting(
            options={"pairs": "active", "power": 1},
            definition={"pairs": "blocks", "power": 2},
            recall=0.702,
            definition_recall=0.650,
        ),
    ),
    # Pairs and triplets, weighted or mined.
    "margin_loss": LossEntry(class_name="MarginLoss", classes_per_batch=24, samples_per_class=5),
    "multi_similarity": LossEntry(
        class_name="MultiSimilarity", classes_per_batch=16, samples_per_class=5
    ),
    # Weights for each class: proxies, centers, classifiers.
    "proxy_nca": LossEntry(
        class_name="ProxyNCA",
        classes_per_batch=8,
        samples_per_class=4,
        needs_classes=True,
        former={"own_in_denominator": True},
    ),
    "proxy_anchor": LossEntry(
        class_name="ProxyAnchor", classes_per_batch=90, samples_per_class=2, needs_classes=True
    ),
    "normalized_softmax": LossEntry(
        class_name="NormalizedSoftmax",
        classes_per_batch=15,
        samples_per_class=5,
        needs_classes=True,
    ),
    "arcface": LossEntry(
        class_name="ArcFace", classes_per_batch=60, samples_per_class=2, needs_classes=True
    ),
    "cosface": LossEntry(
        class_name="CosFace", classes_per_batch=60, samples_per_class=2, needs_classes=True
    ),
    "soft_triple": LossEntry(
        class_name="SoftTriple", classes_per_batch=16, samples_per_class=2, needs_classes=True
    ),
    # More of pairs, and of whole rankings.
    "circle": LossEntry(class_name="Circle", classes_per_batch=16, samples_per_class=5),
    "supervised_contrastive": LossEntry(
        class_name="SupervisedContrastive",
        classes_per_batch=60,
        samples_per_class=2,
        smallest_tuple="positive_pair",
    ),
    "ntxent": LossEntry(class_name="NTXent", classes_per_batch=60, samples_per_class=2),
    "fastap": LossEntry(class_name="FastAP", classes_per_batch=64, samples_per_class=4),
    "smooth_ap": LossEntry(class_name="SmoothAP", classes_per_batch=28, samples_per_class=4),
    "generalized_lifted": LossEntry(
        class_name="GeneralizedLifted",
        classes_per_batch=18,
        samples_per_class=4,
        normalize=False,
    ),
    "ranked_list": LossEntry(
        class_name="RankedList", classes_per_batch=60, samples_per_class=3, smallest_tuple="pair"
    ),
    "histogram": LossEntry(class_name="Histogram", classes_per_batch=64, samples_per_class=4),
    "tuplet_margin": LossEntry(
        class_name="TupletMargin", classes_per_batch=32, samples_per_class=4
    ),
    "recall_at_k": LossEntry(class_name="RecallAtK", classes_per_batch=100, samples_per_class=4),
    "mined_triplet": LossEntry(
        class_name="MinedTriplet", classes_per_batch=20, samples_per_class=6
    ),
}


def loss_class(name: str) -> "type[keras.losses.Loss]":
    """Return the class of a loss; importing it loads TensorFlow.

    Args:
        name: A key of :data:`LOSSES`.

    Returns:
        The class in ``retrieval/losses/<name>.py``.

    Raises:
        UserError: An unknown loss; the message names the closest one.
    """
    if name not in LOSSES:
        raise unknown_option("loss", name, LOSSES)
    module = importlib.import_module(f"retrieval.losses.{name}")
    return getattr(module, LOSSES[name].class_name)


def recommended_options(name: str) -> dict[str, Any]:
    """Return the options of a loss's constructor and their recommended values, its defaults.

    Args:
        name: A key of :data:`LOSSES`.

    Returns:
        Option -> value, without Keras' ``name``.
    """
    return _defaults(loss_class(name))


def _defaults(owner: type) -> dict[str, Any]:
    parameters = inspect.signature(owner).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty and p.name != "name"}


def former_defaults(name: str | None) -> dict[str, Any]:
    """Return the options of a loss whose defaults have changed, with those of version 0.1.0.

    Args:
        name: A loss; names outside :data:`LOSSES` have none.
    """
    return dict(LOSSES[name].former or {}) if name in LOSSES else {}


def hint(name: str, options: Mapping[str, Any]) -> str | None:
    """Say by how much a known setting of a loss beats the one that is used.

    Args:
        name: A loss; None is known about names outside :data:`LOSSES`.
        options: The options given to its constructor.

    Returns:
        A sentence without a full stop that names the setting and both measured values; None if no
        better setting is known, or if the options have other values than the definition's.

    Example:
        >>> hint("contrastive_loss", {"pairs": "all"}) is None
        True
    """
    better = LOSSES[name].better if name in LOSSES else None
    if better is None or any(
        options.get(option, value) != value for option, value in better.definition.items()
    ):
        return None
    wanted = " ".join(f"--loss-option {k}={v}" for k, v in better.options.items())
    return (
        f"{name} as the baseline defines it, which is the default, reached Recall@1 "
        f"{better.definition_recall:.3f} on Grocery (frozen backbone, mean of 3 seeds), and "
        f"{better.recall:.3f} with {wanted}; the features without training reach "
        f"{UNTRAINED_RECALL:.3f}"
    )


def takes_memory(name: str) -> bool:
    """Return whether :class:`CrossBatchMemory` can wrap a loss: it compares pairs of embeddings.

    Args:
        name: A key of :data:`LOSSES`.
    """
    from retrieval.losses.base import PairLoss  # loads TensorFlow

    return issubclass(loss_class(name), PairLoss)


def get_loss(
    name: str,
    /,
    *,
    cross_batch_memory: int | dict[str, Any] | None = None,
    matryoshka: Sequence[int] | dict[str, Any] | None = None,
    **options: Any,
) -> "keras.losses.Loss":
    """Make a loss from its registry name.

    Args:
        name: A key of :data:`LOSSES`.
        cross_batch_memory: Wrap the loss in :class:`CrossBatchMemory` of this size, or with these
            options (``size``, ``start``, ``weight``). Defaults to None, no memory.
        matryoshka: Wrap the loss in :class:`Matryoshka` of these widths, or with these options
            (``widths``, ``normalize``). Defaults to None, the whole embedding alone.
        **options: Options of the loss's constructor. Those left out have their recommended values.

    Returns:
        The loss: ``loss(labels (B,), embeddings (B, D)) -> float32 scalar``.

    Raises:
        UserError: An unknown loss or option (the message names the valid ones), a value that an
            option cannot have, or a memory for a loss that cannot have one.

    Example:
        >>> loss = get_loss("hard_triplet", margin=0.5)
        >>> float(loss([0, 0, 1], [[0.0], [1.0], [1.25]]))
        0.75
    """
    check_loss_options(name, options)
    with _errors_name(f"loss {name}"):
        loss = loss_class(name)(**options)
    if cross_batch_memory is not None:
        loss = _with_memory(name, loss, cross_batch_memory)
    return loss if matryoshka is None else _at_widths(loss, matryoshka)


def _with_memory(name: str, loss: Any, given: int | dict[str, Any]) -> Any:
    """Wrap a loss in a cross-batch memory."""
    if not takes_memory(name):
        able = ", ".join(filter(takes_memory, LOSSES))
        raise UserError(f"loss {name} cannot have a cross-batch memory; these can: {able}")
    from retrieval.losses.cross_batch_memory import CrossBatchMemory  # loads TensorFlow

    settings = given if isinstance(given, dict) else {"size": given}
    _check_options("cross_batch_memory", settings, _defaults(CrossBatchMemory))
    with _errors_name("cross-batch memory"):
        return CrossBatchMemory(loss, **settings)


def _at_widths(loss: Any, given: Sequence[int] | dict[str, Any]) -> Any:
    """Wrap a loss, which may have a memory, in a Matryoshka loss."""
    from retrieval.losses.matryoshka import Matryoshka  # loads TensorFlow

    settings = given if isinstance(given, dict) else {"widths": given}
    _check_options("matryoshka", settings, dict.fromkeys(("widths", "normalize")))
    with _errors_name("matryoshka"):
        return Matryoshka(loss, **settings)


@contextlib.contextmanager
def _errors_name(owner: str) -> Iterator[None]:
    """Put the owner of an option in front of an error about it."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{owner}: {error}") from None


def check_loss_options(name: str, options: dict[str, Any]) -> None:
    """Refuse options that a loss does not have; its constructor checks their values.

    Args:
        name: A key of :data:`LOSSES`.
        options: The options to check, by name.

    Raises:
        UserError: An unknown loss or option; the message names the valid ones.
    """
    _check_options(name, options, recommended_options(name))


def _check_options(owner: str, given: dict[str, Any], valid: dict[str, Any]) -> None:
    for option in given:
        if option not in valid:
            raise unknown_option(f"option of {owner}", option, valid)
