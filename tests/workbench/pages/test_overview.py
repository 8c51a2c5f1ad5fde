"""The Overview counts every seed once and scored queries only, and says how sure a lead is."""

import shutil

import numpy as np
import pandas as pd
import pytest

from retrieval.evaluation.significance import compare
from retrieval.report.verdicts import seeds_caveat
from retrieval.runs.run import Run
from tests.runs.helpers import edit
from tests.workbench.driver import loss_tables, open_page, text_of
from workbench.analysis import tables
from workbench.analysis.protocol import lacks_nmi_interval
from workbench.analysis.repeats import repeats_line
from workbench.layout.theme import plain
from workbench.pages.overview.headline import best_title


@pytest.fixture
def new_run(make_run, monkeypatch):
    """Write runs into one data set that the app serves."""

    def make(name: str, **options) -> Run:
        run = make_run(name, **options)
        monkeypatch.setenv("RETRIEVAL_RUNS", str(run.path.parents[1]))
        return run

    return make


def copy_of(run: Run, name: str) -> Run:
    return Run(shutil.copytree(run.path, run.path.with_name(name)))


def test_a_copied_run_counts_once_and_is_named(new_run):
    first = new_run("lifted_loss-s0", loss="lifted_loss")
    other = new_run("lifted_loss-s1", loss="lifted_loss", seed=1)
    copies = [copy_of(first, f"lifted_loss-copy{i}") for i in range(2)]
    app = open_page()
    table = loss_tables(app)[0]
    assert table["Seeds"].tolist() == ["0, 1"]
    assert app.metric[0].label == "Best loss"
    results = tables.results_table([first, other, *copies], "query_gallery")
    without = tables.results_table([first, other], "query_gallery")
    counted, alone = (
        tables.loss_table(each, [first, other, *copies], "query_gallery")
        for each in (results, without)
    )
    columns = ["recall@1", "recall@1/sd", "map@r", "recall@1/low"]
    assert counted[columns].equals(alone[columns])
    assert counted["seeds"][0] == [0, 1]
    assert len(counted["runs"][0]) == 2
    line = repeats_line(results)
    assert line == (
        "2 runs repeat a seed and count for nothing here: lifted_loss-copy0, lifted_loss-copy1 "
        "(as lifted_loss-s0, seed 0; same figures)."
    )
    assert plain(line) in text_of(app)


def test_of_runs_that_repeat_a_seed_the_newest_counts(new_run):
    first, again = new_run("a", loss="lifted_loss"), new_run("b", loss="lifted_loss")
    edit(again.path, "config.yaml", "provenance", "created", to="2026-01-02T12:00:00")
    for number in (0, 1):
        keys = ("results", number, "metrics", "recall@1", "value")
        edit(again.path, "metrics.json", *keys, to=0.001)
    runs = [Run(first.path), Run(again.path)]
    results = tables.results_table(runs, "query_gallery")
    assert results["repeats"].tolist() == ["b", ""]
    table = tables.loss_table(results, runs, "query_gallery")
    assert table["recall@1"].tolist() == [0.001]
    assert repeats_line(results) == (
        "1 run repeats a seed and counts for nothing here: a (as b, seed 0; other figures)."
    )


def test_imported_runs_are_no_repeats(new_run):
    runs = [new_run(name, loss=None) for name in ("one", "two")]  # alike in every figure
    results = tables.results_table(runs, "query_gallery")
    assert results["repeats"].tolist() == ["", ""]
    assert repeats_line(results) == ""


def test_imported_runs_are_neither_losses_nor_of_a_seed(new_run):
    new_run("one", loss=None)
    new_run("two", loss=None)
    for page in ("overview", "compare"):
        app = open_page(page)
        assert "one seed" not in text_of(app)
    app = open_page()
    assert app.metric[0].label.startswith("Best import")
    assert "Loss" not in loss_tables(app)[0]
    assert loss_tables(app)[0]["Import"].tolist() == ["one", "two"]


@pytest.fixture
def lone(new_run, photos) -> Run:
    """A run in whose gallery one class, of two queries, is missing."""
    kept = ~((photos["label"] == 0) & (photos["role"] == "gallery"))
    new_run("one", items=photos[kept].reset_index(drop=True), loss="lifted_loss")
    return new_run("two", items=photos[kept].reset_index(drop=True), loss="semi_hard_triplet")


def test_queries_without_a_relevant_item_do_not_count(lone):
    app = open_page()
    assert "70 queries against" in app.caption[0].value
    assert plain("2 more excluded: no relevant item in the gallery") in app.caption[0].value
    assert plain("36 classes (35 with a scored query)") in app.caption[0].value
    assert loss_tables(app)[0]["Queries"].tolist() == ["70", "70"]
    assert "lead may be due to chance" in app.metric[0].label
    assert "seed 0, 70 queries" in text_of(app)
    assert "over the same 70 queries" in text_of(app)
    compare = open_page("compare", a="one", b="two")
    assert "over the same 70 queries" in text_of(compare)
    assert "70 queries against" in compare.caption[0].value


def test_queries_without_a_relevant_item_that_score_zero_count_everywhere(lone):
    for name in ("one", "two"):
        for number in (0, 1):
            keys = ("results", number, "protocol", "no_positive")
            edit(lone.path.with_name(name), "metrics.json", *keys, to="zero")
    app = open_page()
    assert "72 queries against" in app.caption[0].value
    assert "excluded" not in app.caption[0].value
    assert "scored query" not in app.caption[0].value
    assert loss_tables(app)[0]["Queries"].tolist() == ["72", "72"]
    assert "over the same 72 queries" in text_of(app)
    assert "over the same 72 queries" in text_of(open_page("compare", a="one", b="two"))


def test_the_best_loss_says_whether_its_lead_may_be_chance():
    classes, ranked = np.repeat(np.arange(40), 5), pd.DataFrame({"group": ["one", "two"]})
    same, better = {"one": np.ones(200), "two": np.ones(200)}, np.zeros(200)
    assert (
        best_title(compare(same, classes), ranked)
        == "Best loss :orange-badge[≈ lead may be due to chance]"
    )
    compared = compare(same | {"two": better}, classes)
    assert best_title(compared, ranked) == "Best loss :blue-badge[▲ lead is significant]"
    assert best_title(compared, ranked[:1]) == best_title(None, ranked) == "Best loss"


def test_with_too_few_classes_no_lead_is_judged():
    ranked = pd.DataFrame({"group": ["one", "two"]})
    compared = compare({"one": np.ones(45), "two": np.zeros(45)}, np.repeat(np.arange(9), 5))
    assert "too few classes" in best_title(compared, ranked)
    assert compared.summary["verdict"].tolist() == ["no verdict"] * 2
    assert compared.pairs[["low", "high", "p"]].isna().all(axis=None)


def test_a_lead_with_one_seed_is_said_to_hold_for_these_training_runs(runs_root, monkeypatch):
    assert "one seed each" in seeds_caveat([1, 1])
    assert "some with one seed" in seeds_caveat([3, 1])
    assert seeds_caveat([3, 2]) == seeds_caveat([]) == seeds_caveat([0, 0]) == ""
    assert seeds_caveat([0, 1]) == seeds_caveat([1])
    monkeypatch.setenv("RETRIEVAL_RUNS", str(runs_root))
    app = open_page()  # contrastive_loss has two seeds, the others one
    assert f"This holds{seeds_caveat([2, 1])}." in text_of(app)
    assert seeds_caveat([2, 1]) in app.metric[0].help
    compare = open_page("compare", a="semi_hard_triplet-s0", b="lifted_loss-s0")
    assert f"significant{seeds_caveat([1, 1])}" in text_of(compare)


def test_the_page_says_how_to_get_a_curve_of_recall_in_training(new_run):
    run = new_run("one")
    assert "--eval-split" not in text_of(open_page())
    history = pd.read_csv(run.path / "history.csv").drop(columns="recall@1")
    history.to_csv(run.path / "history.csv", index=False)
    text = text_of(open_page())
    assert "--eval-split validation" in text
    assert "`--eval-every`" in text


def test_recall_during_training_is_not_confused_with_that_of_the_page(new_run):
    run = new_run("one")
    assert "(leave-one-out, split not recorded)" in text_of(open_page())
    edit(run.path, "config.yaml", "settings", "eval_split", to="test")
    text = text_of(open_page())
    assert "**R@1 during training** (leave-one-out, test split, 216 items)" in text
    said = "R@1 during training is measured leave-one-out, test split; the values above:"
    assert f"{said} {plain('cross-store')}, test split." in text
    assert said not in text_of(open_page(protocol="leave_one_out"))
    edit(run.path, "config.yaml", "settings", "eval_split", to="validation")
    assert "measured leave-one-out, validation split" in text_of(
        open_page(protocol="leave_one_out")
    )


def test_nmi_without_an_interval_says_why(new_run):
    run = new_run("one")
    assert not lacks_nmi_interval(run, "query_gallery")
    for number in (0, 1):
        for side in ("low", "high"):
            edit(run.path, "metrics.json", "results", number, "metrics", "nmi", side, to=None)
    assert lacks_nmi_interval(Run(run.path), "query_gallery")
    for page in ("overview", "methods"):
        assert "NMI without ±" in text_of(open_page(page))


def test_the_page_speaks_of_intervals_only_where_there_are_some(new_run):
    run = new_run("one")
    assert "**Recall@1 with 95% intervals**" in text_of(open_page())
    for number, name in enumerate(run.results):
        for metric in run.results[name].metrics:
            for side in ("low", "high"):
                edit(run.path, "metrics.json", "results", number, "metrics", metric, side, to=None)
    text = text_of(open_page())
    assert "**Recall@1**" in text
    assert "95% intervals**" not in text
    assert "No ±: there are no 95% intervals" in text
    assert "NMI without ±" not in text + text_of(open_page("methods"))
