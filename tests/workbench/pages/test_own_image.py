"""Searching with an image of the user; a fake takes the place of the network."""

from pathlib import Path

import pytest
import streamlit
from streamlit.testing.v1 import AppTest

from retrieval.runs.run import Run
from tests.workbench.driver import go, open_page, parameters_of, press, trail_of
from workbench.data import network
from workbench.pages.retrieval import own_image
from workbench.session.clicks import Pick


@pytest.fixture
def run(semi_hard) -> Run:
    return semi_hard


@pytest.fixture
def embedded(run, monkeypatch) -> list[str]:
    """Runs whose network was used; every image gets the embedding of item 8."""
    used = []

    def embed(run, image):
        used.append(run.name)
        return run.embeddings[8]

    monkeypatch.setattr(network, "reason_without_network", lambda run: None)
    monkeypatch.setattr(network, "embed_image", embed)
    return used


@pytest.fixture
def shown(monkeypatch) -> list[dict]:
    """What the gallery was given; its first result is a button."""
    drawn = []

    def cards(data, *, key, on_pick):
        drawn.append(data["groups"][0])
        row = drawn[-1]["rows"][0]["cards"][0]["row"]
        streamlit.button("First result", on_click=on_pick, args=(Pick(row),))

    monkeypatch.setattr(own_image, "clickable_cards", cards)
    return drawn


@pytest.fixture
def app(run, embedded, shown, photo_root) -> AppTest:
    """The page after a path was given, with item 3 looked at before."""
    app = open_page("retrieval", source="Your own image", item="3", a=run.name, b="none")
    file = str(photo_root / run.items["path"][8])
    app.text_input(key="upload_path").set_value(file).run()
    assert not app.exception
    return app


def test_back_returns_to_the_results(app, run, embedded, shown):
    first = shown[-1]
    press(app, "First result")
    assert app.query_params["item"] == "8"
    assert "source" not in app.query_params
    press(app, "Back")
    assert app.segmented_control(key="source").value == "Your own image"
    assert shown[-1] == first
    assert first["lead"]["lines"] == [Path(run.items["path"][8]).name, "160 × 160 px"]
    assert embedded == [run.name]  # its neighbors were kept


def test_the_browsers_back_returns_to_the_results(app, shown):
    first, link = shown[-1], parameters_of(app)
    press(app, "First result")
    press(app, "Next")
    assert trail_of(app) == ["Your own image", 8]
    go(app, link | {"item": "8", "source": "From the data set"})
    go(app, link)
    assert shown[-1] == first
    assert trail_of(app) == []


def test_a_second_image_replaces_the_first(app, shown):
    n = len(shown)
    app.text_input(key="upload_path").set_value("/nowhere.jpg").run()
    assert "no such file" in app.error[0].value
    assert len(shown) == n
    app.text_input(key="upload_path").set_value("").run()
    assert not app.error
    assert len(shown) == n
