"""Smaller forms in a run folder: written as a whole, read back, and refused if they are stale."""

import json

import numpy as np
import pytest

from retrieval.errors import UserError
from retrieval.evaluation.compression import FULL, Form, ranks_in_form
from retrieval.evaluation.protocol import sides
from retrieval.runs.compression import (
    FILE,
    SCORES_FILE,
    form_costs,
    read_compression,
    trained_widths,
    write_compression,
)
from retrieval.runs.run import Run
from retrieval.runs.store import open_run
from tests.runs.helpers import edit, write_small_run

CLASSES, EACH = 12, 6


@pytest.fixture(scope="module")
def compressed(tmp_path_factory):
    path = write_small_run(tmp_path_factory.mktemp("c") / "birds" / "one", classes=12, per_class=6)
    return write_compression(path, [2], progress=False)


@pytest.fixture
def mine(compressed, tmp_path):
    path = write_small_run(tmp_path / "birds" / "one", classes=12, per_class=6)
    for name in (FILE, SCORES_FILE):
        (path / name).write_bytes((compressed.path / name).read_bytes())
    return Run(path)


def test_every_form_under_every_protocol_is_that_of_its_search(compressed):
    roles = compressed.items["role"].to_numpy(dtype=object)
    for protocol in ("leave_one_out", "query_gallery"):
        found = read_compression(compressed, protocol)
        names = [form.name for form in found.forms]
        assert names == ["float32", "float16", "int8", "binary", "truncate-2", "pca-2"]
        parts = sides(72, roles if protocol == "query_gallery" else None)
        ranks = ranks_in_form(
            Form("pca", 2), compressed.embeddings, compressed.items["label"].to_numpy(), parts
        )
        np.testing.assert_array_equal(
            found.scores_of("pca-2", "recall@1"), ranks.first_relevant_rank == 1
        )
        np.testing.assert_array_equal(found.scores_of("pca-2", "map@r"), ranks.scores["map@r"])
        assert found.scores_of("pca-2", "ndcg@3") is None


def test_the_file_holds_bytes_values_and_costs(compressed):
    content = json.loads((compressed.path / FILE).read_text())
    entry = content["results"]["leave_one_out"]
    assert entry["forms"][2] == {"form": "int8", "bytes": 3, "shared_bytes": 24}
    row = entry["metrics"]["recall@1"][5]
    found = read_compression(compressed, "leave_one_out")
    table = form_costs([compressed], [found], "recall@1")
    assert row["form"] == "pca-2"
    assert row["cost"] == pytest.approx(table["cost"][5])
    assert row["value"] == pytest.approx(table["value"][5])
    full = compressed.result("leave_one_out").metric("recall@1").value
    assert entry["metrics"]["recall@1"][0]["value"] == pytest.approx(full)


def test_nothing_else_of_the_run_changes(tmp_path):
    path = write_small_run(tmp_path / "birds" / "one", classes=12, per_class=6)
    before = {p.name: p.read_bytes() for p in path.iterdir()}
    write_compression(path, progress=False)
    after = {p.name: p.read_bytes() for p in path.iterdir()}
    assert {name: after.pop(name) for name in (FILE, SCORES_FILE)}
    assert after == before
    assert open_run(path)
    assert [p.name for p in path.parent.iterdir()] == ["one"]


def test_a_run_without_them_says_the_command(tmp_path):
    path = write_small_run(tmp_path / "birds" / "one")
    with pytest.raises(UserError, match=r"not evaluated; `retrieval evaluate .*one --compress`"):
        read_compression(Run(path))


def test_forms_of_other_embeddings_are_refused(mine):
    assert read_compression(mine).n_gallery == 48
    edit(mine.path, "metrics.json", "computed_from", "embeddings.npy", to=1)
    with pytest.raises(UserError, match=r"evaluated anew since; `retrieval evaluate .*--compress`"):
        read_compression(Run(mine.path))


def test_files_that_do_not_belong_together_are_refused(mine):
    with (mine.path / SCORES_FILE).open("r+b") as file:
        file.seek(200)
        file.write(b"damage")
    with pytest.raises(UserError, match=r"damaged .*does not belong to it.*--compress` computes"):
        read_compression(mine)


@pytest.mark.parametrize("content", ["", "[]", '{"schema": 1}', '{"schema": 7}'])
def test_a_damaged_file_is_refused_in_one_line(mine, content):
    (mine.path / FILE).write_text(content)
    with pytest.raises(UserError, match="--compress") as caught:
        read_compression(mine)
    assert "\n" not in str(caught.value)


def test_seeds_are_combined(compressed):
    found = read_compression(compressed, "leave_one_out")
    table = form_costs([compressed] * 2, [found] * 2, "recall@1")
    alone = form_costs([compressed], [found], "recall@1")
    assert table["cost"].tolist() == pytest.approx(alone["cost"].tolist())


def test_what_is_left_out_says_why(tmp_path):
    path = write_small_run(tmp_path / "birds" / "one", classes=12, per_class=6)
    edit(path, "metrics.json", "results", 0, "protocol", "distance", to="cityblock")
    found = read_compression(write_compression(path, [2], progress=False), "leave_one_out")
    assert "cityblock" in found.left_out["pca-2"]
    assert FULL in found.forms


def test_a_width_that_is_no_reduction_is_refused(tmp_path):
    path = write_small_run(tmp_path / "birds" / "one")
    with pytest.raises(UserError, match="no reduction"):
        write_compression(path, [3], progress=False)


def test_the_widths_of_the_training_are_among_the_forms(tmp_path):
    path = write_small_run(tmp_path / "birds" / "one", classes=12, per_class=6)
    edit(path, "config.yaml", "settings", "embedding_size", to=3)
    edit(path, "config.yaml", "settings", "matryoshka", to="2")
    assert trained_widths(Run(path)) == (2,)
    found = read_compression(write_compression(path, progress=False))
    assert Form("truncate", 2) in found.forms
