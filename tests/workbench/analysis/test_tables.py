"""Tables of runs: one row per loss, seeds aggregated, protocols apart."""

import numpy as np
import pytest

from retrieval.report.comparing import compare_losses
from retrieval.runs.run import Run
from tests.workbench.small import neighbors, with_ranks
from workbench.analysis import tables


@pytest.fixture
def runs(runs_root) -> list[Run]:
    return [Run(path) for path in sorted((runs_root / "photos").iterdir())]


def test_seeds_of_a_loss_share_a_row(runs):
    results = tables.results_table(runs, "query_gallery")
    table = tables.loss_table(results, runs, "query_gallery")
    assert len(results) == 4
    assert table["group"].tolist()[0] == "semi_hard_triplet"
    row = table.set_index("group").loc["contrastive_loss"]
    values = [tables.metric_value(run, "query_gallery", "recall@1") for run in runs[:2]]
    assert row["seeds"] == [0, 1]
    assert row["recall@1"] == pytest.approx(np.mean(values))
    assert row["recall@1/sd"] == pytest.approx(np.std(values, ddof=1))
    assert np.isnan(table["recall@1/sd"][0])
    assert (table["recall@1"].diff().dropna() <= 0).all()


def test_a_single_run_keeps_the_interval_that_it_records(runs):
    results = tables.results_table(runs, "query_gallery")
    table = tables.loss_table(results, runs, "query_gallery")
    compared = compare_losses(tables.groups_of(table, runs), "query_gallery", "map@r")
    shown, summary = table.set_index("group"), compared.summary.set_index("name")
    recorded = runs[-1].result("query_gallery").metric("map@r")
    for side in ("low", "high"):
        assert shown.loc["semi_hard_triplet", f"map@r/{side}"] == getattr(recorded, side)
        for name in ("contrastive_loss", "semi_hard_triplet"):  # one of several seeds, one of one
            expected = pytest.approx(summary.loc[name, side], rel=1e-12)
            assert shown.loc[name, f"map@r/{side}"] == expected


@pytest.mark.parametrize("metric", ["map@r", "nmi"])
def test_losses_and_runs_are_sorted_by_the_chosen_metric(runs, metric):
    results = tables.results_table(runs, "query_gallery", ranked_by=metric)
    table = tables.loss_table(results, runs, "query_gallery", metric)
    assert table[metric].is_monotonic_decreasing
    ordered = tables.run_order(runs, "query_gallery", metric)
    values = [tables.metric_value(run, "query_gallery", metric) for run in ordered]
    assert values == sorted(values, reverse=True)


def test_runs_without_the_protocol_are_not_in_the_table(runs):
    assert tables.results_table(runs, "other").empty
    assert tables.run_order(runs, "query_gallery")[0].name == "semi_hard_triplet-s0"


def test_recall_at_every_k_follows_from_the_ranks_of_the_first_relevant_items():
    # Ranks 2, 1, 3, 1, 1, and one query without a relevant item.
    curve = tables.recall_curve(neighbors())
    assert curve["k"].tolist() == [1, 2, 3]
    assert curve["recall"].tolist() == [3 / 5, 4 / 5, 1]
    scored_zero = tables.recall_curve(neighbors(), "zero")
    assert scored_zero["recall"].tolist() == [3 / 6, 4 / 6, 5 / 6]
    beyond = with_ranks([9, 1, 3, 1, 1, 0])
    assert tables.recall_curve(beyond)["recall"].tolist() == [3 / 5, 3 / 5, 4 / 5]


def test_the_curve_meets_the_stored_recalls(runs):
    for run in runs:
        curve = tables.recall_curve(run.neighbors()).set_index("k")["recall"]
        for k in (1, 2, 4, 8):
            assert curve[k] == pytest.approx(
                tables.metric_value(run, "query_gallery", f"recall@{k}")
            )
