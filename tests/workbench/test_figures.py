"""Figures: what they draw, how much they send, and that names stay text."""

import json

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from tests.workbench.small import LABELS, neighbours
from workbench import failures, figures
from workbench.figures.colouring import by_class, by_level, by_outcome, by_outcomes
from workbench.figures.failures import rank_bins
from workbench.figures.style import short_names
from workbench.palette import HIT, LOSS_COLOURS, MISS, colours_of


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


def test_outcomes_have_a_sign_beside_their_colour():
    colouring = by_outcome(np.array([1, 2, 0, -1, 900]))
    assert colouring.codes.tolist() == [0, 1, 2, 2, 1]
    assert [name[0] for name in colouring.names[:2]] == ["✓", "✗"]
    assert colouring.symbols[0] != colouring.symbols[1]
    both = by_outcomes(np.array([1, 0, 1, 0, -1]), np.array([0, 1, 1, 0, -1]))
    assert both.codes.tolist() == [0, 1, 2, 3, 4]


def test_small_classes_share_one_grey():
    labels = np.repeat(np.arange(30), np.arange(30, 0, -1))
    colouring = by_class(labels, {i: f"class {i}" for i in range(30)}, top=20)
    assert colouring.names[0] == "class 0"
    assert colouring.names[-1] == "10 other classes"
    assert colouring.codes.max() == 20
    assert len(colouring.colours) == 21


def test_levels_span_the_scale_and_survive_missing_values():
    assert by_level(np.array([0.0, 5.0, np.nan, 10.0]), "a", "b").codes.tolist() == [0, 127, 0, 255]
    assert by_level(np.zeros(3), "a", "b").codes.tolist() == [0, 0, 0]
    assert by_level(np.array([0.5]), "a", "b", top=1.0).codes.tolist() == [127]


def test_the_map_of_sixty_thousand_items_is_small_and_one_trace():
    n, rng = 60_502, np.random.default_rng(0)
    points = rng.standard_normal((n, 2)).astype(np.float32)
    colouring = by_outcome(rng.integers(0, 4, n))
    figure = figures.embedding_map(points, np.arange(n), colouring)
    assert [len(t.x) for t in figure.data if len(t.x) > 1] == [n]
    assert figure.data[0].type == "scattergl"
    assert len(figure.to_json()) < 2.6e6


@pytest.mark.parametrize(("n", "dimensions"), [(6, 2), (25_000, 2), (20_000, 3)])
def test_points_have_the_sign_that_the_legend_shows(n, dimensions):
    ranks = np.resize([1, 7, 0], n)  # right, wrong, not scored
    points = np.zeros((n, dimensions), np.float32)
    figure = figures.embedding_map(points, np.arange(n), by_outcome(ranks))
    drawn = figure.data[0].marker.symbol
    assert len(drawn) == n
    assert list(drawn[:3]) == ["circle", "x", "circle"]
    legend = {t.name: t.marker.symbol for t in figure.data[1:]}
    assert legend == {"✓ right at rank 1": "circle", "✗ wrong": "x", "not scored": "circle"}
    go.Figure(figure.to_dict())  # Plotly takes every part of it


@pytest.mark.parametrize("dimensions", [2, 3])
def test_points_keep_their_order_and_their_rows(dimensions):
    points = np.arange(5 * dimensions, dtype=np.float32).reshape(5, dimensions)
    figure = figures.embedding_map(points, np.array([9, 7, 5, 3, 1]), by_outcome(np.ones(5)))
    assert list(figure.data[0].customdata) == [9, 7, 5, 3, 1]
    assert list(figure.data[0].x) == points[:, 0].tolist()


def test_positions_are_rounded_below_what_a_screen_shows():
    points = np.random.default_rng(0).normal(500, 90, (100, 2)).astype(np.float32)
    figure = figures.embedding_map(points, np.arange(100), by_outcome(np.ones(100)))
    assert np.abs(np.array(figure.data[0].y) - points[:, 1]).max() < 2e-6 * np.ptp(points)
    still = figures.embedding_map(np.zeros((2, 2)), np.arange(2), by_outcome(np.ones(2)))
    assert list(still.data[0].x) == [0, 0]


def test_a_map_of_other_data_has_another_revision():
    points, ranks = np.zeros((3, 2), np.float32), np.array([1, 2, 0])

    def revision(points, rows, colouring):
        return figures.embedding_map(points, rows, colouring).layout.datarevision

    first = revision(points, np.arange(3), by_outcome(ranks))
    assert first == revision(points.copy(), np.arange(3), by_outcome(ranks))
    others = [
        revision(points + 1, np.arange(3), by_outcome(ranks)),
        revision(points, np.arange(3)[::-1], by_outcome(ranks)),
        revision(points, np.arange(3), by_outcome(ranks[::-1])),
        revision(points, np.arange(3), by_level(np.array([0, 127.5, 255]), "a", "b")),
    ]
    assert first not in others


def test_points_have_the_colours_that_the_legend_shows():
    figure = figures.embedding_map(np.zeros((3, 2)), np.arange(3), by_outcome(np.array([1, 2, 0])))
    drawn = [tuple(int(v) for v in colour) for colour in figure.data[0].marker.color]
    assert drawn == [(20, 135, 184, 255), (217, 96, 26, 255), (138, 148, 160, 128)]
    assert [t.marker.color for t in figure.data[1:]] == [HIT, MISS, "rgba(138, 148, 160, 0.5)"]


def test_levels_are_drawn_between_the_ends_of_the_scale():
    levels = by_level(np.array([0.0, 0.5, 1.0]), "a", "b")
    figure = figures.embedding_map(np.zeros((3, 2)), np.arange(3), levels)
    low, middle, high = (colour[:3].tolist() for colour in figure.data[0].marker.color)
    assert low == [0xE8, 0xE3, 0xC9]
    assert high == [0x2F, 0x3B, 0x72]
    # Half way lies between the fourth and the fifth of eight colours.
    assert middle == pytest.approx([(0x68 + 0x3D) / 2, (0xB5 + 0x9A) / 2, 0xB5], abs=1)


def test_no_colour_is_transparent_in_three_dimensions():
    colouring = by_outcome(np.array([1, 2, 0]))
    figure = figures.embedding_map(np.zeros((3, 3), np.float32), np.arange(3), colouring)
    assert set(figure.data[0].marker.color[:, 3]) == {255}
    assert {t.marker.color for t in figure.data[1:]} == {HIT, MISS, "rgb(138, 148, 160)"}


def test_class_differences_show_the_largest_and_name_the_class():
    figure = figures.class_differences(
        ["kiwi", "lime", "peach"],
        np.array([0.5, 1.0, 0.2]),
        np.array([0.5, 0.4, 0.9]),
        np.array([4, 5, 6]),
    )
    assert figure.data[0].x.tolist() == pytest.approx([-70, 60])
    assert list(figure.layout.yaxis.ticktext) == ["peach", "lime"]
    assert list(figure.data[0].customdata) == [2, 1]


def test_a_loss_keeps_its_colour_and_no_two_names_share_one():
    names = ["angular_loss", "angular_loss (embedding size 512)", "imported", "contrastive_loss"]
    colours = colours_of(names)
    assert colours["contrastive_loss"] == LOSS_COLOURS["contrastive_loss"]
    assert len(set(colours.values())) == 4


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


def test_every_loss_has_a_row_and_the_colour_that_it_has_in_other_charts():
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
    assert short_names(names, 20) == ["triplet (o…size 32)", "triplet (o…size 64)", "&lt;b&gt;"]
    assert short_names(["a" * 30, "a" * 30], 9) == ["aaaa… 1", "aaaa… 2"]
    assert short_names(["short", "names"]) == ["short", "names"]


def test_counts_and_steps_have_whole_ticks():
    equal = figures.class_sizes(np.full(12, 8))
    assert (equal.layout.xaxis.dtick, equal.layout.yaxis.dtick) == (1, 1)
    assert list(equal.layout.xaxis.range) == [6.5, 9.5]
    assert figures.class_sizes(np.arange(1, 400)).layout.xaxis.dtick is None
    short = {"one": pd.DataFrame({"step": [1, 2, 5], "loss": [1.0, 0.9, 0.8]})}
    assert figures.training_curves(short).layout.xaxis.dtick == 1
    long = {"one": pd.DataFrame({"step": [1, 2, 500], "loss": [1.0, 0.9, 0.8]})}
    assert figures.training_curves(long).layout.xaxis.dtick is None
