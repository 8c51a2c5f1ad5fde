"""Slices of losses: the same numbers and words in every output."""

import dataclasses

import numpy as np
import pytest

from retrieval.errors import UserError
from retrieval.evaluation.binning import Groups
from retrieval.report.comparing import estimates
from retrieval.report.sections import Tests, make_report
from retrieval.report.slices import (
    difference_verdict,
    family_line,
    gap_verdict,
    slice_head,
    slice_losses,
    slice_rows,
    slices_headline,
    slices_json,
)
from retrieval.report.text import markdown_of
from tests.report.helpers import CLASSES, EACH

N = CLASSES * EACH


@pytest.fixture
def losses(runs):
    """Three seeds of a good loss, and one run of a bad one."""
    return {"good": list(runs[:3]), "bad": [runs[3]]}


def halves():
    """Two slices of 12 classes each, with 3 queries of every class in each."""
    return Groups("half", ("first", "second"), (np.arange(N) % EACH) // (EACH // 2), "categories")


def test_a_loss_is_all_of_its_seeds(losses):
    sliced = slice_losses({"good": losses["good"]}, halves())
    whole = estimates(losses["good"], None, ["recall@1"])["recall@1"].value
    assert np.average(sliced.table["a"], weights=sliced.table["queries"]) == pytest.approx(whole)


def test_cells_have_their_headings_and_the_verdicts_of_their_intervals(losses):
    for groups in (losses, {"good": losses["good"]}):
        sliced = slice_losses(groups, halves())
        assert len(set(slice_head(sliced))) == len(slice_head(sliced))
        for with_p in (True, False):
            head = slice_head(sliced, with_p=with_p)
            assert {len(row) for row in slice_rows(sliced, with_p=with_p)} == {len(head)}
        for row in sliced.table.to_dict("records"):
            excludes_0 = row["gap_low"] > 0 or row["gap_high"] < 0
            assert excludes_0 == ("chance" not in gap_verdict(sliced, row))
            if sliced.is_pair:
                excludes_0 = row["difference_low"] > 0 or row["difference_high"] < 0
                assert excludes_0 == ("chance" not in difference_verdict(sliced, row))


def test_the_headline_names_the_slice_the_amount_and_both_losses(losses):
    sliced = slice_losses(losses, halves())
    said = slices_headline(sliced)
    top = sliced.by_difference().iloc[0]
    assert f"{100 * top['difference']:.1f} points" in said
    for word in ("good", "bad", f"half {top['slice']}", "2 of 2 slices"):
        assert word in said
    assert "2 slices" in family_line(sliced)


def test_a_lead_that_is_smaller_in_a_slice_is_not_called_a_lead_of_the_other(losses):
    sliced = slice_losses(losses, halves())
    table = sliced.table.assign(
        gap=[-0.3, 0.2], gap_low=[-0.4, 0.1], gap_high=[-0.1, 0.3], gap_significant=True
    )
    said = slices_headline(dataclasses.replace(sliced, table=table))
    assert "good minus bad is smaller in half first" in said
    assert gap_verdict(sliced, table.iloc[0]) == "▼ less for good"


def test_slices_of_too_few_classes_say_so_once(losses):
    each = Groups("class", tuple("abcdefghijkl"), np.repeat(np.arange(CLASSES), EACH), "categories")
    sliced = slice_losses(losses, each)
    assert slices_headline(sliced) == family_line(sliced)
    assert "nothing is claimed" in slices_headline(sliced)
    assert all(row[-1] == "no verdict" for row in slice_rows(sliced))


def test_nmi_and_runs_without_scores_give_the_reason(losses, runs, monkeypatch):
    with pytest.raises(UserError, match=r"NMI.*no score per query"):
        slice_losses(losses, halves(), name="nmi")
    monkeypatch.setattr("retrieval.report.comparing.scores_of", lambda *_: None)
    with pytest.raises(UserError, match="retrieval evaluate"):
        slice_losses(losses, halves(), name="map@r")


@pytest.mark.parametrize("place", [4, 5])  # another distance, other items
def test_runs_that_cannot_be_compared_are_refused_by_name(runs, place):
    with pytest.raises(UserError, match=runs[place].name):
        slice_losses({"good": [runs[0]], "other": [runs[place]]}, halves())


def test_json_has_none_for_no_value(losses):
    sliced = slice_losses(losses, Groups("c", ("x", "y"), (np.arange(N) >= EACH) * 1, "categories"))
    found = slices_json(sliced)
    assert found["slices"][0]["gap_low"] is None
    assert isinstance(found["slices"][1]["queries"], int)
    assert found["runs"] == ["good", "bad"]


def test_a_report_has_slices_of_every_row_and_of_the_best_against_another(runs, monkeypatch):
    monkeypatch.setattr("retrieval.report.sections.column_groups", lambda *_: halves())
    section = make_report(runs[:4], tests=Tests(by="half"))[0]
    assert [each.names[0] for each in section.slices] == list(section.table["name"])
    assert section.sliced_pair.names == tuple(section.table["name"][:2])
    text = markdown_of([section])
    assert "R@1 by half:" in text
    assert slices_headline(section.sliced_pair) in text


def test_a_report_without_anything_to_slice_is_refused(runs):
    with pytest.raises(UserError, match="'split' has one value"):
        make_report(runs[:4], tests=Tests(by="split"))
    with pytest.raises(UserError, match="unknown column"):
        make_report(runs[:4], tests=Tests(by="colour"))
