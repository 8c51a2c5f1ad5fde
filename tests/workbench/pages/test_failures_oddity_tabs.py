"""The tabs about hubs and near-duplicates say what was searched and what their signs mean."""

from types import SimpleNamespace

import numpy as np
import pytest

from retrieval.runs.run import Neighbors
from tests.workbench.driver import open_page, text_of
from tests.workbench.run_factory import write_run
from workbench.pages.failures import oddity_tabs


@pytest.fixture
def drawn(monkeypatch) -> dict:
    """What the galleries of the tabs hold: key -> description."""
    galleries = {}
    monkeypatch.setattr(
        oddity_tabs, "clickable_cards", lambda data, *, key, **_: galleries.update({key: data})
    )
    return galleries


@pytest.fixture
def twins(tmp_path, photos, photo_root, vectors, monkeypatch):
    """A run where two gallery items of one class, and two of different classes, are the same."""
    items, vectors = photos, vectors.copy()
    rows = np.flatnonzero(items["role"] == "gallery")
    same = [int(rows[0]), int(rows[1])]
    other = [int(rows[8]), int(rows[40])]
    assert items["label"][same[0]] == items["label"][same[1]]
    assert items["label"][other[0]] != items["label"][other[1]]
    for a, b in (same, other):
        vectors[b] = vectors[a]
    write_run(tmp_path / "made" / "one", items, vectors, photo_root)
    monkeypatch.setenv("RETRIEVAL_RUNS", str(tmp_path))
    return SimpleNamespace(
        same=same, other=other, vectors=vectors, labels=items["label"].to_numpy()
    )


def listed(drawn: dict) -> list[list[int]]:
    return [sorted(c["row"] for c in pair) for pair in drawn["duplicates"]["rows"][0]["cards"]]


def test_near_duplicates_within_the_gallery_are_found(twins, drawn):
    same, other = twins.same, twins.other
    text = text_of(open_page("failures", tab="Near-duplicates"))
    assert sorted(listed(drawn)[:2]) == sorted([same, other])
    assert "All pairs of the 216 items" in text
    unit = twins.vectors / np.linalg.norm(twins.vectors, axis=1, keepdims=True)
    nearest = (unit @ unit.T - 2 * np.eye(len(unit))).max(1)
    assert f"{(nearest >= 0.9999).sum()} items have the same embedding as another item" in text
    marks = {tuple(sorted(c["row"] for c in pair)): pair[1]["mark"]
             for pair in drawn["duplicates"]["rows"][0]["cards"]}  # fmt: skip
    assert marks[tuple(same)] == "none"
    assert marks[tuple(other)] == "miss"
    assert drawn["duplicates"]["rows"][0]["cards"][0][0]["score"] == "1.0000 gallery"


@pytest.mark.parametrize(("pairs", "at"), [("Same class", "same"), ("Different classes", "other")])
def test_the_url_holds_which_pairs_are_listed(twins, drawn, pairs, at):
    app = open_page("failures", tab="Near-duplicates", pairs=pairs)
    assert getattr(twins, at) in listed(drawn)[:1]
    labels = twins.labels
    assert {labels[a] == labels[b] for a, b in listed(drawn)} == {at == "same"}
    assert app.query_params["pairs"] == pairs


def test_the_sign_of_a_hub_is_explained(runs_root, drawn, monkeypatch):
    monkeypatch.setenv("RETRIEVAL_RUNS", str(runs_root))
    text = text_of(open_page("failures", tab="Hubs and anti-hubs", a="lifted_loss-s0"))
    assert "✗ marks a hub" in text
    for card in drawn["hubs"]["rows"][0]["cards"]:
        count = int(card["rank"].rstrip("×"))
        wrong = int(card["note"].removeprefix("wrong in "))
        assert (card["mark"] == "miss") == (wrong > count / 2)


def test_the_tab_says_which_pairs_were_not_searched():
    found = Neighbors("query_gallery", *(np.zeros((7, 1), int) for _ in range(5)))
    said = oddity_tabs.searched_pairs(found, 20)
    assert "Pairs within the gallery were not" in said
