"""The sentence at the top of the Failures page, for the retrieval of ``small.py``."""

from tests.workbench.run_factory import NAMES
from tests.workbench.small import LABELS, neighbors
from workbench.analysis.failures import query_table
from workbench.pages.failures.headline import headline

ISOLATES = str.maketrans("", "", "\u2068\u2069")


def said(names: dict[int, str], **columns: object) -> str:
    table = query_table(neighbors(), LABELS).assign(**columns)
    return headline(table, LABELS, names).translate(ISOLATES)


def test_the_headline_names_the_most_confused_pair_and_the_worst_class():
    assert said({0: "kiwi", 1: "lime", 2: "fig"}) == (
        "**2 of 5** queries (40.0%) are wrong at rank 1. Most confused: **kiwi** and **lime** "
        "(2 queries). Worst class: **kiwi** (1 of 2 right)."
    )


def test_pairs_that_are_confused_as_often_are_counted():
    names = {0: "kiwi", 1: "lime", 2: "fig"}
    once = {"correct": [False, True, True, True, True, False], "top": [2, 0, 0, 4, 3, 0]}
    assert "No two classes are confused more than once." in said(names, **once, answerable=True)
    twice = {"correct": False, "top": [2, 5, 0, 5, 5, 0], "answerable": True}
    text = said(names, **twice)
    assert "Most confused: **kiwi** and **lime** (2 queries; 2 other pairs as often)." in text


def test_several_classes_that_are_never_right_are_counted():
    text = said({0: "kiwi", 1: "lime"}, correct=False, top=[2, 2, 0, 0, 0, 0])
    assert "Worst classes: 2 of 2 have no query right" in text
    assert "the one with the most queries is **lime** (0 of 3)." in text


def test_the_headline_names_no_class_if_nothing_is_wrong():
    text = said({0: "kiwi", 1: "lime"}, first_relevant_rank=1, correct=True, answerable=True)
    assert text == "**0 of 6** queries (0.0%) are wrong at rank 1."


def test_long_and_hostile_names_are_cut_and_stay_text():
    text = headline(query_table(neighbors(), LABELS), LABELS, {0: NAMES[0], 1: "x" * 300})
    assert "<script>" not in text
    assert "\\<b\\>bold" in text
    assert "x" * 40 not in text
    assert "x" * 39 + "…\u2069**" in text
