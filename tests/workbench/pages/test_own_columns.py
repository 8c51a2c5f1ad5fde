"""The price is beside each result: own columns below every image; and runs without labels."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import retrieval
from retrieval.errors import UserError
from retrieval.evaluation.caveats import WITHOUT_LABELS
from retrieval.runs.compression import FILE, write_compression
from tests.workbench.driver import open_page, parameters_of, text_of
from workbench.data.images import hover_card
from workbench.notebook.results import results_table
from workbench.pages import PAGES
from workbench.session.parameters import COLUMNS

N = 30


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two data sets: a labeled shop whose items have prices, and one without labels."""
    folder = tmp_path_factory.mktemp("own")
    rng = np.random.default_rng(0)
    for n in range(N):
        Image.new("RGB", (12, 12), (8 * n, 0, 0)).save(folder / f"{n}.png")
    items = pd.DataFrame(
        {
            "path": [f"{n}.png" for n in range(N)],
            "label": [f"shoe {n // 3}" for n in range(N)],
            "price": [10 + n + 0.99 for n in range(N)],
            "brand": [f"<i>{'ab'[n % 2]}</i>" for n in range(N)],
            "image_url": [f"https://shop.example/{n}.jpg" for n in range(N)],
        }
    )
    vectors = rng.standard_normal((N, 8))
    options = {"images": folder, "runs": folder / "runs", "progress": False}
    retrieval.import_run(vectors, items, dataset="shop", name="one", **options)
    retrieval.import_run(-vectors, items, dataset="shop", name="two", **options)
    bare = items.drop(columns="label")
    retrieval.import_run(vectors, bare, dataset="unlabeled", name="one", **options)
    retrieval.import_run(vectors[:, :4], bare, dataset="unlabeled", name="half", **options)
    retrieval.import_run(vectors, bare, dataset="mixed", name="bare", **options)
    retrieval.import_run(vectors, items, dataset="mixed", name="labeled", **options)
    return folder / "runs"


@pytest.fixture(autouse=True)
def _shown(root, monkeypatch):
    monkeypatch.setenv("RETRIEVAL_RUNS", str(root))


def cards_of(app) -> list[dict]:
    """Return the cards of a page, of all its galleries."""
    found: list[dict] = []

    def walk(part):
        if isinstance(part, list):
            for each in part:
                walk(each)
        elif isinstance(part, dict):
            if "src" in part and "row" in part:
                found.append(part)
            for each in part.values():
                walk(each)

    for element in app.get("bidi_component"):
        if element.proto.component_name == "retrieval_cards":
            walk(json.loads(element.proto.json))
    return found


def told(card) -> dict[str, str]:
    return {fact["name"]: fact["text"] for fact in card.get("facts", [])}


def test_the_price_is_below_each_result_and_all_columns_below_the_query():
    cards = cards_of(open_page("retrieval", data="shop", item="4"))
    query, *results = cards
    assert told(query) == {"price": "14.99", "brand": "<i>a</i>", "image_url": "shop.example"}
    assert len(results) >= 10
    for card in results:
        assert told(card)["price"] == f"{10.99 + card['row']:.2f}"
        assert set(told(card)) == {"price", "brand"}


@pytest.mark.parametrize("page", ["failures", "compare", "why"])
def test_other_pages_show_them_too(page):
    cards = [c for c in cards_of(open_page(page, data="shop")) if "facts" in c]
    assert all(told(card)["price"] == f"{10.99 + card['row']:.2f}" for card in cards)
    assert cards or page != "failures"


def test_the_columns_are_chosen_in_the_sidebar_and_kept_in_the_url():
    app = open_page("retrieval", data="shop", columns="['image_url', 'nothing']")
    cards = cards_of(app)
    assert cards[1]["facts"] == [
        {"name": "image_url", "text": "shop.example",
         "url": f"https://shop.example/{cards[1]['row']}.jpg"}
    ]  # fmt: skip
    app.multiselect(key=COLUMNS.key).set_value(["brand"]).run()
    assert not app.exception
    assert set(told(cards_of(app)[1])) == {"brand"}
    assert parameters_of(app)["columns"] == "['brand']"
    app.multiselect(key=COLUMNS.key).set_value([]).run()
    assert not told(cards_of(app)[1])
    assert not open_page("retrieval", data="shop", columns="__import__('os')").exception


def test_a_hover_card_has_the_first_columns(root):
    run = retrieval.open_run(root / "shop" / "one")
    assert hover_card(run, "leave_one_out", 2)["facts"] == ["price 12.99", "brand <i>a</i>"]


@pytest.mark.parametrize("data", ["unlabeled", "mixed"])
@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens_without_labels_and_says_which_figures_there_are_not(page, data):
    app = open_page(page, data=data, a="one" if data == "unlabeled" else "bare")
    text = text_of(app).replace("\\", "")
    if page not in ("compare",):
        assert f"⚠ T{WITHOUT_LABELS[1:]}" in text  # a sentence begins with a capital letter


def test_the_overview_offers_nothing_that_needs_labels_where_there_are_none():
    app = open_page("overview", data="unlabeled")
    assert [button.label for button in app.button][:2] == ["See neighbors", "Explore the map"]
    assert "Scale:" not in text_of(app)
    assert "±" not in text_of(app)
    assert "Metric" not in [box.label for box in app.selectbox]
    labeled = open_page("overview", data="shop")
    assert "See failures" in [button.label for button in labeled.button]
    assert "Metric" in [box.label for box in labeled.selectbox]


@pytest.mark.parametrize(("a", "b"), [("labeled", "bare"), ("bare", "labeled")])
def test_a_run_without_labels_beside_a_labeled_one_says_why_it_has_no_figures(a, b):
    (warning,) = open_page("compare", data="mixed", a=a, b=b).warning
    assert "bare has no labels, so it has no figures to compare with those of l" in warning.value
    overview = text_of(open_page("overview", data="mixed", a=a))
    assert ("no labels, so no figures" if a == "labeled" else "which the other") in overview


def test_without_labels_no_result_is_right_or_wrong():
    app = open_page("retrieval", data="unlabeled")
    assert {card["mark"] for card in cards_of(app)} == {"none"}
    assert "none is right or wrong" in text_of(app)
    app = open_page("failures", data="unlabeled")
    assert {card["mark"] for card in cards_of(app)} == {"none"}
    assert [button.label for button in app.get("download_button")] == []


def test_near_duplicates_need_no_labels():
    app = open_page("failures", data="unlabeled", tab="Near-duplicates")
    assert {card["mark"] for card in cards_of(app)} == {"none"}
    assert "classes" not in next(c.value for c in app.caption if "most similar pairs" in c.value)


def test_a_notebook_reads_runs_without_labels(root, capsys):
    table = results_table({"bare": retrieval.open_run(root / "unlabeled" / "one")})
    assert len(table) == 1


def test_two_runs_without_labels_are_compared_by_their_neighbors(root):
    link = {"data": "unlabeled", "a": "one", "b": "half", "k": "5"}
    app = open_page("compare", **link)
    assert not app.exception
    assert [tab.label for tab in app.tabs] == ["Neighbor overlap", "Two maps"]
    whole = retrieval.open_run(root / "unlabeled" / "one").embeddings.astype(np.float64)
    half = whole[:, :4]
    shared = 0
    for query in range(N):
        near = []
        for rows in (whole, half):
            unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
            order = np.argsort(-(unit @ unit[query]), kind="stable")
            near.append(set(order[order != query][:5]))
        shared += len(near[0] & near[1])
    percent = f"share {100 * shared / (5 * N):.0f}% of their items"
    assert percent in text_of(app)
    assert {card["mark"] for card in cards_of(app)} == {"none"}
    assert "right" not in text_of(app)
    maps = open_page("compare", compared="Two maps", item="3", **link)
    assert not maps.exception
    assert {card["mark"] for card in cards_of(maps)} == {"none"}


def test_smaller_forms_of_items_without_labels_have_nothing_to_compare(root):
    why = f"nothing to compare: {WITHOUT_LABELS}"
    app = open_page("bytes", data="unlabeled", a="one")
    assert why in text_of(app).replace("\\", "")
    assert not app.code
    with pytest.raises(UserError, match=f"one: {re.escape(why)}"):
        write_compression(root / "unlabeled" / "one", progress=False)
    assert not (root / "unlabeled" / "one" / FILE).exists()
