"""A run that is evaluated in shards is the run that one process makes, whatever is killed."""

import contextlib
import json
import shutil

import numpy as np
import pandas as pd
import pytest

from retrieval.cluster import Node, shared
from retrieval.errors import UserError
from retrieval.evaluation.search import shard_files
from retrieval.evaluation.search.shard_files import compute_shard
from retrieval.runs import large, sharding
from retrieval.runs.evaluate import EvaluationOptions, evaluate_run
from retrieval.runs.importing import import_files
from retrieval.runs.sharding import Sharding, shards_path
from retrieval.runs.store import open_run


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """A run of 90 items of 9 classes with duplicates, two of ten of them queries."""
    root = tmp_path_factory.mktemp("imported")
    rng, labels = np.random.default_rng(0), np.arange(90) % 9
    rows = rng.standard_normal((9, 4))[labels] + rng.standard_normal((90, 4))
    rows[rng.integers(0, 90, 9)] = rows[3]
    np.save(root / "e.npy", rows.astype(np.float32))
    roles = np.where(np.arange(90) % 10 < 2, "query", "gallery")
    camera = np.arange(90) % 4
    frame = pd.DataFrame({"label": labels, "role": roles, "camera": camera})
    frame.to_csv(root / "items.csv", index=False)
    files = [(root / "e.npy", root / "items.csv")]
    return import_files(root / "runs" / "mine" / "one", files, progress=False)


@pytest.fixture
def run(imported, tmp_path):
    """A copy of the run, to be changed."""
    return shutil.copytree(imported, tmp_path / "one")


def results_of(run):
    """Return all figures of a run, and the arrays of its neighbors."""
    metrics = json.loads((run / "metrics.json").read_text())
    with np.load(run / "neighbours.npz") as arrays:
        return metrics["results"], {name: arrays[name] for name in arrays.files}


def assert_same(one, other):
    (metrics, arrays), (found, others) = results_of(one), results_of(other)
    assert metrics == found
    assert arrays.keys() == others.keys()
    for name, values in arrays.items():
        np.testing.assert_array_equal(values, others[name], err_msg=name)


@pytest.mark.parametrize("shards", [1, 4, 90])
def test_shards_change_no_figure_and_leave_nothing_behind(run, imported, shards):
    evaluate_run(run, sharding=Sharding(shards=shards), progress=False)
    assert_same(run, imported)
    assert not shards_path(run).exists()


def test_a_killed_evaluation_computes_only_the_shards_it_lacked(run, imported, monkeypatch, capsys):
    computed = []

    def dies(**call):
        if len(computed) == 3:
            raise KeyboardInterrupt
        computed.append(call["number"])
        compute_shard(**call)

    monkeypatch.setattr(shard_files, "compute_shard", dies)
    with pytest.raises(KeyboardInterrupt):
        evaluate_run(run, sharding=Sharding(shards=5), progress=False)
    assert_same(run, imported)  # as it was
    assert len(list(shards_path(run).glob("*/shard-*.npz"))) == 3
    said = f"{shards_path(run)}: 3 finished shards: the same command continues from there"
    assert said in capsys.readouterr().out
    computed.insert(0, None)
    monkeypatch.setattr(
        shard_files,
        "compute_shard",
        lambda **call: (computed.append(call["number"]), compute_shard(**call)),
    )
    evaluate_run(run, sharding=Sharding(shards=5), progress=False)
    assert computed == [None, 0, 1, 2, 3, 4, *range(5)]  # leave-one-out, then query -> gallery
    assert_same(run, imported)


def test_an_evaluation_without_a_finished_shard_leaves_nothing_behind(run, imported, monkeypatch):
    def dies(**call):
        raise UserError("no shard today")

    monkeypatch.setattr(shard_files, "compute_shard", dies)
    with pytest.raises(UserError, match="no shard today"):
        evaluate_run(run, sharding=Sharding(shards=5), progress=False)
    assert not shards_path(run).exists()
    assert_same(run, imported)


def test_a_missing_gpu_is_said_before_anything_is_written(run, monkeypatch):
    planned = []
    monkeypatch.setattr(shard_files, "make_plan", lambda *given: planned.append(given))
    with pytest.raises(UserError, match=r"^--device gpu: TensorFlow sees no GPU here"):
        evaluate_run(run, sharding=Sharding(device="gpu"), progress=False)
    assert not planned
    assert not shards_path(run).exists()


def test_a_node_that_does_not_see_the_run_is_named_before_anything_is_searched(run, monkeypatch):
    node = Node("ab", "10.0.0.2", 2, 0, 1e9)
    monkeypatch.setattr(shared, "on_every_node", lambda *_: {node: shared.UNSEEN})
    monkeypatch.setattr(sharding, "connected", lambda on: contextlib.nullcontext())
    with pytest.raises(UserError, match=rf"node 10.0.0.2 does not see {run.parent}"):
        evaluate_run(run, sharding=Sharding("ray"), progress=False)
    assert [path.name for path in run.parent.iterdir()] == [run.name]


@pytest.mark.usefixtures("machines")
def test_tasks_of_a_cluster_make_the_same_run(run, imported):
    evaluate_run(run, sharding=Sharding("ray", 2), progress=False)
    assert_same(run, imported)
    assert not shards_path(run).exists()


def test_a_place_or_number_that_is_none_is_refused():
    with pytest.raises(UserError, match="--on 'there': give local, ray"):
        Sharding("there")
    with pytest.raises(UserError, match="shards = 0"):
        Sharding(shards=0)


@pytest.fixture
def few(monkeypatch):
    """Let runs of more than 50 items count as large, and map 20 items of them."""
    monkeypatch.setattr(large, "MANY_ITEMS", 50)
    monkeypatch.setattr(large.sampled_rows, "__defaults__", (20, 0))
    monkeypatch.setattr(large.sample_caption, "__defaults__", (20, 0, "item"))


@pytest.mark.usefixtures("few")
def test_a_large_run_with_queries_is_not_compared_with_itself_and_maps_a_sample(run, imported):
    evaluate_run(run, progress=False)
    found, whole = open_run(run), open_run(imported)
    assert list(found.results) == ["query_gallery"]
    for name, value in found.result().metrics.items():
        assert value == whole.result().metrics[name]
    assert "nmi" not in found.result().metrics
    assert found.projection.notna().all(axis=1).sum() == 20
    assert found.projection.isna().all(axis=1).sum() == 70


@pytest.mark.usefixtures("few")
def test_a_large_run_is_clustered_where_that_is_asked_for(run, imported):
    evaluate_run(run, options=EvaluationOptions(kmeans="random"), progress=False)
    assert open_run(run).result().metrics["nmi"].value > 0
