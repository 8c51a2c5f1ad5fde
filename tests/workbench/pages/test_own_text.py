"""Searching with a text of the user; a fake takes the place of the network."""

import numpy as np
import pytest
import streamlit

from retrieval.errors import UserError
from retrieval.runs.run import Run
from tests.workbench.driver import open_page, press, text_of, trail_of
from workbench.data import network
from workbench.pages.retrieval import own_text
from workbench.session.clicks import Pick


@pytest.fixture
def run(semi_hard) -> Run:
    return semi_hard


@pytest.fixture
def asked(run, monkeypatch) -> list[str]:
    """The texts that were embedded; every one gets the embedding of item 8."""
    texts = []

    def embed(run, text):
        texts.append(text)
        if text == "broken":
            raise UserError("its text tower does not load")
        return network.EmbeddedText(run.embeddings[8], ("cut to 77 tokens",))

    monkeypatch.setattr(network, "reason_without_text", lambda run: None)
    monkeypatch.setattr(network, "embed_text", embed)
    return texts


@pytest.fixture
def shown(monkeypatch) -> list[list[dict]]:
    """The rows that the gallery was given; its first result is a button."""
    drawn = []

    def cards(data, *, key, on_pick):
        drawn.append(data["rows"])
        if drawn[-1][0]["cards"]:
            row = drawn[-1][0]["cards"][0]["row"]
            streamlit.button("First result", on_click=on_pick, args=(Pick(row),))

    monkeypatch.setattr(own_text, "clickable_cards", cards)
    return drawn


def test_a_text_of_the_url_is_searched_with_and_its_results_are_cards(run, asked, shown):
    app = open_page("retrieval", source="Text", text="red shoes", a=run.name, b="none", k="5")
    assert not app.exception
    assert app.text_input(key="text").value == "red shoes"
    assert app.query_params["text"] == "red shoes"
    assert asked == ["red shoes"]
    (row,) = shown[-1]
    items = run.items
    vectors = run.embeddings.astype(np.float64)
    near = [(float(vectors[i] @ vectors[8]), -i) for i in range(len(items))]
    gallery = [i for i in range(len(items)) if items["role"][i] != "query"]
    expected = sorted(gallery, key=lambda i: near[i], reverse=True)[:5]
    assert [card["row"] for card in row["cards"]] == expected
    first = row["cards"][0]
    assert first["label"] == items["label_name"][expected[0]]
    assert first["rank"] == 1
    assert first["score"]
    assert "cut to 77 tokens" in text_of(app)


def test_back_returns_to_the_text_and_another_text_replaces_it(run, asked, shown):
    app = open_page("retrieval", source="Text", item="3", a=run.name, b="none")
    assert not shown
    app.text_input(key="text").set_value("red shoes").run()
    press(app, "First result")
    assert "source" not in app.query_params
    assert "text" not in app.query_params
    assert trail_of(app) == ["Text"]
    press(app, "Back")
    assert app.text_input(key="text").value == "red shoes"
    assert app.query_params["text"] == "red shoes"
    assert shown[-1] == shown[0]
    app.text_input(key="text").set_value("blue").run()
    assert asked[-1] == "blue"
    app.text_input(key="text").set_value("broken").run()
    assert shown[-1][0]["empty"] == "its text tower does not load"
    assert not app.exception


def test_without_a_text_tower_there_is_no_such_choice(run):
    assert "efficientnet_lite0 has no text tower" in network.reason_without_text(run)
    app = open_page("retrieval", source="Text", text="red", a=run.name, b="none")
    assert not app.exception
    assert app.segmented_control(key="source").options == ["From the data set", "Your own image"]
    assert app.segmented_control(key="source").value == "From the data set"
