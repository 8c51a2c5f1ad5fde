"""Runs that cannot be opened are listed with the reason; without any run, what to type is told."""

import shutil

import pytest

from tests.workbench.damage import break_run
from tests.workbench.driver import open_page, text_of
from workbench.data.loading import find_run, load_runs


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


def test_only_broken_runs_show_the_empty_state(make_run, monkeypatch):
    bad = make_run("bad")
    break_run(bad.path, "no metrics")
    monkeypatch.setenv("RETRIEVAL_RUNS", str(bad.path.parents[1]))
    app = open_page()
    assert app.title[0].value == "No runs yet"
    assert "metrics.json is missing" in text_of(app)


def test_no_runs_says_what_to_type(tmp_path, monkeypatch):
    monkeypatch.setenv("RETRIEVAL_RUNS", str(tmp_path / "nowhere"))
    app = open_page()
    assert app.title[0].value == "No runs yet"
    assert app.code[0].value == "retrieval demo"
    assert "retrieval train --dataset grocery --loss all" in app.code[1].value


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
