"""Runs whose embeddings are all (nearly) equal say so, where they end and in the report."""

import json

import numpy as np
import pandas as pd
import pytest

from retrieval.evaluation.geometry import COLLAPSED, is_collapsed, relative_spread
from retrieval.report.writing import write_report
from retrieval.runs.evaluate import evaluate_run
from retrieval.runs.importing import import_run
from retrieval.runs.store import open_run


def embeddings_of(spread: float) -> np.ndarray:
    """60 rows that differ from one another by about ``spread`` of their length."""
    noise = np.random.default_rng(0).standard_normal((60, 8))
    return (np.ones(8) + spread * noise).astype(np.float32)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("spread", [1e-1, 1e-3, 1e-6])
def test_the_spread_is_relative_to_the_length(spread, distance):
    rows = embeddings_of(spread)
    found = relative_spread(rows, distance)
    assert spread / 1.5 < found < spread * 1.5
    assert relative_spread(1000 * rows, distance) == pytest.approx(found, rel=0.05)


def test_it_is_what_training_watches():
    from retrieval.training.model import relative_spread as of_batch

    rows = embeddings_of(0.5)
    assert relative_spread(rows, "euclidean") == pytest.approx(float(of_batch(rows)), rel=1e-5)


def test_equal_rows_and_zero_rows_are_collapsed_and_blocks_do_not_matter(monkeypatch):
    assert relative_spread(np.zeros((5, 3)), "cosine") == 0
    assert relative_spread(np.full((5, 3), 7.0), "euclidean") == 0
    whole = relative_spread(embeddings_of(0.5), "cosine")
    monkeypatch.setattr("retrieval.evaluation.geometry.BLOCK", 7)
    assert relative_spread(embeddings_of(0.5), "cosine") == pytest.approx(whole)


def test_lengths_count_only_where_the_distance_sees_them():
    rows = np.outer(np.arange(1, 21), np.ones(4))  # one direction, many lengths
    assert relative_spread(rows, "cosine") < 1e-6
    assert relative_spread(rows, "euclidean") > 0.4


@pytest.mark.parametrize("geometry", [{}, {"relative_spread": np.nan}, {"relative_spread": 1}])
def test_a_run_that_was_not_measured_is_not_called_collapsed(geometry):
    assert not is_collapsed(geometry)
    assert is_collapsed({"relative_spread": COLLAPSED / 2})


@pytest.mark.filterwarnings("ignore:.*no thumbnail")
def test_a_collapsed_run_says_so_at_its_end_and_in_every_report(tmp_path, capsys, monkeypatch):
    # neither looks at layouts, and compiling UMAP takes longer than all the rest
    layout = lambda x, *_, **__: pd.DataFrame(index=range(len(x)))  # noqa: E731
    monkeypatch.setattr("retrieval.runs.evaluate.project", layout)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "i.csv").write_text("label\n" + "\n".join(str(n % 6) for n in range(60)) + "\n")
    paths = {}
    for name, spread in (("fine", 0.5), ("flat", 1e-7)):
        np.save(tmp_path / "e.npy", embeddings_of(spread))
        files = [(tmp_path / "e.npy", tmp_path / "i.csv")]
        paths[name] = import_run(tmp_path / "runs/mine" / name, files, progress=False)
        said = capsys.readouterr().out
        assert ("collapsed" in said) == (name == "flat")
    line = f"{paths['flat']}: collapsed: all test embeddings are nearly equal (relative spread "
    assert said.startswith(line)
    assert said.count("\n") == 1
    assert "try pretrained weights" in said
    evaluate_run(paths["flat"], distance="euclidean", progress=False)
    assert capsys.readouterr().out.startswith(line)
    evaluate_run(paths["flat"], progress=False)

    stored = json.loads((paths["flat"] / "metrics.json").read_text())["results"][0]
    assert stored["geometry"]["relative_spread"] < 1e-6
    write_report([open_run(path) for path in paths.values()], tmp_path / "out")
    words = "collapsed (all embeddings nearly equal): flat"
    for suffix in ("md", "csv", "tex"):
        assert words in (tmp_path / f"out/report.{suffix}").read_text()
    write_report([open_run(paths["fine"])], tmp_path / "out")
    assert "collapsed" not in (tmp_path / "out/report.md").read_text()
