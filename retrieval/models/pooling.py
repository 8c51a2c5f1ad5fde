"""Global pooling: from a feature map to one vector per image."""

import keras

from retrieval.validation import check_choice


@keras.saving.register_keras_serializable("retrieval")
class GeMPooling(keras.layers.Layer):
    r"""Generalized-mean (GeM) pooling over positions, with a trainable exponent.

    $$
    f = \left( \frac{1}{h w} \sum_{i} x_i^p \right)^{1 / p}
    $$

    p = 1 is the average, and p -> infinity the maximum. As in the paper, p is shared by all
    channels, and x is clipped from below. Computed in float32.

    Args:
        initial_p: Initial exponent p. Defaults to 3.0.
        epsilon: Lower limit of x. Defaults to 1e-6.
        **options: Options of Keras' ``Layer``, except for ``dtype``.

    Reference:
        Radenović, Tolias, Chum (2018): Fine-tuning CNN Image Retrieval with No Human Annotation,
        TPAMI, eq. 3. arXiv:1711.02512.
    """

    def __init__(self, initial_p: float = 3.0, epsilon: float = 1e-6, **options: object) -> None:
        super().__init__(**(options | {"dtype": "float32"}))
        self.initial_p = initial_p
        self.epsilon = epsilon

    def build(self, input_shape: tuple) -> None:
        """Create the exponent p, a scalar."""
        constant = keras.initializers.Constant(self.initial_p)
        self.p = self.add_weight(name="p", shape=(), initializer=constant)

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Pool (B, h, w, F) to (B, F)."""
        x = keras.ops.maximum(x, self.epsilon)
        # Relative to the maximum, because x^p would overflow once p has grown. The result does not
        # depend on the maximum, so stopping its gradient loses nothing.
        largest = keras.ops.stop_gradient(keras.ops.max(x, axis=(1, 2), keepdims=True))
        mean = keras.ops.mean(keras.ops.power(x / largest, self.p), axis=(1, 2))
        return largest[:, 0, 0] * keras.ops.power(mean, 1.0 / self.p)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Return (B, F)."""
        return (input_shape[0], input_shape[-1])

    def get_config(self) -> dict:
        """Return the constructor's arguments."""
        return super().get_config() | {"initial_p": self.initial_p, "epsilon": self.epsilon}


@keras.saving.register_keras_serializable("retrieval")
class AverageMaxPooling(keras.layers.Layer):
    r"""Sum of global average and global maximum pooling.

    The maximum sees the strongest response to a detail anywhere in the image, the average what the
    whole image shows. Computed in float32.

    Args:
        **options: Options of Keras' ``Layer``, except for ``dtype``.

    Reference:
        The code of Kim et al. (2020), "Proxy Anchor Loss for Deep Metric Learning", CVPR; their
        paper does not mention it.
    """

    def __init__(self, **options: object) -> None:
        super().__init__(**(options | {"dtype": "float32"}))

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Pool (B, h, w, F) to (B, F)."""
        return keras.ops.mean(x, axis=(1, 2)) + keras.ops.max(x, axis=(1, 2))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Return (B, F)."""
        return (input_shape[0], input_shape[-1])


POOLINGS = {
    "average": keras.layers.GlobalAveragePooling2D,
    "average+max": AverageMaxPooling,
    "gem": GeMPooling,
    "max": keras.layers.GlobalMaxPooling2D,
}


def pool(feature_map: keras.KerasTensor, kind: str) -> keras.KerasTensor:
    """Pool a feature map over its positions.

    Args:
        feature_map: (B, h, w, F).
        kind: A key of :data:`POOLINGS`.

    Returns:
        (B, F), float32.

    Raises:
        UserError: Unknown kind.
    """
    kind = check_choice("pooling", kind, POOLINGS)
    return POOLINGS[kind](dtype="float32", name="pool")(feature_map)
