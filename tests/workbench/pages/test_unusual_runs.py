"""Every page with hostile names, with runs that lack extras, and with very small runs."""

import shutil

import pytest

from tests.workbench.driver import open_page
from tests.workbench.run_factory import NAMES
from workbench.pages import PAGES


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
