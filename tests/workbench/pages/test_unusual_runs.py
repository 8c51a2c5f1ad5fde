"""Every page with hostile names, with runs that lack extras, and with very small runs."""

import shutil

import pytest

from retrieval.evaluation.caveats import NO_POSITIVES, ONE_CLASS
from retrieval.report import make_report
from tests.workbench.driver import open_page, text_of
from tests.workbench.run_factory import NAMES
from workbench.layout.theme import plain
from workbench.notebook.results import (
    compare_runs,
    comparison_summary,
    paired_tests,
    results_table,
)
from workbench.pages import PAGES
from workbench.report import page_html


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_names_stay_text_on_every_page(make_run, photos, monkeypatch, page):
    items = photos.copy()
    items["label_name"] = [NAMES[i % len(NAMES)] + f" {i}" for i in items["label"]]
    items["super_name"] = [NAMES[i % len(NAMES)] for i in items["label"]]
    run = make_run("one", items=items)
    make_run("two", items=items, loss="contrastive_loss")
    monkeypatch.setenv("RETRIEVAL_RUNS", str(run.path.parents[1]))
    app = open_page(page, item="0")
    for element in (*app.markdown, *app.caption):
        assert "<script>" not in element.value
        assert "](javascript" not in element.value


def test_a_run_without_thumbnails_or_history_draws_every_page(make_run, monkeypatch):
    run = make_run("one", loss=None)
    shutil.rmtree(run.path / "thumbnails")
    (run.path / "history.csv").unlink()
    monkeypatch.setenv("RETRIEVAL_RUNS", str(run.path.parents[1]))
    for page in PAGES:
        open_page(page)


def test_a_run_with_three_items_draws_every_page(make_run, photos, monkeypatch):
    items = photos.iloc[[0, 2, 6]].assign(role="both").reset_index(drop=True)
    run = make_run("one", items=items, projection=False)
    monkeypatch.setenv("RETRIEVAL_RUNS", str(run.path.parents[1]))
    for page in PAGES:
        open_page(page)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda items: {"label": range(len(items)), "role": "both"}, NO_POSITIVES),
        (lambda items: {"label": items["label"] + 100 * (items["role"] == "query")}, NO_POSITIVES),
        (lambda items: {"label": 0}, ONE_CLASS),
    ],
)
def test_every_page_says_what_makes_its_figures_meaningless(
    make_run, photos, monkeypatch, change, said
):
    items = photos[:24].assign(**change(photos[:24]))
    items["label_name"] = items["label"].astype(str)
    run = make_run("one", items=items)
    make_run("two", items=items, loss="contrastive_loss")
    monkeypatch.setenv("RETRIEVAL_RUNS", str(run.path.parents[1]))
    for page in PAGES:
        shown = text_of(open_page(page))
        assert plain(f"{said[:1].upper()}{said[1:]}") in shown, page
    assert len(results_table({"one": run})) == 1
    comparison = compare_runs({"one": run, "two": run})
    assert len(comparison_summary(comparison)) == 2
    assert len(paired_tests(comparison)) == (0 if said == NO_POSITIVES else 1)
    page_html(make_report([run]))
