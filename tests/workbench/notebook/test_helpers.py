"""What a notebook's cells call, on small runs: tables, figures and galleries."""

from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio
import pytest

import workbench.notebook as nb
from retrieval import TrainSettings, load_catalog
from retrieval.errors import UserError
from retrieval.training.step_time import StepTime
from tests.photos import write_colors
from workbench.notebook.environment import find_folder

A_STEP = StepTime(images=6, step=1.0, embedding=0.0, device="CPU", measured="2026-01-01")


@pytest.fixture
def runs(make_run) -> dict:
    return {"lifted_loss": make_run("a", loss="lifted_loss"), "mine": make_run("b")}


def test_every_name_that_a_notebook_may_use_is_documented():
    for name in nb.__all__:
        assert getattr(nb, name).__doc__, name


@pytest.mark.parametrize("protocol", [None, "leave_one_out"])
def test_every_figure_of_one_run_is_drawn_under_any_protocol(runs, protocol):
    run = runs["mine"]
    for draw in (nb.embedding_map, nb.rank_histogram, nb.confusion_map):
        assert isinstance(draw(run, protocol), go.Figure)
    assert len(nb.recall_curves(runs, protocol).data) == 2


def test_lists_of_failures_hold_the_queries_whose_nearest_item_is_wrong(runs):
    run = runs["mine"]
    neighbors = run.neighbors()
    wrong = set(neighbors.queries[neighbors.first_relevant_rank > 1])
    for found in (nb.confident_failures(run), nb.worst_ranks(run)):
        assert set(found["row"]) == wrong
    assert set(nb.near_misses(run)["row"]) <= wrong
    assert set(nb.random_failures(run, count=1000)) == wrong
    shown = nb.gallery(run, nb.confident_failures(run)["row"].head(2), k=3)
    assert shown.count("<figure") == 2 * (1 + 3)


def test_two_runs_with_the_same_neighbors_tie_everywhere(runs):
    a, b = runs.values()
    pair = nb.compare_queries(a, b)
    assert (pair.wins, pair.losses) == (0, 0)
    assert not len(nb.only_right(pair, "a"))
    for figure in (
        nb.win_tie_loss(pair),
        nb.class_differences(pair, a),
        nb.overlap_histogram(pair),
        nb.outcome_map(a, b),
    ):
        assert isinstance(figure, go.Figure)
    comparison = nb.compare_runs(runs)
    assert list(nb.paired_tests(comparison)["significant"]) == ["no"]
    assert set(nb.comparison_summary(comparison).index) == set(runs)
    assert isinstance(nb.difference_matrix(comparison), go.Figure)


def test_recall_at_any_k_needs_no_new_search(runs):
    run = runs["mine"]
    ranks = run.neighbors().first_relevant_rank
    table = nb.recall_at(runs, (1, 1000))
    assert table.loc["mine", "R@1"] == f"{100 * np.mean(ranks[ranks > 0] == 1):.1f}"
    assert table.loc["mine", "R@1000"] == "100.0"


def test_hubs_count_lists_and_name_the_class(runs):
    run = runs["mine"]
    hubs = nb.hubs(run)
    assert hubs["count"].is_monotonic_decreasing
    neighbors = run.neighbors()
    assert hubs["count"].sum() == neighbors.ids[:, :10].size
    row = hubs.iloc[0]
    assert row["class"] == run.items["label_name"].iloc[row["row"]]


def test_a_run_without_a_map_says_so(make_run):
    with pytest.raises(UserError, match="map"):
        nb.embedding_map(make_run("flat", projection=False))


def test_the_scale_of_the_environment_overrides_the_notebook_s(monkeypatch):
    monkeypatch.delenv("RETRIEVAL_SCALE", raising=False)
    assert nb.scale("full") == "full"
    monkeypatch.setenv("RETRIEVAL_SCALE", "small")
    assert nb.scale("full") == "small"
    monkeypatch.setenv("RETRIEVAL_SCALE", "tiny")
    with pytest.raises(UserError, match="tiny"):
        nb.scale("full")


@pytest.fixture
def at(tmp_path, monkeypatch):
    """Start a notebook in a folder of a project that has photos in two places."""
    for folder in ("project/notebooks/beside", "project/photos", "elsewhere"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setenv("RETRIEVAL_PICTURES", "no")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("workbench.notebook.environment._place", None)

    def start_in(folder):
        monkeypatch.chdir(tmp_path / folder)
        nb.start()
        return tmp_path

    drawn_by = pio.renderers.default
    with pd.option_context("display.max_colwidth", None):
        yield start_in
    pio.renderers.default = drawn_by


@pytest.mark.parametrize("folder", ["project", "project/notebooks"])
def test_a_relative_folder_is_relative_to_the_project_wherever_the_notebook_starts(at, folder):
    root = at(folder)
    assert Path.cwd() == root / "project"
    assert find_folder("photos") == Path("photos")  # written alike: equal settings, one run
    assert find_folder(root / "elsewhere") == root / "elsewhere"
    assert find_folder("~/elsewhere") == root / "elsewhere"
    assert find_folder(None) is None
    nb.start()  # again, as when the cell is run twice
    assert Path.cwd() == root / "project"


def test_a_folder_beside_the_notebook_is_found_too_and_one_that_is_nowhere_names_both(at):
    root = at("project/notebooks")
    assert find_folder("beside") == root / "project/notebooks/beside"
    with pytest.raises(UserError) as error:
        find_folder("nowhere")
    for place in ("project/nowhere", "project/notebooks/nowhere"):
        assert str(root / place) in str(error.value)


def test_a_drawn_curve_costs_the_same_for_any_number_of_steps():
    def message(steps):
        curve = nb.LiveCurve()
        numbers = np.arange(1, steps + 1)
        history = pd.DataFrame({"step": numbers, "loss": 1 / numbers})
        curve.histories["a"] = history
        return curve.figure().data[0]

    few, many = message(1_000), message(100_000)
    assert len(many.x) == len(few.x) <= 500
    assert many.x[-1] == 100_000  # the last step is always drawn
    assert list(many.x) == sorted(set(many.x))


def test_metrics_are_averaged_over_seeds(runs, capsys):
    table = nb.seeds_table({"both": list(runs.values()), "one": runs["mine"]}, "leave_one_out")
    assert list(table["seeds"].loc[["both", "one"]]) == [2, 1]
    assert {"R@1", "R@4", "NMI"} <= set(table)
    assert "±" in table.loc["both", "NMI"]
    assert "±" not in table.loc["one", "NMI"]
    assert "seeds" in capsys.readouterr().out


def test_before_training_a_notebook_shows_a_batch_the_network_and_the_loss(tmp_path, monkeypatch):
    monkeypatch.setenv("RETRIEVAL_CACHE", str(tmp_path / "cache"))
    root = write_colors(tmp_path / "photos", seed=0, scale=20)
    catalog = load_catalog("folder", root)
    settings = TrainSettings(
        dataset="folder", data=str(root), backbone="conv4", weights="none", image_size=16,
        classes_per_batch=3, samples_per_class=2, loss="contrastive_loss",
    )  # fmt: skip
    shown = nb.batch_grid(settings, catalog, classes=2)
    assert shown.count("<img") == 2 * 2
    assert shown.count("label ") == 2 * 2
    table = nb.network_summary(settings, catalog)
    assert list(table.index)[-1] == "whole network"
    assert table["output"].iloc[-1] == "B x 128"
    frozen = nb.network_summary(settings.with_(freeze_backbone=True), catalog)
    assert frozen["trained"].iloc[0] == "0"
    text = nb.loss_formula(settings).data
    assert "$$" in text
    assert "pairs = blocks" in text
    assert "Args:" not in text
    assert ":func:" not in text
    monkeypatch.setenv("RETRIEVAL_MEASURE", "no")
    resnet = settings.with_(backbone="resnet50", weights="imagenet", image_size=32)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert "`retrieval fetch weights resnet50`" in nb.outlook([resnet], catalog).data
    monkeypatch.setattr("retrieval.training.step_time.step_time", lambda *_: A_STEP)
    monkeypatch.delenv("RETRIEVAL_MEASURE")
    said = nb.outlook([settings.with_(steps=3600), settings.with_(steps=3600, seed=1)], catalog)
    assert "2.0 h" in said.data
    assert "fetch weights" not in said.data
    for trainings in ([], [settings.with_(loss="none")]):
        assert "Nothing is trained" in nb.outlook(trainings, catalog).data
