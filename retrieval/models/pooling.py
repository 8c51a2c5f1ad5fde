"""Global pooling: from a feature map to one vector per image."""

import keras

from retrieval.validation import check_choice


@keras.saving.register_keras_serializable("retrieval")
class GeMPooling(keras.layers.Layer):
    """Generalized mean over positions, (mean x^p)^(1/p), with a trainable p.

    p = 1 is the average, p -> infinity the maximum. Computed in float32. Radenovic et al. 2018,
    "Fine-tuning CNN Image Retrieval with No Human Annotation", equation 3; as there, p starts at 3,
    is shared by all channels, and x is clipped at 1e-6.
    """

    def __init__(self, initial_p: float = 3.0, epsilon: float = 1e-6, **options: object) -> None:
        super().__init__(**(options | {"dtype": "float32"}))
        self.initial_p = initial_p
        self.epsilon = epsilon

    def build(self, input_shape: tuple) -> None:
        """Make the exponent p."""
        constant = keras.initializers.Constant(self.initial_p)
        self.p = self.add_weight(name="p", shape=(), initializer=constant)

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Pool (B, h, w, F) to (B, F)."""
        x = keras.ops.maximum(x, self.epsilon)
        # Relative to the maximum, as x^p would overflow once p has grown; the result does not
        # depend on it, so that no gradient is lost.
        largest = keras.ops.stop_gradient(keras.ops.max(x, axis=(1, 2), keepdims=True))
        mean = keras.ops.mean(keras.ops.power(x / largest, self.p), axis=(1, 2))
        return largest[:, 0, 0] * keras.ops.power(mean, 1.0 / self.p)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Return (B, F)."""
        return (input_shape[0], input_shape[-1])

    def get_config(self) -> dict:
        """Return the constructor's arguments."""
        return super().get_config() | {"initial_p": self.initial_p, "epsilon": self.epsilon}


POOLINGS = {
    "average": keras.layers.GlobalAveragePooling2D,
    "gem": GeMPooling,
    "max": keras.layers.GlobalMaxPooling2D,
}


def pool(feature_map: keras.KerasTensor, kind: str) -> keras.KerasTensor:
    """Pool a feature map over its positions.

    Args:
        feature_map: (B, h, w, F).
        kind: A name in :data:`POOLINGS`.

    Returns:
        (B, F), float32.

    Raises:
        UserError: Unknown kind.
    """
    kind = check_choice("pooling", kind, POOLINGS)
    return POOLINGS[kind](dtype="float32", name="pool")(feature_map)
