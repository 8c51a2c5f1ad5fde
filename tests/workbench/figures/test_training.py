"""Training curves."""

import numpy as np
import pandas as pd
import pytest

from workbench import figures


def test_curves_leave_out_what_was_not_recorded():
    histories = {
        "one": pd.DataFrame({"step": [1, 2], "loss": [1.0, 0.5], "recall@1": [None, 0.4]}),
        "two": pd.DataFrame({"step": [1, 2], "loss": [1.0, 0.5]}),
    }
    assert len(figures.training_curves(histories).data) == 2
    evaluated = figures.training_curves(histories, "recall@1").data
    assert [t.name for t in evaluated] == ["one"]
    assert list(evaluated[0].y) == [40.0]


def test_every_curve_of_a_loss_starts_at_one():
    rng, steps = np.random.default_rng(0), np.arange(1, 501)
    falling = np.exp(-steps / 20) + 0.1 * rng.random(500)
    falling[0] = 9  # the first step is often far off
    histories = {
        "long": pd.DataFrame({"step": steps, "loss": falling}),
        "short": pd.DataFrame({"step": [1, 2, 3], "loss": [4.0, 2.0, 1.0]}),
    }
    long, short = figures.training_curves(histories).data
    assert long.y[0] == short.y[0] == 1
    assert (long.x[0], long.x[-1], len(long.x)) == (10, 500, 491)
    assert long.y[-1] == pytest.approx(falling[-10:].mean() / falling[:10].mean())
    assert list(short.y) == [1, 0.5, 0.25]


def test_recall_in_training_says_how_it_was_measured_on_an_axis_that_fits_it():
    history = pd.DataFrame({"step": [50, 100], "loss": [1.0, 0.5], "recall@1": [0.972, 0.984]})
    how = "leave-one-out, test split"
    axis = figures.training_curves({"a": history}, "recall@1", measured_on=how).layout.yaxis
    assert axis.title.text == f"R@1 during training, %<br>{how}"
    assert axis.rangemode is None  # fits the data
    assert figures.training_curves({"a": history}).layout.yaxis.rangemode == "tozero"
