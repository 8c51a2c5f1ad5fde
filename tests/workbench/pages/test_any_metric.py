"""The metric of the sidebar ranks and tests losses on every page, with all seeds of each."""

import shutil

import numpy as np
import pytest

from retrieval.files import digest
from retrieval.report.verdicts import disagreement
from retrieval.runs.neighbors import FILE
from tests.runs.helpers import edit
from tests.workbench.driver import loss_tables, open_page, parameters_of, text_of
from workbench.layout.theme import plain

pytestmark = pytest.mark.usefixtures("served")


def metric_named(app, label: str):
    return next(metric for metric in app.metric if metric.label == label)


@pytest.mark.parametrize(
    ("metric", "title", "long"),
    [("map@r", "MAP@R", "MAP@R"), ("mrr", "MRR", "Mean reciprocal rank"), ("recall@7", "R@7", "")],
)
def test_the_overview_ranks_and_tests_by_the_metric_of_the_link(metric, title, long):
    app = open_page(metric=metric)
    assert app.selectbox(key="metric").value == metric
    assert parameters_of(app)["metric"] == metric
    value = metric_named(app, title).value
    table = loss_tables(app)[0]
    assert f"{table[title].iloc[0]}%" == value
    assert table[title].astype(float).is_monotonic_decreasing
    text = text_of(app)
    assert plain(f"by {title}: it leads") in text or plain(f"has the highest {title}") in text
    assert f"Each cell is the {title} of its row" in text
    assert long in text


def test_compare_tests_all_seeds_of_both_losses_by_the_metric():
    app = open_page("compare", a="contrastive_loss-s1", b="lifted_loss-s0", metric="map@r")
    (verdict,) = (m.value for m in app.markdown if "MAP@R differs by" in m.value)
    assert "(seeds 0, 1)" in verdict
    text = text_of(app)
    assert "Paired bootstrap over classes and seeds" in text
    assert "McNemar" not in text  # scores are means over seeds, not right or wrong
    assert plain("the single runs A, contrastive_loss-s1") in text.replace(
        "single runs", "single runs"
    )
    one = open_page("compare", a="contrastive_loss-s0", b="lifted_loss-s0", metric="map@r")
    assert verdict in [m.value for m in one.markdown]  # the loss counts, not the seed


def test_two_seeds_of_one_loss_are_compared_as_single_runs():
    app = open_page("compare", a="contrastive_loss-s0", b="contrastive_loss-s1")
    (verdict,) = (m.value for m in app.markdown if "R@1 differs by" in m.value)
    assert "(seed 0)" in verdict
    assert "(seed 1)" in verdict


def test_nmi_ranks_losses_but_has_no_test():
    app = open_page(metric="nmi")
    assert "no test for NMI" in app.metric[0].label
    table = loss_tables(app)[0]
    assert metric_named(app, "NMI").value == table["NMI"].iloc[0]
    assert "significant" not in text_of(app).replace("whether or not its lead is significant", "")
    compare = open_page("compare", a="contrastive_loss-s0", b="lifted_loss-s0", metric="nmi")
    assert "no test for NMI, since it has no score per query" in text_of(compare)


def test_a_run_without_the_scores_of_every_query_says_which_command_adds_them(
    runs_root, tmp_path, monkeypatch
):
    root = tmp_path / "runs"
    shutil.copytree(runs_root, root)
    path = root / "photos" / "lifted_loss-s0"
    with np.load(path / FILE) as arrays:
        old = {key: value for key, value in arrays.items() if "/score/" not in key}
    np.savez(path / FILE, **old)
    monkeypatch.setenv("RETRIEVAL_RUNS", str(root))
    said = plain(
        "no test for MAP@R, since lifted_loss-s0 does not hold it for every query: "
        f"`retrieval evaluate {path}` adds it"
    )
    keys = ("computed_from", FILE)
    edit(path, "metrics.json", *keys, to=digest(path / FILE))
    assert said in text_of(open_page(metric="map@r"))
    assert "no test" not in text_of(open_page())  # Recall@1 needs the ranks alone


def test_the_page_says_where_metrics_disagree_about_the_best():
    leaders = {"recall@1": "hard", "recall@2": "hard", "map@r": "angular", "nmi": "angular"}
    assert disagreement(leaders) == "hard leads in R@1 and R@2; angular in MAP@R and NMI"
    assert disagreement(dict.fromkeys(leaders, "hard")) == ""


def test_a_metric_that_does_not_exist_is_named_and_recall_at_1_is_shown():
    app = open_page(metric="unheard")
    assert app.selectbox(key="metric").value == "recall@1"
    assert any("unheard" in warning.value for warning in (*app.info, *app.warning, *app.toast))
