"""The maps of an embedding's training steps, side by side."""

import numpy as np

from workbench.figures.colors import by_class
from workbench.figures.evolution import embedding_evolution

RNG = np.random.default_rng(0)
LABELS = np.repeat(np.arange(30), 4)
COLORING = by_class(LABELS, {label: f"class {label}" for label in range(30)}, top=5)
POINTS = RNG.normal(size=(4, len(LABELS), 2)).astype(np.float32)


def maps(figure):
    return [trace for trace in figure.data if len(trace.x) > 1]


def test_every_step_has_its_map_of_all_items_under_the_same_axes():
    figure = embedding_evolution(POINTS, [50, 100, 150, 1200], COLORING)
    assert [a.text for a in figure.layout.annotations] == [
        "step 50",
        "step 100",
        "step 150",
        "step 1,200",
    ]
    drawn = maps(figure)
    assert len(drawn) == 4
    order = COLORING.back_to_front()
    for layout, trace in zip(POINTS, drawn, strict=True):
        np.testing.assert_array_equal(np.column_stack([trace.x, trace.y]), layout[order])
    ranges = {tuple(figure.layout[f"xaxis{i}"].range) for i in ("", 2, 3, 4)}
    assert len(ranges) == 1
    (low, high) = ranges.pop()
    assert low < POINTS[..., 0].min()
    assert high > POINTS[..., 0].max()


def test_colors_and_their_names_are_those_of_the_coloring():
    figure = embedding_evolution(POINTS[:1], [50], COLORING)
    (drawn,) = maps(figure)
    order = COLORING.back_to_front()
    assert list(drawn.marker.color) == [COLORING.colors[c] for c in COLORING.codes[order]]
    keys = {t.name: t.marker.color for t in figure.data if t.showlegend is not False}
    assert keys == dict(zip(COLORING.names, COLORING.colors, strict=True))


def test_a_step_whose_map_is_missing_leaves_the_others_their_axes():
    points = POINTS.copy()
    points[0] = np.nan
    figure = embedding_evolution(points, [1, 2, 3, 4], COLORING)
    assert np.isfinite(figure.layout.xaxis.range).all()
