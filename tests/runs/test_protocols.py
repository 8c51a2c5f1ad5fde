"""Runs that leave items out of the rankings: columns are kept, protocols recorded, never mixed."""

import dataclasses
import json
from unittest import mock

import numpy as np
import pytest

from retrieval.errors import UserError
from retrieval.evaluation import evaluate
from retrieval.report.sections import make_report
from retrieval.runs.evaluate import EvaluationOptions, evaluate_run
from retrieval.runs.importing import import_files
from retrieval.runs.run import Run
from retrieval.runs.thresholds import compute_thresholds, read_thresholds, write_thresholds
from retrieval.validation import LEAVE_ONE_OUT, QUERY_GALLERY, base_protocol

JUNK = EvaluationOptions(junk_same=("camera",), metrics=("minp", "map_trapezoid"))


def files(folder, *, roles=True):
    """24 items of 4 classes and 3 cameras; the first 8 are queries."""
    rng = np.random.default_rng(0)
    labels, cameras = np.arange(24) % 4, rng.integers(0, 3, 24)
    x = (rng.standard_normal((4, 5))[labels] + rng.standard_normal((24, 5))).astype(np.float32)
    role = np.where(np.arange(24) < 8, "query", "gallery")
    np.save(folder / "x.npy", x)
    lines = [
        "label,camera,role",
        *(f"{a},c{b},{c}" for a, b, c in zip(labels, cameras, role, strict=True)),
    ]
    if not roles:
        lines = [line.rpartition(",")[0] for line in lines]
    (folder / "items.csv").write_text("\n".join(lines) + "\n")
    return [(folder / "x.npy", folder / "items.csv")], x, labels, cameras, role


def test_an_import_keeps_the_columns_that_leave_items_out(tmp_path):
    sides, x, labels, cameras, role = files(tmp_path)
    run = Run(import_files(tmp_path / "mine" / "a", sides, options=JUNK, progress=False))
    assert run.items["camera"].tolist() == [f"c{camera}" for camera in cameras]
    assert list(run.results) == [
        LEAVE_ONE_OUT, QUERY_GALLERY, "query_gallery.same-class-and-camera",
    ]  # fmt: skip
    assert run.primary == "query_gallery.same-class-and-camera"
    assert base_protocol(run.primary) == QUERY_GALLERY
    result = run.result(run.primary)
    assert result.title == "query -> gallery, without same class and camera"
    expected = evaluate(
        x, labels, role, junk_same={"camera": cameras}, kmeans="none", metrics=["minp"]
    )
    for name in ("recall@1", "map@r", "minp"):
        assert result.metric(name).value == expected.metrics[name]
    assert result.protocol.n_excluded == expected.protocol.n_excluded > 0
    assert run.result(QUERY_GALLERY).protocol.exclusion == ""
    np.testing.assert_array_equal(run.neighbors(run.primary).ids, expected.neighbors)
    # All items are clustered, whatever is left out.
    assert len({each.metric("nmi").value for each in run.results.values()}) == 1


def test_a_run_is_evaluated_again_with_other_columns_or_none(tmp_path):
    sides, *_ = files(tmp_path, roles=False)
    path = import_files(tmp_path / "mine" / "a", sides, options=JUNK, progress=False)
    assert list(Run(path).results) == [LEAVE_ONE_OUT, "leave_one_out.same-class-and-camera"]
    again = EvaluationOptions(exclude_same=("camera",))
    assert evaluate_run(path, options=again, progress=False).primary == "leave_one_out.same-camera"
    assert evaluate_run(path, progress=False).primary == LEAVE_ONE_OUT


def test_a_column_that_is_not_there_is_refused_and_changes_nothing(tmp_path):
    sides, *_ = files(tmp_path)
    with pytest.raises(UserError, match=r"items.csv: the items have no column 'camara'.*'camera'"):
        import_files(
            tmp_path / "mine" / "a", sides, options=EvaluationOptions(junk_same=("camara",))
        )
    path = import_files(tmp_path / "mine" / "a", sides, progress=False)
    before = (path / "metrics.json").read_bytes()
    assert "camera" in Run(path).items  # every column is kept
    with pytest.raises(UserError, match="junk_same: the items have no column 'store'"):
        evaluate_run(path, options=EvaluationOptions(junk_same=("store",)), progress=False)
    assert (path / "metrics.json").read_bytes() == before


def test_an_item_without_a_value_is_refused_by_its_row(tmp_path):
    sides, *_ = files(tmp_path)
    text = sides[0][1].read_text().splitlines()
    text[3] = ",".join([text[3].split(",")[0], "", text[3].split(",")[2]])
    sides[0][1].write_text("\n".join(text) + "\n")
    with pytest.raises(UserError, match=r"items.csv: row 2 has camera '': give every item"):
        import_files(tmp_path / "mine" / "a", sides, options=JUNK)


def test_a_report_has_one_section_per_protocol_and_says_what_is_left_out(tmp_path):
    sides, *_ = files(tmp_path)
    one = Run(import_files(tmp_path / "mine" / "a", sides, options=JUNK, progress=False))
    two = Run(import_files(tmp_path / "mine" / "b", sides, progress=False))
    sections = make_report([one, two])
    groups = {section.title: list(section.groups) for section in sections}
    assert groups["query -> gallery"] == ["a", "b"]
    assert groups["query -> gallery, without same class and camera"] == ["a"]
    lines = {section.title: section.line for section in sections}
    assert (
        "left out: same class and camera"
        in lines["query -> gallery, without same class and camera"]
    )
    assert "left out" not in lines["query -> gallery"]


def test_metrics_of_version_0_1_have_no_exclusion(tmp_path):
    sides, *_ = files(tmp_path)
    path = import_files(tmp_path / "mine" / "a", sides, progress=False)
    content = json.loads((path / "metrics.json").read_text())
    for entry in content["results"]:
        for name in ("exclusion", "n_excluded", "relevance"):
            del entry["protocol"][name]
    (path / "metrics.json").write_text(json.dumps(content))
    assert Run(path).result(QUERY_GALLERY).protocol.relevance == "class"


@pytest.mark.parametrize("roles", [True, False])
def test_thresholds_leave_out_the_pairs_that_the_protocol_leaves_out(tmp_path, roles):
    sides, _, labels, cameras, role = files(tmp_path, roles=roles)
    path = import_files(tmp_path / "mine" / "a", sides, options=JUNK, progress=False)
    write_thresholds(path, progress=False)
    run = Run(path)
    assert all(read_thresholds(run, name) is not None for name in run.results)
    found = read_thresholds(run, run.primary)
    q, g = np.nonzero(
        np.outer(role == "query", role == "gallery") if roles else np.tri(24, k=-1, dtype=bool).T
    )
    same = labels[q] == labels[g]
    junk = same & (cameras[q] == cameras[g])
    assert junk.any()
    assert found.n_positive == (same & ~junk).sum()
    assert found.n_negative == (~same).sum()


def test_thresholds_of_a_protocol_whose_lists_are_not_kept_are_refused(tmp_path):
    sides, *_ = files(tmp_path)
    run = Run(import_files(tmp_path / "mine" / "a", sides, options=JUNK, progress=False))
    made = run.result().protocol
    listed = dataclasses.replace(made, exclusion="own lists 0123abcd")
    result = dataclasses.replace(run.result(), protocol=listed)
    with (
        mock.patch.object(Run, "result", return_value=result),
        pytest.raises(UserError, match="own lists 0123abcd"),
    ):
        compute_thresholds(run, progress=False)
