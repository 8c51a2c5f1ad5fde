"""Tables of runs: one row per loss, seeds aggregated, protocols apart."""

import numpy as np
import pytest

from retrieval.evaluation.significance import compare
from retrieval.runs.run import Run
from tests.workbench.small import neighbors, with_ranks
from workbench.analysis import tables


@pytest.fixture
def runs(runs_root) -> list[Run]:
    return [Run(path) for path in sorted((runs_root / "photos").iterdir())]


def test_seeds_of_a_loss_share_a_row(runs):
    results = tables.results_table(runs, "query_gallery")
    table = tables.loss_table(results)
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
    table = tables.loss_table(tables.results_table(runs, "query_gallery")).set_index("group")
    names = ["contrastive_loss", "semi_hard_triplet"]
    labels = runs[0].items["label"].to_numpy()
    hits = {
        name: np.stack(
            [
                run.neighbors("query_gallery").hits_at_one()
                for run in runs
                if run.name in table.loc[name, "runs"]
            ]
        )
        for name in names
    }
    compared = compare(hits, labels[runs[0].neighbors("query_gallery").queries])
    shown = tables.with_intervals(table.reset_index(), compared).set_index("group")
    summary = compared.summary.set_index("name")
    for side in ("low", "high"):
        assert shown.loc[names[0], f"recall@1/{side}"] == summary.loc[names[0], side]
        assert shown.loc[names[1], f"recall@1/{side}"] == table.loc[names[1], f"recall@1/{side}"]


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
