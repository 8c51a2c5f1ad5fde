"""Values for the variables of TF-slim's Inception V1, each made from its name alone.

So the reference outputs can be checked without committing, or even having, a 26 MB checkpoint.
"""

import math
import zlib

import numpy as np


def slim_variable(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return the value of a variable, float32; scaled so that activations neither die nor grow."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("moving_variance"):
        return random.uniform(0.5, 1.5, shape).astype(np.float32)
    scale = math.sqrt(2 / math.prod(shape[:-1])) if name.endswith("weights") else 0.1
    return (scale * random.standard_normal(shape)).astype(np.float32)
