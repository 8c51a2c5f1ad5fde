"""Pages of a run that counts as large: they show a sample, and say so."""

import numpy as np
import pytest

from retrieval.runs import large
from retrieval.runs.run import Run
from tests.workbench.driver import open_page, text_of
from workbench.data.projections import placed_rows, sample
from workbench.notebook.maps import embedding_map
from workbench.pages import PAGES


@pytest.fixture
def run(make_run, monkeypatch):
    """A run of 216 items of which 40 are on the map; more than 100 count as many."""
    monkeypatch.setattr(large, "MANY_ITEMS", 100)
    run = make_run("one")
    rows = large.sampled_rows(len(run.items), 40)
    run.projection.iloc[rows].reindex(np.arange(len(run.items))).to_parquet(
        run.path / "projection.parquet"
    )
    run = Run(run.path)
    monkeypatch.setenv("RETRIEVAL_RUNS", str(run.path.parents[1]))
    return run


def test_only_items_that_have_a_place_are_drawn(run):
    np.testing.assert_array_equal(placed_rows(run), large.sampled_rows(216, 40))
    rows, points = sample(run, "UMAP")
    np.testing.assert_array_equal(rows, large.sampled_rows(216, 40))
    assert np.isfinite(points).all()
    assert sum(len(trace.x) for trace in embedding_map(run).data if trace.x is not None) >= 40


def test_the_map_says_that_it_is_a_sample_its_size_and_its_seed(run):
    shown = text_of(open_page("map"))
    assert "a random sample of 40 of 216 items (seed 0)" in shown


def test_every_page_of_a_large_run_is_drawn(run):
    for page in PAGES:
        open_page(page, item="0")
