"""How an item's own columns are written wherever they are shown, and which values are links."""

import numpy as np
import pandas as pd
import pytest

from retrieval.runs.item_facts import Fact, fact, json_value, style_of, value_text, web_address


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([9.5, 12.25, np.nan], ["9.50", "12.25", "–"]),
        ([1.0, 2.0], ["1", "2"]),
        ([0.123456, 1.0], ["0.1235", "1"]),
        (pd.array([1, None], dtype="Int64"), ["1", "–"]),
        ([True, False], ["yes", "no"]),
        (pd.to_datetime(["2024-02-29", None]), ["2024-02-29", "–"]),
        (pd.to_datetime(["2024-02-29 12:30", "2024-02-29 00:00"]),
         ["2024-02-29 12:30", "2024-02-29 00:00"]),
        (pd.Categorical(["A", None]), ["A", "–"]),
        (["a\n b", None, "x" * 200], ["a b", "–", "x" * 79 + "…"]),
    ],
)  # fmt: skip
def test_values_are_written_for_people(values, texts):
    column = pd.Series(values, name="c")
    assert [value_text(column.iloc[row], style_of(column)) for row in range(len(column))] == texts


@pytest.mark.parametrize(
    "value",
    [
        "javascript:alert(1)", "JAVASCRIPT:alert(1)", " https://a.b", "https://",
        "data:text/html,x", "file:///etc/passwd", "//a.b/c", "https://a.b/\n", 'https://a.b/"x', "https://[",
        "a.jpg", 3, None, "vbscript:x", "https://a.b/<x>", "http:/a",
    ],
)  # fmt: skip
def test_what_is_no_web_address_is_no_link(value):
    assert web_address(value) == ""


def test_web_addresses_are_links_by_their_host():
    assert web_address("http://a.b/c?d=e#f") == "http://a.b/c?d=e#f"


def test_a_web_address_is_shown_by_its_host():
    assert fact("url", "https://www.shop.example/1", style_of(pd.Series(["x"]))) == Fact(
        "url", "shop.example", "https://www.shop.example/1"
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pd.to_datetime(["2024-12-12", None]), ["2024-12-12", None]),
        (pd.to_datetime(["2024-12-12 08:30", "2024-12-13 00:00"]),
         ["2024-12-12T08:30:00", "2024-12-13T00:00:00"]),
        ([2.7, np.nan], [2.7, None]),
        (pd.array([3, None], dtype="Int64"), [3, None]),
        ([True, False], [True, False]),
        (["a", None], ["a", None]),
    ],
)  # fmt: skip
def test_programs_get_days_without_hours_and_numbers_as_numbers(values, expected):
    column = pd.Series(values, name="c")
    found = [json_value(value, style_of(column)) for value in column.astype(object)]
    assert found == expected
