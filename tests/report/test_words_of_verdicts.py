"""What is said of comparisons that are none, and of queries without classes."""

import dataclasses

import numpy as np
import pytest

from retrieval.evaluation import compare
from retrieval.evaluation.metrics import metric
from retrieval.evaluation.protocol import queries_in_words
from retrieval.evaluation.statistics import too_few_line
from retrieval.report.text import _line, _titled
from retrieval.report.verdicts import (
    NOT_TESTED,
    baseline_family,
    best_family,
    pairs_family,
    plan_line,
)


def compared(n_classes, unit="class"):
    rng = np.random.default_rng(0)
    scores = {name: (rng.random(n_classes * 5) < 0.5).astype(float) for name in "ab"}
    found = compare(scores, np.repeat(np.arange(n_classes), 5))
    return dataclasses.replace(found, unit=unit)


def test_no_family_is_named_where_classes_are_too_few():
    few = compared(6)
    assert few.no_claim
    assert best_family(few) == baseline_family(few, "a") == pairs_family(few) == NOT_TESTED
    assert best_family(compared(30)) != NOT_TESTED


@pytest.mark.parametrize(("unit", "said"), [("class", True), ("query", False)])
def test_classes_are_named_only_where_queries_have_some(unit, said):
    found = compared(30, unit)
    line = plan_line(found.plan("a", "b"), metric("recall@1"), unit)
    for text in (found.queries, line, too_few_line(6.0, unit), queries_in_words(7, 7, unit)):
        assert ("class" in text) == said, text


def test_a_bar_in_any_cell_does_not_split_a_row_of_markdown():
    assert _line(["a|b", 1]) == r"| a\|b | 1 |"
    (*_, head, _, row) = _titled("By a|b", ["a|b", "n"], [["x|y", "1"]])
    assert head == r"| a\|b | n |"
    assert row == r"| x\|y | 1 |"
