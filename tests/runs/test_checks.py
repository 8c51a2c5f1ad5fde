"""What pages read of a run is checked when it is opened; the reason is one line, with a way out."""

import re

import numpy as np
import pytest

from tests.workbench.damage import edit, opening


@pytest.mark.parametrize(
    ("file", "keys", "to", "reason"),
    [
        ("config.yaml", ["schema"], "2", "schema must be a whole number, not '2'"),
        ("config.yaml", ["schema"], ..., "schema is missing"),
        ("config.yaml", ["settings"], [1, 2], r"settings must be a mapping, not \[1, 2\]"),
        ("config.yaml", ["settings", "seed"], "one\ntwo", "seed must be a whole number, not 'one"),
        ("config.yaml", ["provenance", "seed"], 0.5, "seed must be a whole number, not 0.5"),
        ("config.yaml", ["provenance", "seconds"], {"train": "long"}, "train must be a number"),
        ("config.yaml", ["dataset", "root"], 7, "root must be text, not 7"),
        ("metrics.json", ["schema"], "2", "schema must be a whole number, not '2'"),
        ("metrics.json", ["primary"], "rank_all", "no results under protocol 'rank_all'"),
        ("metrics.json", ["results"], {}, "results must be a list"),
        ("metrics.json", ["results", 1, "protocol", "title"], ..., "result 2: title is missing"),
        ("metrics.json", ["results", 0, "metrics"], ..., "result 1: metrics is missing"),
        ("metrics.json", ["results", 0, "n_queries"], ..., "result 1: n_queries is missing"),
        ("metrics.json", ["results", 0, "metrics", "nmi"], 0.5, "nmi must be a mapping, not 0.5"),
        (
            "metrics.json",
            ["results", 0, "metrics", "nmi", "value"],
            "high",
            "result 1, nmi: value must be a number, not 'high'",
        ),
    ],
)
def test_what_pages_read_is_checked_when_a_run_is_opened(made, file, keys, to, reason):
    edit(made.path, file, *keys, to=to)
    assert re.search(reason, opening(made))
    assert "\n" not in opening(made)


def test_every_protocol_needs_its_neighbors_not_the_primary_alone(made):
    assert made.metrics["primary"] == "query_gallery"
    arrays = dict(np.load(made.path / "neighbours.npz"))
    np.savez(made.path / "neighbours.npz", **{k: v for k, v in arrays.items() if "leave" not in k})
    assert "no neighbors under protocol 'leave_one_out'" in opening(made)
    arrays["leave_one_out/first_hit_item"] = arrays["leave_one_out/first_hit_item"] + 1000
    np.savez(made.path / "neighbours.npz", **arrays)
    assert "'leave_one_out' does not fit items.parquet" in opening(made)


def test_labels_that_are_no_numbers_are_refused(made):
    made.items.assign(label="a").to_parquet(made.path / "items.parquet")
    assert "items.parquet: labels must be whole numbers" in opening(made)


def test_a_newer_schema_is_told_before_its_other_files_are_missed(made):
    edit(made.path, "config.yaml", "schema", to=2)
    (made.path / "neighbours.npz").rename(made.path / "neighbors.zarr")
    assert "schema 2 is newer than this version's 1; update the workbench" in opening(made)


@pytest.mark.parametrize(
    ("file", "command"),
    [
        ("embeddings.npy", "embed"),
        ("items.parquet", "embed"),
        ("neighbours.npz", "evaluate"),
        ("metrics.json", "evaluate"),
    ],
)
def test_a_missing_file_comes_with_the_command_that_makes_it(made, file, command):
    (made.path / file).unlink()
    assert f"{file} is missing; make it with `retrieval {command}`" in opening(made)
