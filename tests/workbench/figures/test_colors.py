"""Colors of losses."""

import numpy as np
import pytest

from workbench.figures.colors import (
    LOSS_COLORS,
    by_class,
    by_level,
    by_outcome,
    by_outcomes,
    colors_of,
)


def test_a_loss_keeps_its_color_and_no_two_names_share_one():
    names = ["angular_loss", "angular_loss (embedding size 512)", "imported", "contrastive_loss"]
    colors = colors_of(names)
    assert colors["contrastive_loss"] == LOSS_COLORS["contrastive_loss"]
    assert len(set(colors.values())) == 4


def test_outcomes_have_a_sign_beside_their_color():
    coloring = by_outcome(np.array([1, 2, 0, -1, 900]))
    assert coloring.codes.tolist() == [0, 1, 2, 2, 1]
    assert [name[0] for name in coloring.names[:2]] == ["✓", "✗"]
    assert coloring.symbols[0] != coloring.symbols[1]
    both = by_outcomes(np.array([1, 0, 1, 0, -1]), np.array([0, 1, 1, 0, -1]))
    assert both.codes.tolist() == [0, 1, 2, 3, 4]


def test_small_classes_share_one_gray():
    labels = np.repeat(np.arange(30), np.arange(30, 0, -1))
    coloring = by_class(labels, {i: f"class {i}" for i in range(30)}, top=20)
    assert coloring.names[0] == "class 0"
    assert coloring.names[-1] == "10 other classes"
    assert coloring.codes.max() == 20
    assert len(coloring.colors) == 21


def test_levels_span_the_scale_and_missing_values_are_apart():
    found = by_level(np.array([0.0, 5.0, np.nan, 10.0]), "a", unknown="no query")
    assert found.codes.tolist() == [1, 128, 0, 255]
    assert found.names == ("no query",)
    assert by_level(np.zeros(3), "a").codes.tolist() == [1, 1, 1]
    assert by_level(np.zeros(3), "a").names == ()
    assert by_level(np.array([0.5]), "a", highest=1.0).codes.tolist() == [128]


def test_ranks_are_on_a_logarithmic_scale_that_says_so():
    scale = by_level(np.array([1, 75]), "rank", lowest=1, log=True).scale
    assert scale.title == "rank (log scale)"
    assert [text for _, text in scale.ticks] == ["1", "2", "5", "10", "20", "50", "75"]
    levels = np.array([level for level, _ in scale.ticks])
    expected = 1 + 254 * np.log([1, 2, 5, 10, 20, 50, 75]) / np.log(75)
    assert levels == pytest.approx(expected)


@pytest.mark.parametrize(
    ("highest", "texts"),
    [
        (60_000, ["1", "10", "100", "1,000", "10,000", "60,000"]),
        (11, ["1", "2", "5", "11"]),  # ten would touch eleven
        (1, ["1"]),
    ],
)
def test_ticks_have_room_and_end_at_the_largest_value(highest, texts):
    scale = by_level(np.array([1, highest]), "rank", lowest=1, log=True).scale
    assert [text for _, text in scale.ticks] == texts


def test_counts_and_shares_have_ticks_in_their_units():
    counts = by_level(np.array([0, 20]), "lists", log=True).scale
    assert [text for _, text in counts.ticks] == ["0", "1", "2", "5", "10", "20"]
    shares = by_level(np.array([0.2]), "kept", highest=1.0, percent=True).scale
    assert [text for _, text in shares.ticks] == ["0%", "25%", "50%", "75%", "100%"]
    assert shares.title == "kept"


def test_high_levels_and_colored_classes_lie_on_top():
    order = by_level(np.array([5.0, 9.0, np.nan, 0.0]), "a").back_to_front()
    assert order.tolist() == [2, 3, 0, 1]
    classes = by_class(np.array([0, 1, 2, 1]), {0: "a", 1: "b", 2: "c"}, top=1)
    assert classes.back_to_front().tolist() == [0, 2, 1, 3]
