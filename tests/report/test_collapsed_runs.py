"""Runs whose embeddings are (nearly) all equal say so when they are evaluated and in reports."""

import json

import numpy as np
import pandas as pd

from retrieval.report.writing import page_writer, write_report
from retrieval.runs.evaluate import evaluate_run
from retrieval.runs.importing import import_files
from retrieval.runs.store import open_run


def embeddings_of(spread: float) -> np.ndarray:
    """60 rows that differ from one another by about ``spread`` of their length."""
    noise = np.random.default_rng(0).standard_normal((60, 8))
    return (np.ones(8) + spread * noise).astype(np.float32)


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
        paths[name] = import_files(tmp_path / "runs/mine" / name, files, progress=False)
        said = capsys.readouterr().out
        assert (": collapsed: " in said) == (name == "flat")
    line = f"{paths['flat']}: collapsed: all test embeddings are nearly equal (relative spread "
    assert line in said
    assert said.count("\n") == 2  # no pictures
    assert "try pretrained weights" in said
    evaluate_run(paths["flat"], distance="euclidean", progress=False)
    assert line in capsys.readouterr().out
    evaluate_run(paths["flat"], progress=False)

    stored = json.loads((paths["flat"] / "metrics.json").read_text())["results"][0]
    assert stored["geometry"]["relative_spread"] < 1e-6
    page = tmp_path / "out/report.html"
    page_writer()(write_report([open_run(p) for p in paths.values()], tmp_path / "out"), page)
    words = "flat: collapsed: all test embeddings are nearly equal"
    for suffix in ("md", "csv", "tex", "html"):
        assert words in (tmp_path / f"out/report.{suffix}").read_text()
    write_report([open_run(paths["fine"])], tmp_path / "out")
    assert "collapsed" not in (tmp_path / "out/report.md").read_text()
