"""Searching and stepping through queries."""

import pytest
from streamlit.testing.v1 import AppTest

from tests.workbench.test_pages import open_page, text_of


@pytest.fixture(autouse=True)
def _served(runs_root, monkeypatch):
    monkeypatch.setenv("RETRIEVAL_RUNS", str(runs_root))


def press(app: AppTest, label: str) -> None:
    app.button[[b.label for b in app.button].index(label)].click().run()
    assert not app.exception


def test_a_search_goes_to_its_first_match():
    app = open_page("retrieval", item="0")
    app.text_input(key="search").set_value("flower 0-0").run()
    assert app.query_params["item"] == "108"
    assert "This item is 1 of 2 queries matching" in text_of(app)
    press(app, "Back")
    assert app.query_params["item"] == "0"


def test_a_search_stays_where_the_item_matches_or_nothing_does():
    app = open_page("retrieval", item="109")
    app.text_input(key="search").set_value("flower").run()
    assert app.query_params["item"] == "109"
    app.text_input(key="search").set_value("nothing like it").run()
    assert app.query_params["item"] == "109"


def test_a_filter_goes_to_its_first_query():
    app = open_page("retrieval", a="lifted_loss-s0", item="3")
    app.selectbox(key="show").set_value("Failures").run()
    assert "This item is 1 of" in text_of(app)
    assert "✗ Wrong." in text_of(app)


def test_a_gallery_item_stays_when_the_search_is_cleared():
    app = open_page("retrieval", item="3", search="flower 0-0")
    app.text_input(key="search").set_value("").run()
    assert app.query_params["item"] == "3"


def test_a_link_with_a_search_opens_on_a_match():
    app = open_page("retrieval", search="flower 0-0")
    assert app.query_params["item"] in ("108", "109")
