"""The Recall@K chart."""

import pandas as pd

from workbench import figures
from workbench.figures.colors import LOSS_COLORS


def test_every_loss_has_a_curve_in_percent_over_a_logarithmic_axis():
    curve = pd.DataFrame({"k": [1, 2, 4], "recall": [0.25, 0.5, 1.0]})
    figure = figures.recall_curves({"npairs_loss": curve, "my own": curve.assign(recall=0.125)})
    assert [list(line.y) for line in figure.data] == [[25, 50, 100], [12.5] * 3]
    assert figure.data[0].line.color == LOSS_COLORS["npairs_loss"] != figure.data[1].line.color
    assert figure.layout.xaxis.type == "log"
    assert list(figure.layout.xaxis.tickvals)[:3] == [1, 2, 4]
