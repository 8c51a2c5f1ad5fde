"""What a notebook's cells call, on small runs: tables, figures and galleries."""

import numpy as np
import plotly.graph_objects as go
import pytest

import workbench.notebook as nb
from retrieval.errors import UserError


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
