"""Figures about classes: sizes, and differences between two runs."""

import numpy as np
import pytest

from workbench import figures


def test_class_differences_show_the_largest_and_name_the_class():
    figure = figures.class_differences(
        ["kiwi", "lime", "peach"],
        np.array([0.5, 1.0, 0.2]),
        np.array([0.5, 0.4, 0.9]),
        np.array([4, 5, 6]),
    )
    assert figure.data[0].x.tolist() == pytest.approx([-70, 60])
    assert list(figure.layout.yaxis.ticktext) == ["peach  n=6", "lime  n=5"]
    assert list(figure.data[0].customdata) == [2, 1]


def test_numbers_of_class_differences_stand_beyond_whiskers_and_have_room():
    figure = figures.class_differences(
        ["lime", "peach"],
        np.array([1.0, 0.2]),
        np.array([0.4, 0.9]),
        np.array([5, 6]),
        intervals=(np.array([0.1, -0.9]), np.array([0.8, -0.2])),
    )
    bars, numbers = figure.data
    assert bars.error_x.array.tolist() == pytest.approx([50, 20])
    assert bars.error_x.arrayminus.tolist() == pytest.approx([20, 50])
    assert numbers.x.tolist() == pytest.approx([-90, 80])
    high, low = figure.layout.xaxis.range  # A is better to the left
    assert low < -90 - 20
    assert high > 80 + 20
