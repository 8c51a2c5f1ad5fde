"""Mixed precision for the time a network is built."""

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf


@contextlib.contextmanager
def mixed_precision(on: bool) -> Iterator[None]:
    """Build layers in mixed precision: float16 on a GPU, bfloat16 on a CPU.

    Args:
        on: Nothing changes if False.

    Yields:
        Nothing; Keras' global policy is put back afterwards.
    """
    before = keras.config.dtype_policy()
    if on:
        gpu = bool(tf.config.list_physical_devices("GPU"))
        keras.config.set_dtype_policy("mixed_float16" if gpu else "mixed_bfloat16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
