"""Ranking losses: ``loss(labels, embeddings) -> scalar``, one file each.

To add a loss: write ``retrieval/losses/<name>.py`` with one :class:`keras.losses.Loss` and add its
line to ``LOSSES``. Reading ``LOSSES`` costs nothing; TensorFlow loads when a class is asked for.

Example:
    >>> from retrieval.losses import get_loss
    >>> loss = get_loss("hard_triplet", margin="soft", distance="cosine")
    >>> value = loss([0, 0, 1, 1], embeddings)  # (4,) labels, (4, D) embeddings
"""

import importlib
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from retrieval.errors import unknown_option

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class LossEntry:
    """A loss and the setting its paper (or the published baseline) recommends.

    The defaults of the loss's constructor are the recommended values of its own options; this
    entry holds what lies outside the loss: the head's normalisation and the P x K batch.

    Attributes:
        name: Name in the registry, and of the file in ``retrieval/losses/``.
        class_name: The class in that file.
        normalize: Whether the head should L2-normalise the embeddings.
        classes_per_batch: P of the recommended P x K batch.
        samples_per_class: K of the recommended P x K batch.
        paper: Authors, year, title and venue.
        layout: How the rows of a batch must be ordered: ``any``; ``pairs`` (rows 2i and 2i + 1
            share a label); ``blocks`` (four rows of one label after another).
        needs_classes: The loss owns weights per class: call
            ``loss.build(num_classes, embedding_size)`` and pass labels 0 .. num_classes - 1.
        memory: :class:`CrossBatchMemory` can wrap the loss.
    """

    name: str
    class_name: str
    normalize: bool
    classes_per_batch: int
    samples_per_class: int
    paper: str
    layout: str = "any"
    needs_classes: bool = False
    memory: bool = False

    @property
    def loss(self) -> "type[keras.losses.Loss]":
        """The loss class; importing it loads TensorFlow."""
        module = importlib.import_module(f"retrieval.losses.{self.name}")
        return getattr(module, self.class_name)

    def options(self) -> dict[str, Any]:
        """Return the constructor's options and their recommended values."""
        parameters = inspect.signature(self.loss).parameters.values()
        return {p.name: p.default for p in parameters if p.name != "name"}


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
)  # fmt: skip

LOSSES: dict[str, LossEntry] = {entry.name: entry for entry in _ENTRIES}


def get_loss(name: str, **options: Any) -> "keras.losses.Loss":
    """Make a loss from its registry name.

    Args:
        name: A key of ``LOSSES``.
        **options: Options of the loss's constructor; the rest keep their recommended values.

    Returns:
        The loss: ``loss(labels (B,), embeddings (B, D)) -> float32 scalar``.

    Raises:
        UserError: An unknown loss or option; the message names the valid ones.
    """
    if name not in LOSSES:
        raise unknown_option("loss", name, LOSSES)
    entry = LOSSES[name]
    valid = {*entry.options(), "name"}
    for option in options:
        if option not in valid:
            raise unknown_option(f"option of {name}", option, valid)
    return entry.loss(**options)


def __getattr__(attribute: str) -> Any:
    """Load a loss class by name, e.g. ``from retrieval.losses import HardTriplet``."""
    for entry in _ENTRIES:
        if entry.class_name == attribute:
            return entry.loss
    raise AttributeError(f"module 'retrieval.losses' has no attribute {attribute!r}")
