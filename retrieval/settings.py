"""Every setting of a training run, in one validated dataclass."""

import dataclasses
from dataclasses import dataclass, field

from retrieval.errors import UserError, unknown_option


@dataclass(frozen=True)
class TrainSettings:
    """What makes a run; ``None`` means the recommendation of the loss, backbone or data set.

    Attributes:
        dataset: Name in :data:`retrieval.datasets.DATASETS`.
        data: Folder of the data set; default ``data/<dataset>``.
        dataset_options: Options of the data set's loader, e.g. ``{"subset": "letters"}``.
        loss: Name in :data:`retrieval.losses.LOSSES`.
        loss_options: Options of the loss, e.g. ``{"margin": 0.5}``.
        classes_per_batch: P of a P x K batch.
        samples_per_class: K of a P x K batch.
        backbone: Name in :data:`retrieval.models.BACKBONES`.
        head: Name in :data:`retrieval.models.HEADS`.
        embedding_size: Width of the embedding.
        normalize: L2-normalise the embedding during training.
        image_size: Side of the square network input, pixels.
        freeze_backbone: Train the head only, on backbone features computed once and cached.
        optimizer: ``adam``, ``adamw`` or ``momentum``.
        learning_rate: Base learning rate.
        steps: Training steps.
        seed: Seeds batches, augmentation and initial weights.
    """

    dataset: str = "typefaces"
    data: str | None = None
    dataset_options: dict = field(default_factory=dict)
    loss: str = "semi_hard_triplet"
    loss_options: dict = field(default_factory=dict)
    classes_per_batch: int | None = None
    samples_per_class: int | None = None
    backbone: str = "efficientnet_lite0"
    head: str = "direct"
    embedding_size: int = 128
    normalize: bool | None = None
    image_size: int | None = None
    freeze_backbone: bool = False
    optimizer: str = "adam"
    learning_rate: float = 3e-4
    steps: int = 500
    seed: int = 0

    @classmethod
    def from_mapping(cls, mapping: dict) -> "TrainSettings":
        """Build settings from a dict (YAML, JSON), refusing unknown keys.

        Raises:
            UserError: An unknown key; the message names the closest valid one.
        """
        valid = {f.name for f in dataclasses.fields(cls)}
        for key in mapping:
            if key not in valid:
                raise unknown_option("setting", key, valid)
        return cls(**mapping)

    def to_mapping(self) -> dict:
        """Return a plain dict, ready for YAML."""
        return dataclasses.asdict(self)

    def __post_init__(self) -> None:
        for name in (
            "steps",
            "embedding_size",
            "image_size",
            "classes_per_batch",
            "samples_per_class",
        ):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"setting {name} = {value}: give a number of at least 1")
        if self.learning_rate <= 0:
            raise UserError(f"setting learning_rate = {self.learning_rate}: give a number above 0")
