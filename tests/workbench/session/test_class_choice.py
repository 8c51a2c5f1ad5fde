"""The pair of classes and the class that are open on a page, and in its URL."""

import numpy as np
import pandas as pd
import pytest
import streamlit

from retrieval.runs.run import Run
from tests.workbench.driver import go, open_page, parameters_of, text_of
from workbench.analysis import comparison, failures
from workbench.pages.compare import queries as compare_queries
from workbench.pages.failures import tabs as failure_tabs
from workbench.session.class_choice import open_clicked_class
from workbench.session.parameters import CLASS

A = "lifted_loss-s0"
PAIRS, CLASSES = "Confused classes", "Worst classes"


@pytest.fixture
def shown(runs_root, monkeypatch) -> dict:
    """What the tab last drew: key of the cards -> description; ``table`` -> its options."""
    given: dict = {}
    draw = streamlit.dataframe
    monkeypatch.setenv("RETRIEVAL_RUNS", str(runs_root))
    monkeypatch.setattr(
        failure_tabs, "clickable_cards", lambda data, *, key, on_pick: given.update({key: data})
    )

    def dataframe(data, **options):
        given["table"] = options
        return draw(data, **options)

    monkeypatch.setattr(streamlit, "dataframe", dataframe)
    return given


@pytest.fixture
def table(runs_root):
    run = Run(runs_root / "photos" / A)
    labels = run.items["label"].to_numpy()
    return failures.query_table(run.neighbors("query_gallery"), labels), labels


def names_of(runs_root) -> dict[int, str]:
    items = Run(runs_root / "photos" / A).items
    return dict(zip(items["label"], items["label_name"], strict=True))


def rows_selected(app, shown: dict) -> list[int]:
    return app.session_state[shown["table"]["key"]]["selection"]["rows"]


def test_a_link_opens_its_pair_of_classes_and_selects_its_row(shown, table, runs_root):
    pair, names = failures.confused_pairs(*table).iloc[4], names_of(runs_root)
    app = open_page("failures", tab=PAIRS, a=A, pair=f"{pair['b']}-{pair['a']}")
    titles = [line["title"] for line in shown["pair_images"]["rows"]]
    a, b = names[pair["a"]], names[pair["b"]]
    assert titles == [f"{b} mistaken for {a}", f"{a} mistaken for {b}"]
    assert rows_selected(app, shown) == [4]
    assert app.query_params["pair"] == f"{pair['b']}-{pair['a']}"


def test_a_link_opens_its_class_and_selects_its_row(shown, table):
    label = int(failures.class_table(table[0])["label"][3])
    app = open_page("failures", tab=CLASSES, a=A, **{"class": str(label)})
    leads = [group["lead"]["row"] for group in shown["class_failures"]["groups"]]
    assert {int(table[1][row]) for row in leads} == {label}
    assert rows_selected(app, shown) == [3]


def test_back_reopens_the_pair_before_and_its_row(shown, table):
    pairs = failures.confused_pairs(*table)
    one, other = (f"{pairs['a'][at]}-{pairs['b'][at]}" for at in (2, 5))
    app = open_page("failures", tab=PAIRS, a=A)
    first = parameters_of(app)
    assert "pair" not in first
    for pair, at in ((one, 2), (other, 5), (one, 2)):
        go(app, first | {"pair": pair})
        assert rows_selected(app, shown) == [at]
    go(app, first)
    assert rows_selected(app, shown) == [0]
    assert parameters_of(app) == first


@pytest.mark.parametrize(
    ("tab", "wrong"),
    [
        (PAIRS, {"pair": "0-0"}),
        (PAIRS, {"pair": "x"}),
        (PAIRS, {"pair": "1-2-3"}),
        (CLASSES, {"class": "99999"}),
        (CLASSES, {"class": "x"}),
    ],
)
def test_an_unknown_pair_or_class_opens_the_first_row(shown, tab, wrong):
    app = open_page("failures", tab=tab, a=A, **wrong)
    assert rows_selected(app, shown) == [0]
    assert not set(wrong) & set(app.query_params)


def test_the_same_pair_is_open_under_another_run(shown, table):
    pairs = failures.confused_pairs(*table)
    text = f"{pairs['a'][1]}-{pairs['b'][1]}"
    app = open_page("failures", tab=PAIRS, a=A, pair=text)
    app.segmented_control(key="protocol").set_value("leave_one_out").run()
    assert not app.exception
    assert app.query_params["pair"] == text


def test_a_link_opens_its_class_of_the_comparison_and_a_click_is_in_the_link(
    runs_root, monkeypatch
):
    groups: dict = {}
    monkeypatch.setenv("RETRIEVAL_RUNS", str(runs_root))
    monkeypatch.setattr(
        compare_queries, "clickable_cards", lambda data, *, key, on_pick: groups.update({key: data})
    )
    a, b = (Run(runs_root / "photos" / name) for name in (A, "semi_hard_triplet-s0"))
    labels = a.items["label"].to_numpy()
    pair = (run.neighbors("query_gallery") for run in (a, b))
    classes = comparison.class_recalls(comparison.compare_queries(*pair, labels))
    widest = int(classes["delta"].abs().argmax())
    at = int(np.flatnonzero((classes["delta"] != 0) & (classes.index != widest))[0])

    def shown() -> set[int]:
        return {int(labels[group["lead"]["row"]]) for group in groups["class_images"]["groups"]}

    label = int(classes["label"][at])
    link = {"compared": "Classes", "a": A, "b": b.name}
    app = open_page("compare", **link)
    assert shown() == {int(classes["label"][widest])}
    assert "class" not in app.query_params
    assert f"of {len(classes)} classes" in text_of(app)
    app = open_page("compare", **link, **{"class": str(label)})
    assert shown() == {label}
    assert app.query_params["class"] == str(label)


def test_a_clicked_bar_opens_its_class(session):
    classes = pd.DataFrame({"label": [4, 7, 9]})
    session["bars"] = {"selection": {"points": [{"customdata": [2]}]}}
    open_clicked_class("bars", classes, first=1)
    assert CLASS.get() == 9
    session["bars"] = {"selection": {"points": [{"customdata": 1}]}}
    open_clicked_class("bars", classes, first=1)
    assert CLASS.get() is None  # the first one needs no link
