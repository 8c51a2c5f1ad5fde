"""Embedding heads: from pooled features to embeddings."""

import keras

ORTHOGONAL = "orthogonal"
# Below this squared length a vector counts as zero: it stays (nearly) zero, its gradient finite.
LEAST_SQUARE = 1e-12


@keras.saving.register_keras_serializable("retrieval")
class L2Normalize(keras.layers.Layer):
    """Scale embeddings (B, D) to unit length, always in float32; a zero vector stays zero."""

    def __init__(self, **options: object) -> None:
        super().__init__(**(options | {"dtype": "float32"}))

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Normalize each row of (B, D)."""
        squares = keras.ops.sum(keras.ops.square(x), axis=-1, keepdims=True)
        return x * keras.ops.rsqrt(keras.ops.maximum(squares, LEAST_SQUARE))


def embed(
    feature_size: int, embedding_size: int, *, hidden: int | None, normalize: bool
) -> keras.Model:
    """Build a head with the published initializer (orthogonal).

    The last linear layer and the normalization compute in float32 whatever the precision policy:
    losses compare distances that half precision would round to equal.

    Args:
        feature_size: Width F of the pooled features.
        embedding_size: Width D of the embedding.
        hidden: Width of a dense layer, batch norm and ReLU before the linear one; None: no such.
        normalize: L2-normalize the embedding.

    Returns:
        Model ``head``: features (B, F) -> embeddings (B, D), float32.
    """
    features = keras.Input((feature_size,), name="features")
    x = features
    if hidden is not None:
        x = keras.layers.Dense(hidden, kernel_initializer=ORTHOGONAL, name="fc")(x)
        x = keras.layers.BatchNormalization(name="fc_norm")(x)
        x = keras.layers.ReLU(name="fc_relu")(x)
    x = keras.layers.Dense(
        embedding_size, kernel_initializer=ORTHOGONAL, dtype="float32", name="embedding"
    )(x)
    if normalize:
        x = L2Normalize(name="normalize")(x)
    return keras.Model(features, x, name="head")
