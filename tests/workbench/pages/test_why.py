"""The page explains a result of the query, whatever was looked at before."""

from types import SimpleNamespace

import numpy as np
import pytest
import streamlit

from retrieval.errors import UserError
from retrieval.runs.run import Run
from tests.workbench.driver import open_page, press, text_of
from workbench.data import network
from workbench.data.lookup import answer
from workbench.data.network import Explanation
from workbench.pages.why import page as why
from workbench.session.parameters import ITEM, MATCH
from workbench.session.trail import TRAIL, go_to


@pytest.fixture
def run(runs_root, monkeypatch) -> Run:
    monkeypatch.setenv("RETRIEVAL_RUNS", str(runs_root))
    return Run(runs_root / "photos" / "lifted_loss-s0")


@pytest.fixture
def drawn(monkeypatch) -> dict:
    """What the galleries of the page hold: key -> description."""
    galleries: dict = {}
    for cards in ("image_cards", "clickable_cards"):
        monkeypatch.setattr(why, cards, lambda data, *, key, **_: galleries.update({key: data}))
    return galleries


def results(drawn: dict) -> list[dict]:
    return [card for card in drawn["why_results"]["groups"][0]["rows"][0]["cards"] if card]


def chosen(drawn: dict) -> list[int]:
    return [card["row"] for card in results(drawn) if card["kind"] == "chosen"]


def nearest(run: Run, row: int) -> int:
    return int(answer(run, "query_gallery", row, 5).ids[0])


def test_a_link_explains_the_result_it_names(run, drawn):
    other = int(answer(run, "query_gallery", 0, 5).ids[2])
    app = open_page("why", a=run.name, item="0", match=str(other))
    assert chosen(drawn) == [other]
    assert app.query_params["match"] == str(other)


@pytest.mark.parametrize("match", ["0", "-1", "99999", "x"])
def test_a_query_is_never_explained_with_itself_or_an_unknown_item(run, drawn, match):
    open_page("why", a=run.name, item="0", match=match)
    assert chosen(drawn) == [nearest(run, 0)]


def test_the_first_relevant_item_is_offered_however_low_its_rank(run, drawn):
    neighbors = run.neighbors()
    at = int(neighbors.first_relevant_rank.argmax())
    assert neighbors.first_relevant_rank[at] > 5
    row, right = int(neighbors.queries[at]), int(neighbors.first_relevant_item[at])
    open_page("why", a=run.name, k="5", item=str(row))
    last = results(drawn)[-1]
    assert (last["row"], last["mark"]) == (right, "hit")
    open_page("why", a=run.name, k="5", item=str(row), match=str(right))
    assert chosen(drawn) == [right]


def test_another_query_is_explained_with_its_own_nearest_item(run, drawn):
    old = int(answer(run, "query_gallery", 0, 5).ids[2])
    app = open_page("retrieval", a=run.name, item="0", match=str(old))
    press(app, "Next")
    press(app, "Why did this match?")
    assert app.title[0].value == "Why did this match?"
    assert app.query_params["item"] == "1"
    assert chosen(drawn) == [nearest(run, 1)]


def test_the_next_query_is_explained_with_its_own_nearest_item(run, drawn):
    other = int(answer(run, "query_gallery", 0, 5).ids[2])
    app = open_page("why", a=run.name, item="0", match=str(other))
    press(app, "Next")
    assert app.query_params["item"] == "1"
    assert chosen(drawn) == [nearest(run, 1)]
    assert app.query_params.get("match") is None
    press(app, "Previous")
    assert app.query_params["item"] == "0"
    assert chosen(drawn) == [nearest(run, 0)]


def test_the_page_steps_through_the_list_of_the_retrieval_page(run, drawn):
    app = open_page("retrieval", a=run.name, item="108", search="flower 0-0")
    press(app, "Why did this match?")
    press(app, "Next")
    assert app.query_params["item"] == "109"
    press(app, "Next")
    assert app.query_params["item"] == "108"


def test_going_to_an_item_forgets_the_match_and_staying_keeps_it(session):
    ITEM.set(3)
    MATCH.set(7)
    go_to(3)
    assert MATCH.get() == 7
    go_to(4)
    assert (ITEM.get(), MATCH.get(), TRAIL.get()) == (4, None, (3,))


@pytest.fixture
def explained(drawn, monkeypatch):
    """Networks that explain every match alike; change ``method`` or ``reason``."""
    parts = np.arange(16, dtype=np.float32).reshape(4, 4) / 150
    told = SimpleNamespace(method="exact", reason=None, html=[])

    def explain(run, first, second):
        if told.reason:
            raise UserError(told.reason)
        images = np.full((2, 8, 8, 3), 120, np.uint8)
        return Explanation(0.8, parts, parts.T, told.method, images)

    monkeypatch.setattr(network, "is_loaded", lambda: True)
    monkeypatch.setattr(network, "reason_without_network", lambda run: None)
    monkeypatch.setattr(network, "explain", explain)
    monkeypatch.setattr(streamlit, "html", told.html.append)
    return told


def scales(explained) -> list[str]:
    return [html for html in explained.html if "heat-scale" in html]


def test_heat_maps_have_a_scale_and_a_sentence_on_how_to_read_them(run, drawn, explained):
    text = text_of(open_page("why", a=run.name, item="0"))
    assert len(scales(explained)) == 2  # runs A and B
    assert "adds 12.5% of the similarity" in scales(explained)[0]
    assert "add up to the similarity" in text
    assert "the strongest quarter of the 4 × 4 positions holds 45% in the query" in text
    assert "25% would be an even spread" in text


@pytest.mark.parametrize(
    ("method", "words"),
    [("map gradient", "at its last feature map"), ("token gradient", "a class token stands for")],
)
def test_an_approximate_explanation_says_so_and_gives_no_shares(
    run, drawn, explained, method, words
):
    explained.method = method
    text = text_of(open_page("why", a=run.name, item="0"))
    assert words in text
    assert "activation times gradient" in text
    assert "Exact:" not in text
    assert "% of the similarity" not in scales(explained)[0]


def test_the_switch_turns_the_heat_map_off_and_the_url_holds_it(run, drawn, explained):
    app = open_page("why", a=run.name, item="0")
    hot = [card["src"] for card in drawn["why_A"]["rows"][0]["cards"]]
    app.toggle(key="heat").set_value(False).run()
    assert app.query_params["heat"] == "False"
    cold = [card["src"] for card in drawn["why_A"]["rows"][0]["cards"]]
    assert not set(hot) & set(cold)
    assert app.slider(key="opacity").disabled
    explained.html.clear()
    open_page("why", a=run.name, item="0", heat="False")
    assert [card["src"] for card in drawn["why_A"]["rows"][0]["cards"]] == cold
    assert not scales(explained)
    open_page("why", a=run.name, item="0", opacity="20")
    assert drawn["why_A"]["rows"][0]["cards"][0]["src"] not in (*hot, *cold)


@pytest.mark.parametrize("opacity", ["0", "x"])
def test_an_invalid_opacity_falls_back_to_the_default(run, drawn, explained, opacity):
    app = open_page("why", a=run.name, item="0", opacity=opacity)
    assert app.slider(key="opacity").value == 80


def test_a_match_that_cannot_be_explained_gives_one_line(run, drawn, explained):
    explained.reason = "the checkpoint does not fit"
    app = open_page("why", a=run.name, item="0", b="none")
    assert [info.value for info in app.info] == ["the checkpoint does not fit"]


def test_the_chosen_result_says_so_in_words(run, drawn, explained):
    open_page("why", a=run.name, item="0")
    assert [c["note"] for c in results(drawn) if c["kind"] == "chosen"] == ["explained"]


def test_runs_without_a_network_say_so_at_once(run, drawn):
    app = open_page("why", a=run.name, item="0", b="none")
    assert len(app.info) == 1
    assert "has no checkpoint" in app.info[0].value
    assert "Show what they have in common" not in [button.label for button in app.button]
    assert not app.toggle
