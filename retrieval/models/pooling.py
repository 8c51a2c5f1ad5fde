"""Pooling of a feature map (B, H, W, C) to features (B, C): average, max, GeM."""

from collections.abc import Callable

import keras


@keras.saving.register_keras_serializable("retrieval")
class GeM(keras.layers.Layer):
    """Generalised mean with a learnt power (Radenovic 2019, eq. 3): p = 1 average, p -> inf max."""

    def __init__(self, power: float = 3.0, **options: object) -> None:
        super().__init__(**options)
        self.power = power

    def build(self, shape: tuple) -> None:
        """Make the power, one for all channels."""
        start = keras.initializers.Constant(self.power)
        self.p = self.add_weight(shape=(), initializer=start, name="p")

    def call(self, x: object) -> object:
        """Pool (B, H, W, C) to (B, C)."""
        x = keras.ops.cast(x, "float32")
        raised = keras.ops.power(keras.ops.maximum(x, 1e-6), self.p)
        return keras.ops.power(keras.ops.mean(raised, axis=(1, 2)), 1.0 / self.p)

    def get_config(self) -> dict:
        """Return the constructor's arguments."""
        return super().get_config() | {"power": self.power}


POOLINGS: dict[str, Callable[[], keras.layers.Layer]] = {
    "average": lambda: keras.layers.GlobalAveragePooling2D(name="pool"),
    "max": lambda: keras.layers.GlobalMaxPooling2D(name="pool"),
    "gem": lambda: GeM(name="pool"),
}
