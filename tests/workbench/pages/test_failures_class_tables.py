"""Tables of classes: every column is visible, and long names end with an ellipsis."""

import numpy as np
import pandas as pd
import pytest
import streamlit

from tests.workbench.driver import open_page, text_of
from workbench.pages.failures import class_tables
from workbench.pages.failures.class_tables import ROWS_SHOWN, cell_names, class_frame, pair_frame

PLACE = 459  # pixels: 6 of 13 parts of a page in a window of 1440
SELECTION_COLUMN = 33

pytestmark = pytest.mark.usefixtures("served")


@pytest.mark.parametrize("tab", ["Confused classes", "Worst classes"])
def test_every_column_is_seen_at_1440_pixels(tab, monkeypatch):
    tables = []
    draw = streamlit.dataframe

    def dataframe(data, **options):
        tables.append((list(data), options["column_config"]))
        return draw(data, **options)

    monkeypatch.setattr(streamlit, "dataframe", dataframe)
    open_page("failures", tab=tab)
    columns, shown = tables[0]
    assert set(shown) == set(columns)  # each has a width of its own
    assert SELECTION_COLUMN + sum(shown[column]["width"] for column in columns) <= PLACE


def test_long_names_get_an_ellipsis_and_stay_distinct():
    long = "Tropicana Golden Grapefruit"
    found = cell_names({"Lime", long, long + " II", "<b>", "ל" * 300})
    assert found["Lime"] == "Lime"
    assert found["<b>"] == "<b>"
    assert found["ל" * 300].endswith("ל…")
    assert len(set(found.values())) == len(found)
    assert max(map(len, found.values())) <= 23  # as many capitals fit into a cell
    assert found[long + " II"] == "Tropicana G…apefruit II"


def test_the_export_has_whole_names_and_intervals():
    names = {0: "Tropicana Golden Grapefruit Juice", 1: "Lime"}
    classes = pd.DataFrame(
        {"label": [0, 1], "queries": [4, 8], "recall": [0, 1], "low": [0, 0.67], "high": [0.49, 1]}
    )
    frame = class_frame(classes, names)
    assert frame["Class"].tolist() == list(names.values())
    assert list(frame) == ["Class", "R@1, %", "95% from", "to", "Queries"]
    pairs = pd.DataFrame({"a": [0], "b": [1], "a_as_b": [3], "b_as_a": [2], "count": [5]})
    assert pair_frame(pairs, names).to_numpy().tolist() == [[names[0], 3, 2, "Lime"]]


def test_thousands_of_classes_are_named_in_bounded_time(monkeypatch):
    shown = []
    monkeypatch.setattr(streamlit, "caption", shown.append)
    monkeypatch.setattr(
        streamlit, "dataframe", lambda data, **_: shown.append(data) or {"selection": {"rows": []}}
    )
    n = 11_000
    classes = pd.DataFrame({"label": np.arange(n), "queries": 5, "recall": 0, "low": 0, "high": 0})
    names = {i: f"a product with a number behind its name {i}" for i in range(n)}
    class_tables.class_table(classes, names, "classes", 0, lambda at: None)
    assert len(shown[0]) == ROWS_SHOWN
    assert "1,000 worst of 11,000" in shown[1]


def test_the_worst_class_says_what_it_is_mistaken_for():
    text = text_of(open_page("failures", tab="Worst classes", a="lifted_loss-s0"))
    assert "queries are wrong at rank 1, most often mistaken for" in text


@pytest.mark.parametrize("tab", ["Confused classes", "Worst classes"])
def test_a_selection_does_not_outlive_its_run_protocol_or_row(make_run, monkeypatch, tab):
    monkeypatch.setenv("RETRIEVAL_RUNS", str(make_run("one").path.parents[1]))
    make_run("two", loss="contrastive_loss")
    keys = []

    def dataframe(*args, key: str, **options) -> dict:
        keys.append(key)
        return {"selection": {"rows": [10_000]}}  # selected when the table was longer

    monkeypatch.setattr(streamlit, "dataframe", dataframe)
    open_page("failures", tab=tab, a="one")
    open_page("failures", tab=tab, a="two")
    open_page("failures", tab=tab, a="two", protocol="leave_one_out")
    assert len(set(keys)) == 3
