"""`retrieval thresholds` prints the error rates of a run, and writes them to it."""

import json

import numpy as np
import pytest

from tests.cli.helpers import one_line

pytestmark = pytest.mark.usefixtures("two_blocks")


def imported(retrieval, tmp_path, *words, strangers=0):
    """Import 60 classes of 2 queries and 2 gallery items; the first ones only ask."""
    rng, labels = np.random.default_rng(0), np.repeat(np.arange(60), 4)
    x = rng.standard_normal((60, 6))[labels] + 0.5 * rng.standard_normal((240, 6))
    roles = np.where(np.arange(240) % 2, "query", "gallery")
    roles[labels < strangers] = "query"
    np.save(tmp_path / "x.npy", x.astype(np.float32))
    rows = [f"{a},{b},{i % 3}" for i, (a, b) in enumerate(zip(labels, roles, strict=True))]
    (tmp_path / "items.csv").write_text("\n".join(["label,role,camera", *rows]))
    words = ("--embeddings", "x.npy", "--items", "items.csv", "--name", "a", *words)
    assert retrieval("import", *words)[0] == 0
    return "runs/imported/a"


def test_it_prints_every_figure_and_writes_them(retrieval, tmp_path):
    run = imported(retrieval, tmp_path, strangers=30)
    code, out, _ = retrieval("thresholds", run)
    assert code == 0
    for what in ("EER", "FNMR at FMR 10%", "FNIR at FPIR 10%", "Brier", "60 queries with"):
        assert what in out
    assert f"{run}/thresholds.json" in out
    written = json.loads((tmp_path / run / "thresholds.json").read_text())["results"]
    assert written["query_gallery"]["n_unmated"] == 120
    fnir = 100 * written["query_gallery"]["open_set"]["fnir"][0]
    assert f"{fnir:.1f}%" in out


def test_few_accepted_strangers_have_no_interval_and_this_is_said(retrieval, tmp_path):
    run = imported(retrieval, tmp_path, strangers=12)
    assert "No interval where fewer than 30 queries" in retrieval("thresholds", run)[1]


def test_junk_pairs_are_left_out(retrieval, tmp_path):
    run = imported(retrieval, tmp_path, "--junk-same", "camera")
    assert "without same class and camera" in retrieval("thresholds", run)[1]


def test_a_run_that_is_not_there_or_holds_ranked_lists_is_refused(retrieval, tmp_path):
    assert "runs/a/b" in one_line(retrieval("thresholds", "runs/a/b"))
    (tmp_path / "lists.csv").write_text("query,item,score\nq,d,1\n")
    (tmp_path / "qrels.csv").write_text("query,item,grade\nq,d,1\n")
    words = ("--ranked", "lists.csv", "--qrels", "qrels.csv", "--dataset", "texts")
    assert retrieval("import", *words)[0] == 0
    assert "no embeddings" in one_line(retrieval("thresholds", "runs/texts/lists"))
