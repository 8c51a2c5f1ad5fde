"""Evaluating a run again: options are followed and recorded, and errors are one line."""

import json
import shutil

import numpy as np
import pytest

from retrieval.errors import UserError
from retrieval.runs.evaluate import KS, EvaluationOptions, evaluate_run
from retrieval.runs.importing import import_files


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """A run of 20 items: six classes of three, two of one item."""
    root = tmp_path_factory.mktemp("imported")
    labels = [*np.repeat(np.arange(6), 3), 6, 7]
    rng = np.random.default_rng(0)
    np.save(
        root / "e.npy", rng.standard_normal((8, 4))[labels] + 0.5 * rng.standard_normal((20, 4))
    )
    (root / "items.csv").write_text("label\n" + "\n".join(map(str, labels)) + "\n")
    files = [(root / "e.npy", root / "items.csv")]
    return import_files(root / "runs" / "mine" / "one", files, progress=False)


@pytest.fixture
def run(imported, tmp_path):
    """A copy of the run, to be changed."""
    return shutil.copytree(imported, tmp_path / "one")


def result_of(run) -> dict:
    return json.loads((run / "metrics.json").read_text())["results"][0]


def test_options_are_followed_and_recorded_in_the_protocol(run):
    plain = result_of(run)
    assert plain["protocol"]["no_positive"] == "exclude"
    evaluate_run(run, options=EvaluationOptions("zero", "random", 3, (3, 5)), progress=False)
    found = result_of(run)
    protocol = found["protocol"]
    assert (protocol["no_positive"], protocol["kmeans"], protocol["seed"]) == ("zero", "random", 3)
    assert {f"recall@{k}" for k in (3, 5, *KS)} <= set(found["metrics"])
    for name in ("recall@1", "map@r"):  # 18 of 20 queries have a possible hit
        share = found["metrics"][name]["value"] / plain["metrics"][name]["value"]
        assert share == pytest.approx(18 / 20)


def test_clustering_can_be_skipped(run):
    evaluate_run(run, options=EvaluationOptions(kmeans="none"), progress=False)
    assert "nmi" not in result_of(run)["metrics"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (EvaluationOptions(no_positive="skip"), "no_positive = 'skip'"),
        (EvaluationOptions(kmeans="greedy"), "kmeans = 'greedy'"),
        (EvaluationOptions(seed=-1), "seed = -1"),
        (EvaluationOptions(ks=("a",)), "ks = 'a'"),
    ],
)
def test_an_invalid_option_changes_nothing(run, options, message):
    before = {p.name: p.read_bytes() for p in run.iterdir() if p.is_file()}
    with pytest.raises(UserError, match=message):
        evaluate_run(run, options=options, progress=False)
    assert {p.name: p.read_bytes() for p in run.iterdir() if p.is_file()} == before


@pytest.mark.parametrize("name", ["config.yaml", "items.parquet", "embeddings.npy"])
def test_a_missing_or_damaged_file_is_one_line(run, name):
    (run / name).write_text("[1, 2]")
    with pytest.raises(UserError, match=f"{name}: ") as caught:
        evaluate_run(run, progress=False)
    assert "\n" not in str(caught.value)
    (run / name).unlink()
    with pytest.raises(UserError, match=f"{name} |embeddings"):
        evaluate_run(run, progress=False)


def test_there_must_be_one_embedding_per_item(run):
    np.save(run / "embeddings.npy", np.zeros((3, 4), np.float32))
    with pytest.raises(UserError, match=r"20 items.* 3 embeddings"):
        evaluate_run(run, progress=False)


def test_the_command_passes_every_option_on(run, monkeypatch, capsys):
    from retrieval.cli.main import app

    words = ["evaluate", str(run), "--no-positive", "zero", "--kmeans", "random", "--seed", "4"]
    app([*words, "--ks", "3, 5"], standalone_mode=False)
    found = result_of(run)
    protocol = found["protocol"]
    assert (protocol["no_positive"], protocol["kmeans"], protocol["seed"]) == ("zero", "random", 4)
    assert "recall@5" in found["metrics"]
    with pytest.raises(UserError, match="ks = 'x'"):
        app(["evaluate", str(run), "--ks", "3,x"], standalone_mode=False)
