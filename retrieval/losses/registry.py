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
from retrieval.losses.search_space import (
    LEARNING_RATE,
    LOSS_MULTIPLIER,
    Choice,
    Dimension,
    Real,
    SearchSpace,
    Whole,
)

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
        space: What ``retrieval tune`` searches, beside what every loss shares.
        former: Options whose defaults have changed -> their defaults in version 0.1.0. A run folder
            of that version was trained with these. Defaults to None, no option's default has.
    """

    class_name: str
    classes_per_batch: int
    samples_per_class: int
    space: SearchSpace
    normalize: bool = True
    layout: Literal["any", "pairs", "blocks"] = "any"
    needs_classes: bool = False
    smallest_tuple: Literal["triplet", "positive_pair", "pair"] = "triplet"
    better: BetterSetting | None = None
    former: Mapping[str, Any] | None = None


LOSSES: dict[str, LossEntry] = {
    # The six losses of the published baseline.
    "hard_triplet": LossEntry(
        class_name="HardTriplet",
        space=SearchSpace(
            source="Hermans 2017: margins 0.1 to 1; with and without normalization",
            options={"margin": Real(0.1, 1.0, log=True)},
            settings={"normalize": Choice((False, True))},
        ),
        classes_per_batch=20,
        samples_per_class=6,
        normalize=False,
    ),
    "semi_hard_triplet": LossEntry(
        class_name="SemiHardTriplet",
        space=SearchSpace(
            source="around the 0.2 of Schroff 2015", options={"margin": Real(0.05, 1.0, log=True)}
        ),
        classes_per_batch=20,
        samples_per_class=6,
    ),
    "lifted_loss": LossEntry(
        class_name="LiftedStructured",
        space=SearchSpace(
            source="around the 1 of Song 2016", options={"margin": Real(0.5, 2.0, log=True)}
        ),
        classes_per_batch=20,
        samples_per_class=6,
        normalize=False,
    ),
    "npairs_loss": LossEntry(
        class_name="NPairs",
        space=SearchSpace(
            source="around the 0.002 of the published baseline, for the regularizer of Sohn 2016",
            options={"regularizer": Real(2e-4, 2e-2, log=True)},
        ),
        classes_per_batch=60,
        samples_per_class=2,
        normalize=False,
        layout="pairs",
    ),
    "angular_loss": LossEntry(
        class_name="Angular",
        space=SearchSpace(
            source="Wang 2017: 36 to 55 degrees; both forms",
            options={"degree": Real(36.0, 55.0), "form": Choice(("softmax", "log_sum"))},
        ),
        classes_per_batch=60,
        samples_per_class=2,
        layout="pairs",
    ),
    "contrastive_loss": LossEntry(
        class_name="Contrastive",
        space=SearchSpace(
            source="around the 1 of Hadsell 2006; all formations of pairs and both powers",
            options={
                "margin": Real(0.25, 2.0, log=True),
                "pairs": Choice(("blocks", "active", "all")),
                "power": Choice((2, 1)),
            },
        ),
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
    "margin_loss": LossEntry(
        class_name="MarginLoss",
        space=SearchSpace(
            source="around the 0.2 and 1.2 of Wu 2017",
            options={"margin": Real(0.05, 0.5, log=True), "beta": Real(0.6, 1.4)},
        ),
        classes_per_batch=24,
        samples_per_class=5,
    ),
    "multi_similarity": LossEntry(
        class_name="MultiSimilarity",
        space=SearchSpace(
            source="around the 2, 50, 0.5 (1 in the paper) and 0.1 of Wang 2019",
            options={
                "alpha": Real(0.5, 20.0, log=True),
                "beta": Real(10.0, 100.0, log=True),
                "threshold": Real(0.2, 1.0),
                "epsilon": Real(0.0, 0.4),
            },
        ),
        classes_per_batch=16,
        samples_per_class=5,
    ),
    # Weights for each class: proxies, centers, classifiers.
    "proxy_nca": LossEntry(
        class_name="ProxyNCA",
        space=SearchSpace(
            source="around the 1/9 of Teh 2020; with and without the own proxy in the sum",
            options={
                "temperature": Real(0.03, 1.0, log=True),
                "own_in_denominator": Choice((False, True)),
            },
        ),
        classes_per_batch=8,
        samples_per_class=4,
        needs_classes=True,
        former={"own_in_denominator": True},
    ),
    "proxy_anchor": LossEntry(
        class_name="ProxyAnchor",
        space=SearchSpace(
            source="Kim 2020: margins 0 to 0.4, scales 4 to 64",
            options={"margin": Real(0.0, 0.4), "scale": Real(4.0, 64.0, log=True)},
        ),
        classes_per_batch=90,
        samples_per_class=2,
        needs_classes=True,
    ),
    "normalized_softmax": LossEntry(
        class_name="NormalizedSoftmax",
        space=SearchSpace(
            source="around the 0.05 of Zhai 2019",
            options={"temperature": Real(0.02, 0.2, log=True)},
        ),
        classes_per_batch=15,
        samples_per_class=5,
        needs_classes=True,
    ),
    "arcface": LossEntry(
        class_name="ArcFace",
        space=SearchSpace(
            source="around the 0.5 and 64 of Deng 2019",
            options={"margin": Real(0.1, 0.7), "scale": Real(8.0, 128.0, log=True)},
        ),
        classes_per_batch=60,
        samples_per_class=2,
        needs_classes=True,
    ),
    "cosface": LossEntry(
        class_name="CosFace",
        space=SearchSpace(
            source="Wang 2018: margins 0 to 0.45; around their scale of 64",
            options={"margin": Real(0.0, 0.45), "scale": Real(8.0, 128.0, log=True)},
        ),
        classes_per_batch=60,
        samples_per_class=2,
        needs_classes=True,
    ),
    "soft_triple": LossEntry(
        class_name="SoftTriple",
        space=SearchSpace(
            source="around the 20, 0.1, 0.01, 10 and 0.2 of Qian 2019",
            options={
                "scale": Real(5.0, 80.0, log=True),
                "gamma": Real(0.02, 0.5, log=True),
                "margin": Real(0.0, 0.1),
                "centers_per_class": Whole(2, 20, log=True),
                "regularizer": Real(0.02, 2.0, log=True),
            },
        ),
        classes_per_batch=16,
        samples_per_class=2,
        needs_classes=True,
    ),
    # More of pairs, and of whole rankings.
    "circle": LossEntry(
        class_name="Circle",
        space=SearchSpace(
            source="around the 0.4 (0.25 for faces) and 80 (256 for faces) of Sun 2020",
            options={"margin": Real(0.1, 0.5), "scale": Real(16.0, 512.0, log=True)},
        ),
        classes_per_batch=16,
        samples_per_class=5,
    ),
    "supervised_contrastive": LossEntry(
        class_name="SupervisedContrastive",
        space=SearchSpace(
            source="around the 0.1 of Khosla 2020",
            options={"temperature": Real(0.02, 0.5, log=True)},
        ),
        classes_per_batch=60,
        samples_per_class=2,
        smallest_tuple="positive_pair",
    ),
    "ntxent": LossEntry(
        class_name="NTXent",
        space=SearchSpace(
            source="Chen 2020: 0.05 to 1", options={"temperature": Real(0.05, 1.0, log=True)}
        ),
        classes_per_batch=60,
        samples_per_class=2,
    ),
    "fastap": LossEntry(
        class_name="FastAP",
        space=SearchSpace(
            source="around the 10 of Cakir 2019", options={"bins": Whole(5, 50, log=True)}
        ),
        classes_per_batch=64,
        samples_per_class=4,
    ),
    "smooth_ap": LossEntry(
        class_name="SmoothAP",
        space=SearchSpace(
            source="Brown 2020: 0.001 to 0.1", options={"temperature": Real(0.001, 0.1, log=True)}
        ),
        classes_per_batch=28,
        samples_per_class=4,
    ),
    "generalized_lifted": LossEntry(
        class_name="GeneralizedLifted",
        space=SearchSpace(
            source="around the 1 of Hermans 2017", options={"margin": Real(0.5, 2.0, log=True)}
        ),
        classes_per_batch=18,
        samples_per_class=4,
        normalize=False,
    ),
    "ranked_list": LossEntry(
        class_name="RankedList",
        space=SearchSpace(
            source="around the 1.2, 0.4 and 10 of Wang 2019",
            options={
                "alpha": Real(0.8, 1.6),
                "margin": Real(0.1, 0.8),
                "negative_temperature": Real(1.0, 30.0, log=True),
            },
        ),
        classes_per_batch=60,
        samples_per_class=3,
        smallest_tuple="pair",
    ),
    "histogram": LossEntry(
        class_name="Histogram",
        space=SearchSpace(
            source="around the 200 of Ustinova 2016", options={"bins": Whole(50, 400, log=True)}
        ),
        classes_per_batch=64,
        samples_per_class=4,
    ),
    "tuplet_margin": LossEntry(
        class_name="TupletMargin",
        space=SearchSpace(
            source="around the 64 and 5.73 degrees of Yu 2019",
            options={"scale": Real(8.0, 128.0, log=True), "slack": Real(0.0, 15.0)},
        ),
        classes_per_batch=32,
        samples_per_class=4,
    ),
    "recall_at_k": LossEntry(
        class_name="RecallAtK",
        space=SearchSpace(
            source="around the 0.01 and 1 of Patel 2022",
            options={
                "rank_temperature": Real(0.001, 0.1, log=True),
                "recall_temperature": Real(0.1, 10.0, log=True),
            },
        ),
        classes_per_batch=100,
        samples_per_class=4,
    ),
    "mined_triplet": LossEntry(
        class_name="MinedTriplet",
        space=SearchSpace(
            source="around the 0.2 of Schroff 2015; the miners of the registry",
            options={
                "margin": Real(0.05, 1.0, log=True),
                "miner": Choice(
                    (
                        "easy_positive",
                        "batch_hard",
                        "semi_hard",
                        "distance_weighted",
                        "multi_similarity",
                    )
                ),
            },
        ),
        classes_per_batch=20,
        samples_per_class=6,
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


def search_space(name: str) -> dict[str, Dimension]:
    """Return everything that ``retrieval tune`` searches of a loss.

    Args:
        name: A key of :data:`LOSSES`.

    Returns:
        Name of a setting of the training or of an option of the loss -> its values: the learning
        rate, that of the loss's own weights if it has any, then the loss's own space.

    Raises:
        UserError: An unknown loss; the message names the closest one.
    """
    owns_weights = "learning_rate_multiplier" in recommended_options(name)
    space = LOSSES[name].space
    return {
        "learning_rate": LEARNING_RATE,
        **({"loss_multiplier": LOSS_MULTIPLIER} if owns_weights else {}),
        **space.settings,
        **space.options,
    }


def recommended_point(name: str, learning_rate: float) -> dict[str, Any]:
    """Return the recommended value of everything in :func:`search_space`.

    Args:
        name: A key of :data:`LOSSES`.
        learning_rate: The recommended learning rate, which is that of the training.
    """
    entry, options = LOSSES[name], recommended_options(name)
    known = options | {
        "learning_rate": learning_rate,
        "loss_multiplier": options.get("learning_rate_multiplier"),
        "normalize": entry.normalize,
    }
    return {dimension: known[dimension] for dimension in search_space(name)}


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
