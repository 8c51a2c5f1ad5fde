"""Which of an item's own columns are shown beside its picture."""

import numpy as np
import pytest

import retrieval
from workbench.analysis.metadata import (
    facts,
    picture_address,
    shown_columns,
    suggested_columns,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    items = {
        "page": ["https://www.shop.example/1"] * 4,
        "image_url": ["https://cdn.example/1", "javascript:alert(1)", None, "https://a.b/c"],
        "note": ["<b>x</b>", "y", "z", "w"],
        "price": [1.5, 2.25, 3.0, np.nan],
        "same": [1, 1, 1, 1],
    }
    path = retrieval.import_run(
        np.eye(4), items, runs=tmp_path_factory.mktemp("runs"), progress=False
    )
    return retrieval.open_run(path)


def test_facts_of_an_item(run):
    assert facts(run, 0, ["price", "page", "nothing", "note"]) == [
        {"name": "price", "text": "1.50", "url": ""},
        {"name": "page", "text": "shop.example", "url": "https://www.shop.example/1"},
        {"name": "note", "text": "<b>x</b>", "url": ""},
    ]


def test_columns_that_tell_items_apart_are_suggested(run):
    assert shown_columns(run) == ["page", "image_url", "note", "price", "same"]
    assert suggested_columns(run) == ["price", "image_url"]


def suggestion(tmp_path, labels, **columns):
    """Import items of some classes with some columns, and return what is shown below each."""
    vectors = np.eye(len(labels))
    path = retrieval.import_run(
        vectors, {"label": labels, **columns}, runs=tmp_path, progress=False
    )
    return suggested_columns(retrieval.open_run(path))


CLASSES = ["Red-Apple", "Red-Apple", "Soy_Milk", "Soy_Milk"]


def test_the_price_is_shown_before_columns_that_repeat_the_class(tmp_path):
    assert suggestion(
        tmp_path, CLASSES,
        sku=CLASSES, name=["red apple", "Red Apple", "Soy Milk", None], stock=[4, 1, 3, 2],
        price=[1.5, 2.0, 3.0, 3.5],
    ) == ["price", "stock"]  # fmt: skip


@pytest.mark.parametrize("name", ["price", "Verkaufspreis", "unitPrice", "Cost (EUR)", "PRIX"])
def test_a_price_of_each_class_or_as_a_text_is_shown(tmp_path, name):
    prices = ["1,50 €", "1,50 €", "2 €", "2 €"]
    columns = {"shelf": [1.0, 2.0, 3.0, 4.0], "note": list("abca"), name: prices}
    assert suggestion(tmp_path, CLASSES, **columns) == [name, "shelf"]


def test_a_name_of_the_class_and_the_number_of_an_item_come_last(tmp_path):
    columns = {
        "title": ["Gala", "Gala", "Soy", "Soy"], "item_id": [7, 8, 9, 10], "note": list("abca"),
        "weight": [1.0, 1.5, 2.0, 2.5],
    }  # fmt: skip
    assert suggestion(tmp_path, CLASSES, **columns) == ["weight", "note"]
    del columns["weight"], columns["note"]
    assert suggestion(tmp_path / "b", CLASSES, **columns) == ["title", "item_id"]


def test_a_picture_elsewhere_is_that_of_a_column_of_images(run):
    assert [picture_address(run, row) for row in range(4)] == [
        "https://cdn.example/1", "", "", "https://a.b/c"
    ]  # fmt: skip
