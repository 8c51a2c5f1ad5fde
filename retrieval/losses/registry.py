"""What the registry holds of a loss."""

import importlib
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class LossEntry:
    """A loss and the setting its paper (or the published baseline) recommends.

    The defaults of the loss's constructor are the recommended values of its own options; this
    entry holds what lies outside the loss: the head's normalization and the P x K batch.

    Attributes:
        name: Name in the registry, and of the file in ``retrieval/losses/``.
        class_name: The class in that file.
        normalize: Whether the head should L2-normalize the embeddings.
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
