"""Every page, the reports and the notebooks with runs of ranked lists, which have no embeddings."""

import numpy as np
import pandas as pd
import pytest

from retrieval.errors import UserError
from retrieval.report import make_report
from retrieval.runs.ranked_importing import import_ranked
from retrieval.runs.run import NO_EMBEDDINGS
from retrieval.runs.store import open_run
from tests.workbench.driver import open_page, text_of
from workbench.notebook.maps import umap_points
from workbench.notebook.results import recall_at, results_table
from workbench.pages import PAGES
from workbench.report import page_html

N_QUERIES, N_ITEMS, DEPTH = 12, 30, 9


@pytest.fixture(scope="module")
def ranked_root(tmp_path_factory):
    """Return a folder of two runs, imported from lists of random order."""
    folder = tmp_path_factory.mktemp("ranked")
    rng = np.random.default_rng(0)
    paths, files = [], []
    for name in ("first", "second"):
        entries = [
            (f"q{q:02d}", f"d{item:02d}", rng.random())
            for q in range(N_QUERIES)
            for item in rng.permutation(N_ITEMS)[:DEPTH]
        ]
        files.append(folder / f"{name}.csv")
        pd.DataFrame(entries, columns=["query", "item", "score"]).to_csv(files[-1], index=False)
        paths.append(folder / "runs" / "texts" / name)
    judged = "".join(f"q{q:02d} 0 d{q + j:02d} 1\n" for q in range(N_QUERIES) for j in (0, 9))
    (folder / "qrels.txt").write_text(judged)
    import_ranked(paths, files, qrels=folder / "qrels.txt", progress=False)
    return folder / "runs"


@pytest.fixture
def shown(ranked_root, monkeypatch):
    monkeypatch.setenv("RETRIEVAL_RUNS", str(ranked_root))
    return ranked_root


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens(shown, page):
    open_page(page)


def test_the_map_says_why_there_is_none(shown):
    app = open_page("map")
    assert NO_EMBEDDINGS in text_of(app)
    assert not app.get("code")


def test_thresholds_say_why_there_are_none(shown):
    assert NO_EMBEDDINGS in text_of(open_page("thresholds"))


def test_the_overview_is_of_lists_and_leads_to_no_map(shown):
    app = open_page("overview")
    text = text_of(app)
    assert "without embeddings" in text
    assert "maps every image to a point" not in text
    assert not [button for button in app.button if "map" in button.label]


def test_nothing_is_said_of_classes_where_queries_have_none(shown):
    assert "Worst class" not in text_of(open_page("failures"))
    assert "of this class" not in text_of(open_page("retrieval"))


def test_an_item_that_is_no_query_says_that_searching_with_it_needs_embeddings(shown):
    row = N_QUERIES  # the first item that only the lists hold
    assert NO_EMBEDDINGS in text_of(open_page("retrieval", item=str(row)))


def test_a_report_names_the_figures_that_the_lists_are_too_short_for(ranked_root):
    run = open_run(ranked_root / "texts" / "first")
    report = make_report([run])
    assert "too short" in page_html(report)
    table = recall_at({"first": run}, (1, DEPTH, DEPTH + 1))
    assert table.iloc[0, 2] == "–"
    assert len(results_table({"first": run}))
    with pytest.raises(UserError, match="no map"):
        umap_points(run)
