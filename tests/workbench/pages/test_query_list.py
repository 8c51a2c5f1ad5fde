"""Searching and stepping through queries."""

import json

import pytest

from tests.workbench.driver import open_page, press, text_of
from workbench.pages.shared import query_list
from workbench.session.parameters import ITEM
from workbench.session.trail import TRAIL

pytestmark = pytest.mark.usefixtures("served")


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


def test_buttons_with_shortcuts_turn_the_pages_of_a_long_gallery():
    app = open_page("failures", a="lifted_loss-s0")
    assert app.pagination[0].value == 1
    press(app, "Next page")
    assert app.pagination[0].value == 2
    press(app, "Previous page")
    assert app.pagination[0].value == 1


@pytest.mark.parametrize("page", ["retrieval", "why", "failures", "compare"])
def test_no_two_buttons_of_a_page_share_a_key(page):
    runs = {"a": "lifted_loss-s0", "b": "semi_hard_triplet-s0"}
    app = open_page(page, compared="Neighbor overlap", **runs)
    keys = [button.proto.shortcut for button in app.button if button.proto.shortcut]
    assert {"Left", "Right"} <= {key.capitalize() for key in keys}
    assert len(keys) == len(set(keys))


def test_a_link_with_a_search_opens_on_a_match():
    app = open_page("retrieval", search="flower 0-0")
    assert app.query_params["item"] in ("108", "109")


def test_next_and_previous_start_from_the_query_that_led_to_a_gallery_item():
    app = open_page("retrieval", item="7")
    app.session_state[TRAIL.key] = (1, 7)
    app.session_state[ITEM.key] = 2  # of the gallery
    app.run()
    assert "not among the 72 queries" in text_of(app)
    assert "start from number 4" in text_of(app)
    press(app, "Next")
    assert app.query_params["item"] == "12"
    press(app, "Back")
    press(app, "Previous")
    assert app.query_params["item"] == "6"


def test_a_search_shows_gallery_items_as_such(runs_root, monkeypatch):
    shown = {}
    monkeypatch.setattr(
        query_list, "clickable_cards", lambda data, *, key, on_pick: shown.update(data)
    )
    app = open_page("retrieval", search="flower 0-0")
    assert app.expander[0].label == "4 gallery items match “flower 0\\-0”"
    cards = shown["rows"][0]["cards"]
    assert [card["row"] for card in cards] == [110, 111, 112, 113]
    assert {card["note"] for card in cards} == {"gallery"}
    shown.clear()
    app.selectbox(key="show").set_value("Failures").run()
    assert not shown  # a gallery item neither fails nor succeeds


def test_a_search_that_only_gallery_items_match_goes_to_the_first():
    app = open_page("retrieval", item="0")
    app.text_input(key="search").set_value("flower_0-0/3").run()
    assert app.query_params["item"] == "111"
    assert "There are no queries matching" in text_of(app)
    assert "1 gallery item matches" in app.expander[0].label
    linked = open_page("retrieval", search="flower_0-0/3")
    assert linked.query_params["item"] == "111"


@pytest.mark.parametrize("page", ["retrieval", "why"])
def test_the_list_counts_the_queries_that_the_head_counts(make_run, photos, monkeypatch, page):
    lone = photos["label"] == 0  # its gallery items become queries, which cannot be answered
    run = make_run("one", items=photos.assign(role=photos["role"].where(~lone, "query")))
    monkeypatch.setenv("RETRIEVAL_RUNS", str(run.path.parents[1]))
    said = "70 queries (6 more excluded: no relevant item in the gallery)"
    app = open_page(page, item="6")
    assert "70 queries" in app.caption[0].value
    assert f"This item is 1 of {said}." in text_of(app)
    unscored = text_of(open_page(page, item="5"))
    assert f"This item is excluded from the {said}." in unscored


def test_queries_that_count_as_misses_are_counted_in_the_list(make_run, photos, monkeypatch):
    lone = photos["label"] == 0
    run = make_run("one", items=photos.assign(role=photos["role"].where(~lone, "query")))
    metrics = json.loads((run.path / "metrics.json").read_text())
    for result in metrics["results"]:
        result["protocol"]["no_positive"] = "zero"
    (run.path / "metrics.json").write_text(json.dumps(metrics))
    monkeypatch.setenv("RETRIEVAL_RUNS", str(run.path.parents[1]))
    app = open_page("retrieval", item="6")
    assert "76 queries" in app.caption[0].value
    assert "This item is 7 of 76 queries." in text_of(app)
