"""Embedding heads: pooled features to embeddings."""

import keras


@keras.saving.register_keras_serializable("retrieval")
class L2Normalize(keras.layers.Layer):
    """Scale each embedding to unit length, float32; zero stays zero, gradients finite."""

    def __init__(self, **options: object) -> None:
        super().__init__(**(options | {"dtype": "float32"}))

    def call(self, x: object) -> object:
        """Normalise (B, D)."""
        squares = keras.ops.sum(keras.ops.square(x), axis=-1, keepdims=True)
        return x * keras.ops.rsqrt(keras.ops.maximum(squares, 1e-12))


def build_head(
    head: str, feature_size: int, embedding_size: int = 128, *, normalize: bool = True
) -> keras.Model:
    """Build a head.

    Args:
        head: ``direct`` (one linear layer) or ``fc1024`` (dense 1024, batch norm, ReLU, linear).
        feature_size: Width F of the pooled features.
        embedding_size: Width D of the embedding.
        normalize: L2-normalise the embedding.

    Returns:
        features (B, F) -> embeddings (B, D), float32.
    """
    features = keras.Input((feature_size,), name="features")
    x = features
    if head == "fc1024":
        x = keras.layers.Dense(1024, kernel_initializer="orthogonal", name="fc")(x)
        x = keras.layers.BatchNormalization(name="fc_norm")(x)
        x = keras.layers.ReLU(name="fc_relu")(x)
    x = keras.layers.Dense(
        embedding_size, kernel_initializer="orthogonal", dtype="float32", name="embedding"
    )(x)
    if normalize:
        x = L2Normalize(name="normalize")(x)
    return keras.Model(features, x, name="head")
