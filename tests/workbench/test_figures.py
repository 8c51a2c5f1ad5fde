"""Figures: what they draw, how much they send, and that names stay text."""

import time

import numpy as np
import pandas as pd
import pytest

from workbench import figures
from workbench.figures.colors import HIT, LOSS_COLORS, MISS, colors_of
from workbench.figures.ranks import rank_bins
from workbench.figures.style import short_names


def test_rank_bins_double_and_leave_no_gap():
    assert rank_bins(9) == [(1, 1), (2, 2), (3, 4), (5, 8), (9, 16)]
    assert rank_bins(0) == [(1, 1)]
    for (_, last), (first, _) in zip(rank_bins(60_000), rank_bins(60_000)[1:], strict=False):
        assert first == last + 1


def test_histogram_counts_every_query_once_and_sets_hits_apart():
    figure = figures.rank_histogram(np.array([1, 1, 2, 3, 4, 900, 0]))
    bars = figure.data[0]
    assert sum(bars.y) == 7
    assert dict(zip(bars.x, bars.y, strict=True)) | {} == {
        "1": 2, "2": 1, "3–4": 2, "5–8": 0, "9–16": 0, "17–32": 0, "33–64": 0, "65–128": 0,
        "129–256": 0, "257–512": 0, "513–1,024": 1, "none": 1,
    }  # fmt: skip
    assert bars.marker.color[:2] == (HIT, MISS)
    assert figure.layout.hovermode == "x"  # a column is clicked above a bar of two pixels too


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
    low, high = figure.layout.xaxis.range
    assert low < -90 - 20
    assert high > 80 + 20


def test_a_loss_keeps_its_color_and_no_two_names_share_one():
    names = ["angular_loss", "angular_loss (embedding size 512)", "imported", "contrastive_loss"]
    colors = colors_of(names)
    assert colors["contrastive_loss"] == LOSS_COLORS["contrastive_loss"]
    assert len(set(colors.values())) == 4


def test_curves_leave_out_what_was_not_recorded():
    histories = {
        "one": pd.DataFrame({"step": [1, 2], "loss": [1.0, 0.5], "recall@1": [None, 0.4]}),
        "two": pd.DataFrame({"step": [1, 2], "loss": [1.0, 0.5]}),
    }
    assert len(figures.training_curves(histories).data) == 2
    evaluated = figures.training_curves(histories, "recall@1").data
    assert [t.name for t in evaluated] == ["one"]
    assert list(evaluated[0].y) == [40.0]


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


def test_the_best_loss_has_room_for_its_value():
    for n in (1, 2, 3, 9):
        figure = figures.loss_intervals(losses(*"abcdefghi"[:n]))
        low, high = figure.layout.yaxis.range
        pixels = (figure.layout.height - 70) / (low - high)  # of a row; title and ticks below
        assert high * pixels < -20
        assert low > n - 1
        assert figure.data[0].cliponaxis is False


def test_the_last_column_keeps_its_label():
    names = [f"loss_{i}_with_a_very_long_name" for i in range(8)]
    rows = [(a, b, 0.0, 0.0, 0.0, 1.0, 0, 9, 0, "tie") for a in names for b in names if a != b]
    columns = ["a", "b", "delta", "low", "high", "p", "wins", "ties", "losses", "verdict"]
    figure = figures.difference_matrix(pd.DataFrame(rows, columns=columns), names)
    assert len(set(figure.layout.xaxis.ticktext)) == 8
    assert figure.layout.xaxis.ticklabeloverflow == "allow"
    assert figure.layout.margin.r >= 6 * 24 * np.cos(np.pi / 3)
    assert set(figure.data[0].text) == {"≈ +0.0"}


def test_names_that_begin_alike_are_cut_where_they_differ():
    names = ["triplet (options a, size 32)", "triplet (options a, size 64)", "<b>"]
    assert short_names(names, 20) == ["triplet (op…size 32)", "triplet (op…size 64)", "&lt;b&gt;"]
    assert short_names(["a" * 30, "a" * 30], 9) == ["aaaaaaaa… 1", "aaaaaaaa… 2"]
    assert short_names(["short", "names"]) == ["short", "names"]


def test_thousands_of_names_are_shortened_in_bounded_time():
    names = [f"a product with a number behind its name {i}" for i in range(20_000)]
    start = time.perf_counter()
    texts = short_names(names)
    assert time.perf_counter() - start < 5
    assert len(set(texts)) == len(names)


def test_counts_and_steps_have_whole_ticks():
    equal = figures.class_sizes(np.full(12, 8))
    assert (equal.layout.xaxis.dtick, equal.layout.yaxis.dtick) == (1, 1)
    assert list(equal.layout.xaxis.range) == [6.5, 9.5]
    assert figures.class_sizes(np.arange(1, 400)).layout.xaxis.dtick is None
    short = {"one": pd.DataFrame({"step": [1, 2, 5], "loss": [1.0, 0.9, 0.8]})}
    assert figures.training_curves(short).layout.xaxis.dtick == 1
    long = {"one": pd.DataFrame({"step": [1, 2, 500], "loss": [1.0, 0.9, 0.8]})}
    assert figures.training_curves(long).layout.xaxis.dtick is None
