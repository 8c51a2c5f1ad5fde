"""Embedding heads: from pooled features to embeddings."""

import keras

ORTHOGONAL = "orthogonal"
# Of the hidden layer, as in the TF 1 baseline (and triplet-reid, from which it came).
HIDDEN_START, HIDDEN_MOMENTUM, HIDDEN_EPSILON = "glorot_uniform", 0.9, 1e-5
# A vector of a smaller squared length counts as zero: it stays (nearly) zero, with finite gradient.
LEAST_SQUARE = 1e-12


@keras.saving.register_keras_serializable("retrieval")
class L2Normalize(keras.layers.Layer):
    """Scale embeddings (B, D) to unit length, always in float32. A zero vector stays zero.

    Args:
        **options: Options of Keras' ``Layer``, except for ``dtype``.
    """

    def __init__(self, **options: object) -> None:
        super().__init__(**(options | {"dtype": "float32"}))

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Normalize each row of (B, D)."""
        squares = keras.ops.sum(keras.ops.square(x), axis=-1, keepdims=True)
        return x * keras.ops.rsqrt(keras.ops.maximum(squares, LEAST_SQUARE))


def embed(
    feature_size: int,
    embedding_size: int,
    *,
    hidden: int | None,
    normalize: bool,
    linear: bool = True,
) -> keras.Model:
    """Build a head as published: its last layer has orthogonal initial weights.

    The last linear layer and the normalization compute in float32 under any precision policy,
    because losses compare distances that half precision would round to equal ones.

    Args:
        feature_size: Size F of the pooled features.
        embedding_size: Size D of the embedding.
        hidden: Width of a dense layer with batch norm and ReLU before the linear layer; None for no
            such layer.
        normalize: Whether to L2-normalize the embedding.
        linear: Whether there is a linear layer. Defaults to True; otherwise, the features are the
            embedding, and D must be F.

    Returns:
        Model ``head``: features (B, F) -> embeddings (B, D), float32.
    """
    features = keras.Input((feature_size,), name="features")
    x = features
    if hidden is not None:
        x = keras.layers.Dense(hidden, kernel_initializer=HIDDEN_START, name="fc")(x)
        x = keras.layers.BatchNormalization(
            momentum=HIDDEN_MOMENTUM, epsilon=HIDDEN_EPSILON, name="fc_norm"
        )(x)
        x = keras.layers.ReLU(name="fc_relu")(x)
    if linear:
        x = keras.layers.Dense(
            embedding_size, kernel_initializer=ORTHOGONAL, dtype="float32", name="embedding"
        )(x)
    else:
        x = keras.layers.Activation("linear", dtype="float32", name="unchanged")(x)
    if normalize:
        x = L2Normalize(name="normalize")(x)
    return keras.Model(features, x, name="head")
