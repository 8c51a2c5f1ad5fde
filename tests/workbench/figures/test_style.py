"""Short labels, whole ticks, and the tool bar."""

import time

import numpy as np
import pandas as pd
import pytest

from workbench import figures
from workbench.figures.style import MODEBAR, short_names


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


@pytest.mark.parametrize("name", ["loss", "semi_hard_triplet"])
def test_a_label_keeps_what_tells_it_from_the_others(name):
    steps = [f"{name} (steps {n}, embedding size 512)" for n in (150, 200)]
    texts = short_names(steps, 24)
    assert "steps 150" in texts[0]
    assert "steps 200" in texts[1]
    assert max(map(len, texts)) <= 24


def test_a_label_keeps_a_short_difference_whole_and_the_start_of_the_name():
    names = ["semi_hard_triplet (steps 150)", "semi_hard_triplet (steps 200)", "npairs_loss"]
    assert short_names(names, 24) == [
        "semi_hard_tri…steps 150)", "semi_hard_tri…steps 200)", "npairs_loss",
    ]  # fmt: skip
    seeds = ["quickstart-semi_hard_triplet-seed0", "quickstart-semi_hard_triplet-seed1"]
    assert short_names(seeds, 20) == ["quickstart-sem…seed0", "quickstart-sem…seed1"]
    assert short_names(["quickstart-npairs_loss", "npairs_loss"], 24)[0] == "quickstart-npairs_loss"


def test_the_tool_bar_stands_in_a_margin_of_its_own():
    """Beside plot and legend; above them it covered the legend's last entries."""
    curve = pd.DataFrame({"k": [1, 2], "recall": [0.5, 0.6]})
    for figure in (figures.recall_curves({"one": curve}), figures.overlap_histogram(np.ones(3))):
        assert figure.layout.modebar.orientation == "v"
        assert figure.layout.margin.r >= MODEBAR
