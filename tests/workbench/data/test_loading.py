"""Opening runs for the app: broken ones are listed with the reason and skipped."""

import json
import shutil

import numpy as np
import pytest

from tests.workbench.damage import break_run, opening
from tests.workbench.driver import open_page, text_of
from workbench.data.loading import find_run, load_runs


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [
        "no metrics",
        "cut embeddings",
        "newer schema",
        "metrics are a list",
        "damaged neighbors",
        "neighbors outside",
        "config is no mapping",
        "foreign folder",
    ],
)
def test_a_broken_run_is_listed_with_its_reason_and_skipped(make_run, monkeypatch, how):
    good, bad = make_run("good"), make_run("bad")
    break_run(bad.path, how)
    root = good.path.parents[1]
    runs, broken = load_runs(root)
    assert [run.name for run in runs] == ["good"]
    assert [run.path.name for run in broken] == ["bad"]
    assert str(bad.path) in broken[0].reason
    assert "\n" not in broken[0].reason
    monkeypatch.setenv("RETRIEVAL_RUNS", str(root))
    assert broken[0].reason in text_of(open_page())


def test_half_written_runs_are_not_seen(make_run):
    run = make_run("good")
    shutil.copytree(run.path, run.path.with_name(".other.partial"))
    runs, broken = load_runs(run.path.parents[1])
    assert [r.name for r in runs] == ["good"]
    assert broken == []


def test_a_run_repaired_while_the_app_runs_is_read_anew(make_run):
    run = make_run("one")
    text = (run.path / "metrics.json").read_text()
    break_run(run.path, "metrics are a list")
    assert len(load_runs(run.path.parents[1])[1]) == 1
    (run.path / "metrics.json").write_text(text)
    assert len(load_runs(run.path.parents[1])[0]) == 1


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "a\\b", ".hidden", "gone"])
def test_runs_are_found_by_name_only_below_the_root(make_run, monkeypatch, name):
    run = make_run("one")
    monkeypatch.setenv("RETRIEVAL_RUNS", str(run.path.parents[1]))
    assert find_run("made", "one") is not None
    assert find_run("made", name) is None
    assert find_run(name, "one") is None


def test_every_protocol_needs_its_neighbors_not_the_primary_alone(made):
    assert made.primary == "query_gallery"
    metrics = json.loads((made.path / "metrics.json").read_text())
    del metrics["computed_from"]  # a run of version 0.1.0, which has no digests
    (made.path / "metrics.json").write_text(json.dumps(metrics))
    arrays = dict(np.load(made.path / "neighbours.npz"))
    np.savez(made.path / "neighbours.npz", **{k: v for k, v in arrays.items() if "leave" not in k})
    assert "no neighbors under protocol 'leave_one_out'" in opening(made)
    arrays["leave_one_out/first_hit_item"] = arrays["leave_one_out/first_hit_item"] + 1000
    np.savez(made.path / "neighbours.npz", **arrays)
    assert "'leave_one_out' does not fit items.parquet" in opening(made)
