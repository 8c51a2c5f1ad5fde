"""A small data set with enough classes for folds, and one finished tuning of it."""

import pytest

from tests.photos import write_colors
from tests.quick_runs import _apart_and_quick
from tests.tuning.helpers import tuned

__all__ = ["_apart_and_quick"]  # fixtures


@pytest.fixture(scope="session")
def colors(tmp_path_factory):
    """Sixteen classes of four images: eight to train on, eight to test on."""
    root = tmp_path_factory.mktemp("colors")
    return write_colors(root, seed=1, scale=60, classes=16, each=4)


@pytest.fixture(scope="module")
def finished(colors, tmp_path_factory):
    """The folder of runs of a tuning that nobody disturbed, and its record."""
    runs = tmp_path_factory.mktemp("runs")
    return runs, tuned(colors, runs)
