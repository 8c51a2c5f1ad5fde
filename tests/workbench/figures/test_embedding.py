"""The embedding map: what is drawn where, in which order and color, and what the legend says."""

import numpy as np
import plotly.graph_objects as go
import pytest

from workbench import figures
from workbench.figures.colors import (
    HIT,
    MISS,
    Coloring,
    by_class,
    by_level,
    by_outcome,
    by_outcomes,
)


def draw(points: np.ndarray, coloring: Coloring, rows: np.ndarray | None = None) -> go.Figure:
    rows = np.arange(len(points)) if rows is None else rows
    return figures.embedding_map(np.asarray(points, np.float32), rows, coloring)


def test_which_run_is_right_has_a_sign_of_its_own_and_no_color_of_a_run_means_both():
    outcomes = by_outcomes(
        np.array([1, 0, 1, 0, -1]), np.array([0, 1, 1, 0, -1]), ("#56B4E9", "#D55E00")
    )
    assert outcomes.colors[:2] == ("#56B4E9", "#D55E00")
    assert len(set(outcomes.symbols[:4])) == 4  # only A, only B, both, neither
    red, green, blue, _ = outcomes.rgba()[2]
    assert max(red, green, blue) - min(red, green, blue) < 20  # gray
    assert len(set(outcomes.colors)) == 5
    for dimensions in (2, 3):
        draw(np.zeros((5, dimensions)), outcomes).to_json()


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_graded_map_has_a_color_bar_in_the_units_of_the_data(dimensions):
    levels = by_level(np.array([1, 3, np.nan]), "rank", lowest=1, log=True)
    figure = draw(np.zeros((3, dimensions)), levels)
    marker = figure.data[1].marker
    assert marker.showscale
    assert (marker.cmin, marker.cmax) == (1, 255)
    assert marker.colorbar.title.text == "rank (log scale)"
    assert list(marker.colorbar.ticktext) == ["1", "2", "3"]
    assert [scale[1] for scale in marker.colorscale] == list(levels.colors)
    assert [trace.name for trace in figure.data if trace.showlegend is None] == ["not scored"]


def test_the_map_of_sixty_thousand_items_is_small_and_one_trace():
    n, rng = 60_502, np.random.default_rng(0)
    figure = draw(rng.standard_normal((n, 2)), by_outcome(rng.integers(0, 4, n)))
    assert [len(t.x) for t in figure.data if len(t.x) > 1] == [n]
    assert figure.data[0].type == "scattergl"
    assert len(figure.to_json()) < 2.7e6


def test_failures_are_drawn_last_and_larger_where_points_crowd():
    n = 20_000
    ranks = np.ones(n, int)
    ranks[[3, 700]] = [5, 2]
    ranks[[4, 900]] = [0, -1]
    figure = draw(np.zeros((n, 2)), by_outcome(ranks))
    rows, sizes = figures.drawn_rows(figure), np.array(figure.data[0].marker.size)
    assert rows[:2].tolist() == [4, 900]
    assert rows[-2:].tolist() == [3, 700]
    assert sizes[-2:].min() > 2 * sizes[:-2].max()
    alpha = np.array(figure.data[0].marker.color)[:, 3]
    assert alpha[-2:].tolist() == [255, 255]
    assert alpha[:-2].max() < 255


@pytest.mark.parametrize(("n", "dimensions"), [(7, 2), (25_000, 2), (20_000, 3)])
def test_a_points_place_row_color_and_sign_belong_together(n, dimensions):
    """However the points are ordered to be drawn: what is picked by number is what is seen."""
    rng = np.random.default_rng(0)
    points = rng.integers(0, 1000, (n, dimensions)).astype(np.float32)
    rows, ranks = rng.permutation(10 * n)[:n], rng.integers(0, 3, n)
    figure = draw(points, by_outcome(ranks), rows)
    trace, drawn = figure.data[0], figures.drawn_rows(figure)
    assert sorted(drawn) == sorted(rows)
    at = {int(row): i for i, row in enumerate(rows)}
    back = np.array([at[int(row)] for row in drawn])  # number in the trace -> number given
    for axis, name in enumerate("xyz"[:dimensions]):
        assert list(trace[name]) == points[back, axis].tolist()
    right, wrong = (0, 4) if dimensions == 2 else ("circle", "x")  # Plotly's numbers of these
    assert list(trace.marker.symbol) == [wrong if rank > 1 else right for rank in ranks[back]]
    reds = {1: int(HIT[1:3], 16), 2: int(MISS[1:3], 16), 0: 138}
    assert np.array(trace.marker.color)[:, 0].tolist() == [reds[rank] for rank in ranks[back]]
    legend = {t.name: t.marker.symbol for t in figure.data[1:]}
    assert legend == {"✓ right at rank 1": "circle", "✗ wrong": "x", "not scored": "circle"}
    go.Figure(figure.to_dict())  # Plotly takes every part of it


def test_the_legend_names_only_what_the_map_holds():
    figure = figures.embedding_map(np.eye(2), np.arange(2), by_outcome(np.array([1, 1])))
    assert [trace.name for trace in figure.data[1:]] == ["✓ right at rank 1"]


def test_plotly_looks_for_no_point_under_the_pointer():
    """Plotly warns of colors sent as numbers whenever it finds one; the page finds it itself."""
    assert draw(np.zeros((3, 2)), by_outcome(np.ones(3))).data[0].hoverinfo == "skip"


def test_positions_are_rounded_below_what_a_screen_shows():
    points = np.random.default_rng(0).normal(500, 90, (100, 2)).astype(np.float32)
    figure = draw(points, by_outcome(np.ones(100)))
    assert np.abs(np.array(figure.data[0].y) - points[:, 1]).max() < 2e-6 * np.ptp(points)
    assert list(draw(np.zeros((2, 2)), by_outcome(np.ones(2))).data[0].x) == [0, 0]


def test_a_map_of_other_data_has_another_revision():
    points, ranks = np.zeros((3, 2), np.float32), np.array([1, 2, 0])

    def revision(points, rows, coloring):
        return draw(points, coloring, rows).layout.datarevision

    first = revision(points, np.arange(3), by_outcome(ranks))
    assert first == revision(points.copy(), np.arange(3), by_outcome(ranks))
    others = [
        revision(points + 1, np.arange(3), by_outcome(ranks)),
        revision(points, np.arange(3)[::-1], by_outcome(ranks)),
        revision(points, np.arange(3), by_outcome(ranks[::-1])),
        revision(points, np.arange(3), by_level(np.array([0, 127.5, 255]), "a")),
    ]
    assert first not in others


def test_points_have_the_colors_that_the_legend_shows():
    figure = draw(np.zeros((3, 2)), by_outcome(np.array([0, 1, 2])))
    drawn = [tuple(int(v) for v in color) for color in figure.data[0].marker.color]
    assert drawn == [(138, 148, 160, 128), (20, 135, 184, 255), (217, 96, 26, 255)]
    assert [t.marker.color for t in figure.data[1:]] == [HIT, MISS, "rgba(138, 148, 160, 0.5)"]


def test_levels_are_drawn_between_the_ends_of_the_scale():
    figure = draw(np.zeros((3, 2)), by_level(np.array([0.0, 0.5, 1.0]), "a"))
    low, middle, high = (color[:3].tolist() for color in figure.data[0].marker.color)
    assert low == [0xE8, 0xE3, 0xC9]
    assert high == [0x2F, 0x3B, 0x72]
    # Half way lies between the fourth and the fifth of eight colors.
    assert middle == pytest.approx([(0x68 + 0x3D) / 2, (0xB5 + 0x9A) / 2, 0xB5], abs=1)


def test_no_color_is_transparent_in_three_dimensions():
    figure = draw(np.zeros((3, 3)), by_outcome(np.array([1, 2, 0])))
    assert set(figure.data[0].marker.color[:, 3]) == {255}
    assert {t.marker.color for t in figure.data[1:]} == {HIT, MISS, "rgb(138, 148, 160)"}


def test_long_class_names_leave_room_for_others_in_the_legend():
    names = {i: f"{i} of a family of classes with long names" for i in range(9)}
    figure = draw(np.zeros((9, 2)), by_class(np.arange(9), names))
    shown = [trace.name for trace in figure.data[1:]]
    assert len(set(shown)) == 9
    assert max(map(len, shown)) <= 22


def test_the_legend_of_many_classes_leaves_the_map_its_room():
    labels = np.arange(30)
    figure = draw(np.zeros((30, 2)), by_class(labels, {i: f"class {i}" for i in range(30)}))
    assert figure.layout.legend.maxheight <= 0.2
