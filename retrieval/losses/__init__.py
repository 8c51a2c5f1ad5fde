"""Ranking losses: ``loss(labels, embeddings) -> scalar``, one file each.

To add a loss: write ``retrieval/losses/<name>.py`` with one :class:`keras.losses.Loss` and add its
line to ``LOSSES``. Reading ``LOSSES`` costs nothing; TensorFlow loads when a class is asked for.

Example:
    >>> from retrieval.losses import get_loss
    >>> loss = get_loss("hard_triplet", margin="soft", distance="cosine")
    >>> value = loss([0, 0, 1, 1], embeddings)  # (4,) labels, (4, D) embeddings
"""

import contextlib
import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from retrieval.errors import UserError, unknown_option
from retrieval.losses.registry import LossEntry

if TYPE_CHECKING:
    import keras


_ENTRIES = (
    LossEntry(
        "hard_triplet", "HardTriplet", False, 20, 6, memory=True,
        paper="Hermans, Beyer, Leibe 2017: In Defense of the Triplet Loss for Person "
        "Re-Identification",
    ),
    LossEntry(
        "semi_hard_triplet", "SemiHardTriplet", True, 20, 6, memory=True,
        paper="Schroff, Kalenichenko, Philbin 2015: FaceNet, CVPR",
    ),
    LossEntry(
        "lifted_loss", "LiftedStructured", False, 20, 6,
        paper="Song, Xiang, Jegelka, Savarese 2016: Deep Metric Learning via Lifted Structured "
        "Feature Embedding, CVPR",
    ),
    LossEntry(
        "npairs_loss", "NPairs", False, 60, 2, layout="pairs",
        paper="Sohn 2016: Improved Deep Metric Learning with Multi-class N-pair Loss Objective, "
        "NeurIPS",
    ),
    LossEntry(
        "angular_loss", "Angular", True, 60, 2, layout="pairs",
        paper="Wang, Zhou, Wen, Liu, Lin 2017: Deep Metric Learning with Angular Loss, ICCV",
    ),
    LossEntry(
        "contrastive_loss", "Contrastive", True, 30, 4, layout="blocks", memory=True,
        paper="Hadsell, Chopra, LeCun 2006: Dimensionality Reduction by Learning an Invariant "
        "Mapping, CVPR",
    ),
    LossEntry(
        "margin_loss", "MarginLoss", True, 24, 5, memory=True,
        paper="Wu, Manmatha, Smola, Krähenbühl 2017: Sampling Matters in Deep Embedding Learning, "
        "ICCV",
    ),
    LossEntry(
        "multi_similarity", "MultiSimilarity", True, 16, 5, memory=True,
        paper="Wang, Han, Huang, Dong, Scott 2019: Multi-Similarity Loss with General Pair "
        "Weighting, CVPR",
    ),
    LossEntry(
        "proxy_nca", "ProxyNCA", True, 8, 4, needs_classes=True,
        paper="Teh, DeVries, Taylor 2020: ProxyNCA++, ECCV",
    ),
    LossEntry(
        "proxy_anchor", "ProxyAnchor", True, 90, 2, needs_classes=True,
        paper="Kim, Kim, Cho, Kwak 2020: Proxy Anchor Loss for Deep Metric Learning, CVPR",
    ),
    LossEntry(
        "normalized_softmax", "NormalizedSoftmax", True, 15, 5, needs_classes=True,
        paper="Zhai, Wu 2019: Classification is a Strong Baseline for Deep Metric Learning, BMVC",
    ),
    LossEntry(
        "arcface", "ArcFace", True, 60, 2, needs_classes=True,
        paper="Deng, Guo, Xue, Zafeiriou 2019: ArcFace, CVPR",
    ),
    LossEntry(
        "cosface", "CosFace", True, 60, 2, needs_classes=True,
        paper="Wang et al. 2018: CosFace, CVPR",
    ),
    LossEntry(
        "soft_triple", "SoftTriple", True, 16, 2, needs_classes=True,
        paper="Qian, Shang, Sun, Hu, Li, Jin 2019: SoftTriple Loss, ICCV",
    ),
    LossEntry(
        "circle", "Circle", True, 16, 5, memory=True,
        paper="Sun et al. 2020: Circle Loss: A Unified Perspective of Pair Similarity "
        "Optimization, CVPR",
    ),
    LossEntry(
        "supervised_contrastive", "SupervisedContrastive", True, 60, 2, memory=True,
        paper="Khosla et al. 2020: Supervised Contrastive Learning, NeurIPS",
    ),
    LossEntry(
        "ntxent", "NTXent", True, 60, 2, memory=True,
        paper="Chen, Kornblith, Norouzi, Hinton 2020: A Simple Framework for Contrastive Learning "
        "of Visual Representations, ICML",
    ),
    LossEntry(
        "fastap", "FastAP", True, 64, 4, memory=True,
        paper="Cakir, He, Xia, Kulis, Sclaroff 2019: Deep Metric Learning to Rank, CVPR",
    ),
    LossEntry(
        "smooth_ap", "SmoothAP", True, 28, 4, memory=True,
        paper="Brown, Xie, Kalogeiton, Zisserman 2020: Smooth-AP, ECCV",
    ),
    LossEntry(
        "generalized_lifted", "GeneralizedLifted", False, 18, 4, memory=True,
        paper="Hermans, Beyer, Leibe 2017: In Defense of the Triplet Loss for Person "
        "Re-Identification",
    ),
    LossEntry(
        "ranked_list", "RankedList", True, 60, 3, memory=True,
        paper="Wang, Hua, Kodirov, Hu, Garnier, Robertson 2019: Ranked List Loss for Deep Metric "
        "Learning, CVPR",
    ),
    LossEntry(
        "histogram", "Histogram", True, 64, 4, memory=True,
        paper="Ustinova, Lempitsky 2016: Learning Deep Embeddings with Histogram Loss, NeurIPS",
    ),
    LossEntry(
        "tuplet_margin", "TupletMargin", True, 32, 4, memory=True,
        paper="Yu, Tao 2019: Deep Metric Learning with Tuplet Margin Loss, ICCV",
    ),
    LossEntry(
        "recall_at_k", "RecallAtK", True, 100, 4, memory=True,
        paper="Patel, Tolias, Matas 2022: Recall@k Surrogate Loss with Large Batches and "
        "Similarity Mixup, CVPR",
    ),
    LossEntry(
        "mined_triplet", "MinedTriplet", True, 20, 6, memory=True,
        paper="Schroff, Kalenichenko, Philbin 2015: FaceNet, CVPR; by default with the miner of "
        "Xuan, Stylianou, Pless 2020: Improved Embeddings with Easy Positive Triplet Mining, WACV",
    ),
)  # fmt: skip
LOSSES: dict[str, LossEntry] = {entry.name: entry for entry in _ENTRIES}


def get_loss(
    name: str, /, *, cross_batch_memory: int | dict[str, Any] | None = None, **options: Any
) -> "keras.losses.Loss":
    """Make a loss from its registry name.

    Args:
        name: A key of ``LOSSES``.
        cross_batch_memory: Wrap the loss in :class:`CrossBatchMemory` of this size, or with these
            options (``size``, ``start``, ``weight``).
        **options: Options of the loss's constructor; the rest keep their recommended values.

    Returns:
        The loss: ``loss(labels (B,), embeddings (B, D)) -> float32 scalar``.

    Raises:
        UserError: An unknown loss or option; the message names the valid ones. A value that an
            option cannot have. Or a memory for a loss that cannot have one.
    """
    check_loss_options(name, options)
    entry = LOSSES[name]
    with _named(f"loss {name}"):
        loss = entry.loss(**options)
    if cross_batch_memory is None:
        return loss
    if not entry.memory:
        able = ", ".join(e.name for e in _ENTRIES if e.memory)
        raise UserError(f"loss {name} cannot have a cross-batch memory; these can: {able}")
    from retrieval.losses.cross_batch_memory import CrossBatchMemory

    given = cross_batch_memory
    settings = given if isinstance(given, dict) else {"size": given}
    _check_options("cross_batch_memory", settings, ["size", "start", "weight"])
    with _named("cross-batch memory"):
        return CrossBatchMemory(loss, **settings)


@contextlib.contextmanager
def _named(owner: str) -> Iterator[None]:
    """Say whose option an error is about."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{owner}: {error}") from None


def check_loss_options(name: str, options: dict[str, Any]) -> None:
    """Refuse options that a loss does not have; its own constructor checks their values.

    Raises:
        UserError: An unknown loss or option; the message names the valid ones.
    """
    if name not in LOSSES:
        raise unknown_option("loss", name, LOSSES)
    _check_options(name, options, list(LOSSES[name].options()))


def _check_options(owner: str, given: dict[str, Any], valid: list[str]) -> None:
    for option in given:
        if option not in valid:
            raise unknown_option(f"option of {owner}", option, valid)


def __getattr__(attribute: str) -> Any:
    """Load a loss class by name, e.g. ``from retrieval.losses import HardTriplet``."""
    for entry in _ENTRIES:
        if entry.class_name == attribute:
            return entry.loss
    if attribute == "CrossBatchMemory":
        return importlib.import_module("retrieval.losses.cross_batch_memory").CrossBatchMemory
    raise AttributeError(f"module 'retrieval.losses' has no attribute {attribute!r}")
