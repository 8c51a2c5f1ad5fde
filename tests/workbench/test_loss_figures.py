"""Figures of losses: one color everywhere, labels that tell apart, curves that start at one."""

import itertools
import shutil

import numpy as np
import pandas as pd
import pytest

from retrieval.runs.run import Run
from retrieval.runs.store import write_config
from tests.workbench.driver import open_page
from workbench import figures
from workbench.figures.colors import LOSS_COLORS, NEUTRAL, UNTRAINED_COLOR
from workbench.figures.style import MODEBAR, short_names
from workbench.layout.run_colors import pair_colors, run_colors
from workbench.session.selection import Selection

COLUMNS = ["a", "b", "delta", "low", "high", "p", "wins", "ties", "losses", "verdict"]


def pairs_of(names: list[str]) -> pd.DataFrame:
    rows = [(a, b, 0.1, 0, 0.2, 0.01, 1, 9, 0, "win") for a, b in itertools.permutations(names, 2)]
    return pd.DataFrame(rows, columns=COLUMNS)


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


@pytest.mark.parametrize("n", [2, 9, 24])
def test_the_squares_of_the_matrix_do_not_overlap(n):
    names = [f"a_long_name_of_a_loss_{i}" for i in range(n)]
    figure = figures.difference_matrix(pairs_of(names), names)
    across = figure.layout.width - figure.layout.margin.r - 6.5 * 24  # the labels to the left
    assert across / n > figure.data[0].marker.size
    assert figure.layout.height / n > figure.data[0].marker.size


def test_the_tool_bar_stands_in_a_margin_of_its_own():
    """Beside plot and legend; above them it covered the legend's last entries."""
    curve = pd.DataFrame({"k": [1, 2], "recall": [0.5, 0.6]})
    for figure in (figures.recall_curves({"one": curve}), figures.overlap_histogram(np.ones(3))):
        assert figure.layout.modebar.orientation == "v"
        assert figure.layout.margin.r >= MODEBAR


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


def test_a_loss_has_one_color_whichever_runs_are_shown(tmp_path):
    def recorded(name: str, loss: str, seed: int) -> Run:
        """Return a run of which only the settings are known."""
        path = tmp_path / name
        path.mkdir()
        settings = {"dataset": "made", "loss": loss, "seed": seed}
        write_config(path, {"settings": settings, "dataset": {"name": "made"}, "provenance": {}})
        return Run(path)

    runs = [recorded("a", "lifted_loss", 0), recorded("b", "lifted_loss", 1)]
    runs += [recorded("c", "angular_loss", 0), recorded("d", "none", 0)]
    colors = run_colors(runs)
    assert colors == run_colors(runs[::-1])
    assert colors["a"] == colors["b"] == LOSS_COLORS["lifted_loss"]
    assert colors["d"] == UNTRAINED_COLOR

    def pair(a, b):
        return pair_colors(Selection("made", runs, a, b, "leave_one_out", "", 10))

    assert pair(runs[0], runs[2]) == (colors["a"], colors["c"])
    assert pair(runs[2], runs[0]) == (colors["c"], colors["a"])
    seeds = pair(runs[0], runs[1])
    assert seeds[0] == colors["a"]
    assert seeds[1] not in colors.values()
    assert pair(runs[0], None)[0] == colors["a"]


def test_compare_has_the_losses_colors_in_its_headline(runs_root, monkeypatch):
    monkeypatch.setenv("RETRIEVAL_RUNS", str(runs_root))
    app = open_page("compare", a="contrastive_loss-s0", b="lifted_loss-s0")
    (verdict,) = (m.value for m in app.markdown if "R@1 differs by" in m.value)
    for letter, loss in (("A", "contrastive_loss"), ("B", "lifted_loss")):
        assert (
            f'<span style="color:{LOSS_COLORS[loss]}">●</span> **{letter}** {loss[:6]}' in verdict
        )
    figure = figures.win_tie_loss(1, 2, 3, ("#111111", "#222222"))
    assert [bar.marker.color for bar in figure.data][::2] == ["#111111", "#222222"]


@pytest.mark.parametrize(
    ("interval", "color"),
    [
        ((0.03, 0.01, 0.05), "#111111"),
        ((-0.03, -0.05, -0.01), "#222222"),
        ((0.01, -0.02, 0.04), NEUTRAL),
    ],
)
def test_the_bar_of_wins_and_losses_has_the_interval_of_the_difference(interval, color):
    figure = figures.win_tie_loss(5, 90, 5, ("#111111", "#222222"), interval)
    *_, whisker = figure.data
    value, low, high = (100 * end for end in interval)
    assert list(whisker.x) == [value]
    assert whisker.error_x.array[0] == pytest.approx(high - value)
    assert whisker.error_x.arrayminus[0] == pytest.approx(value - low)
    assert whisker.marker.color == color
    left, right = figure.layout.xaxis2.range
    assert left == -right >= 1.2 * max(abs(low), abs(high))  # A, whose wins are at the left


@pytest.mark.parametrize("value", [0.0, 1e-4, 0.004, 0.03, 0.2, 0.39, 0.8, 1.0])
def test_the_axis_of_the_interval_has_a_few_round_numbers_whatever_it_spans(value):
    axis = figures.win_tie_loss(5, 90, 5, interval=(value, value, value)).layout.xaxis2
    assert 3 <= len(axis.tickvals) <= 9
    assert axis.ticktext[len(axis.tickvals) // 2] == "0"
    assert {text[0] for text in axis.ticktext} == {"A", "0", "B"}
    assert axis.ticktext[-1].startswith("A +")
    assert axis.range[0] >= 100 * value


def test_compare_says_when_no_query_differs(runs_root, tmp_path, monkeypatch):
    shutil.copytree(runs_root / "photos" / "lifted_loss-s0", tmp_path / "photos" / "one")
    shutil.copytree(tmp_path / "photos" / "one", tmp_path / "photos" / "two")
    monkeypatch.setenv("RETRIEVAL_RUNS", str(tmp_path))
    app = open_page("compare", a="one", b="two")
    assert any("+0.0 to +0.0): no query differs" in m.value for m in app.markdown)


def test_recall_in_training_says_how_it_was_measured_on_an_axis_that_fits_it():
    history = pd.DataFrame({"step": [50, 100], "loss": [1.0, 0.5], "recall@1": [0.972, 0.984]})
    how = "leave-one-out, test split"
    axis = figures.training_curves({"a": history}, "recall@1", measured_on=how).layout.yaxis
    assert axis.title.text == f"R@1 during training, %<br>{how}"
    assert axis.rangemode is None  # fits the data
    assert figures.training_curves({"a": history}).layout.yaxis.rangemode == "tozero"
