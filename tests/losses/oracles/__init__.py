"""The losses as explicit NumPy loops in float64, written from the papers' formulas.

``ORACLES[name](labels, x, **options)`` is the value for embeddings x (B, D). ``fixed`` is the point
at which quantities without gradient (weights of the circle and ranked list losses) are taken.
"""

from tests.losses.oracles import pairs, proxies, ranking, triplets  # noqa: F401  each adds its own
from tests.losses.oracles.parts import ORACLES

__all__ = ["ORACLES"]
