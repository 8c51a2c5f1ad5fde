"""Build the network of a run, trained or untrained."""

import math

import keras

from retrieval.models import backbone_of, build_backbone, build_head, build_model
from retrieval.models.freezing import freeze_batch_norm
from retrieval.models.lora import add_lora
from retrieval.settings.schema import TrainSettings


def build_network(settings: TrainSettings, feature_size: int | None = None) -> keras.Model:
    """Build the network that a run trains: backbone and head, or the head alone.

    Args:
        settings: Resolved settings of the run.
        feature_size: Width F of the cached features if the backbone is frozen. Defaults to None:
            the whole network is trained.

    Returns:
        Network: images (B, H, W, 3) in 0..255, or features (B, F), to embeddings (B, D).
    """
    if feature_size is not None:
        return build_head(
            settings.head, feature_size, settings.embedding_size, normalize=settings.normalize
        )
    network = _whole_network(settings, settings.weights)
    if settings.lora_rank:
        add_lora(network.get_layer("backbone"), settings.lora_rank, settings.lora_layers)
    elif has_frozen_batch_norm(settings):
        freeze_batch_norm(network.get_layer("backbone"))
    return network


def _whole_network(settings: TrainSettings, weights: str | None) -> keras.Model:
    return build_model(
        settings.backbone,
        head=settings.head,
        embedding_size=settings.embedding_size,
        normalize=settings.normalize,
        image_size=settings.image_size,
        weights=weights,
        pooling=settings.pooling,
    )


def has_frozen_batch_norm(settings: TrainSettings) -> bool:
    """Return whether the batch normalizations of the backbone stay frozen for the whole training.

    Only pretrained statistics are worth keeping. Those that are frozen for the first steps alone
    are the business of the model: see ``freeze_batch_norm_steps`` of
    :class:`retrieval.training.model.RankingModel`.
    """
    pretrained = backbone_of(settings.backbone).pretrained and settings.weights != "none"
    return settings.freeze_batch_norm and pretrained and not settings.freeze_batch_norm_steps


def frozen_backbone(settings: TrainSettings) -> keras.Model:
    """Build a backbone that is not trained: images (B, H, W, 3) to features (B, F).

    Random weights are drawn from the run's seed, so that every call gives the same ones.
    """
    if settings.weights == "none":
        keras.utils.set_random_seed(settings.seed)
    return build_backbone(
        settings.backbone,
        settings.image_size,
        weights=settings.weights,
        pooling=settings.pooling,
    )


def untrained_network(settings: TrainSettings) -> keras.Model:
    """Build a backbone with a ``head`` that only normalizes: images (B, H, W, 3) to (B, F)."""
    backbone = frozen_backbone(settings)
    features = keras.Input(backbone.output_shape[1:])
    head = keras.Model(features, keras.layers.UnitNormalization()(features), name="head")
    return joined(backbone, head)


def joined(backbone: keras.Model, head: keras.Model) -> keras.Model:
    """Put a head on a backbone: images (B, H, W, 3) to embeddings (B, D)."""
    images = keras.Input(backbone.input_shape[1:], name="images")
    return keras.Model(images, head(backbone(images)))


def describe_parts(settings: TrainSettings) -> list[dict[str, object]]:
    """Describe the network of a run, without its weights: the backbone, the head, and the whole.

    Args:
        settings: Resolved settings of the run.

    Returns:
        One mapping per part: ``part``, ``output`` (shape), ``parameters`` (their number) and
        ``trained`` (how many of them the run changes).
    """
    network = _whole_network(settings, None)
    backbone, head = network.get_layer("backbone"), network.get_layer("head")
    if settings.freeze_backbone:
        backbone.trainable = False
    elif settings.lora_rank:
        add_lora(backbone, settings.lora_rank, settings.lora_layers)
    elif has_frozen_batch_norm(settings):
        freeze_batch_norm(backbone)
    pooling = settings.pooling or backbone_of(settings.backbone).pooling
    names = {
        f"{settings.backbone}, {pooling} pooling": backbone,
        f"head: {settings.head}, {'normalized' if settings.normalize else 'not normalized'}": head,
        "whole network": network,
    }
    return [
        {
            "part": name,
            "output": " x ".join(["B", *map(str, part.output_shape[1:])]),
            "parameters": sum(math.prod(w.shape) for w in part.weights),
            "trained": sum(math.prod(w.shape) for w in part.trainable_weights),
        }
        for name, part in names.items()
    ]
