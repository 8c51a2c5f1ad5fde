"""keras-hub's DINOv2, such that saved weights are those that were trained.

keras-hub keeps position embeddings twice: on the grid of the pretraining (518 px), and interpolated
to the image size. It trains the latter, but when it saves, it interpolates them back to the large
grid, and when it loads, from there again, so that a loaded network is not the one that was saved.
Files hold both arrays; here they are saved and loaded as they are.

Importing this file needs keras-hub (the extra ``vit``).
"""

from typing import Any

import keras
from keras_hub.models import DINOV2Backbone as KerasHubBackbone


# The name is keras-hub's: it stands in the checkpoints.
@keras.saving.register_keras_serializable(package="retrieval")
class DINOV2Backbone(KerasHubBackbone):
    """``keras_hub.models.DINOV2Backbone``, with the same arguments and weights.

    Weights load only into a network of the same image size.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        # keras-hub's backbone builds its layers itself, and so takes no other class for them.
        self.embeddings.__class__ = _embedding_class(type(self.embeddings))


def _embedding_class(base: type[keras.layers.Layer]) -> type[keras.layers.Layer]:
    """Return keras-hub's class of the embedding layer, saved and loaded as any other layer."""

    class DINOV2Embedding(base):
        def save_own_variables(self, store: Any) -> None:
            keras.layers.Layer.save_own_variables(self, store)

        def load_own_variables(self, store: Any) -> None:
            keras.layers.Layer.load_own_variables(self, store)

    return DINOV2Embedding


def copy_of(network: KerasHubBackbone) -> DINOV2Backbone:
    """Return a copy of keras-hub's network, with its weights."""
    copied: DINOV2Backbone = DINOV2Backbone.from_config(network.get_config())
    copied.set_weights(network.get_weights())
    return copied
