"""`retrieval evaluate RUN --compress` prints what smaller forms cost, and writes it to the run."""

import json

import pytest

from tests.cli.helpers import one_line
from tests.runs.helpers import write_small_run


@pytest.fixture
def run(tmp_path):
    write_small_run(tmp_path / "runs" / "birds" / "one", classes=12, per_class=6)
    return "runs/birds/one"


def test_it_prints_every_form_and_writes_them(retrieval, run, tmp_path):
    code, out, _ = retrieval("evaluate", run, "--compress", "--widths", "2")
    assert code == 0
    for what in (
        "leave-one-out: int8 costs", "a quarter of the memory", "PCA, 2 dimensions", "binary",
        "72 vectors of the gallery, without labels", "compression.json",
    ):  # fmt: skip
        assert what in out
    assert (
        "query_gallery" in json.loads((tmp_path / run / "compression.json").read_text())["results"]
    )


def test_options_of_an_evaluation_do_not_go_with_it(retrieval, run):
    assert "--ks does not go with" in one_line(retrieval("evaluate", run, "--compress", "--ks", 3))
    assert "--widths goes with" in one_line(retrieval("evaluate", run, "--widths", 2))


def test_mistakes_are_one_line(retrieval, run):
    words = one_line(retrieval("evaluate", run, "--compress", "--widths", "2,x"))
    assert "widths" in words
    assert "runs/a/b" in one_line(retrieval("evaluate", "runs/a/b", "--compress"))
