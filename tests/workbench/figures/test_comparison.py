"""Figures that compare runs or losses in pairs."""

import itertools

import numpy as np
import pandas as pd
import pytest

from workbench import figures
from workbench.figures.colors import NEUTRAL

COLUMNS = ["a", "b", "delta", "low", "high", "p", "wins", "ties", "losses", "verdict"]


def test_the_last_column_keeps_its_label():
    names = [f"loss_{i}_with_a_very_long_name" for i in range(8)]
    rows = [(a, b, 0.0, 0.0, 0.0, 1.0, 0, 9, 0, "tie") for a in names for b in names if a != b]
    figure = figures.difference_matrix(pd.DataFrame(rows, columns=COLUMNS), names)
    assert len(set(figure.layout.xaxis.ticktext)) == 8
    assert figure.layout.xaxis.ticklabeloverflow == "allow"
    assert figure.layout.margin.r >= 6 * 24 * np.cos(np.pi / 3)
    assert set(figure.data[0].text) == {"≈ +0.0"}


def pairs_of(names: list[str]) -> pd.DataFrame:
    rows = [(a, b, 0.1, 0, 0.2, 0.01, 1, 9, 0, "win") for a, b in itertools.permutations(names, 2)]
    return pd.DataFrame(rows, columns=COLUMNS)


@pytest.mark.parametrize("n", [2, 9, 24])
def test_the_squares_of_the_matrix_do_not_overlap(n):
    names = [f"a_long_name_of_a_loss_{i}" for i in range(n)]
    figure = figures.difference_matrix(pairs_of(names), names)
    across = figure.layout.width - figure.layout.margin.r - 6.5 * 24  # the labels to the left
    assert across / n > figure.data[0].marker.size
    assert figure.layout.height / n > figure.data[0].marker.size


@pytest.mark.parametrize(
    ("interval", "color"),
    [
        ((0.03, 0.01, 0.05), "#111111"),
        ((-0.03, -0.05, -0.01), "#222222"),
        ((0.01, -0.02, 0.04), NEUTRAL),
    ],
)
def test_the_bar_of_wins_and_losses_has_the_interval_of_the_difference(interval, color):
    figure = figures.win_tie_loss(5, 90, 5, ("#111111", "#222222"), interval)
    *_, whisker = figure.data
    value, low, high = (100 * end for end in interval)
    assert list(whisker.x) == [value]
    assert whisker.error_x.array[0] == pytest.approx(high - value)
    assert whisker.error_x.arrayminus[0] == pytest.approx(value - low)
    assert whisker.marker.color == color
    left, right = figure.layout.xaxis2.range
    assert left == -right >= 1.2 * max(abs(low), abs(high))  # A, whose wins are at the left


@pytest.mark.parametrize("value", [0.0, 1e-4, 0.004, 0.03, 0.2, 0.39, 0.8, 1.0])
def test_the_axis_of_the_interval_has_a_few_round_numbers_whatever_it_spans(value):
    axis = figures.win_tie_loss(5, 90, 5, interval=(value, value, value)).layout.xaxis2
    assert 3 <= len(axis.tickvals) <= 9
    assert axis.ticktext[len(axis.tickvals) // 2] == "0"
    assert {text[0] for text in axis.ticktext} == {"A", "0", "B"}
    assert axis.ticktext[-1].startswith("A +")
    assert axis.range[0] >= 100 * value
