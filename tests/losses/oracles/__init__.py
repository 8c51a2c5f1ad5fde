"""Oracles: every loss as explicit NumPy loops in float64, written from the paper's formula.

A new loss ``my_loss`` needs one file, ``tests/losses/oracles/my_loss.py``, with one function::

    from tests.losses.oracles.parts import distance, mean, negatives_of, positives_of


    def oracle(labels, x, margin=1.0):
        return mean([... for a in range(len(x)) for p in positives_of(labels, a)])

The file is found by the loss's name. ``tests/losses/test_against_oracles.py`` compares the value of
the loss with the oracle, and its gradients with the oracle's finite differences.

The function takes the labels (B,), the embeddings x (B, D) and, by name, the options of the loss's
constructor, with the same defaults. A loss that owns weights gets them as a third argument. An
argument ``fixed`` gets the embeddings at which quantities without a gradient are to be computed.

By default, the oracle is compared at the loss's recommended options, on a batch whose rows are
ordered as the loss needs them. For other options or batches, add a list to the file::

    CASES = [({}, MIXED), ({"margin": 0.2}, BLOCKS)]

A loss that draws at random is not compared automatically: see how ``test_against_oracles.py`` hands
the drawn triplets to the oracle of ``margin_loss``.
"""

from importlib import import_module
from importlib.util import find_spec

import pytest

from retrieval.losses import LOSSES
from tests.losses.oracles.parts import BLOCKS, MIXED, PAIRED

BATCHES = {"any": MIXED, "pairs": PAIRED, "blocks": BLOCKS}  # by the layout that a loss needs


def has_oracle(name):
    return find_spec(f"{__name__}.{name}") is not None


def oracle_of(name):
    """The oracle of a loss: ``oracle(labels, x, **options) -> float``."""
    if not has_oracle(name):
        pytest.fail(
            f"{name} has no oracle: write tests/losses/oracles/{name}.py with one function, "
            "`def oracle(labels, x, <options>)`, as tests/losses/oracles/__init__.py describes"
        )
    return import_module(f"{__name__}.{name}").oracle


def cases_of(name):
    """The options and labels on which a loss is compared with its oracle."""
    default = [({}, BATCHES[LOSSES[name].layout])]
    if not has_oracle(name):
        return default
    cases = getattr(import_module(f"{__name__}.{name}"), "CASES", default)
    assert cases, f"tests/losses/oracles/{name}.py: CASES is empty, so nothing would be compared"
    return cases
