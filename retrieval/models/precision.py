"""Mixed precision while a network is built."""

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf


@contextlib.contextmanager
def mixed_precision(on: bool) -> Iterator[None]:
    """Build layers in mixed precision within a ``with`` block: float16 on a GPU, else bfloat16.

    Args:
        on: Whether to use mixed precision; if False, the block changes nothing.

    Yields:
        Nothing. Keras' global policy is restored after the block.
    """
    before = keras.config.dtype_policy()
    if on:
        gpu = bool(tf.config.list_physical_devices("GPU"))
        keras.config.set_dtype_policy("mixed_float16" if gpu else "mixed_bfloat16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
