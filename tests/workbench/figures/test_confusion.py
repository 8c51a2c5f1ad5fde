"""The grid of confused classes: readable names, a scale, and squares that can be clicked."""

import numpy as np
import pandas as pd
import pytest

from tests.workbench.small import LABELS, neighbors
from workbench import figures
from workbench.analysis import failures

LONG = "Tropicana Golden Grapefruit Juice without pulp"


def drawn(names: dict[int, str], **options):
    table = failures.query_table(neighbors(), LABELS)
    return figures.confusion_map(failures.confused_pairs(table, LABELS), names, **options)


def test_squares_carry_both_labels():
    assert [tuple(c) for c in drawn({0: "kiwi", 1: "lime"}).data[0].customdata] == [(0, 1), (1, 0)]


def test_a_long_name_ends_in_an_ellipsis_and_is_whole_on_hover():
    labels = drawn({0: "kiwi", 1: LONG}).layout.annotations
    assert len(labels) == 4  # a row and a column of each class
    for label in (label for label in labels if label.text != "kiwi"):
        assert label.text == "Tropicana Golden Grap…"
        assert label.hovertext == LONG
    assert {label.textangle for label in labels} == {None, -40}


def test_names_that_begin_alike_stay_apart():
    texts = {a.text for a in drawn({0: LONG, 1: LONG + " II"}).layout.annotations}
    assert len(texts) == 2


def test_names_stay_text():
    figure = drawn({0: "kiwi", 1: "<b>lime</b>"})
    for label in figure.layout.annotations:
        assert "<b>" not in label.text + label.hovertext
    same_length = drawn({0: "kiwi", 1: "(b)lime(/b)"})
    assert figure.layout.yaxis.title.standoff == same_length.layout.yaxis.title.standoff


def test_the_margins_hold_the_names():
    short, long = drawn({0: "a", 1: "b"}), drawn({0: "kiwi", 1: LONG})
    assert long.layout.yaxis.title.standoff - short.layout.yaxis.title.standoff > 100
    assert long.layout.xaxis.title.standoff > short.layout.xaxis.title.standoff


@pytest.mark.parametrize("highest", [1, 30])
def test_a_scale_says_what_a_color_counts(highest):
    pairs = pd.DataFrame({"a": [0, 0], "b": [1, 2], "a_as_b": [highest, 1], "b_as_a": [0, 1]})
    squares = figures.confusion_map(pairs, {0: "x", 1: "y", 2: "z"}).data[0]
    assert squares.marker.colorbar.title.text == "queries"
    assert (squares.marker.cmin, squares.marker.cmax) == (0, highest)
    assert list(squares.text) == [str(highest), "1", "1"]
    if highest > 1:  # dark squares have light numbers
        assert squares.textfont.color[0] == "white" != squares.textfont.color[1]


def test_the_squares_of_the_chosen_pair_have_a_rim():
    names = {0: "kiwi", 1: "lime"}
    assert list(drawn(names).data[0].marker.line.width) == [0, 0]
    assert min(drawn(names, chosen=(1, 0)).data[0].marker.line.width) > 0


def test_only_the_classes_of_the_most_confused_pairs_are_drawn():
    n = 40
    pairs = pd.DataFrame(
        {"a": np.arange(0, 2 * n, 2), "b": np.arange(1, 2 * n, 2), "a_as_b": 1, "b_as_a": 1}
    )
    figure = figures.confusion_map(pairs, {i: f"class {i}" for i in range(2 * n)}, limit=16)
    assert len(figure.layout.annotations) == 2 * 16
    assert len(figure.data[0].x) == 16
