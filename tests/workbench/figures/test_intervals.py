"""One metric of every loss with its interval."""

import numpy as np
import pandas as pd

from workbench import figures


def losses(*names: str) -> pd.DataFrame:
    recall = np.linspace(0.6, 0.3, len(names))
    bounds = {"recall@1/low": recall - 0.1, "recall@1/high": recall + 0.1}
    return pd.DataFrame({"group": names, "recall@1": recall, **bounds})


def test_every_loss_has_a_row_and_the_color_that_it_has_in_other_charts():
    long = "semi_hard_triplet (dataset options boxes=True, image size {})"
    names = [long.format(64), long.format(32), "npairs_loss"]
    figure = figures.loss_intervals(losses(*names))
    assert list(figure.data[0].y) == [0, 1, 2]
    curve = pd.DataFrame({"k": [1, 2], "recall": [0.5, 0.6]})
    lines = figures.recall_curves(dict.fromkeys(names, curve)).data
    assert list(figure.data[0].marker.color) == [line.line.color for line in lines]
    assert len({line.name for line in lines}) == 3
    labels = figure.layout.yaxis.ticktext
    assert len(set(labels)) == 3
    assert labels[0] == "semi_hard_triplet…image size 64)"


def test_the_axis_speaks_of_intervals_only_where_there_are_some():
    table = losses("a", "b")
    assert figures.loss_intervals(table).layout.xaxis.title.text == "R@1, % (95% interval)"
    table[["recall@1/low", "recall@1/high"]] = np.nan
    assert figures.loss_intervals(table).layout.xaxis.title.text == "R@1, %"


def test_the_best_loss_has_room_for_its_value():
    for n in (1, 2, 3, 9):
        figure = figures.loss_intervals(losses(*"abcdefghi"[:n]))
        low, high = figure.layout.yaxis.range
        pixels = (figure.layout.height - 70) / (low - high)  # of a row; title and ticks below
        assert high * pixels < -20
        assert low > n - 1
        assert figure.data[0].cliponaxis is False
