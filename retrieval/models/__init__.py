"""Backbones, pooling and heads: networks from images to embeddings, built by name.

A new backbone is added in :mod:`retrieval.models.registry`. Importing this package does not load
TensorFlow; building a network does.
"""

from retrieval.models.build import build_backbone, build_head, build_model
from retrieval.models.registry import BACKBONES, HEADS, Backbone, Head, backbone_of

__all__ = [
    "BACKBONES",
    "HEADS",
    "Backbone",
    "Head",
    "backbone_of",
    "build_backbone",
    "build_head",
    "build_model",
]
